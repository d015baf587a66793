// SPDX-License-Identifier: Apache-2.0
// Owns the place at which a walk over results stands, so that each output is published once.
#include "engine/results.h"

static int publish_items(struct wz_results *results)
{
    int r;

    for (;;) {
        if (!results->in_item) {
            r = wz_frame_next_item(&results->items, &results->item);
            if (r != WZ_OK)
                return r;
            results->in_item = true;
        }
        if (results->item.kind == WZ_FRAME_ITEM_TRACE) {
            results->traceback = results->item.body;
        } else {
            r = wz_egress_publish(results->egress, &results->item, &results->cause);
            if (r < 0)
                return r;
        }
        results->in_item = false;
    }
}

static int begin_result(struct wz_results *results)
{
    int r = wz_frame_next_result(&results->results, &results->result);

    if (r != WZ_OK)
        return r;
    r = results->events.begin(results->events.arg, &results->result, &results->cause);
    if (r < 0)
        return r;
    results->items = wz_frame_items(&results->result);
    results->traceback = (struct wz_slice){0};
    results->in_result = true;
    return WZ_OK;
}

int wz_results_run(struct wz_results *results, struct wz_slice payload)
{
    int r = WZ_OK;

    if (!results->open)
        r = wz_frame_iter_init(&results->results, payload);
    results->open = true;
    while (r == WZ_OK) {
        if (!results->in_result)
            r = begin_result(results);
        if (r != WZ_OK)
            break;
        r = publish_items(results);
        if (r == WZ_END) {
            results->in_result = false;
            results->events.end(results->events.arg, &results->result, results->traceback);
            r = WZ_OK;
        }
    }
    if (r == WZ_END)
        wz_results_reset(results);
    return r == WZ_END ? WZ_OK : r;
}

void wz_results_reset(struct wz_results *results)
{
    results->open = false;
    results->in_result = false;
    results->in_item = false;
}
