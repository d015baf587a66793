# SPDX-License-Identifier: Apache-2.0
"""Streams keep what they are told to keep and no more: by size, by what is free on the disk, and when
somebody asks. Who reads there is told of what went, by its number."""

import functools
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from clock import Clock
from conftest import WYZE, until
from faults import preload_faults, set_faults
from ledger import mapping
from mqtt_wire import Wire, metric, subscribe
from segments import read_stream
from test_exactly_once import COUNTER, deploy, script, wait_outputs, wait_status

MIB = 1024 * 1024
BODY = "x" * 8000


def fill(wyze, count, start=0):
    client = wyze.client("device")
    infos = [client.publish("ledger/0/status", f"{number} {BODY}", wait=False)
             for number in range(start, start + count)]
    for info in infos:
        info.wait_for_publish(60)
        assert info.is_published()
    client.close()


def info(wyze, name="raw-stream"):
    with urllib.request.urlopen(wyze.url(f"/api/v1/streams/{name}"), timeout=10) as answer:
        return json.load(answer)


def removed(wyze, reason, stream="raw-stream", what="segments"):
    return metric(wyze, f'wyze_stream_removed_{what}_total{{stream="{stream}",reason="{reason}"}}')


def trim(wyze, body, stream="raw-stream"):
    """The status and the answer."""
    try:
        with urllib.request.urlopen(wyze.url(f"/api/v1/streams/{stream}/trim"),
                                    json.dumps(body).encode(), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def start(wyze, *flags):
    """Not compressed: sizes are then those of the bodies."""
    wyze.start("--streams-compression=none", *flags)
    wyze.import_mapping(mapping(1))
    return wyze


def test_a_stream_keeps_to_its_size(make_wyze):
    """Also while it is written to, and over a crash; what is kept is the newest, without a hole."""
    flags = ("--streams-raw-bytes=4MiB",)
    wyze = start(make_wyze(), *flags)
    for part in range(3):
        fill(wyze, 600, part * 600)
        until(lambda: info(wyze)["size_bytes"] <= 4 * MIB, what="it is too large")
        said = info(wyze)
        assert (said["max_bytes"], said["max_age_ms"]) == (4 * MIB, None)
        assert said["size_bytes"] > 3 * MIB
        records = wyze.records()
        assert [r["offset"] for r in records] == list(range(said["first_offset"],
                                                            said["next_offset"]))
        assert records[-1]["body"]["value"].startswith(f"{part * 600 + 599} ")
        if part < 2:
            wyze.kill()
            wyze.start("--streams-compression=none", *flags)
    went = removed(wyze, "size")
    assert went > 0
    until(lambda: removed(wyze, "size", what="records")  # counted when its files are gone
          == info(wyze)["removed_records"]["size"])
    assert wyze.log().count('stream.removed stream="raw-stream" reason="size"') >= went
    assert wyze.stop() == 0
    assert sum(f.stat().st_size for f in (wyze.data / "raw-stream").glob("*.log")) <= 4 * MIB


def test_everybody_is_told_of_what_went(make_wyze):
    """A script, a live reader, and the command line: each is told how many records it missed. A
    persistent MQTT session has all of its messages."""
    wyze = start(make_wyze(), "--streams-raw-bytes=1MiB")
    deploy(wyze, COUNTER)
    wait_status(wyze)
    wyze.cli("script", "stop", "count")
    with Wire(wyze.mqtt_port) as wire:
        wire.connected("session", flags=0).send(subscribe("ledger/#", qos=1))
        wire.packet()
    fill(wyze, 400)
    until(lambda: info(wyze)["size_bytes"] <= MIB, what="it is too large")
    first = info(wyze)["first_offset"]
    assert 200 < first < 400

    live = urllib.request.urlopen(wyze.url("/api/v1/streams/raw-stream/live?from=@10"), timeout=10)
    lines = iter(live.readline, b"")
    assert next(line for line in lines if line.startswith(b"event")) == b"event: gap\n"
    said = json.loads(next(line for line in lines if line.startswith(b"data"))[6:])
    assert said == {"from": 10, "to": first, "skipped": first - 10}
    assert json.loads(next(l for l in lines if l.startswith(b"data"))[6:])["offset"] == first
    live.close()

    shown = subprocess.run([WYZE, "sub", "#", "--from", "@10", "--count", "1"], env=wyze.env,
                           capture_output=True, text=True, timeout=20, check=True)
    assert str(first - 10) in re.findall(r"\d+", shown.stderr)

    wyze.cli("script", "start", "count")
    wait_outputs(wyze, 400 - first)
    assert script(wyze)["gap"] == first
    client = wyze.client("session", clean=False)
    client.wait_for(400, 30)
    assert [int(m.payload.split()[0]) for m in client.got] == list(range(400))
    client.close()


def test_a_live_reader_that_stands_is_told(make_wyze):
    """It reads on in what it holds open, then it is told of what went meanwhile."""
    wyze = start(make_wyze(), "--streams-raw-bytes=1MiB")
    fill(wyze, 50)
    live = urllib.request.urlopen(wyze.url("/api/v1/streams/raw-stream/live?from=@0"), timeout=20)
    fill(wyze, 2500, 50)  # far more than the sockets hold
    until(lambda: info(wyze)["size_bytes"] <= MIB, what="it is too large")
    seen, skipped, gap = 0, 0, False
    for line in iter(live.readline, b""):
        if line.startswith(b"event: gap"):
            gap = True
        elif line.startswith(b"data: "):
            said = json.loads(line[6:])
            if gap:
                skipped += said["skipped"]
            else:
                seen += 1
                assert said["offset"] + 1 == seen + skipped
                if said["offset"] == 2549:
                    break
            gap = False
    live.close()
    assert skipped > 0 and seen + skipped == 2550


@pytest.fixture
def faulty(make_wyze, tmp_path):
    """A wyze whose disk says what the test wants: (wyze, set_rules)."""
    wyze = make_wyze()
    control = tmp_path / "faults"

    preload_faults(wyze, control)
    return wyze, functools.partial(set_faults, control)


def free(count):
    return f"statvfs:free:bytes={count}:path=-stream"


def test_a_disk_that_gets_full_is_freed_before_messages_are_refused(faulty):
    """Whatever is free: the oldest segments go, of the largest stream first; the written ones stay,
    and messages are taken in all the while."""
    wyze, set_rules = faulty
    start(wyze, "--streams-segment-bytes=1MiB")
    fill(wyze, 1000)
    segments = info(wyze)["segments"]
    assert segments > 6
    set_rules(free(100 * MIB))  # far below a twentieth of this disk, and above the floor for acks
    until(lambda: removed(wyze, "disk") == segments - 1, 30, "nothing is freed")
    assert info(wyze)["segments"] == 1
    assert removed(wyze, "disk", "processed-stream") == 0
    assert metric(wyze, "wyze_disk_low") == 0
    fill(wyze, 10)
    set_rules()
    fill(wyze, 300)
    until(lambda: info(wyze)["segments"] > 2)
    assert wyze.log().count("disk.low") == 0


def test_a_disk_need_not_be_freed(faulty):
    wyze, set_rules = faulty
    start(wyze, "--streams-segment-bytes=1MiB", "--streams-keep-free=0")
    fill(wyze, 500)
    set_rules(free(MIB))
    until(lambda: metric(wyze, "wyze_disk_low") == 1, what="it is not looked at")
    set_rules()
    until(lambda: metric(wyze, "wyze_disk_low") == 0, what="it is not looked at again")
    assert info(wyze)["first_offset"] == 0


def test_a_clock_that_is_set_removes_nothing(make_wyze, tmp_path):
    wyze = make_wyze()
    clock = Clock(wyze, tmp_path / "clock")
    start(wyze, "--streams-segment-bytes=1MiB", "--streams-raw-age=1h")
    fill(wyze, 500)
    for hours in (100000, -50, 5):
        clock.set(hours)
        until(lambda: wyze.log().count("retention.clock") > 0)
        fill(wyze, 20)
    assert (wyze.data / "raw-stream" / "jumps").exists()
    wyze.kill()
    wyze.start("--streams-segment-bytes=1MiB", "--streams-raw-age=1h")
    said = info(wyze)
    assert said["max_age_ms"] == 3_600_000
    assert said["first_offset"] == 0 and said["segments"] > 3
    clock.close()


def test_streams_are_trimmed_when_somebody_asks(make_wyze):
    """Through the API and by the command line, with a server and without one: the same rules."""
    wyze = start(make_wyze(), "--streams-segment-bytes=1MiB")
    fill(wyze, 600)
    status, would = trim(wyze, {"offset": 300, "dry_run": True})
    assert status == 200 and would["segments"] == 2
    assert info(wyze)["first_offset"] == 0
    status, went = trim(wyze, {"offset": 300})
    assert status == 200 and went == would | {"dry_run": False}
    assert info(wyze)["first_offset"] == went["first_offset"] == went["records"]
    assert removed(wyze, "asked") == 2
    done = json.loads(wyze.cli("log", "trim", "raw", "--keep", "2MiB", "--json").stdout)
    assert done["segments"] == 1 and done["stream"] == "raw-stream"
    assert trim(wyze, {"offset": 3}, "journal")[0] == 400
    assert wyze.cli("log", "trim", "journal", "--keep", "1MiB", check=False).returncode == 3
    assert wyze.stop() == 0
    before = read_stream(wyze.data / "raw-stream").records
    done = json.loads(wyze.cli("log", "trim", "raw", "--keep", "0", "--json").stdout)
    left = read_stream(wyze.data / "raw-stream").records
    assert len(before) - len(left) == done["records"] > 0
    assert wyze.cli("log", "verify", "raw", "--json").returncode == 0
    wyze.start()
    assert info(wyze)["first_offset"] == done["first_offset"]
    fill(wyze, 1)


def test_trimming_while_it_is_read_and_written(make_wyze):
    """Readers at the beginning, a publisher at the end, and somebody who trims again and again."""
    wyze = start(make_wyze(), "--streams-segment-bytes=1MiB")
    fill(wyze, 300)
    stopping = threading.Event()
    failed = []

    def read():
        while not stopping.is_set():
            offsets = [r["offset"] for r in wyze.records()]
            if offsets != sorted(set(offsets)):
                failed.append(offsets)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for part in range(6):
            fill(wyze, 200, 300 + part * 200)
            assert trim(wyze, {"keep_bytes": MIB})[0] == 200
    finally:
        stopping.set()
        reader.join(30)
    assert not failed
    said = info(wyze)
    assert said["next_offset"] == 1500 and said["size_bytes"] <= 2 * MIB
    assert [r["offset"] for r in wyze.records()] == list(range(said["first_offset"], 1500))
