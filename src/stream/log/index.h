// SPDX-License-Identifier: Apache-2.0
// The offset and time index of one segment: .index and .timeindex in memory. Plain data, guarded by
// whoever holds it. Blocks and layout: docs/formats/log.md.
#pragma once

#include "base/buf.h"
#include "base/err.h"

// A batch begins a new block when it starts this far behind the start of the present one.
#define WZ_INDEX_BLOCK_BYTES 4096

#define WZ_INDEX_ENTRY_LEN 8
#define WZ_INDEX_TIME_LEN 12

// The batch that begins a block; offsets are relative to the segment's base.
struct wz_index_entry {
    uint32_t last_rel;
    uint32_t pos;
};

// The first batch of a block whose append time is later than that of the entry before.
struct wz_index_time {
    int64_t ms;
    uint32_t last_rel;
};

// All zero is an empty index that owns nothing.
struct wz_index {
    struct wz_index_entry *entries;
    struct wz_index_time *times;
    uint32_t count;     // of blocks
    uint32_t block_len; // what was added to the last one, without compression; 0: not known
    uint32_t cap;
    uint32_t time_count;
    uint32_t time_cap;
};

// Frees what it holds and leaves an empty index.
void wz_index_release(struct wz_index *index);

// Takes in the batch at byte POS, behind all before it; without compression it has LEN bytes.
// Returns the number of its block.
uint32_t wz_index_add(struct wz_index *index, uint32_t pos, uint32_t len, uint32_t last_rel,
                      int64_t ms);

// Forgets the blocks that begin at or behind byte POS.
void wz_index_cut(struct wz_index *index, int64_t pos);

// The block from which on to look for the first record at or above the relative offset REL.
uint32_t wz_index_find_offset(const struct wz_index *index, int64_t rel);

// The block from which on to look for the first record of time MS or later.
uint32_t wz_index_find_time(const struct wz_index *index, int64_t ms);

// The byte at which BLOCK begins; END_POS for the block behind the last.
int64_t wz_index_pos(const struct wz_index *index, uint32_t block, int64_t end_pos);

// Makes RET_INDEX, which the caller releases, a copy of INDEX.
void wz_index_copy(const struct wz_index *index, struct wz_index *ret_index);

// Adds the bytes of .index and .timeindex to the two buffers.
void wz_index_encode(const struct wz_index *index, struct wz_buf *ret_index,
                     struct wz_buf *ret_times);

// Reads the bytes of the two files into RET_INDEX, which the caller releases. WZ_ERR_CORRUPT when
// entries do not ascend.
WZ_MUST int wz_index_decode(struct wz_slice index_bytes, struct wz_slice time_bytes,
                            struct wz_index *ret_index);
