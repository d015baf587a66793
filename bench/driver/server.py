# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured: each starts on free loopback ports with a fresh data folder."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from driver import process

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
MQTT_CONNECT = bytes([0x10, 16, 0, 4]) + b"MQTT" + bytes([4, 2, 0, 0, 0, 4]) + b"wait"


class BenchError(Exception):
    """Something that should have worked did not; the text says what."""


def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_program(name):
    """The path of an installed program, or None; sbin folders count too."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Server:
    """One server process. Use: with kind(settings) as server, then port and pid."""

    name = ""
    protocol = "mqtt"  # Of wyze-load's modes.
    topic = "bench/%d/s%d/status"
    filter = "bench/#"

    def __init__(self, settings, mapping=None, script=None):
        self.settings = settings
        self.mapping = mapping
        self.script = script
        self.port = free_port()
        self.start_s = None  # From exec to the first accepted session.
        self.child = None
        self.folder = None

    @classmethod
    def missing(cls, settings):
        """Why the server cannot be measured, or None."""
        raise NotImplementedError

    def prepare(self):
        """Fills the data folder before the start."""

    def furnish(self):
        """What is done once the server runs."""

    def command(self):
        """The command line of the server."""
        raise NotImplementedError

    @property
    def data(self):
        """The data folder."""
        return os.path.join(self.folder, "data")

    @property
    def pid(self):
        """The server's process id."""
        return self.child.pid

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.settings.folder)
        os.mkdir(self.data, 0o700)
        try:
            self.prepare()
            self._start()
            self.furnish()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.sync()  # What this run left to write shall not slow the next one.

    def stop(self):
        """Ends the server in order; kills it when it does not end."""
        if self.child is None or self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def restart(self, kill=False):
        """Stops, in order or by SIGKILL, and starts with the same data. Returns the seconds from
        exec to the first accepted session."""
        if kill:
            self.child.kill()
            self.child.wait()
        self.stop()
        self._start()
        return self.start_s

    def check_alive(self):
        """Raises with the end of the server's output when it ended by itself."""
        if self.child.poll() is None:
            return
        raise BenchError(f"{self.name} ended with {self.child.returncode}: {self.output()[-2000:]}")

    def output(self):
        """What it has printed."""
        with open(os.path.join(self.folder, "output"), "rb") as output:
            return output.read().decode("utf-8", "replace")

    def _start(self):
        command = self.command()
        with open(os.path.join(self.folder, "output"), "wb") as output:
            begin = time.monotonic()
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        while not self._accepts():
            self.check_alive()
            if time.monotonic() - begin > START_TIMEOUT_S:
                raise BenchError(f"{self.name} does not accept a session")
            time.sleep(0.0005)
        self.start_s = time.monotonic() - begin

    def _accepts(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), START_TIMEOUT_S) as session:
                return self._greets(session)
        except OSError:
            return False

    def _greets(self, session):
        session.sendall(MQTT_CONNECT)
        return session.recv(4) == b"\x20\x02\x00\x00"


