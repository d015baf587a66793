// SPDX-License-Identifier: Apache-2.0
// A set of pointers that costs nothing beyond itself while it holds one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// All zero is an empty set that owns nothing.
struct wz_set {
    union {
        void *value;  // while cap is 0: the only member
        void **table; // else cap places, NULL where there is none
    };
    uint32_t count;
    uint32_t cap; // a power of two, or 0
};

// Frees the table; the members are the caller's.
void wz_set_release(struct wz_set *set);

// Puts VALUE, not NULL, in; false when it is there already.
bool wz_set_add(struct wz_set *set, void *value);

// Takes VALUE out; false when it is not there.
bool wz_set_remove(struct wz_set *set, void *value);

// The next member of a walk, or NULL; start with *STATE zero. The set must stay as it is meanwhile.
void *wz_set_next(const struct wz_set *set, uint32_t *state);
