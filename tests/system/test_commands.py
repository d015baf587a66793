# SPDX-License-Identifier: Apache-2.0
"""Commands to devices: sent when their records or their script's step are durable, at least once and
in order whatever dies, not when they are too old, and no faster than a topic's rate."""

import collections
import http.client
import json
import random
import statistics
import threading
import time

import pytest

from conftest import SANITIZED, SEED_MAPPING, Wyze, until
from disk import LOSE_ALL, Disk
from faults import preload_faults, set_faults
from mqtt_wire import metric
from trial import make_seed

TOPICS = 4
MAPPING = "[Device]\n" + "".join(f'"dev/{n}" = "d{n}"\n' for n in range(TOPICS)) + """
[Types]
input = status
output = command
"""

# Turns what comes in on "inN" into a command to the device of "dN".
RELAY = """
def handle_input(msg, context):
    context.emit(msg["_topic"].replace("in", "d") + ".output", {"n": msg["n"]})
"""


def deploy_relay(wyze, folder):
    path = folder / "relay.py"
    path.write_text(RELAY)
    wyze.cli("script", "deploy", str(path), "--on", "raw:*")


def send(connection, topic, body, exchange="egress"):
    """Publishes a command, or what a script makes one of; returns when its record is durable."""
    connection.request("POST", "/api/v1/publish", json.dumps(
        {"exchange": exchange, "topic": topic, "body": body}))
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return json.loads(text)


def send_all(wyze, topic, numbers, exchange="egress"):
    connection = http.client.HTTPConnection("127.0.0.1", wyze.http_port, timeout=10)
    for number in numbers:
        send(connection, topic, {"n": number}, exchange)
    connection.close()


class Sender(threading.Thread):
    """Sends numbered commands to a topic, one after the other, through all restarts: those of odd
    topics by the script. What was not answered may be there or not; it is not sent again."""

    def __init__(self, wyze, number):
        super().__init__(name=f"sender {number}", daemon=True)
        self.wyze = wyze
        self.where = (f"in{number}", "ingress") if number % 2 else (f"d{number}.output", "egress")
        self.acked = []
        self.stopping = False

    def run(self):
        connection, number = None, 0
        while not self.stopping:
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self.wyze.http_port, timeout=5)
                send(connection, self.where[0], {"n": number}, self.where[1])
                self.acked.append(number)
            except (OSError, http.client.HTTPException):
                connection = None
                time.sleep(0.01)
            number += 1


def numbers(client, topic=None):
    """The numbers of the commands that a device got, in their order."""
    return [json.loads(message.payload)["n"] for message in list(client.got)
            if topic is None or message.topic == topic]


def first_occurrences(values):
    return list(dict.fromkeys(values))


class Trial:
    """One instance, a sender for each topic, and a device with a persistent session that gets all of
    them."""

    def __init__(self, wyze):
        self.wyze = wyze
        wyze.start("--commands-rate=100000")
        wyze.import_mapping(MAPPING)
        deploy_relay(wyze, wyze.log_path.parent)
        self.device = wyze.client("device", clean=False)
        self.device.paho.reconnect_delay_set(1, 1)
        self.device.subscribe("dev/+/command", 1)
        self.senders = [Sender(wyze, number) for number in range(TOPICS)]
        for sender in self.senders:
            sender.start()

    def acked(self):
        return sum(len(sender.acked) for sender in self.senders)

    def wait_acked(self, more, seconds=30):
        target = self.acked() + more
        until(lambda: self.acked() >= target, seconds, "no command is acked any more")

    def restart(self):
        self.wyze.start("--commands-rate=100000")

    def missing(self):
        got = collections.defaultdict(set)
        for message in list(self.device.got):
            got[message.topic].add(json.loads(message.payload)["n"])
        return [(number, sorted(set(sender.acked) - got[f"dev/{number}/command"])[:5])
                for number, sender in enumerate(self.senders)
                if set(sender.acked) - got[f"dev/{number}/command"]]

    def finish(self):
        for sender in self.senders:
            sender.stopping = True
        for sender in self.senders:
            sender.join(10)
        until(lambda: not self.missing(), 30, lambda: f"skipped: {self.missing()}")
        for number in range(TOPICS):
            firsts = first_occurrences(numbers(self.device, f"dev/{number}/command"))
            assert firsts == sorted(firsts), f"commands to dev/{number} are out of order"
        self.close()

    def close(self):
        for sender in self.senders:
            sender.stopping = True
        self.device.close()


