// SPDX-License-Identifier: Apache-2.0
// How far a script is with one stream: which records it was given and has not answered, and what
// position covers exactly those that it has.
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "engine/block.h"

// A position as it is kept: all records below BASE are answered, and those of a lane below that
// lane's end. BASE -1: there is none yet. An end that is not above BASE says nothing.
struct wz_position {
    int64_t base;
    int64_t lane_end[WZ_LANE_COUNT];
};

// Records are given in the order of their offsets and answered in any. All zero and then
// wz_progress_start is a new one.
struct wz_progress {
    int64_t *ring; // offsets of those given: twice the offset, and 1 when it is answered
    size_t head;
    size_t count;
    size_t cap;                      // a power of two
    int64_t lane_end[WZ_LANE_COUNT]; // one past the last one answered
    int64_t base;                    // of the position it started from
    int64_t ahead_end;               // of that position's lanes, the furthest end
};

// Frees it.
void wz_progress_release(struct wz_progress *progress);

// Forgets what was given and starts at POSITION.
void wz_progress_start(struct wz_progress *progress, const struct wz_position *position);

// Whether the record was answered before the position it started from was kept.
bool wz_progress_answered_before(const struct wz_progress *progress, int64_t offset, uint8_t lane);

// Whether no record from OFFSET on was.
static inline bool wz_progress_new_from(const struct wz_progress *progress, int64_t offset)
{
    return offset >= progress->base && offset >= progress->ahead_end;
}

// A record is given; its offset is above all before. The same for each record of a run.
void wz_progress_give(struct wz_progress *progress, int64_t offset);
void wz_progress_give_run(struct wz_progress *progress, const struct wz_block_run *run);

// A record that was given is answered. The same for each record of a run.
void wz_progress_answer(struct wz_progress *progress, int64_t offset, uint8_t lane);
void wz_progress_answer_run(struct wz_progress *progress, const struct wz_block_run *run);

// The first record that is not answered; END, which all before are below, when there is none.
int64_t wz_progress_base(const struct wz_progress *progress, int64_t end);

// Adds the position to BUF, with END as above: 8 bytes base, 1 byte count, and for each lane that
// is ahead 1 byte lane, 8 bytes end.
void wz_progress_put(const struct wz_progress *progress, int64_t end, struct wz_buf *buf);

// Reads a position off the front of CUR; a cursor that fails holds none.
void wz_position_get(struct wz_cursor *cur, struct wz_position *ret_position);
