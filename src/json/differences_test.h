// SPDX-License-Identifier: Apache-2.0
// The scanner held against jansson: what both must agree on, and the known differences, each with
// its reason. Shared by the unit test and the fuzzer.
#pragma once

#include <ctype.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/mem.h"
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

// What jansson accepts and the scanner refuses; their row numbers go on behind those above.
enum wz_json_refused {
    // jansson's limit is 2,048 levels, ours WZ_JSON_DEPTH_MAX.
    WZ_JSON_REFUSED_DEPTH = sizeof(wz_json_differences) / sizeof(wz_json_differences[0]),
    // jansson drops a NUL byte that stands behind a number or a word; RFC 8259 has none.
    WZ_JSON_REFUSED_NUL,
};

// The deepest nesting of a JSON text.
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

// The kind that the scanner gives when the first NUL byte behind each number or word is
// left out.
static inline enum wz_json_kind wz_json_kind_without_nul(struct wz_slice body)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    struct wz_json_scan found;

    for (size_t i = 0; i < body.len; i++) {
        bool behind = i > 0 && isalnum(body.ptr[i - 1]);

        if (body.ptr[i] != '\0' || !behind)
            wz_buf_add_byte(&bytes, body.ptr[i]);
    }
    wz_json_scan(wz_buf_slice(&bytes), &found);
    return found.kind;
}

// The row for a text that only the scanner accepts; -1 when there is none.
static inline int wz_json_row_of_error(const json_error_t *error)
{
    for (int i = 0; i < WZ_JSON_REFUSED_DEPTH; i++) {
        if (strncmp(error->text, wz_json_differences[i].error,
                    strlen(wz_json_differences[i].error)) == 0)
            return i;
    }
    return -1;
}

// Whether the two agree on BODY, or differ in a known way, whose row RET_ROW then is; it is -1 when
// they agree.
static inline bool wz_json_agrees(struct wz_slice body, int *ret_row)
{
    struct wz_json_scan found;
    json_error_t error;
    json_t *value = json_loadb((const char *)body.ptr, body.len, WZ_JANSSON_FLAGS, &error);
    bool same;

    *ret_row = -1;
    wz_json_scan(body, &found);
    if (value == NULL && found.kind == WZ_JSON_NONE)
        return true;
    if (value == NULL) {
        *ret_row = wz_json_row_of_error(&error);
        return *ret_row >= 0;
    }
    same = wz_json_kind_is(found.kind, value);
    if (!same && wz_json_depth(body) > WZ_JSON_DEPTH_MAX)
        *ret_row = WZ_JSON_REFUSED_DEPTH;
    else if (!same && wz_json_kind_is(wz_json_kind_without_nul(body), value))
        *ret_row = WZ_JSON_REFUSED_NUL;
    json_decref(value);
    return same || (found.kind == WZ_JSON_NONE && *ret_row >= 0);
}
