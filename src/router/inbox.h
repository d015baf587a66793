// SPDX-License-Identifier: Apache-2.0
// The inbox: keeps messages that no rule maps on the capped stream `unmapped` (key: physical topic;
// value: the untouched body; headers: `why`, `client`, `time`), lists their topics, and lets what
// was kept enter raw-stream once a mapping maps it. Loop thread.
//
// What is kept is bounded three ways: by MAX_BYTES on disk, by MAX_RATE while it is written, and by
// the list of topics in memory. What is beyond the rate is counted and listed, but not kept.
#pragma once

#include "bus/board.h"
#include "bus/desk.h"
#include "router/reentry.h"
#include "topic/trie.h"

struct wz_inbox;
struct wz_ticket;

// What it needs; all of it must outlive it. BOARD and DESK may be NULL.
struct wz_inbox_options {
    struct wz_loop *loop;
    struct wz_journal *journal;
    struct wz_log *raw;
    struct wz_log *unmapped; // its segments are of an eighth of MAX_BYTES, at the most
    struct wz_board *board;
    struct wz_desk *desk;
    int64_t max_bytes;
    int64_t max_rate; // bytes a second, and at once; 0: nothing is kept
};

// Makes one; the journal is replayed then.
struct wz_inbox *wz_inbox_new(const struct wz_inbox_options *options);

// Puts in order what a crash has left, and begins to list what is kept. Before the loop runs.
WZ_MUST int wz_inbox_recover(struct wz_inbox *inbox, struct wz_problem *ret_problem);

// Says who appends to raw-stream; NULL: nobody.
void wz_inbox_set_append(struct wz_inbox *inbox, wz_reentry_append_fn append, void *arg);

// The mapping in force, of which it takes a reference.
void wz_inbox_set_mapping(struct wz_inbox *inbox, struct wz_mapping *mapping);

// Filters of topics that are not to be kept: it takes over the trie, whose values do not matter
// (NULL: there are none).
void wz_inbox_set_ignores(struct wz_inbox *inbox, struct wz_trie *ignores);

// Whether messages of TOPIC are not to be kept; the answer is good until the filters change.
bool wz_inbox_ignores(const struct wz_inbox *inbox, struct wz_slice topic);

// Counts a message that is not to be kept.
void wz_inbox_ignore(struct wz_inbox *inbox);

// Takes a message in that was not mapped because of WHY. RET_TICKET is set when it is kept. It
// never fails: a message that cannot be kept now is counted.
void wz_inbox_take(struct wz_inbox *inbox, const struct wz_message *msg, enum wz_outcome why,
                   struct wz_ticket *ret_ticket);

// Something has become durable.
void wz_inbox_durable(struct wz_inbox *inbox);

// Nothing is begun any more; the loop runs until what is under way has come back.
void wz_inbox_stop(struct wz_inbox *inbox);

// Frees it; NULL is fine.
void wz_inbox_free(struct wz_inbox *inbox);
