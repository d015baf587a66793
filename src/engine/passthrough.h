// SPDX-License-Identifier: Apache-2.0
// The passthrough: copies records from raw-stream to processed-stream, without a script, by rules
// (engine/pass_rule.h). All of it belongs to the loop thread. For users: docs/passthrough.md.
//
// What holds:
//   - a record passes when it is durable on raw-stream: no power cut takes it away again from under
//     what has passed;
//   - records pass in the order of raw-stream, each once, whatever crashes (pass_ledger.h);
//   - a record that passes keeps its body and its headers; it gets the header `passed`;
//   - when the rules change, each record is decided by the old ones or by the new ones.
//
// Use:
//   1. wz_passthrough_new, wz_journal_replay, wz_passthrough_recover;
//   2. wz_passthrough_apply: from the first one on records pass; wz_passthrough_durable;
//   3. wz_passthrough_stop, the loop runs until its handles are closed,
//   wz_passthrough_put_position,
//      wz_passthrough_free.
#pragma once

#include "bus/board.h"
#include "bus/bus.h"
#include "loop/loop.h"
#include "store/store.h"
#include "stream/journal.h"

struct wz_passthrough;

// The section of the board on which each rule stands with what it has done.
#define WZ_PASSTHROUGH_BOARD "passthrough"

// What it works between; all that is pointed to is needed and outlives it.
struct wz_passthrough_options {
    struct wz_loop *loop;
    struct wz_bus *bus;
    struct wz_board *board;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_journal *journal;
    size_t window_bytes; // of records in memory; 0: 8 MiB
    size_t max_states;   // topics of which a rule remembers what passed last; 0: 65,536
    int64_t keep_ms;     // a position is kept at most so often; 0: 1 s
};

// Makes it and joins its kinds to the journal, which is replayed after this. The caller frees it.
struct wz_passthrough *wz_passthrough_new(const struct wz_passthrough_options *options);

// After the journal was replayed: finds out where to go on. WZ_ERR_IO and the like when
// processed-stream cannot be read.
WZ_MUST int wz_passthrough_recover(struct wz_passthrough *passthrough,
                                   struct wz_problem *ret_problem);

// Makes DOCUMENTS (borrowed during the call, of the collection passthrough) all the rules there
// are. A document that cannot be a rule is logged, put on the board as invalid, and does nothing.
void wz_passthrough_apply(struct wz_passthrough *passthrough, const struct wz_document *documents,
                          size_t count);

// Something has become durable on a stream or in the journal.
void wz_passthrough_durable(struct wz_passthrough *passthrough);

// Lets nothing pass any more and closes what it has on the loop.
void wz_passthrough_stop(struct wz_passthrough *passthrough);

// Puts the position, for an orderly stop.
void wz_passthrough_put_position(struct wz_passthrough *passthrough);

// Frees it, after the loop has returned; NULL is fine.
void wz_passthrough_free(struct wz_passthrough *passthrough);
