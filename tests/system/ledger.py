# SPDX-License-Identifier: Apache-2.0
"""A client that keeps books: before a message of QoS 1 leaves, it stands in a file that is synced; a
PUBACK stands there before anything follows from it. After a crash of the server the books say what
must be on its stream, and how often it may be there at most."""

import collections
import os
import random
import re
import select
import socket
import string
import struct
import threading
import time
import zlib

from segments import read_stream

CONNECT = struct.pack(">H4sBBH", 4, b"MQTT", 4, 2, 0)  # clean session, no keep-alive
DUP = 0x08
PAD = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=200_000))
STAMPS = re.compile(rb'\{"_id":"[0-9a-f-]{36}","_timestamp":\d{13},"_topic":"([a-z0-9.]+)"')
BULK_TOPIC = 99  # its bodies are large
PROBE = "ledger.probe"  # the topic of records that are none of the ledger's
NUMBERS = re.compile(rb'(?:,"t":(\d+),"n":(\d+),|"value":"t=(\d+) n=(\d+) )')


def mapping(topics):
    """The mapping file under which the ledger's topics become records."""
    numbers = [*range(topics), BULK_TOPIC]
    devices = "".join(f'"ledger/{t}" = "ledger.t{t}"\n' for t in numbers)
    devices += f'"ledger/probe" = "{PROBE}"\n'
    return f"[Device]\n{devices}\n[Subtopic]\n\n[Types]\ninput = status\noutput = command\n"


def body_of(seed, topic, number):
    """The body of a message: the same each time it is asked for."""
    dice = zlib.crc32(f"{seed}/{topic}/{number}".encode())
    length = dice >> 8 & 0x7F
    if dice % 4000 == 3:
        length = 70_000  # more than a batch of its own
    elif dice % 100 == 1:
        length = 3000
    if topic == BULK_TOPIC:
        length = 60_000
    start = dice % (len(PAD) - length)
    pad = PAD[start : start + length]
    checksum = zlib.crc32(pad.encode())
    if dice % 10 == 0:
        return f"t={topic} n={number} sum={checksum} {pad}".rstrip().encode()
    return f'{{"t":{topic},"n":{number},"sum":{checksum},"pad":"{pad}"}}'.encode()


def packet(kind, body):
    """An MQTT packet: first byte, remaining length, body."""
    length = len(body)
    head = bytearray([kind])
    while True:
        head.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
        if length == 0:
            return bytes(head) + body


class Books:
    """The ledger file: a line for each message sent, sent again, and acked."""

    def __init__(self, path):
        self.path = path
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.lines = []

    def note(self, what, topic, number):
        self.lines.append(f"{what} {topic} {number}\n")

    def sync(self):
        if self.lines:
            os.write(self.file, "".join(self.lines).encode())
            os.fdatasync(self.file)
            self.lines = []


def read_books(path):
    """(sent, acked): how often each (topic, number) was sent, and which were acked. A message sent
    again after its PUBACK would be the client's own fault."""
    sent = collections.Counter()
    acked = set()
    with open(path, encoding="ascii") as lines:
        for line in lines:
            what, topic, number = line.split()
            key = (int(topic), int(number))
            if what == "acked":
                acked.add(key)
                continue
            assert key not in acked, f"{key} was sent again after its PUBACK"
            assert (what == "sent") == (sent[key] == 0), f"{key}: {what}"
            sent[key] += 1
    return sent, acked


class Link:
    """One connection with its own topics and its window of messages under way."""

    def __init__(self, name, topics):
        self.name = name
        self.topics = topics
        self.next = {topic: 0 for topic in topics}
        self.turn = 0
        self.unacked = collections.OrderedDict()  # packet id -> (topic, number), oldest first
        self.last_id = 0
        self.socket = None
        self.connected = False
        self.out = bytearray()
        self.got = bytearray()
        self.again_at = 0.0

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.connected = False
        self.out.clear()
        self.got.clear()
        self.again_at = time.monotonic() + 0.02

    def new_id(self):
        self.last_id = self.last_id % 65535 + 1
        assert self.last_id not in self.unacked
        return self.last_id


