# SPDX-License-Identifier: Apache-2.0
"""Trying a script before it runs: over recorded messages, beside one that runs, and in tests of its
own."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
from conftest import BUILD, WYZE, until
from wyze import testing

pytestmark = pytest.mark.skipif(not (BUILD / "src/worker/wyze-python").exists(),
                                reason="no worker was built")

DOUBLE = """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    context.log("got " + msg["value"])
    context.set_state("n", context.get_state("n", 0) + 1)
    return "house.twice", {"value": 2 * int(msg["value"]), "n": context.get_state("n")}
"""


def write(wyze, code, name="twice.py"):
    path = wyze.data.parent / name
    path.write_text(code)
    return str(path)


def feed(wyze, *values):
    for value in values:
        wyze.cli("pub", "mesh/b5ea3f/42/M/status", str(value))


def run(wyze, path, *flags):
    """The exit code, what was printed as objects by their kind, and the summary."""
    done = wyze.cli("script", "run", path, *flags, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {}
    for line in lines:
        kinds.setdefault(line["kind"], []).append(line)
    return done.returncode, kinds, json.loads(done.stderr.splitlines()[-1])


def outputs(kinds):
    return [line["body"] for line in kinds.get("output", [])]


def test_run_shows_what_a_script_would_do_and_does_nothing(wyze):
    path = write(wyze, DOUBLE)
    feed(wyze, 1, 2, "x", 3)
    code, kinds, summary = run(wyze, path, "--from", "first")
    assert code == 1
    assert outputs(kinds) == [{"value": 2, "n": 1}, {"value": 4, "n": 2}, {"value": 6, "n": 3}]
    assert [line["offset"] for line in kinds["output"]] == [0, 1, 3]
    assert [line["message"] for line in kinds["log"]] == ["got 1", "got 2", "got x", "got 3"]
    [error] = kinds["error"]
    assert error["offset"] == 2 and error["body"]["value"] == "x"
    assert error["topic"] == "bedroom.light.brightness"
    assert 'int(msg["value"])' in error["traceback"] and "ValueError" in error["traceback"]
    assert (summary["inputs"], summary["outputs"], summary["errors"]) == (4, 3, 1)
    assert summary["state_keys"] == 1
    assert 0 < summary["p50_us"] <= summary["p99_us"] <= summary["max_us"]
    assert wyze.records("processed-stream") == []
    assert wyze.cli("script", "ls").stdout == ""


def test_run_shows_people_the_same(wyze):
    path = write(wyze, DOUBLE)
    feed(wyze, 1, "x")
    done = wyze.cli("script", "run", path, "--output", "table", check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == ["@0 log   info got 1", '@0 out   house.twice {"value":2,"n":1}']
    assert lines[3].startswith('@1 fails bedroom.light.brightness {"_id":"')
    assert lines[4] == "    Traceback (most recent call last):"
    assert lines[-1].lstrip().startswith("ValueError: invalid literal")
    assert done.stderr.startswith("2 inputs, 1 output, 1 error; 1 key in the state\ntime per input: mean ")


def test_run_needs_no_server(wyze):
    path = write(wyze, DOUBLE)
    feed(wyze, 5)
    deployed = write(wyze, DOUBLE.replace("2 *", "3 *"), "alarm.py")
    wyze.cli("script", "deploy", deployed)
    feed(wyze, 6)
    until(lambda: wyze.records("processed-stream", "house.twice"))
    wyze.stop()
    code, kinds, _ = run(wyze, path)
    assert code == 0 and outputs(kinds) == [{"value": 10, "n": 1}, {"value": 12, "n": 2}]
    back = write(wyze, "def handle_input(msg, context):\n"
                       "    return 'back', len(context.lookback('#', until=context.now() + 1))\n", "back.py")
    assert outputs(run(wyze, back, "--on", "bedroom.#")[1]) == [0, 1]
    code, kinds, summary = run(wyze, path, "--compare", "alarm")
    assert code == 1 and (summary["changed"], summary["new"]) == (1, 1)


def test_run_keeps_state_by_lane_when_asked(wyze):
    path = write(wyze, "# wyze: on raw:#\n" + COUNT)
    for topic in "a.a", "b.b", "a.a":
        wyze.cli("pub", topic, "x")
    assert outputs(run(wyze, path)[1]) == [1, 2, 3]
    assert outputs(run(wyze, path, "--lanes")[1]) == [1, 1, 2]
    assert run(wyze, path, "--lanes")[2]["state_keys"] == 2


def test_run_takes_the_range_the_patterns_and_the_config_that_are_asked_for(wyze):
    path = write(wyze, """# wyze: on raw:nothing.# processed:house.#
