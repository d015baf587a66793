#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many calls a second Python makes of worker_bench's handlers with nothing around them:
json.loads, the call, json.dumps of what it emits. What a worker can be held against.

    bench/bare_python.py [SECONDS]
"""
import json
import sys
import time

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


def run(handle_input, seconds):
    """Calls a second, and microseconds of processor time for each."""
    context = Context()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    count = 0
    while time.perf_counter() - begin < seconds:
        for _ in range(1000):
            handle_input(json.loads(BODY), context)
        count += 1000
    spent, spent_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    return count / spent, spent_cpu * 1e6 / count


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    for handle_input in nothing, emit, counter:
        rate, cpu_us = run(handle_input, seconds)
        print(f"{handle_input.__name__:8} {rate:9.0f} calls/s  {cpu_us:5.2f} us of processor",
              flush=True)


if __name__ == "__main__":
    main()
