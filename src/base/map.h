// SPDX-License-Identifier: Apache-2.0
// A map from bytes to pointers. The key's bytes belong to the value's owner and must stay as they
// are while the entry is there.
#pragma once

#include "base/slice.h"

struct wz_map_slot {
    const uint8_t *key;
    void *value; // NULL: never used, or removed (then key is not NULL)
    uint32_t key_len;
    uint32_t hash; // a part of it
};

// All zero is an empty map that owns nothing.
struct wz_map {
    struct wz_map_slot *slots;
    size_t size; // a power of two, or 0
    size_t count;
    size_t used; // with removed places
    uint64_t seed;
};

// Frees the table; keys and values are the caller's.
void wz_map_release(struct wz_map *map);

// The value at KEY, or NULL.
void *wz_map_get(const struct wz_map *map, struct wz_slice key);

// Puts VALUE, not NULL, at KEY in place of what was there, which is returned (NULL if nothing).
void *wz_map_put(struct wz_map *map, struct wz_slice key, void *value);

// Takes the entry out; returns its value, or NULL.
void *wz_map_remove(struct wz_map *map, struct wz_slice key);

// The next value of a walk, or NULL; start with *STATE zero. The entry at hand may be removed.
void *wz_map_next(const struct wz_map *map, size_t *state);
