// SPDX-License-Identifier: Apache-2.0
// Owns the list of reserved names (design section 5) and the decoding of escapes (RFC 8259 section
// 7).
#include "json/name.h"

#define WZ_JSON_REPLACEMENT 0xfffdu

// The longest reserved name.
#define WZ_JSON_RESERVED_MAX 10

static const struct wz_slice reserved[] = {
    {(const uint8_t *)"_id", 3},       {(const uint8_t *)"_timestamp", 10},
    {(const uint8_t *)"_topic", 6},    {(const uint8_t *)"_encoding", 9},
    {(const uint8_t *)"_script", 7},   {(const uint8_t *)"_parent", 7},
    {(const uint8_t *)"_received", 9},
};

static bool is_reserved(struct wz_slice name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (wz_slice_eq(name, reserved[i]))
            return true;
    }
    return false;
}

static unsigned hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10u : 16;
}

// The unit of a "\uXXXX" at the front of S; above 0xffff when there is none.
static uint32_t unit(struct wz_slice s)
{
    uint32_t value = 0;

    if (s.len < 6 || s.ptr[0] != '\\' || s.ptr[1] != 'u')
        return UINT32_MAX;
    for (int i = 2; i < 6; i++) {
        unsigned digit = hex_digit(s.ptr[i]);

        if (digit > 15)
            return UINT32_MAX;
        value = value << 4 | digit;
    }
    return value;
}

static uint32_t take(struct wz_slice *rest, size_t len, uint32_t code_point)
{
    len = len < rest->len ? len : rest->len;
    *rest = wz_slice_sub(*rest, len, rest->len - len);
    return code_point;
}

static uint32_t take_units(struct wz_slice *rest)
{
    uint32_t high = unit(*rest);
    uint32_t low;

    if (high > 0xffff)
        return take(rest, 2, WZ_JSON_REPLACEMENT);
    if (high < 0xd800 || high > 0xdfff)
        return take(rest, 6, high);
    low = unit(wz_slice_sub(*rest, 6, rest->len - 6));
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return take(rest, 6, WZ_JSON_REPLACEMENT);
    return take(rest, 12, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

uint32_t wz_json_escape_next(struct wz_slice *rest)
{
    switch (rest->len >= 2 ? rest->ptr[1] : '\0') {
    case '"':
    case '\\':
    case '/':
        return take(rest, 2, rest->ptr[1]);
    case 'b':
        return take(rest, 2, '\b');
    case 'f':
        return take(rest, 2, '\f');
    case 'n':
        return take(rest, 2, '\n');
    case 'r':
        return take(rest, 2, '\r');
    case 't':
        return take(rest, 2, '\t');
    case 'u':
        return take_units(rest);
    default:
        return take(rest, 2, WZ_JSON_REPLACEMENT);
    }
}

bool wz_json_name_reserved(struct wz_slice name)
{
    struct wz_slice rest = wz_slice_sub(name, 1, name.len - 2);
    uint8_t plain[WZ_JSON_RESERVED_MAX];
    size_t len = 0;

    while (rest.len > 0) {
        uint32_t c = rest.ptr[0] == '\\' ? wz_json_escape_next(&rest) : take(&rest, 1, rest.ptr[0]);

        if (c >= 0x80 || len == sizeof(plain))
            return false;
        plain[len++] = (uint8_t)c;
    }
    return is_reserved(wz_slice(plain, len));
}
