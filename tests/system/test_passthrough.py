# SPDX-License-Identifier: Apache-2.0
"""Records pass from raw-stream to processed-stream by rules: as they are, each once and in order, whatever
is killed or cut off, while rules come and go."""

import datetime
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections import Counter

import pytest
from conftest import WYZE, Wyze, until
from disk import KEEP_JOURNAL, LOSE_ALL, Disk
from ledger import mapping
from test_script_api import disagreement
from trial import TOPICS, Trial, make_seed

KILLS = int(os.environ.get("WZ_SOAK_KILLS", "3"))
CUTS = int(os.environ.get("WZ_SOAK_CUTS", "2"))
RATE = 3000

COPY = {"pattern": "ledger.*", "rename": "copy.{1}"}


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


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path, 256 + CUTS)
    yield made
    made.unmount()


def ask(wyze, method, path, body=None, **fields):
    """(status, body, ETag) of a request to the API."""
    request = urllib.request.Request(
        wyze.url(f"/api/v1/{path}"), None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **fields}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers["ETag"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), None


def put_rule(wyze, name, rule):
    status, said, _ = ask(wyze, "PUT", f"passthrough/{name}", rule)
    assert status in (200, 201), said


def begin(trial, **rules):
    """Starts wyze, makes the rules, then the load."""
    trial.wyze.start(*trial.flags)
    trial.put_mapping(mapping(TOPICS))
    trial.before = len(trial.wyze.records())
    for name, rule in rules.items():
        put_rule(trial.wyze, name, rule)
    trial.ledger.start()
    trial.watcher.start()
    return trial


def crash_and_start(trial):
    """kill -9, and often again while it starts; at last it runs."""
    trial.wyze.kill()
    while trial.rng.random() < 0.3:
        trial.start(wait=False)
        try:
            trial.wyze.process.wait(trial.rng.random() * 0.15)
        except subprocess.TimeoutExpired:
            pass  # as it should be
        trial.wyze.kill()
    trial.start()


def passed_offset(record):
    return int(record["headers"]["passed"].split(".")[1])


def wait_passed(wyze, offsets, seconds=60):
    """Waits until the last of OFFSETS has passed, and returns all that has; without reading it all the
    time."""
    def last():
        query = "streams/processed-stream/records?direction=backward&limit=1"
        with urllib.request.urlopen(wyze.url(f"/api/v1/{query}"), timeout=10) as answer:
            line = answer.readline()
        return passed_offset(json.loads(line)) if line.strip() else -1

    until(lambda: last() >= offsets[-1], seconds, lambda: f"{last()} passed, not {offsets[-1]}")
    return wyze.records("processed-stream")


def check_same(inputs, found):
    """What has passed is these records, each once, in order, to the byte of what the API shows."""
    wanted = [record["offset"] for record in inputs]
    passed = [passed_offset(record) for record in found]
    twice = [offset for offset, count in Counter(passed).items() if count > 1]
    assert not twice, f"{len(twice)} have passed twice: {twice[:5]}"
    assert passed == wanted, (sorted(set(wanted) - set(passed))[:5],
                              sorted(set(passed) - set(wanted))[:5])
    for before, after in zip(inputs, found):
        assert after["body"] == before["body"]
        headers = {k: v for k, v in after["headers"].items() if k != "passed"}
        assert headers == before["headers"]


def check_copies(trial):
    trial.ledger.drain()
    inputs = [r for r in trial.wyze.records()[trial.before :] if r["topic"] != "ledger.probe"]
    found = wait_passed(trial.wyze, [record["offset"] for record in inputs])
    check_same(inputs, found)
    assert [r["topic"] for r in found] == ["copy." + r["topic"].split(".")[1] for r in inputs]


def test_each_record_passes_once_whatever_is_killed(make_trial):
    trial = begin(make_trial("once"), copy=COPY)
    for _ in range(KILLS):
        trial.ledger.wait_acked(trial.rng.randrange(1, 2 ** trial.rng.randrange(4, 11)))
        crash_and_start(trial)
    trial.ledger.wait_acked(300)
    check_copies(trial)
    trial.finish()
    said = json.loads(trial.wyze.cli("log", "verify", "journal", "--json").stdout)
    assert said["unreadable"] == 0 and said["keys"]["passthrough positions"] == 1
    assert said["keys"]["passthrough rules"] == 1


