// SPDX-License-Identifier: Apache-2.0
// Owns the offset and time index of a segment.
#include "stream/log/index.h"

#include "base/cursor.h"
#include "base/mem.h"

void wz_index_release(struct wz_index *index)
{
    wz_free(index->entries);
    wz_free(index->times);
    *index = (struct wz_index){0};
}

static void push_entry(struct wz_index *index, uint32_t last_rel, uint32_t pos)
{
    if (index->count == index->cap) {
        index->cap = index->cap == 0 ? 64 : index->cap * 2;
        index->entries = wz_realloc(index->entries, index->cap * sizeof(index->entries[0]));
    }
    index->entries[index->count++] = (struct wz_index_entry){.last_rel = last_rel, .pos = pos};
}

static void push_time(struct wz_index *index, int64_t ms, uint32_t last_rel)
{
    if (index->time_count == index->time_cap) {
        index->time_cap = index->time_cap == 0 ? 64 : index->time_cap * 2;
        index->times = wz_realloc(index->times, index->time_cap * sizeof(index->times[0]));
    }
    index->times[index->time_count++] = (struct wz_index_time){.ms = ms, .last_rel = last_rel};
}

uint32_t wz_index_add(struct wz_index *index, uint32_t pos, uint32_t len, uint32_t last_rel,
                      int64_t ms)
{
    if (index->count > 0 && index->block_len < WZ_INDEX_BLOCK_BYTES &&
        pos - index->entries[index->count - 1].pos < WZ_INDEX_BLOCK_BYTES) {
        index->block_len += len;
        return index->count - 1;
    }
    index->block_len = len;
    push_entry(index, last_rel, pos);
    if (index->time_count == 0 || ms > index->times[index->time_count - 1].ms)
        push_time(index, ms, last_rel);
    return index->count - 1;
}

void wz_index_cut(struct wz_index *index, int64_t pos)
{
    index->block_len = 0;
    while (index->count > 0 && index->entries[index->count - 1].pos >= pos) {
        uint32_t last_rel = index->entries[--index->count].last_rel;

        if (index->time_count > 0 && index->times[index->time_count - 1].last_rel >= last_rel)
            index->time_count--;
    }
}

uint32_t wz_index_find_offset(const struct wz_index *index, int64_t rel)
{
    uint32_t low = 0; // entries below have last_rel < rel
    uint32_t high = index->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (index->entries[mid].last_rel < rel)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 ? low - 1 : 0;
}

uint32_t wz_index_find_time(const struct wz_index *index, int64_t ms)
{
    uint32_t low = 0; // entries below are earlier than ms
    uint32_t high = index->time_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (index->times[mid].ms < ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 ? wz_index_find_offset(index, (int64_t)index->times[low - 1].last_rel + 1) : 0;
}

int64_t wz_index_pos(const struct wz_index *index, uint32_t block, int64_t end_pos)
{
    return block < index->count ? index->entries[block].pos : end_pos;
}

void wz_index_encode(const struct wz_index *index, struct wz_buf *ret_index,
                     struct wz_buf *ret_times)
{
    struct wz_pen pen;

    // One byte more, so that there is a place to point at even for no entries.
    wz_buf_reserve(ret_index, (size_t)index->count * WZ_INDEX_ENTRY_LEN + 1);
    pen = wz_pen(ret_index->ptr + ret_index->len, ret_index->cap - ret_index->len);
    for (uint32_t i = 0; i < index->count; i++) {
        wz_pen_put_u32(&pen, index->entries[i].last_rel);
        wz_pen_put_u32(&pen, index->entries[i].pos);
    }
    ret_index->len += (size_t)index->count * WZ_INDEX_ENTRY_LEN;
    wz_buf_reserve(ret_times, (size_t)index->time_count * WZ_INDEX_TIME_LEN + 1);
    pen = wz_pen(ret_times->ptr + ret_times->len, ret_times->cap - ret_times->len);
    for (uint32_t i = 0; i < index->time_count; i++) {
        wz_pen_put_u64(&pen, (uint64_t)index->times[i].ms);
        wz_pen_put_u32(&pen, index->times[i].last_rel);
    }
    ret_times->len += (size_t)index->time_count * WZ_INDEX_TIME_LEN;
}

void wz_index_copy(const struct wz_index *index, struct wz_index *ret_index)
{
    *ret_index = *index;
    ret_index->cap = index->count;
    ret_index->time_cap = index->time_count;
    ret_index->entries = wz_alloc(index->count * sizeof(index->entries[0]));
    ret_index->times = wz_alloc(index->time_count * sizeof(index->times[0]));
    if (index->count > 0)
        memcpy(ret_index->entries, index->entries, index->count * sizeof(index->entries[0]));
    if (index->time_count > 0)
        memcpy(ret_index->times, index->times, index->time_count * sizeof(index->times[0]));
}

static int decode_entries(struct wz_index *index, struct wz_slice bytes)
{
    struct wz_cursor cur = wz_cursor(bytes);

    while (wz_cursor_left(&cur) > 0) {
        uint32_t last_rel = wz_cursor_get_u32(&cur);
        uint32_t pos = wz_cursor_get_u32(&cur);
        const struct wz_index_entry *last;

        if (cur.failed || last_rel > INT32_MAX)
            return WZ_ERR_CORRUPT;
        last = index->count > 0 ? &index->entries[index->count - 1] : NULL;
        if (last != NULL && (last_rel <= last->last_rel || pos <= last->pos))
            return WZ_ERR_CORRUPT;
        push_entry(index, last_rel, pos);
    }
    return WZ_OK;
}

static int decode_times(struct wz_index *index, struct wz_slice bytes)
{
    struct wz_cursor cur = wz_cursor(bytes);

    while (wz_cursor_left(&cur) > 0) {
        int64_t ms = (int64_t)wz_cursor_get_u64(&cur);
        uint32_t last_rel = wz_cursor_get_u32(&cur);
        const struct wz_index_time *last;

        if (cur.failed)
            return WZ_ERR_CORRUPT;
        last = index->time_count > 0 ? &index->times[index->time_count - 1] : NULL;
        if (last != NULL && (ms <= last->ms || last_rel <= last->last_rel))
            return WZ_ERR_CORRUPT;
        push_time(index, ms, last_rel);
    }
    return WZ_OK;
}

int wz_index_decode(struct wz_slice index_bytes, struct wz_slice time_bytes,
                    struct wz_index *ret_index)
{
    struct wz_index index = {0};
    int r = decode_entries(&index, index_bytes);

    if (r == WZ_OK)
        r = decode_times(&index, time_bytes);
    if (r < 0) {
        wz_index_release(&index);
        return r;
    }
    *ret_index = index;
    return WZ_OK;
}
