// SPDX-License-Identifier: Apache-2.0
// The hash of every table that peers can fill: XXH3 with a seed of this process, so that nobody
// can choose keys that collide.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/slice.h"

// The hash of the bytes of S under SEED.
static inline uint64_t wz_hash(struct wz_slice s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.ptr, s.len, seed);
}
