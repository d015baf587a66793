// SPDX-License-Identifier: Apache-2.0
// A set of blocks of one segment: those that a reader has to look into.
#pragma once

#include <stdint.h>

// All zero is the empty set of a segment without blocks.
struct wz_blocks {
    uint64_t *words;
    uint32_t count; // blocks are numbered below it
};

// Makes an empty set for blocks below COUNT.
void wz_blocks_init(struct wz_blocks *blocks, uint32_t count);

// Frees what it holds and leaves the empty set.
void wz_blocks_release(struct wz_blocks *blocks);

// Puts a block in; one that is not below count is left out.
static inline void wz_blocks_add(struct wz_blocks *blocks, uint32_t block)
{
    if (block < blocks->count)
        blocks->words[block / 64] |= 1ull << (block % 64);
}

// The first member at or above FROM; count when there is none.
uint32_t wz_blocks_next(const struct wz_blocks *blocks, uint32_t from);

// The last member below BEFORE; UINT32_MAX when there is none.
uint32_t wz_blocks_prev(const struct wz_blocks *blocks, uint32_t before);
