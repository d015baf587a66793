# SPDX-License-Identifier: Apache-2.0
"""Persistent sessions, QoS 2 both ways and retained messages through kill -9: nothing acked is lost
or altered, QoS 2 comes once, QoS 1 twice only where no ack was seen, sessions keep their
subscriptions."""

import collections
import json
import os
import random
import time
import urllib.error
import urllib.request

import pytest

from conftest import SANITIZED, Wyze, until
from disk import FREEZE_FIRST, LOSE_ALL, Disk
from faults import preload_faults, set_faults
from mqtt_wire import (
    CONNACK, PUBACK, SUBACK, Wire, ack, connect, metric, publish, subscribe,
)
from sessions import MAPPING, Crowd, until_done
from trial import make_seed

KILLS = int(os.environ.get("WZ_SOAK_KILLS", "6"))
CALLS = int(os.environ.get("WZ_SOAK_CALLS", "8"))
CUTS = int(os.environ.get("WZ_SOAK_CUTS", "4"))


@pytest.fixture
def make_crowd(make_wyze):
    made = []

    def make(**options):
        wyze = make_wyze(env={"WYZE_MQTT_MAX_INFLIGHT": "40"}).start()
        wyze.import_mapping(MAPPING)
        made.append(Crowd(wyze, **options).begin())
        return made[-1]

    yield make
    for crowd in made:
        for peer in crowd.peers:
            peer.stopping = True


def test_sessions_through_kills(make_crowd):
    rng = random.Random(make_seed("sessions"))
    crowd = make_crowd(rate=300 if SANITIZED else 1500)
    for _ in range(KILLS):
        crowd.wait_acked(rng.randrange(1, 1500))
        if rng.random() < 0.3:
            crowd.readers[rng.randrange(2)].offline = True  # what comes meanwhile waits on the disk
        crowd.wyze.kill()
        for reader in crowd.readers:
            if rng.random() < 0.7:
                reader.offline = False
        crowd.wyze.start()
    for reader in crowd.readers:
        reader.offline = False
    crowd.finish()


def test_sessions_through_orderly_stops(make_crowd):
    crowd = make_crowd(rate=300 if SANITIZED else 1500)
    for _ in range(3):
        crowd.wait_acked(500)
        assert crowd.wyze.stop() == 0, crowd.wyze.log()
        crowd.wyze.start()
    crowd.drain()
    had = [collections.Counter(reader.got_keys) for reader in crowd.readers]
    assert crowd.wyze.stop() == 0, crowd.wyze.log()
    crowd.wyze.start()
    for writer in crowd.writers:
        writer.paused = False
    crowd.wait_acked(20)
    crowd.finish()
    for reader, before in zip(crowd.readers, had):
        after = collections.Counter(reader.got_keys)
        assert all(after[key] == count for key, count in before.items()), (
            "what was acked came again after an orderly stop")


@pytest.fixture
def crowd_over_faults(make_wyze, tmp_path):
    """A crowd over a disk that fails by rules: it and the file of the rules (faults.py). Compaction
    included: segments are small, so it runs all the time."""
    control = tmp_path / "faults"
    wyze = make_wyze(env={"WYZE_MQTT_MAX_INFLIGHT": "40", "WYZE_STREAMS_SEGMENT_BYTES": "1MiB"})
    preload_faults(wyze, control)
    wyze.start()
    wyze.import_mapping(MAPPING)
    crowd = Crowd(wyze, pad=2000, rate=300 if SANITIZED else 1500).begin()
    yield crowd, control
    for peer in crowd.peers:
        peer.stopping = True


def test_kill_at_a_chosen_disk_call_of_the_journal(crowd_over_faults):
    rng = random.Random(make_seed("journal calls"))
    crowd, control = crowd_over_faults
    wyze = crowd.wyze
    ways = ["kill", "after", "torn"]
    # However few acks there are in each life: there is what compaction leaves behind.
    until_done(crowd.peers, lambda: metric(wyze, "wyze_journal_compactions_total") > 0, 60,
               lambda: "nothing is compacted")
    for turn in range(CALLS):
        crowd.wait_acked(rng.randrange(1, 400))
        call = ["change", "unlink", "pwritev|fdatasync", "rename|fsync|ftruncate"][turn % 4]
        way = rng.choice(ways) if call in ("change", "pwritev|fdatasync") else rng.choice(ways[:2])
        number = rng.randrange(1, 60 if call == "change" else 12)
        set_faults(control, f"{call}:{way}:n={number}:path=/journal/")
        until_done(crowd.peers, lambda: wyze.process.poll() is not None, 60,
                   lambda: f"it was not killed: {call}:{way}:n={number}")
        set_faults(control)
        wyze.start()
    crowd.finish()


