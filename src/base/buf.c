// SPDX-License-Identifier: Apache-2.0
// Owns the growth of buffers: by doubling, from 64 bytes.
#include "base/buf.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

void wz_buf_release(struct wz_buf *buf)
{
    wz_free(buf->ptr);
    *buf = (struct wz_buf){0};
}

void wz_buf_reserve(struct wz_buf *buf, size_t len)
{
    size_t cap = buf->cap > 0 ? buf->cap : 64;

    WZ_ASSERT(len <= SIZE_MAX / 4 && buf->len <= SIZE_MAX / 4);
    if (buf->len + len <= buf->cap)
        return;
    while (cap < buf->len + len)
        cap *= 2;
    buf->ptr = wz_realloc(buf->ptr, cap);
    buf->cap = cap;
}

void wz_buf_add(struct wz_buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    wz_buf_reserve(buf, len);
    memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
}

void wz_buf_add_slice(struct wz_buf *buf, struct wz_slice s) { wz_buf_add(buf, s.ptr, s.len); }

void wz_buf_add_str(struct wz_buf *buf, const char *text) { wz_buf_add(buf, text, strlen(text)); }

void wz_buf_add_byte(struct wz_buf *buf, uint8_t byte) { wz_buf_add(buf, &byte, 1); }

void wz_buf_addf(struct wz_buf *buf, const char *format, ...)
{
    va_list args;
    int need;

    va_start(args, format);
    need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    WZ_ASSERT(need >= 0);
    wz_buf_reserve(buf, (size_t)need + 1);
    va_start(args, format);
    (void)vsnprintf((char *)buf->ptr + buf->len, (size_t)need + 1, format, args);
    va_end(args);
    buf->len += (size_t)need;
}

void wz_buf_consume(struct wz_buf *buf, size_t len)
{
    WZ_ASSERT(len <= buf->len);
    buf->len -= len;
    if (buf->len > 0 && len > 0)
        memmove(buf->ptr, buf->ptr + len, buf->len);
}

const char *wz_buf_str(struct wz_buf *buf)
{
    wz_buf_reserve(buf, 1);
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}
