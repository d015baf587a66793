# SPDX-License-Identifier: Apache-2.0
"""The lines of the table: what each runs, on which servers, and wyze's targets.

A measure function starts a fresh server, runs one load and returns its values by name:
rate (messages a second), cpu_us and workers_us (a message), p50_us p99_us p999_us, rss_mib,
short (messages that did not arrive or were not recorded), late_p99_us (how late the
generator itself was), start_ms, conn_bytes."""

import json
import subprocess
from dataclasses import dataclass, field, replace

from driver import process
from driver.segments import count_records
from driver.server import BenchError, JetStream, Mosquitto, Nats, Wyze, cpu_now

LOAD_TIMEOUT_S = 600
WARM_UP_TRIES = 5
SUBTOPICS = 10
ECHO_SCRIPT = '''def handle_input(msg, context):
    context.emit(msg["_topic"] + ".output", {"seq": msg["seq"]})
'''


@dataclass
class Target:
    """A value of wyze's row that must not pass its limit."""

    value: str
    limit: float
    text: str
    least: bool = False  # The limit is a lower one.

    def met(self, values):
        """None when the value was not measured."""
        if values.get(self.value) is None:
            return None
        if self.least:
            return values[self.value] >= self.limit
        return values[self.value] <= self.limit


@dataclass
class Line:
    """One line of the table for each of its servers."""

    name: str
    title: str
    servers: list
    measure: object
    targets: list = field(default_factory=list)
    devices: int = 100
    subtopics: int = SUBTOPICS
    options: list = field(default_factory=list)  # Of wyze-load.


def mapping_text(devices, subtopics):
    """A mapping in which every topic of the load has a logical name."""
    lines = ["[Device]"]
    lines += [f'"bench/{number}" = "bench.d{number}"' for number in range(devices)]
    lines += ["", "[Subtopic]"]
    lines += [f'"s{number}" = "channel{number}"' for number in range(subtopics)]
    lines += ["", "[Types]", "input = status", "output = command", ""]
    return "\n".join(lines)


def _load_command(server, line, mode):
    command = [server.settings.load, f"{server.protocol}-{mode}", "--port", str(server.port)]
    command += ["--topic", server.topic, "--filter", server.filter]
    command += ["--devices", str(line.devices), "--subtopics", str(line.subtopics)]
    return command + ["--seconds", str(server.settings.seconds), *line.options]


def _run_load(server, line, mode, *more):
    command = [*_load_command(server, line, mode), *more]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LOAD_TIMEOUT_S
    )
    server.check_alive()
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _measure_load(server, line, mode):
    """Runs the load; what the server spent until it was quiet again is divided by messages."""
    process.wait_quiet(server.pid)
    own_before, workers_before = cpu_now(server)
    result = _run_load(server, line, mode)
    process.wait_quiet(server.pid)
    own_after, workers_after = cpu_now(server)
    values = {
        "messages": result["messages"],
        "rate": result["rate"],
        "cpu_us": (own_after - own_before) * 1e6 / result["messages"],
        "rss_mib": process.rss_bytes(server.pid) / 2**20,
        "short": result.get("lost", 0),
    }
    if workers_after > 0:
        values["workers_us"] = (workers_after - workers_before) * 1e6 / result["messages"]
    values["late_p99_us"] = result.get("late_us", {}).get("p99")
    latencies = result.get("ack_us") or result.get("latency_us") or {}
    for name in ("p50", "p99", "p999"):
        values[f"{name}_us"] = latencies.get(name)
    return values


def _count_recorded(server, values):
    """Whatever wyze took in must be on raw-stream: else its speed is worth nothing."""
    if isinstance(server, Wyze):
        server.stop()
        recorded = count_records(server.data, "raw-stream")
        values["short"] += abs(values["messages"] - recorded)
    return values


def _start(kind, settings, line, script=None):
    return kind(settings, mapping_text(line.devices, line.subtopics), script)


