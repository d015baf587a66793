# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set forward and back by hours while wyze runs: nothing is lost, append times never
go back, and what waits for a span of time waits for that span."""

import json
import time

import pytest
from clock import Clock
from conftest import SEED_MAPPING, until
from faults import preload_faults, set_faults
from ledger import mapping
from segments import read_times
from test_commands import metric, numbers, send_all
from test_exactly_once import begin, check_once, script, wait_outputs, wait_status, workers_of
from trial import Trial, make_seed

JUMPS = (5, -7, 0.5)  # hours from the right time, one after the other


@pytest.fixture
def make_clock(tmp_path):
    made = []

    def make(wyze):
        made.append(Clock(wyze, tmp_path / f"clock{len(made)}"))
        return made[-1]

    yield make
    for clock in made:
        clock.close()


def deploy(wyze, code, pattern="raw:#", name="probe"):
    path = wyze.log_path.parent / f"{name}.py"
    path.write_text(code)
    wyze.cli("script", "deploy", str(path), "--on", pattern)
    wait_status(wyze, name=name)


def cpu_ticks(pid):
    """How much a process has computed, in hundredths of a second."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[11])


def test_a_script_counts_while_the_clock_jumps(make_wyze, make_clock, tmp_path):
    """Each message once, through crashes too; append times and what a script sees as now never go
    back, the time in the stamps is the clock's."""
    wyze = make_wyze()
    clock = make_clock(wyze)
    trial = Trial(wyze, tmp_path, make_seed("clock"), rate=1500)
    try:
        begin(trial, """
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.emit("count.out", {"n": n, "now": context.now()})
""")
        trial.ledger.wait_acked(100)
        wait_outputs(wyze, 1)
        for hours in JUMPS:
            clock.set(hours)
            trial.ledger.wait_acked(200)
            # What was under way when it was set bears the time before.
            until(lambda: abs(int(wyze.records()[-1]["body"]["_timestamp"]) - clock.now_ms()) < 60_000)
            trial.crash()
            trial.start()
            trial.ledger.wait_acked(100)
        check_once(trial)
        seen = [r["body"]["now"] for r in wyze.records("processed-stream", pattern="count.out")]
        assert seen == sorted(seen)
        trial.finish()
        for stream in ("raw-stream", "processed-stream"):
            times = read_times(wyze.data / stream)
            assert times == sorted(times)
            assert times[-1] - times[0] > (JUMPS[0] - 1) * 3_600_000  # the clock did jump
    finally:
        trial.abandon()


@pytest.mark.parametrize("hours", [5, -5])
def test_retries_and_time_limits_are_not_the_clocks(make_wyze, make_clock, hours):
    """A retry comes after its delay; a call that takes its time is not over it."""
    wyze = make_wyze(env={"WYZE_SCRIPTS_RETRY_DELAY": "500ms"})
    clock = make_clock(wyze)
    wyze.start()
    wyze.import_mapping(mapping(1))
    deploy(wyze, """
import time
tries = []
def handle_input(msg, context):
    context.log("tried")
    tries.append(time.monotonic())
    if len(tries) < 2:
        raise ValueError("not yet")
    time.sleep(1)
    context.emit("count.out", {"waited": tries[1] - tries[0]})
""")
    client = wyze.client("device")
    client.publish("ledger/0/status", "1")
    until(lambda: script(wyze, "probe")["retries"] == 1, what="it was not tried")
    clock.set(hours)
    until(lambda: len(wyze.records("script-log", pattern="#")) >= 3, what="no second try")
    clock.set(-hours)  # in the middle of the call
    [output] = until(lambda: wyze.records("processed-stream", pattern="count.out"), 30)
    assert 0.4 < output["body"]["waited"] < 30  # the clock is off by hours
    assert script(wyze, "probe")["restarts"] == 0
    client.close()


