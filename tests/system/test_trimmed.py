# SPDX-License-Identifier: Apache-2.0
"""A stream is trimmed under a script that lags: it goes on with what is there, and says how many records
it could not read, for as long as it runs."""

import pytest
from conftest import until
from ledger import mapping
from segments import read_stream
from test_exactly_once import COUNTER, deploy, publish_one, script, wait_outputs, wait_status

BODY = "x" * 30_000


def remove_first_segments(wyze, keep):
    """All but the last ones, of a wyze that does not run."""
    first = sorted((wyze.data / "raw-stream").glob("*.log"))[-keep]
    for path in (wyze.data / "raw-stream").glob("0*"):
        if path.is_file() and path.stem < first.stem:
            path.unlink()


def last_of(wyze):
    """Which message the last output is of."""
    outputs = wyze.records("processed-stream", pattern="count.out")
    return outputs[-1]["body"]["of"] if outputs else -1


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
    remove_first_segments(wyze, keep=len(list((wyze.data / "raw-stream").glob("*.log"))) - 1)
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


# Slow at first; says which message it is, and the how-manieth.
SLOW = """
import time
def handle_input(msg, context):
    number = int(msg["value"].split()[0])
    if number < 20:
        time.sleep(0.05)
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.emit("count.out", {"n": n, "of": number})
"""


@pytest.mark.parametrize("kill", [True, False])
def test_a_script_that_is_slow_goes_on_behind_what_was_trimmed(make_wyze, kill):
    """It is behind when wyze ends, killed or in order, and its next messages are gone when wyze comes
    again: none counts twice, and all that are missing are told."""
    flags = "--streams-segment-bytes=1MiB", "--scripts-window=64KiB"
    wyze = make_wyze().start(*flags)
    wyze.import_mapping(mapping(1))
    deploy(wyze, SLOW)
    client = wyze.client("device")
    for number in range(100):
        client.publish("ledger/0/status", f"{number} {BODY}", wait=False)
    until(lambda: len(wyze.records()) == 100)
    client.close()
    wait_outputs(wyze, 3)
    if kill:
        wyze.kill()
    else:
        assert wyze.stop() == 0
    remove_first_segments(wyze, keep=2)
    left = len(read_stream(wyze.data / "raw-stream").records)
    assert 0 < left < 80
    wyze.start(*flags)
    until(lambda: script(wyze)["status"] == "running" and script(wyze)["lag"] == 0)
    until(lambda: last_of(wyze) == 99)
    outputs = [record["body"] for record in wyze.records("processed-stream", pattern="count.out")]
    assert [output["n"] for output in outputs] == list(range(1, len(outputs) + 1))
    assert [output["of"] for output in outputs] == sorted({output["of"] for output in outputs})
    assert [output["of"] for output in outputs][-left:] == list(range(100 - left, 100))
    told = script(wyze)
    assert told["gap"] == 100 - len(outputs) > 0
    assert told["remark"].startswith(f"{told['gap']} records were trimmed")


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
