# SPDX-License-Identifier: Apache-2.0
"""The line that counts what the processor is told to do, with valgrind's cachegrind: where runs differ
by more than what is looked for, as processor time does on a shared machine, instructions and the
cache's misses do not."""

import re
import socket

from driver.mapping import CAPTURES, FEW, MANY, SUBTOPICS, mapping_of
from driver.server import BenchError, MQTT_CONNECT, Wyze, find_program

BODY = b'{"temperature": 21.5, "humidity": 40.25, "battery": 97, "seen": "a hundred bytes, as elsewhere"}'
LESS = 50_000  # Messages; the difference to MORE is without the start and the end.
MORE = 250_000
ANSWER_TIMEOUT_S = 600
PINGREQ, PINGRESP = b"\xc0\0", b"\xd0\0"
SUMMARY = r"(?m)^==\d+== (?:I\s+refs|D1\s+misses|LLd misses): +([\d,]+)"


class Counted(Wyze):
    """wyze under cachegrind."""

    @classmethod
    def missing(cls, settings):
        return super().missing(settings) or (
            None if find_program("valgrind") else "valgrind is not installed"
        )

    def command(self):
        counter = [find_program("valgrind"), "--tool=cachegrind", "--cache-sim=yes"]
        return [*counter, "--cachegrind-out-file=/dev/null", *super().command()]


def _publish(topic):
    length = 2 + len(topic) + len(BODY)
    head = [0x30, length] if length < 128 else [0x30, length & 127 | 128, length >> 7]
    return bytes(head) + len(topic).to_bytes(2, "big") + topic + BODY


def _count(kind, settings, devices, messages):
    """Instructions, misses of the first cache and of the last one, of a server's whole life."""
    topics = [b"bench/%d/s%d/status" % (d, s) for d in range(FEW) for s in range(SUBTOPICS)]
    part = b"".join(map(_publish, topics)) * 10
    with kind(settings, mapping_of(devices)) as server:
        with socket.create_connection(("127.0.0.1", server.port), ANSWER_TIMEOUT_S) as session:
            session.sendall(MQTT_CONNECT)
            session.recv(4)
            for _ in range(messages // (10 * len(topics))):
                session.sendall(part)
            session.sendall(PINGREQ)
            if session.recv(2) != PINGRESP:
                raise BenchError("the ping is not answered")
        recorded = server.metric("wyze_demux_mapped_total")
        server.stop()
        if recorded != messages:
            raise BenchError(f"{recorded} messages of {messages} are mapped")
        counts = re.findall(SUMMARY, server.output())
    if len(counts) != 3:
        raise BenchError("cachegrind counted nothing")
    return [int(count.replace(",", "")) for count in counts]


def _each(kind, settings, devices):
    less, more = (_count(kind, settings, devices, messages) for messages in (LESS, MORE))
    return [(b - a) / (MORE - LESS) for a, b in zip(less, more)]


def measure_instructions(kind, settings, _line):
    """What a message takes of them."""
    few, many, captures = (_each(kind, settings, devices) for devices in (FEW, MANY, CAPTURES))
    return {
        "few_instructions": few[0],
        "many_ratio": many[0] / few[0],
        "captures_ratio": captures[0] / few[0],
        "few_misses": few[1],
        "many_misses": many[1],
        "captures_misses": captures[1],
        "few_last_misses": few[2],
        "many_last_misses": many[2],
        "captures_last_misses": captures[2],
    }