@pytest.mark.parametrize("rule, word", [
    ("write|pwrite|pwritev|fallocate|create:ENOSPC", "no-space"),
    ("pwritev:EIO", "io"),
    ("fdatasync:EIO", "io"),
    ("unlink:EIO", None),
])
def test_journal_on_a_disk_that_fails(crowd_over_faults, rule, word):
    """Nothing is acked that is not durable, /readyz says why, and when the disk is well again so is
    wyze, without a restart. That segments cannot be removed is no reason to stop."""
    crowd, control = crowd_over_faults
    wyze = crowd.wyze
    crowd.wait_acked(300)
    set_faults(control, f"{rule}:path=/journal/")
    if word is None:
        crowd.wait_acked(2000, 60)
    else:
        until(lambda: [(reason["stream"], reason["state"]) for reason in unready(wyze)]
              == [("journal", word)], 30, "/readyz did not turn 503")
        acked = crowd.acked()
        until(lambda: all(len(writer.flight) >= writer.window for writer in crowd.writers), 30,
              "the windows did not fill")
        assert crowd.acked() - acked <= 2 * crowd.writers[0].window  # what was under way
    set_faults(control)
    until(lambda: unready(wyze) == [], 30, "/readyz did not turn 200")
    crowd.wait_acked(500)
    wyze.kill()
    wyze.start()
    crowd.finish()


def unready(wyze):
    """The reasons that /readyz has."""
    try:
        with urllib.request.urlopen(wyze.url("/readyz"), timeout=5) as answer:
            return json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        return json.load(error)["reasons"]


def test_a_message_is_sent_when_it_is_durable(make_wyze, tmp_path):
    """Else a crash could give its sequence, and so its identifier, to another message."""
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    with Wire(wyze.mqtt_port) as reader, Wire(wyze.mqtt_port) as writer:
        reader.send(connect("durable", flags=0) + subscribe("a", qos=1))
        reader.expect(CONNACK)
        reader.expect(SUBACK)
        writer.connected("writer")
        writer.send(publish("a", b"w", 1, 7)).expect(PUBACK)
        before = reader.message()[3]
        set_faults(control, "fdatasync:delay:ms=800:path=/journal/")
        begun = time.monotonic()
        writer.send(publish("a", b"x", 1, 1)).ping()
        reader.send(ack(PUBACK, before))  # makes room: the next one might be sent
        assert reader.message()[1] == b"x"
        assert time.monotonic() - begun >= 0.75
        writer.expect(PUBACK)
        set_faults(control)


def test_a_message_is_acked_when_its_place_in_a_queue_is_durable(make_wyze, tmp_path):
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    with Wire(wyze.mqtt_port) as reader:
        reader.send(connect("durable", flags=0) + subscribe("a", qos=1))
        reader.expect(CONNACK)
        reader.expect(SUBACK)
    with Wire(wyze.mqtt_port) as writer:
        writer.connected("writer")
        set_faults(control, "fdatasync:delay:ms=800:path=/journal/")
        begun = time.monotonic()
        writer.send(publish("a", b"x", 1, 1)).expect(PUBACK)
        assert time.monotonic() - begun >= 0.75
        set_faults(control)


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path, 256)
    yield made
    made.unmount()


def test_sessions_through_power_cuts(disk, tmp_path):
    rng = random.Random(make_seed("sessions on a disk"))
    wyze = Wyze(disk.path / "wyze", env={"WYZE_MQTT_MAX_INFLIGHT": "40",
                                         "WYZE_STREAMS_SEGMENT_BYTES": "1MiB"})
    wyze.log_path = tmp_path / "wyze.log"  # not on the disk that fails
    wyze.start()
    wyze.import_mapping(MAPPING)
    crowd = Crowd(wyze, rate=300 if SANITIZED else 1500).begin()
    try:
        for turn in range(CUTS):
            crowd.wait_acked(rng.randrange(1, 2500))
            disk.cut_power(FREEZE_FIRST if turn % 4 == 3 else LOSE_ALL)
            wyze.kill()
            disk.unmount()
            disk.mount()
            wyze.start()
        crowd.finish()
    finally:
        for peer in crowd.peers:
            peer.stopping = True
        if wyze.process.poll() is None:
            wyze.kill()


