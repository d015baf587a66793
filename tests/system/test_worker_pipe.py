# SPDX-License-Identifier: Apache-2.0
"""Scripts that write to their worker's pipe themselves: what they say must not count for more than what
the worker may say, and must not pile up in wyze."""

import pathlib
import time

import pytest

from conftest import SANITIZED, until
from sandbox import Traffic, make_target

# Takes the protocol over (docs/formats/worker.md). `answer` gives the bytes for a record.
PEER = r"""
import os, struct, time

def frame(kind, payload=b''):
    return struct.pack('>IB', len(payload), kind) + payload

def write(data):
    data = memoryview(data)
    while len(data):
        data = data[os.write(3, data):]

def read(count):
    data = b''
    while len(data) < count:
        data += os.read(3, count - len(data)) or os._exit(0)
    return data

def output(topic, body):
    return struct.pack('>BIBBB', 1, 3 + len(topic) + len(body), 0, 1, len(topic)) + topic + body

def result(record, items=b'', count=0, status=0):
    return struct.pack('>BBIqII', record[0], status, 0, record[1], count, len(items)) + items

def results(*each, kind=68):
    return frame(kind, struct.pack('>I', len(each)) + b''.join(each) + bytes(4))

def log(text):
    return frame(69, struct.pack('>BBBq', 2, 1, 0, -1) + text)

def query(pattern):
    return frame(71, struct.pack('>BqqqI', 0, 1 << 62, 0, 0, 10000) + pattern)

NONE = 0, -1

def records(batch):
    at = 4
    for _ in range(int.from_bytes(batch[:4])):
        stream, topic, body, offset = struct.unpack_from('>B3xHIq', batch, at)
        yield stream, offset
        at += 26 + topic + body

def serve(answer):
    write(frame(65))
    while True:
        length, kind = struct.unpack('>IB', read(5))
        payload = read(length)
        if kind == 2:
            write(results(result(NONE), kind=67))
        elif kind == 3:
            for record in records(payload):
                write(answer(record))
        elif kind == 4:
            write(results(result(NONE), kind=70))
            os._exit(0)

def handle_input(msg, context):
    pass
"""

LAWLESS = "3 workers died at it; the last one killed, it broke the protocol"


@pytest.fixture(scope="module")
def target():
    made = make_target()  # patient: nothing is ended for its time
    yield made
    made.stop()


