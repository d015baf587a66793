// SPDX-License-Identifier: Apache-2.0
// A listening TCP socket.
#pragma once

#include "base/problem.h"
#include "loop/loop.h"

struct wz_listener;

// Called for each peer that wants in: the owner calls wz_conn_accept, or nothing to leave it
// waiting.
typedef void (*wz_listener_fn)(struct wz_listener *listener, void *arg);

// A listener, embedded in its owner's struct, which must stay until CLOSED has run.
struct wz_listener {
    uv_tcp_t tcp;
    struct wz_loop *loop;
    wz_listener_fn offered;
    void *arg;
    int64_t log_us;
    bool open;
};

// Listens on HOST (a numeric address) and PORT. RET_PROBLEM says what is wrong: a port that is
// taken (and which one is free), an address that is not this machine's. WZ_ERR_EXISTS,
// WZ_ERR_INVALID, WZ_ERR_SYSTEM.
WZ_MUST int wz_listener_open(struct wz_listener *listener, struct wz_loop *loop, const char *host,
                             int port, wz_listener_fn offered, void *arg,
                             struct wz_problem *ret_problem);

// Stops listening; fine when it is not open.
void wz_listener_close(struct wz_listener *listener);

// The port it listens on (useful when it was opened with port 0).
int wz_listener_port(const struct wz_listener *listener);
