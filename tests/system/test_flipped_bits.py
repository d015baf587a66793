# SPDX-License-Identifier: Apache-2.0
"""Bytes that change on the disk, in every kind of file, after an orderly stop and after a crash: what
is damaged is never served, costs no more than its own batch, is counted and told, and nothing is
deleted for it."""

import json
import random
import sqlite3
import urllib.request

import pytest

from conftest import Wyze, until
from ledger import mapping
from segments import read_stream
from trial import TOPICS, Trial, copy_data, make_seed

MESSAGES = 9000  # some segments of 1 MiB


class Model:
    """A data folder and what its raw-stream holds."""

    def __init__(self, folder):
        self.folder = folder
        self.contents = read_stream(folder / "raw-stream")
        assert not self.contents.damaged and not self.contents.torn
        assert len(list((folder / "raw-stream").glob("*.log"))) > 2
        self.records = {r.offset: (r.topic, json.loads(r.body)) for r in self.contents.records}
        self.last_batch = self.contents.batches[-1]

    def offsets_of(self, batch):
        return {offset for offset in range(batch.first, batch.last + 1) if offset in self.records}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Both states, made once: after an orderly stop, and after kill -9."""
    folder = tmp_path_factory.mktemp("flips")
    wyze = Wyze(folder / "wyze")
    trial = Trial(wyze, folder, 1, rate=20000).begin()
    made = {}
    try:
        trial.ledger.wait_acked(MESSAGES)
        trial.ledger.drain()
        assert wyze.stop() == 0
        copy = Wyze(folder / "clean")
        copy_data(copy, wyze.data)
        made["clean"] = Model(copy.data)
        trial.start()
        trial.ledger.resume()
        trial.ledger.wait_acked(MESSAGES // 2)
        trial.ledger.drain()  # no write is under way that the kill would tear
        wyze.kill()
        made["killed"] = Model(wyze.data)
    finally:
        trial.abandon()
        if wyze.process.poll() is None:
            wyze.kill()
    return made


def flip(path, pos, rng):
    """Changes one byte in place."""
    with open(path, "r+b") as file:
        file.seek(pos)
        before = file.read(1)[0]
        file.seek(pos)
        file.write(bytes([before ^ rng.randrange(1, 256)]))


def flip_batches(model, data, rng):
    """Damages a few batches, each at one byte; returns their offsets."""
    batches = rng.sample(model.contents.batches, 6)
    places = [0, 3, 8 + rng.randrange(4), 17, 57, None]  # base offset, length, checksum, count, any
    hit = set()
    for batch, place in zip(batches, places, strict=True):
        pos = batch.pos + (rng.randrange(batch.length) if place is None else place)
        flip(data / "raw-stream" / batch.path.name, pos, rng)
        hit |= model.offsets_of(batch)
    return hit


def flip_files(data, kind, rng):
    """Damages files of a kind, at a few bytes each."""
    paths = sorted((data / "raw-stream").glob(kind))
    assert paths, kind
    for path in paths:
        for _ in range(1 if kind == "stream.meta" else 3):
            flip(path, rng.randrange(path.stat().st_size), rng)


def misplace_blocks(data):
    """Moves each block of the indexes by a byte: every entry is wrong, and none looks wrong."""
    for path in (data / "raw-stream").glob("*.index"):
        index = bytearray(path.read_bytes())
        index[7::8] = bytes(low ^ 1 for low in index[7::8])
        path.write_bytes(index)


def records_by_offset(wyze, query):
    with urllib.request.urlopen(wyze.url(f"/api/v1/streams/raw-stream/records{query}"),
                                timeout=60) as answer:
        records = [json.loads(line) for line in answer if line.strip()]
    return {record["offset"]: (record["topic"], record["body"]) for record in records}, records


def check_reading(wyze, model, lost):
    """All ways of reading give what there is, without what is LOST, and never anything else."""
    expected = {o: record for o, record in model.records.items() if o not in lost}
    middle = sorted(model.records)[len(model.records) // 2]
    forward, records = records_by_offset(wyze, "?from=first")
    assert forward == expected
    assert [r["offset"] for r in records] == sorted(expected)
    backward, records = records_by_offset(wyze, "?direction=backward")
    assert backward == expected
    assert [r["offset"] for r in records] == sorted(expected, reverse=True)
    topic = "ledger.t5"
    found, _ = records_by_offset(wyze, f"?pattern={topic}")
    assert found == {o: record for o, record in expected.items() if record[0] == topic}
    found, _ = records_by_offset(wyze, f"?from=@{middle}")
    assert found == {o: record for o, record in expected.items() if o >= middle}
    at = min(o for o in expected if o >= middle)
    moment = next(r["append_time"] for r in records if r["offset"] == at)
    found, _ = records_by_offset(wyze, f"?from={moment}")
    first = min(r["offset"] for r in records if r["append_time"] >= moment)
    assert found == {o: record for o, record in expected.items() if o >= first}


def check_appending(wyze, model):
    """It goes on, above all offsets there ever were."""
    wyze.client("after").publish("ledger/0/status", "after")
    last = max(model.records)
    found, _ = records_by_offset(wyze, f"?from=@{last + 1}")
    assert [body["value"] for _, body in found.values()] == ["after"]


def metric(wyze, name):
    with urllib.request.urlopen(wyze.url("/metrics"), timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


@pytest.mark.parametrize("state", ["clean", "killed"])
def test_flipped_batches(models, make_wyze, state):
    model = models[state]
    rng = random.Random(make_seed("batches"))
    wyze = make_wyze()
    copy_data(wyze, model.folder)
    lost = flip_batches(model, wyze.data, rng)
    flip(wyze.data / "raw-stream" / model.last_batch.path.name,
         model.last_batch.pos + model.last_batch.length - 1, rng)
    lost |= model.offsets_of(model.last_batch)
    sizes = {path.name: path.stat().st_size for path in (wyze.data / "raw-stream").glob("*.log")}
    wyze.start("--streams-segment-bytes=1MiB", "--streams-compression=none")  # sizes are compared
    check_reading(wyze, model, lost)
    assert metric(wyze, "wyze_stream_damaged_batches_total") >= 5
    until(lambda: "stream.damaged" in wyze.log(), what="the damage is not in the program's log")
    check_appending(wyze, model)
    assert wyze.stop() == 0
    for name, size in sizes.items():
        if name != model.last_batch.path.name:
            assert (wyze.data / "raw-stream" / name).stat().st_size == size, "data was deleted"
    # The next start finds the same.
    wyze.start("--streams-segment-bytes=1MiB")
    model_after = {o: r for o, r in model.records.items() if o not in lost}
    found, _ = records_by_offset(wyze, "?from=first")
    assert {o: r for o, r in found.items() if o in model.records} == model_after


@pytest.mark.parametrize("state", ["clean", "killed"])
@pytest.mark.parametrize("kind", ["*.index", "*.timeindex", "*.topics", "*.seal", "stream.meta"])
def test_flipped_metadata(models, make_wyze, state, kind):
    model = models[state]
    rng = random.Random(make_seed("metadata"))
    wyze = make_wyze()
    copy_data(wyze, model.folder)
    flip_files(wyze.data, kind, rng)
    wyze.start("--streams-segment-bytes=1MiB")
    check_reading(wyze, model, set())
    check_appending(wyze, model)
    assert metric(wyze, "wyze_stream_damaged_batches_total") == 0


@pytest.mark.parametrize("state", ["clean", "killed"])
def test_index_that_misleads(models, make_wyze, state):
    model = models[state]
    wyze = make_wyze()
    copy_data(wyze, model.folder)
    misplace_blocks(wyze.data)
    wyze.start("--streams-segment-bytes=1MiB")
    check_reading(wyze, model, set())
    assert metric(wyze, "wyze_stream_damaged_batches_total") == 0


@pytest.mark.parametrize("kind", ["*.index", "*.timeindex", "*.topics", "*.seal", "stream.meta"])
def test_lost_metadata(models, make_wyze, kind):
    """Files that are gone are made again: only the segments and the documents are data."""
    model = models["killed"]
    wyze = make_wyze()
    copy_data(wyze, model.folder)
    for path in (wyze.data / "raw-stream").glob(kind):
        path.unlink()
    wyze.start("--streams-segment-bytes=1MiB")
    check_reading(wyze, model, set())
    check_appending(wyze, model)


def store_places(path, rng):
    """Bytes of the database to flip: in its header, in the header of each page, and anywhere."""
    size = path.stat().st_size
    pages = [page + (100 if page == 0 else 0) for page in range(0, size, 4096)]
    return [0, 20, 61, 70, *pages, *rng.sample(range(size), 16)]


def is_refused(wyze):
    """Whether the store is refused: with what to do about it, and left as it is. Else wyze runs."""
    store = wyze.data / "store.db"
    damaged = store.read_bytes()
    wyze.log_path.unlink(missing_ok=True)
    wyze.start(wait=False)
    try:
        wyze.wait_ready()
    except AssertionError:
        assert wyze.process.returncode not in (0, None) and wyze.process.returncode > 0
        assert "WYZ-300" in wyze.log(), wyze.log()
        assert store.read_bytes() == damaged, "a refused store was changed"
        return True
    return False


def test_flipped_store(models, make_wyze):
    """A damaged store is refused; or the damage is where nothing depends on it, and every document is
    whole."""
    rng = random.Random(make_seed("store"))
    wyze = make_wyze()
    copy_data(wyze, models["clean"].folder)
    store = wyze.data / "store.db"
    whole = store.read_bytes()
    refused = 0
    for place in store_places(store, rng):
        store.write_bytes(whole)
        flip(store, place, rng)
        if is_refused(wyze):
            refused += 1
            continue
        assert wyze.cli("map", "export").stdout == mapping(TOPICS), f"byte {place} went unnoticed"
        assert wyze.stop() == 0
    assert refused >= 5


def flip_text(contents, text, rng):
    """Changes one byte of TEXT, the same in every copy: a page may keep one that is not in use."""
    assert text in contents
    flipped = bytearray(text)
    flipped[rng.randrange(len(text))] ^= rng.randrange(1, 256)
    return contents.replace(text, bytes(flipped))


def test_flipped_store_document(models, make_wyze):
    """One byte of a document's text or name is enough: the store is refused, and the document named."""
    rng = random.Random(make_seed("document"))
    wyze = make_wyze()
    copy_data(wyze, models["clean"].folder)
    store = wyze.data / "store.db"
    whole = store.read_bytes()
    with sqlite3.connect(f"file:{store}?immutable=1", uri=True) as database:
        documents = database.execute("SELECT collection, name, body FROM documents").fetchall()
    database.close()
    assert len(documents) > TOPICS
    for collection, name, body in documents:
        store.write_bytes(flip_text(whole, body.encode(), rng))
        assert is_refused(wyze), f"the text of {collection}/{name} went unnoticed"
        assert f"in the document {collection}/{name}. (WYZ-3002)" in wyze.log(), wyze.log()
        store.write_bytes(flip_text(whole, (collection + name).encode(), rng))
        assert is_refused(wyze), f"the name of {collection}/{name} went unnoticed"
        assert "in the document " in wyze.log() and "(WYZ-3002)" in wyze.log(), wyze.log()
    store.write_bytes(whole)
    assert not is_refused(wyze)
