// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of values.
#include "engine/pass_value.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "json/scan.h"
#include "json/text.h"

// A longer text is no number to us.
#define NUMBER_BYTES_MAX 63

// Above this not every whole number is a double: those that are the same one may differ.
#define EXACT_MAX 9007199254740992.0

// Whether two JSON strings, with their quotes, say the same. OTHER has no needless escapes.
static bool same_string(struct wz_slice string, struct wz_slice other)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf again = {0};

    if (wz_slice_eq(string, other))
        return true;
    if (string.len < 2 || memchr(string.ptr, '\\', string.len) == NULL)
        return false;
    wz_json_add_unescaped(&text, string);
    wz_json_add_string(&again, wz_buf_slice(&text));
    return wz_slice_eq(wz_buf_slice(&again), other);
}

// The number that a JSON value or the text in it is.
static bool read_number(struct wz_slice value, double *ret_number)
{
    char text[NUMBER_BYTES_MAX + 1];
    struct wz_json_scan scan;
    double number;

    if (value.len >= 2 && value.ptr[0] == '"')
        value = wz_slice_sub(value, 1, value.len - 2);
    if (value.len == 0 || value.len > NUMBER_BYTES_MAX)
        return false;
    wz_json_scan(value, &scan);
    if (scan.kind != WZ_JSON_NUMBER)
        return false;
    memcpy(text, scan.members.ptr, scan.members.len);
    text[scan.members.len] = '\0';
    number = strtod(text, NULL);
    if (!isfinite(number))
        return false;
    *ret_number = number;
    return true;
}

static void set_value(struct wz_slice text, struct wz_pass_value *ret_value)
{
    XXH128_hash_t hash = XXH3_128bits(text.ptr, text.len);

    *ret_value = (struct wz_pass_value){.hash = {hash.high64, hash.low64}, .kind = WZ_PASS_OTHER};
    if (read_number(text, &ret_value->number))
        ret_value->kind = WZ_PASS_NUMBER;
}

void wz_pass_value_find(struct wz_slice body, struct wz_slice member,
                        struct wz_pass_value *ret_value)
{
    struct wz_json_members walk = {0};
    struct wz_json_member at;
    struct wz_slice found = {0};

    if (body.len > 2)
        walk.rest = wz_slice_sub(body, 1, body.len - 2);
    while (wz_json_members_next(&walk, &at))
        if (same_string(at.name, member))
            found = at.value;
    *ret_value = (struct wz_pass_value){0};
    if (found.len > 0)
        set_value(found, ret_value);
}

bool wz_pass_value_changed(const struct wz_pass_value *last, const struct wz_pass_value *now,
                           const struct wz_pass_deadband *deadband)
{
    double width = deadband->width;
    double by;

    if (last->kind != now->kind)
        return true;
    if (now->kind == WZ_PASS_MISSING)
        return false;
    if (now->kind == WZ_PASS_OTHER)
        return memcmp(last->hash, now->hash, sizeof(now->hash)) != 0;
    by = fabs(now->number - last->number);
    if (deadband->relative)
        width *= fabs(last->number);
    if (by > 0 || width > 0)
        return by > width;
    return fabs(now->number) >= EXACT_MAX && memcmp(last->hash, now->hash, sizeof(now->hash)) != 0;
}
