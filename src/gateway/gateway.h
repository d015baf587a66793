// SPDX-License-Identifier: Apache-2.0
// The gateway: the API's server, on a thread of its own.
#pragma once

#include "gateway/api.h"

struct wz_gateway;

// What a gateway is started with.
struct wz_gateway_options {
    struct wz_api_parts parts;
    const struct wz_address *listen; // NULL or off: not on TCP
    const char *socket_path;         // NULL: no Unix socket
};

// Connections at one time, over TCP and over the Unix socket. One more takes the place of the one
// that has been idle longest.
#define WZ_GATEWAY_CONNECTIONS_MAX 256
#define WZ_GATEWAY_LOCAL_MAX 64

// Of these, so many stay free of long requests: for who asks how the program is.
#define WZ_GATEWAY_SPARE 16

// Listens and starts the thread. The caller owns RET_GATEWAY and gives it to wz_gateway_stop. All
// parts must outlive it. The logs' one watcher each (wz_log_watch) is the gateway's.
WZ_MUST int wz_gateway_start(const struct wz_gateway_options *options,
                             struct wz_gateway **ret_gateway, struct wz_problem *ret_problem);

// The TCP port it listens on, 0 when it does not.
uint16_t wz_gateway_port(const struct wz_gateway *gateway);

// Closes all connections, waits until nothing is under way any more, ends the thread, frees; NULL
// is fine. The store and the bus must go on answering meanwhile: on the loop thread call it only
// after wz_bus_stop, which answers what is left.
void wz_gateway_stop(struct wz_gateway *gateway);
