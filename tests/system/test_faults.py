# SPDX-License-Identifier: Apache-2.0
"""A disk that fails while wyze runs: nothing is acked that is not durable, readers go on, /readyz says
why it is not ready, and when the disk is well again so is wyze, without a restart."""

import pytest

from conftest import Wyze
from disk import Disk
from ledger import BULK_TOPIC, PROBE
from segments import read_stream
from trial import Trial, make_seed


@pytest.fixture
def make_trial(make_wyze, tmp_path):
    made = []

    def make(seed, wyze=None, **options):
        made.append(Trial(wyze or make_wyze(), tmp_path, seed, **options))
        return made[-1]

    yield make
    for trial in made:
        trial.abandon()


def check_readers_go_on(trial):
    """A reader that comes now gets every record that was acked so far."""
    assert len(trial.wyze.records()) >= trial.ledger.acked


# What fails for good until the test mends it: the rule, and the word that /readyz has for it.
LASTING = {
    "full": ("write|pwrite|pwritev|fallocate|create:ENOSPC", "no-space"),
    "full at the sync": ("fdatasync:ENOSPC", "no-space"),
    "over quota": ("pwritev|fallocate:EDQUOT", "no-space"),
    "no write": ("pwritev:EIO", "io"),
    "no sync": ("fdatasync:EIO", "io"),
    "no folder's sync": ("fsync:EIO", "io"),
    "read only": ("pwritev|ftruncate|create|rename|unlink:EROFS", None),
}


@pytest.mark.parametrize("name", LASTING)
def test_lasting_fault(make_trial, name):
    rule, word = LASTING[name]
    trial = make_trial(make_seed("lasting"), faults=True).begin()
    trial.ledger.wait_acked(1000)
    trial.set_faults(f"{rule}:path=raw-stream")
    reasons = trial.wait_ready(503)
    assert [reason["stream"] for reason in reasons] == ["raw-stream"]
    assert word in (None, reasons[0]["state"]) and reasons[0]["reason"]
    trial.ledger.wait_standing()
    acked = trial.ledger.acked
    trial.wait_more_hits(2)  # it tries again, and acks nothing
    assert trial.ledger.acked == acked
    check_readers_go_on(trial)
    assert "stream.stopped" in trial.wyze.log()
    trial.set_faults()
    trial.wait_ready(200)
    trial.ledger.wait_acked(1000)
    trial.finish()


# What fails a few times only: wyze gets over it by itself, and acks go on.
PASSING = {
    "interrupted": "pwritev|fallocate|ftruncate:EINTR:k=20",
    "short writes": "pwritev:short:k=50",
    "one byte at a time": "pwritev:short:bytes=1:k=40",
    "a sync fails": "fdatasync:EIO:n=3:k=1",
    "a write fails": "pwritev:EIO:n=3:k=1",
    "sync and fresh segment fail": "fdatasync|create:EIO:n=2:k=3",
    "the cut fails too": "fdatasync:EIO:n=5:k=1\nftruncate:EIO:k=100",
    "no space ahead": "fallocate:ENOSPC:k=100",
    "no rename": "rename:EIO:k=5",
    "no sync of names": "fsync:EIO:k=3",
}


# These are not even failures: the call is made again, or goes on.
HARMLESS = ("interrupted", "short writes", "one byte at a time", "no space ahead")


@pytest.mark.parametrize("name", PASSING)
def test_passing_fault(make_trial, name):
    trial = make_trial(make_seed("passing"), faults=True).begin()
    trial.ledger.wait_acked(500)
    trial.set_faults(*[f"{rule}:path=raw-stream" for rule in PASSING[name].split("\n")])
    trial.wait_hit()
    trial.ledger.wait_acked(4500)
    trial.wait_ready(200)
    trial.check()
    if name in HARMLESS:
        assert trial.metric("wyze_stream_failures_total") == 0
    trial.finish()


