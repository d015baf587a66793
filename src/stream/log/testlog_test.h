// SPDX-License-Identifier: Apache-2.0
// For the log's tests: a log in a folder of its own, and records that tell from their offset what
// they must hold.
#pragma once

#include <stdint.h>

#include "loop/mailbox.h"
#include "stream/reader.h"

// A log under test. The thread that appends waits for the writer in the mailbox.
struct testlog {
    char dir[64];
    struct wz_mailbox mailbox;
    struct wz_log *log;
    struct wz_log_options opt;
    struct wz_log_recovery recovery;
    int64_t durable_end; // as told
    int state_err;       // as told
    int state_changes;   // how often it was told that the state is another one
    uint32_t topics;     // how many topics the records have in turn
};

// Makes an empty folder; the log is not open yet. Options may be changed before testlog_open.
void testlog_init(struct testlog *t);

// Removes the folder; the log must be closed.
void testlog_release(struct testlog *t);

// Opens the log; the test fails if that fails.
void testlog_open(struct testlog *t);

// Closes it; returns what wz_log_close returned.
int testlog_close(struct testlog *t);

// Appends the record that belongs at the next offset, with about LEN bytes of value.
int testlog_append(struct testlog *t, size_t len);

// Appends the COUNT records that belong at the next offsets, as one group.
int testlog_append_group(struct testlog *t, size_t count, size_t len);

// Appends COUNT records and hands them over.
void testlog_append_many(struct testlog *t, int count, size_t len);

// Flushes and waits until all is durable.
void testlog_settle(struct testlog *t);

// Waits for one letter of the writer and runs it.
void testlog_wait(struct testlog *t);

// Whether RECORD is what testlog_append has put at its offset.
bool testlog_is_right(const struct testlog *t, const struct wz_record *record);

// Reads all records forward, checks each, and returns how many there are. RET_LAST may be NULL.
int64_t testlog_count(struct testlog *t, int64_t *ret_last);

// Copies the folder as it is to another log that is not open, with the same options.
void testlog_copy(const struct testlog *t, struct testlog *ret_copy);

// The path of a file in the folder, in memory of the callee's.
const char *testlog_path(const struct testlog *t, const char *name);
