# SPDX-License-Identifier: Apache-2.0
"""Plays the engine for one wyze-python, with a codec of its own for docs/formats/worker.md."""

import os
import socket
import struct
import subprocess
import zlib

from conftest import BUILD

LOAD, START, BATCH, DRAIN, STATE, FOUND = range(1, 7)
READY, INVALID, STARTED, RESULT, LOG, DRAINED, QUERY = range(65, 72)
OK, EXCEPTION, REFUSED, DEFERRED = range(4)
EMIT, TRACE, TERMINATE, SEEN = range(1, 5)
SHARED = 64
GONE = 0xFFFFFFFF


class Parts:
    """Takes a payload apart from its front."""

    def __init__(self, payload):
        self.left = payload

    def get(self, form):
        size = struct.calcsize(">" + form)
        values = struct.unpack(">" + form, self.left[:size])
        self.left = self.left[size:]
        return values

    def take(self, size):
        assert len(self.left) >= size
        taken, self.left = self.left[:size], self.left[size:]
        return taken


def record(offset, topic, body, append_ms=0, lane=None, opens=False, hops=0, stream=0):
    """A record as it stands in a BATCH."""
    topic, body = topic.encode(), body.encode()
    lane = zlib.crc32(topic) % 64 if lane is None else lane  # any hash will do for a worker
    return struct.pack(">BBBBHIqq", stream, hops, lane, opens, len(topic), len(body), offset,
                       append_ms) + topic + body


def results(payload):
    """The results of a payload, each (status, offset, before, items), and the changes behind them
    as {(lane, key): text or None}."""
    parts = Parts(payload)
    found, changes = [], {}
    for _ in range(parts.get("I")[0]):
        _, status, before, offset, count, size = parts.get("BBIqII")
        inner, items = Parts(parts.take(size)), []
        for _ in range(count):
            kind, length = inner.get("BI")
            items.append((kind, inner.take(length)))
        assert not inner.left
        found.append((status, offset, before, items))
    for _ in range(parts.get("I")[0]):
        lane, key_size, size = parts.get("BHI")
        key = parts.take(key_size).decode()
        assert (lane, key) not in changes
        changes[lane, key] = None if size == GONE else parts.take(size).decode()
    assert not parts.left
    return found, changes


def output(item):
    """Topic, body and whether it is to be kept, of an EMIT item."""
    parts = Parts(item)
    _, flags, size = parts.get("BBB")
    return parts.take(size).decode(), parts.left, bool(flags & 1)


class Worker:
    """One process. A context manager that kills it at its end."""

    def __init__(self):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(30)
        self.bytes = b""

        def keep():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)

        self.process = subprocess.Popen([BUILD / "src/worker/wyze-python", "page", str(os.getpid())],
                                        env={}, close_fds=False, preexec_fn=keep,
                                        stdin=subprocess.DEVNULL)
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(30)
        self.socket.close()

    def send(self, kind, payload=b""):
        self.socket.sendall(struct.pack(">IB", len(payload), kind) + payload)

    def load(self, code, config="{}", name="page", laned=False):
        name, code, config = name.encode(), code.encode(), config.encode()
        self.send(LOAD, struct.pack(">BHII", laned, len(name), len(code), len(config)) + name + code +
                  config)

    def send_list(self, kind, members):
        self.send(kind, struct.pack(">I", len(members)) + b"".join(members))

    def send_found(self, records):
        self.send(FOUND, struct.pack(">II", 0, len(records)) + b"".join(records))

    def read(self, size):
        while len(self.bytes) < size:
            more = self.socket.recv(1 << 20)
            assert more, f"the worker has ended: {self.process.wait(30)}"
            self.bytes += more
        taken, self.bytes = self.bytes[:size], self.bytes[size:]
        return taken

    def next(self):
        """Type and payload of the next frame."""
        size, kind = struct.unpack(">IB", self.read(5))
        return kind, self.read(size)
