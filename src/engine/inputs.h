// SPDX-License-Identifier: Apache-2.0
// All that one script is given: its sources, what each of its workers holds, the lanes that wait
// since a message failed, and which record workers die at.
#pragma once

#include "engine/input_queue.h"
#include "engine/progress.h"
#include "engine/source.h"

// Bytes with a worker and not answered; a frame; records in a frame.
#define WZ_INPUTS_FLIGHT_BYTES (128 * 1024)
#define WZ_INPUTS_FRAME_BYTES (64 * 1024)
#define WZ_INPUTS_FRAME_RECORDS 512

// A record at which this many workers died is given up.
#define WZ_INPUTS_DEATHS_MAX 3

// The most workers of one script.
#define WZ_INPUTS_WORKERS_MAX 64

// The engine's number for records that are given again out of quarantine; their offset is their
// number there.
#define WZ_INPUTS_QUARANTINED WZ_SCRIPT_STREAM_COUNT

// What sources need (stream, log and run are set for each), and the streams they read.
struct wz_inputs_options {
    struct wz_source_options source;
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
};

// One worker's share. Only a worker that held a single record says at which it died; one that held
// more has its records given again one at a time: CAREFUL counts them.
struct wz_inputs_worker {
    struct wz_input_queue queue;
    size_t careful;
    int deaths; // at the record at DEATH_OFFSET
    uint8_t death_stream;
    int64_t death_offset;
};

// A lane that waits: first DEFERRED, what the worker had been given (the message that failed in
// front), then LATER.
struct wz_inputs_lane {
    bool waits;
    bool blocked;   // its worker defers it until a record opens it
    int attempts;   // that failed, of the record at OFFSET
    int64_t offset; // -1: none
    int64_t due_us; // when it goes on
    struct wz_input_queue deferred;
    struct wz_input_queue later;
};

// A script's inputs.
struct wz_inputs {
    struct wz_inputs_options options;
    struct wz_source *sources[WZ_SCRIPT_STREAM_COUNT]; // NULL: nothing bound to that stream
    struct wz_progress progress[WZ_SCRIPT_STREAM_COUNT];
    int open_count; // sources made and not closed yet: OPTIONS.SOURCE.CLOSED is called for each
    struct wz_inputs_worker *workers;
    int worker_count;
    struct wz_inputs_lane lanes[WZ_LANE_COUNT];
    int waiting_lanes;
    int blocked_lanes;
    int failed_lanes; // of which OFFSET is not -1
};

// Makes sources for the streams that DOCUMENT binds, closes others, and takes from POSITIONS, one a
// stream, on: from the stream's end where there is none. The records go to the document's number of
// workers. An error of the bus leaves nothing bound.
WZ_MUST int wz_inputs_bind(struct wz_inputs *inputs, const struct wz_script_document *document,
                           const struct wz_position *positions);

// Takes nothing more and forgets what is under way.
void wz_inputs_unbind(struct wz_inputs *inputs);

// Closes all sources and frees the rest.
void wz_inputs_close(struct wz_inputs *inputs);

// Gives a record that comes from no stream: out of quarantine.
void wz_inputs_push(struct wz_inputs *inputs, const struct wz_frame_record *record);

// Adds BATCH frames of waiting records to OUT, as many as WORKER may hold.
void wz_inputs_give(struct wz_inputs *inputs, int worker, struct wz_pieces *out);

// How many records WORKER holds.
size_t wz_inputs_held(const struct wz_inputs *inputs, int worker);

// The first record that WORKER holds, borrowed until the next change; false when it holds none.
bool wz_inputs_first(const struct wz_inputs *inputs, int worker,
                     struct wz_frame_record *ret_record);

// The record at OFFSET of STREAM if WORKER holds it, borrowed.
bool wz_inputs_find(const struct wz_inputs *inputs, int worker, uint8_t stream, int64_t offset,
                    struct wz_frame_record *ret_record);

// Passes COUNT records that WORKER holds and one more. False when it does not hold so many.
bool wz_inputs_pass(const struct wz_inputs *inputs, int worker, uint32_t count,
                    struct wz_input_walk *walk);

// Whether the lane waits since a record of it failed.
bool wz_inputs_lane_waits(const struct wz_inputs *inputs, uint8_t lane);

// The first record that WORKER holds is answered for good.
void wz_inputs_answer(struct wz_inputs *inputs, int worker);

// The same for the first COUNT that WORKER holds, up to one that comes from no stream. Returns how
// many there were.
uint32_t wz_inputs_answer_many(struct wz_inputs *inputs, int worker, uint32_t count);

// The first record that WORKER holds failed, and is to be tried again DELAY_US from NOW_US on: its
// lane waits until then. Who wants to know how often it had failed before asks wz_inputs_attempts.
void wz_inputs_fail(struct wz_inputs *inputs, int worker, int64_t now_us, int64_t delay_us);

// How often the record has failed before.
int wz_inputs_attempts(const struct wz_inputs *inputs, const struct wz_frame_record *record);

// The first record that WORKER holds was not tried: its lane waits. WZ_ERR_PROTOCOL when it does
// not.
WZ_MUST int wz_inputs_defer(struct wz_inputs *inputs, int worker);

// The first record that WORKER holds failed and is given up: wz_inputs_answer, and its lane goes
// on at once.
void wz_inputs_give_up(struct wz_inputs *inputs, int worker);

// Lets the lanes go on that are due at NOW_US. Returns when the next one is, -1 when none waits.
int64_t wz_inputs_open_lanes(struct wz_inputs *inputs, int64_t now_us);

// Reads on from the streams where that is wanted.
void wz_inputs_refill(struct wz_inputs *inputs);

// The worker is gone and so is what it held: it waits again.
void wz_inputs_rewind(struct wz_inputs *inputs, int worker);

// The worker died, before wz_inputs_rewind. True when it was one too many at RET_RECORD (borrowed),
// the first that it holds: then give it up.
bool wz_inputs_blame(struct wz_inputs *inputs, int worker, struct wz_frame_record *ret_record);

// Adds the positions, a byte count of streams first (wz_progress_put), to BUF. RET_ENDS, one a
// stream, is what must be durable before they may be kept: 0 for nothing.
void wz_inputs_put_positions(const struct wz_inputs *inputs, struct wz_buf *buf, int64_t *ret_ends);

// Counts what does not match as seen, so that positions are as far on as they can be.
void wz_inputs_settle(struct wz_inputs *inputs);

// Bytes of all records that were given and not answered, and of those that wait.
size_t wz_inputs_waiting_bytes(const struct wz_inputs *inputs);

// Records between the positions and the streams' ends, together; 0 when nothing waits. Offsets that
// the last crash skipped are not counted.
int64_t wz_inputs_lag(const struct wz_inputs *inputs);

// Whether one of them reads from the stream instead of live.
bool wz_inputs_behind(const struct wz_inputs *inputs);
