// SPDX-License-Identifier: Apache-2.0
// Live records off the bus, for all scripts. Those that take the same patterns of a stream share
// one feed: each record is encoded once, and all of them are given the same block of it. Loop
// thread only.
#pragma once

#include "base/list.h"
#include "bus/bus.h"
#include "engine/block.h"
#include "engine/script_document.h"

struct wz_feed;
struct wz_feeds;

// Called with records that have come, in order, borrowed for the call: who keeps them takes a
// reference to the block. It must not join or leave a feed.
typedef void (*wz_feeds_take_fn)(void *arg, const struct wz_block_run *run);

// Called when records wait to be given: call wz_feeds_flush at the end of the turn.
typedef void (*wz_feeds_filled_fn)(void *arg);

// One who takes. Fill TAKE and ARG; the rest is the feed's. All zero is in none.
struct wz_feeds_tap {
    struct wz_list link;
    struct wz_feed *feed;
    wz_feeds_take_fn take;
    void *arg;
};

// Makes a set without feeds. The bus outlives it; the caller gives it to wz_feeds_free when all
// have left.
struct wz_feeds *wz_feeds_new(struct wz_bus *bus, wz_feeds_filled_fn filled, void *arg);
void wz_feeds_free(struct wz_feeds *feeds);

// Makes the bodies of all records be given with their headers in front (engine/headed.h). Before
// anybody joins.
void wz_feeds_add_headers(struct wz_feeds *feeds);

// From now on TAP, which is in none, takes what matches one of the patterns (borrowed during the
// call, all valid). WZ_ERR_* of the bus.
WZ_MUST int wz_feeds_join(struct wz_feeds *feeds, struct wz_feeds_tap *tap,
                          enum wz_script_stream stream, const struct wz_slice *patterns,
                          size_t count);

// Takes nothing more, nor what has come and was not given yet. Fine when it is in none.
void wz_feeds_leave(struct wz_feeds_tap *tap);

// Gives what has come: to all who are in the feed of TAP, or in any.
void wz_feeds_settle(const struct wz_feeds_tap *tap);
void wz_feeds_flush(struct wz_feeds *feeds);
