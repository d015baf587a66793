// SPDX-License-Identifier: Apache-2.0
// Owns the walk over an object's members. It trusts the scan for the grammar, so it looks only for
// where things end; it stays inside the slice whatever the bytes are.
#include "json/scan.h"

#include "json/name.h"
#include "json/span.h"

// Behind the string at POS.
static const uint8_t *skip_string(const uint8_t *pos, const uint8_t *end)
{
    const uint8_t *start = pos++;
    unsigned highs = 0;

    for (;;) {
        pos = wz_json_span(start, pos, end, &highs);
        if (pos == end || *pos == '"')
            return pos == end ? end : pos + 1;
        pos = end - pos < 2 ? end : pos + 2; // an escape: what follows the backslash is no end
    }
}

// Behind the value at POS: at the comma that ends it outside all brackets, or at END.
static const uint8_t *skip_value(const uint8_t *pos, const uint8_t *end)
{
    size_t depth = 0;

    while (pos < end) {
        switch (*pos) {
        case '"':
            pos = skip_string(pos, end);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        case ',':
            if (depth == 0)
                return pos;
            break;
        default:
            break;
        }
        pos++;
    }
    return pos;
}

bool wz_json_members_next(struct wz_json_members *members, struct wz_json_member *ret_member)
{
    const uint8_t *start = members->rest.ptr;
    const uint8_t *end;
    const uint8_t *name_end;
    const uint8_t *value;
    const uint8_t *value_end;
    const uint8_t *next;

    if (members->rest.len == 0 || *start != '"')
        return false;
    end = start + members->rest.len;
    name_end = skip_string(start, end);
    value = wz_json_skip_space(name_end, end);
    if (value == end || *value != ':')
        return false;
    value = wz_json_skip_space(value + 1, end);
    next = skip_value(value, end);
    for (value_end = next; value_end > value && wz_json_is_space(value_end[-1]);)
        value_end--;
    ret_member->name = wz_slice(start, (size_t)(name_end - start));
    ret_member->value = wz_slice(value, (size_t)(value_end - value));
    ret_member->whole = wz_slice(start, (size_t)(value_end - start));
    ret_member->reserved = wz_json_name_reserved(ret_member->name);
    next = next < end ? wz_json_skip_space(next + 1, end) : end;
    members->rest = wz_slice(next, (size_t)(end - next));
    return true;
}
