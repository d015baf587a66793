// SPDX-License-Identifier: Apache-2.0
// Reads commands back from processed-stream, on libuv's pool, some at a time.
#pragma once

#include <uv.h>

#include "router/command_queue.h"
#include "stream/log.h"

struct wz_command_reader;

// What a reading brings: all commands from where it began to below NEXT that were asked for. They
// may be taken out, and stay until the next reading. ERR is why it ended early, or WZ_OK; what was
// read until then is there.
struct wz_command_reading {
    struct wz_command_queue found;
    int64_t next;
    int err;
};

// Called on the loop thread with a reading that has ended.
typedef void (*wz_command_reading_fn)(void *arg, struct wz_command_reading *reading);

// Makes a reader of LOG, which must outlive it. The caller gives it to wz_command_reader_free.
struct wz_command_reader *wz_command_reader_new(uv_loop_t *uv, struct wz_log *log,
                                                wz_command_reading_fn done, void *arg);

// Frees it, or, while a reading is under way, when that has come back; DONE is not called any more.
// The loop must run until then. NULL is fine.
void wz_command_reader_free(struct wz_command_reader *reader);

// Reads commands from FROM on and below UNTIL, which must be durable: of TOPIC, or, when it is
// empty, of all topics. None may be under way.
void wz_command_reader_start(struct wz_command_reader *reader, int64_t from, int64_t until,
                             struct wz_slice topic);

// Whether a reading is under way.
bool wz_command_reader_busy(const struct wz_command_reader *reader);

// Whether a topic is that of commands: it ends in the word `output` and has others before it.
bool wz_command_topic_is(struct wz_slice topic);
