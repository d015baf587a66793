# SPDX-License-Identifier: Apache-2.0
"""What docs/templates.md shows is what happens: real devices' topics and payloads, published over MQTT,
become the records that stand there, and commands reach the devices as shown."""

import json
import re
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, WYZE, until

PAGE = (ROOT / "docs/templates.md").read_text()
SECTIONS = {title: re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M)
            for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)}
READY = [title for title in SECTIONS if title != "One of your own"]
STAMPS = ("_id", "_timestamp", "_topic")


def shell(wyze, text, folder):
    for line in text.splitlines():
        line = re.sub(r"^wyze\b", str(WYZE), line)
        done = subprocess.run(["bash", "-c", line], cwd=folder, env=wyze.env, capture_output=True,
                              text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def members(record_text):
    """The text of a record's body without its stamps, byte for byte."""
    text = re.sub(r'"_id":"[^"]*","_timestamp":\d+,"_topic":"[^"]*",?', "", record_text)
    return text


def raw_lines(wyze):
    """Topic and body of each record on raw-stream, as its bytes are."""
    url = wyze.url("/api/v1/streams/raw-stream/records?from=first")
    with urllib.request.urlopen(url, timeout=30) as answer:
        lines = [line.decode() for line in answer if line.strip()]
    found = []
    for line in lines:
        topic = json.loads(line)["topic"]
        body = line[line.index('"body":') + len('"body":'):].rstrip()
        found.append((topic, members(body[:-1])))  # the record's own bracket
    return found


def command(wyze, topic, body):
    request = urllib.request.Request(
        wyze.url("/api/v1/publish"), method="POST",
        data=f'{{"exchange":"egress","topic":{json.dumps(topic)},"body":{body}}}'.encode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def transcript(text):
    lines = text.splitlines()
    assert len(lines) % 2 == 0
    for given, shown in zip(lines[::2], lines[1::2]):
        assert shown.startswith("  ") and not given.startswith(" ")
        yield given.split(" ", 1), shown.strip()


def test_each_ready_template_has_its_section(make_wyze):
    wyze = make_wyze().start()
    rows = [json.loads(line) for line in wyze.cli("template", "ls", "--json").stdout.splitlines()]
    assert sorted(READY) == [row["template"] for row in rows]
    assert {row["kind"] for row in rows} == {"ready"}


@pytest.mark.parametrize("name", READY)
def test_ready_template_as_its_section_shows_it(make_wyze, tmp_path, name):
    (_, setup), (_, text) = SECTIONS[name]
    wyze = make_wyze().start()
    shell(wyze, setup, tmp_path)
    device = wyze.client("device")
    others = wyze.client("others")
    others.subscribe("#", 1)
    records, sent, commands = [], [], []
    for (topic, body), shown in transcript(text):
        if "/" in topic:
            device.publish(topic, body, 1)
            sent.append(topic)
            if shown != "-":
                records.append(tuple(shown.split(" ", 1)))
        else:
            command(wyze, topic, body)
            commands.append(tuple(shown.split(" ", 1)))
    assert len(records) >= 3
    until(lambda: len(raw_lines(wyze)) >= len(records), what="records are missing")
    assert raw_lines(wyze) == records
    others.wait_for(len(sent) + len(commands))
    got = [(message.topic, message.payload.decode()) for message in others.got]
    for one in commands:
        assert one in got
    assert len(got) == len(sent) + len(commands)


def test_own_template_as_the_page_shows_it(make_wyze, tmp_path):
    [(_, text)] = SECTIONS["One of your own"]
    wyze = make_wyze().start()
    shell(wyze, text, tmp_path)
    device = wyze.client("device")
    device.publish("mesh/b5ea3f/42/M/state", "25")
    device.publish("mesh/b5ea3f/42/M/status", "26")  # not its type word
    until(lambda: raw_lines(wyze))
    assert raw_lines(wyze) == [("bedroom.light.level", '{"value":25}')]


def test_devices_follow_their_template_live_and_across_a_restart(make_wyze):
    wyze = make_wyze().start()
    wyze.cli("template", "set", "lamp", '{"channels": {"M": "level"}}')
    for number in range(3):
        wyze.cli("device", "set", f"mesh/{number}", f"lamp{number}", "--template", "lamp")
    wyze.cli("device", "set", "mesh/2", "--set", "channels.M=own")
    device = wyze.client("device")
    device.publish("mesh/1/M/status", "1")
    wyze.cli("template", "set", "lamp", '{"channels": {"M": {"channel": "bright", "type": "number"}}}')
    for number in range(3):
        device.publish(f"mesh/{number}/M/status", "2")
    until(lambda: len(raw_lines(wyze)) == 4)
    device.close()
    assert wyze.stop() == 0
    wyze.start()
    wyze.client("again").publish("mesh/1/M/status", "3")
    until(lambda: len(raw_lines(wyze)) == 5)
    assert raw_lines(wyze) == [
        ("lamp1.level", '{"value":"1"}'), ("lamp0.bright", '{"value":2}'),
        ("lamp1.bright", '{"value":2}'), ("lamp2.own", '{"value":"2"}'),
        ("lamp1.bright", '{"value":3}')]


def test_bodies_that_are_not_of_their_type_are_text_and_counted(make_wyze):
    wyze = make_wyze().start()
    wyze.cli("device", "set", "a", "r", "--set", "type=number")
    device = wyze.client("device")
    for body in ("1e3", "one", '{"v":1}', " 2 "):
        device.publish("a/status", body)
    until(lambda: len(raw_lines(wyze)) == 4)
    assert raw_lines(wyze) == [("r", '{"value":1e3}'), ("r", '{"value":"one"}'), ("r", '{"v":1}'),
                               ("r", '{"value":2}')]

    def counted():
        with urllib.request.urlopen(wyze.url("/metrics"), timeout=10) as answer:
            text = answer.read().decode()
        return re.search(r"^wyze_demux_untyped_total (\d+)$", text, re.M)[1] == "1"

    until(counted)


def ask(wyze, method, path, body=None, **fields):
    request = urllib.request.Request(wyze.url(path), method=method, headers=fields,
                                     data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null"), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers


def test_templates_over_the_api(make_wyze):
    wyze = make_wyze().start()
    status, body, headers = ask(wyze, "GET", "/api/v1/templates/tasmota")
    assert (status, headers["ETag"]) == (200, '"0"') and body["command"] == "cmnd/{device}/{subtopic}"
    status, body, headers = ask(wyze, "PATCH", "/api/v1/templates/tasmota", {"send": "body"})
    assert (status, headers["ETag"]) == (201, '"1"')
    assert body["send"] == "body" and body["command"] == "cmnd/{device}/{subtopic}"
    items = ask(wyze, "GET", "/api/v1/templates")[1]["items"]
    assert [item["name"] for item in items if "ready" not in item] == ["tasmota"]
    assert [item["name"] for item in items] == sorted(READY)
    assert ask(wyze, "PUT", "/api/v1/devices/a", {"route": "r", "template": "mine"})[0] == 422
    assert ask(wyze, "PUT", "/api/v1/templates/mine", {"input": "in"})[0] == 201
    assert ask(wyze, "PUT", "/api/v1/devices/a", {"route": "r", "template": "mine"})[0] == 201
    status, problem, _ = ask(wyze, "DELETE", "/api/v1/templates/mine")
    assert status == 422 and problem["code"] == "WYZ-2113" and "devices/a" in json.dumps(problem)
    status, problem, _ = ask(wyze, "PUT", "/api/v1/templates/mine", {"reading": "{subtopic}"})
    assert status == 422 and problem["code"] == "WYZ-2112" and "templates/mine" in json.dumps(problem)
    assert ask(wyze, "GET", "/api/v1/templates/mine")[1] == {"input": "in"}
    assert ask(wyze, "DELETE", "/api/v1/templates/tasmota")[0] == 204
    assert ask(wyze, "DELETE", "/api/v1/templates/tasmota")[0] == 404


def test_mapping_with_templates_moves_as_text(make_wyze, tmp_path):
    first, second = make_wyze("first").start(), make_wyze("second").start()
    first.cli("template", "set", "lamp", '{"channels": {"M": {"channel": "level", "type": "number"}}}')
    first.cli("device", "set", "mesh/{n}", "lamp.{n}", "--template", "lamp", "--set", "send=value")
    path = tmp_path / "mapping"
    first.cli("map", "export", str(path))
    second.cli("map", "import", str(path))
    assert second.cli("map", "export").stdout == path.read_text()
    assert second.cli("device", "get", "mesh/{n}").stdout == first.cli("device", "get", "mesh/{n}").stdout
    device = second.client("device")
    device.publish("mesh/7/M/status", "25")
    until(lambda: raw_lines(second) == [("lamp.7.level", '{"value":25}')])
    device.subscribe("mesh/7/M/command", 1)
    command(second, "lamp.7.level.output", '{"value":0}')
    assert device.wait_for(1)[0].payload == b"0"


def test_two_who_change_one_device_lose_nothing(make_wyze):
    wyze = make_wyze().start()
    wyze.cli("device", "set", "plug", "kitchen")
    editors = [threading.Thread(target=lambda who=who: [
        wyze.cli("device", "set", "plug", "--set", f"channels.{who}{number}={who}{number}")
        for number in range(10)]) for who in "ab"]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(60)
    device = json.loads(wyze.cli("device", "get", "plug").stdout)
    assert device["route"] == "kitchen"
    assert set(device["channels"]) == {f"{who}{number}" for who in "ab" for number in range(10)}


def test_topics_that_nobody_means_well(make_wyze):
    wyze = make_wyze().start()
    wyze.cli("device", "set", "mesh/{node}/{unit}", "site.{unit}.{node}")
    wyze.cli("device", "set", "{name}", "tasmota.{name}", "--template", "tasmota")
    device = wyze.client("device")
    planes = [chr(plane << 16 | 0x1234) for plane in range(1, 17)]
    mapped = ([(f"mesh/{c}/1/status", f"site.1.{c}") for c in planes]
              + [("mesh/^[a-z]$/(1|2)?/\\d{3}/status", "site.(1|2)?.^[a-z]$.\\d{3}"),
                 ("mesh/{node}/{unit}/status", "site.{unit}.{node}"),
                 ("mesh/%s%n/%00/status", "site.%00.%s%n")])
    lost = ["mesh/" + "x" * (65535 - 14) + "/1/status", "a/" * 127 + "a", "/" * 127,  # 128 levels, no more are taken
            "mesh/../../status", "mesh//1/status", "mesh/n/output/status", "mesh/a.b/1/status",
            "tele//SENSOR", "tele/plug/*/x", "tele/plug/stat/RESULT", "mesh/n/1/" + "yyy/" * 100 + "status"]
    for topic in lost:
        device.publish(topic, "1")
    for topic, _ in mapped:
        device.publish(topic, "1")
    until(lambda: len(raw_lines(wyze)) >= len(mapped))
    assert raw_lines(wyze) == [(topic, '{"value":"1"}') for _, topic in mapped]
    sent = wyze.client("sent")
    sent.subscribe("mesh/#", 1)
    for _, topic in mapped:
        command(wyze, topic + ".output", '{"on":1}')
    sent.wait_for(len(mapped))
    assert sorted(message.topic for message in sent.got) == sorted(
        topic.removesuffix("status") + "command" for topic, _ in mapped)
