// SPDX-License-Identifier: Apache-2.0
// The facts of a segment, as they stand in memory and, with their checksum, in its .seal file.
#pragma once

#include "base/err.h"
#include "base/slice.h"

#define WZ_SEAL_LEN 128

enum wz_seal_state {
    WZ_SEAL_SEALED = 1,     // the segment is whole and will not grow
    WZ_SEAL_CHECKPOINT = 2, // the segment was in order up to here
};

// Whether the segment's batches are compressed.
enum wz_packing {
    WZ_PACKING_NONE, // it was not tried
    WZ_PACKING_ZSTD, // those that get shorter are
    WZ_PACKING_VAIN, // it would not be worth it
};

// What is known of the first LOG_LEN bytes of a segment. With no batch in them, BATCH_COUNT is 0
// and the offsets and times mean nothing.
struct wz_seal {
    enum wz_seal_state state;
    uint32_t damaged; // batches that are there and not served
    int64_t base_offset;
    int64_t log_len;
    int64_t first_offset;
    int64_t last_offset;
    int64_t first_ms;
    int64_t last_ms;
    int64_t record_count;
    int64_t batch_count;
    int64_t file_len[3]; // of .index, .timeindex, .topics
    uint32_t file_crc[3];
    enum wz_packing packing;
};

// Writes the WZ_SEAL_LEN bytes of a .seal file.
void wz_seal_encode(const struct wz_seal *seal, uint8_t *ret_bytes);

// Reads them; WZ_ERR_CORRUPT for anything that wz_seal_encode has not written.
WZ_MUST int wz_seal_decode(struct wz_slice s, struct wz_seal *ret_seal);
