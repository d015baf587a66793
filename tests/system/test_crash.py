# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: what was acked is there, once, in order, and no offset is used again."""

import os
import random

import pytest

from ledger import verify
from segments import read_stream
from trial import Trial, make_seed

KILLS = int(os.environ.get("WZ_SOAK_KILLS", "10"))
CALLS = int(os.environ.get("WZ_SOAK_CALLS", "8"))


@pytest.fixture
def make_trial(make_wyze, tmp_path):
    made = []

    def make(seed, **options):
        made.append(Trial(make_wyze(), tmp_path, seed, **options))
        return made[-1]

    yield make
    for trial in made:
        trial.abandon()


def kill_while_starting(trial):
    """Lets it get some way into its start, and no further; mostly it has not opened its doors."""
    trial.start(wait=False)
    try:
        trial.wyze.process.wait(trial.rng.random() * 0.08)
    except Exception as still_there:  # subprocess.TimeoutExpired, as it should be
        assert "timed out" in str(still_there)
    trial.crash()


def test_kill_at_random_moments(make_trial):
    trial = make_trial(make_seed("kill")).begin()
    for _ in range(KILLS):
        trial.ledger.wait_acked(trial.rng.randrange(1, 4000))
        trial.check()
        trial.crash()
        while trial.rng.random() < 0.3:
            kill_while_starting(trial)
        trial.start()
    contents = trial.finish()
    assert not contents.damaged and not contents.torn and not contents.hidden
    assert len({batch.path for batch in contents.batches}) > 2  # it went over segments' borders


def test_kill_with_durability_os(make_trial):
    """What was written outlives the process, synced or not."""
    trial = make_trial(make_seed("os"), flags=("--durability=os", "--streams-segment-bytes=1MiB"))
    trial.begin()
    for _ in range(min(KILLS, 3)):
        trial.ledger.wait_acked(trial.rng.randrange(1, 4000))
        trial.crash()
        trial.start()
    contents = trial.finish()
    assert not contents.damaged and not contents.torn


def test_kill_at_a_chosen_disk_call(make_trial):
    seed = make_seed("call")
    trial = make_trial(seed, faults=True, rate=4000).begin()
    ways = ["kill", "after", "torn", f"torn:bytes={trial.rng.randrange(1, 300)}"]
    for turn in range(CALLS):
        # The longer a life lasts, the more of its calls are common ones: the rare ones get theirs.
        calls = trial.rng.choice(["change", "change", "rename|fsync|unlink", "fallocate|ftruncate"])
        way = ways[turn % len(ways)] if calls == "change" else trial.rng.choice(["kill", "after"])
        number = trial.rng.randrange(1, 400 if calls == "change" else 8)
        trial.set_faults(f"{calls}:{way}:n={number}:path=raw-stream")
        trial.ledger.wait(lambda: trial.wyze.process.poll() is not None, 30,
                          f"it was not killed: {calls}:{way}:n={number}")
        trial.set_faults()
        trial.remember()
        trial.start()
    contents = trial.finish()
    assert not contents.damaged and not contents.torn


def test_kill_at_each_disk_call_of_a_recovery(make_trial, make_wyze):
    trial = make_trial(make_seed("recovery"), faults=True).begin()
    trial.ledger.wait_acked(3000)
    trial.set_faults("pwritev:torn:path=raw-stream")  # a torn tail, so there is something to mend
    trial.ledger.wait(lambda: trial.wyze.process.poll() is not None, 30, "it was not killed")
    trial.ledger.go_offline()  # what is being looked at is the start alone
    before = read_stream(trial.stream)
    killed = 0
    while True:
        trial.set_faults(f"change:after:n={killed + 1}:path=raw-stream")
        trial.start(wait=False)
        try:
            trial.wyze.wait_ready()
        except AssertionError:
            assert trial.wyze.process.poll() == -9, trial.wyze.log()
            killed += 1
            continue
        break
    trial.set_faults()
    assert killed >= 3, "the cut, its sync, the reservation"
    trial.ledger.go_online()
    trial.ledger.wait_acked(500)
    contents = trial.finish()
    assert not contents.torn and not contents.damaged
    offsets = {record.offset for record in contents.records}
    assert all(record.offset in offsets for record in before.records)


def test_torn_tail_is_cut_and_reported(make_trial):
    trial = make_trial(make_seed("tail")).begin()
    trial.ledger.wait_acked(500)
    trial.crash()
    newest = sorted(trial.stream.glob("*.log"))[-1]
    with open(newest, "ab") as file:
        file.write(random.Random(trial.seed).randbytes(trial.rng.randrange(1, 4000)))
    last = read_stream(trial.stream).batches[-1]
    torn = newest.stat().st_size - (last.pos + last.length)
    trial.start()
    assert trial.metric("wyze_stream_cut_bytes") == torn
    assert "stream.recovered" in trial.wyze.log()
    contents = trial.finish()
    assert not contents.torn


def test_offsets_go_on_above_what_was_reserved(make_trial):
    trial = make_trial(make_seed("offsets")).begin()
    trial.ledger.wait_acked(200)
    trial.crash()
    last = read_stream(trial.stream).records[-1].offset
    trial.start()
    trial.ledger.wait_acked(200)
    contents = trial.finish()
    above = [record.offset for record in contents.records if record.offset > last]
    assert above[0] >= 2**20  # the end of the first block, not the next number
    verify(trial.stream, trial.books, trial.seed)
