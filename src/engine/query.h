// SPDX-License-Identifier: Apache-2.0
// Looks records up for a script that looks back, on libuv's pool.
#pragma once

#include <uv.h>

#include "stream/log.h"
#include "wire/frames.h"

struct wz_query;

// Called on the loop thread with the answer, a FOUND frame, borrowed for the call. The query is
// freed afterwards.
typedef void (*wz_query_fn)(void *arg, struct wz_slice frame);

// Starts looking on LOG for what ASKED says (copied). FOUND is called once, unless the query is
// cancelled.
struct wz_query *wz_query_start(uv_loop_t *uv, struct wz_log *log,
                                const struct wz_frame_query *asked, wz_query_fn found, void *arg);

// FOUND is not called. It looks at no further block of the log, and frees itself when it has come
// back. NULL is fine.
void wz_query_cancel(struct wz_query *query);
