// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629 allows it.
#pragma once

#include "base/slice.h"

// Whether the bytes are well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
bool wz_utf8_valid(struct wz_slice s);

// The length in bytes (1 to 4) of the character at the front of S, or 0 when it is not well-formed
// or S is empty.
size_t wz_utf8_char(struct wz_slice s);

// The longest beginning, or end, of S that has at most MAX bytes and is not cut inside a character.
struct wz_slice wz_utf8_head(struct wz_slice s, size_t max);
struct wz_slice wz_utf8_tail(struct wz_slice s, size_t max);
