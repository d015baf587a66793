// SPDX-License-Identifier: Apache-2.0
// The loop thread's turn: read what has come, decode and route it, flush once, sleep. libuv
// underneath.
#pragma once

#include <uv.h>

#include "base/list.h"
#include "loop/budget.h"
#include "loop/mailbox.h"

// Bytes that all connections together read at a time; it fits the processor's own cache. A turn
// takes it once, and once more for those who found it used up: so a few who send without end leave
// room for all others.
#define WZ_LOOP_INPUT_BYTES (256 * 1024)

// Letters that may wait for the loop thread.
#define WZ_LOOP_MAIL_MAX 65536

struct wz_conn;

// Work at a fixed place of each turn.
typedef void (*wz_loop_turn_fn)(void *arg);

// A part that takes part in the turns. Fill the functions (each may be NULL) and ARG, then give it
// to wz_loop_join; it stays the caller's.
struct wz_loop_part {
    struct wz_list link;
    wz_loop_turn_fn wake;  // the loop has woken: now_ms is new, nothing is decoded yet
    wz_loop_turn_fn flush; // everything of this turn is decoded and routed, the loop is to sleep
    void *arg;
};

// The loop. One a process; all fields belong to the loop thread.
struct wz_loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_async_t async;
    struct wz_mailbox mail;
    struct wz_budget budget;
    struct wz_list parts;
    struct wz_list ready; // connections with input that is not decoded yet
    struct wz_list dirty; // connections with output that is not written yet
    struct wz_list late;  // connections that found the input area used up, longest first
    int64_t now_ms;       // wall clock at the wake-up
    uint8_t *input;
    size_t input_used;
};

// Makes a loop, its budget without a limit; the calling thread is the loop thread. WZ_ERR_LIMIT or
// WZ_ERR_SYSTEM when the system has no descriptors left.
WZ_MUST int wz_loop_init(struct wz_loop *loop);

// Frees it; every handle must be closed before, and wz_loop_run have returned.
void wz_loop_release(struct wz_loop *loop);

// Runs turns until wz_loop_stop and until no handle is left open.
void wz_loop_run(struct wz_loop *loop);

// Closes the loop's own handles, so that wz_loop_run returns when the others are closed too.
void wz_loop_stop(struct wz_loop *loop);

// Sees to it that another turn follows this one at once: for who has more to do than he may in one.
void wz_loop_again(struct wz_loop *loop);

// Takes a part into the turns, behind those that are there.
void wz_loop_join(struct wz_loop *loop, struct wz_loop_part *part);

// Takes a part out.
void wz_loop_leave(struct wz_loop_part *part);
