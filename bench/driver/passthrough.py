# SPDX-License-Identifier: Apache-2.0
"""The line about the passthrough: what a message costs that no rule matches, that passes, and that a
rule drops."""

import time

from driver import process
from driver.load import measure_load, run_load, start
from driver.segments import count_records
from driver.server import BenchError

MESSAGES = 1_000_000
WARM_UP = 20_000
TIMEOUT_S = 120

# The rule of each part: name of the value, pattern, options.
RULES = (
    ("none", None, ()),
    ("other", "nobody.#", ()),
    ("pass", "bench.#", ()),
    ("drop", "bench.#", ("--change", "nothing")),  # the first of each topic passes
)


def _wait_seen(server, count):
    """Until the rule has decided on so many messages since the start."""
    deadline = time.monotonic() + TIMEOUT_S
    while server.metric("wyze_passthrough_records_total") < count:
        if time.monotonic() > deadline:
            raise BenchError(f"{server.name}: messages do not pass")
        time.sleep(0.1)


def _cost(kind, settings, line, pattern, options):
    """Processor time of the server, and of its loop thread, a message, in us."""
    with start(kind, settings, line) as server:
        if pattern:
            server.pass_through("rule", pattern, *options)
        matched = int(pattern is not None and pattern.startswith("bench"))
        run_load(server, line, "pub", "--messages", str(WARM_UP))
        _wait_seen(server, WARM_UP * matched)
        process.wait_quiet(server.pid)
        loop = process.loop_seconds(server.pid)
        all_threads = process.cpu_seconds(server.pid)
        values = measure_load(server, line, "pub", "--messages", str(MESSAGES))
        _wait_seen(server, (WARM_UP + MESSAGES) * matched)
        process.wait_quiet(server.pid)
        values["loop_us"] = (process.loop_seconds(server.pid) - loop) * 1e6 / MESSAGES
        values["all_us"] = (process.cpu_seconds(server.pid) - all_threads) * 1e6 / MESSAGES
        if matched and not options:
            passed = count_records(server.folder, "processed-stream")
            values["short"] = WARM_UP + MESSAGES - passed
        return values


def measure_passthrough(kind, settings, line):
    """The row's other values are those of messages that pass."""
    parts = {name: _cost(kind, settings, line, pattern, options)
             for name, pattern, options in RULES}
    values = {key: parts["pass"].get(key) for key in ("messages", "rate", "rss_mib", "short")}
    for name, part in parts.items():
        values[f"rule_{name}_us"] = part["all_us"]
        values[f"rule_loop_{name}_us"] = part["loop_us"]
    values["other_ratio"] = parts["other"]["all_us"] / parts["none"]["all_us"]
    values["pass_ratio"] = parts["pass"]["all_us"] / parts["none"]["all_us"]
    return values
