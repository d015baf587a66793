// SPDX-License-Identifier: Apache-2.0
// The sockets that the API listens on, and the way to a Unix socket whose path is too long for an
// address.
#pragma once

#include <sys/un.h>

#include "base/problem.h"
#include "config/value.h"

// Listens on a TCP address; port 0 takes a free one. RET_PORT is the port. The caller closes
// RET_FD.
WZ_MUST int wz_listen_tcp(const struct wz_address *address, int *ret_fd, uint16_t *ret_port,
                          struct wz_problem *ret_problem);

// Listens on the Unix socket PATH, which only its owner may use. One that is left over is replaced;
// WZ_ERR_LOCKED when another program answers on it. The caller closes RET_FD and removes the path.
WZ_MUST int wz_listen_unix(const char *path, int *ret_fd, struct wz_problem *ret_problem);

// Connects to the Unix socket PATH. WZ_ERR_UNREACHABLE when nobody answers there. The caller closes
// RET_FD.
WZ_MUST int wz_listen_connect(const char *path, int *ret_fd);
