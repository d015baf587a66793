// SPDX-License-Identifier: Apache-2.0
// Where a script begins on streams that it has no position on, when that has to be looked for: the
// index of a stream is on the disk.
#pragma once

#include <uv.h>

#include "engine/script_document.h"
#include "stream/moment.h"

// Called on the loop thread with an offset for each stream; or ERR: they could not be found.
typedef void (*wz_beginning_found_fn)(void *arg, const int64_t *offsets, int err);

// One search. All zero is none; RUNNING is for its owner to read, and it must stay where it is
// until FOUND is called.
struct wz_beginning {
    bool running;
    uv_work_t work;
    struct wz_moment moment;
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
    int64_t offsets[WZ_SCRIPT_STREAM_COUNT];
    int err;
    wz_beginning_found_fn found;
    void *arg;
};

// Looks on the pool of UV for the first record of each of LOGS at or after MOMENT. FOUND is called
// later, RUNNING is false by then.
void wz_beginning_find(struct wz_beginning *beginning, uv_loop_t *uv, struct wz_log *const *logs,
                       const struct wz_moment *moment, wz_beginning_found_fn found, void *arg);
