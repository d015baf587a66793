// SPDX-License-Identifier: Apache-2.0
// Reading a log, from any thread: each reader belongs to one thread at a time. It sees what has
// been written, durable or not, and holds the segment it stands in open.
#pragma once

#include <stdatomic.h>

#include "stream/log.h"

struct wz_reader;

enum wz_direction {
    WZ_FORWARD,
    WZ_BACKWARD,
};

// Where and what to read; zero is: everything, forward, from the first record on.
struct wz_reader_options {
    enum wz_direction direction;
    // The first offset to be returned (forward), or the first that is not (backward: records below
    // it). 0 means the first record forward; for backward give INT64_MAX for the end.
    int64_t position;
    // Only topics that match this AMQP pattern ("bedroom.#"); empty or "#": all. Borrowed during
    // open only. The log's topic index keeps batches without such topics from being read.
    struct wz_slice pattern;
    int64_t limit_ms; // forward: stop after this append time; backward: stop before it; 0: no limit
    // Any thread may set it: the reader looks at no further block. Outlives the reader; NULL: none.
    const atomic_bool *cancelled;
};

// Opens a reader on LOG, which must outlive it. WZ_ERR_INVALID for a bad pattern. The caller owns
// RET_READER.
WZ_MUST int wz_reader_open(struct wz_log *log, const struct wz_reader_options *options,
                           struct wz_reader **ret_reader);

// Frees it; NULL is fine.
void wz_reader_close(struct wz_reader *reader);

// The next record that matches, in the reader's direction; its slices are valid until the next
// call. WZ_END when there is none: forward, more may come later, and the next call looks again.
// Damaged batches are skipped and counted. WZ_ERR_IO and the like for a disk that does not answer;
// WZ_ERR_CLOSED when it was cancelled.
WZ_MUST int wz_reader_next(struct wz_reader *reader, struct wz_record *ret_record);

// Forward: every record below this offset that matches has been returned. It moves past records
// that do not match, so that a position can be kept.
int64_t wz_reader_position(const struct wz_reader *reader);

// The base offset of the segment in which the record stands that was returned last.
int64_t wz_reader_segment(const struct wz_reader *reader);

// How many damaged batches this reader has skipped.
int64_t wz_reader_damaged(const struct wz_reader *reader);

// The offset of the first record whose append time is at or after TIME_MS; the next offset when
// there is none. Any thread.
WZ_MUST int wz_log_find_time(struct wz_log *log, int64_t time_ms, int64_t *ret_offset);

// Called on the writer's thread each time more can be read; it must only wake somebody.
typedef void (*wz_log_written_fn)(void *arg);

// Tells FN whenever records have been written, until it is called again with NULL. At most one at
// a time (the gateway's). Any thread.
void wz_log_watch(struct wz_log *log, wz_log_written_fn fn, void *arg);
