// SPDX-License-Identifier: Apache-2.0
// The writer: the thread that writes batches to segments and makes them durable. The only commit
// point of a stream.
#pragma once

#include "base/list.h"
#include "loop/mailbox.h"
#include "stream/log/meta.h"
#include "stream/log/shelf.h"

// A finished batch on its way to the disk. It is the writer's from wz_writer_post until
// wz_writer_take gives it back.
struct wz_pending {
    struct wz_list link;
    struct wz_batch_builder batch;
    bool sealed; // the writer has set the checksum
    bool wanted; // somebody waits for it, or for one before it, to be durable
    uint8_t bytes[];
};

struct wz_writer;

struct wz_writer_options {
    const char *dir; // borrowed, as is the shelf
    struct wz_shelf *shelf;
    struct wz_segment *seg; // the shelf's last one, to go on with; NULL: make one
    int meta_fd;            // taken over
    struct wz_meta meta;    // as it stands in the file
    enum wz_durability durability;
    int64_t segment_bytes;
    int64_t ahead_bytes;
    int64_t durable_end;
    int64_t last_ms;
    struct wz_mailbox *mailbox; // where LETTER goes when there is news
    struct wz_mail *letter;     // borrowed; its run must call wz_writer_take
};

// What has happened since the last time.
struct wz_news {
    int64_t durable_end;  // all offsets below are durable
    int64_t reserved_end; // offsets below may be handed out
    int state_err;        // why nothing is being made durable, or WZ_OK
    uint64_t retained;    // so many calls of wz_writer_retain are dealt with
    struct wz_list done;  // wz_pending that are durable; the taker's
};

// Starts the thread. The caller owns the writer and gives it to wz_writer_stop.
WZ_MUST int wz_writer_start(const struct wz_writer_options *options, struct wz_writer **ret_writer);

// Hands a finished batch over. Loop thread.
void wz_writer_post(struct wz_writer *writer, struct wz_pending *pending);

// Says that somebody waits: what was handed over is made durable without waiting for more. Loop
// thread.
void wz_writer_hurry(struct wz_writer *writer);

// Asks for offsets below END to be reserved. Loop thread.
void wz_writer_reserve(struct wz_writer *writer, int64_t end);

// Asks for segments whose records all have offsets below OFFSET to be removed. Loop thread.
void wz_writer_trim(struct wz_writer *writer, int64_t offset);

// Asks for segments to be removed as LIMITS say; what was asked for before and is not begun is put
// together with it. Returns the number of the call, from 1 on. Loop thread.
uint64_t wz_writer_retain(struct wz_writer *writer, const struct wz_log_limits *limits);

// What was removed for REASON. Any thread.
void wz_writer_removed(const struct wz_writer *writer, enum wz_log_reason reason,
                       struct wz_log_removed *ret_removed);

// Says that the wall clock was set by JUMP_MS when the next offset was END. Loop thread.
void wz_writer_clock_set(struct wz_writer *writer, int64_t jump_ms, int64_t end);

// Takes the news; RET_NEWS's list is made here. Loop thread.
void wz_writer_take(struct wz_writer *writer, struct wz_news *ret_news);

// Why nothing is being made durable, or WZ_OK. Any thread.
int wz_writer_state(const struct wz_writer *writer);

// Makes durable what was posted, marks the stop as orderly with NEXT_OFFSET, ends the thread, and
// puts the last news into RET_NEWS. RET_LETTER_OUT says whether the letter is still in the mailbox.
// Returns the error that kept something from becoming durable; frees the writer in any case.
int wz_writer_stop(struct wz_writer *writer, int64_t next_offset, struct wz_news *ret_news,
                   bool *ret_letter_out);
