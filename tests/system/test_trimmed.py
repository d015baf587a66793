# SPDX-License-Identifier: Apache-2.0
"""A stream is trimmed under a script that lags: it goes on with what is there, and says how many records
it could not read, for as long as it runs."""

from conftest import until
from ledger import mapping
from segments import read_stream
from test_exactly_once import COUNTER, deploy, publish_one, script, wait_outputs, wait_status

BODY = "x" * 30_000


def test_a_lagging_script_tells_what_was_trimmed(make_wyze):
    wyze = make_wyze().start("--streams-segment-bytes=1MiB")
    wyze.import_mapping(mapping(1))
    deploy(wyze, COUNTER)
    wait_status(wyze)
    wyze.cli("script", "stop", "count")
    client = wyze.client("device")
    for _ in range(100):
        client.publish("ledger/0/status", BODY, wait=False)
    until(lambda: len(wyze.records()) == 100)
    client.close()
    assert wyze.stop() == 0
    first = sorted((wyze.data / "raw-stream").glob("*.log"))[1]
    for path in (wyze.data / "raw-stream").glob("0*"):
        if path.is_file() and path.stem < first.stem:
            path.unlink()
    left = len(read_stream(wyze.data / "raw-stream").records)
    assert 0 < left < 100
    wyze.start("--streams-segment-bytes=1MiB")
    wyze.cli("script", "start", "count")
    outputs = wait_outputs(wyze, left)
    assert [record["body"]["n"] for record in outputs] == list(range(1, left + 1))
    until(lambda: script(wyze)["lag"] == 0)
    told = script(wyze)
    assert (told["status"], told["gap"]) == ("running", 100 - left)
    assert told["remark"].startswith(f"{100 - left} records were trimmed")


def test_offsets_that_a_crash_skipped_are_no_gap(make_wyze):
    """A script came when the stream was empty, and wyze was killed before the first record."""
    wyze = make_wyze().start()
    deploy(wyze, COUNTER)
    wait_status(wyze)
    wyze.cli("script", "stop", "count")
    wyze.kill()
    wyze.start()
    publish_one(wyze)
    wyze.cli("script", "start", "count")
    wait_outputs(wyze, 1)
    assert script(wyze)["gap"] == 0
