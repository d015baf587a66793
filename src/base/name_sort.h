// SPDX-License-Identifier: Apache-2.0
// Sorts a million names: by eight bytes at a time, without comparing any two of them.
#pragma once

#include "base/slice.h"

// What is sorted: something that has a name.
struct wz_named {
    const void *item;
    uint64_t front; // wz_name_sort's own
};

// The name of an item, borrowed; ARG is what wz_name_sort was given.
typedef struct wz_slice (*wz_name_sort_name_fn)(const void *arg, const void *item);

// Puts COUNT items into the order of their names' bytes (wz_slice_cmp). Takes as much memory again
// while it runs. Any thread.
void wz_name_sort(struct wz_named *items, size_t count, wz_name_sort_name_fn name_of,
                  const void *arg);
