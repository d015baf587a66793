# SPDX-License-Identifier: Apache-2.0
"""Every example of docs/scripts.md is run in a worker, and does what the page says below it."""

import json
import re
import subprocess

import pytest
import worker as wire
from conftest import BUILD, ROOT
from worker import Worker

PAGE = (ROOT / "docs/scripts.md").read_text()
DAY_MS = 1769990400000  # 2026-02-02, midnight
SEVERITIES = ("debug", "info", "warning", "error")

pytestmark = pytest.mark.skipif(not (BUILD / "src/worker/wyze-python").exists(),
                                reason="no worker was built")


def examples():
    """Each script with the transcript behind it."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.S | re.M)
    assert [language for language, _ in found] == ["python", ""] * (len(found) // 2)
    return [(code, said) for (_, code), (_, said) in zip(found[::2], found[1::2])]


def topic_matches(pattern, topic):
    parts = [{"*": "[^.]+", "#": ".*"}.get(word, re.escape(word)) for word in pattern.split(".")]
    return re.fullmatch(r"\.".join(parts), topic) is not None


class Play:
    """Runs one script as a transcript says, and writes down what happens in the same words."""

    def __init__(self, worker):
        self.worker = worker
        self.records = []  # (append_ms, topic, the record in a BATCH)
        self.said = []
        self.now_ms = DAY_MS

    def look_back(self, payload):
        parts = wire.Parts(payload)
        _, before, since, until, limit = parts.get("BqqqI")
        pattern = parts.left.decode()
        found = [packed for at, topic, packed in self.records[:before]
                 if at >= since and (until == 0 or at < until) and topic_matches(pattern, topic)]
        self.worker.send_found(found[-limit:])

    def log(self, payload):
        parts = wire.Parts(payload)
        _, severity, _, _ = parts.get("BBBq")
        self.said.append(f"log  {SEVERITIES[severity]} {parts.left.decode()}")

    def item(self, kind, item):
        if kind == wire.EMIT:
            topic, body, _ = wire.output(item)
            self.said.append(f"out  {topic} {body.decode()}")
        elif kind == wire.TERMINATE:
            self.said.append(f"ends {item.decode()}")
        elif kind == wire.TRACE:
            self.said.append(f"fails {item.decode().strip().splitlines()[-1]}")

    def until(self, kind):
        """Writes down all that happens up to a frame of KIND, which has results."""
        while True:
            got, payload = self.worker.next()
            if got == wire.QUERY:
                self.look_back(payload)
            elif got == wire.LOG:
                self.log(payload)
            else:
                assert got == kind, payload
                break
        [(_, _, _, items)], changes = wire.results(payload)
        for item in items:
            self.item(*item)
        for (_, key), value in changes.items():
            self.said.append(f"set  {key} {'-' if value is None else value}")

    def record(self, line):
        clock, topic, members = re.fullmatch(r"(\d\d:\d\d:\d\d )?in   (\S+) (\{.*\})", line).groups()
        if clock:
            hours, minutes, seconds = map(int, clock.split(":"))
            self.now_ms = DAY_MS + 1000 * (3600 * hours + 60 * minutes + seconds)
        offset = len(self.records)
        stamps = f'{{"_id":"0","_timestamp":{self.now_ms},"_topic":{json.dumps(topic)},'
        packed = wire.record(offset, topic, stamps + members[1:], self.now_ms, opens=True)
        self.records.append((self.now_ms, topic, packed))
        self.said.append(line)
        self.worker.send_list(wire.BATCH, [packed])
        self.until(wire.RESULT)

    def run(self, code, lines):
        config = "{}"
        if lines[0].startswith("config "):
            self.said.append(lines[0])
            config = lines[0].removeprefix("config ")
        self.worker.load(code, config)
        assert self.worker.next() == (wire.READY, b"")
        self.worker.send(wire.START)
        self.until(wire.STARTED)
        for line in lines:
            if " in   " in f" {line}":
                self.record(line)
            elif line == "stop":
                self.said.append(line)
                self.worker.send(wire.DRAIN)
                self.until(wire.DRAINED)


@pytest.mark.parametrize("number", range(len(examples())))
def test_example_does_what_the_page_says(number):
    code, said = examples()[number]
    with Worker() as worker:
        play = Play(worker)
        play.run(code, said.splitlines())
    assert "\n".join(play.said) == said.rstrip("\n")


def test_numbers_of_the_page_are_those_of_the_code():
    for header, name, shown in (
        ("worker/context.h", "WZ_CONTEXT_EMIT_MAX", "outputs | 10,000"),
        ("worker/context.h", "WZ_CONTEXT_REMARK_MAX_BYTES", "a remark | 1,000 bytes"),
        ("worker/context.h", "WZ_CONTEXT_LOG_MAX_BYTES", "a log line | 8,192 bytes"),
        ("worker/context.h", "WZ_CONTEXT_HOPS_MAX", "output of an output of an output ... | 16 "),
        ("worker/lookback.h", "WZ_LOOKBACK_LIMIT_MAX", "records of a look back | 10,000"),
        ("wire/frames.h", "WZ_STATE_KEY_MAX", "a key, a value of the state | 1,024 bytes"),
    ):
        text = (ROOT / "src" / header).read_text()
        [value] = re.findall(rf"#define {name} (\d+)$", text, re.M)
        assert shown in PAGE and f"{int(value):,}" in shown, name
    script = (ROOT / "src/engine/script.h").read_text()
    assert "#define WZ_SCRIPT_ATTEMPTS 4" in script and "tried again, three times" in PAGE


def test_stub_is_installed_where_the_page_says():
    assert "`share/wyze/python/wyze.pyi`" in PAGE
    plan = json.loads(subprocess.run(["meson", "introspect", "--install-plan", str(BUILD)],
                                     capture_output=True, text=True, check=True).stdout)
    places = [entry["destination"] for kind in plan.values() for entry in kind.values()]
    assert "{datadir}/wyze/python/wyze.pyi" in places