def measure_pub(kind, settings, line):
    """Publishing at full speed."""
    mode = "js-pub" if kind is JetStream else "pub"
    with _start(kind, settings, line) as server:
        return _count_recorded(server, _measure_load(server, line, mode))


def measure_pubsub(kind, settings, line):
    """Publishing at full speed with one subscriber to everything."""
    with _start(kind, settings, line) as server:
        return _count_recorded(server, _measure_load(server, line, "pubsub"))


def _wait_for_answers(server, line):
    """Scripts are validated and started after the server listens: a few readings find out when."""
    for _ in range(WARM_UP_TRIES):
        if _run_load(server, line, "rtt", "--messages", "500")["lost"] == 0:
            return
    raise BenchError(f"{server.name}: readings are not answered")


def measure_answers(kind, settings, line):
    """Readings at a fixed rate. Only wyze has a script; elsewhere another device listens."""
    script = ECHO_SCRIPT if kind is Wyze else None
    with _start(kind, settings, line, script) as server:
        if script is None:
            line = replace(line, options=[*line.options, "--direct", "1"])
        _wait_for_answers(server, line)
        return _measure_load(server, line, "rtt")


def measure_idle(kind, settings, line):
    """A server with nothing to do, then with connections that do nothing."""
    with kind(settings) as server:
        process.wait_quiet(server.pid)
        before = process.rss_bytes(server.pid)
        command = _load_command(server, line, "idle")
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as load:
            opened = load.stdout.readline()
            server.check_alive()
            if not opened:
                raise BenchError(f"{' '.join(command)}: could not open its connections")
            process.wait_quiet(server.pid)
            after = process.rss_bytes(server.pid)
            load.stdin.close()
        return {
            "rss_mib": before / 2**20,
            "start_ms": server.start_s * 1000,
            "conn_bytes": (after - before) / json.loads(opened)["connections"],
        }


def _topics_line(devices):
    return Line(
        name="topics",
        title=f"QoS 0 in, {devices * SUBTOPICS:,} topics",
        servers=[Wyze, Mosquitto, Nats],
        measure=measure_pub,
        targets=[Target("cpu_us", 1.0, "at most 1.0 us")],
        devices=devices,
    )


def all_lines():
    """The table, in the order of its rows."""
    return [
        Line("qos0", "QoS 0 in; wyze: demuxed, stamped, logged", [Wyze, Mosquitto, Nats],
             measure_pub, [Target("cpu_us", 1.0, "at most 1.0 us (aim 0.6)")]),
        Line("qos1", "QoS 1 in, window 200; wyze: PUBACK after fdatasync",
             [Wyze, Mosquitto, JetStream], measure_pub,
             [Target("rate", 200000, "over 200,000/s", least=True),
              Target("cpu_us", 3.0, "at most 3 us")],
             options=["--qos", "1", "--window", "200"]),
        Line("fanout", "QoS 0 in and to one subscriber", [Wyze, Mosquitto, Nats],
             measure_pubsub, [Target("cpu_us", 1.5, "at most 1.5 us")]),
        # The devices sleep between readings: a generator that polls takes a whole core, is put aside
        # by the scheduler for it, and then measures its own lateness.
        Line("script", "5,000/s: wyze: device to script to command; mosquitto: device to device",
             [Wyze, Mosquitto], measure_answers,
             [Target("p50_us", 300, "p50 under 300 us"), Target("p99_us", 2000, "p99 under 2 ms")],
             options=["--rate", "5000"]),
        _topics_line(1),
        _topics_line(100),
        _topics_line(10000),
        Line("idle", "idle; 5,000 idle connections", [Wyze, Mosquitto, Nats], measure_idle,
             [Target("rss_mib", 15, "15 MB resident"), Target("start_ms", 100, "100 ms to listen"),
              Target("conn_bytes", 2048, "2 KB a connection")]),
    ]
