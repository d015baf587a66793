// SPDX-License-Identifier: Apache-2.0
// Growing bytes: doubled when full, so that building a ring of a million packets is linear.

#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#define INITIAL_CAP 4096u

static void make_room(struct wz_bytes *bytes, size_t more)
{
    size_t cap = bytes->cap != 0 ? bytes->cap : INITIAL_CAP;

    while (cap - bytes->len < more)
        cap *= 2;
    if (cap == bytes->cap)
        return;
    bytes->data = realloc(bytes->data, cap);
    if (bytes->data == NULL)
        wz_fail("out of memory at %zu bytes", cap);
    bytes->cap = cap;
}

void wz_bytes_put(struct wz_bytes *bytes, const void *data, size_t len)
{
    if (len == 0)
        return;
    make_room(bytes, len);
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

void wz_bytes_put_u8(struct wz_bytes *bytes, uint8_t value) { wz_bytes_put(bytes, &value, 1); }

void wz_bytes_put_u16(struct wz_bytes *bytes, uint16_t value)
{
    uint8_t pair[2] = {(uint8_t)(value >> 8), (uint8_t)(value & 0xff)};

    wz_bytes_put(bytes, pair, sizeof(pair));
}

void wz_bytes_print(struct wz_bytes *bytes, const char *format, ...)
{
    va_list args;
    size_t room;
    int need;

    make_room(bytes, 1); // there are some to add to
    for (;;) {
        room = bytes->cap - bytes->len;
        va_start(args, format);
        need = vsnprintf((char *)bytes->data + bytes->len, room, format, args);
        va_end(args);
        if (need < 0)
            wz_fail("cannot format \"%s\"", format);
        if ((size_t)need < room)
            break;
        make_room(bytes, (size_t)need + 1);
    }
    bytes->len += (size_t)need;
}

void wz_bytes_release(struct wz_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct wz_bytes){0};
}
