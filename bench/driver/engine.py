# SPDX-License-Identifier: Apache-2.0
"""The lines about scripts: how fast they go beside bare Python, how fast they catch up and what that
does to those who publish, how soon they run."""

import http.client
import json
import os
import statistics
import subprocess
import time

from driver import process
from driver.load import count_recorded, latencies, mapping_text, run_load
from driver.segments import count_records
from driver.server import BenchError, cpu_now

PYTHON = "/usr/bin/python3"  # That whose library workers are linked with.
BARE_PYTHON = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bare_python.py")
COUNTER_SCRIPT = '''def handle_input(msg, context):
    topic = msg["_topic"]
    count = context.get_state(topic, 0) + 1
    context.set_state(topic, count)
    context.emit(topic + ".count", {"count": count, "value": msg["value"]})
'''
STARTED_SCRIPT = '''def handle_input(msg, context):
    if int(msg["value"]) > 200:
        return "hall.light.brightness.output", {"value": 100}
'''
SCRIPT_URL = "/api/v1/scripts/"
OUTPUTS = "wyze_script_outputs_total"

BARE_SECONDS = 2
BARE_BODIES = 1000
# Of records that a script is behind, for each second of --seconds.
BEHIND_PER_SECOND = 2_000_000
PROBE = ["--topic", "probe/%d/s%d/status", "--devices", "1", "--subtopics", "1",
         "--publishers", "1", "--rate", "1000"]
PROBE_MAPPING = '[Device]\n"probe/0" = "probe.d0"'
PROBE_TIMES = 2  # --seconds.
STARTS = 20

POLL_S = 0.02
OUTPUTS_POLL_S = 0.1  # Each costs the server 0.3 ms of processor.
SCRIPT_TIMEOUT_S = 600
START_TIMEOUT_S = 30
START_POLL_S = 0.0005


def _start(kind, settings, line, script):
    """A server that maps the probe's topic too; no script listens to that."""
    mapping = mapping_text(line.devices, line.subtopics).replace("[Device]", PROBE_MAPPING, 1)
    return kind(settings, mapping, script)


def _wait_for_status(server, wanted):
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        status = json.loads(server.get(SCRIPT_URL + "echo"))["live"]["status"]
        if status == wanted:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"the script is {status}, not {wanted}")
        time.sleep(POLL_S)


def _wait_for_outputs(server, wanted):
    """Until so many are published; each is, once the step that it is of is durable in the journal."""
    deadline = time.monotonic() + SCRIPT_TIMEOUT_S
    while (count := server.metric(OUTPUTS)) < wanted:
        server.check_alive()
        if time.monotonic() > deadline:
            raise BenchError(f"{count:,.0f} of {wanted:,} messages have their output")
        time.sleep(OUTPUTS_POLL_S)


def _counted(server):
    """The messages that the script has in its state, over all topics."""
    total, after, more = 0, 0, True
    while more:
        page = json.loads(server.get(f"{SCRIPT_URL}echo/state?after={after}&limit=1000"))
        total += sum(item["value"] for item in page["items"])
        after, more = page["next"], page["more"]
    return total


class _Spent:
    """Processor time from its making on."""

    def __init__(self, server):
        self.server = server
        self.before = self._now()

    def _now(self):
        loop = process.first_thread_cpu_seconds(self.server.pid)
        return [*cpu_now(self.server), loop]

    def values(self, messages):
        """What the server, its workers and its loop thread took for each message."""
        process.wait_quiet(self.server.pid)
        pairs = zip(("cpu_us", "workers_us", "loop_us"), self._now(), self.before)
        return {name: (now - before) * 1e6 / messages for name, now, before in pairs}


def _check_counts(server, values):
    """Each message is once in the state, on raw-stream, and by its output on processed-stream."""
    messages, counted = values["messages"], _counted(server)
    if counted != messages:
        raise BenchError(f"the state has counted {counted:,} of {messages:,} messages")
    server.stop()
    outputs = count_records(server.data, "processed-stream")
    values["short"] += max(0, messages - outputs)
    values["doubled"] += max(0, outputs - messages)
    return values


