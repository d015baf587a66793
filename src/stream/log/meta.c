// SPDX-License-Identifier: Apache-2.0
// Owns stream.meta: two slots that are written in turn, each in a page of its own, so that a torn
// write leaves the other one whole.
#include "stream/log/meta.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/fs.h"
#include "base/mem.h"

#define META_MAGIC 0x57595a454d455441ull // "WYZEMETA"
#define META_VERSION 1
#define META_SLOT_LEN 64
#define META_CRC_POS (META_SLOT_LEN - 4)
#define META_CLEAN 1

static const int64_t slot_pos[2] = {0, 4096};

static void encode(const struct wz_meta *meta, uint8_t *ret_bytes)
{
    struct wz_pen pen = wz_pen(ret_bytes, META_SLOT_LEN);

    wz_pen_put_u64(&pen, META_MAGIC);
    wz_pen_put_u16(&pen, META_VERSION);
    wz_pen_put_u16(&pen, meta->clean ? META_CLEAN : 0);
    wz_pen_put_u32(&pen, meta->block);
    wz_pen_put_u64(&pen, meta->sequence);
    wz_pen_put_u64(&pen, (uint64_t)meta->reserved_end);
    wz_pen_put_u64(&pen, (uint64_t)meta->next_offset);
    wz_pen_put_u64(&pen, (uint64_t)meta->last_ms);
    wz_pen_put_u64(&pen, 0);
    wz_pen_put_u32(&pen, 0);
    wz_pen_put_u32(&pen, wz_crc32c(0, ret_bytes, META_CRC_POS));
    WZ_ASSERT(!pen.failed && pen.pos == pen.end);
}

static int decode(struct wz_slice s, struct wz_meta *ret_meta)
{
    struct wz_cursor cur = wz_cursor(s);
    struct wz_meta meta = {0};
    uint64_t magic = wz_cursor_get_u64(&cur);
    uint16_t version = wz_cursor_get_u16(&cur);

    meta.clean = wz_cursor_get_u16(&cur) & META_CLEAN;
    meta.block = wz_cursor_get_u32(&cur);
    meta.sequence = wz_cursor_get_u64(&cur);
    meta.reserved_end = (int64_t)wz_cursor_get_u64(&cur);
    meta.next_offset = (int64_t)wz_cursor_get_u64(&cur);
    meta.last_ms = (int64_t)wz_cursor_get_u64(&cur);
    (void)wz_cursor_get_bytes(&cur, 12); // zero
    if (wz_cursor_get_u32(&cur) != wz_crc32c(0, s.ptr, META_CRC_POS) || magic != META_MAGIC ||
        version != META_VERSION || meta.reserved_end < 0 || meta.next_offset < 0)
        return WZ_ERR_CORRUPT;
    *ret_meta = meta;
    return WZ_OK;
}

static bool blank(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void choose(uint8_t bytes[2][META_SLOT_LEN], struct wz_meta *ret_meta,
                   enum wz_meta_state *ret_state)
{
    int valid = 0;
    int blanks = 0;

    for (int i = 0; i < 2; i++) {
        struct wz_meta meta;

        if (decode(wz_slice(bytes[i], META_SLOT_LEN), &meta) == WZ_OK) {
            if (valid++ == 0 || meta.sequence > ret_meta->sequence)
                *ret_meta = meta;
        } else if (blank(bytes[i], META_SLOT_LEN)) {
            blanks++;
        }
    }
    if (valid == 2 || (valid == 1 && blanks == 1 && ret_meta->sequence == 1))
        *ret_state = WZ_META_WHOLE;
    else if (valid == 1)
        *ret_state = WZ_META_DAMAGED;
    else if (blanks == 2)
        *ret_state = WZ_META_NONE;
    else
        *ret_state = WZ_META_LOST;
}

int wz_meta_load(const char *path, struct wz_meta *ret_meta, enum wz_meta_state *ret_state)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    uint8_t bytes[2][META_SLOT_LEN] = {0};
    int r = wz_fs_open(path, WZ_FS_READ, &fd);

    *ret_meta = (struct wz_meta){0};
    *ret_state = WZ_META_NONE;
    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0)
        return r;
    for (int i = 0; i < 2; i++) {
        size_t len;

        r = wz_fs_read(fd, bytes[i], META_SLOT_LEN, slot_pos[i], &len);
        if (r < 0)
            return r;
    }
    choose(bytes, ret_meta, ret_state);
    return WZ_OK;
}

int wz_meta_save(int fd, struct wz_meta *meta)
{
    uint8_t bytes[META_SLOT_LEN];
    struct iovec piece = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct wz_meta next = *meta;
    int r;

    next.sequence++;
    encode(&next, bytes);
    r = wz_fs_write(fd, &piece, 1, slot_pos[next.sequence % 2]);
    if (r < 0)
        return r;
    r = wz_fs_sync(fd);
    if (r < 0)
        return r;
    *meta = next;
    return WZ_OK;
}
