// SPDX-License-Identifier: Apache-2.0
// For the tests of retained messages: a set of them over a real journal in a folder of its own, on
// a real loop.
#pragma once

#include "broker/retained.h"

#define TESTRETAINED_NOW_MS 0x0102030405060708

// A set under test.
struct testretained {
    char dir[64];
    struct wz_loop loop;
    uv_timer_t tick; // the loop turns even when nothing happens
    struct wz_journal_options options;
    struct wz_retained_limits limits;
    struct wz_journal *journal;
    struct wz_retained *retained;
    int64_t last_offset; // of the last group that was written
};

// For cmocka: makes an empty set, and takes all away.
int testretained_set_up(void **state);
int testretained_tear_down(void **state);

// Waits for the loop's next turn.
void testretained_turn(struct testretained *t);

// Opens the journal alone; the test fails if that fails.
void testretained_open_journal(struct testretained *t);

// Opens journal and set; returns what replaying returned.
int testretained_open(struct testretained *t);

// Closes both.
void testretained_close(struct testretained *t);

// Closes both and opens them, which does not fail.
void testretained_reopen(struct testretained *t);

// Puts a message, in a group of its own; returns what wz_retained_put returned.
int testretained_put_message(struct testretained *t, struct wz_slice topic, struct wz_slice body,
                             unsigned qos);
int testretained_put(struct testretained *t, const char *topic, const char *body);

// The bytes of what is retained, as the metric tells them.
size_t testretained_bytes(void);
