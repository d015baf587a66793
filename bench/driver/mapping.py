# SPDX-License-Identifier: Apache-2.0
"""The lines about the mapping: what a message costs at 10 and at 100,000 devices, with captures and
unmapped; how soon a change is in force among 100,000 devices, and how long the loop stands still."""

import http.client
import json
import multiprocessing
import socket
import time

from driver import process
from driver.load import count_recorded, measure_load
from driver.server import BenchError, MQTT_CONNECT

FEW = 10
MANY = 100_000
SUBTOPICS = 10
CHANGES = 50
PING_S = 0.0005
PAUSE_S = 0.1  # longer than a change takes
TIMEOUT_S = 30
CAPTURES = "captures"  # One device with a capture stands for all.


def mapping_of(devices):
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
    with kind(settings, mapping_of(devices)) as server:
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


def _ping(port, ended, results):
    """Pings, one after the other, until told to end; sends how long each answer took, in seconds."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as session:
        session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session.sendall(MQTT_CONNECT)
        session.recv(4)
        times = []
        while not ended.wait(PING_S):
            begin = time.perf_counter()
            session.sendall(b"\xc0\x00")
            if session.recv(2) != b"\xd0\x00":
                break
            times.append(time.perf_counter() - begin)
    results.send(times)


class Pings:
    """A connection that pings, in a process of its own: nothing of the driver's is to hold it up."""

    def __init__(self, port):
        self.ended = multiprocessing.Event()
        self.results, sender = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(target=_ping, args=(port, self.ended, sender))
        self.times = []

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        if self.results.poll(TIMEOUT_S):
            self.times = sorted(self.results.recv())
        self.process.join()

    def quantile_us(self, part):
        """Part 1 is the longest."""
        if len(self.times) < CHANGES:
            raise BenchError("hardly a ping was answered")
        return self.times[min(len(self.times) - 1, int(part * len(self.times)))] * 1e6


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

    def save(self, number):
        """Adds a device."""
        body = json.dumps({"route": f"new.d{number}"})
        self._ask("PUT", f"/api/v1/devices/bench%2Fnew{number}", body)

    def save_all(self, first):
        """Adds CHANGES devices with pauses."""
        for number in range(first, first + CHANGES):
            self.save(number)
            time.sleep(PAUSE_S)

    def seconds(self, number):
        """From the request until a message of the device is mapped."""
        topic = f"bench/new{number}/s1/status".encode()
        packet = bytes([0x30, 2 + len(topic) + 1, 0, len(topic)]) + topic + b"1"
        before = self._mapped()
        begin = time.perf_counter()
        self.save(number)
        while time.perf_counter() - begin < TIMEOUT_S:
            self.device.sendall(packet)
            if self._mapped() > before:
                return time.perf_counter() - begin
        raise BenchError("a change is not in force")


def measure_changes(kind, settings, line):
    """Devices are added, one after the other, to 100,000: first with messages of theirs until one is
    mapped, then with pauses and pings of another connection, then with pauses alone for what the loop
    thread computes. A ping waits for the processor, too: on a busy machine it is no measure of the loop."""
    with kind(settings, mapping_of(MANY)) as server:
        change = Change(server)
        process.wait_quiet(server.pid)
        taken = sorted(change.seconds(number) for number in range(CHANGES))
        process.wait_quiet(server.pid)
        with Pings(server.port) as quiet:
            time.sleep(CHANGES * PAUSE_S)
        with Pings(server.port) as pings:
            change.save_all(CHANGES)
        process.wait_quiet(server.pid)
        loop = process.loop_seconds(server.pid)
        change.save_all(2 * CHANGES)
        loop = process.loop_seconds(server.pid) - loop
        return {
            "rss_mib": process.rss_bytes(server.pid) / 2**20,
            "change_ms": taken[len(taken) // 2] * 1e3,
            "change_most_ms": taken[-1] * 1e3,
            "p50_us": pings.quantile_us(0.5),
            "p99_us": pings.quantile_us(0.99),
            "p999_us": pings.quantile_us(0.999),
            "loop_change_us": loop / CHANGES * 1e6,
            "stall_us": pings.quantile_us(1),
            "quiet_stall_us": quiet.quantile_us(1),
        }
