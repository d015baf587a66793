# SPDX-License-Identifier: Apache-2.0
"""QoS 2 packet by packet (MQTT 3.1.1, 4.3.3 and 4.4): each of the four lost at each step, in both
directions, sent twice, and identifiers that wrap with one of them stuck."""

import struct

import pytest

from conftest import SEED_MAPPING, Wyze
from mqtt_wire import (
    CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Closed, Wire, ack, connect, publish,
    subscribe,
)

READING = "mesh/b5ea3f/42/M/status"
TOPIC = "bedroom.light.brightness"
DUP = 8


@pytest.fixture(scope="module")
def wyze(tmp_path_factory):
    instance = Wyze(tmp_path_factory.mktemp("qos2") / "wyze")
    instance.start()
    instance.import_mapping(SEED_MAPPING)
    yield instance
    assert instance.stop() == 0, instance.log()


def session(wyze, name, present=None, clean=False):
    """A connection with a persistent session."""
    wire = Wire(wyze.mqtt_port)
    wire.send(connect(name, flags=2 if clean else 0))
    answer = wire.expect(CONNACK)
    assert answer[1] == 0 and (present is None or answer[0] == present)
    return wire


def records(wyze, body):
    return [record for record in wyze.records() if record["body"].get("value") == body]


@pytest.mark.parametrize("lost", ["PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"])
def test_inwards_with_one_packet_lost(wyze, lost):
    """The connection goes when the packet is under way; the client does what the standard says."""
    name, body = f"in-{lost}", f"in {lost}"
    message = publish(READING, body.encode(), qos=2, packet_id=7)
    again = publish(READING, body.encode(), qos=2, packet_id=7, flags=DUP)
    wire = session(wyze, name)
    if lost == "PUBLISH":
        wire.send(message[:20]).reset()  # half of it came
    else:
        wire.send(message)
        if lost == "PUBREC":
            wire.reset()
        else:
            assert wire.expect(PUBREC) == b"\0\7"
            if lost == "PUBCOMP":
                wire.send(ack(PUBREL, 7))
            wire.reset()
    wire = session(wyze, name, present=1)
    if lost in ("PUBLISH", "PUBREC"):
        wire.send(again)
        assert wire.expect(PUBREC) == b"\0\7"
    wire.send(ack(PUBREL, 7))
    assert wire.expect(PUBCOMP) == b"\0\7"
    wire.close()
    assert len(records(wyze, body)) == 1


@pytest.mark.parametrize("clean", [True, False])
def test_inwards_each_packet_twice(wyze, clean):
    body = f"twice {clean}"
    with session(wyze, f"twice-{clean}", clean=clean) as wire:
        for flags in (0, DUP, DUP):
            wire.send(publish(READING, body.encode(), qos=2, packet_id=9, flags=flags))
            assert wire.expect(PUBREC) == b"\0\x09"
        for _ in range(2):
            wire.send(ack(PUBREL, 9))
            assert wire.expect(PUBCOMP) == b"\0\x09"
        # The identifier is free: the next one under it is another message.
        wire.send(publish(READING, body.encode(), qos=2, packet_id=9))
        assert wire.expect(PUBREC) == b"\0\x09"
        wire.send(ack(PUBREL, 9))
        assert wire.expect(PUBCOMP) == b"\0\x09"
    assert len(records(wyze, body)) == 2


@pytest.mark.parametrize("lost", ["PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"])
@pytest.mark.parametrize("killed", [False, True])
def test_outwards_with_one_packet_lost(make_wyze, lost, killed):
    wyze = make_wyze().start()
    wire = session(wyze, "out")
    wire.subscribed("plain/out", qos=2)
    with Wire(wyze.mqtt_port).connected("writer") as writer:
        writer.send(publish("plain/out", b"once", qos=2, packet_id=1))
        writer.expect(PUBREC)
        writer.send(ack(PUBREL, 1)).expect(PUBCOMP)
    topic, body, _, packet_id = wire.message()
    assert (topic, body) == (b"plain/out", b"once")
    if lost in ("PUBREL", "PUBCOMP"):
        wire.send(ack(PUBREC, packet_id))
        assert wire.expect(PUBREL) == struct.pack(">H", packet_id)
    if lost == "PUBCOMP" and not killed:
        wire.send(ack(PUBCOMP, packet_id)[:2])  # half of it leaves
    wire.reset()
    if killed:
        wyze.kill()
        wyze.start()
    wire = session(wyze, "out", present=1)
    kind, flags, rest = wire.packet()
    if lost in ("PUBLISH", "PUBREC"):
        assert kind == PUBLISH and flags & DUP and rest[-6:-4] == struct.pack(">H", packet_id)
        assert rest.endswith(b"once")
        wire.send(ack(PUBREC, packet_id))
        kind, flags, rest = wire.packet()
    assert (kind, rest) == (PUBREL, struct.pack(">H", packet_id))
    wire.send(ack(PUBCOMP, packet_id)).ping()
    wire.close()
    wire = session(wyze, "out", present=1)
    wire.ping()  # nothing comes any more


