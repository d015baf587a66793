// SPDX-License-Identifier: Apache-2.0
// The API without a server: the same handlers, over the data folder, in this process. For commands
// that need only the store or the logs while no server runs.
#pragma once

#include "base/buf.h"
#include "base/problem.h"

struct wz_local;

// What a command needs of the data folder.
#define WZ_LOCAL_STORE 1u
#define WZ_LOCAL_LOGS 2u

// Opens the data folder, with the parts that NEEDS names. WZ_ERR_UNREACHABLE when there is no data
// folder. The caller owns RET_LOCAL.
WZ_MUST int wz_local_open(const char *data, unsigned needs, struct wz_local **ret_local,
                          struct wz_problem *ret_problem);

// Closes all of it; NULL is fine.
void wz_local_close(struct wz_local *local);

// Sends bytes to the API, as to a server's socket.
void wz_local_send(struct wz_local *local, struct wz_slice bytes);

// Adds what the API answers, waiting for it; WZ_END when it has closed the connection.
WZ_MUST int wz_local_receive(struct wz_local *local, struct wz_buf *ret_buf);
