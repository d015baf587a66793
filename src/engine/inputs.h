// SPDX-License-Identifier: Apache-2.0
// All that one script is given: its sources, what its worker holds of them, and which record
// workers die at.
#pragma once

#include "engine/source.h"

// Bytes with the worker and not answered; a frame; records in a frame.
#define WZ_INPUTS_FLIGHT_BYTES (256 * 1024)
#define WZ_INPUTS_FRAME_BYTES (64 * 1024)
#define WZ_INPUTS_FRAME_RECORDS 512

// A record at which this many workers died is skipped.
#define WZ_INPUTS_DEATHS_MAX 3

// What sources need (stream and log are set for each), and the streams they read.
struct wz_inputs_options {
    struct wz_source_options source;
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
};

// A script's inputs. Only a worker that held a single record says at which it died; one that held
// more has its records given again one at a time: CAREFUL counts them.
struct wz_inputs {
    struct wz_inputs_options options;
    struct wz_source *sources[WZ_SCRIPT_STREAM_COUNT]; // NULL: nothing bound to that stream
    int open_count; // sources made and not closed yet: OPTIONS.SOURCE.CLOSED is called for each
    size_t careful;
    int deaths;
    int64_t death_offset;
};

// Makes sources for the streams that DOCUMENT binds, closes others, and takes from their positions
// on; with FROM_END from the streams' ends. An error of the bus leaves nothing bound.
WZ_MUST int wz_inputs_bind(struct wz_inputs *inputs, const struct wz_script_document *document,
                           bool from_end);

// Takes nothing more and forgets what waits; positions stay behind the last answer.
void wz_inputs_unbind(struct wz_inputs *inputs);

// Closes all sources.
void wz_inputs_close(struct wz_inputs *inputs);

// Adds BATCH frames of waiting records to OUT, as many as the worker may hold.
void wz_inputs_give(struct wz_inputs *inputs, struct wz_buf *out);

// How many records the worker holds.
size_t wz_inputs_held(const struct wz_inputs *inputs);

// Whether a result for OFFSET of STREAM is due now: it is the first one held. RET_RECORD is
// borrowed until the next change.
bool wz_inputs_due(const struct wz_inputs *inputs, uint8_t stream, int64_t offset,
                   struct wz_frame_record *ret_record);

// The record at OFFSET of STREAM if the worker holds it, borrowed.
bool wz_inputs_find(const struct wz_inputs *inputs, uint8_t stream, int64_t offset,
                    struct wz_frame_record *ret_record);

// The first record held of STREAM is answered.
void wz_inputs_answer(struct wz_inputs *inputs, uint8_t stream);

// Reads on from the streams where that is wanted.
void wz_inputs_refill(struct wz_inputs *inputs);

// The worker is gone and so is what it held: it waits again.
void wz_inputs_rewind(struct wz_inputs *inputs);

// The worker died, before wz_inputs_rewind. True when it was one too many at RET_RECORD (borrowed):
// then call wz_inputs_skip.
bool wz_inputs_blame(struct wz_inputs *inputs, struct wz_frame_record *ret_record);

// Drops the record that wz_inputs_blame found.
void wz_inputs_skip(struct wz_inputs *inputs, const struct wz_frame_record *record);

// Forgets deaths: the code is another.
void wz_inputs_forgive(struct wz_inputs *inputs);

// Records between the positions and the streams' ends, together.
int64_t wz_inputs_lag(const struct wz_inputs *inputs);

// Whether one of them reads from the stream instead of live.
bool wz_inputs_behind(const struct wz_inputs *inputs);
