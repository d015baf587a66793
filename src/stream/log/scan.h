// SPDX-License-Identifier: Apache-2.0
// Reading the batches of a segment's file one after the other: the one place that knows which bytes
// are a valid batch (docs/formats/log.md) and how to go on behind those that are not.
#pragma once

#include "wire/batch.h"

// A walk through part of a file. Zero is a walk that owns nothing; wz_scan_init starts one.
struct wz_scan {
    int fd;               // borrowed
    int64_t base_offset;  // of the segment
    int64_t limit_offset; // batches at or above it are not part of the stream
    int64_t next_offset;  // nor are those below it
    int64_t pos;          // behind the batch returned last
    int64_t end_pos;      // bytes from here on do not count
    int64_t damaged;      // how often bytes had to be skipped
    size_t window;        // how many bytes are read at a time
    uint8_t *bytes;       // of the file from bytes_pos on
    size_t cap;
    size_t len;
    int64_t bytes_pos;
};

// Starts a walk over the bytes from POS to END_POS of the segment that is open at FD and begins at
// BASE_OFFSET. A walk that was started before keeps its memory.
void wz_scan_init(struct wz_scan *scan, int fd, int64_t base_offset, int64_t pos, int64_t end_pos);

// Frees its memory.
void wz_scan_release(struct wz_scan *scan);

// The next valid batch; RET_BATCH is valid until the next call. What is damaged is counted and
// skipped. WZ_END when no valid batch is left before end_pos: pos then stands where the last
// undamaged one ended, so pos < end_pos means bytes that are no batch. WZ_ERR_IO and the like.
WZ_MUST int wz_scan_next(struct wz_scan *scan, struct wz_slice *ret_batch,
                         struct wz_batch_info *ret_info);
