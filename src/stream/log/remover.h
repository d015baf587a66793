// SPDX-License-Identifier: Apache-2.0
// Removes the oldest segments of a log, durably one after the other, and counts why they went.
#pragma once

#include "stream/log/shelf.h"

// Nothing in it is to be freed.
struct wz_remover {
    const char *dir; // borrowed, as is the shelf
    struct wz_shelf *shelf;
    int64_t doomed_base;   // of a segment off the shelf whose files are still there; -1: none
    struct wz_seal doomed; // its facts,
    enum wz_log_reason doomed_reason; // and why, if it goes for one

    // The writer's thread writes, any other reads.
    struct {
        _Atomic int64_t segments;
        _Atomic int64_t records;
        _Atomic int64_t bytes;
    } removed[WZ_LOG_REASON_COUNT];
};

// Makes one for the segments on SHELF, whose files are in the folder DIR; both are borrowed.
void wz_remover_init(struct wz_remover *remover, const char *dir, struct wz_shelf *shelf);

// Removes segments whose records all have offsets below END. What cannot be removed is tried again
// the next time. Writer's thread.
void wz_remover_trim(struct wz_remover *remover, int64_t end);

// Removes segments as LIMITS say, whose free_bytes becomes less by what went. Otherwise as above.
void wz_remover_retain(struct wz_remover *remover, struct wz_log_limits *limits);

// What was removed for REASON. Any thread.
void wz_remover_removed(const struct wz_remover *remover, enum wz_log_reason reason,
                        struct wz_log_removed *ret_removed);
