// SPDX-License-Identifier: Apache-2.0
// What the passthrough has in the journal: how far it is, which rules are in force, and what they
// remember. Loop thread only.
//
// Every record that passes has the header `passed`: the rule's number, its offset on raw-stream and
// its append time there. At a start, processed-stream is read from where the position was kept
// last: the highest of these offsets says up to where raw-stream has been dealt with, and what
// passed is what the rules remember. So nothing passes twice and nothing is left out, however old
// the position is, as long as records pass in the order of raw-stream.
//
// Use:
//   1. wz_pass_ledger_init, wz_journal_replay, wz_pass_ledger_recover;
//   2. when the rules have changed: wz_pass_ledger_begin_rules, wz_pass_ledger_number for each,
//      wz_pass_ledger_end_rules; nothing may pass until wz_pass_ledger_settled;
//   3. now and then wz_pass_ledger_keep, and whenever something has become durable
//      wz_pass_ledger_advance.
#pragma once

#include "engine/pass_rule.h"
#include "engine/pass_states.h"

// The longest value of the header: three decimal numbers joined by '.'.
#define WZ_PASSED_TEXT_MAX 64

struct wz_pass_ledger {
    struct wz_journal *journal;
    struct wz_log *processed;
    struct wz_journal_kind kinds[3];
    struct wz_pass_states states;
    struct wz_list rules; // of struct known
    uint64_t next_number;
    struct wz_journal_place place; // of the position,
    int64_t raw;                   // and the position: all of raw-stream below it is dealt with, by
    int64_t processed_at;          // records of processed-stream below this one; -1: none is kept
    int64_t resume;                // where to go on after a start
    int64_t rules_offset;          // in the journal, of what has to be durable; -1: nothing
    bool rules_stale;              // they are not put yet
    bool keeping;                  // a position is on its way to the journal:
    int64_t keep_raw;
    int64_t keep_processed;
};

// Makes it and joins its kinds to the journal, which is replayed after this. MAX_STATES 0:
// WZ_PASS_STATES_MAX.
void wz_pass_ledger_init(struct wz_pass_ledger *ledger, struct wz_journal *journal,
                         struct wz_log *processed, size_t max_states);

// Frees what it holds.
void wz_pass_ledger_release(struct wz_pass_ledger *ledger);

// After the journal was replayed: reads processed-stream, and finds RESUME on RAW.
WZ_MUST int wz_pass_ledger_recover(struct wz_pass_ledger *ledger, const struct wz_log *raw,
                                   struct wz_problem *ret_problem);

// The rules that are in force from now on. The number of a rule stays as long as what it does and
// its name stay; a rule that is not there any more is forgotten with all it remembers.
void wz_pass_ledger_begin_rules(struct wz_pass_ledger *ledger);
uint64_t wz_pass_ledger_number(struct wz_pass_ledger *ledger, const struct wz_pass_rule *rule);
void wz_pass_ledger_end_rules(struct wz_pass_ledger *ledger);

// Whether the journal has the rules for good; puts them as far as that is possible now.
WZ_MUST bool wz_pass_ledger_settled(struct wz_pass_ledger *ledger);

// Begins to keep a position: all of raw-stream below RAW is dealt with. Fine while one is on its
// way: then nothing is done.
void wz_pass_ledger_keep(struct wz_pass_ledger *ledger, int64_t raw);

// Goes on with it. Whether there is more to do at once, in the next turn.
bool wz_pass_ledger_advance(struct wz_pass_ledger *ledger);

// Goes on with it to its end without the loop. Whether none is on its way any more.
WZ_MUST bool wz_pass_ledger_finish(struct wz_pass_ledger *ledger);

// Writes the value of the header `passed`; returns its length.
size_t wz_passed_text(uint64_t rule, int64_t offset, int64_t append_ms,
                      char ret_text[WZ_PASSED_TEXT_MAX]);