@pytest.fixture
def make_trial():
    made = []

    def make(wyze):
        made.append(Trial(wyze))
        return made[-1]

    yield make
    for trial in made:
        trial.close()


def test_commands_through_kills(make_wyze, make_trial):
    rng = random.Random(make_seed("commands"))
    trial = make_trial(make_wyze())
    for _ in range(4):
        trial.wait_acked(rng.randrange(1, 400))
        trial.wyze.kill()
        trial.restart()
    trial.wait_acked(100)
    trial.finish()
    assert trial.wyze.stop() == 0
    said = trial.wyze.cli("log", "verify", str(trial.wyze.data / "journal"), "--json").stdout
    assert "command positions" in said, said


def test_commands_through_power_cuts(tmp_path, make_trial):
    rng = random.Random(make_seed("commands, power"))
    disk = Disk(tmp_path, 256)
    wyze = Wyze(disk.path / "wyze")
    wyze.log_path = tmp_path / "wyze.log"  # not on the disk that fails
    try:
        trial = make_trial(wyze)
        for _ in range(2):
            trial.wait_acked(rng.randrange(1, 400))
            disk.cut_power(LOSE_ALL)
            wyze.kill()
            disk.unmount()
            disk.mount()
            trial.restart()
        trial.wait_acked(100)
        trial.finish()
        assert wyze.stop() == 0
    finally:
        if wyze.process.poll() is None:
            wyze.kill()
        disk.unmount()


def test_a_command_that_left_before_its_record_was_durable_outlives_a_power_cut(tmp_path):
    control = tmp_path / "faults"
    disk = Disk(tmp_path, 256)
    wyze = Wyze(disk.path / "wyze")
    wyze.log_path = tmp_path / "wyze.log"
    preload_faults(wyze, control)
    try:
        wyze.start()
        wyze.import_mapping(MAPPING)
        deploy_relay(wyze, tmp_path)
        device = wyze.client("device", clean=False)
        device.paho.reconnect_delay_set(1, 1)
        device.subscribe("dev/1/command", 1)
        send_all(wyze, "in1", [0], "ingress")
        device.wait_for(1)
        set_faults(control, "pwritev:delay:ms=60000:path=processed-stream")
        send_all(wyze, "in1", [1, 2, 3], "ingress")
        device.wait_for(4)  # and none of the three is on processed-stream
        disk.cut_power(LOSE_ALL)
        wyze.kill()
        disk.unmount()
        disk.mount()
        set_faults(control)
        wyze.start()
        send_all(wyze, "in1", [4], "ingress")
        until(lambda: 4 in numbers(device), 30, lambda: f"got {numbers(device)}")
        got = numbers(device)
        assert first_occurrences(got) == list(range(5))
        assert got[-4:] == [1, 2, 3, 4]  # again, and in their order
        records = [record["body"]["n"] for record in wyze.records("processed-stream")]
        assert records == list(range(5))
        device.close()
    finally:
        wyze.kill()
        disk.unmount()


def test_killed_between_the_record_and_the_command(make_wyze, tmp_path):
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    wyze.import_mapping(SEED_MAPPING)
    device = wyze.client("device", clean=False)
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    # The record is durable, its place in the session's queue is not.
    set_faults(control, "pwritev:kill:n=1:path=/journal/")
    try:
        send_all(wyze, "bedroom.light.brightness.output", [1])
    except (OSError, http.client.HTTPException):
        pass  # it may be killed before it has answered
    wyze.process.wait(30)
    set_faults(control)
    assert not device.got
    wyze.start()
    until(lambda: 1 in numbers(device), 30, "the command was lost")
    device.close()


