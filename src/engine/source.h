// SPDX-License-Identifier: Apache-2.0
// What a script takes from one stream: live from the bus while it keeps up, read from the stream
// while it is behind; no record left out, none twice, in the order of offsets.
#pragma once

#include <uv.h>

#include "bus/bus.h"
#include "engine/input_queue.h"
#include "engine/script_document.h"
#include "stream/log.h"

struct wz_source;

// Called when records have come, live or by reading; it must not close the source.
typedef void (*wz_source_filled_fn)(void *arg);

// Called when a source that was closed is gone.
typedef void (*wz_source_closed_fn)(void *arg);

// Where records come from and whom to tell. All that is pointed to outlives the source.
struct wz_source_options {
    uv_loop_t *uv;
    struct wz_bus *bus;
    struct wz_log *log;
    enum wz_script_stream stream;
    size_t window_bytes; // of the queue, and of what is kept of the newest while behind
    wz_source_filled_fn filled;
    wz_source_closed_fn closed;
    void *arg;
};

// Makes a source that takes nothing yet; its position is the stream's end. Give it to
// wz_source_close.
struct wz_source *wz_source_new(const struct wz_source_options *options);

// Takes, from its position on, the records whose topics match one of the patterns (borrowed during
// the call, all valid). May be called again with others. WZ_ERR_* of the bus: it then takes
// nothing.
WZ_MUST int wz_source_bind(struct wz_source *source, const struct wz_slice *patterns, size_t count);

// Takes nothing more, forgets what waits, and keeps the position behind the last answered record.
void wz_source_unbind(struct wz_source *source);

// Moves the position of a source that is not bound to the stream's end.
void wz_source_skip_to_end(struct wz_source *source);

// The records to be given to the worker, in order. After records were taken off it, call
// wz_source_refill.
struct wz_input_queue *wz_source_queue(struct wz_source *source);

// Reads on when the source is behind and has room.
void wz_source_refill(struct wz_source *source);

// The offset behind the last answered record: the first of those that are not.
int64_t wz_source_position(const struct wz_source *source);

// How many records of the stream (matching or not) lie between the position and the stream's end; 0
// when nothing waits.
int64_t wz_source_lag(const struct wz_source *source);

// Whether it reads from the stream instead of live.
bool wz_source_behind(const struct wz_source *source);

// Unbinds and frees it, calling the closed function later, when a read under way has ended.
void wz_source_close(struct wz_source *source);
