// SPDX-License-Identifier: Apache-2.0
// Items of one size by their numbers, which come mostly one after the other at the end and go
// mostly at the front. Some may stay for ever while those around them go: what takes memory is what
// is there, in chunks of neighbours, however far they lie apart. Items never move.
#pragma once

#include <stddef.h>
#include <stdint.h>

// How many numbers, neighbours of one another, share a piece of memory.
#define WZ_SPARSE_CHUNK 64

// The items. Fields but COUNT are sparse.c's.
struct wz_sparse {
    struct wz_sparse_chunk **chunks; // in the order of their numbers, from BEGIN on
    uint32_t begin;
    uint32_t chunk_count;
    uint32_t cap;
    uint32_t item_bytes;
    size_t count; // of items
};

// None, of a type that needs no more alignment than 8.
#define WZ_SPARSE_OF(type) ((struct wz_sparse){.item_bytes = sizeof(type)})

// Takes them all out.
void wz_sparse_release(struct wz_sparse *sparse);

// The item of NUMBER; NULL when it is not there.
void *wz_sparse_at(const struct wz_sparse *sparse, uint64_t number);

// The same; made when it is not there, all zero.
void *wz_sparse_add(struct wz_sparse *sparse, uint64_t number);

// Takes the item of NUMBER, which is there, out.
void wz_sparse_remove(struct wz_sparse *sparse, uint64_t number);

// The lowest number, at or above NUMBER, of which an item is there; UINT64_MAX: none.
uint64_t wz_sparse_next(const struct wz_sparse *sparse, uint64_t number);
