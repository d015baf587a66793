# SPDX-License-Identifier: Apache-2.0
"""Peers that want more memory than memory.max: wyze stays within it, serves those who want little,
and is as before when they have gone."""

import contextlib
import re
import resource

import pytest
from conftest import SANITIZED, SEED_MAPPING, until
from mqtt_wire import (
    PINGRESP,
    PUBACK,
    Wire,
    acked_within_a_second,
    metric,
    packet,
    publish,
    text,
    varint,
)

MAX = 16 << 20
PACKET = 1 << 20
PINGREQ_PACKET = packet(12, 0)


@pytest.fixture(scope="module", autouse=True)
def descriptors_for_a_crowd():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 2000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2000, max(hard, 2000)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def wyze(make_wyze):
    instance = make_wyze("memory", env={"WYZE_MEMORY_MAX": "16MiB", "WYZE_MQTT_MAX_INFLIGHT": "10"})
    instance.start()
    instance.import_mapping(SEED_MAPPING)
    yield instance
    assert instance.stop() == 0, instance.log()[-4000:]


@pytest.fixture
def wire(wyze):
    """Makes sockets that are closed in the end."""
    made = []

    def make(name, receive_bytes=None, **options):
        made.append(Wire(wyze.mqtt_port, receive_bytes=receive_bytes).connected(name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def peak_kib(wyze):
    """The most that has been resident; a sanitizer's build is not held to it."""
    if SANITIZED:
        return 0
    with open(f"/proc/{wyze.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))


def held(wyze):
    return metric(wyze, "wyze_memory_held_bytes")


def closed(wyze):
    return metric(wyze, "wyze_memory_closed_total")


class Sender:
    """Sends bytes as far as they are taken, without waiting."""

    def __init__(self, one, data):
        self.one = one
        self.rest = memoryview(data)
        one.socket.setblocking(False)

    def send_on(self):
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self.rest:
                self.rest = self.rest[self.one.socket.send(self.rest) :]
        return not self.rest


def attack(wyze, wire, count, length):
    """So many connections with LENGTH bytes each of a packet of 1 MiB; returns them."""
    part = (b"\x30" + varint(PACKET - 4) + text("plain/p")).ljust(length, b"z")
    senders = [Sender(wire(f"part-{n}"), part) for n in range(count)]
    for _ in range(20):
        for one in senders:
            one.send_on()
        acked_within_a_second(wyze)
    return senders


def test_partial_packets_of_400_stay_within_the_budget(wyze, wire):
    before = closed(wyze)
    senders = attack(wyze, wire, 400, 900_000)
    for _ in range(20):
        acked_within_a_second(wyze)
        # Beside it: the packet that is let go on, and what stays of a short read of each.
        assert held(wyze) < MAX + 2 * PACKET + 400 * 8192
    assert metric(wyze, "wyze_memory_stops_total") > 0
    assert "memory.short" in wyze.log()
    until(lambda: closed(wyze) > before, 15, "nobody was closed whose packet has no end")
    assert "memory.closed" in wyze.log()
    acked_within_a_second(wyze)
    assert peak_kib(wyze) < (16 + 40) << 10
    for number, sender in enumerate(senders):
        (sender.one.reset if number % 2 else sender.one.close)()
    until(lambda: metric(wyze, "wyze_mqtt_connections") == 0, 10, "connections are left behind")
    until(lambda: held(wyze) == 0, 5, f"{held(wyze)} bytes are left behind")
    until(lambda: "memory.eased" in wyze.log(), 5)
    writer, reader = wire("writer"), wire("reader").subscribed("plain/big")
    writer.send(publish("plain/big", b"b" * 1_000_000, qos=1))
    assert writer.expect(PUBACK) == b"\0\1"
    assert reader.message()[1] == b"b" * 1_000_000


def test_large_packets_of_a_crowd_all_get_through(wyze, wire):
    body = publish("plain/crowd", b"c" * 1_000_000, qos=1)
    senders = [Sender(wire(f"crowd-{n}"), body) for n in range(100)]
    for one in senders:  # all of them partial before the first one is whole
        one.rest = memoryview(body[:400_000])
        one.send_on()
    for one in senders:
        one.rest = memoryview(body)[400_000 - len(one.rest) :]
    until(lambda: all([one.send_on() for one in senders]), 20, "not all of it is taken")
    for sender in senders:
        sender.one.socket.settimeout(10)
        assert sender.one.expect(PUBACK) == b"\0\1"
    assert metric(wyze, "wyze_memory_stops_total") > 0
    assert closed(wyze) == 0
    assert peak_kib(wyze) < (16 + 40) << 10


def test_output_that_many_do_not_read_stays_within_the_budget(wyze, wire):
    body = b"o" * 50_000
    slow = [wire(f"slow-{n}", receive_bytes=4096).subscribed("plain/slow") for n in range(40)]
    reader = wire("reads").subscribed("plain/+")
    writer = wire("writes")
    for number in range(400):  # 20 MB for each of them
        topic = ("plain/slow", "plain/other")[number % 2]
        writer.send(publish(topic, body, qos=1, packet_id=1 + number))
        assert reader.message()[:2] == (topic.encode(), body)
        writer.expect(PUBACK)
        assert held(wyze) <= MAX
        if number % 50 == 0:
            acked_within_a_second(wyze)
    assert held(wyze) > MAX // 2
    assert metric(wyze, "wyze_mqtt_messages_dropped_total") > 0
    assert closed(wyze) == 0
    assert peak_kib(wyze) < (16 + 40) << 10
    for one in slow:  # who reads again is served again
        one.send(PINGREQ_PACKET)
        kind = None
        while kind != PINGRESP:
            kind, _, _ = one.packet()
    until(lambda: held(wyze) == 0, 5, f"{held(wyze)} bytes are left behind")


def test_a_message_for_more_than_fit_the_budget_reaches_all_who_read(wyze, wire):
    crowd = [wire(f"crowd-{n}").subscribed("plain/all", qos=n % 2) for n in range(400)]
    body = b"a" * 100_000
    writer = wire("writer")
    writer.send(publish("plain/all", body, qos=1))  # 40 MB of output
    assert writer.expect(PUBACK) == b"\0\1"
    for one in crowd:
        assert one.message()[1] == body
    assert metric(wyze, "wyze_mqtt_messages_dropped_total") == 0
    assert peak_kib(wyze) < (16 + 40) << 10


def test_messages_for_those_who_do_not_ack_stay_within_the_budget(wyze, wire):
    mute = [wire(f"mute-{n}").subscribed("plain/mute", qos=1) for n in range(20)]
    reader = wire("reads").subscribed("plain/mute")
    writer = wire("writes")
    for number in range(3000):  # 30 MB, shared by all of them
        writer.send(publish("plain/mute", b"%05d" % number + b"m" * 10_000, qos=1, packet_id=9))
        writer.expect(PUBACK)
        assert reader.message()[1].startswith(b"%05d" % number)
    assert MAX // 4 < held(wyze) <= MAX
    assert peak_kib(wyze) < (16 + 40) << 10
    assert metric(wyze, "wyze_mqtt_messages_dropped_total") > 0
    assert closed(wyze) == 0
    acked_within_a_second(wyze)
    for one in mute:
        one.close()
    until(lambda: held(wyze) == 0, 5, f"{held(wyze)} bytes are left behind")