def handle_input(msg, context):
    return "seen", {"value": msg["value"], "config": context.config, "now": context.now()}
""")
    feed(wyze, 0, 1, 2, 3)
    wyze.cli("pub", "house.fan.output", "on")
    config = write(wyze, '{"limit": 3}', "config.json")
    code, kinds, summary = run(wyze, path, "--on", "*.light.*", "--from", "@1", "--to", "@3",
                               "--script-config", config)
    assert code == 0 and summary["inputs"] == 2
    records = wyze.records()
    assert [body["value"] for body in outputs(kinds)] == ["1", "2"]
    assert outputs(kinds)[0]["config"] == {"limit": 3}
    assert abs(outputs(kinds)[0]["now"] * 1000 - records[1]["body"]["_timestamp"]) < 1000
    assert run(wyze, path)[2]["inputs"] == 0
    code, kinds, _ = run(wyze, path, "--stream", "processed")
    assert [body["value"] for body in outputs(kinds)] == ["on"]
    assert run(wyze, path, "--on", "a", "--on", "bedroom.#")[2]["inputs"] == 4


def test_run_answers_looks_back_from_the_stream(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
def init(context):
    context.emit("before", len(context.lookback("#")))
def handle_input(msg, context):
    back = context.lookback("bedroom.#", since="1h", limit=3)
    return "back", {"values": [m["value"] for m in back],
                    "last": (context.last(msg["_topic"]) or {}).get("value"),
                    "until": len(context.lookback("#", until=context.now() - 3000))}
""")
    feed(wyze, 0, 1, 2, 3, 4)
    _, kinds, _ = run(wyze, path, "--from", "@1")
    assert outputs(kinds) == [
        1,
        {"values": ["0"], "last": "0", "until": 0},
        {"values": ["0", "1"], "last": "1", "until": 0},
        {"values": ["0", "1", "2"], "last": "2", "until": 0},
        {"values": ["1", "2", "3"], "last": "3", "until": 0},
    ]


def test_run_reads_more_than_a_page_in_order(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    return "n", int(msg["value"])
""")
    client = wyze.client()
    for number in range(1700):
        client.publish("mesh/b5ea3f/42/M/status", str(number), wait=False)
    client.publish("mesh/b5ea3f/42/M/status", "1700")
    client.close()
    code, kinds, summary = run(wyze, path)
    assert code == 0 and summary["inputs"] == 1701
    assert outputs(kinds) == list(range(1701))


def test_run_goes_on_when_the_process_dies_and_says_when_the_script_ends(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
import os
def handle_input(msg, context):
    context.set_state("n", context.get_state("n", 0) + 1)
    if msg["value"] == "die": os._exit(3)
    if msg["value"] == "end": context.terminate("enough")
    return "n", context.get_state("n")
def stop(context):
    context.emit("stopped", context.get_state("n"))
""")
    feed(wyze, 1, "die", 1, "end", 1)
    code, kinds, summary = run(wyze, path)
    assert code == 1 and outputs(kinds) == [1, 2, 3, 3]
    assert kinds["error"][0]["traceback"] == "The process exited with code 3."
    assert kinds["end"][0]["remark"] == "enough"
    assert summary["inputs"] == 4


def test_run_says_why_a_script_may_not_run(wyze):
    bad = write(wyze, "# wyze: on raw:#\ndef handle_input(msg, context):\n    return (\n")
    done = wyze.cli("script", "run", bad, check=False)
    assert done.returncode == 3 and f"{bad}:3" in done.stderr
    silent = write(wyze, "def handle_input(msg, context): pass\n")
    done = wyze.cli("script", "run", silent, check=False)
    assert done.returncode == 3 and "--on PATTERN" in done.stderr
    for flags in ("--stream", "x"), ("--on", "a.#b"), ("--from", "yesterday"), ("--script-config", bad):
        assert wyze.cli("script", "run", write(wyze, DOUBLE), *flags, check=False).returncode == 3


