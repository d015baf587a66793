// SPDX-License-Identifier: Apache-2.0
// For the journal's tests: a journal in a folder of its own, on a real loop; keys that are numbers;
// and all that was ever put, so that a state can be held against any moment.
#pragma once

#include <stdatomic.h>

#include "stream/journal.h"

#define TESTJOURNAL_KEYS 4096

// What a key holds.
struct testjournal_value {
    uint32_t stamp; // no two puts have the same; 0: the key is not there
    uint32_t len;   // of the bytes behind the stamp
};

// A put, or with no stamp a remove.
struct testjournal_op {
    int64_t group_offset; // of the last record of its group
    uint32_t key;
    struct testjournal_value value;
};

// A journal under test, and the owner of its keys. The even ones are of kind R, the others of E.
struct testjournal {
    char dir[96];
    struct wz_loop loop;
    uv_timer_t tick;
    struct wz_journal_options opt;
    struct wz_journal *journal;
    struct wz_log_recovery recovery;
    struct wz_problem problem;
    struct wz_journal_kind kinds[2];

    struct wz_journal_place places[TESTJOURNAL_KEYS];
    struct testjournal_value values[TESTJOURNAL_KEYS];
    int64_t replayed_offset; // of the last record that was read at opening; -1: none

    struct testjournal_op *ops; // all there were
    size_t op_count;
    size_t op_cap;
    size_t grouped_count; // of those, in groups that have ended
    uint32_t last_stamp;
    int depth;            // of groups
    int64_t group_offset; // of the first record of the group at hand

    _Atomic int64_t durable_end; // as told
    int told_count;
};

// Makes an empty folder; the journal is not open yet. Options may be changed before
// testjournal_open.
void testjournal_init(struct testjournal *t);

// Removes the folder; the journal must be closed.
void testjournal_release(struct testjournal *t);

// Opens the journal and reads it; the test fails if that fails.
void testjournal_open(struct testjournal *t);

// The same, but returns what wz_journal_replay returned; the problem is in T.
WZ_MUST int testjournal_try_open(struct testjournal *t);

// Stops and closes it, whatever it is doing; the test fails if that fails.
void testjournal_close(struct testjournal *t);

// Groups, and what is in them: a new value of LEN bytes and the stamp's, or none.
void testjournal_begin(struct testjournal *t);
void testjournal_put(struct testjournal *t, uint32_t key, uint32_t len);
void testjournal_remove(struct testjournal *t, uint32_t key);
void testjournal_end(struct testjournal *t);

// A group of one put.
void testjournal_put_one(struct testjournal *t, uint32_t key, uint32_t len);

// A turn of the loop, of a millisecond at the most.
void testjournal_turn(struct testjournal *t);

// Turns until DONE says so; the test fails when that takes too long.
void testjournal_run_until(struct testjournal *t, bool (*done)(struct testjournal *t));

// For testjournal_run_until: everything is durable; a group may begin; it is not being looked at
// whether to compact; a compaction runs; none does.
bool testjournal_is_durable(struct testjournal *t);
bool testjournal_is_ready(struct testjournal *t);
bool testjournal_has_looked(struct testjournal *t);
bool testjournal_is_compacting(struct testjournal *t);
bool testjournal_is_idle(struct testjournal *t);

// The bytes of the records that are the newest of their key, counted one by one.
int64_t testjournal_live_bytes(const struct testjournal *t);

// Copies the folder as it is to another journal that is not open, with the same options.
void testjournal_copy(const struct testjournal *t, struct testjournal *ret_copy);

// Copies the files of the folder FROM into the folder TO, all but the lock. Those that go meanwhile
// are left out.
WZ_MUST int testjournal_copy_files(const char *from, const char *to);

// Whether AGAIN, which was opened from what the disk held once, has exactly what T's journal held
// after the last group that AGAIN has read.
bool testjournal_is_as_then(const struct testjournal *t, const struct testjournal *again);
