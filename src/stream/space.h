// SPDX-License-Identifier: Apache-2.0
// The room that is left on the disks under the streams. While there is less than a floor, no
// messages are taken in: what is below it is for taking messages out, which needs records too
// (settled messages, the copies of a compaction), and for everything else that must go on.
//
// The disks are asked on libuv's pool, once a second and each time some MiB have been appended.
// What was appended since, or is not written yet, counts as taken already. Loop thread only, but
// for wz_space_low.
//
// Use:
//   1. wz_space_new, wz_space_watch for each log, wz_space_start;
//   2. wz_space_takes before a message is taken in;
//   3. wz_space_stop, the loop runs until its handles are closed, wz_space_free.
#pragma once

#include "loop/loop.h"
#include "stream/log.h"

struct wz_space;

// Called on the loop thread after each look that finds too little room, and once when there is
// enough again.
typedef void (*wz_space_fn)(void *arg);

// What was found at the last look of a log and the disk that holds it.
struct wz_space_view {
    int64_t free_bytes;
    int64_t erased_bytes; // of removed files, which become free in a moment
    int64_t total_bytes;
    int64_t floor_bytes;
    int64_t log_bytes;
    int log_segments;
    bool known; // the disk has answered
};

// As floor_part for a floor that nobody has chosen.
#define WZ_SPACE_PRESET_PART 20

// How it is made; all of it is needed, but for what may be NULL.
struct wz_space_options {
    struct wz_loop *loop;
    int64_t min_free_bytes; // the floor, for each disk; 0: there is none
    int look_ms;            // between two looks; 0: a second
    int floor_part;         // the floor is a disk's size by this at the most; 0: as it is
    wz_space_fn looked;
    wz_space_fn measured; // called after each look, before LOOKED; NULL: nobody
    void *arg;
};

// The floor of a disk of TOTAL_BYTES.
int64_t wz_space_floor(const struct wz_space_options *options, int64_t total_bytes);

// Makes one that watches nothing yet; the caller frees it.
struct wz_space *wz_space_new(const struct wz_space_options *options);

// Watches the disk that holds LOG, which must be there until the loop has returned. At most
// WZ_SPACE_LOGS_MAX, all before wz_space_start.
void wz_space_watch(struct wz_space *space, struct wz_log *log);

#define WZ_SPACE_LOGS_MAX 4

// Looks for the first time, before it returns, and goes on by itself. LOOKED may be called.
void wz_space_start(struct wz_space *space);

// Looks no more.
void wz_space_stop(struct wz_space *space);

// Frees it, after the loop has returned; NULL is fine.
void wz_space_free(struct wz_space *space);

// Whether there is room for a message that comes in now. NULL: there always is. Not from inside a
// publish: the answer stays the same there.
bool wz_space_takes(struct wz_space *space);

// Whether no messages are taken in for want of room; NULL: never. Any thread.
bool wz_space_low(const struct wz_space *space);

// What was found of LOG, which is watched; borrowed until the next look. Loop thread.
const struct wz_space_view *wz_space_view(const struct wz_space *space, const struct wz_log *log);

// What was free at the last look on the disk with the least above its floor, and that floor. Loop
// thread.
int64_t wz_space_free_bytes(const struct wz_space *space);
int64_t wz_space_floor_bytes(const struct wz_space *space);
