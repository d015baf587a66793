// SPDX-License-Identifier: Apache-2.0
// Re-entry: gives messages that were kept unmapped to raw-stream once a mapping maps them, each
// once, whatever crashes. One run at a time goes over the stream of unmapped messages, in order and
// in pieces:
//
//   begins   the run is in the journal; waits for it, and what it is to read, to be durable
//   reads    a piece is read on the pool; what nothing maps, or is not wished, is left out
//   appends  its records go to raw-stream, each with its offset as the header `unmapped`
//   syncs    waits for them to be durable there; then their marks, and how far the run is, go into
//            the journal
//
// After a crash the records of a run that have no mark are those behind where the journal says that
// raw-stream ended when it was written; raw-stream is read from there and they are marked. Loop
// thread.
#pragma once

#include <jansson.h>

#include "broker/message.h"
#include "loop/loop.h"
#include "router/mapping.h"
#include "stream/journal.h"

struct wz_reentry;

// The longest text of what is wished.
#define WZ_REENTRY_WISH_BYTES ((size_t)1024 * 1024)

// What was done with.
struct wz_reentry_counts {
    int64_t entered;
    int64_t forgotten;
    int64_t pieces; // that were looked through, whatever was in them
};

// Appends a message to raw-stream, if the mapping in force maps it: RET_OFFSET is the record's, or
// -1. WZ_ERR_BUSY: not now.
typedef int (*wz_reentry_append_fn)(void *arg, const struct wz_message *msg, int64_t *ret_offset);

struct wz_reentry_options {
    struct wz_loop *loop;
    struct wz_journal *journal;
    struct wz_log *raw;
    struct wz_log *unmapped;
};

// A wish for a run. WHAT is an object: {"devices": [ids]}, what is kept of these devices re-enters;
// {}, what is kept of all; {"forget": [topics]}, what is kept of these topics never will. The
// caller fills WHAT, BEGAN and ARG, and owns it until BEGAN is called: a crash then ends no run.
struct wz_reentry_wish {
    struct wz_list link;
    json_t *what; // borrowed
    void (*began)(struct wz_reentry_wish *wish, int result);
    void *arg;
};

// Makes one and joins the journal, which is replayed then.
struct wz_reentry *wz_reentry_new(const struct wz_reentry_options *options);

// Puts in order what a crash has left: raw-stream is read from where a run began that has not
// ended. Before the loop runs.
WZ_MUST int wz_reentry_recover(struct wz_reentry *reentry);

// Says who appends; NULL: nobody, then nothing is done.
void wz_reentry_set_append(struct wz_reentry *reentry, wz_reentry_append_fn append, void *arg);

// The mapping in force, of which it takes a reference.
void wz_reentry_set_mapping(struct wz_reentry *reentry, struct wz_mapping *mapping);

// Takes a wish; runs are done one after the other. WZ_ERR_BUSY when too many wait, or
// WZ_ERR_TOO_LARGE: then BEGAN is not called.
WZ_MUST int wz_reentry_run(struct wz_reentry *reentry, struct wz_reentry_wish *wish);

// Something has become durable, or a turn ends: goes on.
void wz_reentry_advance(struct wz_reentry *reentry);

// Whether the record at OFFSET was done with.
bool wz_reentry_done(const struct wz_reentry *reentry, int64_t offset);

// How it is: {"running", "position", "end", "waiting"}; the caller owns it.
json_t *wz_reentry_describe(const struct wz_reentry *reentry);

// Told when records were done with, in a turn.
struct wz_reentry_counts wz_reentry_take_counts(struct wz_reentry *reentry);

// No piece is begun any more; wishes that wait are answered with WZ_ERR_CLOSED. The loop runs until
// what is under way has come back.
void wz_reentry_stop(struct wz_reentry *reentry);

// Frees it; NULL is fine.
void wz_reentry_free(struct wz_reentry *reentry);