def test_outwards_acks_that_do_not_fit(wyze):
    """PUBACK for a message of QoS 2 is no ack of it; PUBREC for what is not known is answered."""
    with session(wyze, "misfit") as wire:
        wire.subscribed("plain/misfit", qos=2)
        wire.send(ack(PUBREC, 4242))
        assert wire.expect(PUBREL) == struct.pack(">H", 4242)
        wire.send(ack(PUBCOMP, 4242) + ack(PUBACK, 4243)).ping()
        with Wire(wyze.mqtt_port).connected("misfit-writer") as writer:
            writer.send(publish("plain/misfit", b"x", qos=2, packet_id=1))
            writer.expect(PUBREC)
        packet_id = wire.message()[3]
        wire.send(ack(PUBACK, packet_id))
        with pytest.raises(Closed):
            wire.packet()
    with session(wyze, "misfit", present=1) as wire:
        assert wire.message()[3] == packet_id  # it is as it was


@pytest.mark.parametrize("qos", [1, 2])
def test_identifiers_wrap_with_one_stuck(make_wyze, qos):
    """65,535 identifiers and more go round while one message is never acked: nobody gets its
    identifier, all others go on in their order, and after a crash it is still there."""
    wyze = make_wyze(env={"WYZE_MQTT_MAX_INFLIGHT": "50"}).start()
    wire = session(wyze, "stuck")
    wire.socket.settimeout(20)
    wire.subscribed("plain/stuck", qos=qos)
    total = 66_000
    stuck = None
    expected = 0
    with Wire(wyze.mqtt_port, timeout=20).connected("stuck-writer") as writer:
        sent = 0
        while expected < total:
            if sent < total and sent - expected < 2000:
                writer.send(b"".join(publish("plain/stuck", b"%d" % n, qos, n % 60000 + 1)
                                     for n in range(sent, sent + 1000)))
                for _ in range(1000):
                    writer.expect(PUBACK if qos == 1 else PUBREC)
                if qos == 2:
                    writer.send(b"".join(ack(PUBREL, n % 60000 + 1)
                                         for n in range(sent, sent + 1000)))
                    for _ in range(1000):
                        writer.expect(PUBCOMP)
                sent += 1000
            out = bytearray()
            for _ in range(min(40, total - expected)):
                body, packet_id = next_message(wire)
                assert int(body) == expected
                assert packet_id != stuck
                if expected == 5:
                    stuck = packet_id
                else:
                    out += ack(PUBACK if qos == 1 else PUBREC, packet_id)
                    if qos == 2:
                        out += ack(PUBCOMP, packet_id)
                expected += 1
            wire.send(bytes(out))
    wire.close()
    wyze.kill()
    wyze.start()
    with session(wyze, "stuck", present=1) as wire:
        kind, _, rest = wire.packet()
        while kind == PUBREL:  # what was not completed when the connection went
            kind, _, rest = wire.packet()
        assert kind == PUBLISH and rest.endswith(b"5")
        assert struct.unpack_from(">H", rest, 2 + len("plain/stuck"))[0] == stuck


def next_message(wire):
    """(body, packet identifier) of the next PUBLISH; PUBRELs between are passed over."""
    while True:
        kind, flags, body = wire.packet()
        if kind == PUBREL:
            continue
        assert kind == PUBLISH, kind
        end = 2 + struct.unpack_from(">H", body)[0]
        return body[end + 2 :], struct.unpack_from(">H", body, end)[0]


def test_subscriptions_and_retained_messages_of_a_session(wyze):
    with Wire(wyze.mqtt_port).connected("keeper") as keeper:
        for n in range(3):
            keeper.send(publish(f"plain/kept/{n}", b"%d" % n, 1, n + 1, flags=1)).expect(PUBACK)
    with session(wyze, "looker") as wire:
        wire.send(subscribe("plain/kept/+", qos=2))
        assert wire.expect(SUBACK) == b"\0\1\2"
        for n in range(3):
            topic, body, flags, packet_id = wire.message()
            assert (topic, body) == (b"plain/kept/%d" % n, b"%d" % n)
            assert flags & 1 and flags >> 1 & 3 == 1
            wire.send(ack(PUBACK, packet_id))
        wire.ping()
    with session(wyze, "looker", present=1) as wire:
        wire.ping()  # they are not sent again
