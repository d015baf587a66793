#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many calls a second Python makes of worker_bench's handlers with nothing around them:
json.loads, the call, json.dumps of what it emits. What a worker can be held against.

    bench/bare_python.py [SECONDS]
    bench/bare_python.py SECONDS SCRIPT BODIES

The second form calls handle_input of the file SCRIPT with each line of BODIES in turn, records' JSON,
and prints one line of JSON.
"""
import itertools
import json
import runpy
import sys
import time

CALLS = 1000  # Between two looks at the clock.
BODY = (b'{"_id":"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11","_timestamp":1770000000123,'
        b'"_topic":"a.b","v":7}')


class Context:
    """Keeps state in a dict and throws outputs away once they are JSON."""

    def __init__(self):
        self.state = {}

    def emit(self, topic, body, persistent=True):
        json.dumps(body).encode()

    def get_state(self, key, default=None):
        return self.state.get(key, default)

    def set_state(self, key, value):
        self.state[key] = value


def nothing(msg, context):
    pass


def emit(msg, context):
    context.emit('a.b.output', {'value': msg['v'] * 2, 'unit': 'lx'})


def counter(msg, context):
    context.set_state('n', context.get_state('n', 0) + 1)
    context.emit('a.b.output', {'value': msg['v'] * 2, 'unit': 'lx'})


def run(handle_input, seconds, bodies=(BODY,)):
    """Calls a second, and microseconds of processor time for each."""
    context, turn = Context(), itertools.cycle(bodies)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    count = 0
    while time.perf_counter() - begin < seconds:
        for body in itertools.islice(turn, CALLS):
            handle_input(json.loads(body), context)
        count += CALLS
    spent, spent_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    return count / spent, spent_cpu * 1e6 / count


def run_script(seconds, script, path):
    """The second form."""
    with open(path, "rb") as file:
        bodies = file.read().splitlines()
    rate, cpu_us = run(runpy.run_path(script)["handle_input"], seconds, bodies)
    print(json.dumps({"rate": rate, "cpu_us": cpu_us}))


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    if len(sys.argv) == 4:
        run_script(seconds, *sys.argv[2:])
        return
    for handle_input in nothing, emit, counter:
        rate, cpu_us = run(handle_input, seconds)
        print(f"{handle_input.__name__:8} {rate:9.0f} calls/s  {cpu_us:5.2f} us of processor",
              flush=True)


if __name__ == "__main__":
    main()
