// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 connection without its socket: bytes in, requests to the API, bytes out. The server
// feeds it from sockets, the command line, when no server runs, from memory. One request is at work
// at a time; further ones wait in the input.
#pragma once

#include "gateway/api.h"

struct wz_peer;

// Told on the API's thread that wz_peer_output may have something, or more input is wanted.
typedef void (*wz_peer_wake_fn)(void *arg);

// Connections that share slots: so many of their requests may be under way or read by a slow
// client. Who only asks how the program is needs no slot.
struct wz_peer_group {
    size_t busy_max;
    size_t busy;
};

// How much a connection is needed.
enum wz_peer_rest {
    WZ_PEER_BUSY,   // a request is under way
    WZ_PEER_ASKING, // one is coming in
    WZ_PEER_IDLE,   // nothing is
};

// A connection holds so much without its being counted.
#define WZ_PEER_FREE_BYTES (16 * 1024)

// Makes a connection; the caller frees it.
struct wz_peer *wz_peer_new(struct wz_api *api, wz_peer_wake_fn wake, void *arg);

// Frees it; work that is under way for it goes on without it. NULL is fine.
void wz_peer_free(struct wz_peer *peer);

// Puts it into a group, which must outlive it. To be called before anything comes in; without it
// there are slots without number.
void wz_peer_join(struct wz_peer *peer, struct wz_peer_group *group);

// What it is doing, and since when nothing has moved on it, on the monotonic clock.
enum wz_peer_rest wz_peer_rest(const struct wz_peer *peer, int64_t *ret_since_us);

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
