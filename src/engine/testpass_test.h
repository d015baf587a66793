// SPDX-License-Identifier: Apache-2.0
// For the passthrough's tests: a bus, streams and a journal on disk, crashes, and what has passed.
#pragma once

#include "bus/embedded.h"
#include "engine/passthrough.h"

// A record on a stream.
struct testpass_record {
    int64_t offset;
    int64_t append_ms;
    char topic[64];
    char *body;
    char *headers;  // "name=value;" each
    int64_t passed; // the offset on raw-stream that the header says; -1: none
};

struct testpass_records {
    struct testpass_record *items;
    size_t count;
};

// Everything a test needs. All but the dirs, the clock and the rules is new after a crash.
struct testpass {
    char dirs[3][64]; // journal, raw, processed
    struct wz_loop loop;
    struct wz_loop_part part;
    uv_timer_t tick;
    struct wz_bus *bus;
    struct wz_board *board;
    struct wz_log *logs[2];
    struct wz_journal *journal;
    struct wz_passthrough *pass;
    struct wz_binding *live; // all of exchange processed
    int64_t live_count;      // what came there in this life
    int64_t live_end;        // one past the last of their offsets
    json_t *rules;           // name -> document; what wz_passthrough_apply was given last
    bool hold[2];            // what is appended is not given to the writer
    bool hold_journal;
    int64_t now_ms;
    int64_t fed; // records
    size_t window_bytes;
    size_t max_states;
    int64_t keep_ms;
    size_t backlog_bytes; // of processed-stream
};

// Makes it, without rules; and takes it away.
int testpass_setup(void **state);
int testpass_teardown(void **state);

// Closes all in order and opens it again; or as after a crash at this moment. The rules are applied
// again, if there were any.
void testpass_reopen(struct testpass *t);
void testpass_crash(struct testpass *t);

// Makes what the JSON text says, name -> document, all the rules there are.
void testpass_apply(struct testpass *t, const char *rules);

// Appends a record with the header "form" and a body with "_topic", "n" and MEMBERS (",\"v\":1", or
// "") to raw-stream, and shows it on the exchange. Its offset.
int64_t testpass_feed(struct testpass *t, const char *topic, const char *members);

// A turn of the loop; or turns until raw-stream is dealt with and all is durable.
void testpass_turn(struct testpass *t);
void testpass_settle(struct testpass *t);

// Reads a stream: 0 raw, 1 processed. Give it to testpass_free_records.
struct testpass_records testpass_read(struct testpass *t, int stream);
void testpass_free_records(struct testpass_records *records);

// The topics on processed-stream, each with a space behind it, must become these; or there must
// become COUNT records.
void testpass_assert_topics(struct testpass *t, const char *topics);
void testpass_wait_passed(struct testpass *t, size_t count);

// A number on the board: of the rule NAME, and there of what was dropped for REASON unless that is
// NULL.
int64_t testpass_count(struct testpass *t, const char *name, const char *member,
                       const char *reason);
