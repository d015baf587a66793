# SPDX-License-Identifier: Apache-2.0
"""Peers that want more memory than memory.max: wyze stays within it, serves those who want little,
and is as before when they have gone."""

import contextlib
import re
import resource

import pytest
from conftest import SANITIZED, SEED_MAPPING, until
from faults import preload_faults, set_faults
from mqtt_wire import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Closed,
    Wire,
    ack,
    acked_within_a_second,
    connect,
    metric,
    packet,
    publish,
    subscribe,
    text,
    unsubscribe,
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
    until(lambda: closed(wyze) > before, 30, "nobody was closed whose packet has no end")
    assert "memory.closed" in wyze.log()
    acked_within_a_second(wyze)
    assert peak_kib(wyze) < (16 + 40) << 10
    for number, sender in enumerate(senders):
        (sender.one.reset if number % 2 else sender.one.close)()
    until(lambda: metric(wyze, "wyze_mqtt_connections") == 0, 30, "connections are left behind")
    until(lambda: held(wyze) == 0, 30, f"{held(wyze)} bytes are left behind")
    until(lambda: "memory.eased" in wyze.log(), 30)
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
    until(lambda: all([one.send_on() for one in senders]), 30, "not all of it is taken")
    for sender in senders:
        sender.one.socket.settimeout(10)
        assert sender.one.expect(PUBACK) == b"\0\1"
    assert metric(wyze, "wyze_memory_stops_total") > 0
    assert closed(wyze) == 0
    assert peak_kib(wyze) < (16 + 40) << 10


def test_output_that_many_do_not_read_stays_within_the_budget(wyze, wire):
    body = b"o" * 50_000
    slow = [wire(f"slow-{n}", receive_bytes=4096).subscribed("plain/slow") for n in range(40)]
    reader = wire("reads").subscribed("plain/+").ping()  # the next turn: it is counted
    subscriptions = held(wyze)
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
    until(lambda: held(wyze) <= subscriptions, 30, f"{held(wyze)} bytes are left behind")


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
    reader = wire("reads").subscribed("plain/mute").ping()  # the next turn: it is counted
    subscription = held(wyze)
    mute = [wire(f"mute-{n}").subscribed("plain/mute", qos=1) for n in range(20)]
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
    until(lambda: held(wyze) <= subscription, 30, f"{held(wyze)} bytes are left behind")


# What is held for a client beside its packets.


def persistent(wyze, name, present=None, **options):
    one = Wire(wyze.mqtt_port, **options)
    one.send(connect(name, flags=0))
    answer = one.expect(CONNACK)
    assert answer[1] == 0 and present in (None, answer[0])
    return one


def received(one, ids):
    """Publishes at QoS 2, and releases nothing."""
    for start in range(0, len(ids), 5000):
        some = ids[start : start + 5000]
        one.send(b"".join(publish("plain/q", b"q", 2, n) for n in some))
        assert one.take(4 * len(some)) == b"".join(ack(PUBREC, n) for n in some)


def test_identifiers_of_clean_sessions_are_counted_and_small(wyze, wire):
    ids = list(range(1, 65536, 4096)) + [65535]
    for number in range(300):
        received(wire(f"clean-{number}"), ids)
    # The room of the acks, which wait for the inbox, goes now and then.
    until(lambda: held(wyze) < 300 * 9000, what=lambda: f"{held(wyze)} bytes are held")
    assert held(wyze) >= 300 * 8192
    with Wire(wyze.mqtt_port, timeout=20).connected("all") as one:
        received(one, list(range(1, 65536)))
        assert held(wyze) < 310 * 9000
        for n in (1, 30000, 65535):
            one.send(ack(PUBREL, n)).expect(PUBCOMP)
    acked_within_a_second(wyze)


