// SPDX-License-Identifier: Apache-2.0
// Owns the scan of a body: one pass, no recursion, no allocation. What is open is a stack of bits,
// one a level: 1 for an object, 0 for an array.
#include "json/scan.h"

#include "base/utf8.h"
#include "json/name.h"
#include "json/span.h"

// Too much for gcc to inline by itself, and worth a fifth of the time.
#define WZ_JSON_INLINE static inline __attribute__((always_inline))

struct scan {
    const uint8_t *start;
    const uint8_t *end;
    uint64_t open_low; // bit 0 is the innermost level
    uint64_t open_high;
    unsigned depth;
    bool reserved;
};

_Static_assert(WZ_JSON_DEPTH_MAX == 128, "two words of bits hold the levels");

WZ_JSON_INLINE bool push(struct scan *scan, bool object)
{
    if (scan->depth == WZ_JSON_DEPTH_MAX)
        return false;
    scan->depth++;
    scan->open_high = scan->open_high << 1 | scan->open_low >> 63;
    scan->open_low = scan->open_low << 1 | (object ? 1 : 0);
    return true;
}

WZ_JSON_INLINE void pop(struct scan *scan)
{
    scan->depth--;
    scan->open_low = scan->open_low >> 1 | scan->open_high << 63;
    scan->open_high >>= 1;
}

// Whether the innermost level is an object; false outside all.
WZ_JSON_INLINE bool in_object(const struct scan *scan) { return (scan->open_low & 1) != 0; }