def test_a_script_that_hangs_is_ended_in_time_though_the_clock_is_set_back(make_wyze, make_clock):
    wyze = make_wyze(env={"WYZE_SCRIPTS_MAX_MESSAGE_TIME": "5s"})
    clock = make_clock(wyze)
    wyze.start()
    wyze.import_mapping(mapping(1))
    deploy(wyze, """
def handle_input(msg, context):
    while True:
        pass
""")
    client = wyze.client("device")
    client.publish("ledger/0/status", "1")
    client.close()
    [worker] = workers_of(wyze)
    before = cpu_ticks(worker)
    until(lambda: cpu_ticks(worker) > before + 5, what="the call has not begun")
    clock.set(-5)
    until(lambda: script(wyze, "probe")["restarts"] > 0, 30, "it hangs on")


def test_commands_age_by_the_clock_and_keep_to_their_rate(make_wyze, make_clock):
    """A clock that is set back makes nothing old, one that is set forward makes what waits so; the
    rate of a topic is not the clock's."""
    wyze = make_wyze(env={"WYZE_COMMANDS_RATE": "4", "WYZE_COMMANDS_EXPIRY": "10m"})
    clock = make_clock(wyze)
    wyze.start()
    wyze.import_mapping(SEED_MAPPING)
    device = wyze.client("device")
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    began = time.monotonic()
    clock.set(-5)
    send_all(wyze, "bedroom.light.brightness.output", range(8))
    device.wait_for(4)
    clock.set(-10)
    device.wait_for(8, 30)
    assert numbers(device) == list(range(8))
    assert time.monotonic() - began > 0.8
    assert metric(wyze, "wyze_commands_expired_total") == 0
    send_all(wyze, "bedroom.light.brightness.output", range(8, 120))  # half a minute's
    device.wait_for(9)
    clock.set(5)
    until(lambda: metric(wyze, "wyze_commands_expired_total") + len(device.got) == 120)
    assert metric(wyze, "wyze_commands_expired_total") > 20
    send_all(wyze, "bedroom.light.brightness.output", [120])
    until(lambda: 120 in numbers(device), what="one that is new is not sent")
    device.close()


def test_uptime_is_not_the_clocks(make_wyze, make_clock):
    """How long wyze has been up is what has gone by since its start, wherever the clock was set."""
    wyze = make_wyze()
    clock = make_clock(wyze)
    before = time.monotonic()
    wyze.start()
    started = time.monotonic()
    for hours in (3, -3):
        clock.set(hours)
        said_ms = json.loads(wyze.cli("status", "--json").stdout)["uptime_ms"]
        assert (time.monotonic() - before) * 1000 >= said_ms
        assert said_ms >= (time.monotonic() - started) * 1000 - 1000  # what asking takes


def test_a_stall_is_no_clock_that_was_set(make_wyze, make_clock, tmp_path):
    """A clock is taken to be set when it is off by ten seconds; that a start, or a turn, took long adds
    nothing to that."""
    wyze = make_wyze()
    preload_faults(wyze, tmp_path / "faults")
    set_faults(tmp_path / "faults", "unlink:delay:ms=1500:path=wyze.sock")
    clock = make_clock(wyze)
    wyze.start()
    clock.set(9.2 / 3600)
    time.sleep(1.5)  # it looks each second; an absence can only be waited out
    assert "unlink" in (tmp_path / "faults.hits").read_text()
    assert "queues.clock" not in wyze.log()


@pytest.mark.parametrize("hours", [30, -30])
def test_sessions_do_not_expire_by_a_clock_that_jumps(make_wyze, make_clock, hours):
    wyze = make_wyze(env={"WYZE_MQTT_SESSION_EXPIRY": "1h"})
    clock = make_clock(wyze)
    wyze.start()
    device = wyze.client("device", clean=False)
    device.subscribe("a/b", 1)
    device.close()
    until(lambda: metric(wyze, "wyze_mqtt_connections") == 0)
    clock.set(hours)
    until(lambda: "queues.clock" in wyze.log(), what="the jump is not noticed")
    sender = wyze.client("sender")
    sender.publish("a/b", json.dumps(1))
    wyze.kill()
    wyze.start()
    sender.close()
    device = wyze.client("device", clean=False)
    device.wait_for(1)
    assert metric(wyze, "wyze_queues_expired_total") == 0
    device.close()
