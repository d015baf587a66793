# SPDX-License-Identifier: Apache-2.0
"""The line about scripts that take the same input: what each more of them costs the loop thread."""

import time

from driver import process
from driver.load import measure_load, run_load, start
from driver.server import BenchError

IDLE_SCRIPT = '''def handle_input(msg, context):
    pass
'''
MANY_SCRIPTS = 10
MESSAGES = 400_000
WARM_UP = 20_000
TIMEOUT_S = 300


def _wait_answered(server, count):
    """Until all scripts together have answered so many messages since the start."""
    deadline = time.monotonic() + TIMEOUT_S
    while server.metric("wyze_script_inputs_total") < count:
        if time.monotonic() > deadline:
            raise BenchError(f"{server.name}: scripts do not answer what they are given")
        time.sleep(0.1)


def _loop_cost(kind, settings, line, scripts):
    """Processor time of the loop thread for a message that so many scripts take, in us."""
    with start(kind, settings, line) as server:
        for number in range(scripts):
            server.deploy(f"idle{number}", IDLE_SCRIPT)
        server.wait_running(scripts)
        run_load(server, line, "pub", "--messages", str(WARM_UP))
        _wait_answered(server, WARM_UP * scripts)
        process.wait_quiet(server.pid)
        before = process.loop_seconds(server.pid)
        values = measure_load(server, line, "pub", "--messages", str(MESSAGES))
        _wait_answered(server, (WARM_UP + MESSAGES) * scripts)
        process.wait_quiet(server.pid)
        values["loop_us"] = (process.loop_seconds(server.pid) - before) * 1e6 / MESSAGES
        return values


def measure_scripts(kind, settings, line):
    """What scripts that do nothing cost the loop thread: none, one, and ten on one input. The
    row's other values are those with ten, while messages came."""
    none, one, many = [_loop_cost(kind, settings, line, scripts)
                       for scripts in (0, 1, MANY_SCRIPTS)]
    return {
        "messages": many["messages"],
        "rate": many["rate"],
        "rss_mib": many["rss_mib"],
        "loop_none_us": none["loop_us"],
        "loop_one_us": one["loop_us"],
        "loop_ten_us": many["loop_us"],
        "scripts_ratio": many["loop_us"] / one["loop_us"],
    }
