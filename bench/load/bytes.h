// SPDX-License-Identifier: Apache-2.0
// Bytes that grow: what is encoded for a server and waits to be written.

#ifndef WZ_BENCH_LOAD_BYTES_H
#define WZ_BENCH_LOAD_BYTES_H

#include <stddef.h>
#include <stdint.h>

// Zero is an empty, valid value. The data belongs to it and moves when it grows.
struct wz_bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};

// Appends a copy of len bytes. Ends the program when memory is out.
void wz_bytes_put(struct wz_bytes *bytes, const void *data, size_t len);

// Appends one byte.
void wz_bytes_put_u8(struct wz_bytes *bytes, uint8_t value);

// Appends two bytes, big-endian.
void wz_bytes_put_u16(struct wz_bytes *bytes, uint16_t value);

// Appends formatted text without its final NUL.
void wz_bytes_print(struct wz_bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Frees the data and makes the value empty again.
void wz_bytes_release(struct wz_bytes *bytes);

#endif
