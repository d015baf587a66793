# SPDX-License-Identifier: Apache-2.0
"""Tests of wyze's scripts: a script in a real worker, wyze-python, given messages one at a time.

    from wyze.testing import Script

    def test_a_bright_room_turns_the_hall_down():
        with Script("alarm.py") as s:
            result = s.feed("bedroom.light.brightness", "255")
            assert result.emitted == [("hall.light.brightness.output", {"value": 100})]

`wyze script test DIR` runs such tests with pytest. Nothing is published and nothing kept but in the
Script. The protocol is that of docs/formats/worker.md.
"""

import base64
import datetime
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import time as clock
import uuid

__all__ = ["Invalid", "Result", "Script", "UNSET", "WorkerGone"]

LOAD, START, BATCH, DRAIN, STATE, FOUND = range(1, 7)
READY, INVALID, STARTED, RESULT, LOG, DRAINED, QUERY = range(65, 72)
OK, EXCEPTION, REFUSED, DEFERRED = range(4)
EMIT, TRACE, TERMINATE, SEEN = range(1, 5)
OBJECT, TEXT, BYTES, NUMBER = range(4)
SEVERITIES = ("debug", "info", "warning", "error")
LANES = 64
SHARED = LANES  # the lane of what belongs to the script, whatever the topic
GONE = 0xFFFFFFFF
NO_OFFSET = -1
LATEST = 2**63 - 1
STATE_FRAME_BYTES = 1 << 20


class _Unset:
    def __repr__(self):
        return "UNSET"


UNSET = _Unset()  # in Result.changes: the key was taken away


class Invalid(Exception):
    """The script may not run. reason, line (0: not known) and traceback say why."""

    def __init__(self, reason, line, traceback):
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason, self.line, self.traceback = reason, line, traceback


class WorkerGone(Exception):
    """The worker's process has ended."""


class Result:
    """What became of a message, of init or of stop.

    emitted    what went out, a list of (topic, body)
    logs       what was logged and printed, a list of (severity, text)
    changes    what changed in the state, a dict by key; UNSET: the key is gone
    error      why it failed, on one line, or None; then nothing went out, and nothing changed
    traceback  the whole of it, or None
    ended      the remark with which the script has ended itself, or None
    """

    def __init__(self):
        self.emitted, self.logs, self.changes = [], [], {}
        self.error = self.traceback = self.ended = None

    def __repr__(self):
        members = {name: value for name, value in vars(self).items() if value}
        return "Result(" + ", ".join(f"{name}={value!r}" for name, value in members.items()) + ")"


def find_worker():
    """The program wyze-python: WZ_WORKER, else beside this module's wyze, else beside the wyze that
    is found as a command."""
    given = os.environ.get("WZ_WORKER")
    if given:
        return given
    here = pathlib.Path(__file__).resolve().parent
    places = [here.parent / "wyze-python", *(up / "bin" / "wyze-python" for up in here.parents[3:4])]
    program = shutil.which("wyze")
    if program:
        beside = pathlib.Path(program).resolve().parent
        places += [beside / "wyze-python", beside / "worker" / "wyze-python",
                   beside.parent / "libexec" / "wyze" / "wyze-python"]
    for place in places:
        if os.access(place, os.X_OK):
            return str(place)
    raise FileNotFoundError("wyze-python is not found: run the tests by `wyze script test`, or set "
                            "WZ_WORKER to its path")


def _make_crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _make_crc_table()


def lane_of(topic):
    """The lane of a topic: CRC-32C modulo 64."""
    crc = 0xFFFFFFFF
    for byte in topic.encode():
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return (crc ^ 0xFFFFFFFF) % LANES


def topic_matches(pattern, topic):
    """Whether an AMQP pattern matches: '*' is a word, '#' any number of words."""
    def match(wanted, given):
        if not wanted:
            return not given
        if wanted[0] == "#":
            return any(match(wanted[1:], given[n:]) for n in range(len(given) + 1))
        return bool(given) and wanted[0] in ("*", given[0]) and match(wanted[1:], given[1:])
    return match(pattern.split("."), topic.split("."))


def _to_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _members(body):
    """The members that a message's body has in its record, behind the stamps."""
    if isinstance(body, dict):
        return dict(body)
    if isinstance(body, (bytes, bytearray)):
        try:
            body = bytes(body).decode()
        except UnicodeDecodeError:
            return {"value": base64.b64encode(body).decode(), "_encoding": "base64"}
    if not isinstance(body, str):
        body = _to_json(body)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"value": body.strip(" \t\r\n")}


