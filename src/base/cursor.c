// SPDX-License-Identifier: Apache-2.0
// Owns the varints; the rest of the cursor is inline in its header.
#include "base/cursor.h"

int64_t wz_cursor_get_varint(struct wz_cursor *cur)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;

        if (cur->pos == cur->end)
            break;
        byte = *cur->pos++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return (int64_t)(value >> 1 ^ (0 - (value & 1)));
    }
    cur->failed = true;
    cur->pos = cur->end;
    return 0;
}

void wz_pen_put_varint(struct wz_pen *pen, int64_t value)
{
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);

    while (zigzag >= 0x80) {
        wz_pen_put_u8(pen, (uint8_t)(zigzag | 0x80));
        zigzag >>= 7;
    }
    wz_pen_put_u8(pen, (uint8_t)zigzag);
}
