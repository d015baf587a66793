// SPDX-License-Identifier: Apache-2.0
// What the passthrough remembers of each rule and topic: the record that passed last. A bounded
// set, kept in the journal. Loop thread only.
//
// Of too many the one that passed longest ago is forgotten, so which are there follows from the
// records that passed, and is the same after a crash.
//
// Use, to keep it in the journal:
//   1. wz_pass_states_freeze, at a moment at which nothing else is being saved;
//   2. inside groups of the journal, wz_pass_states_save until it has put all: what was there at
//      that moment, whatever has changed since.
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "engine/pass_value.h"
#include "stream/journal.h"

// The most.
#define WZ_PASS_STATES_MAX 65536

// The record of a topic that a rule has let pass last.
struct wz_pass_last {
    int64_t offset; // on raw-stream,
    int64_t append_ms;
    struct wz_pass_value value; // of the member whose change counts
};

struct wz_pass_states {
    struct wz_journal *journal;
    struct wz_map by_key; // the rule's number, 8 bytes, and the topic
    struct wz_list order; // those that are there, what passed longest ago first
    struct wz_list dirty; // those that the journal does not know as they are
    struct wz_list saving;
    size_t count; // of those that are there
    size_t max;
};

// Makes an empty set of at most MAX (0: WZ_PASS_STATES_MAX).
void wz_pass_states_init(struct wz_pass_states *states, struct wz_journal *journal, size_t max);

// Frees what it holds.
void wz_pass_states_release(struct wz_pass_states *states);

// For the journal's kind: takes a record over, and finds the place of a key.
int wz_pass_states_replay(struct wz_pass_states *states, const struct wz_journal_record *record);
struct wz_journal_place *wz_pass_states_find(struct wz_pass_states *states, struct wz_slice key);

// While it is read back: LAST has passed, unless a later one is known.
void wz_pass_states_restore(struct wz_pass_states *states, uint64_t rule, struct wz_slice topic,
                            const struct wz_pass_last *last);

// Ends reading back: puts all in order; KNOWN says which rules there are.
typedef bool (*wz_pass_states_known_fn)(void *arg, uint64_t rule);
void wz_pass_states_settle(struct wz_pass_states *states, wz_pass_states_known_fn known, void *arg);

// What is remembered, borrowed until the next change; NULL: nothing.
const struct wz_pass_last *wz_pass_states_get(const struct wz_pass_states *states, uint64_t rule,
                                              struct wz_slice topic);

// LAST has passed, behind all others.
void wz_pass_states_set(struct wz_pass_states *states, uint64_t rule, struct wz_slice topic,
                        const struct wz_pass_last *last);

// Forgets all of a rule.
void wz_pass_states_forget(struct wz_pass_states *states, uint64_t rule);

// See above. Save puts or removes at most MAX keys; whether none is left.
void wz_pass_states_freeze(struct wz_pass_states *states);
WZ_MUST bool wz_pass_states_save(struct wz_pass_states *states, size_t max);