def test_each_record_passes_once_when_the_power_is_cut(disk, make_trial, tmp_path):
    wyze = Wyze(disk.path / "wyze")
    wyze.log_path = tmp_path / "wyze.log"  # not on the disk that fails
    trial = begin(make_trial("cut", wyze=wyze), copy=COPY)
    for turn in range(CUTS):
        trial.ledger.wait_acked(trial.rng.randrange(1, 2 ** trial.rng.randrange(4, 11)))
        disk.cut_power([LOSE_ALL, KEEP_JOURNAL][turn % 2])
        wyze.kill()
        disk.unmount()
        disk.mount()
        trial.start()
    trial.ledger.wait_acked(300)
    check_copies(trial)


def test_nothing_has_passed_that_raw_stream_lost(disk, make_trial):
    """Only the disk of raw-stream loses its power: all else keeps also what was never synced."""
    trial = make_trial("apart")
    trial.wyze.data.mkdir(mode=0o700)
    (disk.path / "raw-stream").mkdir(mode=0o700)
    (trial.wyze.data / "raw-stream").symlink_to(disk.path / "raw-stream")
    begin(trial, copy=COPY)
    trial.watcher.stop()  # it sees records that are not durable: they may go
    for _ in range(CUTS):
        trial.ledger.wait_acked(trial.rng.randrange(1, 2 ** trial.rng.randrange(4, 11)))
        disk.cut_power(LOSE_ALL)
        trial.wyze.kill()
        disk.unmount()
        disk.mount()
        trial.start()
    trial.ledger.wait_acked(300)
    check_copies(trial)


def test_the_disk_fails_under_what_passes(make_trial):
    trial = begin(make_trial("disk", faults=True), copy=COPY)
    for rule in ("fdatasync:EIO:path=processed-stream",
                 "write|pwrite|pwritev|fallocate|create:ENOSPC:path=processed-stream",
                 "pwritev:EIO:path=journal"):
        trial.ledger.wait_acked(300)
        trial.set_faults(rule)
        trial.wait_hit(count=2)
        trial.crash()
        trial.set_faults()
        trial.start()
        trial.wait_ready(200)
    trial.ledger.wait_acked(300)
    check_copies(trial)


def simulate(records, deadband):
    """Those of which the member n has changed by more than the deadband, by topic."""
    last = {}
    for record in records:
        n = record["body"].get("n")
        if record["topic"] in last:
            was = last[record["topic"]]
            if n is None and was is None:
                continue
            if n is not None and was is not None and abs(n - was) <= deadband:
                continue
        last[record["topic"]] = n
        yield record


def test_what_counts_as_changed_is_the_same_whatever_is_killed(make_trial):
    trial = begin(make_trial("change"),
                  change={"pattern": "ledger.#", "change": {"member": "n", "deadband": 4}})
    for _ in range(KILLS):
        trial.ledger.wait_acked(trial.rng.randrange(1, 2 ** trial.rng.randrange(4, 11)))
        crash_and_start(trial)
    trial.ledger.wait_acked(300)
    trial.ledger.drain()
    inputs = list(simulate(trial.wyze.records()[trial.before :], 4))
    check_same(inputs, wait_passed(trial.wyze, [record["offset"] for record in inputs]))


