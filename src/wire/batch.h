// SPDX-License-Identifier: Apache-2.0
// Apache Kafka's record batch, magic 2: pure bytes, no files. The format is described at
// https://kafka.apache.org/documentation/#recordbatch and in docs/formats/log.md.
#pragma once

#include "base/buf.h"
#include "base/cursor.h"

// Lengths and places of the batch header (Kafka protocol guide, "Record Batch").
#define WZ_BATCH_HEADER_LEN 61
#define WZ_BATCH_OFFSET_POS 0
#define WZ_BATCH_LENGTH_POS 8
#define WZ_BATCH_EPOCH_POS 12
#define WZ_BATCH_MAGIC_POS 16
#define WZ_BATCH_CRC_POS 17
#define WZ_BATCH_ATTRIBUTES_POS 21
#define WZ_BATCH_LAST_DELTA_POS 23
#define WZ_BATCH_BASE_TIME_POS 27
#define WZ_BATCH_MAX_TIME_POS 35
#define WZ_BATCH_PRODUCER_ID_POS 43
#define WZ_BATCH_PRODUCER_EPOCH_POS 51
#define WZ_BATCH_SEQUENCE_POS 53
#define WZ_BATCH_COUNT_POS 57

// What the 8-byte offset and the 4-byte length in front do not count in that length.
#define WZ_BATCH_PREFIX_LEN 12

// Attributes: timestamp type LogAppendTime; which codec compresses the records (wire/codec.h):
// none, or zstd.
#define WZ_BATCH_LOG_APPEND_TIME 0x0008
#define WZ_BATCH_CODEC 0x0007
#define WZ_BATCH_ZSTD 0x0004

// A batch is closed at this many bytes or records; only a single record may make it longer.
#define WZ_BATCH_MAX_BYTES 65536
#define WZ_BATCH_MAX_RECORDS 512

// No batch longer than this is ever written or believed: one record of the largest packet, wrapped
// and encoded, with its headers.
#define WZ_BATCH_LIMIT_BYTES (4 * 1024 * 1024)

// The most pieces of a value, and of pre-encoded headers, in a record that is being written.
#define WZ_RECORD_VALUE_PIECES 4
#define WZ_RECORD_HEADER_PIECES 4

// A record to be written. Its value and its headers come in pieces that are joined in the batch, so
// a record is built once, where it stays. A header piece holds one or more whole headers as
// wz_record_header_put encodes them; header_count is how many headers they are together. A key
// whose ptr is NULL is written as null, and so is a value of no pieces.
struct wz_record_parts {
    struct wz_slice key;
    struct wz_slice value[WZ_RECORD_VALUE_PIECES];
    int value_count;
    struct wz_slice headers[WZ_RECORD_HEADER_PIECES];
    int header_pieces;
    int header_count;
};

// A record as read from a batch; the slices borrow the batch's bytes.
struct wz_record {
    int64_t offset;
    int64_t append_ms;
    struct wz_slice key;
    struct wz_slice value;
    struct wz_slice headers; // encoded, for wz_record_header_next
    int header_count;
    bool key_null;
    bool value_null;
};

// One header of a record.
struct wz_record_header {
    struct wz_slice key;
    struct wz_slice value;
};

// The fields of a batch header that readers need.
struct wz_batch_info {
    int64_t base_offset;
    int64_t last_offset; // less than INT64_MAX: there is always one behind it
    int64_t base_ms;
    int64_t max_ms;
    uint32_t crc;
    int32_t epoch;    // partition leader epoch; ours have -1
    int32_t sequence; // base sequence; ours have the base offset modulo 2^31
    uint16_t attributes;
    int32_t count;
    size_t len;        // of the whole batch, with the 12 bytes in front
    size_t packed_len; // of the batch before wz_codec_unpack; 0: it was not compressed
};

// A batch that is being built in memory. The bytes are of fixed capacity; they do not move.
struct wz_batch_builder {
    uint8_t *bytes;
    size_t len;
    size_t cap;
    int64_t base_offset;
    int32_t count;
};

// How many bytes the record takes in a batch as its record number INDEX (0 for the first).
size_t wz_record_len(const struct wz_record_parts *parts, int32_t index);

// Starts a batch at BASE_OFFSET in CAP bytes at BYTES, which stay the caller's and must be at least
// WZ_BATCH_HEADER_LEN.
void wz_batch_begin(struct wz_batch_builder *batch, void *bytes, size_t cap, int64_t base_offset);

// Whether a record of LEN bytes (wz_record_len) may still join this batch: it fits the memory, and
// the batch's limits unless the batch is empty.
bool wz_batch_fits(const struct wz_batch_builder *batch, size_t len);

// Adds a record that fits; LEN is its wz_record_len. Its offset is base_offset + count before.
void wz_batch_add(struct wz_batch_builder *batch, const struct wz_record_parts *parts, size_t len);

// Completes the header of a batch of at least one record, all but the checksum: all records get
// APPEND_MS as their LogAppendTime. After that the batch may be read and only wz_batch_seal may
// change it.
void wz_batch_finish(struct wz_batch_builder *batch, int64_t append_ms);

// Computes and sets the checksum of a finished batch of LEN bytes at BYTES.
void wz_batch_seal(void *bytes, size_t len);

// Gives a finished batch another base offset. Its base sequence follows, so it must be sealed anew.
void wz_batch_rebase(void *bytes, int64_t base_offset);

// Reads the header at the front of S. WZ_AGAIN when S holds less than the whole batch (RET_INFO's
// len is then set once 12 bytes are there, else 0); WZ_ERR_CORRUPT for what cannot be a batch. The
// checksum is not looked at. At most WZ_BATCH_LIMIT_BYTES are believed.
WZ_MUST int wz_batch_read(struct wz_slice s, struct wz_batch_info *ret_info);

// Whether the checksum of the batch S, of exactly its own length, is right.
bool wz_batch_crc_ok(struct wz_slice s);

// Walks the records of one batch.
struct wz_record_iter {
    struct wz_cursor cur;
    struct wz_batch_info info;
    int32_t index;
};

// Starts a walk over the batch S, whose header wz_batch_read has read into INFO and which is not
// compressed.
void wz_record_iter_init(struct wz_record_iter *it, struct wz_slice s,
                         const struct wz_batch_info *info);

// The next record; WZ_END after the last one, WZ_ERR_CORRUPT when the bytes do not add up.
WZ_MUST int wz_record_next(struct wz_record_iter *it, struct wz_record *ret_record);

// Writes the records of the batch S, whose header INFO is and which is not compressed, anew as
// several batches, each closed as soon as it is of LEAST bytes, and adds them to RET_BUF, sealed,
// one behind the other. Together they say what S says. WZ_ERR_CORRUPT, and nothing added, when S is
// not as we write them: the bytes do not add up, offsets are left out, or times differ.
WZ_MUST int wz_batch_split(struct wz_slice s, const struct wz_batch_info *info, size_t least,
                           struct wz_buf *ret_buf);

// The next header out of HEADERS, which is moved past it; WZ_END when none is left.
WZ_MUST int wz_record_header_next(struct wz_slice *headers, struct wz_record_header *ret_header);

// The value of the header NAME; an empty slice when there is none.
struct wz_slice wz_record_header_find(const struct wz_record *record, const char *name);

// Adds one encoded header to a pen.
void wz_record_header_put(struct wz_pen *pen, struct wz_slice key, struct wz_slice value);