def most_memory(target):
    """The most that wyze has had in memory, in MiB."""
    lines = pathlib.Path(f"/proc/{target.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10


def gives_up(target, name, answer, seconds=60):
    """Runs a peer with that answer on one message until it is in quarantine; says why it is there."""
    target.run(name, PEER + f"serve({answer})\n")
    target.tell(name, {})
    until(lambda: target.live(name).get("quarantined") == 1, seconds, "its message is not given up")
    [message] = target.request("GET", f"/scripts/{name}/quarantine")["items"]
    target.remove(name)
    return message["reason"]


def test_a_peer_that_keeps_to_the_protocol_is_a_script(target):
    target.run("lawful", PEER + """serve(lambda record: log(b'y' * 8192) + results(
        result(record, output(b'outcome.lawful', b'{"value":1}'), 1)))\n""")
    assert target.outcome("lawful")["value"] == 1
    assert target.live("lawful")["restarts"] == 0
    target.remove("lawful")


NOT_ALLOWED = {
    "stop says something while it runs": "results(result(NONE, output(b'o', b'1'), 1), kind=70)",
    "nothing is answered": "results()",
    "a line is too long": "log(b'x' * 8193)",
    "too many outputs": "results(result(record, output(b'o', b'') * 20001, 20001))",
}


@pytest.mark.parametrize("what", NOT_ALLOWED)
def test_what_the_worker_may_not_say_ends_it(target, what):
    outputs = len(target.wyze.records("processed-stream", "o"))
    reason = gives_up(target, what.replace(" ", "-"),
                      f"lambda record: {NOT_ALLOWED[what]} + results(result(record))")
    assert reason == LAWLESS
    assert len(target.wyze.records("processed-stream", "o")) == outputs


def test_answers_that_are_not_read_do_not_pile_up(target):
    for _ in range(20):
        target.request("POST", "/publish", {"exchange": "ingress", "topic": "large", "body": "x" * 1000000})
    before = most_memory(target)
    with Traffic(target):  # it asks slowly: an answer, of 16 MiB, takes a while to be found
        reason = gives_up(target, "asking", "lambda record: [(write(query(b'large')), time.sleep(0.08))"
                          " for _ in range(20)]")
    assert reason == LAWLESS
    assert most_memory(target) - before < (400 if SANITIZED else 120)


def test_a_frame_full_of_changes_holds_nobody_up(target):
    target.run("changing", PEER + r"""
CHANGES = struct.pack('>BHI', 64, 1, 1) + b'k1'
def change(record):
    return frame(68, struct.pack('>I', 1) + result(record) + struct.pack('>I', 4000000) + CHANGES * 4000000)
serve(change)
""")
    with Traffic(target):
        target.tell("changing", {})
        until(lambda: target.live("changing").get("state_keys"), 240, "nothing is changed")
        until(lambda: target.live("changing")["restarts"] or target.live("changing")["in"], 240)
    target.remove("changing")


@pytest.mark.parametrize("key,value", [(b"k", b"{{{"), (b"k", b""), (b"\xff", b"1")])
def test_state_that_no_worker_could_read_ends_the_worker(target, key, value):
    """The script is not lost: with better code it goes on with the state it had."""
    target.run("poison", "def handle_input(msg, context):\n    context.set_state('k', 7)\n"
               "    context.emit('outcome.poison', 'set')\n")
    target.outcome("poison")
    before = len(target.wyze.records("processed-stream", "outcome.poison"))
    target.run("poison", PEER + f"""
CHANGE = struct.pack('>BHI', 64, {len(key)}, {len(value)}) + {key + value!r}
serve(lambda record: frame(68, struct.pack('>I', 1) + result(record) + struct.pack('>I', 1) + CHANGE))
""")
    target.tell("poison", {})
    until(lambda: target.live("poison")["quarantined"], 60, "it is believed")
    target.run("poison", "def handle_input(msg, context):\n"
               "    context.emit('outcome.poison', context.get_state('k'))\n")
    target.tell("poison", {})
    outcomes = until(lambda: target.wyze.records("processed-stream", "outcome.poison")[before:], 30,
                     "the state cannot be read")
    assert str(outcomes[0]["body"]["value"]) == "7"
    target.remove("poison")


# Ten that it holds fail, in one frame: of hundreds it would be more than the journal takes at a time. What
# comes while it is busy comes in one frame.
FAILING = PEER + r"""
TRACE = struct.pack('>BI', 2, 62000) + b't' * 62000
write(frame(65))
while True:
    length, kind = struct.unpack('>IB', read(5))
    payload = read(length)
    held = list(records(payload)) if kind == 3 else []
    if kind == 2:
        write(results(result(NONE), kind=67))
    elif len(held) >= 10:
        write(results(*[result(each, TRACE, 1, 2) for each in held]))
    elif held:
        time.sleep(3)
        write(results(*[result(each) for each in held]))
"""


def test_failures_of_one_frame_are_no_more_than_the_journal_takes(target):
    target.run("failing", FAILING, topic="fail.#")
    for number in range(64):
        target.request("POST", "/publish",
                       {"exchange": "ingress", "topic": f"fail.{number}", "body": 1})

    def is_ended():
        assert not target.live("failing")["quarantined"], "it is believed"
        return "it broke the protocol" in str(target.wyze.records("script-log", "failing"))
    until(is_ended, 60, "it is not ended")
    target.remove("failing")


@pytest.mark.skipif(SANITIZED, reason="freed memory is kept, so its bound says nothing")
def test_frames_that_are_held_back_in_part_take_turns(target):
    """Each of 12 workers sends all of a frame of 30 MB but its last byte, then a script with a large frame of its
    own has to get its turn when they have been ended."""
    before = most_memory(target)
    target.run("hoarder", PEER + r"""
LONG = 30_000_000
def hoard(record):
    write(struct.pack('>IB', LONG, 68) + bytes(LONG - 1))
    time.sleep(1000)
serve(hoard)
""", topic="hoard.#", workers=12)
    with Traffic(target):
        for number in range(60):
            target.request("POST", "/publish",
                           {"exchange": "ingress", "topic": f"hoard.{number}", "body": 1})
        time.sleep(3)
    target.remove("hoarder")
    assert most_memory(target) - before < 160
    target.run("large", "def handle_input(msg, context):\n    for n in range(8):\n"
               "        context.emit('outcome.large', {'x': 'y' * 900000})\n")
    assert len(target.outcome("large")["x"]) == 900000
    target.remove("large")


LONG = "'x' * 30_000_000"


INVALID = {
    "said": f"raise ValueError({LONG})",
    "written": PEER + f"text = ({LONG}).encode()\n"
               "write(frame(66, struct.pack('>III', 1, 1, len(text) // 2) + text))\nos._exit(0)",
}


@pytest.mark.parametrize("name", INVALID)
def test_what_is_wrong_with_a_script_is_said_shortly(target, name):
    target.put(name, INVALID[name])
    live = target.wait_status(name, "invalid")
    assert 60000 < len(live["remark"]) <= 65536 and 60000 < len(live["traceback"]) <= 65536
    target.remove(name)
