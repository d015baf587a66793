// SPDX-License-Identifier: Apache-2.0
// Owns the writing of strings, base64 and compact values. Runs of bytes that stay as they are are
// copied whole.
#include "json/text.h"

#include "json/name.h"
#include "json/span.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The run of bytes from POS on that stand for themselves in a string.
static struct wz_slice plain_run(struct wz_slice s, size_t pos)
{
    const uint8_t *end = s.ptr + s.len;
    unsigned highs = 0;
    const uint8_t *stop = wz_json_span(s.ptr, s.ptr + pos, end, &highs);

    return wz_slice_sub(s, pos, (size_t)(stop - (s.ptr + pos)));
}

static void add_escaped(struct wz_buf *buf, uint8_t c)
{
    switch (c) {
    case '"':
        wz_buf_add_str(buf, "\\\"");
        break;
    case '\\':
        wz_buf_add_str(buf, "\\\\");
        break;
    case '\b':
        wz_buf_add_str(buf, "\\b");
        break;
    case '\f':
        wz_buf_add_str(buf, "\\f");
        break;
    case '\n':
        wz_buf_add_str(buf, "\\n");
        break;
    case '\r':
        wz_buf_add_str(buf, "\\r");
        break;
    case '\t':
        wz_buf_add_str(buf, "\\t");
        break;
    default:
        wz_buf_addf(buf, "\\u%04x", c);
        break;
    }
}

void wz_json_add_string(struct wz_buf *buf, struct wz_slice s)
{
    size_t pos = 0;

    wz_buf_reserve(buf, s.len + 2);
    wz_buf_add_byte(buf, '"');
    while (pos < s.len) {
        struct wz_slice run = plain_run(s, pos);

        wz_buf_add_slice(buf, run);
        pos += run.len;
        if (pos < s.len)
            add_escaped(buf, s.ptr[pos++]);
    }
    wz_buf_add_byte(buf, '"');
}

void wz_json_add_base64(struct wz_buf *buf, struct wz_slice s)
{
    wz_buf_reserve(buf, (s.len + 2) / 3 * 4 + 2);
    wz_buf_add_byte(buf, '"');
    for (size_t pos = 0; pos < s.len; pos += 3) {
        size_t left = s.len - pos;
        uint32_t bits = (uint32_t)s.ptr[pos] << 16;
        char text[4];

        if (left > 1)
            bits |= (uint32_t)s.ptr[pos + 1] << 8;
        if (left > 2)
            bits |= s.ptr[pos + 2];
        text[0] = base64_digits[bits >> 18];
        text[1] = base64_digits[bits >> 12 & 63];
        text[2] = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
        text[3] = left > 2 ? base64_digits[bits & 63] : '=';
        wz_buf_add(buf, text, sizeof(text));
    }
    wz_buf_add_byte(buf, '"');
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

// Decodes COUNT digits (2 to 4) at TEXT; false when one is none, or when bits that stand for
// nothing are set (RFC 4648 section 3.5), so that each run of bytes has one text.
static bool decode_group(struct wz_buf *buf, const uint8_t *text, size_t count)
{
    uint32_t bits = 0;
    uint8_t bytes[3];

    for (size_t i = 0; i < 4; i++) {
        int value = i < count ? base64_value(text[i]) : 0;

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    bytes[0] = (uint8_t)(bits >> 16);
    bytes[1] = (uint8_t)(bits >> 8);
    bytes[2] = (uint8_t)bits;
    for (size_t i = count - 1; i < 3; i++) {
        if (bytes[i] != 0)
            return false;
    }
    wz_buf_add(buf, bytes, count - 1);
    return true;
}

int wz_json_add_decoded_base64(struct wz_buf *buf, struct wz_slice s)
{
    size_t before = buf->len;

    if (s.len % 4 != 0)
        return WZ_ERR_INVALID;
    wz_buf_reserve(buf, s.len / 4 * 3);
    for (size_t pos = 0; pos < s.len; pos += 4) {
        size_t count = 4;

        if (pos + 4 == s.len && s.ptr[pos + 3] == '=')
            count = s.ptr[pos + 2] == '=' ? 2 : 3;
        if (!decode_group(buf, s.ptr + pos, count)) {
            buf->len = before;
            return WZ_ERR_INVALID;
        }
    }
    return WZ_OK;
}

// Behind the string at POS in S.
static size_t skip_string(struct wz_slice s, size_t pos)
{
    for (pos++; pos < s.len; pos += 2) {
        pos += plain_run(s, pos).len;
        if (pos < s.len && s.ptr[pos] == '"')
            return pos + 1;
    }
    return s.len;
}

void wz_json_add_compact(struct wz_buf *buf, struct wz_slice s)
{
    size_t pos = 0;

    wz_buf_reserve(buf, s.len);
    while (pos < s.len) {
        size_t start = pos;

        while (pos < s.len && !wz_json_is_space(s.ptr[pos]))
            pos = s.ptr[pos] == '"' ? skip_string(s, pos) : pos + 1;
        wz_buf_add(buf, s.ptr + start, pos - start);
        while (pos < s.len && wz_json_is_space(s.ptr[pos]))
            pos++;
    }
}

static void add_utf8(struct wz_buf *buf, uint32_t c)
{
    uint8_t bytes[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = len - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    bytes[0] = (uint8_t)(leads[len] | c);
    wz_buf_add(buf, bytes, len);
}

void wz_json_add_unescaped(struct wz_buf *buf, struct wz_slice s)
{
    struct wz_slice rest;

    if (s.len < 2)
        return;
    rest = wz_slice_sub(s, 1, s.len - 2);
    wz_buf_reserve(buf, rest.len);
    while (rest.len > 0) {
        struct wz_slice run = plain_run(rest, 0);

        wz_buf_add_slice(buf, run);
        rest = wz_slice_sub(rest, run.len, rest.len - run.len);
        if (rest.len == 0)
            break;
        if (rest.ptr[0] == '\\') {
            add_utf8(buf, wz_json_escape_next(&rest));
        } else { // no valid string holds it; kept as it is
            wz_buf_add_byte(buf, rest.ptr[0]);
            rest = wz_slice_sub(rest, 1, rest.len - 1);
        }
    }
}
