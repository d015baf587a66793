// SPDX-License-Identifier: Apache-2.0
// The one place where bounds are checked: reading from and writing to a fixed run of bytes. A
// cursor that once ran over its end stays failed, so a decoder reads on and asks once.
#pragma once

#include "base/err.h"
#include "base/slice.h"

// Reads from borrowed bytes. All integers are big-endian, as in MQTT, AMQP and Kafka.
struct wz_cursor {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

// Writes into bytes of the caller's.
struct wz_pen {
    uint8_t *pos;
    uint8_t *end;
    bool failed;
};

// The most bytes that a varint of 32 or 64 bits takes.
#define WZ_VARINT32_MAX 5
#define WZ_VARINT64_MAX 10

// A cursor over the bytes of S.
static inline struct wz_cursor wz_cursor(struct wz_slice s)
{
    if (s.ptr == NULL)
        s.ptr = (const uint8_t *)""; // nothing may be added to NULL, not even 0
    return (struct wz_cursor){.pos = s.ptr, .end = s.ptr + s.len};
}

// How many bytes are left to read.
static inline size_t wz_cursor_left(const struct wz_cursor *cur)
{
    return (size_t)(cur->end - cur->pos);
}

// The next LEN bytes as a borrowed slice; an empty one, and failed, when there are fewer.
static inline struct wz_slice wz_cursor_get_bytes(struct wz_cursor *cur, size_t len)
{
    struct wz_slice s = {0};

    if (wz_cursor_left(cur) < len) {
        cur->failed = true;
        cur->pos = cur->end;
        return s;
    }
    s = wz_slice(cur->pos, len);
    cur->pos += len;
    return s;
}

// The next unsigned integer of LEN bytes (1 to 8), big-endian; 0, and failed, past the end.
static inline uint64_t wz_cursor_get_uint(struct wz_cursor *cur, size_t len)
{
    struct wz_slice s = wz_cursor_get_bytes(cur, len);
    uint64_t value = 0;

    for (size_t i = 0; i < s.len; i++)
        value = value << 8 | s.ptr[i];
    return value;
}

// The next integer of one, two, four or eight bytes.
static inline uint8_t wz_cursor_get_u8(struct wz_cursor *cur)
{
    return (uint8_t)wz_cursor_get_uint(cur, 1);
}
static inline uint16_t wz_cursor_get_u16(struct wz_cursor *cur)
{
    return (uint16_t)wz_cursor_get_uint(cur, 2);
}
static inline uint32_t wz_cursor_get_u32(struct wz_cursor *cur)
{
    return (uint32_t)wz_cursor_get_uint(cur, 4);
}
static inline uint64_t wz_cursor_get_u64(struct wz_cursor *cur)
{
    return wz_cursor_get_uint(cur, 8);
}

// The next zigzag varint of at most 64 bits, as in Kafka's records; 0, and failed, when it does not
// end in ten bytes or carries more than 64 bits.
int64_t wz_cursor_get_varint(struct wz_cursor *cur);

// A pen over LEN bytes at PTR.
static inline struct wz_pen wz_pen(void *ptr, size_t len)
{
    return (struct wz_pen){.pos = ptr, .end = (uint8_t *)ptr + len};
}

// Writes LEN bytes; nothing, and failed, when they do not fit.
static inline void wz_pen_put_bytes(struct wz_pen *pen, const void *bytes, size_t len)
{
    if ((size_t)(pen->end - pen->pos) < len) {
        pen->failed = true;
        return;
    }
    if (len > 0)
        memcpy(pen->pos, bytes, len);
    pen->pos += len;
}

// Writes the bytes of a slice.
static inline void wz_pen_put_slice(struct wz_pen *pen, struct wz_slice s)
{
    wz_pen_put_bytes(pen, s.ptr, s.len);
}

// Writes the low LEN bytes (1 to 8) of VALUE, big-endian.
static inline void wz_pen_put_uint(struct wz_pen *pen, uint64_t value, size_t len)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    wz_pen_put_bytes(pen, bytes, len);
}

// Writes an integer of one, two, four or eight bytes.
static inline void wz_pen_put_u8(struct wz_pen *pen, uint8_t value)
{
    wz_pen_put_uint(pen, value, 1);
}
static inline void wz_pen_put_u16(struct wz_pen *pen, uint16_t value)
{
    wz_pen_put_uint(pen, value, 2);
}
static inline void wz_pen_put_u32(struct wz_pen *pen, uint32_t value)
{
    wz_pen_put_uint(pen, value, 4);
}
static inline void wz_pen_put_u64(struct wz_pen *pen, uint64_t value)
{
    wz_pen_put_uint(pen, value, 8);
}

// Writes a zigzag varint.
void wz_pen_put_varint(struct wz_pen *pen, int64_t value);

// How many bytes the zigzag varint of VALUE takes, 1 to 10.
static inline size_t wz_varint_len(int64_t value)
{
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);

    return (size_t)(70 - __builtin_clzll(zigzag | 1)) / 7;
}
