// SPDX-License-Identifier: Apache-2.0
// Owns the ring of offsets that are not answered. Records of one lane are answered in their order,
// so one end a lane says which they are.
#include "engine/progress.h"

#include "base/mem.h"

#define RING_MIN 64

void wz_progress_release(struct wz_progress *progress)
{
    wz_free(progress->ring);
    *progress = (struct wz_progress){0};
}

void wz_progress_start(struct wz_progress *progress, const struct wz_position *position)
{
    progress->head = 0;
    progress->count = 0;
    progress->base = position->base;
    progress->ahead_end = position->base;
    for (int i = 0; i < WZ_LANE_COUNT; i++) {
        progress->lane_end[i] = position->lane_end[i];
        if (progress->ahead_end < position->lane_end[i])
            progress->ahead_end = position->lane_end[i];
    }
}

bool wz_progress_answered_before(const struct wz_progress *progress, int64_t offset, uint8_t lane)
{
    return offset < progress->base ||
           (offset < progress->ahead_end && offset < progress->lane_end[lane]);
}

static int64_t *slot(const struct wz_progress *progress, size_t i)
{
    return &progress->ring[(progress->head + i) & (progress->cap - 1)];
}

static void grow(struct wz_progress *progress)
{
    size_t cap = progress->cap > 0 ? progress->cap * 2 : RING_MIN;
    int64_t *ring = wz_alloc(cap * sizeof(*ring));

    for (size_t i = 0; i < progress->count; i++)
        ring[i] = *slot(progress, i);
    wz_free(progress->ring);
    progress->ring = ring;
    progress->cap = cap;
    progress->head = 0;
}

void wz_progress_give(struct wz_progress *progress, int64_t offset)
{
    if (progress->count == progress->cap)
        grow(progress);
    *slot(progress, progress->count++) = offset * 2;
}

void wz_progress_give_run(struct wz_progress *progress, const struct wz_block_run *run)
{
    size_t at = progress->head + progress->count - run->from;

    while (progress->count + wz_block_run_count(run) > progress->cap) {
        grow(progress);
        at = progress->count - run->from;
    }
    for (uint32_t i = run->from; i < run->to; i++)
        progress->ring[(at + i) & (progress->cap - 1)] = run->block->entries[i].offset * 2;
    progress->count += wz_block_run_count(run);
}

// The place of OFFSET among those given.
static int64_t *find(const struct wz_progress *progress, int64_t offset)
{
    size_t low = 0;
    size_t high = progress->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (*slot(progress, middle) / 2 < offset)
            low = middle + 1;
        else
            high = middle;
    }
    WZ_ASSERT(low < progress->count && *slot(progress, low) / 2 == offset);
    return slot(progress, low);
}

// The first COUNT are answered, and with them those behind that are already.
static void drop_first(struct wz_progress *progress, size_t count)
{
    do {
        progress->head = (progress->head + count) & (progress->cap - 1);
        progress->count -= count;
        count = 1;
    } while (progress->count > 0 && (*slot(progress, 0) & 1) != 0);
}

void wz_progress_answer(struct wz_progress *progress, int64_t offset, uint8_t lane)
{
    if (progress->lane_end[lane] <= offset)
        progress->lane_end[lane] = offset + 1;
    if (*slot(progress, 0) / 2 != offset)
        *find(progress, offset) |= 1;
    else
        drop_first(progress, 1);
}

// Whether the records of the run are the first that are not answered, and no other is in between:
// both are in order, and each of the run is among those given.
static bool is_first(const struct wz_progress *progress, const struct wz_block_run *run)
{
    const struct wz_block_entry *entries = run->block->entries;

    return wz_block_run_count(run) <= progress->count &&
           *slot(progress, 0) == entries[run->from].offset * 2 &&
           *slot(progress, wz_block_run_count(run) - 1) == entries[run->to - 1].offset * 2;
}

void wz_progress_answer_run(struct wz_progress *progress, const struct wz_block_run *run)
{
    if (is_first(progress, run)) { // then the base is behind them, and their lanes' ends are below
        drop_first(progress, wz_block_run_count(run));
        return;
    }
    for (uint32_t i = run->from; i < run->to; i++)
        wz_progress_answer(progress, run->block->entries[i].offset, run->block->entries[i].lane);
}

int64_t wz_progress_base(const struct wz_progress *progress, int64_t end)
{
    return progress->count > 0 ? *slot(progress, 0) / 2 : end;
}

void wz_progress_put(const struct wz_progress *progress, int64_t end, struct wz_buf *buf)
{
    int64_t base = wz_progress_base(progress, end);
    uint8_t count = 0;
    uint8_t bytes[8 + 1 + WZ_LANE_COUNT * 9];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    size_t len;

    wz_pen_put_u64(&pen, (uint64_t)base);
    wz_pen_put_u8(&pen, 0);
    for (int i = 0; i < WZ_LANE_COUNT; i++) {
        if (progress->lane_end[i] <= base)
            continue;
        wz_pen_put_u8(&pen, (uint8_t)i);
        wz_pen_put_u64(&pen, (uint64_t)progress->lane_end[i]);
        count++;
    }
    bytes[8] = count;
    len = 8 + 1 + (size_t)count * 9;
    wz_buf_add(buf, bytes, len);
}

void wz_position_get(struct wz_cursor *cur, struct wz_position *ret_position)
{
    struct wz_position position = {0};
    uint8_t count;

    position.base = (int64_t)wz_cursor_get_u64(cur);
    count = wz_cursor_get_u8(cur);
    for (int i = 0; i < count; i++) {
        uint8_t lane = wz_cursor_get_u8(cur);
        int64_t end = (int64_t)wz_cursor_get_u64(cur);

        if (lane < WZ_LANE_COUNT)
            position.lane_end[lane] = end;
        else
            cur->failed = true;
    }
    *ret_position = position;
}
