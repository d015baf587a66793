# SPDX-License-Identifier: Apache-2.0
"""Messages that no rule maps, with real clients: kept, listed, suggested, accepted, and put on raw-stream
with their old time, once."""

import collections
import json
import time
import urllib.request

import pytest
from conftest import until
from faults import preload_faults, set_faults

Z2M = '{"battery":87,"occupancy":true}'


def inbox(wyze, limit=1000):
    with urllib.request.urlopen(wyze.url(f"/api/v1/inbox?limit={limit}"), timeout=60) as answer:
        return json.load(answer)


def topics(wyze):
    return {item["topic"]: item for item in inbox(wyze)["items"]}


def metric(wyze, name):
    with urllib.request.urlopen(wyze.url("/metrics"), timeout=60) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
    raise AssertionError(name)


@pytest.fixture
def wyze(make_wyze):
    return make_wyze().start()


def test_a_message_that_no_rule_maps_is_kept_listed_and_enters_with_its_old_time(wyze):
    device = wyze.client("gateway")
    device.publish("tele/plug/SENSOR", '{"ENERGY":{"Power":12}}')
    device.publish("tele/plug/STATE", '{"POWER":"ON"}')
    device.publish("tele/plug/SENSOR", '{"ENERGY":{"Power":13}}')
    sent = time.time() * 1000
    listed = topics(wyze)
    assert listed["tele/plug/SENSOR"]["count"] == 2
    assert listed["tele/plug/SENSOR"]["why"] == "unknown-device"
    assert listed["tele/plug/SENSOR"]["suggestion"]["document"] == {"route": "plug", "template": "tasmota"}
    assert wyze.records() == []

    time.sleep(0.3)  # so that the old time and the new one differ
    wyze.cli("map", "inbox", "accept", "tele/plug/SENSOR", "--route", "kitchen.plug")
    until(lambda: len(wyze.records()) == 3, what="what was kept did not enter")
    records = wyze.records()
    assert [r["topic"] for r in records] == [
        "kitchen.plug.sensor", "kitchen.plug.state", "kitchen.plug.sensor"]
    assert records[2]["body"]["ENERGY"] == {"Power": 13}
    assert all(r["body"]["_timestamp"] <= sent for r in records)
    assert [r["headers"]["client"] for r in records] == ["gateway"] * 3
    assert len({r["headers"]["unmapped"] for r in records}) == 3
    assert topics(wyze) == {}

    # Once: not when it is asked for again, not after a restart.
    wyze.cli("map", "inbox", "reenter")
    wyze.stop()
    wyze.start()
    wyze.cli("map", "inbox", "reenter")
    device = wyze.client("gateway")
    device.publish("tele/plug/STATE", "{}")
    until(lambda: not inbox(wyze)["reentry"]["running"])
    assert len(wyze.records()) == 4


def test_what_is_kept_is_listed_again_after_a_kill(wyze):
    device = wyze.client("d")
    for i in range(20):
        device.publish(f"home/room{i % 4}/temp", str(i))
    wyze.kill()  # what was acked is durable
    wyze.start()
    until(lambda: not inbox(wyze)["loading"])
    listed = topics(wyze)
    assert {name: item["count"] for name, item in listed.items()} == {
        f"home/room{i}/temp": 5 for i in range(4)}
    assert listed["home/room0/temp"]["sample"] == "16"
    assert listed["home/room0/temp"]["suggestion"]["device"] == "home/room0"


def test_all_alike_are_accepted_at_once(wyze):
    device = wyze.client("d")
    for name in ("hall", "attic", "cellar"):
        device.publish(f"zigbee2mqtt/{name}", Z2M)
    device.publish("zigbee2mqtt/bridge/state", '{"state":"online"}')
    device.publish("other/thing/temp", "1")
    wyze.cli("map", "inbox", "accept", "zigbee2mqtt/hall", "--all-like")
    until(lambda: len(wyze.records()) == 3)
    assert {r["topic"] for r in wyze.records()} == {"hall", "attic", "cellar"}
    assert set(topics(wyze)) == {"zigbee2mqtt/bridge/state", "other/thing/temp"}


def test_what_is_ignored_is_counted_and_not_kept(wyze):
    device = wyze.client("d")
    device.publish("homeassistant/status", "online")
    assert topics(wyze)["homeassistant/status"]["suggestion"]["ignore"] == "homeassistant/#"
    wyze.cli("map", "inbox", "ignore", "homeassistant/#")
    device.publish("homeassistant/status", "offline")
    until(lambda: metric(wyze, "wyze_inbox_ignored_total") == 1)
    assert metric(wyze, "wyze_inbox_kept_total") == 1
    until(lambda: topics(wyze) == {})
    assert "homeassistant/#" in wyze.cli("map", "inbox", "ignore").stdout
    wyze.cli("map", "inbox", "ignore", "homeassistant/#", "--rm")
    device.publish("homeassistant/status", "online")
    assert "homeassistant/status" in topics(wyze)
    bad = wyze.cli("map", "inbox", "ignore", "a/#/b", check=False)
    assert bad.returncode != 0 and "2401" in bad.stderr


