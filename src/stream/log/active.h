// SPDX-License-Identifier: Apache-2.0
// The active segment of a log: the one that is written to. When it is full, or its disk has failed,
// it is left and a fresh one begun. Writer's thread. How it is used:
//
// 1. wz_active_ready sees to it that there is a segment with room.
// 2. wz_active_write writes batches behind it, wz_active_publish shows each to the readers.
// 3. wz_active_sync and then wz_active_settle, or after a failure wz_active_poison.
// 4. wz_active_finish, at an orderly stop; wz_active_release in any case.
#pragma once

#include "stream/log/saver.h"
#include "stream/log/shelf.h"

struct wz_active_options {
    const char *dir; // borrowed, as is the shelf
    struct wz_shelf *shelf;
    struct wz_segment *seg; // the shelf's last one, to go on with; NULL: make one
    enum wz_durability durability;
    int64_t segment_bytes; // where a segment is full
    int64_t ahead_bytes;   // the most that is taken ahead on the disk
};

struct wz_active {
    struct wz_active_options opt; // of which SEG does not count
    struct wz_saver *saver;
    struct wz_segment *seg; // written to, or poisoned; NULL: none yet
};

// Makes one. What is in OPTIONS is borrowed.
void wz_active_init(struct wz_active *active, const struct wz_active_options *options);

// Waits until what was left is saved, and frees what it holds. The segment is the shelf's.
void wz_active_release(struct wz_active *active);

// Whether the segment, with MORE_BYTES behind what is in it, has no room for BATCH, which belongs
// into another. False when there is none that can be written to.
bool wz_active_is_full(const struct wz_active *active, int64_t more_bytes,
                       const struct wz_batch_builder *batch);

// Sees to it that the segment can take BATCH: leaves one that is full, all of which is durable, or
// poisoned, and begins one. Any error of the disk.
WZ_MUST int wz_active_ready(struct wz_active *active, const struct wz_batch_builder *batch);

// Writes COUNT pieces of LEN bytes in all behind what is in the segment. WZ_ERR_NOSPACE: nothing
// was written, and the same may be tried again. Any other error: it is to be poisoned.
WZ_MUST int wz_active_write(struct wz_active *active, const struct iovec *pieces, int count,
                            int64_t len);

// Shows the readers a batch that was written. The caller tells the shelf's watcher.
void wz_active_publish(struct wz_active *active, struct wz_slice batch);

// Syncs what was written, unless that is left to the system.
WZ_MUST int wz_active_sync(struct wz_active *active);

// Remembers that all that was published is durable. Returns the append time of the last record.
int64_t wz_active_settle(struct wz_active *active);

// Has the indexes saved if the segment has grown much since they were; all of it is settled.
void wz_active_checkpoint(struct wz_active *active);

// Never writes, syncs or acks from the segment again, and takes back what is not settled.
void wz_active_poison(struct wz_active *active);

// Saves all that opening needs after an orderly stop. Returns what kept it from being whole.
WZ_MUST int wz_active_finish(struct wz_active *active);
