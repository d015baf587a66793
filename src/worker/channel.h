// SPDX-License-Identifier: Apache-2.0
// The worker's end of the pipe: frames come in one at a time, results go out gathered.
#pragma once

#include "wire/frames.h"

// The descriptor on which the engine hands the worker its end of the socket pair.
#define WZ_CHANNEL_FD 3

// Results leave when this many bytes are gathered, or this long after the last ones left.
#define WZ_CHANNEL_FLUSH_BYTES (64 * 1024)
#define WZ_CHANNEL_FLUSH_US 1000

// The pipe's end. All zero but FD is a new one. Use, for each input:
//   1. wz_channel_next gives a BATCH
//   2. wz_channel_result_open; items go straight into RESULTS
//   3. wz_channel_result_close, which may send what is gathered
// and wz_channel_next sends the rest before it waits.
struct wz_channel {
    int fd;
    struct wz_buf in;
    size_t in_done;               // bytes of IN that were given out
    struct wz_buf results;        // a list frame that is being gathered
    enum wz_frame_type list_type; // its type
    size_t result_start;          // of the open result, in RESULTS
    uint32_t result_count;
    int64_t flushed_us;
};

// The next frame, whose payload is valid until the next call; sends gathered results before it
// waits. WZ_END when the engine has closed the pipe, WZ_ERR_PROTOCOL when it breaks the protocol.
WZ_MUST int wz_channel_next(struct wz_channel *ch, struct wz_frame *ret_frame);

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

// Sends the gathered results, if there are any.
void wz_channel_flush(struct wz_channel *ch);

// Sends whole frames at once, in front of the gathered results. Ends the process when the engine is
// gone.
void wz_channel_send(struct wz_channel *ch, struct wz_slice frames);
