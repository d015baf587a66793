// SPDX-License-Identifier: Apache-2.0
// Owns the check of UTF-8: eight ASCII bytes a step, the table of RFC 3629 section 4 for the rest.
#include "base/utf8.h"

static bool tail(uint8_t byte) { return (byte & 0xc0) == 0x80; }

size_t wz_utf8_char(struct wz_slice s)
{
    const uint8_t *b = s.ptr;

    if (s.len == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xc2)
        return 0;
    if (b[0] < 0xe0)
        return s.len >= 2 && tail(b[1]) ? 2 : 0;
    if (b[0] < 0xf0) {
        if (s.len < 3 || !tail(b[1]) || !tail(b[2]))
            return 0;
        if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f))
            return 0;
        return 3;
    }
    if (b[0] > 0xf4 || s.len < 4 || !tail(b[1]) || !tail(b[2]) || !tail(b[3]))
        return 0;
    if ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return 4;
}

bool wz_utf8_valid(struct wz_slice s)
{
    size_t pos = 0;

    while (pos < s.len) {
        uint64_t word;
        size_t len;

        if (s.len - pos >= sizeof(word)) {
            memcpy(&word, s.ptr + pos, sizeof(word));
            if ((word & 0x8080808080808080u) == 0) {
                pos += sizeof(word);
                continue;
            }
        }
        len = wz_utf8_char(wz_slice_sub(s, pos, s.len - pos));
        if (len == 0)
            return false;
        pos += len;
    }
    return true;
}

struct wz_slice wz_utf8_head(struct wz_slice s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && tail(s.ptr[max]))
        max--;
    return wz_slice_sub(s, 0, max);
}

struct wz_slice wz_utf8_tail(struct wz_slice s, size_t max)
{
    size_t start = s.len - max;

    if (s.len <= max)
        return s;
    while (start < s.len && tail(s.ptr[start]))
        start++;
    return wz_slice_sub(s, start, s.len - start);
}
