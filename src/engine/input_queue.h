// SPDX-License-Identifier: Apache-2.0
// Records on their way to a worker: runs of records in blocks, which other queues may hold too.
#pragma once

#include "engine/block.h"
#include "engine/pieces.h"

// Runs, first in, first out.
struct wz_input_runs {
    struct wz_block_run *ring;
    size_t head;
    size_t count;
    size_t cap; // a power of two, or 0
};

// First in, first out, in two parts:
//
//   sent     given to the worker, not answered yet
//   waiting  behind them
//
// All zero is empty. A record stays until it is answered; when the worker dies,
// wz_input_queue_rewind makes all of them wait again.
struct wz_input_queue {
    struct wz_input_runs sent;
    struct wz_input_runs waiting;
    size_t count;      // of records, answered ones not
    size_t sent_count; // of those with the worker
    size_t bytes;      // of all records, answered ones not
    size_t sent_bytes; // of those with the worker
};

// A walk over the records with the worker, in order; all zero is in front of the first.
struct wz_input_walk {
    size_t run;
    uint32_t at; // so many of the run's records were passed
    // Of the record that was passed last:
    uint8_t stream;
    uint8_t lane;
    int64_t offset;
};

// Frees it.
void wz_input_queue_release(struct wz_input_queue *queue);

// Adds a copy of a record.
void wz_input_queue_push(struct wz_input_queue *queue, const struct wz_frame_record *record);

// Adds the records of a run, which is not empty; takes a reference to its block.
void wz_input_queue_push_run(struct wz_input_queue *queue, const struct wz_block_run *run);

// Adds all that waits in OTHER and empties it; OTHER has nothing with a worker.
void wz_input_queue_append(struct wz_input_queue *queue, struct wz_input_queue *other);

// The first record that is not answered, borrowed until the next change; false when there is none.
bool wz_input_queue_first(const struct wz_input_queue *queue, struct wz_frame_record *ret_record);

// The first records that are not answered, as far as they are one run and all of them with the
// worker, or none; borrowed until the next change. False when there is none.
bool wz_input_queue_front(const struct wz_input_queue *queue, struct wz_block_run *ret_run);

// The record at OFFSET of STREAM among those with the worker, borrowed; false when it is not there.
bool wz_input_queue_find(const struct wz_input_queue *queue, uint8_t stream, int64_t offset,
                         struct wz_frame_record *ret_record);

// Passes COUNT records with the worker and one more. False when there are not so many.
bool wz_input_queue_pass(const struct wz_input_queue *queue, uint32_t count,
                         struct wz_input_walk *walk);

// Whether one of those with the worker is of LANE.
bool wz_input_queue_has_sent(const struct wz_input_queue *queue, uint8_t lane);

// Makes the first record one that opens its lane; fine when there is none. None is with a worker.
void wz_input_queue_mark_opens(struct wz_input_queue *queue);

// Adds waiting records to OUT, of at most MAX_BYTES and MAX_COUNT (one may be longer); they count
// as sent. Returns how many, 0 when none waits.
uint32_t wz_input_queue_take(struct wz_input_queue *queue, size_t max_bytes, uint32_t max_count,
                             struct wz_pieces *out);

// Moves copies of the waiting records of LANE to the end of OTHER, in their order.
void wz_input_queue_sift(struct wz_input_queue *queue, uint8_t lane, struct wz_input_queue *other);

// Puts all that waits in OTHER in front of what waits here, and empties it; OTHER has nothing with
// a worker.
void wz_input_queue_insert(struct wz_input_queue *queue, struct wz_input_queue *other);

// Drops the first record: it is answered, or skipped.
void wz_input_queue_shift(struct wz_input_queue *queue);

// Drops the first COUNT records, which are all of the run that wz_input_queue_front gives.
void wz_input_queue_drop(struct wz_input_queue *queue, uint32_t count);

// All records wait again.
void wz_input_queue_rewind(struct wz_input_queue *queue);

// Drops all records.
void wz_input_queue_clear(struct wz_input_queue *queue);

// Bytes of all records, answered ones not.
static inline size_t wz_input_queue_bytes(const struct wz_input_queue *queue)
{
    return queue->bytes;
}

// Bytes of the records with the worker.
static inline size_t wz_input_queue_sent_bytes(const struct wz_input_queue *queue)
{
    return queue->sent_bytes;
}
