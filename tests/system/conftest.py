# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: the built program on free ports with a folder of its own, and real
MQTT clients. WYZE_BUILD names the build folder (default: build)."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import paho.mqtt.client as paho
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WYZE_BUILD", ROOT / "build")).resolve()
WYZE = BUILD / "src" / "wyze"
PATIENCE_S = float(os.environ.get("TEST_PATIENCE_S", "inf"))

# For wyze.testing.
sys.path.insert(0, str(ROOT / "src" / "worker"))
os.environ["WZ_WORKER"] = str(BUILD / "src" / "worker" / "wyze-python")


def is_sanitized():
    """Whether the build watches itself, and so is slower and larger than what users run."""
    path = BUILD / "meson-info" / "intro-buildoptions.json"
    options = json.loads(path.read_text()) if path.exists() else []
    values = [option["value"] for option in options if option["name"] == "b_sanitize"]
    return values not in ([], ["none"], [[]], [["none"]])


SANITIZED = is_sanitized()

# The mapping of the original description.
SEED_MAPPING = """[Device]
"mesh/b5ea3f/42" = "bedroom.light"

[Subtopic]
"M" = "brightness"

[Types]
input = status
output = command
"""

# Who runs the tests in the background may ignore it, and what they start would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


class HeldPort:
    """A free port of this machine, and nobody else's as long as this is there: who asks for any free one,
    to listen on it or to connect from it, is not given it, also while nobody listens on it; who asks for
    it by number gets it. A connection to it is refused until then."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.number = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


def until(condition, seconds=30.0, what="it did not happen in time"):
    """Waits for a condition with a deadline, which a machine that is five times slower meets, too, and
    returns what it gave. TEST_PATIENCE_S says how long at most, for programs that were broken on
    purpose, where it will not come."""
    deadline = time.monotonic() + min(seconds, PATIENCE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(what() if callable(what) else what)
        time.sleep(0.005)


class Wyze:
    """One wyze with a data folder and ports of its own."""

    def __init__(self, folder, env=None):
        self.data = pathlib.Path(folder)
        self.held = [HeldPort(), HeldPort()]  # through all its restarts
        self.mqtt_port, self.http_port = (port.number for port in self.held)
        inherited = {name: value for name, value in os.environ.items() if name != "WYZE_BUILD"}
        self.env = {**inherited, "WYZE_DATA": str(self.data), **(env or {})}
        self.log_path = self.data.parent / (self.data.name + ".log")
        self.process = None

    def start(self, *flags, wait=True, wrapper=()):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [
                *wrapper,
                WYZE,
                "run",
                f"--mqtt-listen=127.0.0.1:{self.mqtt_port}",
                f"--http-listen=127.0.0.1:{self.http_port}",
                *flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.env,
        )
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        def ready():
            assert self.process.poll() is None, self.log()
            try:
                with urllib.request.urlopen(self.url("/readyz"), timeout=10) as answer:
                    return answer.status == 200
            except OSError:
                return False

        until(ready, seconds, "wyze did not get ready")

    def url(self, path):
        return f"http://127.0.0.1:{self.http_port}{path}"

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        """An orderly stop; returns the exit code."""
        if self.process is None or self.process.poll() is not None:
            return None if self.process is None else self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
            raise AssertionError("wyze did not stop\n" + self.log())

    def cli(self, *args, input=None, check=True, timeout=30):
        """Runs a command of the command line; returns its CompletedProcess."""
        done = subprocess.run(
            [WYZE, *args], input=input, capture_output=True, text=True, env=self.env,
            timeout=timeout, check=False,
        )
        if check:
            assert done.returncode == 0, f"wyze {args}: {done.returncode}\n{done.stderr}"
        return done

    def import_mapping(self, text):
        path = self.data.parent / (self.data.name + ".mapping")
        path.write_text(text)
        return self.cli("map", "import", str(path))

    def records(self, stream="raw-stream", pattern="#", start="first"):
        """All records of a stream, as the API gives them."""
        query = f"?pattern={urllib.request.quote(pattern)}&from={start}"
        with urllib.request.urlopen(self.url(f"/api/v1/streams/{stream}/records{query}"),
                                    timeout=60) as answer:
            return [json.loads(line) for line in answer if line.strip()]

    def client(self, name="", **options):
        return Client(self.mqtt_port, name, **options)


class Client:
    """A paho client that keeps what it got, with waits instead of callbacks."""

    def __init__(self, port, name="", clean=True, keepalive=60, will=None):
        args = {"client_id": name, "clean_session": clean}
        if hasattr(paho, "CallbackAPIVersion"):  # paho-mqtt 2
            args["callback_api_version"] = paho.CallbackAPIVersion.VERSION2
        self.paho = paho.Client(**args)
        self.paho.max_inflight_messages_set(1000)
        self.paho.max_queued_messages_set(0)
        self.got = []
        self.subacks = {}
        self.connack = None
        self.closed = None
        self.paho.on_message = lambda c, u, message: self.got.append(message)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_subscribe = self._on_subscribe
        if will:
            self.paho.will_set(*will)
        self.paho.connect("127.0.0.1", port, keepalive)
        self.paho.loop_start()
        until(lambda: self.connack is not None, what="no CONNACK")

    # The callbacks take what either version of paho gives them.

    def _on_connect(self, client, userdata, flags, code, properties=None):
        self.connack = code

    def _on_disconnect(self, client, userdata, *said):
        self.closed = said

    def _on_subscribe(self, client, userdata, mid, granted, properties=None):
        self.subacks[mid] = tuple(getattr(code, "value", code) for code in granted)

    def subscribe(self, topic, qos=0):
        _, mid = self.paho.subscribe(topic, qos)
        until(lambda: mid in self.subacks, what="no SUBACK")
        return self.subacks[mid]

    def publish(self, topic, body, qos=1, retain=False, wait=True):
        info = self.paho.publish(topic, body, qos, retain)
        if wait:
            info.wait_for_publish(60)
            assert info.is_published()
        return info

    def wait_for(self, count, seconds=30):
        until(lambda: len(self.got) >= count, seconds,
              f"{count} messages wanted, {len(self.got)} came")
        return self.got

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def free_port():
    """Gives numbers of free ports, which are the test's alone until it has ended."""
    held = []

    def hold():
        held.append(HeldPort())
        return held[-1].number

    yield hold
    for port in held:
        port.close()


@pytest.fixture
def make_wyze(tmp_path):
    """Makes instances; all are stopped at the end."""
    made = []

    def make(name="wyze", **options):
        instance = Wyze(tmp_path / name, **options)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.stop()
        for port in instance.held:
            port.close()


@pytest.fixture
def wyze(make_wyze):
    """A running wyze with the mapping of the original description."""
    instance = make_wyze().start()
    instance.import_mapping(SEED_MAPPING)
    return instance
