# SPDX-License-Identifier: Apache-2.0
"""The lines about the mapping: what a message costs at 10 and at 100,000 devices, with captures and
unmapped; how soon a change is in force among 100,000 devices, and how long the loop stands still."""

import http.client
import json
import socket
import threading
import time

from driver import process
from driver.load import count_recorded, measure_load
from driver.server import BenchError, MQTT_CONNECT

FEW = 10
MANY = 100_000
SUBTOPICS = 10
CHANGES = 50
PING_S = 0.0005
TIMEOUT_S = 30
CAPTURES = "captures"  # One device with a capture stands for all.


def _mapping(devices):
    """A mapping of so many devices, or of CAPTURES, or (0) of none that the load has."""
    lines = ["[Device]"]
    if devices == CAPTURES:
        lines.append('"bench/{number}" = "bench.{number}"')
    else:
        lines += [f'"bench/{number}" = "bench.d{number}"' for number in range(devices)]
    lines += ["", "[Subtopic]"]
    lines += [f'"s{number}" = "channel{number}"' for number in range(SUBTOPICS)]
    return "\n".join([*lines, "", "[Types]", "input = status", "output = command", ""])


def _cost(kind, settings, line, devices, used, is_mapped=True):
    """Processor time a message, in us, of a load that uses so many devices' topics."""
    with kind(settings, _mapping(devices)) as server:
        rss = process.rss_bytes(server.pid)
        values = measure_load(server, line, "pub", "--devices", str(used))
        if is_mapped:
            count_recorded(server, values)
        return {**values, "rss_started": rss}


def measure_devices(kind, settings, line):
    """The row's other values are those of 100,000 devices of which 10 send."""
    few = _cost(kind, settings, line, FEW, FEW)
    many = _cost(kind, settings, line, MANY, FEW)
    captures = _cost(kind, settings, line, CAPTURES, FEW)
    values = {key: many.get(key) for key in ("messages", "rate", "cpu_us", "rss_mib", "short", "doubled")}
    values["few_us"] = few["cpu_us"]
    values["many_ratio"] = many["cpu_us"] / few["cpu_us"]
    values["captures_ratio"] = captures["cpu_us"] / few["cpu_us"]
    values["device_bytes"] = (many["rss_started"] - few["rss_started"]) / MANY
    return values


def measure_unmapped(kind, settings, line):
    """A million topics, each in its turn, that captures map, and that nothing maps. The row's other
    values are those of the latter."""
    mapped = _cost(kind, settings, line, CAPTURES, MANY)
    unmapped = _cost(kind, settings, line, 0, MANY, is_mapped=False)
    values = {key: unmapped.get(key) for key in ("messages", "rate", "cpu_us", "rss_mib")}
    values["mapped_us"] = mapped["cpu_us"]
    values["mapped_mib"] = mapped["rss_mib"]
    values["unmapped_ratio"] = unmapped["cpu_us"] / mapped["cpu_us"]
    return values


class Pings:
    """A connection that pings, one ping after the other; how long each answer took, in seconds."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(MQTT_CONNECT)
        if self.socket.recv(4) != b"\x20\x02\x00\x00":
            raise BenchError("no session for pings")
        self.times = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.socket.close()

    def _run(self):
        while not self.ended.wait(PING_S):
            begin = time.perf_counter()
            self.socket.sendall(b"\xc0\x00")
            if self.socket.recv(2) != b"\xd0\x00":
                break
            self.times.append(time.perf_counter() - begin)

    def quantile_us(self, part):
        """Part 1 is the longest."""
        found = sorted(self.times)
        if len(found) < CHANGES:
            raise BenchError("hardly a ping was answered")
        return found[min(len(found) - 1, int(part * len(found)))] * 1e6


class Change:
    """Saves devices and finds out when each is in force: when its message is mapped."""

    def __init__(self, server):
        self.server = server
        self.api = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=TIMEOUT_S)
        self.device = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
        self.device.sendall(MQTT_CONNECT.replace(b"wait", b"news"))
        self.device.recv(4)

    def _ask(self, method, path, body=None):
        self.api.request(method, path, body)
        answer = self.api.getresponse()
        text = answer.read().decode()
        if answer.status not in (200, 201):
            raise BenchError(f"{method} {path}: {answer.status} {text}")
        return text

    def _mapped(self):
        for text in self._ask("GET", "/metrics").splitlines():
            if text.startswith("wyze_demux_mapped_total "):
                return int(text.split()[1])
        raise BenchError("no metric of mapped messages")

    def seconds(self, number):
        """From the request until a message of the device is mapped."""
        topic = f"bench/new{number}/s1/status".encode()
        packet = bytes([0x30, 2 + len(topic) + 1, 0, len(topic)]) + topic + b"1"
        before = self._mapped()
        body = json.dumps({"route": f"new.d{number}"})
        begin = time.perf_counter()
        self._ask("PUT", f"/api/v1/devices/bench%2Fnew{number}", body)
        while time.perf_counter() - begin < TIMEOUT_S:
            self.device.sendall(packet)
            if self._mapped() > before:
                return time.perf_counter() - begin
        raise BenchError("a change is not in force")


def measure_changes(kind, settings, line):
    """Devices are added, one after the other, to 100,000; meanwhile a connection pings."""
    with kind(settings, _mapping(MANY)) as server:
        change = Change(server)
        process.wait_quiet(server.pid)
        with Pings(server.port) as quiet:
            time.sleep(settings.seconds)
        with Pings(server.port) as pings:
            taken = sorted(change.seconds(number) for number in range(CHANGES))
        return {
            "rss_mib": process.rss_bytes(server.pid) / 2**20,
            "change_ms": taken[len(taken) // 2] * 1e3,
            "change_most_ms": taken[-1] * 1e3,
            "p50_us": pings.quantile_us(0.5),
            "p99_us": pings.quantile_us(0.99),
            "p999_us": pings.quantile_us(0.999),
            "stall_us": pings.quantile_us(1),
            "quiet_stall_us": quiet.quantile_us(1),
        }
