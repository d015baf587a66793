# SPDX-License-Identifier: Apache-2.0
"""The mapping changes while messages come in: none is lost, none comes twice, and each has the name of
a mapping that was in force between its sending and its ack."""

import collections
import http.client
import json
import threading
import urllib.parse

from mqtt_wire import PUBACK, Wire, publish

DEVICES = 8
WINDOW = 50


class Renamer(threading.Thread):
    """Gives devices new routes, one after the other, as fast as the API takes them."""

    def __init__(self, port):
        super().__init__()
        self.api = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.asked = [0] * DEVICES  # version of each device's route: asked for,
        self.in_force = [0] * DEVICES  # and answered
        self.stopping = False
        self.failure = None

    def rename(self, device, version):
        self.asked[device] = version
        self.api.request("PUT", "/api/v1/devices/" + urllib.parse.quote(f"dev/{device}", safe=""),
                         json.dumps({"route": f"d{device}.v{version}"}),
                         {"Content-Type": "application/json"})
        answer = self.api.getresponse()
        text = answer.read()
        assert answer.status in (200, 201, 204), text
        self.in_force[device] = version

    def run(self):
        try:
            version = 0
            while not self.stopping:
                version += 1
                for device in range(DEVICES):
                    self.rename(device, version)
        except Exception as failure:  # told by the test
            self.failure = failure


def send_all(port, renamer, changes):
    """Sends windows of messages until each device has been renamed so often; returns the least and the
    most version that each message may have met."""
    allowed = {}
    number = 0
    with Wire(port, timeout=30).connected("writer") as writer:
        while min(renamer.in_force) < changes and renamer.is_alive():
            least = list(renamer.in_force)
            first = number
            batch = []
            for number in range(first, first + WINDOW):
                batch.append(publish(f"dev/{number % DEVICES}/status", b'{"n":%d}' % number, 1,
                                     number % WINDOW + 1))
            number = first + WINDOW
            writer.send(b"".join(batch))
            for _ in range(WINDOW):
                writer.expect(PUBACK)
            most = list(renamer.asked)
            for n in range(first, number):
                allowed[n] = (least[n % DEVICES], most[n % DEVICES])
    return allowed


def test_each_message_has_a_name_that_was_in_force(wyze):
    renamer = Renamer(wyze.http_port)
    for device in range(DEVICES):
        renamer.rename(device, 0)
    renamer.start()
    try:
        allowed = send_all(wyze.mqtt_port, renamer, 40)
    finally:
        renamer.stopping = True
        renamer.join(60)
    assert renamer.failure is None
    records = wyze.records()
    counts = collections.Counter(record["body"]["n"] for record in records)
    assert len(records) == len(counts) == len(allowed)
    names = set()
    for record in records:
        n = record["body"]["n"]
        device, version = record["topic"].split(".")
        assert device == f"d{n % DEVICES}"
        assert allowed[n][0] <= int(version[1:]) <= allowed[n][1], record
        names.add(record["topic"])
    assert len(names) > 5 * DEVICES  # they did change meanwhile


def test_a_message_sent_after_the_answer_has_the_new_name(wyze):
    renamer = Renamer(wyze.http_port)
    with Wire(wyze.mqtt_port, timeout=30).connected("writer") as writer:
        for version in range(100):
            renamer.rename(0, version)
            writer.send(publish("dev/0/status", b"%d" % version, 1, 1)).expect(PUBACK)
    records = wyze.records()
    assert [r["topic"] for r in records] == [f"d0.v{version}" for version in range(100)]
