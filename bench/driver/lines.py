# SPDX-License-Identifier: Apache-2.0
"""The lines of the table: what each runs, on which servers, and wyze's targets.

A measure function starts a fresh server, runs one load and returns its values by name:
rate (messages a second), cpu_us and workers_us (a message), p50_us p99_us p999_us, rss_mib,
short (messages that did not arrive or were not recorded), doubled (that came or were
recorded twice), late_p99_us (how late the generator itself was), start_ms, conn_bytes. What
driver/durable.py and driver/engine.py add, report.py names."""

from dataclasses import dataclass, field, replace

from driver import durable, engine, process
from driver.instructions import Counted, measure_instructions
from driver.load import count_recorded, held_load, measure_load, run_load, start
from driver.mapping import measure_changes, measure_devices, measure_unmapped
from driver.passthrough import measure_passthrough
from driver.scripts import measure_scripts
from driver.server import (
    BenchError, JetStream, Mosquitto, MosquittoKept, MosquittoSaved, MosquittoSecond, Nats, Wyze,
    WyzeRaised,
)

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
    rate: str = "rate"  # What wyze-load calls the row's messages a second.


def measure_pub(kind, settings, line):
    """Publishing at full speed."""
    mode = "js-pub" if kind is JetStream else "pub"
    with start(kind, settings, line) as server:
        return count_recorded(server, measure_load(server, line, mode))


def measure_pubsub(kind, settings, line):
    """Publishing at full speed with one subscriber to everything."""
    with start(kind, settings, line) as server:
        return count_recorded(server, measure_load(server, line, "pubsub"))


def _wait_for_answers(server, line):
    """Scripts are validated and started after the server listens: a few readings find out when."""
    for _ in range(WARM_UP_TRIES):
        if run_load(server, line, "rtt", "--messages", "500")["lost"] == 0:
            return
    raise BenchError(f"{server.name}: readings are not answered")


def measure_answers(kind, settings, line):
    """Readings at a fixed rate. Only wyze has a script; elsewhere another device listens."""
    script = ECHO_SCRIPT if kind is Wyze else None
    with start(kind, settings, line, script) as server:
        if script is None:
            line = replace(line, options=[*line.options, "--direct", "1"])
        _wait_for_answers(server, line)
        return measure_load(server, line, "rtt")


def measure_idle(kind, settings, line):
    """A server with nothing to do, then with connections that do nothing."""
    with kind(settings) as server:
        process.wait_quiet(server.pid)
        before = process.rss_bytes(server.pid)
        with held_load(server, line, "idle") as opened:
            process.wait_quiet(server.pid)
            after = process.rss_bytes(server.pid)
        return {
            "rss_mib": before / 2**20,
            "start_ms": server.start_s * 1000,
            "conn_bytes": (after - before) / opened["connections"],
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


def _durable_lines():
    return [
        Line("durable", "QoS 1 in and to one persistent subscriber",
             [Wyze, MosquittoSecond, MosquittoSaved, JetStream], durable.measure_durable,
             [Target("rate", 100000, "over 100,000/s", least=True),
              Target("cpu_us", 6.0, "at most 6 us")],
             options=["--qos", "1", "--window", "200", "--persistent-sub", "1",
                      "--idle-ms", "10000"],
             rate="through_rate"),
        Line("qos2", "QoS 2 in, persistent publishers, window 200",
             [Wyze, MosquittoSecond, MosquittoSaved], durable.measure_qos2,
             [Target("rate", 80000, "over 80,000/s", least=True)],
             options=["--qos", "2", "--window", "200", "--persistent-pub", "1"]),
        Line("backlog", "1,000,000 messages wait for a session; the rate is its return's",
             [WyzeRaised, MosquittoKept], durable.measure_backlog,
             [Target("rate", 200000, "drained at over 200,000/s", least=True),
              Target("rss_mib", 50e6 / 2**20, "50 MB resident"),
              Target("start_ms", 1000, "1 s to listen"),
              Target("crash_ms", 1000, "1 s after a crash")],
             options=["--qos", "1", "--window", "200", "--persistent-sub", "1"]),
        Line("retained", "1,000,000 retained topics; latencies while the journal is compacted",
             [WyzeRaised, MosquittoKept], durable.measure_retained,
             [Target("p99_ratio", 2.0, "p99 at most twice that without")],
             devices=1000, subtopics=1000, options=["--qos", "1", "--window", "50"]),
        Line("sessions", "10,000 persistent sessions", [Wyze, MosquittoKept],
             durable.measure_sessions,
             [Target("conn_bytes", 2048, "2 KB a session connected"),
              Target("left_bytes", 2048, "2 KB left")],
             devices=10000, subtopics=1, options=["--qos", "1", "--connections", "10000"]),
    ]


def _mapping_lines():
    return [
        Line("devices", "QoS 0 in, 100 topics; 10 devices, 100,000, and one with a capture",
             [Wyze], measure_devices,
             [Target("many_ratio", 1.1, "100,000 devices at most a tenth more"),
              Target("captures_ratio", 1.1, "captures at most a tenth more"),
              Target("device_bytes", 300, "300 bytes a device")]),
        Line("instructions", "what a message takes of the processor, counted; devices as above",
             [Counted], measure_instructions,
             [Target("many_ratio", 1.1, "100,000 devices at most a tenth more"),
              Target("captures_ratio", 1.1, "captures at most a tenth more")]),
        Line("unmapped", "QoS 0 in, a million topics that nothing maps", [Wyze], measure_unmapped,
             [Target("unmapped_ratio", 1.0, "at most what mapping them costs")]),
        Line("changes", "50 devices are added to 100,000; latencies: pings meanwhile", [Wyze],
             measure_changes,
             [Target("change_ms", 50, "in force within 50 ms"),
              Target("loop_change_us", 1000, "1 ms of the loop thread")]),
    ]


def _engine_lines():
    return [
        Line("engine", "QoS 0 in; a script counts each topic and emits once a message", [Wyze],
             engine.measure_engine,
             [Target("rate", 200000, "over 200,000/s", least=True),
              Target("bare_percent", 60, "over 60 % of bare Python", least=True)]),
        Line("catchup", "the same script catches up; latencies: acks at 1,000/s meanwhile",
             [Wyze], engine.measure_catchup,
             [Target("rate", 200000, "over 200,000/s", least=True),
              Target("probe_ratio", 1.25, "p99 of acks at most 1.25 times that without")]),
        Line("workers_start", "20 new scripts, each from PUT until its worker has started", [Wyze],
             engine.measure_worker_start, [Target("started_ms", 150, "150 ms")]),
    ]


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
        *_engine_lines(),
        *_mapping_lines(),
        _topics_line(1),
        _topics_line(100),
        _topics_line(10000),
        Line("scripts", "400,000 readings to none, one and ten scripts that do nothing",
             [Wyze], measure_scripts,
             [Target("scripts_ratio", 2.0, "ten cost the loop at most twice what one costs")]),
        Line("passthrough", "1,000,000 readings: no rule, one that matches none, all pass, all dropped",
             [Wyze], measure_passthrough,
             [Target("other_ratio", 1.1, "what no rule matches costs at most a tenth more"),
              Target("pass_ratio", 3.0, "what passes at most three times what is only taken in")]),
        Line("idle", "idle; 5,000 idle connections", [Wyze, Mosquitto, Nats], measure_idle,
             [Target("rss_mib", 15, "15 MB resident"), Target("start_ms", 100, "100 ms to listen"),
              Target("conn_bytes", 2048, "2 KB a connection")]),
        *_durable_lines(),
    ]
