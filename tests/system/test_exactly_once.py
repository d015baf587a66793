# SPDX-License-Identifier: Apache-2.0
"""A script counts each message once in its state and once on processed-stream, whatever dies or fails:
its worker, wyze, the machine, the disk; while it is deployed anew, stopped, behind, or failing."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import urllib.request
from collections import defaultdict

import pytest
from conftest import Wyze, until
from disk import KEEP_JOURNAL, LOSE_ALL, Disk
from faults import preload_faults, set_faults
from ledger import mapping
from trial import TOPICS, Trial, make_seed

KILLS = int(os.environ.get("WZ_SOAK_KILLS", "3"))
CUTS = int(os.environ.get("WZ_SOAK_CUTS", "2"))
DEPLOYS = int(os.environ.get("WZ_SOAK_CALLS", "100"))
RATE = 1500

COUNTER = """
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.emit("count.out", {"n": n})
"""

# Each topic by itself: what scripts with several workers can do.
TOPIC_COUNTER = """
def handle_input(msg, context):
    n = context.get_state(msg["_topic"], 0) + 1
    context.set_state(msg["_topic"], n)
    context.emit("count.out", {"n": n, "of": msg["_topic"]})
"""


# Its steps are larger than a group of the journal. Says what it found of the step before.
LARGE = """
PARTS = [f"part{i}" for i in range(4)]
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    found = {context.get_state(part, "0 ").partition(" ")[0] for part in PARTS}
    for part in PARTS:
        context.set_state(part, f"{n} " + "x" * 800_000)
    context.set_state("n", n)
    context.emit("count.out", {"n": n, "found": sorted(found)})
"""


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path, 256 + CUTS)  # what a round leaves there takes less than 1 MB
    yield made
    made.unmount()


@pytest.fixture
def make_trial(make_wyze, tmp_path):
    trials = []

    def make(name, wyze=None, **options):
        trials.append(Trial(wyze or make_wyze(), tmp_path, make_seed(name), rate=RATE, **options))
        return trials[-1]

    yield make
    for trial in trials:
        trial.abandon()
        if trial.wyze.process and trial.wyze.process.poll() is None:
            trial.wyze.kill()


def deploy(wyze, code, name="count"):
    path = wyze.log_path.parent / f"{name}.py"
    path.write_text(code)
    wyze.cli("script", "deploy", str(path), "--on", "raw:#")


def put_document(wyze, name, code, **members):
    """Saves a script as it is, and waits for nothing."""
    body = {"code": code, "bindings": [{"stream": "raw", "pattern": "#"}], **members}
    request = urllib.request.Request(wyze.url(f"/api/v1/scripts/{name}"),
                                     json.dumps(body).encode(),
                                     {"Content-Type": "application/json"}, method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        pass


def script(wyze, name="count"):
    for line in wyze.cli("script", "ls", "--json").stdout.splitlines():
        row = json.loads(line)
        if row["name"] == name:
            return row
    return {"status": "none", "lag": -1}


def wait_status(wyze, status="running", name="count", seconds=60):
    until(lambda: script(wyze, name)["status"] == status, seconds,
          lambda: f"{name} is not {status}: {script(wyze, name)}")


def begin(trial, code=COUNTER, **members):
    """Starts wyze, then the script, then the load. Returns how many records were there before."""
    trial.wyze.start(*trial.flags)
    trial.put_mapping(mapping(TOPICS))
    if members:
        put_document(trial.wyze, "count", code, **members)
    else:
        deploy(trial.wyze, code)
    wait_status(trial.wyze)
    trial.before = len(trial.wyze.records())
    trial.ledger.start()
    trial.watcher.start()
    return trial


def wait_a_while(trial):
    """Lets a number of messages be acked that is mostly small: a thousand rounds are soon over, and
    some of them are long all the same."""
    trial.ledger.wait_acked(trial.rng.randrange(1, 2 ** trial.rng.randrange(4, 11)))


def crash_and_start(trial):
    """kill -9 of wyze, and often again while it starts; at last it runs. What the files hold is not
    looked at: that takes most of a round, and test_crash.py does it."""
    trial.wyze.kill()
    while trial.rng.random() < 0.3:
        trial.start(wait=False)
        try:
            trial.wyze.process.wait(trial.rng.random() * 0.15)
        except subprocess.TimeoutExpired:
            pass  # as it should be
        trial.wyze.kill()
    trial.start()


def causes_of(outputs):
    return [record["body"]["_parent"] for record in outputs]


def wait_outputs(wyze, count, seconds=120):
    """Waits until there are COUNT outputs, and returns them."""
    found = []

    def there():
        found[:] = wyze.records("processed-stream", pattern="count.out")
        return len(found) >= count

    until(there, seconds, "outputs are missing")
    return found


def check_once(trial, left_out=0):
    """Every record has one output, in order, with the right number and the right cause; but
    LEFT_OUT of them."""
    trial.ledger.drain()
    inputs = [record["body"]["_id"] for record in trial.wyze.records()][trial.before :]
    until(lambda: script(trial.wyze)["lag"] == 0, 240,
          lambda: f"it does not catch up: {script(trial.wyze)}")
    outputs = wait_outputs(trial.wyze, len(inputs) - left_out)
    assert [record["body"]["n"] for record in outputs] == list(range(1, len(outputs) + 1))
    causes = causes_of(outputs)
    assert len(set(causes)) == len(causes)
    assert set(causes) <= set(inputs)
    assert len(causes) == len(inputs) - left_out
    return len(inputs)


def check_once_by_topic(trial):
    """Every record has one output, and each topic's are numbered by themselves."""
    trial.ledger.drain()
    inputs = {r["body"]["_id"]: r["body"]["_topic"] for r in trial.wyze.records()[trial.before :]}
    numbers = defaultdict(list)
    outputs = wait_outputs(trial.wyze, len(inputs))
    for record in outputs:
        assert inputs[record["body"]["_parent"]] == record["body"]["of"]
        numbers[record["body"]["of"]].append(record["body"]["n"])
    assert sorted(causes_of(outputs)) == sorted(inputs)
    for topic, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), topic