def test_a_command_leaves_when_its_record_is_durable(make_wyze, tmp_path):
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    wyze.import_mapping(SEED_MAPPING)
    device = wyze.client("device")
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    set_faults(control, "fdatasync:delay:ms=1000:path=processed-stream")
    began = time.monotonic()
    send_all(wyze, "bedroom.light.brightness.output", [0])
    device.wait_for(1)
    assert time.monotonic() - began > 0.9
    device.close()


def test_a_command_that_left_before_its_record_was_durable_is_not_sent_again_after_a_stop(
        make_wyze, tmp_path):
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    wyze.import_mapping(MAPPING)
    deploy_relay(wyze, tmp_path)
    send_all(wyze, "in1", [0], "ingress")
    until(lambda: metric(wyze, "wyze_demux_commands_total") == 1)
    set_faults(control, "fdatasync:delay:ms=1000:path=processed-stream")
    send_all(wyze, "in1", [1], "ingress")
    until(lambda: metric(wyze, "wyze_demux_commands_total") == 2)
    assert wyze.stop() == 0
    set_faults(control)
    wyze.start()
    device = wyze.client("device")
    device.subscribe("dev/1/command", 1)
    send_all(wyze, "in1", [2], "ingress")
    device.wait_for(1)
    assert numbers(device) == [2]
    assert metric(wyze, "wyze_demux_commands_total") == 1
    device.close()


def test_a_persistent_device_gets_what_came_while_it_was_away(wyze):
    device = wyze.client("device", clean=False)
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    device.close()
    send_all(wyze, "bedroom.light.brightness.output", range(20))
    assert metric(wyze, "wyze_commands_undelivered_total") == 0
    wyze.stop()
    wyze.start()
    device = wyze.client("device", clean=False)
    device.wait_for(20)
    assert numbers(device) == list(range(20))  # once each: it was an orderly stop
    device.close()


def test_a_clean_device_gets_what_comes_while_it_is_there(wyze):
    send_all(wyze, "bedroom.light.brightness.output", [0, 1])
    until(lambda: metric(wyze, "wyze_commands_undelivered_total") == 2)
    device = wyze.client("device")
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    send_all(wyze, "bedroom.light.brightness.output", range(2, 20))
    device.wait_for(18)
    assert numbers(device) == list(range(2, 20))
    assert {(message.qos, message.retain) for message in device.got} == {(1, 0)}
    assert metric(wyze, "wyze_commands_undelivered_total") == 2
    device.close()


def test_commands_expire_while_wyze_is_stopped(make_wyze):
    wyze = make_wyze(env={"WYZE_COMMANDS_RATE": "1", "WYZE_COMMANDS_EXPIRY": "10s"}).start()
    wyze.import_mapping(SEED_MAPPING)
    device = wyze.client("device", clean=False)
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    send_all(wyze, "bedroom.light.brightness.output", range(10))
    device.wait_for(1)
    assert wyze.stop() == 0
    until(lambda: device.closed)  # it has read all that was sent to it
    sent = len(device.got)
    assert sent < 10
    wyze.env["WYZE_COMMANDS_EXPIRY"] = "3s"
    stopped = time.monotonic()
    until(lambda: time.monotonic() - stopped > 3.1)
    wyze.start()
    until(lambda: metric(wyze, "wyze_commands_expired_total") == 10 - sent)
    assert "command.expired" in wyze.log()
    send_all(wyze, "bedroom.light.brightness.output", [10])  # nothing waits before it any more
    until(lambda: 10 in numbers(device))
    assert first_occurrences(numbers(device)) == [*range(sent), 10]
    assert len(wyze.records("processed-stream")) == 11  # they stay
    device.close()


