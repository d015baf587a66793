// SPDX-License-Identifier: Apache-2.0
// Owns the form of the piece: count 2 bytes, length of the headers 4 bytes, headers, value.
#include "engine/headed.h"

#define PREFIX_LEN 6

void wz_headed_put(struct wz_buf *buf, const struct wz_slice *pieces, int piece_count,
                   int header_count, struct wz_slice value)
{
    size_t len = 0;
    struct wz_pen pen;

    for (int i = 0; i < piece_count; i++)
        len += pieces[i].len;
    WZ_ASSERT(header_count <= UINT16_MAX && len <= UINT32_MAX);
    wz_buf_reserve(buf, PREFIX_LEN + len + value.len);
    pen = wz_pen(buf->ptr + buf->len, PREFIX_LEN);
    wz_pen_put_u16(&pen, (uint16_t)header_count);
    wz_pen_put_u32(&pen, (uint32_t)len);
    buf->len += PREFIX_LEN;
    for (int i = 0; i < piece_count; i++)
        wz_buf_add_slice(buf, pieces[i]);
    wz_buf_add_slice(buf, value);
}

bool wz_headed_get(struct wz_slice piece, struct wz_headed *ret_headed)
{
    struct wz_cursor cur = wz_cursor(piece);

    ret_headed->header_count = wz_cursor_get_u16(&cur);
    ret_headed->headers = wz_cursor_get_bytes(&cur, wz_cursor_get_u32(&cur));
    ret_headed->value = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    return !cur.failed;
}