def test_interrupted_run_prints_its_summary(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
import time
def handle_input(msg, context):
    if msg["value"] == "wait": time.sleep(60)
    return "n", msg["value"]
""")
    feed(wyze, 1, 2, "wait", 3)
    process = subprocess.Popen([WYZE, "script", "run", path], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=wyze.env)
    try:
        read = [process.stdout.readline() for _ in range(2)]  # then it waits
        assert [json.loads(line)["body"] for line in read] == ["1", "2"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert out == "" and process.returncode == 0
    assert json.loads(err)["inputs"] == 2


def test_run_prints_what_a_script_says_before_it_fails_to_begin(wyze):
    path = write(wyze, "# wyze: on raw:#\nprint('top')\ndef handle_input(msg, context): pass\n"
                       "def init(context):\n    print('init')\n    1 / 0\n")
    done = wyze.cli("script", "run", path, check=False)
    assert done.returncode == 3 and "ZeroDivisionError" in done.stderr
    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == ["top", "init"]


def test_run_reads_messages_too_large_for_a_page_and_looks_back_at_them(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    back = context.lookback("#", limit=10000) if msg["_topic"] == "bedroom.last" else []
    return "n", {"size": len(msg["value"]), "back": [len(m["value"]) for m in back]}
""")
    client = wyze.client()
    for number in range(500):
        client.publish("mesh/b5ea3f/42/M/status", "x" * (150000 + number), wait=number % 50 == 49)
    client.close()
    wyze.cli("pub", "bedroom.last", "x")
    code, kinds, summary = run(wyze, path)
    assert code == 0 and summary["inputs"] == 501
    sizes = [body["size"] for body in outputs(kinds)]
    assert sizes == [*range(150000, 150500), 1]
    back = outputs(kinds)[-1]["back"]  # what fits, the newest
    assert 100 < len(back) < 500 and back == [*range(150500 - len(back), 150500)]


