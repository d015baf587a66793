// SPDX-License-Identifier: Apache-2.0
// For the worker's tests: speaks the protocol with the real program.
#pragma once

#include <sys/types.h>

#include "wire/frames.h"

// A worker process and our end of its pipe.
struct peer {
    pid_t pid;
    int fd;
    struct wz_buf in;
    size_t in_done;
};

// Starts a worker for a test; and ends it.
int peer_setup(void **state);
int peer_teardown(void **state);

// The same, with a word for its sandbox.
int peer_setup_word(void **state, const char *word);

// Sends a LOAD frame of CODE and CONFIG (a JSON text).
void peer_send_load(struct peer *peer, const char *code, const char *config);

// Sends a frame without a payload.
void peer_send_empty(struct peer *peer, enum wz_frame_type type);

// Sends COUNT records of one body, from FIRST_OFFSET of stream 1 on, in one BATCH; the first opens
// their lane.
void peer_send_batch(struct peer *peer, int64_t first_offset, uint32_t count, const char *body);

// Sends COUNT records in one BATCH.
void peer_send_records(struct peer *peer, const struct wz_frame_record *records, uint32_t count);

// Sends a STATE frame of one entry.
void peer_send_entry(struct peer *peer, uint8_t lane, const char *key, const char *value);

// Answers a QUERY with COUNT records; with an error.
void peer_send_found(struct peer *peer, const struct wz_frame_record *records, uint32_t count);
void peer_send_not_found(struct peer *peer, const char *error);

// The next frame, which must be of TYPE; its payload is valid until the next call.
struct wz_frame peer_expect(struct peer *peer, enum wz_frame_type type);

// Loads and starts CODE with the config {"room": "kitchen"}, both of which must work.
void peer_start_script(struct peer *peer, const char *code);

// The same, for a script with several workers.
void peer_start_laned_script(struct peer *peer, const char *code);

// The next frame must be INVALID, its reason hold REASON, its line be LINE.
struct wz_frame_invalid peer_expect_invalid(struct peer *peer, const char *reason, uint32_t line);

// The next frame must be RESULT; its first result, of the record at OFFSET.
struct wz_frame_result peer_expect_result(struct peer *peer, int64_t offset);

// The next frame must be RESULT and hold one result, that of the record at OFFSET, with STATUS. Its
// first item is returned, all zero if it has none.
struct wz_frame_item peer_expect_status(struct peer *peer, int64_t offset,
                                        enum wz_frame_status status);

// The items of a result, each as a line: an output "topic body", a traceback's last line, a remark
// "! remark", what was seen "? key json"; and behind them the changes of FRAME, each as "lane key
// json", or "lane key -". They must be LINES, but for the line end.
void peer_assert_result(struct wz_frame frame, const char *lines);

// S must hold TEXT somewhere; be TEXT.
void peer_assert_contains(struct wz_slice s, const char *text);
void peer_assert_text(struct wz_slice s, const char *text);

// Waits until the process has ended; its status as of waitpid.
int peer_wait_exit(struct peer *peer);
