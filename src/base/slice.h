// SPDX-License-Identifier: Apache-2.0
// Bytes that belong to somebody else.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A borrowed run of bytes. PTR may be NULL when LEN is 0. Not terminated.
struct wz_slice {
    const uint8_t *ptr;
    size_t len;
};

// For printf's "%.*s".
#define WZ_SLICE_FMT(s) (int)(s).len, (const char *)(s).ptr

// A slice over a string literal, usable in constants.
#define WZ_SLICE_LIT(text)                                                                         \
    ((struct wz_slice){.ptr = (const uint8_t *)(text), .len = sizeof(text) - 1})

// A slice over LEN bytes at PTR.
static inline struct wz_slice wz_slice(const void *ptr, size_t len)
{
    return (struct wz_slice){.ptr = ptr, .len = len};
}

// A slice over a C string, without its NUL.
static inline struct wz_slice wz_slice_str(const char *text)
{
    return wz_slice(text, strlen(text));
}

// Whether two slices hold the same bytes.
static inline bool wz_slice_eq(struct wz_slice a, struct wz_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// Order of bytes, then the shorter first; negative, 0 or positive like memcmp.
static inline int wz_slice_cmp(struct wz_slice a, struct wz_slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int r = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    if (r != 0 || a.len == b.len)
        return r;
    return a.len < b.len ? -1 : 1;
}

// Whether S begins with PREFIX.
static inline bool wz_slice_starts(struct wz_slice s, struct wz_slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

// The LEN bytes of S from POS on. The range must lie inside S.
static inline struct wz_slice wz_slice_sub(struct wz_slice s, size_t pos, size_t len)
{
    return wz_slice(pos > 0 ? s.ptr + pos : s.ptr, len); // nothing may be added to NULL
}