def test_run_survives_a_restart_of_the_server(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
import time
def init(context):
    time.sleep(6)
def handle_input(msg, context):
    return "n", msg["value"]
""")
    feed(wyze, 1, 2)
    process = subprocess.Popen([WYZE, "script", "run", path], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=wyze.env)
    try:
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(children.read_text, what="no worker was started")  # it has asked by then
        wyze.kill()
        wyze.start()
        out, err = process.communicate(timeout=40)
    finally:
        process.kill()
    assert [json.loads(line)["body"] for line in out.splitlines()] == ["1", "2"], err


def test_compare_lines_up_with_what_the_deployed_script_emitted(wyze):
    path = write(wyze, """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    value = int(msg["value"])
    context.log("seen")
    if value == 1: context.emit("fleeting", 1, persistent=False)
    if value == 1: return "text", " one "
    if value == 2: return "bytes", b"\\xff\\x00"
    if value == 3: return "number", 3.5
    if value == 4: return "object", {"a": [1, {"b": None}]}
    if value == 5: return "only.before", 1
    if value == 6: return "other", {"value": 1}
    if value == 8: return iter([("a", 1), ("b", 2)])
""", "alarm.py")
    wyze.cli("script", "deploy", path)
    feed(wyze, 1, 2, 3, 4, 5, 6, 7, 8)
    until(lambda: len(wyze.records("processed-stream", "b")) == 1)
    code, kinds, summary = run(wyze, path, "--compare", "alarm")
    assert code == 0 and set(kinds) == {"log"}
    assert [summary[word] for word in ("same", "changed", "new", "missing")] == [8, 0, 0, 0]

    code = pathlib.Path(path).read_text()
    for old, new in (('return "only.before", 1', "pass"), ('{"value": 1}', '{"value": 2}'),
                     ("if value == 8: return iter", 'if value == 7: return "fresh", 7'),
                     ('([("a", 1), ("b", 2)])', "\n    if value == 8: raise KeyError(8)")):
        assert old in code
        code = code.replace(old, new)
    changed = write(wyze, code, "changed.py")
    code, kinds, summary = run(wyze, changed, "--compare", "alarm")
    assert code == 1
    assert [summary[word] for word in ("same", "changed", "new", "missing")] == [4, 1, 1, 2]
    [differs] = kinds["changed"]
    assert differs["body"]["value"] == "6"
    assert differs["deployed"] == [{"topic": "other", "body": {"value": 1}}]
    assert differs["outputs"] == [{"topic": "other", "body": {"value": 2}}]
    assert kinds["new"][0]["outputs"] == [{"topic": "fresh", "body": {"value": "7"}}]
    assert [line["body"]["value"] for line in kinds["missing"]] == ["5", "8"]
    assert [line["offset"] for line in kinds["error"]] == [7]
    shown = wyze.cli("script", "run", changed, "--compare", "alarm", "--output", "table", check=False)
    assert '    - other {"value":1}\n    + other {"value":2}\n' in shown.stdout
    assert shown.stderr.endswith("compared with alarm: 4 same, 1 changed, 1 new, 2 missing\n")


def test_compare_leaves_out_what_a_removed_script_of_the_name_emitted(wyze):
    path = write(wyze, DOUBLE, "alarm.py")
    wyze.cli("script", "deploy", path)
    feed(wyze, 1, 2)
    until(lambda: len(wyze.records("processed-stream", "house.twice")) == 2)
    wyze.cli("script", "rm", "alarm")
    wyze.cli("script", "deploy", path, "--from", "first")
    until(lambda: len(wyze.records("processed-stream", "house.twice")) == 4)
    code, _, summary = run(wyze, path, "--compare", "alarm")
    assert code == 0 and (summary["same"], summary["changed"]) == (2, 0)


def test_compare_with_a_script_that_there_never_was_is_not_found(wyze):
    path = write(wyze, DOUBLE, "alarm.py")
    for empty in True, False:
        done = wyze.cli("script", "run", path, "--compare", "nosuch", check=False)
        assert done.returncode == 4 and "nosuch" in done.stderr, empty
        feed(wyze, 1)
    wyze.cli("script", "deploy", write(wyze, "def handle_input(msg, context): pass\n", "mute.py"), "--on", "raw:#")
    code, _, summary = run(wyze, path, "--compare", "mute")
    assert code == 1 and summary["new"] == 2
    wyze.stop()
    assert run(wyze, path, "--compare", "mute")[2]["new"] == 2
    assert wyze.cli("script", "run", path, "--compare", "nosuch", check=False).returncode == 4


# Tests of scripts.

ALARM = """def handle_input(msg, context):
    if int(msg["value"]) > context.config.get("limit", 200):
        return "hall.light.brightness.output", {"value": 100}
"""

TEST_ALARM = '''from wyze.testing import Script

def test_bright(script):
    s = script("alarm.py")
    assert s.feed("a.b", "255").emitted == [("hall.light.brightness.output", {"value": 100})]

def test_limit():
    with Script(%r, config={"limit": 300}) as s:
        assert s.feed("a.b", "255").emitted == []

def test_wrong(script):
    assert script("alarm.py").feed("a.b", "x").error is None
'''


def run_tests(folder, *words, env=()):
    inherited = {name: value for name, value in os.environ.items()
                 if name not in ("WYZE_BUILD", "WZ_WORKER")}  # it finds the worker by itself
    return subprocess.run([WYZE, "script", "test", *words], capture_output=True, text=True,
                          cwd=folder, env={**inherited, **dict(env)}, timeout=60, check=False)


@pytest.fixture
def tests(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "alarm.py").write_text(ALARM)
    (folder / "test_alarm.py").write_text(TEST_ALARM % ALARM)
    return folder


def test_test_runs_pytest_over_scripts(tests, tmp_path):
    done = run_tests(tmp_path, "mine")
    assert done.returncode == 1 and "1 failed, 2 passed" in done.stdout, done.stdout
    assert "ValueError: invalid literal" in done.stdout
    done = run_tests(tests, "test_alarm.py", "--", "-k", "not wrong", "-v")
    assert done.returncode == 0 and "test_limit PASSED" in done.stdout
    assert run_tests(tests, ".", "--", "-k", "nothing").returncode == 4
    assert run_tests(tests, ".", "--", "--no-such-flag").returncode == 2


def test_test_says_which_package_is_missing(tests, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'pytest' else find(name, *a)\n")
    done = run_tests(tests, ".", env={"PYTHONPATH": str(hidden)})
    assert done.returncode == 1 and "python3-pytest" in done.stderr and done.stdout == ""


COUNT = """import os
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.log("before " + msg["value"])
    context.emit("n", n)
    if msg["value"] == "raise": raise ValueError("no")
    if msg["value"] == "die": os._exit(4)
    if msg["value"] == "gone": context.unset_state("n")
    if msg["value"] == "end": context.terminate("enough")
"""


def test_script_says_what_became_of_each_message():
    with testing.Script(COUNT) as s:
        result = s.feed("a", "x")
        assert result.emitted == [("n", 1)] and result.changes == {"n": 1}
        assert result.logs == [("info", "before x")] and result.error is None
        failed = s.feed("a", "raise")
        assert failed.error == "ValueError: no" and "line 7" in failed.traceback
        assert failed.emitted == [] and failed.logs == [("info", "before raise")]
        assert s.state == {"n": 1}
        assert s.feed("a", "x").emitted == [("n", 2)]
        assert s.feed("a", "gone").changes == {"n": testing.UNSET} and s.state == {}
        assert s.feed("a", "end").ended == "enough"
        assert "ended itself" in s.feed("a", "x").error
        assert s.emitted == [("n", 1), ("n", 2), ("n", 3), ("n", 1)]
        assert len(s.logs) == 5


def test_script_is_code_of_one_line_or_a_path(tmp_path):
    code = "def handle_input(msg, context): return 'one', msg['n']"
    path = tmp_path / "one def more.py"
    path.write_text(code)
    for script in (code, path):
        with testing.Script(script) as s:
            assert s.feed("a", {"n": 1}).emitted == [("one", 1)]
    with pytest.raises(FileNotFoundError):
        testing.Script("nowhere.py")


def test_script_that_crashed_goes_on_from_what_counted():
    with testing.Script(COUNT) as s:
        s.feed("a", "x")
        lost = s.send("a", "y")
        s.crash()
        assert lost.error == "the process was killed" and s.state == {"n": 1}
        with pytest.raises(testing.WorkerGone):
            s.feed("a", "z")
        assert s.resume() == [lost]
        assert lost.error is None and lost.emitted == [("n", 2)]
        assert s.feed("a", "die").error == "the process exited with code 4"
        assert [result.error for result in s.resume()] == ["the process exited with code 4"]
        assert s.resume(again=False) == []
        assert s.feed("a", "z").emitted == [("n", 3)]
        assert s.emitted == [("n", 1), ("n", 2), ("n", 3)]


def test_script_sees_history_time_and_bodies_as_wyze_gives_them():
    code = """def handle_input(msg, context):
    back = [repr(m["value"]) for m in context.lookback("a.#", since="10m")]
    return "seen", {"value": repr(msg["value"]), "back": back, "now": context.now(),
                    "last": repr(context.last("a.b")["value"])}
"""
    with testing.Script(code) as s:
        s.history("a.b", "early", 1000)
        s.history("a", "1", 1700)
        s.history("b", "other", 1800)
        [(_, body)] = s.feed("a.b", b"\xff", 2000.5).emitted
        assert body == {"value": repr(b"\xff"), "back": ["'1'"], "now": 2000.5, "last": "'early'"}
        assert s.feed("c", ' {"value": 1.5} ', 2001).emitted[0][1]["value"] == "1.5"
        assert s.feed("c", 7, 2001).emitted[0][1]["value"] == "'7'"
        assert s.feed("c", {"value": None, "_timestamp": 2002000}).emitted[0][1]["now"] == 2002
        with pytest.raises(ValueError, match="in order"):
            s.feed("c", "x", 1999)


def test_script_with_workers_keeps_state_by_lane():
    with testing.Script(COUNT, workers=3) as s:
        for topic in "a", "b", "c", "a":
            s.feed(topic, "x")
        assert [s.state_of(topic) for topic in "abc"] == [{"n": 2}, {"n": 1}, {"n": 1}]
        s.feed("a", "die")
        assert s.feed("b", "x").error is None
        s.resume(again=False)
        assert s.state_of("b") == {"n": 2} and s.feed("a", "x").emitted == [("n", 3)]


def test_script_that_may_not_run_says_why():
    with pytest.raises(testing.Invalid) as caught:
        testing.Script("x = 1\ndef handle_input(msg, context:\n")
    assert caught.value.line == 2 and "line 2" in str(caught.value)
    with pytest.raises(testing.Invalid, match="exited with code 5"):
        testing.Script("import os\nos._exit(5)\n")


@pytest.mark.parametrize("deed", ["pass", "print('on and on')"])
def test_script_that_takes_too_long_is_killed(deed):
    with testing.Script(f"def handle_input(msg, context):\n    while True: {deed}\n", timeout=3) as s:
        assert s.feed("a", "x").error == "no answer within 3 s"  # its start has them, too


def test_script_begins_with_state_and_stops():
    code = COUNT + "def init(context):\n    context.emit('began', context.config)\n" \
        "def stop(context):\n    context.emit('stopped', context.get_state('n'))\n"
    with testing.Script(code, config={"a": 1}, state={"n": 7, "big": "x" * 900000}) as s:
        assert s.started.emitted == [("began", {"a": 1})]
        assert s.feed("a", "x").emitted == [("n", 8)]
        assert s.stop().emitted == [("stopped", 8)]


def test_topics_match_and_fall_into_lanes_as_in_the_engine():
    for pattern, topic, fits in (("a.#", "a", True), ("#", "a.b", True), ("a.*", "a", False),
                                 ("#.b", "b", True), ("a.#.b.*", "a.x.y.b.c", True), ("a", "b", False)):
        assert testing.topic_matches(pattern, topic) == fits
    assert testing.lane_of("123456789") == 0xE3069283 % 64  # the check value of CRC-32C