def test_no_ack_before_the_sync(make_trial):
    """While a sync is under way, what it covers is written and shown, and not acked."""
    trial = make_trial(make_seed("sync"), faults=True).begin()
    trial.ledger.wait_acked(500)
    trial.set_faults("fdatasync:delay:ms=60000:path=raw-stream")
    trial.wait_hit("fdatasync")
    trial.ledger.wait_standing()
    written = [r for r in read_stream(trial.stream).records if r.topic != PROBE]
    assert len(written) > trial.ledger.acked
    trial.ledger.wait(lambda: trial.watcher.last >= written[-1].offset, 30, "not shown")
    trial.crash()
    trial.set_faults()
    trial.start()
    trial.finish()


def test_a_segment_whose_sync_failed_is_let_go(make_trial):
    """After a failed sync the kernel may have dropped what it could not write, and the next sync says
    that all is well: so there must be no next one on that file."""
    trial = make_trial(make_seed("once"), faults=True).begin()
    trial.ledger.wait_acked(500)
    trial.set_faults("fdatasync:EIO:k=1:path=.log", "fdatasync|pwritev:delay:path=.log")
    trial.ledger.wait_acked(2000)
    lines = [line.split() for line in trial.hit_lines()]
    trial.set_faults()
    failed = next(i for i, (call, _) in enumerate(lines) if call == "fdatasync")
    later = [(call, path) for call, path in lines[failed + 1 :]]
    assert later, "nothing was written afterwards"
    assert lines[failed][1] not in {path for _, path in later}
    trial.finish()


def trace_of_rolls(trial):
    """The calls on raw-stream's files, as [call, path], while it went on to new segments. Syncs are
    slow: so much waits behind each that a segment is left in the middle of what is taken together."""
    trial.set_faults(
        "fdatasync:delay:ms=20:path=raw-stream", "create|pwritev|fsync:delay:path=raw-stream"
    )
    trial.ledger.wait(lambda: len(list(trial.stream.glob("*.log"))) > 8, 60, "no new segments")
    trial.ledger.wait_acked(500)
    lines = [line.split() for line in trial.hit_lines()]
    trial.set_faults()
    made = [i for i, (call, path) in enumerate(lines) if call == "create" and path.endswith(".log")]
    # The trace begins and ends anywhere: in the one before it, or before the sync of the last one.
    made = [i for i in made if ["fdatasync", lines[i][1]] in lines[i:]
            and any(call == "pwritev" and path.endswith(".log") for call, path in lines[:i])]
    assert len(made) > 2
    return lines, made


def test_a_name_is_durable_before_what_is_in_it(make_trial):
    """A new segment's name is synced before the first record in it counts as durable."""
    trial = make_trial(make_seed("names"), faults=True).begin()
    lines, made = trace_of_rolls(trial)
    for i in made:
        following = lines[i + 1 :]
        durable = following.index(["fdatasync", lines[i][1]])
        assert ["fsync", str(trial.stream)] in following[:durable], lines[i : i + durable + 2]
    trial.finish()


def test_a_left_segment_is_durable(make_trial):
    """Nobody comes back to a segment that was left: all that was written to it is synced by then."""
    trial = make_trial(make_seed("left"), faults=True, window=1000, rate=50_000).begin()
    lines, made = trace_of_rolls(trial)
    for i in made:
        last = max(k for k in range(i) if lines[k][0] == "pwritev" and lines[k][1].endswith(".log"))
        assert ["fdatasync", lines[last][1]] in lines[last:i], lines[last : i + 1]
    trial.finish()


def test_poisoned_tail_stays_hidden(make_trial):
    """What stands behind the durable end of a poisoned segment that could not be cut is no part of
    the stream, whoever reads it: the segment that came after it says so."""
    trial = make_trial(make_seed("tail"), faults=True).begin()
    trial.ledger.wait_acked(500)
    trial.set_faults("fdatasync:EIO:n=2:k=1:path=.log", "ftruncate:EIO:path=.log")
    trial.ledger.wait_acked(3000)
    trial.ledger.drain()
    trial.crash()
    for path in trial.stream.glob("*.seal"):
        path.unlink()  # so it has to look at every batch
    contents = read_stream(trial.stream)
    assert contents.hidden > 0
    trial.set_faults()
    trial.start()
    assert [r["offset"] for r in trial.wyze.records()] == [r.offset for r in contents.records]
    trial.ledger.resume()
    trial.finish()