class Ledger(threading.Thread):
    """Publishes on many topics over some connections until it is told to stop, through any number of
    crashes of the server. Set `port` to follow the server to another one."""

    def __init__(self, port, path, seed, links=4, topics=range(12), window=100, rate=6000):
        super().__init__(name="ledger", daemon=True)
        self.port = port
        self.seed = seed
        self.window = window
        self.rate = rate
        self.books = Books(path)
        self.links = [Link(f"ledger-{i}", topics[i::links]) for i in range(links)]
        self.sent = 0
        self.acked = 0
        self.turns = 0
        self.error = None
        self.publishing = threading.Event()
        self.publishing.set()
        self.online = threading.Event()
        self.online.set()
        self.stopping = False
        self.begun = time.monotonic()

    def run(self):
        try:
            while not self.stopping:
                self.turn()
                self.turns += 1
        except BaseException as error:  # it is told by check(), in the test's own thread
            self.error = error
        finally:
            for link in self.links:
                link.close()

    def check(self):
        if self.error is not None:
            raise self.error

    def unacked(self):
        return sum(len(link.unacked) for link in self.links)

    def pause(self):
        """Nothing new is sent from here on; what is under way goes on."""
        self.publishing.clear()

    def resume(self):
        self.publishing.set()

    def go_offline(self):
        """Closes all connections and makes none."""
        self.online.clear()
        self.wait(lambda: all(link.socket is None for link in self.links), 30, "still connected")

    def go_online(self):
        self.online.set()

    def wait_acked(self, more, seconds=60):
        """Waits until so many more messages have been acked."""
        target = self.acked + more
        self.wait(lambda: self.acked >= target, seconds, f"{more} more PUBACKs did not come")

    def wait_standing(self, seconds=60):
        """Waits until nothing more is acked: each window is full, and stays so while what was on its way
        here is read, for half a second and some turns."""
        seen = None

        def stands():
            nonlocal seen
            full = all(len(link.unacked) >= self.window for link in self.links)
            if not full or seen is None or seen[0] != self.acked:
                seen = self.acked, self.turns, time.monotonic()
            return full and self.turns > seen[1] + 3 and time.monotonic() > seen[2] + 0.5

        self.wait(stands, seconds, "the windows did not fill")

    def drain(self, seconds=60):
        """Waits until everything that was sent has been acked."""
        self.pause()
        self.wait(lambda: self.unacked() == 0, seconds, "not all that was sent has been acked")

    def stop(self):
        self.stopping = True
        self.join(10)
        self.check()

    def wait(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            assert time.monotonic() < deadline, (
                f"{what}: {self.sent} sent, {self.acked} acked, {self.unacked()} under way, "
                f"connected: {[link.connected for link in self.links]}")
            time.sleep(0.002)
        self.check()

    # One turn: what came in, the books, what goes out.

    def turn(self):
        now = time.monotonic()
        for link in self.links:
            if not self.online.is_set():
                link.close()
            elif link.socket is None and now >= link.again_at:
                self.connect(link)
        live = [link for link in self.links if link.socket is not None]
        writers = [link.socket for link in live if link.out]
        readers = [link.socket for link in live]
        ready, writable, _ = select.select(readers, writers, [], 0.002)
        for link in live:
            if link.socket in ready:
                self.receive(link)
        for link in live:
            if link.connected and self.publishing.is_set():
                self.refill(link)
        self.books.sync()
        for link in live:
            if link.socket is not None and link.out:
                self.send(link)

    def connect(self, link):
        link.socket = socket.socket()
        try:
            link.socket.connect(("127.0.0.1", self.port))
        except OSError:
            link.close()
            return
        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.socket.setblocking(False)
        name = link.name.encode()
        link.out += packet(0x10, CONNECT + struct.pack(">H", len(name)) + name)

    def receive(self, link):
        try:
            part = link.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            link.close()
            return
        link.got += part
        while len(link.got) >= 4:
            kind, length, value = struct.unpack_from(">BBH", link.got)
            assert length == 2, f"an unexpected packet: {bytes(link.got[:16])!r}"
            del link.got[:4]
            if kind == 0x20:
                assert value == 0, f"CONNACK says {value}"
                self.connack(link)
            else:
                assert kind == 0x40, f"an unexpected packet of kind {kind:#x}"
                self.puback(link, value)

    def connack(self, link):
        link.connected = True
        for packet_id, (topic, number) in link.unacked.items():
            self.books.note("again", topic, number)
            link.out += self.publish(packet_id, topic, number, DUP)

    def puback(self, link, packet_id):
        oldest = next(iter(link.unacked), None)
        assert packet_id == oldest, f"PUBACK for {packet_id}, the oldest under way is {oldest}"
        topic, number = link.unacked.pop(packet_id)
        self.books.note("acked", topic, number)
        self.acked += 1

    def refill(self, link):
        allowed = (time.monotonic() - self.begun) * self.rate
        while len(link.unacked) < self.window and self.sent < allowed:
            topic = link.topics[link.turn % len(link.topics)]
            link.turn += 1
            number = link.next[topic]
            link.next[topic] = number + 1
            packet_id = link.new_id()
            link.unacked[packet_id] = (topic, number)
            self.books.note("sent", topic, number)
            self.sent += 1
            link.out += self.publish(packet_id, topic, number, 0)

    def publish(self, packet_id, topic, number, dup):
        name = f"ledger/{topic}/status".encode()
        head = struct.pack(">H", len(name)) + name + struct.pack(">H", packet_id)
        return packet(0x32 | dup, head + body_of(self.seed, topic, number))

    def send(self, link):
        try:
            done = link.socket.send(link.out)
        except BlockingIOError:
            return
        except OSError:
            link.close()
            return
        del link.out[:done]


def key_of(body):
    """The (topic, number) that a record's body carries."""
    found = NUMBERS.search(body)
    assert found, f"a record that the ledger never sent: {body[:200]!r}"
    topic, number = (found[1], found[2]) if found[1] else (found[3], found[4])
    return int(topic), int(number)


def check_record(seed, record):
    """Whether a record is what was sent, to the byte; returns its (topic, number)."""
    key = key_of(record.body)
    body = body_of(seed, *key)
    stamps = STAMPS.match(record.body)
    assert stamps and stamps[1].decode() == record.topic == f"ledger.t{key[0]}", record
    rest = record.body[stamps.end() :]
    sent = b"," + body[1:] if body.startswith(b"{") else b',"value":"' + body + b'"}'
    assert rest == sent, f"offset {record.offset} was altered: {rest[:200]!r} was {sent[:200]!r}"
    return key


def check_order(keys):
    """For each topic the first occurrences ascend, one by one."""
    following = collections.Counter()
    for topic, number in keys:
        assert number <= following[topic], (
            f"topic {topic}: {number} stands before {following[topic]}")
        if number == following[topic]:
            following[topic] += 1


def verify(folder, books_path, seed, seen=None):
    """Holds the stream in FOLDER, as its files have it, against the books, and against what was seen
    of it before (Seen). Returns what the folder holds."""
    sent, acked = read_books(books_path)
    contents = read_stream(folder)
    last = -1
    keys = []
    for record in contents.records:
        assert record.offset > last, f"offset {record.offset} stands behind {last}"
        last = record.offset
        if record.topic != PROBE:
            keys.append(check_record(seed, record))
    found = collections.Counter(keys)
    lost = acked - found.keys()
    assert not lost, (
        f"{len(lost)} acked messages are lost, such as {sorted(lost)[:5]}; damaged: "
        f"{contents.damaged}, torn: {contents.torn}, hidden: {contents.hidden}")
    double = {key: count for key, count in found.items() if count > sent[key]}
    assert not double, f"more often there than it was sent: {sorted(double.items())[:5]}"
    check_order(keys)
    if seen is not None:
        seen.add_all(contents.records)
    return contents


class Seen:
    """Remembers which body each offset showed; an offset that shows another one is an error."""

    def __init__(self):
        self.bodies = {}
        self.lock = threading.Lock()

    def add(self, offset, body):
        checksum = zlib.crc32(body)
        with self.lock:
            before = self.bodies.setdefault(offset, checksum)
        assert before == checksum, f"offset {offset} showed another record before: {body[:200]!r}"

    def add_all(self, records):
        for record in records:
            self.add(record.offset, record.body)
