# SPDX-License-Identifier: Apache-2.0
"""A flood of different topics that no rule maps: memory and disk stay bounded, and mapped messages are acked
meanwhile. WZ_SOAK_TOPICS says how many topics (60,000). What they cost, `bench/run --only unmapped` measures."""

import json
import os
import pathlib
import socket
import threading
import time
import urllib.request

import mqtt_wire
from conftest import SANITIZED, until

TOPICS = int(os.environ.get("WZ_SOAK_TOPICS", "60000"))


def connect(wyze, name):
    sock = socket.create_connection(("127.0.0.1", wyze.mqtt_port), timeout=120)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(mqtt_wire.connect(name))
    assert sock.recv(4) == b"\x20\x02\x00\x00"
    return sock


def ping(sock):
    """All that was sent before it has been taken in."""
    sock.sendall(b"\xc0\x00")
    assert sock.recv(2) == b"\xd0\x00"


def flood(wyze, prefix, count, rate=0, stop=None):
    """COUNT messages, each of a topic of its own."""
    sock = connect(wyze, prefix.replace("/", "-"))
    begin = time.monotonic()
    for start in range(0, count, 500):
        if stop is not None and stop.is_set():
            break
        sock.sendall(b"".join(
            mqtt_wire.publish(f"{prefix}/{i}/value", b'{"temperature":21.5}')
            for i in range(start, min(start + 500, count))))
        if rate:
            time.sleep(max(0, begin + start / rate - time.monotonic()))
    ping(sock)
    sock.close()


def resident_kib(wyze):
    for line in pathlib.Path(f"/proc/{wyze.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def start(make_wyze):
    wyze = make_wyze().start("--inbox-max-bytes=8MiB")
    wyze.import_mapping('[Device]\n"mapped/device" = "mapped"\n[Types]\ninput = value\n')
    return wyze


def test_a_flood_of_unknown_topics_is_bounded(make_wyze):
    wyze = start(make_wyze)
    flood(wyze, "warm", 5000)
    before = resident_kib(wyze)
    flood(wyze, "unknown", TOPICS)
    grown = resident_kib(wyze) - before
    with urllib.request.urlopen(wyze.url("/api/v1/inbox"), timeout=60) as answer:
        inbox = json.load(answer)
    print(f"{TOPICS} topics: {grown} KiB more, {inbox['kept_bytes']} bytes kept")
    assert inbox["topics"] == 4096
    if not SANITIZED:
        assert grown < 48 * 1024  # the exchange's cache of topics among it

    def is_capped():
        folder = wyze.data / "unmapped"
        return sum(path.stat().st_size for path in folder.glob("*.log")) < 11 * 1024 * 1024

    until(is_capped, what="what is kept went beyond its limit")


def test_mapped_messages_are_acked_under_a_flood(make_wyze):
    wyze = start(make_wyze)
    stop = threading.Event()
    thread = threading.Thread(target=flood, args=(wyze, "flood", 10**9, 17000, stop))
    thread.start()
    try:
        sock = connect(wyze, "mapped")
        for value in range(500):
            sock.sendall(mqtt_wire.publish("mapped/device/t/value", b"%d" % value, qos=1))
            assert sock.recv(4) == b"\x40\x02\x00\x01"
        sock.close()
    finally:
        stop.set()
        thread.join()
    values = [record["body"]["value"] for record in wyze.records("raw-stream", "mapped.#")]
    assert values == [str(value) for value in range(500)]