def test_backlog_is_bounded_and_nothing_is_refused(make_trial):
    """While nothing can be written, wyze takes in what fits its backlog and then stops reading: the
    publishers wait, nothing is dropped."""
    trial = make_trial(make_seed("backlog"), faults=True, topics=[BULK_TOPIC], links=1, window=650)
    trial.begin()
    trial.ledger.wait_acked(10)
    trial.set_faults("pwritev|create:EIO:path=raw-stream")
    trial.wait_ready(503)
    trial.ledger.wait_standing()  # 39 MB are under way, the backlog has 32 MiB
    trial.wait_more_hits(3)
    trial.check()
    trial.set_faults()
    trial.wait_ready(200)
    trial.ledger.pause()
    trial.finish()


def test_stop_that_cannot_be_orderly(make_trial):
    """The mark of an orderly stop cannot be written: it is said, and the next start is careful."""
    trial = make_trial(make_seed("stop"), faults=True).begin()
    trial.ledger.wait_acked(500)
    trial.ledger.drain()
    trial.set_faults("fdatasync:EIO:path=stream.meta")
    assert trial.wyze.stop() == 1
    assert "WYZ-4004" in trial.wyze.log()
    trial.set_faults()
    trial.start()
    trial.ledger.resume()
    trial.ledger.wait_acked(500)
    trial.finish()


def test_start_on_a_disk_that_fails(make_trial):
    """It does not start on a disk that it cannot write to: it says so, and harms nothing."""
    trial = make_trial(make_seed("start"), faults=True).begin()
    trial.ledger.wait_acked(500)
    trial.crash()
    for rule in ("fdatasync:EIO:path=stream.meta", "pwritev|pwrite:ENOSPC:path=stream.meta",
                 "create:EROFS:path=raw-stream", "pread:EIO:path=.log"):
        before = read_stream(trial.stream)
        trial.set_faults(rule)
        trial.start(wait=False)
        assert trial.wyze.process.wait(30) == 1, rule
        assert "WYZ-400" in trial.wyze.log(), rule
        assert read_stream(trial.stream).records == before.records
        trial.wyze.log_path.unlink()
    trial.set_faults()
    trial.start()
    trial.ledger.wait_acked(500)
    trial.finish()


def test_kill_while_the_disk_fails(make_trial):
    """What a poisoned segment holds behind its durable end comes back once at the most."""
    trial = make_trial(make_seed("poison"), faults=True).begin()
    trial.ledger.wait_acked(500)
    for _ in range(3):
        number = trial.rng.randrange(1, 20)
        trial.set_faults(f"fdatasync:EIO:n={number}:path=raw-stream",
                         "ftruncate:EIO:path=raw-stream", "fsync:EIO:path=raw-stream")
        trial.wait_ready(503)
        trial.crash()
        trial.set_faults()
        trial.start()
        trial.ledger.wait_acked(500)
    trial.finish()


def test_full_disk(make_trial, tmp_path):
    disk = Disk(tmp_path, 48)
    try:
        wyze = Wyze(disk.path / "wyze")
        wyze.log_path = tmp_path / "wyze.log"
        trial = make_trial(make_seed("full"), wyze,
                           flags=("--streams-segment-bytes=1MiB", "--streams-min-free=0B",
                                  "--streams-keep-free=0")).begin()  # nothing goes to make room
        trial.ledger.wait_acked(1000)
        ballast = disk.path / "ballast"
        with open(ballast, "wb") as file:
            size = disk.free_bytes() - 2 * 1024 * 1024
            while size > 0:
                size -= file.write(bytes(min(size, 1024 * 1024)))
        reasons = trial.wait_ready(503, 60)
        assert reasons[0]["state"] == "no-space", reasons
        trial.ledger.wait_standing()
        check_readers_go_on(trial)
        ballast.unlink()
        trial.wait_ready(200)
        trial.ledger.wait_acked(1000)
        trial.finish()
    finally:
        trial.abandon()
        wyze.stop()
        disk.unmount()
