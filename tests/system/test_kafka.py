# SPDX-License-Identifier: Apache-2.0
"""A stream's folder is Kafka's: Debian's python3-kafka reads it, an independent checker its indexes."""

import json
import sys

from conftest import ROOT, until
from mqtt_wire import metric

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


def test_kafka_reads_what_was_compressed(make_wyze):
    """Sealed segments get smaller in the background; Kafka's library, the checker and our own readers
    find in them what they found before, also when the files are of both kinds."""
    wyze = make_wyze().start("--streams-segment-bytes=1MiB")
    wyze.import_mapping('[Device]\n"mesh/b5ea3f/42" = "bedroom.light"\n[Subtopic]\n"M" = "brightness"\n')
    fill(wyze, 12000)
    until(lambda: metric(wyze, "wyze_stream_packed_segments_total") > 1, 30, "nothing is compressed")
    ours = wyze.records()
    assert [int(record["body"]["value"]) for record in ours] == list(range(12000))
    assert wyze.stop() == 0
    folder = wyze.data / "raw-stream"
    sizes = [path.stat().st_size for path in sorted(folder.glob("*.log"))]
    assert sizes[0] < 1024 * 1024 * 0.9
    codecs = {log[22] & 7 for log in (path.read_bytes() for path in folder.glob("*.log"))}
    assert codecs == {0, 4}  # zstd, and the one that was written to
    kafkas = list(log_reader_check.records(folder))
    assert [json.loads(r["value"]) for r in kafkas] == [r["body"] for r in ours]
    assert [r["offset"] for r in kafkas] == [r["offset"] for r in ours]
    assert log_reader_check.check_indexes(folder) > 10
    assert json.loads(wyze.cli("log", "verify", "raw", "--json").stdout)["records"] == 12000
    wyze.start("--streams-segment-bytes=1MiB", "--streams-compression=none")
    assert wyze.records() == ours
    assert wyze.records(start="@6000") == ours[6000:]


def test_nothing_is_compressed_that_is_not_to_be(make_wyze):
    wyze = make_wyze().start("--streams-segment-bytes=1MiB", "--streams-compression=none")
    fill(wyze, 6000)
    assert wyze.stop() == 0
    assert {path.read_bytes()[22] & 7 for path in (wyze.data / "raw-stream").glob("*.log")} <= {0}
    assert "stream.packed" not in wyze.log()


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
