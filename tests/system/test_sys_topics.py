# SPDX-License-Identifier: Apache-2.0
"""What wyze says of itself under $SYS/broker/, held against a real mosquitto and against books that the
test keeps of every packet it sends and gets."""

import contextlib
import shutil
import subprocess
import time

import pytest
from conftest import SANITIZED, HeldPort, until
from mqtt_wire import (
    CONNACK, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK,
    Wire, ack, connect, metric, packet, publish, subscribe, text, unsubscribe, varint,
)

ROOT = "$SYS/broker/"

# What mosquitto 2.0 has and wyze leaves out: docs/mqtt.md says why.
LEFT_OUT = {"heap/current", "heap/maximum", "shared_subscriptions/count", "store/messages/bytes"}

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


class Books:
    """What a broker that has served only us must have counted."""

    FIELDS = {
        "messages/received": 0, "messages/sent": 0,
        "bytes/received": 0, "bytes/sent": 0,
        "publish/messages/received": 0, "publish/messages/sent": 0,
        "publish/bytes/received": 0, "publish/bytes/sent": 0,
    }

    def __init__(self):
        self.now = dict(self.FIELDS)

    def add(self, way, kind, flags, body):
        self.now[f"messages/{way}"] += 1
        self.now[f"bytes/{way}"] += 1 + len(varint(len(body))) + len(body)
        if kind == PUBLISH:
            topic_end = 2 + int.from_bytes(body[:2], "big") + (2 if flags & 6 else 0)
            self.now[f"publish/messages/{way}"] += 1
            self.now[f"publish/bytes/{way}"] += len(body) - topic_end


class BookedWire(Wire):
    """A Wire that enters every packet into the books."""

    def __init__(self, port, books):
        super().__init__(port, timeout=20)
        self.books = books

    def send(self, data):
        rest = data
        while rest:
            length, used = rest[1] & 127, 2
            while rest[used - 1] & 128:
                length |= (rest[used] & 127) << 7 * (used - 1)
                used += 1
            self.books.add("received", rest[0] >> 4, rest[0] & 15, rest[used : used + length])
            rest = rest[used + length :]
        return super().send(data)

    def packet(self):
        got = super().packet()
        self.books.add("sent", *got)
        return got

    def leave(self):
        self.send(packet(DISCONNECT, 0))
        self.is_closed()
        self.close()


def look(port, books):
    """The values that a new subscriber is given at once."""
    values = {}
    wire = BookedWire(port, books)
    wire.send(connect("observer") + subscribe("$SYS/#"))
    wire.expect(CONNACK)
    kind = None
    left = False
    while kind != UNSUBACK:
        kind, flags, body = wire.packet()
        if kind == PUBLISH and flags & 1:
            end = 2 + int.from_bytes(body[:2], "big")
            assert flags & 6 == 0
            values[body[2:end].decode().removeprefix(ROOT)] = body[end:].decode()
        if "version" in values and kind == PUBLISH and not left:
            # All that is retained is on its way by now, and after the answer to this no more comes.
            wire.send(unsubscribe("$SYS/#"))
            left = True
    wire.leave()
    return values


