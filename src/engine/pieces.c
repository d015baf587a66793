// SPDX-License-Identifier: Apache-2.0
// Owns the order of what is written to a worker, and references to blocks until it is.
#include "engine/pieces.h"

#include "base/mem.h"

// Less is copied: another piece costs the kernel more than that.
#define COPY_BYTES 1024

// What is kept of an emptied buffer.
#define KEEP_BYTES ((size_t)256 * 1024)

static void add(struct wz_pieces *pieces, struct wz_piece piece)
{
    if (pieces->count == pieces->cap) {
        pieces->cap = pieces->cap > 0 ? pieces->cap * 2 : 8;
        pieces->items = wz_realloc(pieces->items, pieces->cap * sizeof(*pieces->items));
    }
    pieces->items[pieces->count++] = piece;
}

// Makes a piece of the bytes of our own behind the last one.
static void end_own(struct wz_pieces *pieces)
{
    size_t start = pieces->own_done;

    if (pieces->own.len == start)
        return;
    add(pieces, (struct wz_piece){.start = start, .len = pieces->own.len - start});
    pieces->own_done = pieces->own.len;
}

void wz_pieces_release(struct wz_pieces *pieces)
{
    wz_pieces_clear(pieces);
    wz_buf_release(&pieces->own);
    wz_free(pieces->items);
    *pieces = (struct wz_pieces){0};
}

void wz_pieces_add_run(struct wz_pieces *pieces, const struct wz_block_run *run)
{
    struct wz_slice bytes = wz_block_run_bytes(run);

    if (bytes.len < COPY_BYTES) {
        wz_buf_add_slice(&pieces->own, bytes);
        return;
    }
    end_own(pieces);
    add(pieces, (struct wz_piece){.block = wz_block_ref(run->block),
                                  .start = wz_block_start(run->block, run->from),
                                  .len = bytes.len});
}

bool wz_pieces_empty(const struct wz_pieces *pieces)
{
    return pieces->first == pieces->count && pieces->own_done == pieces->own.len;
}

size_t wz_pieces_count(struct wz_pieces *pieces)
{
    end_own(pieces);
    return pieces->count - pieces->first;
}

unsigned wz_pieces_vector(struct wz_pieces *pieces, uv_buf_t *ret_vector, unsigned max,
                          size_t *ret_len)
{
    unsigned count = 0;

    end_own(pieces);
    *ret_len = 0;
    for (size_t i = pieces->first; i < pieces->count && count < max; i++) {
        const struct wz_piece *piece = &pieces->items[i];
        uint8_t *bytes = piece->block ? piece->block->bytes : pieces->own.ptr;

        ret_vector[count++] = uv_buf_init((char *)bytes + piece->start, (unsigned)piece->len);
        *ret_len += piece->len;
    }
    return count;
}

void wz_pieces_consume(struct wz_pieces *pieces, size_t len)
{
    while (len > 0) {
        struct wz_piece *piece = &pieces->items[pieces->first];
        size_t part = len < piece->len ? len : piece->len;

        WZ_ASSERT(pieces->first < pieces->count);
        piece->start += part;
        piece->len -= part;
        len -= part;
        if (piece->len > 0)
            return;
        if (piece->block)
            wz_block_unref(piece->block);
        pieces->first++;
    }
    if (wz_pieces_empty(pieces))
        wz_pieces_clear(pieces);
}

void wz_pieces_clear(struct wz_pieces *pieces)
{
    for (size_t i = pieces->first; i < pieces->count; i++)
        if (pieces->items[i].block)
            wz_block_unref(pieces->items[i].block);
    pieces->first = 0;
    pieces->count = 0;
    if (pieces->own.cap > KEEP_BYTES)
        wz_buf_release(&pieces->own);
    pieces->own.len = 0;
    pieces->own_done = 0;
}
