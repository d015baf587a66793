#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the scanner, the walk over members, unescaping and compacting against Python's json.

usage: python_test.py VERDICT_PROGRAM   (built from verdict_test.c, which says how it talks)
"""
import json
import random
import re
import struct
import subprocess
import sys

KINDS = {dict: 1, list: 2, str: 3}
ATOMS = ["{", "}", "[", "]", ",", ":", '"', '""', '"a"', '"\\u005fid"', "\\", "\\u00e9", "\\ud83d",
         "\\ude00", "\\n", "\\x", " ", "\t", "\n", "\v", "\0", "\x1f", "0", "-0", "7", "-", "+", ".",
         "e", "E", "1e400", "01", "1.5", "true", "false", "null", "nul", "NaN", "Infinity",
         "-Infinity", "é", "€", "😀", "\ufeff", "'", "/", "//"]


class Different(Exception):
    """Python accepts, or refuses, what we do not, on purpose."""


# The known differences, each with its reason.
DIFFERENCES = {
    "constant": "Python accepts NaN, Infinity and -Infinity, which RFC 8259 does not have",
    "depth": "we stop at 128 levels, Python where its stack does",
}


def constant(_word):
    raise Different("constant")


def depth(text):
    """The nesting of a text that Python accepts, strings left out."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.S)
    level = deepest = 0
    for char in bare:
        level += (char in "{[") - (char in "}]")
        deepest = max(deepest, level)
    return deepest


def number(text):
    return ("number", text)


def load(text, hook=None):
    return json.loads(text, parse_constant=constant, parse_int=number, parse_float=number,
                      object_pairs_hook=hook)


def expected(body):
    """(kind, members) as Python sees the body; members only for an object."""
    try:
        text = body.decode("utf-8")
        value = load(text, hook=lambda pairs: {"pairs": pairs})
    except (UnicodeDecodeError, json.JSONDecodeError):
        return 0, None
    except RecursionError:
        raise Different("depth") from None
    if depth(text) > 128:
        raise Different("depth")
    if isinstance(value, tuple):
        return 4, None
    if value is True or value is False or value is None:
        return {True: 5, False: 6, None: 7}[value], None
    return KINDS[type(value)], value["pairs"] if isinstance(value, dict) else None


def random_value(rng, level=0):
    pick = rng.randrange(9 if level < 4 else 7)
    if pick == 0:
        return rng.choice([True, False, None])
    if pick < 3:
        return rng.choice([0, -1, 255, 23.51, 1e300, -2.5e-7, 10**40, rng.randrange(10**6)])
    if pick < 7:
        chars = 'ab"\\/ \n\t\x01é€😀\ud83dx{}[],:_'
        return "".join(rng.choice(chars) for _ in range(rng.randrange(24)))
    if pick == 7:
        return [random_value(rng, level + 1) for _ in range(rng.randrange(4))]
    names = ["a", "b", "_id", "value", "é", "", 'q"', "\\", "long-name-of-some-length"]
    return {rng.choice(names): random_value(rng, level + 1) for _ in range(rng.randrange(5))}


def random_body(rng):
    if rng.randrange(4) == 0:
        return "".join(rng.choice(ATOMS) for _ in range(rng.randrange(12))).encode()
    if rng.randrange(40) == 0:
        levels = rng.choice([126, 127, 128, 129, 130, 400])
        return (b"[" * levels + b"]" * levels) if rng.randrange(2) else (
            b'{"a":' * levels + b"1" + b"}" * levels)
    separators = rng.choice([(",", ":"), (", ", ": "), (" ,\n", " :\t")])
    text = json.dumps(random_value(rng), ensure_ascii=rng.randrange(2) == 0, separators=separators)
    body = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice([0, 0, 1, 2])):
        pos = rng.randrange(len(body))
        if rng.randrange(2):
            body[pos] = rng.randrange(256)
        else:
            body[pos:pos] = rng.choice(ATOMS).encode()
    return bytes(body)


def answers(program, bodies):
    """What the program says of each body."""
    request = b"".join(struct.pack("<I", len(body)) + body for body in bodies)
    out = subprocess.run([program], input=request, stdout=subprocess.PIPE, check=True).stdout
    pos = 0

    def take_slice():
        nonlocal pos
        length = struct.unpack_from("<I", out, pos)[0]
        pos += 4
        if length == 0xFFFFFFFF:
            return None
        pos += length
        return out[pos - length:pos]

    for _ in bodies:
        kind, members = out[pos], None
        pos += 1
        if kind == 1:
            members = []
            while (name := take_slice()) is not None:
                members.append((name.decode("utf-8"), take_slice()))
        yield kind, members
    assert pos == len(out)


def same_members(pairs, members):
    """Whether names, order and values agree; a lone surrogate in a name is U+FFFD for us."""
    names = [re.sub("[\ud800-\udfff]", "\ufffd", name) for name, _ in pairs]
    if names != [name for name, _ in members]:
        return False
    hook = lambda inner: {"pairs": inner}
    return all(load(text.decode(), hook=hook) == value
               for (_, value), (_, text) in zip(pairs, members))


def main():
    rng = random.Random(2026)
    bodies = [random_body(rng) for _ in range(40000)]
    counts = {"valid": 0, "invalid": 0, **{why: 0 for why in DIFFERENCES}}
    for body, (kind, members) in zip(bodies, answers(sys.argv[1], bodies)):
        try:
            want, pairs = expected(body)
        except Different as difference:
            counts[str(difference)] += 1
            assert kind == 0, f"{difference}, but we accept: {body!r}"
            continue
        counts["valid" if kind else "invalid"] += 1
        assert kind == want, f"kind {kind}, Python says {want}: {body!r}"
        assert pairs is None or same_members(pairs, members), f"members: {body!r}"
    assert all(counts.values()), f"a kind of case was never met: {counts}"
    print(counts)


if __name__ == "__main__":
    main()