def milliseconds(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def test_the_rate_is_the_same_whatever_is_killed(make_trial):
    trial = begin(make_trial("rate"), rate={"pattern": "ledger.#", "rate": 20})
    for _ in range(KILLS):
        trial.ledger.wait_acked(400)
        crash_and_start(trial)
    trial.ledger.wait_acked(400)
    trial.ledger.drain()
    inputs, last = [], {}
    for record in trial.wyze.records()[trial.before :]:
        now = milliseconds(record["append_time"])
        if now - last.get(record["topic"], 0) >= 50:
            last[record["topic"]] = now
            inputs.append(record)
    check_same(inputs, wait_passed(trial.wyze, [record["offset"] for record in inputs]))


def test_rules_come_and_go_under_load(make_trial):
    """One rule stays: all of its records pass once. Of the other one's each that passes does so once,
    and the first and the last ones that must, do."""
    trial = begin(make_trial("rules"), even={"pattern": "ledger.t0"})
    inputs_of = {}
    for turn in range(12):
        trial.ledger.wait_acked(trial.rng.randrange(1, 200))
        if turn % 2 == 0:
            put_rule(trial.wyze, "odd", {"pattern": "ledger.t1", "rename": f"turn{turn}",
                                         "order": turn})
        else:
            assert ask(trial.wyze, "DELETE", "passthrough/odd")[0] == 204
        if turn == 7:
            crash_and_start(trial)
    put_rule(trial.wyze, "odd", {"pattern": "ledger.t1", "rename": "end"})
    begun = trial.wyze.records()[-1]["offset"]
    trial.ledger.wait_acked(300)
    trial.ledger.drain()
    for record in trial.wyze.records()[trial.before :]:
        inputs_of.setdefault(record["topic"], []).append(record)
    last = max(inputs_of["ledger.t0"][-1]["offset"], inputs_of["ledger.t1"][-1]["offset"])
    found = wait_passed(trial.wyze, [last])
    offsets = [passed_offset(record) for record in found]
    assert offsets == sorted(set(offsets))
    check_same(inputs_of["ledger.t0"], [r for r in found if r["topic"] == "ledger.t0"])
    odd = [record for record in found if record["topic"] != "ledger.t0"]
    assert {r["body"]["_topic"] for r in odd} == {"ledger.t1"}
    must = [r["offset"] for r in inputs_of["ledger.t1"] if r["offset"] > begun]
    assert [passed_offset(r) for r in odd if r["topic"] == "end"][-len(must) :] == must


def publish(wyze, exchange, topic, body):
    status, said, _ = ask(wyze, "POST", "publish",
                          {"exchange": exchange, "topic": topic, "body": body})
    assert status == 200, said


def test_a_record_that_passed_is_no_command(make_wyze):
    wyze = make_wyze().start()
    wyze.import_mapping('[Device]\nlamp = "lamp"\n[Types]\ninput = status\noutput = command\n')
    put_rule(wyze, "all", {"pattern": "#"})
    device = wyze.client("lamp")
    device.subscribe("lamp/command", 1)
    publish(wyze, "ingress", "lamp.output", {"n": 1})
    until(lambda: len(wyze.records("processed-stream")) == 1)
    assert wyze.records("processed-stream")[0]["headers"]["from"] == "ingress"
    publish(wyze, "egress", "lamp.output", {"n": 2})
    device.wait_for(1)
    assert [json.loads(message.payload) for message in device.got] == [{"n": 2}]
    device.close()


def test_rules_are_live_for_who_listens(make_wyze):
    """wyze sub follows the exchange and the stream; what passes is there at once, by its new name."""
    wyze = make_wyze().start()
    wyze.cli("passthrough", "set", "home", "kitchen.*", "--rename", "home.{1}", "--change", "value",
             "--deadband", "10%")
    listener = subprocess.Popen(
        [str(WYZE), "sub", "home.#", "--stream", "processed", "--count", "2", "--from",
         "first", "--json"],
        stdout=subprocess.PIPE, text=True, env=wyze.env)
    for value in ("100", "105", "111", "100.5"):
        publish(wyze, "ingress", "kitchen.heat", {"value": value})
    lines = [json.loads(line) for line in listener.communicate(timeout=20)[0].splitlines()]
    assert [line["body"]["value"] for line in lines] == ["100", "111"]
    assert {line["topic"] for line in lines} == {"home.heat"}
    row = until(lambda: [r for r in map(json.loads, wyze.cli("passthrough", "ls", "--json")
                                        .stdout.splitlines()) if r["passed"] == 2 and r["dropped"]],
                what="the counters")[0]
    assert row["dropped"] == 2 and row["name"] == "home"
    status, said, _ = ask(wyze, "GET", "status")
    assert status == 200 and said["passthrough"]["home"]["dropped"]["unchanged"] == 2
    assert said["counters"]["wyze_passthrough_passed_total"] == 2
    assert said["counters"]["wyze_passthrough_unchanged_dropped_total"] == 2


def test_rules_are_documents_like_others(make_wyze):
    wyze = make_wyze().start()
    rule = {"pattern": "a.#"}
    status, said, tag = ask(wyze, "PUT", "passthrough/r", rule, **{"If-None-Match": "*"})
    assert status == 201 and tag == '"1"'
    until(lambda: ask(wyze, "GET", "passthrough/r")[1].get("live", {}).get("status") == "active")
    status, said, tag = ask(wyze, "GET", "passthrough/r")  # as it is shown it can be put again
    assert ask(wyze, "PUT", "passthrough/r", rule, **{"If-None-Match": "*"})[0] == 412
    assert ask(wyze, "PUT", "passthrough/r", said, **{"If-Match": tag})[2] == '"2"'
    assert ask(wyze, "PUT", "passthrough/r", rule, **{"If-Match": tag})[0] == 412
    assert ask(wyze, "PATCH", "passthrough/r", {"active": False})[0] == 200
    until(lambda: ask(wyze, "GET", "passthrough/r")[1]["live"]["status"] == "inactive")
    status, said, _ = ask(wyze, "PATCH", "passthrough/r", {"rename": "{2}"})
    assert status == 422 and said["code"] == "WYZ-2301"
    assert said["where"] == "passthrough/r" and said["fix"]
    assert "rename" not in ask(wyze, "GET", "passthrough/r")[1]
    assert ask(wyze, "DELETE", "passthrough/r")[0] == 204
    assert ask(wyze, "GET", "passthrough/r")[0] == 404
    until(lambda: ask(wyze, "GET", "status")[1]["passthrough"] == {})


def test_map_test_says_what_then_happens(wyze):
    put_rule(wyze, "off", {"pattern": "#", "order": 0, "active": False})
    put_rule(wyze, "lamp", {"pattern": "bedroom.light.brightness", "order": 1, "rename": "home.{topic}"})
    put_rule(wyze, "wide", {"pattern": "bedroom.light.*.wide", "order": 2, "rename": "{1}.{1}.{1}"})
    put_rule(wyze, "all", {"pattern": "#", "change": {"member": "value"}})
    wyze.cli("map", "inbox", "ignore", "x/#")
    until(lambda: {rule["live"]["status"] for rule in ask(wyze, "GET", "passthrough")[1]["items"]
                   if "live" in rule} == {"active", "inactive"})
    client = wyze.client("device")
    told = {}
    for subtopic in ("M", "T", "w" * 100 + "/wide", "M", "T", "last"):
        topic = f"mesh/b5ea3f/42/{subtopic}/status"
        said = json.loads(wyze.cli("map", "test", topic, "1", "--json").stdout)
        assert disagreement(said, {"$ref": "#/components/schemas/MappingTest"}) is None
        told[subtopic] = said["in"]["passthrough"]
        client.publish(topic, "1")
    for rules in told.values():
        assert [rule["decides"] for rule in rules] == [True] + [False] * (len(rules) - 1)
    assert [[rule["rule"] for rule in rules] for rules in told.values()] == [
        ["lamp", "all"], ["all"], ["wide", "all"], ["all"]]
    (lamp, _), (changed,), (wide, _), (last,) = told.values()
    assert "note" not in lamp and "topic" not in wide and "dropped" in wide["note"]
    assert "What came before decides" in changed["note"]
    until(lambda: wyze.records("processed-stream", last["topic"]))
    assert [record["topic"] for record in wyze.records("processed-stream")] == [
        lamp["topic"], changed["topic"], lamp["topic"], last["topic"]]
    assert lamp["topic"] == "home.bedroom.light.brightness"
    said = json.loads(wyze.cli("map", "test", "x/y/status", "--json").stdout)
    assert disagreement(said, {"$ref": "#/components/schemas/MappingTest"}) is None
    said = said["in"]
    assert said["ignored_by"] == "ignores/x/#" and said["outcome"] == "unknown-device"
    client.publish("x/y/status", "1")
    client.publish("y/status", "1")
    until(lambda: ask(wyze, "GET", "inbox")[1]["items"])
    assert [item["topic"] for item in ask(wyze, "GET", "inbox")[1]["items"]] == ["y/status"]


def test_a_rule_that_was_made_while_no_server_ran(make_wyze):
    wyze = make_wyze().start()
    publish(wyze, "ingress", "a.before", {"n": 1})
    assert wyze.stop() == 0
    wyze.cli("passthrough", "set", "r", "a.#")
    wyze.start()
    publish(wyze, "ingress", "a.after", {"n": 2})
    until(lambda: wyze.records("processed-stream"))
    assert [record["body"]["n"] for record in wyze.records("processed-stream")] == [2]
