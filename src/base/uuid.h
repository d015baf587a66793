// SPDX-License-Identifier: Apache-2.0
// UUIDs of version 7: time first, then a number that only grows within a millisecond.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

// Length of the text form, without a NUL.
#define WZ_UUID_TEXT_LEN 36

// Makes UUIDs for one thread. Each is greater than the one before it, also when the clock goes
// back: RFC 9562 section 6.2, method 2 (monotonic random), with the low 64 bits as the counter.
struct wz_uuid_maker {
    int64_t now_ms;
    uint64_t low;
    char prefix[24]; // the text up to and with its last dash
};

// Starts a maker; it must not be shared between threads.
void wz_uuid_maker_init(struct wz_uuid_maker *maker);

// Writes the next UUID's text, 36 bytes without a NUL. NOW_MS is the wall clock's time.
void wz_uuid_next(struct wz_uuid_maker *maker, int64_t now_ms, char ret_text[WZ_UUID_TEXT_LEN]);

// Whether S is a UUID in its canonical text form, of any version, in upper or lower case.
bool wz_uuid_valid(struct wz_slice s);
