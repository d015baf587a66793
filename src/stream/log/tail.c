// SPDX-License-Identifier: Apache-2.0
// Owns writing past the page cache. The last block of a file is mostly not full: it is kept here,
// and written again with what follows it. The bytes that were in it stay the same ones at the same
// place, so a write that is torn does not harm them.
#include "stream/log/tail.h"

#include <stdlib.h>

#include "base/mem.h"

static int64_t end_of(const struct wz_tail *tail) { return tail->pos + (int64_t)tail->len; }

int wz_tail_open(struct wz_tail *tail, int fd, int64_t end_pos)
{
    size_t got = 0;
    int r;

    *tail = (struct wz_tail){.fd = fd, .open = true, .pos = end_pos - end_pos % WZ_TAIL_BLOCK};
    tail->len = (size_t)(end_pos - tail->pos);
    tail->bytes = wz_alloc_aligned(WZ_TAIL_BLOCK, WZ_TAIL_BYTES);
    r = wz_fs_read(fd, tail->bytes, tail->len, tail->pos, &got);
    if (r == WZ_OK && got < tail->len)
        r = WZ_ERR_IO; // the file is shorter than it was
    if (r < 0) {
        wz_tail_release(tail);
        return r;
    }
    tail->direct = wz_fs_set_direct(fd, true) == WZ_OK;
    return WZ_OK;
}

void wz_tail_release(struct wz_tail *tail)
{
    free(tail->bytes); // wz_alloc_aligned's memory is the C library's
    *tail = (struct wz_tail){0};
}

// Writes the first LEN bytes, filled up with zeros to whole blocks.
static int write_blocks(struct wz_tail *tail, int64_t pos, size_t len)
{
    size_t whole = (len + WZ_TAIL_BLOCK - 1) / WZ_TAIL_BLOCK * WZ_TAIL_BLOCK;
    struct iovec piece = {.iov_base = tail->bytes, .iov_len = whole};

    memset(tail->bytes + len, 0, whole - len);
    return wz_fs_write(tail->fd, &piece, 1, pos);
}

static int write_direct(struct wz_tail *tail, const struct iovec *pieces, int count,
                        int64_t *ret_pos, size_t *ret_len)
{
    int64_t pos = tail->pos;
    size_t len = tail->len;

    for (int i = 0; i < count; i++) {
        const uint8_t *from = pieces[i].iov_base;
        size_t left = pieces[i].iov_len;

        while (left > 0) {
            size_t part = WZ_TAIL_BYTES - len < left ? WZ_TAIL_BYTES - len : left;
            int r;

            memcpy(tail->bytes + len, from, part);
            len += part;
            from += part;
            left -= part;
            if (len < WZ_TAIL_BYTES)
                continue;
            r = write_blocks(tail, pos, len);
            if (r < 0)
                return r;
            pos += WZ_TAIL_BYTES;
            len = 0;
        }
    }
    *ret_pos = pos;
    *ret_len = len;
    return len > 0 ? write_blocks(tail, pos, len) : WZ_OK;
}

static int write_buffered(struct wz_tail *tail, const struct iovec *pieces, int count)
{
    int64_t end = end_of(tail);

    for (int i = 0; i < count; i++) {
        struct iovec piece = pieces[i]; // writing changes it
        int r = wz_fs_write(tail->fd, &piece, 1, end);

        if (r < 0)
            return r;
        end += (int64_t)pieces[i].iov_len;
    }
    tail->pos = end;
    tail->len = 0;
    return WZ_OK;
}

int wz_tail_write(struct wz_tail *tail, const struct iovec *pieces, int count)
{
    uint8_t block[WZ_TAIL_BLOCK];
    int64_t pos;
    size_t len;
    int r;

    if (!tail->direct)
        return write_buffered(tail, pieces, count);
    memcpy(block, tail->bytes, tail->len);
    r = write_direct(tail, pieces, count, &pos, &len);
    if (r == WZ_OK) {
        size_t blocks = len - len % WZ_TAIL_BLOCK;

        tail->pos = pos + (int64_t)blocks;
        tail->len = len - blocks;
        memmove(tail->bytes, tail->bytes + blocks, tail->len);
        return WZ_OK;
    }
    memcpy(tail->bytes, block, tail->len);
    if (r == WZ_ERR_INVALID && wz_fs_set_direct(tail->fd, false) == WZ_OK) {
        tail->direct = false; // it took the flag, but not such blocks
        return write_buffered(tail, pieces, count);
    }
    return r;
}