def _to_ms(time):
    if isinstance(time, datetime.datetime):
        if time.tzinfo is None:
            raise ValueError("a time needs a time zone: datetime(..., tzinfo=timezone.utc)")
        time = time.timestamp()
    return round(time * 1000)


class Parts:
    """Takes a payload apart from its front."""

    def __init__(self, payload):
        self.left = payload

    def get(self, form):
        size = struct.calcsize(">" + form)
        return struct.unpack(">" + form, self.take(size))

    def take(self, size):
        if len(self.left) < size:
            raise WorkerGone("the worker broke the protocol: a frame is too short")
        taken, self.left = self.left[:size], self.left[size:]
        return taken


def pack_record(offset, topic, body, append_ms, hops=0, opens=True):
    """A record as it stands in a BATCH and in FOUND."""
    name, text = topic.encode(), body.encode()
    return struct.pack(">BBBBHIqq", 0, hops, lane_of(topic), opens, len(name), len(text), offset,
                       append_ms) + name + text


def unpack_results(payload):
    """The results of a payload, each (status, offset, before, items), and the changes behind them
    as {(lane, key): text or None}."""
    parts = Parts(payload)
    found, changes = [], {}
    for _ in range(parts.get("I")[0]):
        _, status, before, offset, count, size = parts.get("BBIqII")
        inner, items = Parts(parts.take(size)), []
        for _ in range(count):
            kind, length = inner.get("BI")
            items.append((kind, inner.take(length)))
        found.append((status, offset, before, items))
    for _ in range(parts.get("I")[0]):
        lane, key_size, size = parts.get("BHI")
        key = parts.take(key_size).decode()
        changes[lane, key] = None if size == GONE else parts.take(size).decode()
    return found, changes


def unpack_output(item):
    """Topic and body of an EMIT item, the body as the script gave it."""
    parts = Parts(item)
    kind, _, size = parts.get("BBB")
    topic, body = parts.take(size).decode(), parts.left
    if kind == BYTES:
        return topic, body
    return topic, body.decode() if kind == TEXT else json.loads(body)


class Worker:
    """A process of wyze-python and our end of its pipe."""

    def __init__(self, name="test", timeout=30):
        self.timeout = timeout
        self.bytes = b""
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(timeout)

        def keep():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)

        try:
            self.process = subprocess.Popen([find_worker(), name, str(os.getpid())], env={},
                                            close_fds=False, preexec_fn=keep,
                                            stdin=subprocess.DEVNULL)
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()

    def close(self):
        self.process.kill()
        self.process.wait(30)
        self.socket.close()

    def send(self, kind, payload=b""):
        try:
            self.socket.sendall(struct.pack(">IB", len(payload), kind) + payload)
        except OSError:
            pass  # reading says how it has ended

    def send_list(self, kind, members):
        self.send(kind, struct.pack(">I", len(members)) + b"".join(members))

    def load(self, code, config, name="test", laned=False):
        name, code, config = name.encode(), code.encode(), config.encode()
        self.send(LOAD, struct.pack(">BHII", laned, len(name), len(code), len(config)) + name + code +
                  config)

    def send_found(self, records):
        self.send(FOUND, struct.pack(">II", 0, len(records)) + b"".join(records))

    def give_up(self):
        self.process.kill()
        raise WorkerGone(f"no answer within {self.timeout} s") from None

    def _read(self, size):
        while len(self.bytes) < size:
            try:
                more = self.socket.recv(1 << 20)
            except TimeoutError:
                self.give_up()
            except ConnectionError:
                more = b""
            if not more:
                code = self.process.wait(30)
                raise WorkerGone(f"the process was ended by signal {-code}" if code < 0 else
                                 f"the process exited with code {code}")
            self.bytes += more
        taken, self.bytes = self.bytes[:size], self.bytes[size:]
        return taken

    def next(self):
        """Type and payload of the next frame; WorkerGone when there is none."""
        size, kind = struct.unpack(">IB", self._read(5))
        return kind, self._read(size)


class _Input:
    """A message that was given and is not answered yet."""

    def __init__(self, offset, packed, worker):
        self.offset, self.packed, self.worker = offset, packed, worker
        self.result = Result()


