// SPDX-License-Identifier: Apache-2.0
// The scanner held against jansson: what both must agree on, and the known differences, each with
// its reason. Shared by the unit test and the fuzzer.
#pragma once

#include <jansson.h>

#include "json/scan.h"

#define WZ_JANSSON_FLAGS (JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY)

// What jansson refuses and the scanner accepts, told by the front of jansson's error text.
static const struct {
    const char *error;
    const char *why;
} wz_json_differences[] = {
    {"real number overflow", "a number is kept as its bytes, so none is too large (1e400)"},
    {"invalid Unicode", "a lone surrogate in an escape is JSON by RFC 8259 section 8.2"},
    {"NUL byte in object key", "jansson keeps names as C strings, we keep bytes"},
};

// The deepest nesting of a JSON text. What only jansson accepts must be deeper than
// WZ_JSON_DEPTH_MAX: jansson's own limit is 2,048.
static inline int wz_json_depth(struct wz_slice body)
{
    int depth = 0;
    int deepest = 0;
    bool in_string = false;

    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = body.ptr[i];

        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\')
            i++;
        else if (!in_string && (c == '{' || c == '['))
            deepest = ++depth > deepest ? depth : deepest;
        else if (!in_string && (c == '}' || c == ']'))
            depth--;
    }
    return deepest;
}

static inline bool wz_json_kind_is(enum wz_json_kind kind, const json_t *value)
{
    static const enum wz_json_kind kinds[] = {
        [JSON_OBJECT] = WZ_JSON_OBJECT, [JSON_ARRAY] = WZ_JSON_ARRAY,
        [JSON_STRING] = WZ_JSON_STRING, [JSON_INTEGER] = WZ_JSON_NUMBER,
        [JSON_REAL] = WZ_JSON_NUMBER,   [JSON_TRUE] = WZ_JSON_TRUE,
        [JSON_FALSE] = WZ_JSON_FALSE,   [JSON_NULL] = WZ_JSON_NULL,
    };

    return kinds[json_typeof(value)] == kind;
}

// Whether the two agree on BODY, or differ in a known way, whose row RET_ROW then is (-1 when they
// agree, the number of rows for the depth).
static inline bool wz_json_agrees(struct wz_slice body, int *ret_row)
{
    const int rows = (int)(sizeof(wz_json_differences) / sizeof(wz_json_differences[0]));
    struct wz_json_scan found;
    json_error_t error;
    json_t *value = json_loadb((const char *)body.ptr, body.len, WZ_JANSSON_FLAGS, &error);
    bool same;

    *ret_row = -1;
    wz_json_scan(body, &found);
    if (value == NULL && found.kind == WZ_JSON_NONE)
        return true;
    if (value == NULL) {
        for (int i = 0; i < rows; i++) {
            size_t len = strlen(wz_json_differences[i].error);

            if (strncmp(error.text, wz_json_differences[i].error, len) == 0)
                *ret_row = i;
        }
        return *ret_row >= 0;
    }
    same = wz_json_kind_is(found.kind, value);
    json_decref(value);
    if (found.kind == WZ_JSON_NONE && wz_json_depth(body) > WZ_JSON_DEPTH_MAX) {
        *ret_row = rows;
        return true;
    }
    return same;
}
