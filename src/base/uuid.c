// SPDX-License-Identifier: Apache-2.0
// Owns the making of UUIDs. Layout of the text (RFC 9562 section 5.7), T time, R random:
//   TTTTTTTT-TTTT-7RRR-VRRR-RRRRRRRRRRRR
// The first 24 bytes change once a millisecond, or when the low 48 bits run over; only the last
// twelve digits are written for each UUID.
#include "base/uuid.h"

#include "base/rand.h"

// The counter starts somewhere in the lower half of its 48 bits, so it has room to grow.
#define WZ_UUID_COUNTER_MASK 0x00007fffffffffffu
#define WZ_UUID_COUNTER_LIMIT 0x0000ffffffffffffu

static const char digits[] = "0123456789abcdef";

static void hex_write(char *ret_text, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        ret_text[i] = digits[value & 15];
        value >>= 4;
    }
}

static void prefix_make(struct wz_uuid_maker *maker, int64_t now_ms)
{
    uint64_t random = wz_rand_u64();

    maker->now_ms = now_ms;
    maker->low = wz_rand_u64() & WZ_UUID_COUNTER_MASK;
    hex_write(maker->prefix, (uint64_t)now_ms >> 16, 8);
    maker->prefix[8] = '-';
    hex_write(maker->prefix + 9, (uint64_t)now_ms & 0xffff, 4);
    maker->prefix[13] = '-';
    maker->prefix[14] = '7';
    hex_write(maker->prefix + 15, random & 0xfff, 3);
    maker->prefix[18] = '-';
    hex_write(maker->prefix + 19, 0x8000u | (random >> 12 & 0x3fff), 4);
    maker->prefix[23] = '-';
}

void wz_uuid_maker_init(struct wz_uuid_maker *maker)
{
    *maker = (struct wz_uuid_maker){.now_ms = -1};
}

void wz_uuid_next(struct wz_uuid_maker *maker, int64_t now_ms, char ret_text[WZ_UUID_TEXT_LEN])
{
    if (now_ms < 0)
        now_ms = 0; // a clock before 1970, which the format cannot say
    if (now_ms > maker->now_ms)
        prefix_make(maker, now_ms);
    else if (maker->low >= WZ_UUID_COUNTER_LIMIT)
        prefix_make(maker, maker->now_ms + 1);
    maker->low++;
    memcpy(ret_text, maker->prefix, sizeof(maker->prefix));
    for (int i = 0; i < 6; i++) {
        uint8_t byte = (uint8_t)(maker->low >> (40 - 8 * i));

        ret_text[24 + 2 * i] = digits[byte >> 4];
        ret_text[25 + 2 * i] = digits[byte & 15];
    }
}

bool wz_uuid_valid(struct wz_slice s)
{
    if (s.len != WZ_UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

        if (dash ? c != '-' : !hex)
            return false;
    }
    return true;
}