def test_unreleased_messages_of_persistent_sessions_stay_below_half(wyze):
    closed_at = None
    hogs = []
    for number in range(8):
        hogs.append(persistent(wyze, f"hog-{number}", timeout=20))
        try:
            received(hogs[-1], list(range(1, 65536)))
        except Closed:
            closed_at = number
            break
    assert closed_at is not None and closed_at >= 2
    assert MAX // 4 < held(wyze) < MAX // 2
    assert "mqtt.unreleased" in wyze.log()
    assert peak_kib(wyze) < (16 + 40) << 10
    acked_within_a_second(wyze)
    few = persistent(wyze, "few")  # who wants little has it
    received(few, list(range(1, 21)))
    few.send(ack(PUBREL, 7)).expect(PUBCOMP)
    for one in hogs:  # closed or not, what they have sent is remembered
        one.close()
    before = held(wyze)
    assert before > MAX // 4
    again = persistent(wyze, f"hog-{closed_at}", present=1, timeout=20)
    received(again, [1, 2, 3])
    for start in range(1, 65536, 5000):  # what it releases makes room
        ids = range(start, min(start + 5000, 65536))
        again.send(b"".join(ack(PUBREL, n) for n in ids))
        assert again.take(4 * len(ids)) == b"".join(ack(PUBCOMP, n) for n in ids)
    until(lambda: held(wyze) < before - (1 << 20), 30, "what was released is kept")
    received(again, list(range(1, 1000)))
    for one in (few, again):
        one.close()
    for number in range(closed_at + 1):  # a clean session takes the place of each
        Wire(wyze.mqtt_port).connected(f"hog-{number}").close()
    Wire(wyze.mqtt_port).connected("few").close()
    until(lambda: held(wyze) == 0, 30, f"{held(wyze)} bytes are left behind")