def test_log_verify_tells_what_is_in_the_journal(make_wyze):
    wyze = make_wyze().start()
    with Wire(wyze.mqtt_port) as wire:
        wire.send(connect("kept", flags=0) + subscribe("a/#", "b", qos=1))
        wire.expect(CONNACK)
        wire.expect(SUBACK)
    with Wire(wyze.mqtt_port).connected("writer") as writer:
        for n in range(1, 6):
            writer.send(publish(f"a/{n}", b"x", 1, n, flags=n % 2)).expect(PUBACK)
    with Wire(wyze.mqtt_port) as wire:  # settles the first two of five
        wire.send(connect("kept", flags=0))
        wire.expect(CONNACK)
        ids = [wire.message()[3] for _ in range(5)]
        wire.send(ack(PUBACK, ids[0]) + ack(PUBACK, ids[1])).ping()
    for stopped in (False, True):
        if stopped:
            assert wyze.stop() == 0
        [row] = [json.loads(line) for line in wyze.cli("log", "verify").stdout.splitlines()
                 if line.startswith('{"stream":"' + str(wyze.data / "journal"))]
        assert row["state"] == "whole" and row["unreadable"] == 0
        keys = row["keys"]
        assert (keys["sessions"], keys["subscriptions"], keys["retained"]) == (1, 2, 3)
        assert keys["messages"] == 3 or not stopped
    [segment] = (wyze.data / "journal").glob("*.log")
    data = bytearray(segment.read_bytes())
    data[70] ^= 1
    segment.write_bytes(data)
    assert wyze.cli("log", "verify", check=False).returncode == 1


def journal_bytes(wyze):
    return sum(file.stat().st_size for file in (wyze.data / "journal").glob("*.log"))


def test_a_message_that_is_never_acked_costs_nothing_behind_it(make_wyze):
    """What came and went behind it is in the journal no more, and it comes again first."""
    wyze = make_wyze(env={"WYZE_MQTT_MAX_INFLIGHT": "50",
                          "WYZE_STREAMS_SEGMENT_BYTES": "1MiB"}).start()
    total = 5_000 if SANITIZED else 30_000  # 300 bytes each
    reader = Wire(wyze.mqtt_port, timeout=20)
    reader.send(connect("stuck", flags=0) + subscribe("a", qos=1))
    reader.expect(CONNACK)
    reader.expect(SUBACK)
    with Wire(wyze.mqtt_port, timeout=20).connected("writer") as writer:
        writer.send(publish("a", b"stuck", 1, 1)).expect(PUBACK)
        stuck = reader.message()[3]
        for first in range(0, total, 500):
            writer.send(b"".join(publish("a", b"%300d" % n, 1, n % 60_000 + 1)
                                 for n in range(first, first + 500)))
            for n in range(first, first + 500):
                _, body, _, packet_id = reader.message()
                assert int(body) == n and packet_id != stuck
                reader.send(ack(PUBACK, packet_id))
            for _ in range(500):
                writer.expect(PUBACK)
        reader.ping()
        until(lambda: metric(wyze, "wyze_queues_messages") == 1, 30, "messages are left")
        until(lambda: journal_bytes(wyze) < 3 << 20, 30, "the journal holds what is settled")
        # A PUBACK of a reader is durable some time later, but before that of a retained value put after it.
        writer.send(publish("durable", b"1", 1, 1, flags=1)).expect(PUBACK)
        reader.close()
        wyze.kill()
    wyze.start()
    assert metric(wyze, "wyze_queues_messages") == 1
    with Wire(wyze.mqtt_port).connected("writer") as writer:
        writer.send(publish("a", b"fresh", 1, 1)).expect(PUBACK)
    with Wire(wyze.mqtt_port) as reader:
        reader.send(connect("stuck", flags=0)).expect(CONNACK)
        assert reader.message()[1:] == (b"stuck", 8 | 2, stuck)  # with DUP
        assert reader.message()[1:3] == (b"fresh", 2)
