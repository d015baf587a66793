# SPDX-License-Identifier: Apache-2.0
"""A power cut: the file system under the data stops between two writes, whatever was not synced is
gone, and what was acked is there all the same."""

import os

import pytest

from conftest import Wyze
from disk import FREEZE_FIRST, KEEP_JOURNAL, LOSE_ALL, Disk
from segments import read_stream
from trial import Trial, make_seed

CUTS = int(os.environ.get("WZ_SOAK_CUTS", "5"))


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path, 256)
    yield made
    made.unmount()


@pytest.fixture
def make_trial(disk, tmp_path):
    made = []

    def make(seed, **options):
        wyze = Wyze(disk.path / "wyze")
        wyze.log_path = tmp_path / "wyze.log"  # not on the disk that fails
        made.append(Trial(wyze, tmp_path, seed, **options))
        return made[-1]

    yield make
    for trial in made:
        trial.abandon()
        if trial.wyze.process.poll() is None:
            trial.wyze.kill()


def cut(trial, disk, way):
    """The power goes; acks that come from then on are believed all the same. The machine comes back."""
    disk.cut_power(way)
    trial.wyze.kill()
    disk.unmount()
    disk.mount()
    trial.remember()


def test_power_cuts(make_trial, disk):
    trial = make_trial(make_seed("power")).begin()
    ways = [LOSE_ALL, LOSE_ALL, KEEP_JOURNAL, LOSE_ALL, FREEZE_FIRST]
    for turn in range(CUTS):
        trial.ledger.wait_acked(trial.rng.randrange(1, 6000))
        trial.check()
        cut(trial, disk, ways[turn % len(ways)])
        trial.start()
    contents = trial.finish()
    assert not contents.damaged and not contents.torn


def test_what_is_acked_while_the_power_goes_is_there(make_trial, disk):
    trial = make_trial(make_seed("while")).begin()
    trial.ledger.wait_acked(1000)
    disk.cut_power(LOSE_ALL)
    # The program lives on without its disk: it acks nothing more, and says why.
    reasons = trial.wait_ready(503)
    assert "raw-stream" in [reason["stream"] for reason in reasons]
    trial.ledger.wait_standing()
    trial.wyze.kill()
    disk.unmount()
    disk.mount()
    trial.start()
    contents = trial.finish()
    assert not contents.damaged


def test_shown_and_lost_offsets_are_not_used_again(make_trial, disk):
    """Readers see records before they are durable: their offsets are spent, also when the records
    are lost."""
    trial = make_trial(make_seed("shown"), faults=True).begin()
    trial.ledger.wait_acked(500)
    # Written, but never durable; what has come meanwhile is written next, all at once.
    trial.set_faults("fdatasync:delay:ms=500:k=1:path=raw-stream",
                     "fdatasync:delay:ms=60000:path=raw-stream")
    trial.wait_hit("fdatasync", count=2)
    written = read_stream(trial.stream, newest=1).records[-1].offset
    trial.ledger.wait(lambda: trial.watcher.last >= written, 30, "what is written was not shown")
    cut(trial, disk, LOSE_ALL)
    left = {record.offset for record in read_stream(trial.stream).records}
    assert trial.seen.bodies.keys() - left, "the cut lost nothing that was shown"
    trial.set_faults()
    trial.start()
    trial.ledger.wait_acked(2000)
    trial.finish()  # compares what each offset showed, before the cut and after
