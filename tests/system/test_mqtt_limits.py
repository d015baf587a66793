# SPDX-License-Identifier: Apache-2.0
"""The MQTT door's limits for sessions, queues, retained messages and topics: each has a key, an answer
in the protocol's own form and a metric, and nobody else notices."""

import random
import struct
import threading

import pytest

from conftest import SANITIZED, Wyze, until
from mqtt_wire import (
    CONNACK, PUBACK, SUBACK, Closed, Unharmed, Wire, ack, connect, metric, packet, publish,
    resident_kib, subscribe,
)
from trial import make_seed


@pytest.fixture(scope="module")
def wyze(tmp_path_factory):
    instance = Wyze(tmp_path_factory.mktemp("limits") / "wyze", env={
        "WYZE_MQTT_MAX_QUEUED": "10",
        "WYZE_MQTT_MAX_RETAINED": "3",
        "WYZE_MQTT_MAX_RETAINED_BYTES": "64KiB",
        "WYZE_MQTT_MAX_TOPIC": "20",
        "WYZE_MQTT_MAX_TOPIC_LEVELS": "4",
    })
    instance.start()
    yield instance
    assert instance.stop() == 0, instance.log()


def keep(wyze, name):
    """A persistent session's connection."""
    wire = Wire(wyze.mqtt_port)
    wire.send(connect(name, flags=0))
    assert wire.expect(CONNACK)[1] == 0
    return wire


def test_sessions_above_the_limit_are_refused_and_expire(make_wyze):
    wyze = make_wyze(env={"WYZE_MQTT_MAX_SESSIONS": "5", "WYZE_MQTT_SESSION_EXPIRY": "2s"}).start()
    kept = [keep(wyze, f"kept-{n}") for n in range(5)]
    with Wire(wyze.mqtt_port) as wire:
        wire.send(connect("one-too-many", flags=0))
        assert wire.answers() == b"\x20\2\0\3"  # server unavailable
    with Wire(wyze.mqtt_port) as wire:
        wire.connected("clean")  # needs none
    assert metric(wyze, "wyze_queues") == 5
    for wire in kept[1:]:
        wire.close()
    until(lambda: metric(wyze, "wyze_queues") == 1, 30, "sessions did not expire")
    kept[0].ping().close()  # the one whose client was there
    with keep(wyze, "one-too-many"):
        pass


def test_a_full_queue_refuses_for_itself_alone(wyze):
    before = metric(wyze, "wyze_queues_messages_refused_total")
    with keep(wyze, "full") as wire:
        wire.subscribed("q", qos=1)
    with Wire(wyze.mqtt_port).connected("other") as other, \
            Wire(wyze.mqtt_port).connected("writer") as writer:
        other.subscribed("q", qos=1)
        for n in range(1, 16):
            writer.send(publish("q", b"%d" % n, 1, n)).expect(PUBACK)
        assert [other.message()[1] for _ in range(10)] == [b"%d" % n for n in range(1, 11)]
    assert metric(wyze, "wyze_queues_messages_refused_total") - before == 5
    assert "queue.full" in wyze.log()
    with keep(wyze, "full") as wire:
        got = [wire.message() for _ in range(10)]
        assert [message[1] for message in got] == [b"%d" % n for n in range(1, 11)]
        wire.send(b"".join(ack(PUBACK, message[3]) for message in got)).ping()


def test_retained_messages_above_the_limits_are_not_retained(wyze):
    before = metric(wyze, "wyze_retained_refused_total")
    with Wire(wyze.mqtt_port).connected("keeper") as keeper:
        for n in range(1, 6):
            keeper.send(publish(f"r/{n}", b"x", 1, n, flags=1)).expect(PUBACK)
        keeper.send(publish("r/1", b"y" * 66000, 1, 9, flags=1)).expect(PUBACK)
        assert metric(wyze, "wyze_retained_refused_total") - before == 3
        with Wire(wyze.mqtt_port).connected("looker") as looker:
            looker.subscribed("r/#")
            assert [looker.message()[0] for _ in range(2)] == [b"r/2", b"r/3"]
            looker.ping()  # r/1 is cleared: an older value must not stand for the newer one
        for n in range(1, 6):
            keeper.send(publish(f"r/{n}", b"", 1, n, flags=1)).expect(PUBACK)


@pytest.mark.parametrize("topic", ["a/b/c/d/e", "t" * 21])
def test_topics_above_the_limits(wyze, topic):
    with Wire(wyze.mqtt_port).connected("deep") as wire:
        wire.send(subscribe(topic, "fine"))
        assert wire.expect(SUBACK) == b"\0\1\x80\0"
        wire.send(publish(topic, b"x", 1, 1))
        with pytest.raises(Closed):
            wire.packet()