class Wyze(Server):
    """wyze with its defaults: recording on, durability = fsync. Every word of its command line
    that the benchmark uses stands in this class."""

    name = "wyze"
    limits = []  # Of the command line.

    def __init__(self, settings, mapping=None, script=None):
        super().__init__(settings, mapping, script)
        self.http_port = free_port()

    @classmethod
    def missing(cls, settings):
        if os.access(settings.wyze, os.X_OK):
            return None
        return f"{settings.wyze} is not built"

    def prepare(self):
        if self.mapping is not None:
            path = self._write("mapping", self.mapping)
            self._run("map", "import", path, "--data", self.data)

    def furnish(self):
        if self.script is not None:
            path = self._write("echo.py", self.script)
            binding = ["--name", "echo", "--on", "raw:bench.#"]
            self._run("script", "deploy", path, *binding, "--data", self.data)

    def deploy(self, name, code):
        """One more script that takes all readings."""
        path = self._write(f"{name}.py", code)
        binding = ["--name", name, "--on", "raw:bench.#"]
        self._run("script", "deploy", path, *binding, "--data", self.data)

    def pass_through(self, name, pattern, *options):
        """A rule of the passthrough."""
        self._run("passthrough", "set", name, pattern, *options, "--data", self.data)

    def wait_running(self, count):
        """Until so many scripts run."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._run("script", "ls", "--json", "--data", self.data).count('"running"') < count:
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: scripts do not run")
            time.sleep(0.1)

    def command(self):
        listen = ["--mqtt-listen", f"127.0.0.1:{self.port}"]
        listen += ["--http-listen", f"127.0.0.1:{self.http_port}"]
        return [self.settings.wyze, "run", "--data", self.data, *listen, *self.limits]

    def get(self, path):
        """What the API answers on an address, as text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}") as answer:
            return answer.read().decode()

    def metric(self, name):
        """The value of a metric without labels."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise BenchError(f"wyze has no metric {name}")

    def script_command(self, word):
        """Says start or stop to the script."""
        self._run("script", word, "echo", "--data", self.data)

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _run(self, *arguments):
        done = subprocess.run(
            [self.settings.wyze, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            words = " ".join(arguments)
            raise BenchError(f"wyze {words}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class WyzeRaised(Wyze):
    """wyze with room for a million messages of one session and a million retained topics."""

    limits = [
        "--mqtt-max-queued", "2000000", "--mqtt-max-queued-bytes", "1GiB",
        "--mqtt-max-retained", "2000000", "--mqtt-max-retained-bytes", "1GiB",
    ]


class Mosquitto(Server):
    """mosquitto with nothing on disk, no limit at which it drops, and no delayed packets."""

    name = "mosquitto"
    persistence = "persistence false\n"

    @classmethod
    def missing(cls, settings):
        return None if find_program("mosquitto") else "mosquitto is not installed"

    def command(self):
        path = os.path.join(self.folder, "mosquitto.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.persistence)
            file.write(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
                f"persistence_location {self.data}/\n"
                "max_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 0\n"
                "set_tcp_nodelay true\nlog_dest none\nuser root\n"
            )
        return [find_program("mosquitto"), "-c", path]


class MosquittoSaved(Mosquitto):
    """mosquitto as durable as it can be: its state is saved whenever something in it changed. No
    ack waits for that."""

    name = "mosquitto, saving"
    persistence = "persistence true\nautosave_on_changes true\nautosave_interval 1\n"


class MosquittoSecond(Mosquitto):
    """mosquitto that saves its state every second."""

    name = "mosquitto, 1 s"
    persistence = "persistence true\nautosave_interval 1\n"


class MosquittoKept(Mosquitto):
    """mosquitto that saves its state when it stops, and before that every half an hour."""

    name = "mosquitto, kept"
    persistence = "persistence true\n"


class Nats(Server):
    """nats-server with its defaults: core NATS, nothing is kept."""

    name = "nats-server"
    protocol = "nats"
    topic = "bench.d%d.s%d.status"
    filter = "bench.>"

    @classmethod
    def missing(cls, settings):
        return None if find_program("nats-server") else "nats-server is not installed"

    def command(self):
        return [find_program("nats-server"), "-a", "127.0.0.1", "-p", str(self.port)]

    def _greets(self, session):
        session.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        answer = b""
        while b"PONG" not in answer:
            part = session.recv(4096)
            if not part:
                return False
            answer += part
        return True


class JetStream(Nats):
    """nats-server with JetStream's defaults: files, without a sync for each ack."""

    name = "nats jetstream"

    def command(self):
        return [*super().command(), "-js", "-sd", self.data]


def cpu_now(server):
    """Processor seconds of the server and of the processes below it."""
    return process.cpu_seconds(server.pid), process.workers_cpu_seconds(server.pid)
