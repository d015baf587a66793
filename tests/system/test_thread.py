# SPDX-License-Identifier: Apache-2.0
"""The thread: a device's message becomes a record, a script answers, a command goes out."""

import json
import re
import sqlite3
import urllib.request
import uuid

from conftest import SEED_MAPPING, until
from mqtt_wire import PUBACK, Wire, publish


def test_reading_enters_under_its_logical_name(wyze):
    device = wyze.client("lamp")
    device.publish("mesh/b5ea3f/42/M/status", "255")
    [record] = wyze.records()
    assert record["topic"] == "bedroom.light.brightness"
    body = record["body"]
    assert body["value"] == "255"
    assert body["_topic"] == "bedroom.light.brightness"
    assert uuid.UUID(body["_id"]).version == 7
    assert isinstance(body["_timestamp"], int)
    assert list(body)[:3] == ["_id", "_timestamp", "_topic"]
    assert record["headers"]["from"] == "mesh/b5ea3f/42/M/status"
    assert record["headers"]["client"] == "lamp"
    assert record["headers"]["form"] == "text"
    device.close()


def test_egress_output_becomes_a_command(wyze):
    device = wyze.client("lamp")
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    wyze.cli("pub", "bedroom.light.brightness.output", '{"value": 0}')
    [message] = device.wait_for(1)
    assert message.topic == "mesh/b5ea3f/42/M/command"
    assert message.payload == b'{"value":0}'
    assert message.qos == 1 and not message.retain
    [record] = wyze.records("processed-stream")
    assert record["topic"] == "bedroom.light.brightness.output"
    assert record["body"]["value"] == 0
    assert wyze.records() == []
    device.close()


def test_command_published_directly_is_delivered_and_not_recorded(wyze):
    device = wyze.client("lamp")
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    other = wyze.client("other")
    other.publish("mesh/b5ea3f/42/M/command", '{"value": 7}')
    [message] = device.wait_for(1)
    assert message.payload == b'{"value": 7}'
    other.publish("mesh/b5ea3f/42/M/status", "1")  # recorded: so what came before would be too
    assert [r["topic"] for r in wyze.records()] == ["bedroom.light.brightness"]
    assert wyze.records("processed-stream") == []
    device.close()
    other.close()


def test_script_answers_a_reading_with_a_command(wyze, tmp_path):
    script = tmp_path / "echo.py"
    script.write_text(
        "# wyze: on raw:bedroom.light.brightness\n"
        "def handle_input(msg, context):\n"
        "    context.emit('bedroom.light.brightness.output', {'value': int(msg['value']) // 2})\n"
    )
    wyze.cli("script", "deploy", str(script))
    device = wyze.client("lamp")
    device.subscribe("mesh/b5ea3f/42/M/command", 1)
    device.publish("mesh/b5ea3f/42/M/status", "100")
    [message] = device.wait_for(1)
    assert message.payload == b'{"value":50}'
    [reading] = wyze.records()
    [command] = until(lambda: wyze.records("processed-stream"))  # it leaves before it is readable
    assert command["body"]["_script"] == "echo"
    assert command["body"]["_parent"] == reading["body"]["_id"]
    assert command["headers"]["hops"] == "1"
    device.close()


def test_unmapped_message_is_delivered_counted_and_not_recorded(wyze):
    device = wyze.client("stranger")
    watcher = wyze.client("watcher")
    watcher.subscribe("other/#", 1)
    device.publish("other/thing/status", "1")
    assert watcher.wait_for(1)[0].payload == b"1"
    assert wyze.records() == []

    def counted():
        with __import__("urllib.request").request.urlopen(wyze.url("/metrics")) as answer:
            text = answer.read().decode()
        return re.search(r"^wyze_demux_unmapped_total 1$", text, re.M)

    until(counted)
    device.close()
    watcher.close()


def test_mapping_changes_while_running(wyze):
    device = wyze.client("lamp")
    device.publish("mesh/b5ea3f/42/M/status", "1")
    wyze.import_mapping(SEED_MAPPING.replace("bedroom.light", "hall.light"))

    def renamed():
        device.publish("mesh/b5ea3f/42/M/status", "2")
        return wyze.records()[-1]["topic"] == "hall.light.brightness"

    until(renamed)
    topics = [r["topic"] for r in wyze.records()]
    assert topics == sorted(topics)  # all of the old name, then all of the new one
    assert device.closed is None
    device.close()


def test_mapping_text_comes_back_byte_for_byte(wyze, tmp_path):
    text = "# my lamps\n\n" + SEED_MAPPING.replace("[Types]", "; types\n[Types]") + "\n# end"
    wyze.import_mapping(text)
    assert wyze.cli("map", "export").stdout == text


def test_objects_keep_their_bytes(wyze):
    device = wyze.client("lamp")
    body = '{"a":1.50,"a":2,"_id":"mine","big":12345678901234567890}'
    device.publish("mesh/b5ea3f/42/M/status", body)
    done = wyze.cli("sub", "#", "--from", "first", "--count", "1")
    assert '"a":1.50,"a":2,"big":12345678901234567890,"_received":{"_id":"mine"}' in done.stdout
    assert json.loads(done.stdout.splitlines()[0])
    device.close()


def test_the_first_message_after_a_start_is_mapped(make_wyze):
    """The doors open when the mapping is in force, however long that takes to read: whoever is acked
    has a record."""
    wyze = make_wyze().start()
    devices = "".join(f'"many/{n}" = "many.d{n}"\n' for n in range(20_000))
    wyze.import_mapping(SEED_MAPPING.replace("[Device]\n", "[Device]\n" + devices))
    for turn in range(3):
        assert wyze.stop() == 0
        wyze.start(wait=False)
        wire = until(lambda: connected_at_once(wyze))
        with wire:
            wire.send(publish("many/19999/status", b"%d" % turn, qos=1, packet_id=1))
            wire.expect(PUBACK)
        assert [record["body"]["value"] for record in wyze.records(pattern="many.#")] == [
            str(n) for n in range(turn + 1)]


def connected_at_once(wyze):
    """A connection as soon as there is one to be had, or None."""
    try:
        return Wire(wyze.mqtt_port).connected("early")
    except OSError:
        return None


def test_a_mapping_that_cannot_be_used_refuses_the_start(make_wyze):
    """Another program has put nonsense into the store while wyze was down."""
    wyze = make_wyze().start()
    wyze.import_mapping(SEED_MAPPING)
    assert wyze.stop() == 0
    with sqlite3.connect(wyze.data / "store.db") as store:
        store.execute("UPDATE documents SET body = '{\"route\":\"a..b\"}', checksum = NULL"
                      " WHERE collection = 'devices'")
    store.close()
    wyze.start(wait=False)
    assert wyze.process.wait(30) == 3
    assert "WYZ-2103" in wyze.log() and "mesh/b5ea3f/42" in wyze.log()


def test_a_live_reader_gets_the_first_record_of_all(make_wyze):
    for turn in range(5):
        wyze = make_wyze(f"fresh{turn}").start()
        wyze.import_mapping(SEED_MAPPING)
        with urllib.request.urlopen(wyze.url("/api/v1/streams/raw-stream/live"), timeout=20) as events:
            wyze.cli("pub", "mesh/b5ea3f/42/M/status", "255")
            lines = iter(events.readline, b"")
            line = next(line for line in lines if line.startswith((b"data:", b"event: gap")))
        assert b'"value":"255"' in line
        assert wyze.stop() == 0