def workers_of(wyze):
    """The ids of its worker processes; without those that have ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, _, rest = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if "(wyze-python" in name and int(parent) == wyze.process.pid and state != "Z":
            found.append(int(pid))
    return found


def test_wyze_is_killed(make_trial):
    trial = begin(make_trial("once"))
    for _ in range(KILLS):
        wait_a_while(trial)
        crash_and_start(trial)
    trial.ledger.wait_acked(300)
    check_once(trial)
    trial.finish()
    said = trial.wyze.cli("log", "verify").stdout
    for kind in ("scripts", "script positions", "state entries"):
        assert kind in said, said


def test_wyze_is_killed_with_several_workers(make_trial):
    trial = begin(make_trial("lanes"), TOPIC_COUNTER, workers=4)
    for turn in range(KILLS):
        wait_a_while(trial)
        crash_and_start(trial)
        if turn == 0:  # the lanes go to other workers
            put_document(trial.wyze, "count", TOPIC_COUNTER, workers=3)
    trial.ledger.wait_acked(300)
    check_once_by_topic(trial)


def test_workers_are_killed(make_trial):
    """At any moment, also while they start. A record at which three die is in quarantine, and counts
    when it is given again."""
    trial = begin(make_trial("worker"))
    killed = 0
    for turn in range(2 * KILLS):
        wait_a_while(trial)
        for pid in until(lambda: workers_of(trial.wyze), 30, "no other worker starts"):
            with contextlib.suppress(ProcessLookupError):  # another document came just then
                os.kill(pid, signal.SIGKILL)
                killed += 1
        if turn % 2:  # another document: its worker starts without a pause
            put_document(trial.wyze, "count", f"# {turn}\n{COUNTER}")
    assert killed >= KILLS
    trial.ledger.drain()
    wait_status(trial.wyze)
    until(lambda: script(trial.wyze)["lag"] == 0, 240, "it does not catch up")
    if script(trial.wyze)["quarantined"] > 0:
        trial.wyze.cli("script", "quarantine", "retry", "count")
    check_once(trial)
    assert script(trial.wyze)["restarts"] > 0


def test_the_power_is_cut(disk, make_trial, tmp_path):
    wyze = Wyze(disk.path / "wyze")
    wyze.log_path = tmp_path / "wyze.log"  # not on the disk that fails
    trial = begin(make_trial("cut", wyze=wyze))
    for turn in range(CUTS):
        wait_a_while(trial)
        disk.cut_power([LOSE_ALL, KEEP_JOURNAL][turn % 2])
        wyze.kill()
        disk.unmount()
        disk.mount()
        trial.start()
    trial.ledger.wait_acked(300)
    check_once(trial)


@pytest.mark.parametrize("rule", [
    "pwritev:EIO:path=journal",
    "write|pwrite|pwritev|fallocate|create:ENOSPC:path=journal",
    "fdatasync:EIO:path=processed-stream",
    "write|pwrite|pwritev|fallocate|create:ENOSPC:path=processed-stream",
])
def test_the_disk_fails_in_the_middle_of_steps(make_trial, rule):
    trial = begin(make_trial("disk", faults=True))
    for kill in (False, True):
        trial.ledger.wait_acked(300)
        trial.set_faults(rule)
        trial.wait_hit(count=2)
        if kill:
            trial.crash()
        trial.set_faults()
        if kill:
            trial.start()
        trial.wait_ready(200)
    trial.ledger.wait_acked(300)
    check_once(trial)


def publish_one(wyze):
    """Publishes a message by the API; wyze may die before it answers."""
    body = json.dumps({"exchange": "ingress", "topic": "large.one", "body": 1}).encode()
    with contextlib.suppress(OSError, http.client.HTTPException):
        urllib.request.urlopen(wyze.url("/api/v1/publish"), body, timeout=20).close()


def break_off(wyze, control, way, number):
    """Lets the disk be full, or wyze die, at the journal's write of that NUMBER from now on. A step is
    some eight of them; when it was fewer, there is another one."""
    hits = control.with_name(f"{control.name}.hits")
    before = hits.read_text() if hits.exists() else ""
    set_faults(control, f"pwritev:{way}:n={number}:path=journal")
    while not hits.exists() or hits.read_text() == before:
        count = len(wyze.records("processed-stream"))
        publish_one(wyze)
        with contextlib.suppress(OSError, http.client.HTTPException):  # it may be dead by now
            until(lambda: hits.exists() and hits.read_text() != before
                  or len(wyze.records("processed-stream")) > count)
    if way != "ENOSPC":
        wyze.process.wait(30)
    set_faults(control)
    if way != "ENOSPC":
        wyze.start()


def test_a_large_step_breaks_off_in_the_middle(make_wyze, tmp_path):
    """The disk is full, or wyze dies, at each write of a step that is several groups: it counts whole
    or not at all."""
    wyze = make_wyze()
    control = tmp_path / "faults"
    preload_faults(wyze, control)
    wyze.start()
    deploy(wyze, LARGE)
    wait_status(wyze)
    for number in range(2, 10):
        break_off(wyze, control, ["after", "torn", "kill", "ENOSPC"][number % 4], number)
        count = len(wyze.records())
        outputs = wait_outputs(wyze, count)
        assert [r["body"]["n"] for r in outputs] == list(range(1, count + 1))
        until(lambda: script(wyze)["lag"] == 0)
    assert all(r["body"]["found"] == [str(r["body"]["n"] - 1)] for r in outputs)


def test_it_is_deployed_and_stopped_under_load(make_trial):
    trial = begin(make_trial("deploy"))
    for turn in range(DEPLOYS):  # in quick succession: most never get to run
        put_document(trial.wyze, "count", f"# {turn}\n{COUNTER}")
    wait_status(trial.wyze)
    for _ in range(2):
        trial.ledger.wait_acked(200)
        trial.wyze.cli("script", "stop", "count")
        trial.ledger.wait_acked(200)
        trial.wyze.cli("script", "start", "count")
        wait_status(trial.wyze)
    trial.ledger.wait_acked(200)
    check_once(trial)


def test_wyze_is_stopped_and_started_in_order(make_trial):
    trial = begin(make_trial("stop"))
    for _ in range(2):
        trial.ledger.wait_acked(300)
        assert trial.wyze.stop() == 0, trial.wyze.log()
        trial.start()
    check_once(trial)
    assert "script.unfinished" not in trial.wyze.log()


def test_messages_that_fail(make_trial):
    """Some at first only, some for ever: the state has the number of those that were taken."""
    trial = begin(make_trial("fail"), """
