// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 connection without its socket: bytes in, requests to the API, bytes out. The server
// feeds it from sockets, the command line, when no server runs, from memory. One request is at work
// at a time; further ones wait in the input.
#pragma once

#include "gateway/api.h"

struct wz_peer;

// Told on the API's thread that wz_peer_output may have something, or more input is wanted.
typedef void (*wz_peer_wake_fn)(void *arg);

// Makes a connection; the caller frees it.
struct wz_peer *wz_peer_new(struct wz_api *api, wz_peer_wake_fn wake, void *arg);

// Frees it; work that is under way for it goes on without it. NULL is fine.
void wz_peer_free(struct wz_peer *peer);

// Takes bytes from the other side; all of them, so the caller stops reading while
// wz_peer_wants_input says no.
void wz_peer_input(struct wz_peer *peer, struct wz_slice bytes);

// Whether more input can be used now.
bool wz_peer_wants_input(const struct wz_peer *peer);

// Adds bytes for the other side to RET_BUF, about BUDGET at the most. WZ_OK when some were added:
// call again when they are gone; WZ_AGAIN when there are none now; WZ_END when there are no more
// and the connection is to be closed (some may have been added).
WZ_MUST int wz_peer_output(struct wz_peer *peer, struct wz_buf *ret_buf, size_t budget);

// Looks at the time, about once a second: refuses a request that does not arrive, and returns
// WZ_END when the connection is to be cut, because nothing moves on it.
WZ_MUST int wz_peer_tick(struct wz_peer *peer, int64_t now_us);

// A request must arrive within this time of its first byte.
#define WZ_PEER_REQUEST_US (30 * 1000000LL)

// A connection without a request is closed after this time, and so is one whose other side takes
// nothing.
#define WZ_PEER_IDLE_US (75 * 1000000LL)

// A refused client may go on sending for this long, so that it gets to read why.
#define WZ_PEER_LINGER_US (2 * 1000000LL)
