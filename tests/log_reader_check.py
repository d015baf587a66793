# SPDX-License-Identifier: Apache-2.0
"""Reads a stream's folder without any of wyze's code: the records with Debian's python3-kafka (and
python3-zstandard, where they are compressed), the two Kafka indexes with struct alone. For the system tests, and by hand:

    python3 tests/log_reader_check.py FOLDER
"""

import json
import struct
import sys
from pathlib import Path


def whole(log):
    """The bytes of a .log without what is no whole batch at its end: zeros, or one half written."""
    pos = 0
    while pos + 61 <= len(log):
        length = struct.unpack_from(">i", log, pos + 8)[0]
        if length < 49 or pos + 12 + length > len(log):
            break
        pos += 12 + length
    return log[:pos]


def records(folder):
    """Yields each record of a folder's segments as a dict, in order. Checks every checksum; raises
    ValueError for one that is wrong. A tail that is not whole yet, and one whose offsets belong to the
    next segment (docs/formats/log.md, rule 6), are left out."""
    from kafka.record import MemoryRecords

    segments = sorted(Path(folder).glob("*.log"))
    bases = [int(path.stem) for path in segments] + [1 << 63]
    for path, limit in zip(segments, bases[1:]):
        batches = MemoryRecords(whole(path.read_bytes()))
        while batches.has_next():
            batch = batches.next_batch()
            if not batch.validate_crc():
                raise ValueError(f"{path}: the batch at offset {batch.base_offset} is damaged")
            for record in batch:
                if record.offset >= limit:
                    break
                yield {
                    "offset": record.offset,
                    "append_ms": record.timestamp,
                    "topic": None if record.key is None else record.key.decode(),
                    "value": record.value,
                    "headers": dict(record.headers),
                }


def check_indexes(folder):
    """Holds every .index and .timeindex of a folder against the batches of its .log; returns how many
    entries there are. Raises ValueError for the first that is wrong."""
    checked = 0
    for path in sorted(Path(folder).glob("*.index")):
        base = int(path.stem)
        log = whole(path.with_suffix(".log").read_bytes())
        batches, pos = {}, 0  # position -> (last offset, append time)
        while pos + 61 <= len(log):
            first, length = struct.unpack_from(">qi", log, pos)
            delta, _, last_ms = struct.unpack_from(">iqq", log, pos + 23)
            batches[pos] = (first + delta, last_ms)
            pos += 12 + length
        times = dict(batches.values())
        index = path.read_bytes()
        timeindex = path.with_suffix(".timeindex").read_bytes()
        if len(index) % 8 or len(timeindex) % 12:
            raise ValueError(f"{path}: a length that is no number of entries")
        before = (-1, -1)
        for entry in struct.iter_unpack(">ii", index):
            if entry[0] <= before[0] or entry[1] <= before[1]:
                raise ValueError(f"{path}: entries do not ascend at {entry}")
            if batches.get(entry[1], (None,))[0] != base + entry[0]:
                raise ValueError(f"{path}: no batch is as {entry} says")
            before = entry
            checked += 1
        before = (-1, -1)
        for entry in struct.iter_unpack(">qi", timeindex):
            if entry[0] <= before[0] or entry[1] <= before[1]:
                raise ValueError(f"{path}: times do not ascend at {entry}")
            if times.get(base + entry[1]) != entry[0]:
                raise ValueError(f"{path}: no batch has the time that {entry} says")
            before = entry
            checked += 1
    return checked


def main():
    folder = sys.argv[1]
    for record in records(folder):
        record["value"] = None if record["value"] is None else record["value"].decode("utf-8", "replace")
        record["headers"] = {k: v.decode("utf-8", "replace") for k, v in record["headers"].items()}
        print(json.dumps(record))
    print(f"{check_indexes(folder)} index entries are right", file=sys.stderr)


if __name__ == "__main__":
    main()
