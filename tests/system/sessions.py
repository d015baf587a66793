# SPDX-License-Identifier: Apache-2.0
"""Clients with persistent sessions that keep books through any number of crashes of the server: they
publish at QoS 1 and 2, subscribe at QoS 1 and 2, set retained values; and the verdict over what they
and raw-stream have in the end. Every client remembers its own session, as the standard wants."""

import collections
import random
import re
import select
import socket
import struct
import threading
import time

from mqtt_wire import (
    CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, PINGREQ, PINGRESP, SUBACK, ack, connect,
    packet, publish, subscribe,
)
from segments import read_stream

MAPPING = (
    "[Device]\n" + "".join(f'"sess/{w}" = "sess.w{w}"\n' for w in range(4))
    + "\n[Subtopic]\n\n[Types]\ninput = status\noutput = command\n"
)
BODY = re.compile(rb'"w":(\d+),"q":(\d),"n":(\d+)')
DUP = 8


class Peer(threading.Thread):
    """One client with one connection at a time, made again whenever it is lost."""

    def __init__(self, port, name, clean=False):
        super().__init__(name=name, daemon=True)
        self.port = port
        self.clean = clean
        self.rng = random.Random(name)
        self.socket = None
        self.connected = False
        self.connects = 0
        self.got = bytearray()
        self.out = bytearray()
        self.error = None
        self.stopping = False
        self.offline = False
        self.ping_wanted = False
        self.pongs = 0

    def run(self):
        try:
            while not self.stopping:
                self.turn()
        except BaseException as error:  # told by check(), in the test's own thread
            self.error = error
        finally:
            self.close()

    def stop(self):
        self.stopping = True
        self.join(10)
        self.check()

    def check(self):
        if self.error is not None:
            raise self.error

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.connected = False
        self.got.clear()
        self.out.clear()

    def open(self):
        self.socket = socket.socket()
        self.socket.settimeout(5)
        try:
            self.socket.connect(("127.0.0.1", self.port))
        except OSError:
            self.close()
            time.sleep(0.02)
            return
        self.socket.setblocking(False)
        self.out += connect(self.name, flags=2 if self.clean else 0)

    def turn(self):
        if self.offline:
            self.close()
            time.sleep(0.01)
            return
        if self.socket is None:
            self.open()
            return
        if self.connected:
            self.work()
            if self.ping_wanted:
                self.ping_wanted = False
                self.out += packet(PINGREQ, 0)
        readable, writable, _ = select.select([self.socket], [self.socket] if self.out else [], [],
                                              0.01)
        try:
            if writable:
                sent = self.socket.send(self.out)
                del self.out[:sent]
            part = self.socket.recv(65536) if readable else None
        except OSError:
            part = b""
        if part == b"":
            self.close()
        elif part:
            self.got += part
            self.parse()

    def parse(self):
        pos = 0
        while len(self.got) - pos >= 2:
            length, shift, at = 0, 0, pos + 1
            while True:
                if at >= len(self.got):
                    del self.got[:pos]
                    return
                length |= (self.got[at] & 127) << shift
                shift += 7
                at += 1
                if self.got[at - 1] < 128:
                    break
            if len(self.got) < at + length:
                break
            self.take(self.got[pos] >> 4, self.got[pos] & 15, bytes(self.got[at : at + length]))
            pos = at + length
        del self.got[:pos]

    def take(self, kind, flags, body):
        if kind == CONNACK:
            assert body[1] == 0, f"{self.name}: CONNACK says {body[1]}"
            present = body[0] == 1
            self.connects += 1
            self.connected = True
            self.on_connected(present)
        elif kind == PINGRESP:
            self.pongs += 1
        else:
            self.on_packet(kind, flags, body)

    def work(self):
        """What there is to do in each turn."""

    def on_connected(self, present):
        raise NotImplementedError

    def on_packet(self, kind, flags, body):
        raise NotImplementedError


