# SPDX-License-Identifier: Apache-2.0
"""Room on the disk runs short: what takes messages in stops, what takes them out goes on and makes
room, and then all goes on by itself. Nothing that was acked is lost."""

import contextlib
import functools
import json
import threading
import time
import urllib.error
import urllib.request

import pytest

from conftest import Wyze, until
from disk import Disk
from faults import preload_faults, set_faults
from mqtt_wire import (
    CONNACK, PINGREQ, PINGRESP, PUBACK, PUBLISH, Wire, ack, metric, packet, publish, subscribe,
)
from test_exactly_once import put_document

MIB = 1024 * 1024
BODY = b"x" * 16000
FLOOR = 48 * MIB
ROOMY = ("--mqtt-max-queued=1000000", "--mqtt-max-queued-bytes=1GiB")


class Publisher(threading.Thread):
    """Publishes numbered messages at QoS 1 with a window, and pings for its keep-alive of a second
    while it waits for acks. While it is held up nobody reads that either: for wyze it is silent then."""

    def __init__(self, port, topic, window=50):
        super().__init__(name="publisher", daemon=True)
        self.wire = Wire(port, timeout=0.2).connected("publisher", keepalive=1)
        self.topic = topic
        self.window = window
        self.sent = 0
        self.acked = 0
        self.error = None
        self.stopping = False

    def run(self):
        try:
            while not self.stopping or self.acked < self.sent:
                while not self.stopping and self.sent - self.acked < self.window:
                    self.sent += 1
                    self.wire.send(publish(self.topic, b"%d " % self.sent + BODY, 1,
                                           self.sent % 65000 + 1))
                try:
                    kind, _, body = self.wire.packet()
                except TimeoutError:
                    with contextlib.suppress(TimeoutError):  # all buffers are full
                        self.wire.send(packet(PINGREQ, 0))
                    continue
                assert kind in (PUBACK, PINGRESP)
                self.acked += kind == PUBACK
        except BaseException as error:  # told by check(), in the test's own thread
            self.error = error

    def check(self):
        if self.error is not None:
            raise self.error

    def stop(self):
        self.stopping = True
        self.join(60)
        self.check()
        assert not self.is_alive(), f"{self.sent - self.acked} messages were not acked"
        self.wire.close()


def reasons(wyze):
    """Why it is not ready; an empty list when it is."""
    try:
        with urllib.request.urlopen(wyze.url("/readyz"), timeout=5) as answer:
            return json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        assert error.code == 503
        return json.load(error)["reasons"]


def wait_low(wyze, seconds=60):
    until(lambda: metric(wyze, "wyze_disk_low") == 1, seconds, "the disk does not get low")
    assert "low-space" in [reason["state"] for reason in reasons(wyze)]
    assert "disk.low" in wyze.log()


def wait_room(wyze, seconds=60):
    until(lambda: metric(wyze, "wyze_disk_low") == 0, seconds, "there is no room again")
    until(lambda: reasons(wyze) == [], 30, "it does not get ready")
    assert "disk.room" in wyze.log()


def wait_held_up(publisher, seconds=3):
    """Waits until nothing has been acked for so long: for longer than three keep-alives. What was taken
    in before may still be on its way to the disk."""
    acked, since = -1, 0

    def stands():
        nonlocal acked, since
        publisher.check()
        if acked != publisher.acked or publisher.sent - acked < publisher.window:
            acked, since = publisher.acked, time.monotonic()
        return time.monotonic() > since + seconds

    until(stands, 30 + seconds, "it is not held up")