def test_takeover_storm(make_wyze):
    """Clients of one id, clean and persistent in turn, subscriptions changing: in the end there is one
    session, and it works."""
    rng = random.Random(make_seed("storm"))
    wyze = make_wyze().start()
    errors = []

    def storm(seed):
        dice = random.Random(seed)
        try:
            for turn in range(10 if SANITIZED else 25):
                with Wire(wyze.mqtt_port, timeout=10) as wire:
                    wire.send(connect("same", flags=dice.choice([0, 2]))
                              + subscribe(f"s/{dice.randrange(5)}", qos=dice.randrange(3))
                              + publish(f"s/{dice.randrange(5)}", b"x", dice.randrange(3), turn + 1,
                                        dice.randrange(2)))
                    if dice.random() < 0.7:
                        try:
                            wire.packet()
                        except Closed:
                            pass
                    if dice.random() < 0.3:
                        wire.send_what_is_taken(packet(14, 0))
        except Exception as error:  # told in the test's own thread
            errors.append(error)

    with Unharmed(wyze):
        threads = [threading.Thread(target=storm, args=(rng.random(),)) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors, errors
        assert metric(wyze, "wyze_queues") <= 1
        with Wire(wyze.mqtt_port) as wire:
            wire.send(connect("same", flags=0))
            assert wire.expect(CONNACK)[1] == 0
        wyze.kill()
        wyze.start()
        with Wire(wyze.mqtt_port) as wire:
            wire.send(connect("same", flags=0))
            assert wire.expect(CONNACK) == b"\1\0"


def test_a_persistent_subscriber_that_stops_reading(make_wyze):
    """What it does not take waits on the disk, not in memory, and is all there when it comes back."""
    wyze = make_wyze(env={"WYZE_MQTT_MAX_QUEUED_BYTES": "256MiB"}).start()
    total, body = 6000, b"z" * 10_000
    slow = Wire(wyze.mqtt_port, receive_bytes=4096)
    slow.send(connect("slow", flags=0) + subscribe("a", qos=1))
    slow.expect(CONNACK)
    slow.expect(SUBACK)
    with Wire(wyze.mqtt_port, timeout=20).connected("writer") as writer:
        before = resident_kib(wyze)
        for start in range(0, total, 500):
            writer.send(b"".join(publish("a", b"%d " % n + body, 1, n % 60000 + 1)
                                 for n in range(start, start + 500)))
            for _ in range(500):
                writer.expect(PUBACK)
        assert resident_kib(wyze) - before < 40 * 1024  # of 60 MB
    slow.close()
    with Wire(wyze.mqtt_port, timeout=20) as wire:
        wire.send(connect("slow", flags=0))
        assert wire.expect(CONNACK) == b"\1\0"
        for n in range(total):
            _, got, _, packet_id = wire.message()
            assert got == b"%d " % n + body
            wire.send(ack(PUBACK, packet_id))
        wire.ping()


def test_every_identifier_unfinished_both_ways(make_wyze):
    """65,535 QoS 2 messages that are never released; the next one reuses an identifier: the same."""
    wyze = make_wyze(env={"WYZE_MQTT_MAX_INFLIGHT": "65535"}).start()
    with Wire(wyze.mqtt_port, timeout=20) as wire:
        wire.send(connect("all", flags=0))
        wire.expect(CONNACK)
        for start in range(1, 65536, 5000):
            ids = range(start, min(start + 5000, 65536))
            wire.send(b"".join(publish("a", b"x", 2, n) for n in ids))
            for n in ids:
                assert wire.take(4) == b"\x50\2" + struct.pack(">H", n)
        wire.send(publish("a", b"again", 2, 7, 8))
        assert wire.take(4) == b"\x50\2\0\7"
        wire.ping()
    assert wyze.stop() == 0
    wyze.start()
    with Wire(wyze.mqtt_port, timeout=20) as wire:
        wire.send(connect("all", flags=0))
        assert wire.expect(CONNACK) == b"\1\0"
        wire.send(publish("a", b"again", 2, 7, 8))
        assert wire.take(4) == b"\x50\2\0\7"
        wire.ping()


def test_scattered_identifiers_take_little_memory(make_wyze):
    """A few hundred QoS 2 messages that are never released, their identifiers far apart."""
    wyze = make_wyze().start()
    with Unharmed(wyze):
        before = resident_kib(wyze)
        wires = []
        for n in range(100):
            wires.append(Wire(wyze.mqtt_port).connected(f"scattered-{n}"))
            wires[-1].send(b"".join(publish("a", b"", 2, packet_id)
                                    for packet_id in range(1, 65536, 256)))
        for wire in wires:
            for _ in range(256):
                wire.take(4)
        assert resident_kib(wyze) - before < 16 * 1024
        for wire in wires:
            wire.close()


def test_a_journal_that_is_refused_is_left_as_it_is(make_wyze):
    wyze = make_wyze().start()
    with Wire(wyze.mqtt_port) as wire:
        wire.send(connect("kept", flags=0) + subscribe("a", qos=1))
        wire.expect(CONNACK)
        wire.expect(SUBACK)
    assert wyze.stop() == 0
    [segment] = (wyze.data / "journal").glob("*.log")
    whole = segment.read_bytes()
    at = whole.index(b"B" + b"\0" * 7)  # the key of the subscription
    unknown = bytearray(whole)
    unknown[at] = ord("Y")
    segment.write_bytes(mend_checksums(unknown))
    before = segment.read_bytes()
    for _ in range(2):
        wyze.start(wait=False)
        assert wyze.process.wait(30) != 0
        assert "WYZ-4007" in wyze.log()
        assert segment.read_bytes().rstrip(b"\0") == before.rstrip(b"\0")


def mend_checksums(data):
    """The same record batches with the checksums that they should have."""
    pos = 0
    while pos + 61 <= len(data) and data[pos + 16] == 2:
        end = pos + 12 + struct.unpack_from(">i", data, pos + 8)[0]
        struct.pack_into(">I", data, pos + 17, crc32c(bytes(data[pos + 21 : end])))
        pos = end
    return bytes(data)


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