def _bare(server, script):
    """The same handler over records of the stream in Python with nothing around it."""
    query = f"from=first&limit={BARE_BODIES}"
    bodies = os.path.join(server.folder, "bodies")
    code = os.path.join(server.folder, "bare.py")
    with open(bodies, "w", encoding="utf-8") as file:
        for record in server.get(f"/api/v1/streams/raw-stream/records?{query}").splitlines():
            body = json.loads(record)["body"]
            file.write(json.dumps(body, separators=(",", ":")) + "\n")
    with open(code, "w", encoding="utf-8") as file:
        file.write(script)
    done = subprocess.run([PYTHON, "-I", BARE_PYTHON, str(BARE_SECONDS), code, bodies],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure_engine(kind, settings, line):
    """Readings as fast as wyze takes them; the rate counts until the last one's output is out."""
    with _start(kind, settings, line, COUNTER_SCRIPT) as server:
        _wait_for_status(server, "running")
        process.wait_quiet(server.pid)
        spent, begin = _Spent(server), time.monotonic()
        result = run_load(server, line, "pub")
        _wait_for_outputs(server, result["messages"])
        seconds = time.monotonic() - begin
        values = {
            "messages": result["messages"],
            "rate": result["messages"] / seconds,
            "taken_rate": result["rate"],
            "short": 0,
            "doubled": 0,
            **spent.values(result["messages"]),
            "rss_mib": process.rss_bytes(server.pid) / 2**20,
        }
        bare = _bare(server, COUNTER_SCRIPT)
        values["bare_rate"], values["bare_us"] = bare["rate"], bare["cpu_us"]
        values["bare_percent"] = 100 * values["rate"] / bare["rate"]
        return count_recorded(server, _check_counts(server, values))


def _probe(server, line):
    seconds = str(PROBE_TIMES * server.settings.seconds)
    return latencies(run_load(server, line, "acks", *PROBE, "--seconds", seconds))


def measure_catchup(kind, settings, line):
    """A script that starts behind millions of records, and a publisher who waits for acks meanwhile."""
    messages = BEHIND_PER_SECOND * settings.seconds
    with _start(kind, settings, line, COUNTER_SCRIPT) as server:
        _wait_for_status(server, "running")  # So that it has a position.
        server.script_command("stop")
        _wait_for_status(server, "stopped")
        run_load(server, line, "pub", "--messages", str(messages))
        process.wait_quiet(server.pid)
        idle = _probe(server, line)
        process.wait_quiet(server.pid)
        spent, begin = _Spent(server), time.monotonic()
        server.script_command("start")
        _wait_for_status(server, "running")
        busy = _probe(server, line)
        if server.metric(OUTPUTS) >= messages:
            raise BenchError("the script had caught up before the probe was over")
        _wait_for_outputs(server, messages)
        seconds = time.monotonic() - begin
        values = {"messages": messages, "rate": messages / seconds, "short": 0, "doubled": 0}
        values.update(spent.values(messages), **busy)
        values["rss_mib"] = process.rss_bytes(server.pid) / 2**20
        values["idle_p99_us"] = idle["p99_us"]
        values["probe_ratio"] = busy["p99_us"] / idle["p99_us"]
        return _check_counts(server, values)


def _ask(api, method, path, body=None):
    api.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = api.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise BenchError(f"{method} {path}: {answer.status} {text.decode()}")
    return json.loads(text) if text else None


def _time_start(api, name):
    """Seconds from the request that saves a new script until its worker says that it has started."""
    document = {"code": STARTED_SCRIPT, "bindings": [{"stream": "raw", "pattern": "bedroom.#"}]}
    begin = time.monotonic()
    _ask(api, "PUT", SCRIPT_URL + name, json.dumps(document))
    while _ask(api, "GET", SCRIPT_URL + name).get("live", {}).get("status") != "running":
        if time.monotonic() - begin > START_TIMEOUT_S:
            raise BenchError("a new script does not start")
        time.sleep(START_POLL_S)
    return time.monotonic() - begin


def measure_worker_start(kind, settings, line):
    """New scripts, one after the other, in a server with nothing else to do."""
    with _start(kind, settings, line, None) as server:
        api = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=START_TIMEOUT_S)
        times = []
        for number in range(STARTS):
            name = f"start{number}"
            times.append(_time_start(api, name))
            _ask(api, "DELETE", SCRIPT_URL + name)
            process.wait_quiet(server.pid)
        api.close()
        return {"started_ms": statistics.median(times) * 1000, "slowest_ms": max(times) * 1000}
