# SPDX-License-Identifier: Apache-2.0
"""Every example of docs/scripts.md is run in a worker, and does what the page says below it; every
command and test on it is run too."""

import json
import os
import re
import subprocess

import pytest
from conftest import BUILD, ROOT, WYZE, until
from wyze import testing

PAGE = (ROOT / "docs/scripts.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.S | re.M)
DAY_MS = 1769990400000  # 2026-02-02, midnight

pytestmark = pytest.mark.skipif(not (BUILD / "src/worker/wyze-python").exists(),
                                reason="no worker was built")


def examples():
    """Each script with the transcript behind it."""
    found = [block for block in BLOCKS if block[0] not in ("sh", "py")]  # those are run below
    assert [language for language, _ in found] == ["python", ""] * (len(found) // 2)
    return [(code, said) for (_, code), (_, said) in zip(found[::2], found[1::2])]


class Play:
    """Runs one script as a transcript says, and writes down what happens in the same words."""

    def __init__(self, code, config):
        self.script = testing.Script(code, config)
        self.said = []
        self.now_ms = DAY_MS

    def write(self, result):
        self.said += [f"log  {severity} {text}" for severity, text in result.logs]
        self.said += [f"out  {topic} {as_text(body)}" for topic, body in result.emitted]
        if result.ended is not None:
            self.said.append(f"ends {result.ended}")
        if result.error is not None:
            self.said.append(f"fails {result.error}")
        for key, value in result.changes.items():
            self.said.append(f"set  {key} {'-' if value is testing.UNSET else to_json(value)}")

    def record(self, line):
        clock, topic, members = re.fullmatch(r"(\d\d:\d\d:\d\d )?in   (\S+) (\{.*\})", line).groups()
        if clock:
            hours, minutes, seconds = map(int, clock.split(":"))
            self.now_ms = DAY_MS + 1000 * (3600 * hours + 60 * minutes + seconds)
        self.said.append(line)
        self.write(self.script.feed(topic, json.loads(members), self.now_ms / 1000))

    def run(self, lines):
        self.write(self.script.started)
        for line in lines:
            if " in   " in f" {line}":
                self.record(line)
            elif line == "stop":
                self.said.append(line)
                self.write(self.script.stop())


def to_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_text(body):
    return body if isinstance(body, str) else to_json(body)


@pytest.mark.parametrize("number", range(len(examples())))
def test_example_does_what_the_page_says(number):
    code, said = examples()[number]
    lines = said.splitlines()
    config = {}
    if lines[0].startswith("config "):
        config = json.loads(lines[0].removeprefix("config "))
    play = Play(code, config)
    play.said += lines[:1] if config else []
    with play.script:
        play.run(lines)
    assert play.said == lines


def test_commands_and_tests_of_the_page_work(wyze, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "alarm.py").write_text(examples()[0][0])
    [tests] = [text for language, text in BLOCKS if language == "py"]
    (folder / "test_alarm.py").write_text(tests)
    for wanted in "20", "250", "dark":
        if wanted == "250":  # a second version
            (folder / "alarm.py").write_text(examples()[0][0].replace("200", "199"))
        wyze.cli("script", "deploy", str(folder / "alarm.py"))
        wyze.cli("pub", "mesh/b5ea3f/42/M/status", wanted)
    until(lambda: wyze.cli("script", "quarantine", "ls", "alarm").stdout)
    env = {**wyze.env, "PATH": f"{WYZE.parent}:{os.environ['PATH']}"}
    lines = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    assert len(lines) > 15
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True,
                              text=True, timeout=60, check=False)
        failing = line.startswith("wyze script run") and "@100" not in line  # "dark" is no number
        assert done.returncode == (1 if failing else 0), f"{line}\n{done.stdout}\n{done.stderr}"
        if line.startswith("wyze script test ."):
            assert "3 passed" in done.stdout
        if "--diff" in line:
            assert "+    if int(msg" in json.loads(done.stdout.splitlines()[1])["diff"]
        if "quarantine show" in line:
            assert "invalid literal" in json.loads(done.stdout)["traceback"]
        if "quarantine retry" in line:  # it fails once more
            until(lambda: wyze.cli("script", "quarantine", "ls", "alarm").stdout)


def test_numbers_of_the_page_are_those_of_the_code():
    for header, name, shown in (
        ("worker/context.h", "WZ_CONTEXT_EMIT_MAX", "outputs | 10,000"),
        ("worker/context.h", "WZ_CONTEXT_REMARK_MAX_BYTES", "a remark | 1,000 bytes"),
        ("wire/frames.h", "WZ_FRAME_LOG_MAX", "a log line | 8,192 bytes"),
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
    assert "{datadir}/wyze/python/wyze/testing.py" in places
