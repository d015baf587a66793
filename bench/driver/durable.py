# SPDX-License-Identifier: Apache-2.0
"""The lines about what outlives a connection and a process: sessions, queues, retained messages."""

from driver import process
from driver.load import (
    count_recorded, faults, held_load, latencies, measure_load, run_load, start,
)
from driver.server import BenchError, JetStream, Wyze, cpu_now

BACKLOG = 1_000_000
# A part of the retained topics is written over in each step. The first warms up what a restart left
# cold, the second is the measure; the journal's garbage is past a half, where compaction begins,
# in the third.
OVERWRITES = 400_000
COMPACTION_TRIES = 10


def measure_durable(kind, settings, line):
    """QoS 1 in and out, the subscriber with a session that is kept."""
    mode = "js-pubsub" if kind is JetStream else "pubsub"
    with start(kind, settings, line) as server:
        return count_recorded(server, measure_load(server, line, mode))


def measure_qos2(kind, settings, line):
    """QoS 2 in; the publishers' sessions are kept, so what they sent is known after a crash."""
    with start(kind, settings, line) as server:
        return count_recorded(server, measure_load(server, line, "pub"))


def _drain(server, line):
    """The session's client comes back and takes all there is."""
    before = sum(cpu_now(server))
    result = run_load(server, line, "sub", "--messages", str(BACKLOG), "--resume", "1",
                      "--idle-ms", "20000")
    process.wait_quiet(server.pid)
    return {
        "messages": BACKLOG,
        "rate": result.get("resume_rate"),
        "cpu_us": (sum(cpu_now(server)) - before) * 1e6 / BACKLOG,
        **faults(result),
    }


def measure_backlog(kind, settings, line):
    """A session that was left, a million messages for it, a restart, and its return."""
    with start(kind, settings, line) as server:
        run_load(server, line, "sub", "--idle-ms", "1")
        run_load(server, line, "pub", "--messages", str(BACKLOG))
        process.wait_quiet(server.pid)
        values = {"rss_mib": process.rss_bytes(server.pid) / 2**20}
        values["start_ms"] = server.restart() * 1000
        if isinstance(server, Wyze):
            values["crash_ms"] = server.restart(kill=True) * 1000
        process.wait_quiet(server.pid)
        values["restarted_mib"] = process.rss_bytes(server.pid) / 2**20
        values.update(_drain(server, line))
        return count_recorded(server, values)


def _overwrite(server, line):
    """Retained messages, each over an older one; and how many compactions there were."""
    before = server.metric("wyze_journal_compactions_total")
    result = run_load(server, line, "retain", "--messages", str(OVERWRITES))
    return result, server.metric("wyze_journal_compactions_total") - before


def _overwrite_while_compacting(server, line):
    """The first load that began and ended with the journal being compacted."""
    running = False
    for _ in range(COMPACTION_TRIES):
        result, compactions = _overwrite(server, line)
        if running and compactions > 0:
            return result, compactions
        running = compactions > 0
    raise BenchError("the journal is never compacted")


def measure_retained(kind, settings, line):
    """A million retained topics: a restart with them, then a compaction under load."""
    with start(kind, settings, line) as server:
        run_load(server, line, "retain")
        process.wait_quiet(server.pid)
        values = {"rss_mib": process.rss_bytes(server.pid) / 2**20}
        values["start_ms"] = server.restart() * 1000
        process.wait_quiet(server.pid)
        values["restarted_mib"] = process.rss_bytes(server.pid) / 2**20
        if not isinstance(server, Wyze):
            return values
        _, early = _overwrite(server, line)
        quiet, compactions = _overwrite(server, line)
        if early + compactions > 0:
            raise BenchError("the journal was compacted before it should be")
        process.wait_quiet(server.pid)
        busy, values["compactions"] = _overwrite_while_compacting(server, line)
        values.update(latencies(busy))
        values["rate"] = busy["rate"]
        values["plain_p99_us"] = latencies(quiet)["p99_us"]
        values["p99_ratio"] = values["p99_us"] / values["plain_p99_us"]
        return values


def measure_sessions(kind, settings, line):
    """What a session costs whose client is there, and one whose client has left."""
    with kind(settings) as server:
        process.wait_quiet(server.pid)
        before = process.rss_bytes(server.pid)
        with held_load(server, line, "sessions") as opened:
            process.wait_quiet(server.pid)
            connected = process.rss_bytes(server.pid)
        process.wait_quiet(server.pid)
        left = process.rss_bytes(server.pid)
        values = {
            "rss_mib": connected / 2**20,
            "conn_bytes": (connected - before) / opened["connections"],
            "left_bytes": (left - before) / opened["connections"],
        }
        values["start_ms"] = server.restart() * 1000
        process.wait_quiet(server.pid)
        restarted = process.rss_bytes(server.pid)
        values["loaded_bytes"] = (restarted - before) / opened["connections"]
        return values
