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

// Sends a LOAD frame of CODE and CONFIG (a JSON text).
void peer_send_load(struct peer *peer, const char *code, const char *config);

// Sends a frame without a payload.
void peer_send_empty(struct peer *peer, enum wz_frame_type type);

// Sends COUNT records of one body, from FIRST_OFFSET of stream 1 on, in one BATCH.
void peer_send_batch(struct peer *peer, int64_t first_offset, uint32_t count, const char *body);

// The next frame, which must be of TYPE; its payload is valid until the next call.
struct wz_frame peer_expect(struct peer *peer, enum wz_frame_type type);

// Loads and starts CODE with the config {"room": "kitchen"}, both of which must work.
void peer_start_script(struct peer *peer, const char *code);

// The next frame must be INVALID, its reason hold REASON, its line be LINE.
struct wz_frame_invalid peer_expect_invalid(struct peer *peer, const char *reason, uint32_t line);

// The next frame must be RESULT; its first result, of the record at OFFSET.
struct wz_frame_result peer_expect_result(struct peer *peer, int64_t offset);

// S must hold TEXT somewhere; be TEXT.
void peer_assert_contains(struct wz_slice s, const char *text);
void peer_assert_text(struct wz_slice s, const char *text);

// Waits until the process has ended; its status as of waitpid.
int peer_wait_exit(struct peer *peer);
