// SPDX-License-Identifier: Apache-2.0
// Owns the memory of encoded records: head, index and bytes are one allocation.
#include "engine/block.h"

#include "base/mem.h"

// Room for so many bytes a record; a block whose records are shorter is full before its bytes are.
#define ENTRY_BYTES (WZ_BLOCK_BYTES / WZ_BLOCK_RECORDS)
#define ENTRIES_MIN 4

struct wz_block *wz_block_new(uint8_t stream, size_t bytes)
{
    size_t count = bytes / ENTRY_BYTES;
    struct wz_block *block;

    if (count < ENTRIES_MIN)
        count = ENTRIES_MIN;
    if (count > WZ_BLOCK_RECORDS)
        count = WZ_BLOCK_RECORDS;
    WZ_ASSERT(bytes <= UINT32_MAX / 2);
    block = wz_alloc(sizeof(*block) + count * sizeof(block->entries[0]) + bytes);
    *block = (struct wz_block){
        .refs = 1,
        .max_count = (uint32_t)count,
        .max_bytes = (uint32_t)bytes,
        .stream = stream,
        .bytes = (uint8_t *)&block->entries[count],
    };
    return block;
}

struct wz_block *wz_block_ref(struct wz_block *block)
{
    block->refs++;
    return block;
}

void wz_block_unref(struct wz_block *block)
{
    if (--block->refs == 0)
        wz_free(block);
}

bool wz_block_add(struct wz_block *block, const struct wz_frame_record *record)
{
    uint32_t start = wz_block_start(block, block->count);
    size_t len = wz_frame_record_len(record);
    struct wz_buf room = {.ptr = block->bytes + start, .cap = block->max_bytes - start};

    if (block->count == block->max_count || len > room.cap)
        return false;
    WZ_ASSERT(record->stream == block->stream);
    wz_frame_put_record(&room, record); // it has the room, so it does not move
    block->entries[block->count++] = (struct wz_block_entry){
        .offset = record->offset,
        .end = start + (uint32_t)len,
        .lane = record->lane,
    };
    return true;
}

void wz_block_get(const struct wz_block *block, uint32_t i, struct wz_frame_record *ret_record)
{
    uint32_t start = wz_block_start(block, i);
    struct wz_cursor cur = wz_cursor(wz_slice(block->bytes + start, block->entries[i].end - start));

    wz_frame_get_record(&cur, ret_record);
    WZ_ASSERT(!cur.failed); // what it holds is its own: it cannot be malformed
}

uint32_t wz_block_run_fit(const struct wz_block_run *run, size_t bytes)
{
    uint64_t end = (uint64_t)wz_block_start(run->block, run->from) + bytes;
    uint32_t low = run->from;
    uint32_t high = run->to;

    if (wz_block_start(run->block, high) <= end)
        return high - low; // most often: the index is not looked at
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (run->block->entries[middle].end <= end)
            low = middle + 1;
        else
            high = middle;
    }
    return low - run->from;
}

uint32_t wz_block_run_below(const struct wz_block_run *run, int64_t offset)
{
    uint32_t low = run->from;
    uint32_t high = run->to;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (run->block->entries[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low - run->from;
}