static inline bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// Behind the escape at POS, or NULL when it is none.
static const uint8_t *skip_escape(const uint8_t *pos, const uint8_t *end)
{
    if (end - pos < 2)
        return NULL;
    switch (pos[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return pos + 2;
    case 'u':
        if (end - pos < 6)
            return NULL;
        return is_hex(pos[2]) && is_hex(pos[3]) && is_hex(pos[4]) && is_hex(pos[5]) ? pos + 6
                                                                                    : NULL;
    default:
        return NULL;
    }
}

// Behind the string whose first quote is at POS, or NULL. Only a string with bytes beyond ASCII is
// looked at a second time.
WZ_JSON_INLINE const uint8_t *skip_string(const struct scan *scan, const uint8_t *pos,
                                          bool *ret_escaped)
{
    const uint8_t *start = ++pos;
    const uint8_t *end = scan->end;
    unsigned highs = 0;

    for (;;) {
        pos = wz_json_span(scan->start, pos, end, &highs);
        if (pos == end)
            return NULL;
        if (*pos == '"')
            break;
        if (*pos != '\\')
            return NULL;
        pos = skip_escape(pos, end);
        if (pos == NULL)
            return NULL;
        *ret_escaped = true;
    }
    if (highs != 0 && !wz_utf8_valid(wz_slice(start, (size_t)(pos - start))))
        return NULL;
    return pos + 1;
}

// Behind the digits at POS, of which there must be one at least, or NULL.
static inline const uint8_t *skip_digits(const uint8_t *pos, const uint8_t *end)
{
    const uint8_t *start = pos;

    while (pos < end && (uint8_t)(*pos - '0') <= 9)
        pos++;
    return pos > start ? pos : NULL;
}

// Behind the number at POS, or NULL; RFC 8259 section 6.
static inline const uint8_t *skip_number(const uint8_t *pos, const uint8_t *end)
{
    if (*pos == '-')
        pos++;
    if (pos < end && *pos == '0')
        pos++;
    else
        pos = skip_digits(pos, end);
    if (pos != NULL && pos < end && *pos == '.')
        pos = skip_digits(pos + 1, end);
    if (pos != NULL && pos < end && (*pos | 0x20) == 'e') {
        pos++;
        if (pos < end && (*pos == '+' || *pos == '-'))
            pos++;
        pos = skip_digits(pos, end);
    }
    return pos;
}

static const uint8_t *skip_word(const uint8_t *pos, const uint8_t *end, struct wz_slice word)
{
    if ((size_t)(end - pos) < word.len || memcmp(pos, word.ptr, word.len) != 0)
        return NULL;
    return pos + word.len;
}

// Behind the value at POS, which opens nothing, or NULL.
WZ_JSON_INLINE const uint8_t *skip_scalar(const struct scan *scan, const uint8_t *pos)
{
    const uint8_t *end = scan->end;
    bool escaped;

    switch (*pos) {
    case '"':
        return skip_string(scan, pos, &escaped);
    case 't':
        return skip_word(pos, end, WZ_SLICE_LIT("true"));
    case 'f':
        return skip_word(pos, end, WZ_SLICE_LIT("false"));
    case 'n':
        return skip_word(pos, end, WZ_SLICE_LIT("null"));
    default:
        return skip_number(pos, end);
    }
}

// Behind the colon of the member whose name is at POS, or NULL.
WZ_JSON_INLINE const uint8_t *skip_name(struct scan *scan, const uint8_t *pos)
{
    const uint8_t *start = wz_json_skip_space(pos, scan->end);
    bool escaped = false;

    if (start == scan->end || *start != '"')
        return NULL;
    pos = skip_string(scan, start, &escaped);
    if (pos == NULL)
        return NULL;
    if (scan->depth == 1 && (start[1] == '_' || escaped) &&
        wz_json_name_reserved(wz_slice(start, (size_t)(pos - start))))
        scan->reserved = true;
    pos = wz_json_skip_space(pos, scan->end);
    return pos < scan->end && *pos == ':' ? pos + 1 : NULL;
}

// Behind the closing brackets at POS and the comma that follows them, or at the end when nothing is
// open any more; else NULL.
WZ_JSON_INLINE const uint8_t *skip_closing(struct scan *scan, const uint8_t *pos)
{
    for (;;) {
        pos = wz_json_skip_space(pos, scan->end);
        if (pos == scan->end)
            return scan->depth == 0 ? pos : NULL;
        if (scan->depth == 0)
            return NULL;
        if (*pos == ',')
            return pos + 1;
        if (*pos != (in_object(scan) ? '}' : ']'))
            return NULL;
        pop(scan);
        pos++;
    }
}

// Whether the bytes from POS on are one value. Each turn takes a member's name where one is due, a
// scalar or one opening bracket, what closes behind it, and the comma.
static bool is_value(struct scan *scan, const uint8_t *pos)
{
    do {
        if (in_object(scan) && (pos = skip_name(scan, pos)) == NULL)
            return false;
        pos = wz_json_skip_space(pos, scan->end);
        if (pos == scan->end)
            return false;
        if (*pos == '{' || *pos == '[') {
            uint8_t close = (uint8_t)(*pos + 2); // in ASCII "{" and "}", "[" and "]" are 2 apart

            if (!push(scan, *pos == '{'))
                return false;
            pos = wz_json_skip_space(pos + 1, scan->end);
            if (pos == scan->end || *pos != close)
                continue;
        } else if ((pos = skip_scalar(scan, pos)) == NULL) {
            return false;
        }
        pos = skip_closing(scan, pos);
        if (pos == NULL)
            return false;
    } while (scan->depth > 0);
    return true;
}

static enum wz_json_kind kind_of(uint8_t first)
{
    switch (first) {
    case '{':
        return WZ_JSON_OBJECT;
    case '[':
        return WZ_JSON_ARRAY;
    case '"':
        return WZ_JSON_STRING;
    case 't':
        return WZ_JSON_TRUE;
    case 'f':
        return WZ_JSON_FALSE;
    case 'n':
        return WZ_JSON_NULL;
    default:
        return WZ_JSON_NUMBER;
    }
}

// The bytes from START to END without the white space at their ends.
static struct wz_slice trim(const uint8_t *start, const uint8_t *end)
{
    start = wz_json_skip_space(start, end);
    while (end > start && wz_json_is_space(end[-1]))
        end--;
    return wz_slice(start, (size_t)(end - start));
}

void wz_json_scan(struct wz_slice body, struct wz_json_scan *ret_scan)
{
    struct wz_slice value = body.len > 0 ? trim(body.ptr, body.ptr + body.len) : body;
    struct scan scan = {.start = value.ptr};

    *ret_scan = (struct wz_json_scan){.kind = WZ_JSON_NONE, .members = value};
    if (value.len == 0)
        return;
    scan.end = value.ptr + value.len;
    if (!is_value(&scan, value.ptr))
        return;
    ret_scan->kind = kind_of(value.ptr[0]);
    ret_scan->reserved = scan.reserved;
    if (ret_scan->kind == WZ_JSON_OBJECT)
        ret_scan->members = trim(value.ptr + 1, value.ptr + value.len - 1);
}