def post(wyze):
    """Publishes through the API; the status and the answer."""
    body = json.dumps({"exchange": "ingress", "topic": "a.b", "body": 1}).encode()
    try:
        with urllib.request.urlopen(wyze.url("/api/v1/publish"), body, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def leave_session(wyze, name, pattern):
    """A persistent session that takes what comes from now on."""
    with Wire(wyze.mqtt_port) as wire:
        wire.connected(name, flags=0).send(subscribe(pattern, qos=1))
        wire.packet()


class Drain:
    """The client of a persistent session that comes back for what waits."""

    def __init__(self, wyze, name):
        self.wire = Wire(wyze.mqtt_port, timeout=20)
        self.wire.send(b"\x10" + bytes([12 + len(name)]) + b"\0\4MQTT\4\0\0\0\0"
                       + bytes([len(name)]) + name.encode())
        assert self.wire.expect(CONNACK) == b"\1\0"
        self.seen = set()

    def until(self, condition):
        while not condition():
            _, body, _, packet_id = self.wire.message()
            self.seen.add(int(body.split()[0]))
            self.wire.send(ack(PUBACK, packet_id))


@pytest.fixture
def small(tmp_path):
    """A wyze on a disk of 160 MiB of its own."""
    disk = Disk(tmp_path, 160)
    wyze = Wyze(disk.path / "wyze")
    wyze.log_path = tmp_path / "wyze.log"
    try:
        yield wyze, disk
    finally:
        wyze.stop()
        disk.unmount()


@pytest.mark.parametrize("chosen", [True, False])
def test_a_full_disk_can_be_drained(small, chosen):
    """With a floor that was chosen, and with the default: a twentieth of so small a disk."""
    wyze, disk = small
    if chosen:
        floor = FLOOR
        wyze.start(f"--streams-min-free={FLOOR}B", "--streams-segment-bytes=8MiB", *ROOMY)
    else:
        floor = disk.total_bytes() // 20
        wyze.start(*ROOMY)
    leave_session(wyze, "drain", "bulk/#")
    publisher = Publisher(wyze.mqtt_port, "bulk/1")
    publisher.start()
    wait_low(wyze)
    wait_held_up(publisher)
    assert floor * 0.6 < disk.free_bytes() < floor + 16 * MIB  # what is taken ahead counts as used
    status, answer = post(wyze)
    assert status == 503 and answer["code"] == "WYZ-4003"
    before = publisher.acked
    drain = Drain(wyze, "drain")
    drain.until(lambda: publisher.acked > before + 1000 or publisher.error is not None)
    publisher.stopping = True
    drain.until(lambda: len(drain.seen) >= publisher.sent)
    publisher.stop()
    wait_room(wyze)
    assert drain.seen == set(range(1, publisher.sent + 1))
    assert post(wyze)[0] == 200


def test_a_restart_on_a_full_disk(small):
    """It starts there, takes nothing in, and is drained."""
    wyze, disk = small
    flags = (f"--streams-min-free={FLOOR}B", "--streams-segment-bytes=8MiB", *ROOMY)
    wyze.start(*flags)
    leave_session(wyze, "drain", "bulk/#")
    publisher = Publisher(wyze.mqtt_port, "bulk/1")
    publisher.start()
    wait_low(wyze)
    wait_held_up(publisher, 0.5)
    acked = publisher.acked
    wyze.kill()
    publisher.join(10)
    with open(disk.path / "ballast", "wb") as file:  # what was taken ahead comes back at the start
        file.write(bytes(max(disk.free_bytes() - FLOOR + 20 * MIB, 0)))
    starts = wyze.log().count("node.ready")
    wyze.start(*flags, wait=False)
    until(lambda: wyze.log().count("node.ready") > starts, 30, "it does not start")
    assert [reason["state"] for reason in reasons(wyze)] == ["low-space"]
    with Wire(wyze.mqtt_port, timeout=2) as wire:
        wire.connected("another").send(publish("bulk/1", b"0 ", 1, 1))
        with pytest.raises(TimeoutError):
            wire.packet()
        drain = Drain(wyze, "drain")
        drain.until(lambda: drain.seen >= set(range(1, acked + 1)))
        wait_room(wyze)
        wire.socket.settimeout(20)
        assert wire.expect(PUBACK) == b"\0\1"  # and its will goes on by itself


@pytest.fixture
def faulty(make_wyze, tmp_path):
    """A wyze whose disk says what the test wants: (wyze, set_rules)."""
    wyze = make_wyze()
    control = tmp_path / "faults"

    preload_faults(wyze, control)
    return wyze, functools.partial(set_faults, control)


def free(count):
    return f"statvfs:free:bytes={count}:path=-stream"


def test_the_floor_and_the_way_back(faulty):
    """Below the floor nothing is taken in; a little above it not yet; then it is."""
    wyze, set_rules = faulty
    wyze.start("--streams-min-free=100MiB")
    publisher = Publisher(wyze.mqtt_port, "bulk/1", window=5)
    publisher.start()
    set_rules(free(99 * MIB))
    wait_low(wyze)
    assert metric(wyze, "wyze_disk_free_bytes") // MIB in (98, 99)
    wait_held_up(publisher)
    set_rules(free(124 * MIB))
    until(lambda: metric(wyze, "wyze_disk_free_bytes") > 120 * MIB, 30, "it is not looked at")
    wait_held_up(publisher, 1)
    assert metric(wyze, "wyze_disk_low") == 1
    set_rules(free(200 * MIB))
    wait_room(wyze)
    acked = publisher.acked
    until(lambda: publisher.acked > acked + 10, 30, "it does not go on")
    publisher.stop()


def test_who_does_not_publish_is_served(faulty):
    """While room is short, sessions are made, subscribe and end, clean or not; a client that publishes
    waits with all that is behind its PUBLISH."""
    wyze, set_rules = faulty
    wyze.start("--streams-min-free=100MiB")
    set_rules(free(MIB))
    wait_low(wyze)
    for flags in (0, 2):
        with Wire(wyze.mqtt_port) as wire:
            wire.connected(f"c{flags}", flags=flags).subscribed("a/#", qos=1).ping()
    with Wire(wyze.mqtt_port, timeout=1) as both:
        both.connected("both").subscribed("a/#", qos=0)
        both.send(publish("a/b", b"1", 1, 7) + packet(12, 0))
        with pytest.raises(TimeoutError):
            both.packet()
        until(lambda: metric(wyze, "wyze_mqtt_connections") == 1, 30, "not closed, or closed as well")
        set_rules()
        wait_room(wyze)
        both.socket.settimeout(20)
        kinds = sorted(both.packet()[0] for _ in range(3))
        assert kinds == [PUBLISH, PUBACK, 13]


def test_no_floor(faulty):
    wyze, set_rules = faulty
    set_rules(free(0))
    wyze.start("--streams-min-free=0B")
    assert metric(wyze, "wyze_disk_free_bytes") == 0
    assert post(wyze)[0] == 200


def test_what_no_rule_mapped_enters_when_there_is_room(faulty):
    """Messages of the inbox wait like those that come in, and then are for those who listen, too."""
    wyze, set_rules = faulty
    wyze.start("--streams-min-free=100MiB", "--streams-keep-free=0")
    wyze.cli("passthrough", "set", "all", "#")
    client = wyze.client("device")
    for number in range(300):
        client.publish("tele/plug/SENSOR", str(number), wait=number == 299)
    until(lambda: metric(wyze, "wyze_inbox_kept_total") == 300)
    set_rules(free(MIB))
    wait_low(wyze)
    wyze.cli("map", "inbox", "accept", "tele/plug/SENSOR")
    assert wyze.records() == []
    set_rules()
    wait_room(wyze)
    until(lambda: len(wyze.records()) == 300, what="what was kept did not enter")
    until(lambda: len(wyze.records("processed-stream")) == 300, what="it did not pass")


def test_a_will_and_a_script_wait_for_room(faulty, tmp_path):
    """A will that falls due, and what a script emits, are not lost: they come when there is room."""
    wyze, set_rules = faulty
    wyze.start("--streams-min-free=100MiB")
    told = tmp_path / "told"
    told.mkdir()
    put_document(wyze, "waiting", f"""
import os, time
def handle_input(msg, context):
    while not os.path.exists({str(told / "go")!r}):
        time.sleep(0.01)
    context.emit("out.x", {{"n": 1}})
""", grants={"read": [str(told)]})
    until(lambda: "script.running" in wyze.log(), 30, "the script does not run")
    assert post(wyze)[0] == 200
    with Wire(wyze.mqtt_port, timeout=20) as watcher:
        watcher.connected("watcher").subscribed("wills", qos=1)
        set_rules(free(MIB))
        dying = Wire(wyze.mqtt_port)
        dying.connected("dying", flags=2 | 4 | 8,
                        payload=b"\0\5dying\0\5wills\0\3end")
        wait_low(wyze)
        dying.reset()
        until(lambda: metric(wyze, "wyze_mqtt_connections") == 1, 30, "it does not end")
        (told / "go").touch()
        time.sleep(1)  # an absence can only be waited out
        watcher.ping()  # no message came before its answer
        assert wyze.records("processed-stream") == []
        set_rules()
        wait_room(wyze)
        assert watcher.message()[:2] == (b"wills", b"end")
    until(lambda: wyze.records("processed-stream"), 30, "what the script emitted does not come")


def test_the_disk_is_filled_by_others(faulty):
    """A disk that takes nothing at all while a queue is drained and compacted: nothing is acked,
    and when it takes records again everything goes on."""
    wyze, set_rules = faulty
    wyze.start("--streams-min-free=0B", "--streams-segment-bytes=1MiB", *ROOMY)
    leave_session(wyze, "drain", "bulk/#")
    publisher = Publisher(wyze.mqtt_port, "bulk/1")
    publisher.start()
    until(lambda: publisher.acked > 5000, 60, "it is not acked")
    publisher.stop()
    drain = Drain(wyze, "drain")
    drain.until(lambda: metric(wyze, "wyze_journal_compactions_total") > 0)
    for _ in range(3):
        set_rules("write|pwrite|pwritev|fallocate|create:ENOSPC:path=journal")
        done = len(drain.seen)
        drain.wire.socket.settimeout(1)
        try:
            drain.until(lambda: len(drain.seen) >= min(done + 300, publisher.sent))
        except TimeoutError:
            pass  # what its window holds it has had
        until(lambda: [reason["state"] for reason in reasons(wyze)] == ["no-space"], 30,
              "it does not tell")
        compactions = metric(wyze, "wyze_journal_compactions_total")
        set_rules()
        until(lambda: reasons(wyze) == [], 30, "it does not recover")
        drain.wire.socket.settimeout(20)
        drain.until(lambda: metric(wyze, "wyze_journal_compactions_total") > compactions
                    or len(drain.seen) >= publisher.sent)
    drain.until(lambda: len(drain.seen) >= publisher.sent)
    assert drain.seen == set(range(1, publisher.sent + 1))
