// SPDX-License-Identifier: Apache-2.0
// For the tests of commands: a processed-stream and a journal in a folder of their own, a bus, and
// a device that takes all commands and remembers them in the journal, as a durable queue does.
// Topic number T is "dT.output", its device "dev/T", or "new/T" by the other mapping.
#pragma once

#include "base/buf.h"
#include "router/commands.h"

#define TESTCOMMANDS_MAX 4096

// A command that the device got.
struct testcommands_got {
    int topic;
    int number;
    bool renamed; // by the other mapping
    bool whole;   // more than its value
};

struct testcommands {
    char dir[64];
    struct wz_loop loop;
    struct wz_loop_part part;
    uv_timer_t tick;
    struct wz_bus *bus;
    struct wz_log *processed;
    struct wz_journal *journal;
    struct wz_journal_kind kind;
    struct wz_commands_options options; // EXPIRY_MS, RATE and bounds are the test's to set
    struct wz_commands *commands;
    struct wz_mapping *mapping;
    struct wz_binding *devices;
    struct wz_binding *subscriber;     // NULL: none
    int64_t offsets[TESTCOMMANDS_MAX]; // of the command of that number
    int topics[TESTCOMMANDS_MAX];
    bool journaled[TESTCOMMANDS_MAX]; // a script's: what a crash takes of these is appended again
    int count;                        // numbers that were given
    struct testcommands_got got[4 * TESTCOMMANDS_MAX];
    int got_count;
    bool busy;                       // the device refuses
    bool value_alone;                // devices of mappings from here on get the value alone
    bool held;                       // what is appended is not written
    bool replayed[TESTCOMMANDS_MAX]; // the journal had it at opening
    struct wz_journal_place place;
};

// Makes an empty folder.
void testcommands_init(struct testcommands *t);

// Removes the folder.
void testcommands_release(struct testcommands *t);

// Opens everything, with a mapping in force. Numbers and offsets of before are kept.
void testcommands_open(struct testcommands *t);

// An orderly stop.
void testcommands_close(struct testcommands *t);

// The disk as it is at this moment goes into a folder of its own, everything is closed, and opened
// from there. Then what a script has put out and the stream has lost is appended again.
void testcommands_crash(struct testcommands *t);

// Maps devices by their old or new names from here on.
void testcommands_map(struct testcommands *t, bool renamed);

// Appends the next command to a topic, which is AGE_MS old; returns its number.
int testcommands_add(struct testcommands *t, int topic, int64_t age_ms);

// The same of what is durable as a script's step in a journal.
int testcommands_add_journaled(struct testcommands *t, int topic);

// Appends a record that is none: of another exchange, or another topic.
void testcommands_add_other(struct testcommands *t, bool passed_through);

// One turn of the loop, without waiting.
void testcommands_turn(struct testcommands *t);

// Turns until the device has got COUNT commands in all; the test fails if it takes too long.
void testcommands_wait(struct testcommands *t, int count);

// Turns for so long.
void testcommands_run_ms(struct testcommands *t, int64_t ms);
