// SPDX-License-Identifier: Apache-2.0
// Owns the list of jumps and its file.
#include "stream/log/jumps.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/segment.h"

#define JUMPS_MAGIC 0x57595a454a554d50ull // "WYZEJUMP"
#define JUMPS_VERSION 1
#define JUMPS_HEAD_LEN 16
#define JUMPS_ITEM_LEN 16
#define JUMPS_CRC_LEN 4

void wz_jumps_release(struct wz_jumps *jumps)
{
    wz_free(jumps->items);
    *jumps = (struct wz_jumps){0};
}

// The sum, which never passes WZ_JUMPS_UNKNOWN_MS.
static int64_t sum_of(int64_t a, int64_t b)
{
    return a > WZ_JUMPS_UNKNOWN_MS - b ? WZ_JUMPS_UNKNOWN_MS : a + b;
}

static void take_back(struct wz_jumps *jumps, int64_t ms)
{
    while (ms > 0 && jumps->count > 0) {
        struct wz_jump *last = &jumps->items[jumps->count - 1];

        if (last->ms > ms) {
            last->ms -= ms;
            return;
        }
        ms -= last->ms;
        jumps->count--;
    }
}

// Puts one behind the others.
static void push(struct wz_jumps *jumps, int64_t end, int64_t ms)
{
    if (jumps->count == jumps->cap) {
        jumps->cap = jumps->cap == 0 ? 8 : jumps->cap * 2;
        jumps->items = wz_realloc(jumps->items, jumps->cap * sizeof(jumps->items[0]));
    }
    jumps->items[jumps->count++] = (struct wz_jump){.end = end, .ms = ms};
}

void wz_jumps_add(struct wz_jumps *jumps, int64_t end, int64_t ms)
{
    if (ms < 0) {
        take_back(jumps, -ms);
        return;
    }
    if (jumps->count == WZ_JUMPS_MAX) {
        jumps->items[1].ms = sum_of(jumps->items[1].ms, jumps->items[0].ms);
        jumps->count--;
        memmove(jumps->items, jumps->items + 1, jumps->count * sizeof(jumps->items[0]));
    }
    push(jumps, end, ms < WZ_JUMPS_UNKNOWN_MS ? ms : WZ_JUMPS_UNKNOWN_MS);
}

void wz_jumps_cut(struct wz_jumps *jumps, int64_t first_offset)
{
    size_t gone = 0;

    while (gone < jumps->count && jumps->items[gone].end <= first_offset)
        gone++;
    if (gone == 0)
        return;
    jumps->count -= gone;
    memmove(jumps->items, jumps->items + gone, jumps->count * sizeof(jumps->items[0]));
}

int64_t wz_jumps_ms(const struct wz_jumps *jumps, int64_t offset)
{
    int64_t ms = 0;

    for (size_t i = jumps->count; i-- > 0 && jumps->items[i].end > offset;)
        ms = sum_of(ms, jumps->items[i].ms);
    return ms;
}

void wz_jumps_encode(const struct wz_jumps *jumps, struct wz_buf *ret_buf)
{
    size_t len = JUMPS_HEAD_LEN + jumps->count * JUMPS_ITEM_LEN;
    struct wz_pen pen;

    wz_buf_reserve(ret_buf, len + JUMPS_CRC_LEN);
    pen = wz_pen(ret_buf->ptr + ret_buf->len, len + JUMPS_CRC_LEN);
    wz_pen_put_u64(&pen, JUMPS_MAGIC);
    wz_pen_put_u32(&pen, JUMPS_VERSION);
    wz_pen_put_u32(&pen, (uint32_t)jumps->count);
    for (size_t i = 0; i < jumps->count; i++) {
        wz_pen_put_u64(&pen, (uint64_t)jumps->items[i].end);
        wz_pen_put_u64(&pen, (uint64_t)jumps->items[i].ms);
    }
    wz_pen_put_u32(&pen, wz_crc32c(0, ret_buf->ptr + ret_buf->len, len));
    WZ_ASSERT(!pen.failed && pen.pos == pen.end);
    ret_buf->len += len + JUMPS_CRC_LEN;
}

int wz_jumps_decode(struct wz_slice s, struct wz_jumps *ret_jumps)
{
    struct wz_cursor cur = wz_cursor(s);
    uint64_t magic = wz_cursor_get_u64(&cur);
    uint32_t version = wz_cursor_get_u32(&cur);
    uint32_t count = wz_cursor_get_u32(&cur);
    struct wz_jumps jumps = {0};
    int64_t last = 0;

    if (cur.failed || magic != JUMPS_MAGIC || version != JUMPS_VERSION || count > WZ_JUMPS_MAX ||
        s.len != JUMPS_HEAD_LEN + count * (size_t)JUMPS_ITEM_LEN + JUMPS_CRC_LEN)
        return WZ_ERR_CORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        int64_t end = (int64_t)wz_cursor_get_u64(&cur);
        int64_t ms = (int64_t)wz_cursor_get_u64(&cur);

        cur.failed = cur.failed || end < last || ms < 0 || ms > WZ_JUMPS_UNKNOWN_MS;
        push(&jumps, end, ms);
        last = end;
    }
    if (wz_cursor_get_u32(&cur) != wz_crc32c(0, s.ptr, s.len - JUMPS_CRC_LEN) || cur.failed) {
        wz_jumps_release(&jumps);
        return WZ_ERR_CORRUPT;
    }
    *ret_jumps = jumps;
    return WZ_OK;
}

int wz_jumps_load(const char *dir, int64_t end, struct wz_jumps *ret_jumps)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    char path[WZ_SEGMENT_PATH_MAX];
    int r = WZ_ERR_TOO_LARGE;

    *ret_jumps = (struct wz_jumps){0};
    if (snprintf(path, sizeof(path), "%s/%s", dir, WZ_JUMPS_NAME) < (int)sizeof(path))
        r = wz_fs_load(path, JUMPS_HEAD_LEN + WZ_JUMPS_MAX * JUMPS_ITEM_LEN + JUMPS_CRC_LEN, &buf);
    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0 && r != WZ_ERR_TOO_LARGE)
        return r;
    if (r < 0 || wz_jumps_decode(wz_buf_slice(&buf), ret_jumps) < 0)
        push(ret_jumps, end, WZ_JUMPS_UNKNOWN_MS);
    return WZ_OK;
}