tries = {}
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.emit("count.out", {"n": n})
    last = int(msg["_id"][-3:], 16)
    tries[msg["_id"]] = tries.get(msg["_id"], 0) + 1
    if last % 100 == 7 or last % 50 == 3 and tries[msg["_id"]] < 3:
        raise ValueError("not now")
""")
    trial.ledger.wait_acked(400)
    trial.crash()
    trial.start()
    trial.ledger.wait_acked(400)
    trial.ledger.drain()
    ids = [record["body"]["_id"] for record in trial.wyze.records()][trial.before :]
    never = sum(int(each[-3:], 16) % 100 == 7 for each in ids)
    until(lambda: script(trial.wyze)["quarantined"] == never, 120, "quarantine")
    check_once(trial, left_out=never)


def test_a_slow_script_a_failing_one_and_one_that_floods(make_trial):
    trial = make_trial("beside")
    begin(trial)
    deploy(trial.wyze, "import time\ndef handle_input(msg, context):\n    time.sleep(0.5)\n", "slow")
    deploy(trial.wyze, "def handle_input(msg, context):\n    raise ValueError('no')\n", "failing")
    deploy(trial.wyze, "def handle_input(msg, context):\n"
                       "    for i in range(50): context.emit('flood.out', i)\n", "flood")
    trial.ledger.wait_acked(500)
    trial.ledger.drain()
    wait_status(trial.wyze, "parked", "failing")
    check_once(trial)
    assert script(trial.wyze, "slow")["lag"] > 100
    until(lambda: script(trial.wyze, "flood")["lag"] == 0, 120, "the flood")
    flood = [r["body"]["value"] for r in
             trial.wyze.records("processed-stream", pattern="flood.out")]
    assert flood == list(map(str, range(50))) * (len(flood) // 50)
    assert len(flood) >= 500 * 50 // 2


def test_a_state_of_100000_keys_is_there_after_a_kill(make_wyze):
    wyze = make_wyze().start()
    wyze.import_mapping(mapping(1))
    deploy(wyze, """
def handle_input(msg, context):
    first = context.get_state("first", 0)
    for i in range(first, min(first + 10000, 100000)):
        context.set_state(f"k{i}", i)
    context.set_state("first", first + 10000)
    if first >= 100000:
        context.emit("count.out", {"n": sum(context.get_state(f"k{i}") for i in range(100000))})
""")
    wait_status(wyze)
    client = wyze.client("keys")
    for i in range(10):
        client.publish("ledger/0/status", str(i))
    until(lambda: script(wyze)["state_keys"] == 100001, 60, "the state is not there")
    until(lambda: script(wyze)["lag"] == 0)
    client.close()
    wyze.kill()
    wyze.start()
    wait_status(wyze)
    # What was not durable yet of the last steps is done again.
    until(lambda: script(wyze)["state_keys"] == 100001, 60, "the state is not there after the kill")
    client = wyze.client("keys")
    client.publish("ledger/0/status", "sum")
    outputs = wait_outputs(wyze, 1)
    assert outputs[0]["body"]["n"] == sum(range(100000))
    client.close()