def test_what_is_forgotten_is_gone_for_good(wyze):
    device = wyze.client("d")
    device.publish("a/b", "1")
    device.publish("c/d", "2")
    wyze.cli("map", "inbox", "forget", "a/b")
    assert set(topics(wyze)) == {"c/d"}
    until(lambda: not inbox(wyze)["reentry"]["running"])
    wyze.stop()
    wyze.start()
    until(lambda: not inbox(wyze)["loading"])
    assert set(topics(wyze)) == {"c/d"}
    wyze.cli("device", "set", "a", "a")
    wyze.cli("map", "inbox", "reenter")
    until(lambda: not inbox(wyze)["reentry"]["running"])
    assert wyze.records() == []


def test_home_assistants_discovery_names_devices(wyze):
    device = wyze.client("d")
    config = {"~": "zigbee2mqtt/0x00158d", "stat_t": "~", "name": None, "dev": {"name": "Hall Motion"}}
    device.publish("homeassistant/binary_sensor/0x00158d/occupancy/config", json.dumps(config), retain=True)
    device.publish("zigbee2mqtt/0x00158d", Z2M)
    suggestion = topics(wyze)["zigbee2mqtt/0x00158d"]["suggestion"]
    assert suggestion["document"] == {"route": "Hall_Motion", "template": "zigbee2mqtt"}
    assert suggestion["topic"] == "Hall_Motion"


def test_a_retained_message_that_is_cleared_is_not_kept(wyze):
    device = wyze.client("d")
    device.publish("x/y", "", retain=True)
    device.publish("x/z", "1")
    assert set(topics(wyze)) == {"x/z"}


def test_qos2_of_a_persistent_session_is_kept(wyze):
    device = wyze.client("d", clean=False)
    device.publish("x/y", "1", qos=2)
    device.publish("x/y", "2", qos=2)
    assert topics(wyze)["x/y"]["count"] == 2
    wyze.kill()
    wyze.start()
    until(lambda: not inbox(wyze)["loading"])
    assert topics(wyze)["x/y"]["count"] == 2


def test_a_rate_bounds_what_is_written(make_wyze):
    wyze = make_wyze().start("--inbox-max-rate=4KiB")
    device = wyze.client("d")
    for i in range(50):
        device.publish(f"flood/{i}", "x" * 1000, wait=False)
    device.publish("flood/last", "x")
    assert metric(wyze, "wyze_inbox_refused_total") > 30
    assert metric(wyze, "wyze_inbox_kept_total") >= 4
    assert len(topics(wyze)) == 51  # all are listed


def test_each_message_enters_once_whatever_is_killed(make_wyze):
    """kill -9 in the middle of re-entry, several times."""
    wyze = make_wyze().start("--inbox-max-rate=64MiB")
    device = wyze.client("d")
    count = 6000
    for i in range(count):
        device.publish(f"home/room{i % 7}/temp", str(i), wait=False)
    device.publish("home/room0/temp", "last")
    for i in range(7):
        request = urllib.request.Request(
            wyze.url(f"/api/v1/devices/home%2Froom{i}"), method="PUT",
            data=json.dumps({"route": f"room{i}", "template": "plain"}).encode())
        urllib.request.urlopen(request, timeout=60).close()
    wyze.cli("map", "inbox", "reenter")
    kills = 0
    while inbox(wyze)["reentry"]["running"]:
        if kills < 8:
            wyze.kill()
            wyze.start("--inbox-max-rate=64MiB")
            kills += 1
    assert kills > 0
    found = collections.Counter(r["body"]["value"] for r in wyze.records())
    assert found == collections.Counter([str(i) for i in range(count)] + ["last"])
    order = [int(r["body"]["value"]) for r in wyze.records() if r["body"]["value"] != "last"]
    assert order == sorted(order)


def test_what_enters_is_not_done_with_before_it_is_durable(make_wyze, tmp_path):
    """Else a crash takes it from raw-stream, and nothing lets it enter again."""
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    wyze.client("gateway").publish("tele/plug/SENSOR", '{"ENERGY":{"Power":12}}')
    set_faults(control, "pwritev:delay:ms=60000:path=raw-stream")
    wyze.cli("map", "inbox", "accept", "tele/plug/SENSOR")
    until(lambda: metric(wyze, "wyze_inbox_reentered_total") == 1, what="it did not enter")
    time.sleep(1)  # for what must not be put into the journal yet
    wyze.kill()
    set_faults(control)
    wyze.start()
    until(lambda: wyze.records(), what="it is lost")
    assert len(wyze.records()) == 1
    until(lambda: not inbox(wyze)["reentry"]["running"])
