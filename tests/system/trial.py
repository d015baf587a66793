# SPDX-License-Identifier: Apache-2.0
"""A wyze under load that is made to fail: the program, the ledger that publishes to it, a reader that
follows raw-stream live, and the verdict at the end."""

import http.client
import json
import os
import pathlib
import random
import re
import shutil
import threading
import urllib.error
import urllib.request

from conftest import until
from faults import preload_faults, set_faults
from ledger import Ledger, Seen, mapping, verify
from segments import read_stream

TOPICS = 12  # of the mapping, and of the ledger unless told


def make_seed(name):
    """The seed of a test: WZ_SEED, or a fresh one. pytest shows it when the test fails."""
    seed = int(os.environ.get("WZ_SEED", random.SystemRandom().randrange(2**32)))
    print(f"{name}: to run it again: WZ_SEED={seed}")
    return seed


class Watcher(threading.Thread):
    """Follows raw-stream live through all restarts and remembers what each offset showed."""

    def __init__(self, wyze, seen):
        super().__init__(name="watcher", daemon=True)
        self.wyze = wyze
        self.seen = seen
        self.position = "0"
        self.last = -1
        self.count = 0
        self.gaps = 0
        self.error = None
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                self.follow()
            except (OSError, ValueError, http.client.HTTPException):  # it is down, or was cut short
                self.stopping.wait(0.01)
            except BaseException as error:
                self.error = error
                return

    def follow(self):
        request = urllib.request.Request(self.wyze.url("/api/v1/streams/raw-stream/live"),
                                         headers={"Last-Event-ID": self.position})
        with urllib.request.urlopen(request, timeout=2) as events:
            position = None
            for line in events:
                if line.startswith(b"id: "):
                    position = line[4:].decode().strip()
                elif line.startswith(b"event: gap"):
                    self.gaps += 1
                elif line.startswith(b"data: {\"offset\":"):
                    self.see(line)
                if line == b"\n" and position is not None:
                    self.position = position
                if self.stopping.is_set():
                    return

    def see(self, line):
        if not line.endswith(b"}\n"):
            raise ValueError("a line that was cut short")
        offset = int(line[len(b'data: {"offset":') : line.index(b",")])
        self.seen.add(offset, line[line.index(b',"body":') + len(b',"body":') : -2])
        self.last = max(self.last, offset)
        self.count += 1

    def check(self):
        if self.error is not None:
            raise self.error

    def stop(self):
        self.stopping.set()
        self.join(10)
        self.check()


class Trial:
    """One instance with load on it. `flags` go to each start; `faults` preloads the library that
    makes the disk fail, with the rules that set_faults() gives."""

    def __init__(self, wyze, folder, seed, flags=("--streams-segment-bytes=1MiB",), faults=False,
                 **options):
        self.wyze = wyze
        self.seed = seed
        self.rng = random.Random(seed)
        self.flags = flags
        self.books = pathlib.Path(folder) / "books"
        self.seen = Seen()
        self.ledger = Ledger(wyze.mqtt_port, self.books, seed, **options)
        self.watcher = Watcher(wyze, self.seen)
        self.control = pathlib.Path(folder) / "faults"
        self.hits_before = 0
        if faults:
            self.preload()

    def preload(self):
        preload_faults(self.wyze, self.control)

    def set_faults(self, *rules):
        """The disk fails by these rules from now on."""
        self.hits_before = len(self.all_hit_lines())
        set_faults(self.control, *rules)

    def all_hit_lines(self):
        path = pathlib.Path(f"{self.control}.hits")
        return path.read_text().splitlines() if path.exists() else []

    def hit_lines(self):
        """The calls that were hit since the faults were set, as "call path"."""
        return self.all_hit_lines()[self.hits_before :]

    def hits(self, part=""):
        """How many they are, of those whose line contains PART."""
        return sum(part in line for line in self.hit_lines())

    def wait_hit(self, part="", count=1, seconds=60):
        """Waits until so many calls were hit since the faults were set."""
        until(lambda: self.hits(part) >= count, seconds, f"no call was hit: {part}")

    def wait_more_hits(self, more, seconds=60):
        """Waits until so many more calls were hit than now."""
        self.wait_hit(count=self.hits() + more, seconds=seconds)

    @property
    def stream(self):
        return self.wyze.data / "raw-stream"

    def begin(self):
        """Starts it all; the topics are mapped before the first message comes."""
        self.wyze.start(*self.flags)
        self.put_mapping(mapping(TOPICS))
        self.ledger.start()
        self.watcher.start()
        return self

    def put_mapping(self, text):
        """Gives it a mapping and waits until that is in force: until a message becomes a record."""
        request = urllib.request.Request(self.wyze.url("/api/v1/mapping"), text.encode(),
                                         {"Content-Type": "text/plain"}, method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass
        client = self.wyze.client("probe")

        def mapped():
            client.publish("ledger/probe/status", "1")
            return self.metric("wyze_demux_mapped_total") > 0

        until(mapped)
        client.close()

    def start(self, **options):
        self.wyze.start(*self.flags, **options)

    def metric(self, name):
        with urllib.request.urlopen(self.wyze.url("/metrics"), timeout=10) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def readiness(self):
        """(status, reasons) of /readyz."""
        try:
            with urllib.request.urlopen(self.wyze.url("/readyz"), timeout=10) as answer:
                return answer.status, json.load(answer)["reasons"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["reasons"]

    def wait_ready(self, status, seconds=60):
        """Waits until /readyz says STATUS; returns its reasons."""
        until(lambda: self.readiness()[0] == status, seconds, f"/readyz did not turn {status}")
        return self.readiness()[1]

    def remember(self):
        """What the newest files hold now must never change its offsets."""
        self.seen.add_all(read_stream(self.stream, newest=2).records)

    def crash(self):
        """kill -9, and a look at what is left."""
        self.wyze.kill()
        self.remember()

    def check(self):
        self.ledger.check()
        self.watcher.check()
        assert self.wyze.process.poll() is None, self.wyze.log()

    def finish(self):
        """Everything is acked, shown and stopped in order; then the files are held against the
        books. Returns what they hold."""
        if self.control.exists():
            self.set_faults()
        self.ledger.drain()
        self.ledger.stop()
        query = "/api/v1/streams/raw-stream/records?direction=backward&limit=1"
        with urllib.request.urlopen(self.wyze.url(query), timeout=10) as answer:
            last = json.load(answer)["offset"]
        until(lambda: self.watcher.check() or self.watcher.last >= last, 60,
              "the live reader did not get to the end")
        self.watcher.stopping.set()
        assert self.wyze.stop() == 0, self.wyze.log()  # with a live reader still there
        self.watcher.stop()
        contents = verify(self.stream, self.books, self.seed, self.seen)
        assert self.watcher.gaps == 0
        shown = {record.offset for record in contents.records} - self.seen.bodies.keys()
        assert not shown, f"never shown: {sorted(shown)[:5]}"
        return contents

    def abandon(self):
        """Ends the threads after a failure."""
        self.ledger.stopping = True
        self.watcher.stopping.set()


def copy_data(wyze, source):
    """Gives an instance that is not running a copy of the data folder SOURCE."""
    shutil.rmtree(wyze.data, ignore_errors=True)
    shutil.copytree(source, wyze.data, ignore=shutil.ignore_patterns("*.sock"))
