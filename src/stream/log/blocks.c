// SPDX-License-Identifier: Apache-2.0
// Owns sets of blocks, as one bit a block.
#include "stream/log/blocks.h"

#include "base/mem.h"

void wz_blocks_init(struct wz_blocks *blocks, uint32_t count)
{
    *blocks = (struct wz_blocks){.count = count};
    blocks->words = wz_zalloc(count / 64 + 1, sizeof(blocks->words[0]));
}

void wz_blocks_release(struct wz_blocks *blocks)
{
    wz_free(blocks->words);
    *blocks = (struct wz_blocks){0};
}

uint32_t wz_blocks_next(const struct wz_blocks *blocks, uint32_t from)
{
    uint64_t mask = UINT64_MAX << (from % 64);

    for (uint32_t i = from / 64; i <= blocks->count / 64 && from < blocks->count; i++) {
        uint64_t word = blocks->words[i] & mask;

        if (word != 0)
            return i * 64 + (uint32_t)__builtin_ctzll(word);
        mask = UINT64_MAX;
    }
    return blocks->count;
}

uint32_t wz_blocks_prev(const struct wz_blocks *blocks, uint32_t before)
{
    uint64_t mask;

    if (before > blocks->count)
        before = blocks->count;
    mask = before % 64 == 0 ? 0 : UINT64_MAX >> (64 - before % 64);
    for (int64_t i = before / 64; i >= 0 && blocks->words != NULL; i--) {
        uint64_t word = blocks->words[i] & mask;

        if (word != 0)
            return (uint32_t)i * 64 + 63 - (uint32_t)__builtin_clzll(word);
        mask = UINT64_MAX;
    }
    return UINT32_MAX;
}
