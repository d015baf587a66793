# SPDX-License-Identifier: Apache-2.0
"""A stream's folder is Kafka's: Debian's python3-kafka reads it, an independent checker its indexes."""

import json
import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests"))
import log_reader_check  # noqa: E402


def fill(wyze, count):
    device = wyze.client("lamp")
    infos = [device.publish("mesh/b5ea3f/42/M/status", str(i), wait=False) for i in range(count)]
    for info in infos:
        info.wait_for_publish(30)
    device.close()


def test_kafka_reads_the_segments_and_every_checksum_is_right(wyze):
    fill(wyze, 3000)
    ours = wyze.records()
    kafkas = list(log_reader_check.records(wyze.data / "raw-stream"))  # while it runs
    assert [json.loads(r["value"]) for r in kafkas] == [r["body"] for r in ours]
    assert [r["offset"] for r in kafkas] == [r["offset"] for r in ours]
    assert {r["topic"] for r in kafkas} == {"bedroom.light.brightness"}


def test_indexes_say_what_the_segments_hold(make_wyze):
    wyze = make_wyze().start("--streams-segment-bytes=1MiB")
    wyze.import_mapping('[Device]\n"mesh/b5ea3f/42" = "bedroom.light"\n[Subtopic]\n"M" = "brightness"\n')
    fill(wyze, 6000)
    assert wyze.stop() == 0
    folder = wyze.data / "raw-stream"
    assert len(list(folder.glob("*.log"))) > 1
    assert log_reader_check.check_indexes(folder) > 10
    assert len(list(log_reader_check.records(folder))) == 6000


def test_a_damaged_byte_is_found_by_the_checker(wyze):
    fill(wyze, 100)
    wyze.stop()
    [log] = (wyze.data / "raw-stream").glob("*.log")
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    log.write_bytes(damaged)
    try:
        list(log_reader_check.records(wyze.data / "raw-stream"))
    except ValueError:
        return
    raise AssertionError("the checker saw nothing")
