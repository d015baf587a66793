// SPDX-License-Identifier: Apache-2.0
// The walk over a frame of results that publishes their outputs, and can stop where the bus is
// busy.
#pragma once

#include "engine/egress.h"

// Told in order for each result. BEGIN says which record it answers: WZ_ERR_PROTOCOL when none of
// that offset is due. END comes when all its outputs are published; TRACEBACK is empty when it is
// ok.
struct wz_results_events {
    int (*begin)(void *arg, const struct wz_frame_result *result, struct wz_cause *ret_cause);
    void (*end)(void *arg, const struct wz_frame_result *result, struct wz_slice traceback);
    void *arg;
};

// A walk. All zero but EGRESS and EVENTS is one at rest.
struct wz_results {
    struct wz_egress *egress;
    struct wz_results_events events;
    struct wz_frame_iter results;
    struct wz_frame_iter items;
    struct wz_frame_result result;
    struct wz_frame_item item;
    struct wz_cause cause;
    struct wz_slice traceback;
    bool open;
    bool in_result;
    bool in_item; // ITEM is not published yet
};

// Walks the list in PAYLOAD, which must stay where it is until the walk is over. WZ_ERR_BUSY: call
// again with the same payload when the bus is ready. WZ_OK at the end, WZ_ERR_PROTOCOL for bytes
// that do not add up.
WZ_MUST int wz_results_run(struct wz_results *results, struct wz_slice payload);

// Forgets a walk that was not finished.
void wz_results_reset(struct wz_results *results);
