# SPDX-License-Identifier: Apache-2.0
"""Runs wyze-load against a server and turns what it prints into a row's values."""

import contextlib
import json
import subprocess

from driver import process
from driver.segments import count_records
from driver.server import BenchError, Wyze, cpu_now

LOAD_TIMEOUT_S = 600


def mapping_text(devices, subtopics):
    """A mapping in which every topic of the load has a logical name: wyze records no others."""
    lines = ["[Device]"]
    lines += [f'"bench/{number}" = "bench.d{number}"' for number in range(devices)]
    lines += ["", "[Subtopic]"]
    lines += [f'"s{number}" = "channel{number}"' for number in range(subtopics)]
    lines += ["", "[Types]", "input = status", "output = command", ""]
    return "\n".join(lines)


def start(kind, settings, line, script=None):
    """A server that knows the line's topics."""
    return kind(settings, mapping_text(line.devices, line.subtopics), script)


def _command(server, line, mode):
    command = [server.settings.load, f"{server.protocol}-{mode}", "--port", str(server.port)]
    command += ["--topic", server.topic, "--filter", server.filter]
    command += ["--devices", str(line.devices), "--subtopics", str(line.subtopics)]
    return command + ["--seconds", str(server.settings.seconds), *line.options]


def run_load(server, line, mode, *more):
    """One load to its end; what it printed. A later option stands for an earlier one."""
    command = [*_command(server, line, mode), *more]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LOAD_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )
    server.check_alive()
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def held_load(server, line, mode):
    """A load that opens its connections and holds them for as long as the block runs."""
    command = _command(server, line, mode)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        opened = load.stdout.readline()
        server.check_alive()
        if not opened:
            raise BenchError(f"{' '.join(command)}: could not open its connections")
        yield json.loads(opened)
        load.stdin.close()


def faults(result):
    """Messages that did not come, and those that came twice or are nobody's."""
    return {
        "short": result.get("lost", 0),
        "doubled": result.get("doubled", 0) + result.get("strange", 0),
    }


def latencies(result):
    """The quantiles that a load printed, as a row's values."""
    found = result.get("ack_us") or result.get("latency_us") or {}
    return {f"{name}_us": found.get(name) for name in ("p50", "p99", "p999")}


def measure_load(server, line, mode, *more):
    """Runs the load; what the server spent until it was quiet again is divided by messages."""
    process.wait_quiet(server.pid)
    own_before, workers_before = cpu_now(server)
    result = run_load(server, line, mode, *more)
    process.wait_quiet(server.pid)
    own_after, workers_after = cpu_now(server)
    messages = result.get("messages") or result["received"]
    values = {
        "messages": messages,
        "rate": result[line.rate],
        "cpu_us": (own_after - own_before) * 1e6 / messages,
        "rss_mib": process.rss_bytes(server.pid) / 2**20,
        "late_p99_us": result.get("late_us", {}).get("p99"),
        **faults(result),
        **latencies(result),
    }
    if workers_after > 0:
        values["workers_us"] = (workers_after - workers_before) * 1e6 / messages
    return values


def count_recorded(server, values):
    """Whatever wyze took in must be on raw-stream once: else its speed is worth nothing."""
    if isinstance(server, Wyze):
        server.stop()
        recorded = count_records(server.data, "raw-stream")
        values["short"] += max(0, values["messages"] - recorded)
        values["doubled"] += max(0, recorded - values["messages"])
    return values
