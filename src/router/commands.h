// SPDX-License-Identifier: Apache-2.0
// Commands to devices: what comes through egress on a topic that ends in `output` is sent to the
// device of that topic, from a durable position on processed-stream. Loop thread only.
//
// What holds: a command is sent when its record is durable, or sure to come again after a crash; at
// least once, none skipped, those of a topic in their order; one that is too old is not sent, and
// counted; a topic that has had its rate waits without holding up others.
//
// Use:
//   1. wz_commands_new, wz_journal_replay, wz_commands_recover;
//   2. wz_commands_set_mapping: from the first one on commands are sent; wz_commands_add for each
//      record;
//   3. wz_commands_stop, the loop runs until its handles are closed, wz_commands_put_position,
//      wz_commands_free.
#pragma once

#include "bus/bus.h"
#include "loop/loop.h"
#include "router/command_queue.h"
#include "router/mapping.h"
#include "stream/journal.h"

struct wz_commands;

// How commands are sent. What is pointed to is needed and must outlive it.
struct wz_commands_options {
    struct wz_loop *loop;
    struct wz_bus *bus;
    struct wz_log *processed;
    struct wz_journal *journal;
    int64_t expiry_ms;   // an older command is not sent; 0: none is too old
    int64_t rate;        // of a topic: commands a second, and at once; at least 1
    size_t memory_bytes; // of commands that wait for the disk, more are read back; 0: 4 MiB
    size_t max_topics;   // with commands that wait or were sent a moment ago; 0: 65,536
};

// Makes it and joins its kind to the journal, which is replayed after this. The caller frees it.
struct wz_commands *wz_commands_new(const struct wz_commands_options *options);

// After the journal was replayed: finds out where to go on. WZ_ERR_IO and the like when
// processed-stream cannot be read.
WZ_MUST int wz_commands_recover(struct wz_commands *commands, struct wz_problem *ret_problem);

// Sends by MAPPING, which is borrowed until the next one, from now on; NULL: sends nothing.
void wz_commands_set_mapping(struct wz_commands *commands, const struct wz_mapping *mapping);

// Takes a command whose record was appended to processed-stream just now; it is copied. Called for
// each of them in the order of their offsets.
void wz_commands_add(struct wz_commands *commands, const struct wz_command *command);

// The offset on processed-stream from which on there may be commands that have not been sent.
int64_t wz_commands_needed(const struct wz_commands *commands);

// Sends nothing any more and closes what it has on the loop.
void wz_commands_stop(struct wz_commands *commands);

// Puts the position, for an orderly stop.
void wz_commands_put_position(struct wz_commands *commands);

// Frees it, after the loop has returned; NULL is fine.
void wz_commands_free(struct wz_commands *commands);