LOOP = """
def handle_input(msg, context):
    context.emit("d0.output", {"n": msg["n"] + 1})
"""


def test_a_loop_through_a_device_keeps_to_the_rate(make_wyze, tmp_path):
    """A device answers each command with two readings, a script each of these with a command: it
    would double for ever."""
    rate = 20
    wyze = make_wyze(env={"WYZE_COMMANDS_RATE": str(rate)}).start()
    wyze.import_mapping(MAPPING)
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    wyze.cli("script", "deploy", str(path), "--on", "raw:d0")
    looping, other = wyze.client("looping"), wyze.client("other")

    def answer(client, userdata, message):
        looping.got.append(message)
        for _ in range(2):
            client.publish("dev/0/status", message.payload, 1)

    looping.paho.on_message = answer
    looping.subscribe("dev/0/command", 1)
    other.subscribe("dev/1/command", 1)
    began = time.monotonic()
    looping.publish("dev/0/status", json.dumps({"n": 0}))
    until(lambda: metric(wyze, "wyze_commands_delayed_total") > 0, 30, "it does not loop")
    count = len(looping.got)
    took = []
    for number in range(10):  # nobody waits for it, whatever the machine does beside
        asked = time.monotonic()
        send_all(wyze, "d1.output", [number])
        other.wait_for(number + 1)
        took.append(time.monotonic() - asked)
    assert statistics.median(took) < (5 if SANITIZED else 1), took
    until(lambda: len(looping.got) >= count + 3 * rate, 30, "it does not go on looping")
    # However late it is looked at: no more than that had left.
    assert len(looping.got) <= rate * (time.monotonic() - began + 1.5)
    looping.close()
    other.close()


def test_commands_that_wait_follow_a_new_mapping(make_wyze):
    wyze = make_wyze(env={"WYZE_COMMANDS_RATE": "3"}).start()
    wyze.import_mapping(SEED_MAPPING)
    device = wyze.client("device")
    device.subscribe("mesh/b5ea3f/+/M/command", 1)
    old, new = "mesh/b5ea3f/42/M/command", "mesh/b5ea3f/43/M/command"
    send_all(wyze, "bedroom.light.brightness.output", range(40))  # they take 12 seconds
    device.wait_for(3)
    wyze.import_mapping(SEED_MAPPING.replace("mesh/b5ea3f/42", "mesh/b5ea3f/43"))
    until(lambda: device.got[-1].topic == new, 30, "none of them follows")
    device.wait_for(len(device.got) + 2)
    got = list(device.got)
    assert numbers(device)[: len(got)] == list(range(len(got)))
    topics = [message.topic for message in got]
    assert topics == sorted(topics) and topics[0] == old and topics[-1] == new
    device.close()


def test_waiting_commands_outlive_a_kill(make_wyze):
    wyze = make_wyze(env={"WYZE_COMMANDS_RATE": "2"}).start()
    wyze.import_mapping(MAPPING)
    device = wyze.client("device", clean=False)
    device.subscribe("dev/+/command", 1)
    for topic in range(2):
        send_all(wyze, f"d{topic}.output", range(16 if topic == 0 else 2))
    device.wait_for(4)
    # The position is put within a second: behind the other topic's commands, before these.
    until(lambda: len(numbers(device, "dev/0/command")) >= 10)
    # It is durable, and so are the device's acks, before a retained value that is put after them.
    other = wyze.client("other")
    other.publish("durable", "1", retain=True)
    wyze.kill()
    wyze.start()
    until(lambda: 15 in numbers(device, "dev/0/command"), 30, "what waited was lost")
    assert first_occurrences(numbers(device, "dev/0/command")) == list(range(16))
    assert numbers(device, "dev/1/command") == [0, 1]  # sent long before: not again
    device.close()
    other.close()
