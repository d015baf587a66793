// SPDX-License-Identifier: Apache-2.0
// What is to be written to a worker: bytes of our own, and records that are written from the blocks
// in which they lie.
#pragma once

#include <uv.h>

#include "engine/block.h"

// LEN bytes from START on: of a block, to which it holds a reference, or (NULL) of our own.
struct wz_piece {
    struct wz_block *block;
    size_t start;
    size_t len;
};

// All zero is empty. What is added to OWN comes behind all that was added before, also behind
// records.
struct wz_pieces {
    struct wz_buf own;
    size_t own_done; // of its bytes: in pieces
    struct wz_piece *items;
    size_t first; // those before it are written
    size_t count;
    size_t cap;
};

// Frees it.
void wz_pieces_release(struct wz_pieces *pieces);

// Adds records, with a reference to their block; or a copy of them when they are small.
void wz_pieces_add_run(struct wz_pieces *pieces, const struct wz_block_run *run);

// Whether there is nothing to write.
bool wz_pieces_empty(const struct wz_pieces *pieces);

// The first pieces for libuv, at most MAX, borrowed until the next change. Returns how many, and in
// RET_LEN how many bytes they are.
unsigned wz_pieces_vector(struct wz_pieces *pieces, uv_buf_t *ret_vector, unsigned max,
                          size_t *ret_len);

// How many there are for wz_pieces_vector.
size_t wz_pieces_count(struct wz_pieces *pieces);

// The first LEN bytes, which are not more than there are, are written.
void wz_pieces_consume(struct wz_pieces *pieces, size_t len);

// Empties it.
void wz_pieces_clear(struct wz_pieces *pieces);