def test_subscriptions_stay_below_half(wyze, wire):
    many = []
    refused = 0
    for number in range(40):
        name = "x" * 60_000 + f"/{number}/"
        many.append(wire(f"long-{number}") if number % 2 else persistent(wyze, f"long-{number}"))
        many[-1].send(subscribe(*[f"{name}{n}" for n in range(10)]))
        codes = many[-1].expect(SUBACK)[2:]
        assert set(codes) <= {0, 0x80}
        refused += codes.count(0x80)
    assert refused > 100
    until(lambda: MAX // 4 < held(wyze) < MAX // 2, 30, "more than half is kept")
    assert peak_kib(wyze) < (16 + 40) << 10
    wire("short").subscribed("plain/a", "plain/b")  # who wants little has it
    many[1].send(unsubscribe("x" * 60_000 + "/1/0")).expect(UNSUBACK)
    acked_within_a_second(wyze)
    for number, one in enumerate(many):
        one.close()
        if number % 2 == 0:
            Wire(wyze.mqtt_port).connected(f"long-{number}").close()
    until(lambda: held(wyze) < 4096, 30, f"{held(wyze)} bytes are left behind")


def test_wills_are_counted(wyze):
    crowd = []
    for number in range(300):
        crowd.append(Wire(wyze.mqtt_port))
        payload = text(f"will-{number}") + text("plain/will") + text("w" * 3900)
        crowd[-1].send(connect("", flags=6, payload=payload))
        crowd[-1].expect(CONNACK)
    assert 300 * 3900 < held(wyze) < 300 * 5000
    for one in crowd:
        one.reset()
    until(lambda: held(wyze) == 0, 30, f"{held(wyze)} bytes are left behind")


def test_bodies_that_sessions_wait_for_are_counted(wyze):
    names = [f"reader-{n}" for n in range(60)]
    for name in names:
        one = persistent(wyze, name)
        one.send(subscribe("plain/wait", qos=1)).expect(SUBACK)
        one.close()
    with Wire(wyze.mqtt_port).connected("writes") as writer:
        for number in range(200):
            writer.send(publish("plain/wait", b"%03d" % number + b"r" * 9000, qos=1)).expect(PUBACK)
    # Each reads its bodies from the disk: 60 times 128 KiB and the window's.
    readers = [persistent(wyze, name, present=1, timeout=20) for name in names]
    for one in readers:
        for number in range(10):
            assert one.message()[1].startswith(b"%03d" % number)
    assert 60 * 64 * 1024 < held(wyze) <= MAX
    assert peak_kib(wyze) < (16 + 40) << 10
    acked_within_a_second(wyze)
    for number in range(10, 200):  # all of them have all of it
        for one in readers:
            one.send(ack(PUBACK, number - 9))
            assert one.message()[1].startswith(b"%03d" % number)
    for one in readers:
        one.close()
    for name in names:
        Wire(wyze.mqtt_port).connected(name).close()
    until(lambda: held(wyze) == 0, 30, f"{held(wyze)} bytes are left behind")


@pytest.fixture
def stuck(make_wyze, tmp_path):
    """A wyze whose disk answers when it is told to."""
    instance = make_wyze("stuck", env={"WYZE_MEMORY_MAX": "16MiB"})
    control = tmp_path / "faults"
    preload_faults(instance, control)
    instance.start()
    yield instance, control
    assert instance.stop() == 0, instance.log()[-4000:]


def test_acks_that_wait_for_the_disk_stay_within_the_budget(stuck):
    wyze, control = stuck
    count = 65_000
    crowd = [persistent(wyze, f"owed-{n}", timeout=30) for n in range(40)]
    set_faults(control, "fdatasync:delay:ms=6000:path=/journal/")
    # Behind one that has to wait, 40 bytes for each of 4.
    flood = b"".join(ack(PUBREL, n) for n in range(2, count))
    senders = [Sender(one, publish("plain/q", b"q", 2, 1) + flood) for one in crowd]

    def half_is_held():
        for sender in senders:
            sender.send_on()
        assert held(wyze) <= MAX
        return held(wyze) > MAX // 2

    until(half_is_held, 30, "the acks are not counted")
    for _ in range(20):
        half_is_held()
    assert peak_kib(wyze) < (16 + 40) << 10
    set_faults(control)
    expected = ack(PUBREC, 1) + b"".join(ack(PUBCOMP, n) for n in range(2, count))
    for sender in senders:  # all are answered, in order
        one = sender.one
        one.socket.settimeout(0)
        until(lambda sender=sender: drained(sender, len(expected)), 30, "answers are missing")
        assert one.input == expected
    for sender in senders:
        sender.one.close()


def drained(sender, length):
    """Sends on and reads until LENGTH bytes have come."""
    sender.send_on()
    with contextlib.suppress(BlockingIOError):
        while len(sender.one.input) < length:
            more = sender.one.socket.recv(1 << 20)
            assert more, "closed"
            sender.one.input += more
    return len(sender.one.input) == length


def test_answers_to_subscribes_that_wait_are_counted(stuck):
    wyze, control = stuck
    crowd = [persistent(wyze, f"asks-{n}", timeout=30) for n in range(60)]
    set_faults(control, "fdatasync:delay:ms=6000:path=/journal/")
    count = 5_000 if SANITIZED else 50_000
    flood = subscribe(*["a"] * count)  # 200 kB, and 50 kB to answer
    senders = [Sender(one, flood) for one in crowd]
    most = 0

    def counted():
        nonlocal most
        taken = [sender.send_on() for sender in senders]
        most = max(most, held(wyze))
        return all(taken) and most > 60 * count

    until(counted, 30, f"the answers are not counted: {most}")
    assert most <= MAX + PACKET
    assert peak_kib(wyze) < (16 + 40) << 10
    set_faults(control)
    for one in crowd:
        one.socket.settimeout(30)
        assert one.expect(SUBACK)[2:] == b"\0" * count
        one.close()
    until(lambda: held(wyze) < 60 * 1024, 30, f"{held(wyze)} bytes are left behind")


# HTTP.


def http_part(wyze, data, receive_bytes=None):
    one = Wire(wyze.http_port, receive_bytes=receive_bytes)
    return Sender(one, data)


def test_bodies_that_do_not_end_stay_within_the_budget(wyze):
    head = (b"PUT /api/v1/devices/large HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 2000000\r\n\r\n")
    crowd = [http_part(wyze, head + b" " * 1_900_000) for _ in range(100)]
    most = 0
    for _ in range(30):
        for one in crowd:
            one.send_on()
        most = max(most, held(wyze))
        acked_within_a_second(wyze)  # a turn of the loop: it looks at what is lent
    assert MAX // 8 < most <= MAX // 2
    refused = 0
    for sender in crowd:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            refused += b"WYZ-6005" in sender.one.socket.recv(4096)
    assert refused > 50
    assert peak_kib(wyze) < (16 + 40) << 10
    acked_within_a_second(wyze)
    for sender in crowd:
        sender.one.close()
    acked_within_a_second(wyze)
    until(lambda: held(wyze) == 0, 30, f"{held(wyze)} bytes are left behind")


def test_answers_that_nobody_reads_stay_within_the_budget(wyze):
    with Wire(wyze.mqtt_port).connected("fills") as writer:
        for _ in range(40):
            writer.send(publish("mesh/b5ea3f/42/M/status", b"f" * 100_000, qos=1)).expect(PUBACK)
        writer.send(publish("mesh/b5ea3f/42/M/status", b"f" * 1_000_000, qos=1)).expect(PUBACK)
    targets = ["records?format=json&limit=1000", "records?direction=backward", "live?from=first"]
    crowd = []
    for number in range(150):
        target = f"/api/v1/streams/raw-stream/{targets[number % 3]}"
        ask = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        crowd.append(http_part(wyze, ask, receive_bytes=4096))
        crowd[-1].send_on()
        if number % 10 == 0:
            assert held(wyze) <= MAX
    assert held(wyze) <= MAX
    assert peak_kib(wyze) < (16 + 40) << 10
    acked_within_a_second(wyze)
    for sender in crowd:
        sender.one.close()
    until(lambda: held(wyze) == 0, 30, f"{held(wyze)} bytes are left behind")
