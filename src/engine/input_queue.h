// SPDX-License-Identifier: Apache-2.0
// Records on their way to a worker, in the form in which a BATCH frame carries them, so that a
// frame is filled by copying one run of bytes.
#pragma once

#include "wire/frames.h"

// First in, first out, in three parts:
//
//   head .. sent    given to the worker, not answered yet
//   sent .. end     waiting
//
// All zero is empty. A record stays until it is answered; when the worker dies,
// wz_input_queue_rewind makes all of them wait again.
struct wz_input_queue {
    struct wz_buf buf;
    size_t head;
    size_t sent;
    size_t count;      // of records, answered ones not
    size_t sent_count; // of those with the worker
};

// What is taken for one frame.
struct wz_input_run {
    struct wz_slice bytes;
    uint32_t count;
};

// Frees it.
void wz_input_queue_release(struct wz_input_queue *queue);

// Adds a copy of a record.
void wz_input_queue_push(struct wz_input_queue *queue, const struct wz_frame_record *record);

// Adds all that waits in OTHER and empties it; OTHER has nothing with a worker.
void wz_input_queue_append(struct wz_input_queue *queue, struct wz_input_queue *other);

// The first record that is not answered, borrowed until the next change; false when there is none.
bool wz_input_queue_first(const struct wz_input_queue *queue, struct wz_frame_record *ret_record);

// The record at OFFSET of STREAM among those with the worker, borrowed; false when it is not there.
bool wz_input_queue_find(const struct wz_input_queue *queue, uint8_t stream, int64_t offset,
                         struct wz_frame_record *ret_record);

// Whether one of those with the worker is of LANE.
bool wz_input_queue_has_sent(const struct wz_input_queue *queue, uint8_t lane);

// Makes the first record one that opens its lane; fine when there is none.
void wz_input_queue_mark_opens(struct wz_input_queue *queue);

// Takes waiting records for a frame, of at most MAX_BYTES and MAX_COUNT (one may be longer); they
// count as sent. RET_RUN is borrowed until the next change; its count is 0 when none waits.
void wz_input_queue_take(struct wz_input_queue *queue, size_t max_bytes, uint32_t max_count,
                         struct wz_input_run *ret_run);

// Moves the waiting records of LANE to the end of OTHER, in their order.
void wz_input_queue_sift(struct wz_input_queue *queue, uint8_t lane, struct wz_input_queue *other);

// Puts all that waits in OTHER in front of what waits here, and empties it; OTHER has nothing with
// a worker.
void wz_input_queue_insert(struct wz_input_queue *queue, struct wz_input_queue *other);

// Drops the first record: it is answered, or skipped.
void wz_input_queue_shift(struct wz_input_queue *queue);

// All records wait again.
void wz_input_queue_rewind(struct wz_input_queue *queue);

// Drops all records.
void wz_input_queue_clear(struct wz_input_queue *queue);

// Bytes of all records, answered ones not.
static inline size_t wz_input_queue_bytes(const struct wz_input_queue *queue)
{
    return queue->buf.len - queue->head;
}

// Bytes of the records with the worker.
static inline size_t wz_input_queue_sent_bytes(const struct wz_input_queue *queue)
{
    return queue->sent - queue->head;
}
