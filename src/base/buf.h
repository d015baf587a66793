// SPDX-License-Identifier: Apache-2.0
// Bytes of our own that grow.
#pragma once

#include <stdarg.h>

#include "base/slice.h"

// An owned, growing run of bytes. All zero is an empty buffer that owns nothing.
struct wz_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

// Frees the bytes and leaves an empty buffer.
void wz_buf_release(struct wz_buf *buf);

// Makes room for LEN more bytes behind the present ones.
void wz_buf_reserve(struct wz_buf *buf, size_t len);

// Adds LEN bytes.
void wz_buf_add(struct wz_buf *buf, const void *bytes, size_t len);

// Adds the bytes of a slice.
void wz_buf_add_slice(struct wz_buf *buf, struct wz_slice s);

// Adds a C string without its NUL.
void wz_buf_add_str(struct wz_buf *buf, const char *text);

// Adds one byte.
void wz_buf_add_byte(struct wz_buf *buf, uint8_t byte);

// Adds formatted text, as printf.
void wz_buf_addf(struct wz_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Takes LEN bytes away from the front; LEN must not be more than there are.
void wz_buf_consume(struct wz_buf *buf, size_t len);

// The text as a C string: puts a NUL behind the bytes, which does not count in len. Borrowed.
const char *wz_buf_str(struct wz_buf *buf);

// The bytes as a slice, borrowed until the next change.
static inline struct wz_slice wz_buf_slice(const struct wz_buf *buf)
{
    return wz_slice(buf->ptr, buf->len);
}
