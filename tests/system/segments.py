# SPDX-License-Identifier: Apache-2.0
"""Reads a stream's segment files with python3-kafka, sharing nothing with the program: what stands
in the files, not what the program says of them. The rules are those of docs/formats/log.md."""

import ctypes
import dataclasses
import os
import pathlib
import struct

import kafka.record.default_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import calc_crc32c

HEADER = struct.Struct(">qiibIhiqqqhii")  # a record batch's, 61 bytes
BATCH_MAX = 4 * 1024 * 1024


def quicken_checksums():
    """Puts a checksum that is fast enough in the place of python3-kafka's, which must agree."""
    build = os.environ.get("WYZE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build")
    library = ctypes.CDLL(str(pathlib.Path(build).resolve() / "tests/faults/libwz_crc32c.so"))
    crc32c = library.wz_test_crc32c
    crc32c.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    crc32c.restype = ctypes.c_uint32
    for sample in (b"", b"123456789", os.urandom(1000)):
        assert crc32c(sample, len(sample)) == calc_crc32c(sample)
    kafka.record.default_records.calc_crc32c = lambda data: crc32c(bytes(data), len(data))


quicken_checksums()


@dataclasses.dataclass(frozen=True)
class Record:
    offset: int
    topic: str
    body: bytes
    headers: tuple


@dataclasses.dataclass(frozen=True)
class Batch:
    path: pathlib.Path
    pos: int
    length: int
    first: int
    last: int


@dataclasses.dataclass
class Contents:
    """What a stream's folder holds: its records in order, and what is no part of the stream."""

    records: list
    batches: list
    damaged: list  # (path, pos) where no valid batch stands before one that is
    torn: list  # (path, pos) behind which nothing valid stands, not only zeros
    zeros: list  # (path, pos) behind which there are only zeros
    hidden: int  # records behind the next segment's base (rule 6)


def batch_at(data, pos, base):
    """The valid batch at byte POS of the segment BASE as (decoded, length), or None."""
    if len(data) - pos < HEADER.size:
        return None
    fields = HEADER.unpack_from(data, pos)
    offset, length, epoch, magic, _, attributes, last_delta = fields[:7]
    sequence, count = fields[11], fields[12]
    if length < 49 or length + 12 > BATCH_MAX or pos + 12 + length > len(data):
        return None
    if (magic, epoch) != (2, -1) or attributes not in (8, 12) or count < 1 or last_delta != count - 1:
        return None
    if not base <= offset <= offset + last_delta < base + 2**31 or offset % 2**31 != sequence:
        return None
    decoded = DefaultRecordBatch(bytes(data[pos : pos + 12 + length]))
    return (decoded, 12 + length) if decoded.validate_crc() else None


def read_times(folder):
    """The append times of a stream's batches, in order."""
    return [HEADER.unpack_from(batch.path.read_bytes(), batch.pos)[7]
            for batch in read_stream(folder).batches]


def next_batch(data, pos, base):
    """The position of the next valid batch behind POS, or None."""
    magic = b"\xff\xff\xff\xff\x02"  # leader epoch and magic, 12 bytes into each batch
    at = data.find(magic, pos + 1 + 12)
    while at >= 0:
        if batch_at(data, at - 12, base):
            return at - 12
        at = data.find(magic, at + 1)
    return None


def read_segment(path, end, contents):
    """Adds one segment's batches below the offset END to CONTENTS."""
    data = path.read_bytes()
    base = int(path.stem)
    last = base - 1
    pos = 0
    while pos < len(data):
        found = batch_at(data, pos, base)
        if found is None:
            following = next_batch(data, pos, base)
            if following is None:
                kind = contents.torn if any(data[pos:]) else contents.zeros
                kind.append((path, pos))
                return
            contents.damaged.append((path, pos))
            pos = following
            continue
        decoded, length = found
        first = decoded.base_offset
        batch = Batch(path, pos, length, first, first + decoded.last_offset_delta)
        pos += length
        if batch.last >= end or batch.first <= last:
            contents.hidden += batch.last - batch.first + 1
            continue
        last = batch.last
        contents.batches.append(batch)
        contents.records.extend(
            Record(r.offset, r.key.decode(), r.value, tuple(r.headers)) for r in decoded)


def read_stream(folder, newest=None):
    """The contents of a stream's folder; NEWEST: only of that many segments from the end."""
    paths = sorted(pathlib.Path(folder).glob("*.log"))
    ends = [int(path.stem) for path in paths[1:]] + [2**63]
    pairs = list(zip(paths, ends, strict=True))
    contents = Contents([], [], [], [], [], 0)
    for path, end in pairs[-newest:] if newest else pairs:
        read_segment(path, end, contents)
    return contents
