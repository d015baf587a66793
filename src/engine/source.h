// SPDX-License-Identifier: Apache-2.0
// What a script takes from one stream: live from the bus while it keeps up, read from the stream
// while it is behind; no record left out, none twice, in the order of offsets.
#pragma once

#include <uv.h>

#include "engine/feeds.h"
#include "stream/log.h"

struct wz_source;

// Called with records, in order, borrowed for the call: who keeps them takes a reference to the
// block. It must not close the source. Returns the bytes of those that are kept; they count as
// under way until wz_source_answered.
typedef size_t (*wz_source_run_fn)(void *arg, const struct wz_block_run *run);

// Called when records have come, live or by reading; it must not close the source.
typedef void (*wz_source_filled_fn)(void *arg);

// Called when COUNT records were trimmed off the stream before they could be read.
typedef void (*wz_source_gap_fn)(void *arg, enum wz_script_stream stream, int64_t count);

// Called when a source that was closed is gone.
typedef void (*wz_source_closed_fn)(void *arg);

// Where records come from and whom to tell. All that is pointed to outlives the source.
struct wz_source_options {
    uv_loop_t *uv;
    struct wz_feeds *feeds;
    struct wz_log *log;
    enum wz_script_stream stream;
    bool headers;        // bodies have them in front (engine/headed.h), as those of FEEDS do
    size_t window_bytes; // of records under way, and of what is kept of the newest while behind
    wz_source_run_fn run;
    void *run_arg;
    wz_source_filled_fn filled;
    wz_source_gap_fn gap;
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

// Takes nothing more, and forgets what is under way.
void wz_source_unbind(struct wz_source *source);

// Moves a source that is not bound to OFFSET: the next record it gives is at or behind it.
void wz_source_seek(struct wz_source *source, int64_t offset);

// Records of LEN bytes (wz_frame_record_len) that were kept are answered.
void wz_source_answered(struct wz_source *source, size_t len);

// Reads on when the source is behind and has room.
void wz_source_refill(struct wz_source *source);

// All records below it were given, or do not match.
int64_t wz_source_end(const struct wz_source *source);

// Whether everything on the stream was given or does not match, and nothing is under way; then
// wz_source_end is the stream's end from here on.
bool wz_source_idle(struct wz_source *source);

// Whether it reads from the stream instead of live.
bool wz_source_behind(const struct wz_source *source);

// Unbinds and frees it, calling the closed function later, when a read under way has ended.
void wz_source_close(struct wz_source *source);