class Mosquitto:
    def __init__(self, folder):
        folder.mkdir()
        self.held = HeldPort()
        self.mqtt_port = self.held.number
        path = folder / "mosquitto.conf"
        path.write_text(f"listener {self.mqtt_port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n"
                        "persistence false\n")
        self.process = subprocess.Popen([MOSQUITTO, "-c", path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.held.close()


@pytest.fixture
def mosquitto(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(tmp_path / "mosquitto")

    def listens():
        with contextlib.suppress(OSError):
            # Nothing is said: a mere connection is in no book that is compared.
            Wire(broker.mqtt_port).close()
            return True

    try:
        until(listens, 30, "mosquitto does not listen")
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def quick(make_wyze):
    """A wyze that publishes its values often."""
    return make_wyze().start("--mqtt-sys-interval=200ms")


def value(port, name):
    return look(port, Books())[name]


@needs_mosquitto
def test_names_are_those_of_mosquitto(quick, mosquitto):
    with Wire(mosquitto.mqtt_port) as wire:
        wire.connected("stays")  # there is no clients/maximum before it has seen somebody
        until(lambda: "clients/maximum" in look(mosquitto.mqtt_port, Books()), 30)
    theirs = set(look(mosquitto.mqtt_port, Books()))
    ours = set(look(quick.mqtt_port, Books()))
    assert ours - theirs == set()
    assert theirs - ours == LEFT_OUT


def write_once(writer, message):
    """Publishes at QoS 2."""
    number = writer.send(message).expect(PUBREC)
    writer.send(ack(PUBREL, int.from_bytes(number, "big")))
    writer.expect(PUBCOMP)


def traffic(port, books):
    """Every kind of packet at least once."""
    wire = [BookedWire(port, books) for _ in range(3)]
    for name, each in zip(("writer", "reader", "sleeper"), wire):
        each.send(connect(name, flags=0 if name == "sleeper" else 2))
        each.expect(CONNACK)
    writer, reader, sleeper = wire
    sleeper.send(subscribe("t/#", "u", "v", qos=2))
    sleeper.expect(SUBACK)
    write_once(writer, publish("v", b"once", qos=2, packet_id=8))
    number = sleeper.message()[3]
    sleeper.send(ack(PUBREC, number))
    sleeper.expect(PUBREL)
    sleeper.leave()
    sleeper = BookedWire(port, books)
    sleeper.send(connect("sleeper", flags=0))
    sleeper.expect(CONNACK)
    sleeper.expect(PUBREL)  # it comes again
    sleeper.send(ack(PUBCOMP, number))
    sleeper.leave()
    reader.send(subscribe("t/#", "w/+", qos=2))
    reader.expect(SUBACK)
    for number in range(1, 4):
        writer.send(publish("t/0", b"seven!!"))
        writer.send(publish("t/1", b"x" * 300, qos=1, packet_id=number))
        writer.expect(PUBACK)
    write_once(writer, publish("t/2", b"kept", qos=2, packet_id=9, flags=1))
    for _ in range(7):
        _, _, flags, packet_id = reader.message()
        if flags & 6 == 2:
            reader.send(ack(PUBACK, packet_id))
        if flags & 6 == 4:
            reader.send(ack(PUBREC, packet_id))
            reader.expect(PUBREL)
            reader.send(ack(PUBCOMP, packet_id))
    writer.send(packet(PINGREQ, 0))
    writer.expect(PINGRESP)
    reader.send(unsubscribe("w/+"))
    reader.expect(UNSUBACK)
    return writer, reader


# What stays as it is while nobody but an observer comes, apart from the books.
AFTER_TRAFFIC = {
    "clients/total": "3", "clients/connected": "2", "clients/active": "2",
    "clients/disconnected": "1", "clients/inactive": "1", "clients/expired": "0",
    "subscriptions/count": "4", "publish/messages/dropped": "0",
}


def balance(port, books, quiet, uncounted=0):
    """Waits until the values are the books of some moment, which they all are at once; UNCOUNTED of the
    PUBLISH packets that were received are not counted as such. Before each look nothing is sent for QUIET
    seconds: values that are published as often are those of a moment between two looks, not within one."""
    history = []

    def balanced():
        time.sleep(quiet)
        history.append({name: str(number) for name, number in books.now.items()})
        history[-1]["publish/messages/received"] = str(books.now["publish/messages/received"] - uncounted)
        seen = look(port, books)
        shown = {name: seen[name] for name in Books.FIELDS}
        present = {name: seen[name] for name in AFTER_TRAFFIC}
        return seen if shown in history and present == AFTER_TRAFFIC else None

    return until(balanced, 20 + 20 * quiet, "the values are no moment's books")


def test_values_balance(quick):
    books = Books()
    wires = traffic(quick.mqtt_port, books)
    seen = balance(quick.mqtt_port, books, quiet=0.5)
    assert seen["version"].startswith("wyze version ")
    assert seen["uptime"].endswith(" seconds") and int(seen["uptime"].split()[0]) < 60
    assert seen["retained messages/count"] == "1"
    # Three messages of QoS 1 and one of QoS 2 wait for the sleeper, and one is retained.
    assert seen["store/messages/count"] == seen["messages/stored"] == "5"
    assert int(seen["clients/maximum"]) in (3, 4)  # with an observer, if the sleeper was there still
    for name in ("messages/received", "messages/sent", "publish/received", "publish/sent",
                 "bytes/received", "bytes/sent", "sockets", "connections"):
        loads = [float(seen[f"load/{name}/{span}"]) for span in ("1min", "5min", "15min")]
        assert loads[0] > loads[1] > loads[2] > 0
    for wire in wires:
        wire.leave()


@needs_mosquitto
def test_the_same_books_balance_with_mosquitto(mosquitto):
    books = Books()
    wires = traffic(mosquitto.mqtt_port, books)
    # Mosquitto 2.0 does not count a PUBLISH of QoS 2 or with the retain flag here.
    balance(mosquitto.mqtt_port, books, uncounted=2, quiet=1.5)
    for wire in wires:
        wire.leave()


def test_what_was_written_last_is_counted(make_wyze):
    wyze = make_wyze().start("--mqtt-sys-interval=5ms")
    books = Books()
    with BookedWire(wyze.mqtt_port, books) as wire:
        wire.send(connect("reader") + subscribe(ROOT + "bytes/sent"))
        wire.expect(CONNACK)
        wire.expect(SUBACK)
        assert wire.message()[1:3] == (b"0", 1)
        for _ in range(100):  # hardly anything happens between the rounds; each has the one before
            before = books.now["bytes/sent"]
            assert int(wire.message()[1]) == before


def test_a_message_for_many_is_stored_once(quick):
    for number in range(3):
        with Wire(quick.mqtt_port) as wire:
            wire.send(connect(f"sleeper-{number}", flags=0))
            wire.expect(CONNACK)
            wire.subscribed("t", qos=1)
    with Wire(quick.mqtt_port) as wire:
        wire.connected("writer").send(publish("t", b"x", qos=1))
        wire.expect(PUBACK)
        until(lambda: value(quick.mqtt_port, "store/messages/count") == "1")
        # One session fetches its message, and another one is ended.
        with Wire(quick.mqtt_port) as sleeper:
            sleeper.send(connect("sleeper-0", flags=0))
            sleeper.expect(CONNACK)
            sleeper.send(ack(PUBACK, sleeper.message()[3])).ping()
        Wire(quick.mqtt_port).connected("sleeper-1").close()
        wire.send(publish("t", b"y", qos=1))
        wire.expect(PUBACK)
        until(lambda: value(quick.mqtt_port, "store/messages/count") == "2")
    quick.stop()
    quick.start("--mqtt-sys-interval=200ms")  # read back from the journal it is the same
    seen = look(quick.mqtt_port, Books())
    assert seen["store/messages/count"] == "2"
    assert seen["subscriptions/count"] == "2"
    assert seen["clients/disconnected"] == "2"


def test_mosquitto_sub_gets_all_at_once_and_then_what_changes(quick):
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto_sub is not installed")
    done = subprocess.run(
        ["mosquitto_sub", "-V", "mqttv311", "-p", str(quick.mqtt_port), "-t", "$SYS/#", "-q", "2", "-F",
         "%r %q %t %p", "-C", "110"], capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    first = [line for retain, qos, line in lines if retain == "1"]
    later = [line for retain, qos, line in lines if retain == "0"]
    assert [retain for retain, *_ in lines] == ["1"] * len(first) + ["0"] * len(later)
    assert {qos for _, qos, _ in lines} == {"0"}
    assert any(line.startswith(ROOT + "version wyze version ") for line in first)
    assert not any(line.startswith(ROOT + "version") for line in later)
    assert ROOT + "clients/connected 0" in first and ROOT + "clients/connected 1" in later
    assert len([line for line in later if line.startswith(ROOT + "clients/connected ")]) == 1
    assert len([line for line in later if line.startswith(ROOT + "uptime ")]) > 1


def test_a_wildcard_in_front_does_not_match(quick):
    with Wire(quick.mqtt_port) as wire, Wire(quick.mqtt_port) as beside:
        wire.connected("wild").subscribed("#", "+/#", "+/broker/uptime", "/#")
        beside.connected("beside").subscribed(ROOT + "uptime")
        for _ in range(4):  # the next rounds have been published when these have come
            assert beside.message()[0] == (ROOT + "uptime").encode()
        wire.ping()


def is_acked(wire, topic):
    wire.send(publish(topic, b"0 seconds"))
    wire.send(publish(topic, b"0 seconds", qos=1, packet_id=1, flags=1))
    assert wire.expect(PUBACK) == b"\0\1"
    wire.send(publish(topic, b"0 seconds", qos=2, packet_id=2, flags=1))
    assert wire.expect(PUBREC) == b"\0\2"
    wire.send(ack(PUBREL, 2))
    assert wire.expect(PUBCOMP) == b"\0\2"


def test_nobody_else_publishes_below_sys(make_wyze):
    wyze = make_wyze().start("--mqtt-sys-interval=1h")
    topics = ("$SYS", ROOT + "uptime", "$SYS/made/up", ROOT + "M/status")
    with Wire(wyze.mqtt_port) as reader, Wire(wyze.mqtt_port) as writer:
        reader.send(connect("reader", flags=0))
        reader.expect(CONNACK)
        reader.subscribed("$SYS", "$SYS/made/#", ROOT + "M/#", "$SYSTEM/#", qos=1)
        will = text("wilful") + text(ROOT + "M/status") + text("0")
        writer.send(connect("", flags=0b101110, payload=will))
        writer.expect(CONNACK)
        for topic in topics:
            is_acked(writer, topic)
        writer.reset()  # the will goes the same way
        until(lambda: metric(wyze, "wyze_mqtt_connections") == 1)
        with Wire(wyze.mqtt_port) as other:
            other.connected("other").send(publish("$SYSTEM/a", b"1", qos=1))
            other.expect(PUBACK)  # a topic like any other
        assert reader.message()[:2] == (b"$SYSTEM/a", b"1")
    assert "mqtt.ignored" in wyze.log()
    done = wyze.cli("pub", ROOT + "uptime", "0 seconds", check=False)
    assert done.returncode != 0 and "below $SYS" in done.stderr
    seen = look(wyze.mqtt_port, Books())
    assert seen["uptime"] == "0 seconds" and "made/up" not in seen  # of the start, an hour is long
    assert seen["retained messages/count"] == "0"
    assert seen["store/messages/count"] == "0"
    assert wyze.records() == []
    with Wire(wyze.mqtt_port) as wire:  # topics are held to the same rules
        wire.connected("wrong").send(publish("$SYS/#", b"x", qos=1))
        assert wire.is_closed()


@needs_mosquitto
def test_mosquitto_acks_and_ignores_too(mosquitto):
    with Wire(mosquitto.mqtt_port) as reader, Wire(mosquitto.mqtt_port) as writer:
        reader.connected("reader").subscribed("$SYS/made/#", "t")
        is_acked(writer.connected("writer"), "$SYS/made/up")
        writer.send(publish("t", b"behind"))
        assert reader.message()[:2] == (b"t", b"behind")


def test_off_means_that_there_are_none(make_wyze):
    wyze = make_wyze().start("--mqtt-sys-interval=0")
    with Wire(wyze.mqtt_port) as wire:
        wire.connected("reader").subscribed("$SYS/#")
        is_acked(wire, ROOT + "uptime")
        wire.ping()


def test_a_persistent_session_is_given_none_for_later(quick):
    with Wire(quick.mqtt_port) as wire:
        wire.send(connect("sleeper", flags=0))
        wire.expect(CONNACK)
        wire.send(subscribe("$SYS/#", qos=2))
        until(lambda: wire.packet()[0] == SUBACK)
    until(lambda: value(quick.mqtt_port, "clients/disconnected") == "1")
    seen = look(quick.mqtt_port, Books())
    uptime = int(seen["uptime"].split()[0])
    assert seen["store/messages/count"] == "0"
    until(lambda: int(value(quick.mqtt_port, "uptime").split()[0]) > uptime)
    with Wire(quick.mqtt_port) as wire:
        wire.send(connect("sleeper", flags=0))
        assert wire.expect(CONNACK) == b"\1\0"
        topic, body, flags, _ = wire.message()  # the next round's first
        assert topic == (ROOT + "uptime").encode() and flags == 0
        assert int(body.split()[0]) > uptime


def test_sessions_that_expire_are_counted(make_wyze):
    wyze = make_wyze().start("--mqtt-sys-interval=200ms", "--mqtt-session-expiry=4s")
    sleepers = [Wire(wyze.mqtt_port) for _ in range(3)]
    for number, wire in enumerate(sleepers):
        wire.send(connect(f"sleeper-{number}", flags=0))
        wire.expect(CONNACK)
        wire.subscribed("t")
    for wire in sleepers:
        wire.close()
    until(lambda: value(wyze.mqtt_port, "clients/disconnected") == "3", 30)
    until(lambda: value(wyze.mqtt_port, "clients/expired") == "3", 30)
    seen = look(wyze.mqtt_port, Books())
    assert seen["clients/disconnected"] == "0"
    assert seen["subscriptions/count"] in ("0", "1")  # an observer's, or none


@pytest.mark.skipif(SANITIZED, reason="memory is measured in the plain build")
def test_a_subscriber_that_reads_nothing_costs_no_more_than_its_share(quick):
    with Wire(quick.mqtt_port) as wire:
        wire.connected("greedy")
        for number in range(40):
            wire.send_what_is_taken(subscribe(*["$SYS/#"] * 1000, packet_id=number + 1))
        # 40,000 times all values would be 80 MB.
        until(lambda: value(quick.mqtt_port, "clients/connected") == "1", 30)
        with open(f"/proc/{quick.process.pid}/status") as status:
            [kib] = [int(line.split()[1]) for line in status if line.startswith("VmRSS:")]
        assert kib < 100 * 1024