class Script:
    """A script in a worker of its own, or several.

    script   the path of a file, or the code itself: a str that has a newline or "def " in it
    config   what context.config is
    workers  how many processes; with more than one the state is kept by lane
    state    what is in its state at the beginning (one worker only)
    timeout  seconds that a call may take

    Raises Invalid when the script may not run. A context manager: at its end the processes end.

    emitted, logs  what all calls together put out and logged, init's too
    started        the Result of init (of the first worker)
    """

    def __init__(self, script, config=None, workers=1, state=None, timeout=30):
        self._code, self.name = self._read(script)
        self._config = _to_json(config or {})
        self._timeout = timeout
        self._state = {(SHARED, key): _to_json(value) for key, value in (state or {}).items()}
        if state and workers > 1:
            raise ValueError("with several workers the state is kept by lane: feed it")
        self._records = []  # (append_ms, topic, body, packed)
        self._waiting = []  # _Input
        self._workers = [None] * workers
        self._last_ms = 0
        self.emitted, self.logs = [], []
        self.started = None
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _read(script):
        if isinstance(script, pathlib.PurePath) or not ("\n" in script or "def " in script):
            path = pathlib.Path(script)
            return path.read_text(encoding="utf-8"), path.stem
        return script, "test"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the processes; stop() is not called."""
        for worker in self._workers:
            if worker is not None:
                worker.close()
        self._workers = [None] * len(self._workers)

    # Messages.

    def feed(self, topic, body, time=None, hops=0):
        """Gives a message and waits for its Result.

        body  a dict, or what else a device would publish: str, bytes, a number
        time  when it came: seconds since the epoch or a datetime with a time zone; without it the
              body's _timestamp, or now. Times do not go back
        hops  how many scripts it has been through
        """
        given = self.send(topic, body, time, hops)
        self.wait()
        return given

    def send(self, topic, body, time=None, hops=0):
        """Gives a message and does not wait: the Result says something after wait(). A crash() in
        between means that nothing of it counts, however far the script has come with it."""
        index = lane_of(topic) % len(self._workers)
        if self._workers[index] is None:
            raise WorkerGone("the worker has ended: resume() starts another")
        offset, packed = self._record(topic, body, time, hops)
        given = _Input(offset, packed, index)
        self._waiting.append(given)
        self._workers[index].send_list(BATCH, [packed])
        return given.result

    def wait(self):
        """Waits for the answers to all that was sent. A message at which the process ended has no
        answer: its error says so, and resume() gives it again."""
        while True:
            given = next((one for one in self._waiting if self._workers[one.worker]), None)
            if given is None:
                return
            try:
                self._take_answer(given.worker)
            except WorkerGone as gone:
                self._lose(given.worker, str(gone))

    def history(self, topic, body, time=None):
        """A record that lookback and last find, without giving it to the script."""
        self._record(topic, body, time, 0)

    # State.

    @property
    def state(self):
        """What is in the state, a new dict. With several workers: see state_of."""
        if len(self._workers) > 1:
            raise ValueError("with several workers the state is kept by lane: state_of(topic)")
        return self._state_in(SHARED)

    def state_of(self, topic):
        """What calls for a topic see of the state, a new dict."""
        return self._state_in(lane_of(topic) if len(self._workers) > 1 else SHARED)

    def _state_in(self, wanted):
        return {key: json.loads(text) for (lane, key), text in self._state.items() if lane == wanted}

    # Ends.

    def crash(self):
        """Kills the processes. What was sent and not waited for has not happened."""
        for index, worker in enumerate(self._workers):
            if worker:
                self._lose(index, "the process was killed")

    def resume(self, again=True):
        """Starts new processes with the state as the last call that ended well left it, and gives
        them what was sent and not answered; again=False forgets that. Returns the Results."""
        self.close()
        self._start_all()
        given, self._waiting = self._waiting, []
        for one in given if again else []:
            one.result.__init__()
            self._waiting.append(one)
            self._workers[one.worker].send_list(BATCH, [one.packed])
        self.wait()
        return [one.result for one in given] if again else []

    def stop(self):
        """Calls the script's stop, as when wyze stops in good order, and ends the processes. Returns
        its Result (of the last worker)."""
        self.wait()
        result = Result()
        for worker in self._workers:
            if worker:
                result = Result()
                worker.send(DRAIN)
                self._take_step(self._until(worker, DRAINED, result), [result])
        self.close()
        return result

    # Inside.

    def _record(self, topic, body, time, hops):
        members = _members(body)
        members.pop("_topic", None)
        stamp = members.pop("_timestamp", None)
        if time is not None:
            now_ms = _to_ms(time)
        else:
            now_ms = stamp if stamp is not None else max(int(clock.time() * 1000), self._last_ms)
        if now_ms < self._last_ms:
            raise ValueError("the record is older than the one before it: a stream is in order")
        self._last_ms = now_ms
        text = _to_json({"_id": members.pop("_id", None) or str(uuid.uuid4()), "_timestamp": now_ms,
                         "_topic": topic, **members})
        offset = len(self._records)
        packed = pack_record(offset, topic, text, now_ms, hops)
        self._records.append((now_ms, topic, packed))
        return offset, packed

    def _start_all(self):
        for index in range(len(self._workers)):
            result = Result()
            self._workers[index] = worker = Worker(self.name, self._timeout)
            try:
                worker.load(self._code, self._config, self.name, len(self._workers) > 1)
                self._until(worker, READY, result)
                self._send_state(worker)
                worker.send(START)
                self._take_step(self._until(worker, STARTED, result), [result])
            except WorkerGone as gone:
                raise Invalid(str(gone), 0, "") from None
            if self.started is None:
                self.started = result

    def _send_state(self, worker):
        frame, size = [], 0
        for (lane, key), text in self._state.items():
            name, value = key.encode(), text.encode()
            frame.append(struct.pack(">BHI", lane, len(name), len(value)) + name + value)
            size += len(frame[-1])
            if size >= STATE_FRAME_BYTES:
                worker.send_list(STATE, frame)
                frame, size = [], 0
        if frame:
            worker.send_list(STATE, frame)

    def _until(self, worker, wanted, result):
        """The payload of the next frame of the type wanted; what comes before is worked off."""
        end = clock.monotonic() + self._timeout
        while True:
            kind, payload = worker.next()
            if clock.monotonic() > end:  # it logs for ever
                worker.give_up()
            if kind == LOG:
                self._take_log(payload, result)
            elif kind == QUERY:
                self._look_back(worker, payload)
            elif kind == INVALID:
                parts = Parts(payload)
                line, _, size = parts.get("III")
                raise Invalid(parts.take(size).decode(), line, parts.left.decode())
            elif kind == wanted:
                return payload
            else:
                raise WorkerGone(f"the worker broke the protocol: a frame of type {kind}")

    def _take_log(self, payload, result):
        parts = Parts(payload)
        _, severity, _, offset = parts.get("BBBq")
        line = SEVERITIES[severity], parts.left.decode()
        self.logs.append(line)
        for given in self._waiting:
            if given.offset == offset:
                result = given.result
        if result is not None:
            result.logs.append(line)

    def _look_back(self, worker, payload):
        parts = Parts(payload)
        _, before, since, until, limit = parts.get("BqqqI")
        pattern = parts.left.decode()
        found = [packed for at, topic, packed in self._records[:before if before < LATEST else None]
                 if at >= since and (until == 0 or at < until) and topic_matches(pattern, topic)]
        worker.send_found(found[-limit:] if limit else [])

    def _take_answer(self, index):
        """Waits for the next results of a worker, and works them off."""
        payload = self._until(self._workers[index], RESULT, None)
        given = [one for one in self._waiting if one.worker == index]
        answered = 0
        for _, _, before, _ in unpack_results(payload)[0]:
            answered += before + 1
        if answered > len(given):
            raise WorkerGone("the worker broke the protocol: a result without a record")
        self._take_step(payload, [one.result for one in given[:answered]])
        for one in given[:answered]:
            self._waiting.remove(one)

    def _take_step(self, payload, results):
        """Works off a frame of results: what they put out and change counts from here on."""
        found, changes = unpack_results(payload)
        position = -1
        for status, _, before, items in found:
            position += before + 1
            result = results[position]
            if status == DEFERRED:
                result.error = "the script has ended itself before"
            for kind, item in items:
                self._take_item(kind, item, result)
        for (lane, key), text in changes.items():
            if text is None:
                self._state.pop((lane, key), None)
            else:
                self._state[lane, key] = text
            results[-1].changes[key] = UNSET if text is None else json.loads(text)

    def _take_item(self, kind, item, result):
        if kind == EMIT:
            output = unpack_output(item)
            result.emitted.append(output)
            self.emitted.append(output)
        elif kind == TRACE:
            result.traceback = item.decode()
            result.error = (result.traceback.strip().splitlines() or ["the call failed"])[-1]
        elif kind == TERMINATE:
            result.ended = item.decode()

    def _lose(self, index, why):
        """A worker has ended; what it held has no answer."""
        for one in self._waiting:
            if one.worker == index:
                one.result.error = one.result.error or why
        self._workers[index].close()
        self._workers[index] = None


try:
    import pytest
except ImportError:  # unittest will do as well
    pass
else:
    @pytest.fixture
    def script(request):
        """Makes Scripts that end with the test; a relative path is looked for beside the test."""
        made = []

        def make(path_or_code, *args, **options):
            if "\n" not in str(path_or_code):
                path_or_code = request.path.parent / path_or_code
            made.append(Script(path_or_code, *args, **options))
            return made[-1]

        yield make
        for one in made:
            one.close()
