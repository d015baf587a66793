// SPDX-License-Identifier: Apache-2.0
// Records of one stream, encoded once in the form in which BATCH frames carry them, with an index.
// All who wait for them hold the same block: what is in it is not changed, only more may come
// behind it, and bytes never move.
#pragma once

#include "wire/frames.h"

// The largest block; a record that is longer has one of its own.
#define WZ_BLOCK_BYTES (64 * 1024)
#define WZ_BLOCK_RECORDS 512

// One record: END is where its bytes end in the block.
struct wz_block_entry {
    int64_t offset;
    uint32_t end;
    uint8_t lane;
};

// References are counted without a lock: a block belongs to one thread at a time.
struct wz_block {
    uint32_t refs;
    uint32_t count;
    uint32_t max_count;
    uint32_t max_bytes;
    uint8_t stream;
    uint8_t *bytes;
    struct wz_block_entry entries[];
};

// The records of a block from FROM up to, not including, TO.
struct wz_block_run {
    struct wz_block *block;
    uint32_t from;
    uint32_t to;
};

// Makes an empty block for BYTES of records of STREAM. The caller owns the one reference.
struct wz_block *wz_block_new(uint8_t stream, size_t bytes);

// Takes a reference, and gives one back: the last one frees the block.
struct wz_block *wz_block_ref(struct wz_block *block);
void wz_block_unref(struct wz_block *block);

// Adds a copy of a record, of the block's stream. False when there is no room for it.
WZ_MUST bool wz_block_add(struct wz_block *block, const struct wz_frame_record *record);

// The record I, borrowed as long as the block lives.
void wz_block_get(const struct wz_block *block, uint32_t i, struct wz_frame_record *ret_record);

// Where the bytes of record I begin; for the count of records, where those of the last one end.
static inline uint32_t wz_block_start(const struct wz_block *block, uint32_t i)
{
    return i > 0 ? block->entries[i - 1].end : 0;
}

// How many records a run is of.
static inline uint32_t wz_block_run_count(const struct wz_block_run *run)
{
    return run->to - run->from;
}

// The bytes of a run, borrowed as long as the block lives.
static inline struct wz_slice wz_block_run_bytes(const struct wz_block_run *run)
{
    uint32_t start = wz_block_start(run->block, run->from);

    return wz_slice(run->block->bytes + start, wz_block_start(run->block, run->to) - start);
}

// How many of the run's first records are of at most BYTES together.
uint32_t wz_block_run_fit(const struct wz_block_run *run, size_t bytes);

// How many of the run's first records are below OFFSET; offsets rise in it.
uint32_t wz_block_run_below(const struct wz_block_run *run, int64_t offset);