class Writer(Peer):
    """Publishes numbered messages, at both QoS in turn, on one topic for each."""

    def __init__(self, port, number, qos=(1, 2), window=50, rate=1500, pad=20):
        super().__init__(port, f"writer-{number}")
        self.pad = pad
        self.number = number
        self.qos = qos
        self.window = window
        self.rate = rate
        self.begun = time.monotonic()
        self.sent = collections.Counter()  # (qos, n) -> how often
        self.acked = set()
        self.next = collections.Counter()
        self.flight = collections.OrderedDict()  # packet id -> [qos, n, whether PUBREC has come]
        self.last_id = 0
        self.paused = False

    def topic(self, qos):
        return f"sess/{self.number}/q{qos}/status"

    def body(self, qos, n):
        pad = "x" * (self.pad if n % 50 else 3000)
        return f'{{"w":{self.number},"q":{qos},"n":{n},"pad":"{pad}"}}'.encode()

    def send(self, packet_id, qos, n, flags=0):
        self.sent[qos, n] += 1
        self.out += publish(self.topic(qos), self.body(qos, n), qos, packet_id, flags)

    def on_connected(self, present):
        assert present or self.connects == 1 or not self.acked, f"{self.name}: its session is lost"
        for packet_id, (qos, n, received) in self.flight.items():
            if received:
                self.out += ack(PUBREL, packet_id)
            else:
                self.send(packet_id, qos, n, DUP)

    def work(self):
        while (not self.paused and len(self.flight) < self.window
               and sum(self.next.values()) < (time.monotonic() - self.begun) * self.rate):
            qos = self.qos[sum(self.next.values()) % len(self.qos)]
            n = self.next[qos]
            self.next[qos] += 1
            while True:
                self.last_id = self.last_id % 65535 + 1
                if self.last_id not in self.flight:
                    break
            self.flight[self.last_id] = [qos, n, False]
            self.send(self.last_id, qos, n)

    def on_packet(self, kind, flags, body):
        packet_id = struct.unpack(">H", body)[0]
        message = self.flight.get(packet_id)
        if kind == PUBREC:
            if message is not None:
                message[2] = True
            self.out += ack(PUBREL, packet_id)
            return
        assert kind in (PUBACK, PUBCOMP), f"{self.name}: packet {kind}"
        assert message is not None, f"{self.name}: packet {kind} for {packet_id}"
        assert (kind == PUBCOMP) == (message[0] == 2)
        self.acked.add((message[0], message[1]))
        del self.flight[packet_id]


class Reader(Peer):
    """Subscribes once and never again: its session is to remember."""

    def __init__(self, port, number, qos, filter="sess/#"):
        super().__init__(port, f"reader-{number}")
        self.qos = qos
        self.filter = filter
        self.subscribed = False
        self.got_keys = []  # (writer, qos, n) in the order they came, doubles too
        self.held = set()  # packet ids of QoS 2 messages between PUBLISH and PUBREL
        self.wrong = []

    def on_connected(self, present):
        if not self.subscribed:
            self.out += subscribe(self.filter, qos=self.qos)
        else:
            assert present, f"{self.name}: its session is lost"

    def on_packet(self, kind, flags, body):
        if kind == SUBACK:
            assert body[2] == self.qos
            self.subscribed = True
        elif kind == PUBLISH:
            self.on_message(flags, body)
        else:
            assert kind == PUBREL, f"{self.name}: packet {kind}"
            packet_id = struct.unpack(">H", body)[0]
            self.held.discard(packet_id)
            self.out += ack(PUBCOMP, packet_id)

    def on_message(self, flags, body):
        end = 2 + struct.unpack_from(">H", body)[0]
        qos = flags >> 1 & 3
        assert qos > 0, f"{self.name}: a message came at QoS 0"
        packet_id = struct.unpack_from(">H", body, end)[0]
        found = BODY.search(body[end + 2 :])
        key = tuple(int(text) for text in found.groups())
        assert qos == min(key[1], self.qos)
        if qos == 1:
            self.got_keys.append(key)
            self.out += ack(PUBACK, packet_id)
            return
        if packet_id not in self.held:
            self.held.add(packet_id)
            self.got_keys.append(key)
        self.out += ack(PUBREC, packet_id)


class Keeper(Peer):
    """Sets retained values, one number higher each time, on some topics."""

    def __init__(self, port, topics=20):
        super().__init__(port, "keeper", clean=True)
        self.topics = topics
        self.sent = collections.Counter()
        self.acked = collections.Counter()
        self.under_way = {}  # packet id -> (topic, value)
        self.last_id = 0
        self.paused = False

    def on_connected(self, present):
        self.under_way.clear()

    def work(self):
        if self.paused or self.under_way:
            return
        for _ in range(5):
            topic = self.rng.randrange(self.topics)
            self.sent[topic] += 1
            self.last_id = self.last_id % 60000 + 1
            self.under_way[self.last_id] = (topic, self.sent[topic])
            self.out += publish(f"kept/{topic}", b"%d" % self.sent[topic], 1, self.last_id, 1)

    def on_packet(self, kind, flags, body):
        topic, value = self.under_way.pop(struct.unpack(">H", body)[0])
        self.acked[topic] = max(self.acked[topic], value)


