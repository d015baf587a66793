// SPDX-License-Identifier: Apache-2.0
// Owns the search for where a script begins.
#include "engine/beginning.h"

#include "base/mem.h"

// On the pool.
static void look(uv_work_t *work)
{
    struct wz_beginning *beginning = work->data;

    beginning->err = WZ_OK;
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT && beginning->err == WZ_OK; i++)
        beginning->err =
            wz_moment_find(&beginning->moment, beginning->logs[i], &beginning->offsets[i]);
}

static void on_looked(uv_work_t *work, int status)
{
    struct wz_beginning *beginning = work->data;

    (void)status; // nobody cancels it
    beginning->running = false;
    beginning->found(beginning->arg, beginning->offsets, beginning->err);
}

void wz_beginning_find(struct wz_beginning *beginning, uv_loop_t *uv, struct wz_log *const *logs,
                       const struct wz_moment *moment, wz_beginning_found_fn found, void *arg)
{
    WZ_ASSERT(!beginning->running);
    *beginning = (struct wz_beginning){
        .running = true,
        .work.data = beginning,
        .moment = *moment,
        .found = found,
        .arg = arg,
    };
    memcpy(beginning->logs, logs, sizeof(beginning->logs));
    // Fails only without a function to run.
    WZ_ASSERT(uv_queue_work(uv, &beginning->work, look, on_looked) == 0);
}
