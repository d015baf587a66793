// SPDX-License-Identifier: Apache-2.0
// The worker's end of the pipe: frames come in one at a time, results go out gathered.
#pragma once

#include "wire/frames.h"

// The descriptor on which the engine hands the worker its end of the socket pair.
#define WZ_CHANNEL_FD 3

// How the process ends when the engine has closed the pipe, and when it breaks the protocol.
#define WZ_CHANNEL_EXIT_OK 0
#define WZ_CHANNEL_EXIT_PROTOCOL 76

// Results leave when this many bytes are gathered, or this long after the last ones left.
#define WZ_CHANNEL_FLUSH_BYTES (64 * 1024)
#define WZ_CHANNEL_FLUSH_US 1000

struct wz_state;

// The pipe's end. All zero but FD and STATE is a new one. Use, for each input:
//   1. wz_channel_next gives a BATCH
//   2. wz_channel_result_open; items go straight into RESULTS
//   3. wz_channel_result_close, which may send what is gathered
// and wz_channel_next sends the rest before it waits.
struct wz_channel {
    int fd;
    struct wz_state *state; // borrowed: its changes go behind the results
    struct wz_buf in;
    size_t in_done;               // bytes of IN that were given out
    struct wz_buf ahead;          // came while a call waited for an answer; its turn is after IN
    struct wz_buf results;        // a list frame that is being gathered
    enum wz_frame_type list_type; // its type
    size_t result_start;          // of the open result, in RESULTS
    uint8_t stream;               // its record
    int64_t offset;
    uint32_t result_count; // that are closed
    uint32_t run;          // results behind them that are ok and have no items, not in RESULTS yet
    uint8_t run_stream;    // the last of them
    int64_t run_offset;
    int64_t flushed_us;
};

// The next frame, whose payload is valid until the next call; sends gathered results before it
// waits. WZ_END when the engine has closed the pipe, WZ_ERR_PROTOCOL when it breaks the protocol.
WZ_MUST int wz_channel_next(struct wz_channel *ch, struct wz_frame *ret_frame);

// Sends the frames REQUEST while a result is open, gathered results in front of them, and waits for
// the next frame of TYPE, whose payload is added to RET_PAYLOAD. Frames that come in front of it
// are given out by wz_channel_next later. Errors as there.
WZ_MUST int wz_channel_ask(struct wz_channel *ch, struct wz_slice request, enum wz_frame_type type,
                           struct wz_buf *ret_payload);

// Opens the result of the input at OFFSET of STREAM, to go into a frame of TYPE (RESULT, STARTED or
// DRAINED); sends what is gathered for another type first.
void wz_channel_result_open(struct wz_channel *ch, enum wz_frame_type type, uint8_t stream,
                            int64_t offset);

// Completes it with the ITEM_COUNT items put into RESULTS since.
void wz_channel_result_close(struct wz_channel *ch, enum wz_frame_status status,
                             uint32_t item_count);

// Drops the items of the open result.
void wz_channel_result_reset(struct wz_channel *ch);

// How many bytes the items of the open result take.
size_t wz_channel_result_len(const struct wz_channel *ch);

// Sends the gathered results, if there are any, and the changes of state behind them.
void wz_channel_flush(struct wz_channel *ch);

// Sends whole frames at once, in front of the gathered results. Ends the process when the engine is
// gone.
void wz_channel_send(struct wz_channel *ch, struct wz_slice frames);
