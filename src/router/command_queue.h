// SPDX-License-Identifier: Apache-2.0
// Commands in memory, first in, first out: copies of their records, in one piece of memory that is
// used again.
#pragma once

#include "base/buf.h"
#include "router/preprocess.h"

// A record of processed-stream that is a command. Slices are borrowed.
struct wz_command {
    int64_t offset;
    int64_t append_ms;
    struct wz_slice topic; // logical, ends in the word `output`
    struct wz_slice value; // the stamped JSON object
    enum wz_form form;
    bool journaled; // output of a step that is durable in the journal: if a crash takes the record
};                  // off the stream, recovery puts it there again

// All zero is an empty queue that owns nothing.
struct wz_command_queue {
    struct wz_buf buf;
    size_t head; // bytes at the front that are not in use any more
};

// Frees the memory and leaves an empty queue.
void wz_command_queue_release(struct wz_command_queue *queue);

// Adds a copy.
void wz_command_queue_push(struct wz_command_queue *queue, const struct wz_command *command);

// The first one, borrowed until the next change; false when there is none.
bool wz_command_queue_first(const struct wz_command_queue *queue, struct wz_command *ret_command);

// Takes the first one, which is there, out.
void wz_command_queue_shift(struct wz_command_queue *queue);

// Takes all of them out.
void wz_command_queue_clear(struct wz_command_queue *queue);

// Bytes that are in use.
size_t wz_command_queue_bytes(const struct wz_command_queue *queue);