def until_done(peers, condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        for peer in peers:
            peer.check()
        assert time.monotonic() < deadline, what()
        time.sleep(0.005)


def first_occurrences(keys):
    """Each key once, where it came first."""
    return list(dict.fromkeys(keys))


def check_stream(writers, records):
    """What stands on raw-stream against the writers' books."""
    found = collections.Counter()
    order = collections.defaultdict(list)
    for record in records:
        match = BODY.search(record.body)
        if not match:
            continue
        writer, qos, n = (int(text) for text in match.groups())
        found[writer, qos, n] += 1
        order[writer, qos].append(n)
    for writer in writers:
        for qos, n in writer.acked:
            count = found[writer.number, qos, n]
            assert count > 0, f"{writer.name}: QoS {qos} number {n} was acked and is not there"
            assert qos == 1 or count == 1, f"{writer.name}: QoS 2 number {n} is there {count} times"
            assert count <= writer.sent[qos, n]
    for key, numbers in order.items():
        firsts = first_occurrences(numbers)
        assert firsts == sorted(firsts), f"the order of {key} was not kept"


def missing(writers, reader):
    """Acked messages that a reader has not had."""
    had = set(reader.got_keys)
    return [(w.number, qos, n) for w in writers for qos, n in w.acked
            if (w.number, qos, n) not in had]


def check_reader(writers, reader):
    counts = collections.Counter(reader.got_keys)
    for key, count in counts.items():
        if min(key[1], reader.qos) == 2:
            assert count == 1, f"{reader.name}: {key} came {count} times at QoS 2"
    assert not missing(writers, reader)
    for writer in writers:
        for qos in writer.qos:
            numbers = first_occurrences(
                n for w, q, n in reader.got_keys if (w, q) == (writer.number, qos))
            assert numbers == sorted(numbers), f"{reader.name}: order of {writer.name}, QoS {qos}"


def check_kept(port, keeper):
    """The retained values against the keeper's books."""
    values = {}
    with socket.create_connection(("127.0.0.1", port), 5) as wire:
        wire.sendall(connect("looker") + subscribe("kept/#"))
        got = bytearray()
        wire.settimeout(5)
        while len(values) < len(keeper.acked):
            got += wire.recv(65536)
            values = parse_kept(bytes(got))
    for topic, acked in keeper.acked.items():
        value = values.get(topic)
        assert value is not None and acked <= value <= keeper.sent[topic], (
            f"kept/{topic} is {value}, acked {acked}, sent {keeper.sent[topic]}")


def parse_kept(data):
    """Retained messages out of what a socket gave: topic number -> value."""
    values, pos = {}, 0
    while pos + 2 <= len(data) and pos + 2 + data[pos + 1] <= len(data):
        kind, flags, body = data[pos] >> 4, data[pos] & 15, data[pos + 2 : pos + 2 + data[pos + 1]]
        pos += 2 + data[pos + 1]
        if kind == PUBLISH:
            end = 2 + struct.unpack_from(">H", body)[0]
            assert flags & 1, "a retained message came without its flag"
            values[int(body[2 + len("kept/") : end])] = int(body[end:])
    return values


class Crowd:
    """Writers, readers and a keeper at one wyze."""

    def __init__(self, wyze, writers=2, **options):
        self.wyze = wyze
        self.readers = [Reader(wyze.mqtt_port, 1, 1), Reader(wyze.mqtt_port, 2, 2)]
        self.writers = [Writer(wyze.mqtt_port, number, **options) for number in range(writers)]
        self.keeper = Keeper(wyze.mqtt_port)
        self.peers = [*self.readers, *self.writers, self.keeper]

    def begin(self):
        for reader in self.readers:
            reader.start()
        until_done(self.readers, lambda: all(reader.subscribed for reader in self.readers), 30,
                   lambda: "no SUBACK")
        for peer in self.peers[len(self.readers):]:
            peer.start()
        return self

    def acked(self):
        return sum(len(writer.acked) for writer in self.writers)

    def wait_acked(self, more, seconds=30):
        target = self.acked() + more
        until_done(self.peers, lambda: self.acked() >= target, seconds,
                   lambda: f"{target - self.acked()} acks are missing\n{self.wyze.log()[-3000:]}")

    def drain(self, seconds=60):
        """Everything that was sent is acked, and has come to every reader."""
        self.keeper.paused = True
        for writer in self.writers:
            writer.paused = True
        until_done(self.peers, lambda: not any(writer.flight for writer in self.writers)
                   and not self.keeper.under_way, seconds,
                   lambda: f"under way: {[dict(w.flight) for w in self.writers]}")
        until_done(self.peers, lambda: not any(missing(self.writers, r) for r in self.readers),
                   seconds, lambda: f"not come: {[missing(self.writers, r)[:5] for r in self.readers]}")
        until_done(self.peers, lambda: not any(reader.held for reader in self.readers), seconds,
                   lambda: "QoS 2 messages are not completed")
        # The server has read the last acks when it has answered what came behind them.
        pongs = [reader.pongs for reader in self.readers]
        for reader in self.readers:
            reader.ping_wanted = True
        until_done(self.peers, lambda: all(
            reader.pongs > before for reader, before in zip(self.readers, pongs)), seconds,
            lambda: "no PINGRESP")

    def finish(self):
        self.drain()
        check_kept(self.wyze.mqtt_port, self.keeper)
        self.stop()
        assert self.wyze.stop() == 0, self.wyze.log()
        contents = read_stream(self.wyze.data / "raw-stream")
        check_stream(self.writers, contents.records)
        for reader in self.readers:
            check_reader(self.writers, reader)

    def stop(self):
        for peer in self.peers:
            peer.stopping = True
        for peer in self.peers:
            peer.join(10)
            peer.check()
