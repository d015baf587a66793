// SPDX-License-Identifier: Apache-2.0
// Owns chunks of items, in an array that is sorted by their numbers, with room at both ends. A
// chunk goes when nothing in it is there any more, but for the last one: that is used again for
// what comes next, so who always takes out at once what he has put in allocates nothing.
#include "broker/sparse.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

// Arrays of so many chunks are not made smaller.
#define CAP_SMALL 64

struct wz_sparse_chunk {
    uint64_t index; // its items' numbers / WZ_SPARSE_CHUNK
    uint64_t there; // a bit of each item
    uint8_t items[];
};

_Static_assert(WZ_SPARSE_CHUNK == 64, "a chunk has a bit for each item");

static uint64_t index_of(uint64_t number) { return number / WZ_SPARSE_CHUNK; }

static uint64_t bit_of(uint64_t number) { return (uint64_t)1 << number % WZ_SPARSE_CHUNK; }

static struct wz_sparse_chunk *chunk_at(const struct wz_sparse *sparse, uint32_t pos)
{
    return sparse->chunks[sparse->begin + pos];
}

static void *item_of(const struct wz_sparse *sparse, struct wz_sparse_chunk *chunk, uint64_t number)
{
    return chunk->items + number % WZ_SPARSE_CHUNK * sparse->item_bytes;
}

void wz_sparse_release(struct wz_sparse *sparse)
{
    for (uint32_t i = 0; i < sparse->chunk_count; i++)
        wz_free(chunk_at(sparse, i));
    wz_free(sparse->chunks);
    *sparse = (struct wz_sparse){.item_bytes = sparse->item_bytes};
}

// The position of the first chunk whose index is not below INDEX; the count when there is none.
// Where chunks follow one another without a gap from the first on, or up to the last, the limits of
// the search are the answer already.
static uint32_t seek(const struct wz_sparse *sparse, uint64_t index)
{
    uint32_t low = 0;
    uint32_t high = sparse->chunk_count;
    uint64_t behind;

    if (high == 0 || index > chunk_at(sparse, high - 1)->index)
        return high;
    behind = chunk_at(sparse, high - 1)->index - index;
    if (behind < high - 1)
        low = high - 1 - (uint32_t)behind;
    if (chunk_at(sparse, low)->index >= index)
        return low;
    if (index - chunk_at(sparse, 0)->index < high)
        high = (uint32_t)(index - chunk_at(sparse, 0)->index);
    // The one at LOW is below, the one at HIGH is not.
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (chunk_at(sparse, middle)->index < index)
            low = middle;
        else
            high = middle;
    }
    return high;
}

void *wz_sparse_at(const struct wz_sparse *sparse, uint64_t number)
{
    uint32_t pos = seek(sparse, index_of(number));
    struct wz_sparse_chunk *chunk;

    if (pos == sparse->chunk_count)
        return NULL;
    chunk = chunk_at(sparse, pos);
    if (chunk->index != index_of(number) || (chunk->there & bit_of(number)) == 0)
        return NULL;
    return item_of(sparse, chunk, number);
}

// Moves the chunks within their array, which grows if it is nearly full: to its front, or to its
// middle when the room is wanted in front of them.
static void rearrange(struct wz_sparse *sparse, bool in_front)
{
    uint32_t begin = 0;

    if (sparse->cap - sparse->chunk_count <= sparse->chunk_count / 4) {
        sparse->cap = sparse->chunk_count + sparse->chunk_count / 2 + 4;
        sparse->chunks = wz_realloc(sparse->chunks, sparse->cap * sizeof(sparse->chunks[0]));
    }
    if (in_front)
        begin = (sparse->cap - sparse->chunk_count + 1) / 2;
    memmove(sparse->chunks + begin, sparse->chunks + sparse->begin,
            sparse->chunk_count * sizeof(sparse->chunks[0]));
    sparse->begin = begin;
}

// Makes room for one more chunk at POS, on the side where fewer have to move.
static struct wz_sparse_chunk **insert(struct wz_sparse *sparse, uint32_t pos)
{
    bool in_front = pos < sparse->chunk_count / 2;
    struct wz_sparse_chunk **at;

    if (in_front ? sparse->begin == 0 : sparse->begin + sparse->chunk_count == sparse->cap)
        rearrange(sparse, in_front);
    if (in_front) {
        sparse->begin--;
        at = sparse->chunks + sparse->begin;
        memmove(at, at + 1, pos * sizeof(*at));
        at += pos;
    } else {
        at = sparse->chunks + sparse->begin + pos;
        memmove(at + 1, at, (sparse->chunk_count - pos) * sizeof(*at));
    }
    sparse->chunk_count++;
    return at;
}

void *wz_sparse_add(struct wz_sparse *sparse, uint64_t number)
{
    uint64_t index = index_of(number);
    uint32_t pos = seek(sparse, index);
    struct wz_sparse_chunk *chunk = NULL;

    if (pos < sparse->chunk_count)
        chunk = chunk_at(sparse, pos);
    else if (pos > 0 && chunk_at(sparse, pos - 1)->there == 0)
        chunk = chunk_at(sparse, pos - 1); // the last one, which is empty
    if (chunk != NULL && chunk->there == 0 && chunk->index < index)
        chunk->index = index;
    if (chunk == NULL || chunk->index != index) {
        chunk = wz_alloc(sizeof(*chunk) + (size_t)WZ_SPARSE_CHUNK * sparse->item_bytes);
        chunk->index = index;
        chunk->there = 0;
        *insert(sparse, pos) = chunk;
    }
    if ((chunk->there & bit_of(number)) == 0) {
        memset(item_of(sparse, chunk, number), 0, sparse->item_bytes);
        chunk->there |= bit_of(number);
        sparse->count++;
    }
    return item_of(sparse, chunk, number);
}

void wz_sparse_remove(struct wz_sparse *sparse, uint64_t number)
{
    uint32_t pos = seek(sparse, index_of(number));
    struct wz_sparse_chunk **at = sparse->chunks + sparse->begin + pos;
    struct wz_sparse_chunk *chunk;

    WZ_ASSERT(pos < sparse->chunk_count && (*at)->index == index_of(number) &&
              ((*at)->there & bit_of(number)) != 0);
    chunk = *at;
    chunk->there &= ~bit_of(number);
    sparse->count--;
    if (chunk->there != 0 || pos == sparse->chunk_count - 1)
        return;
    wz_free(chunk);
    sparse->chunk_count--;
    if (pos < sparse->chunk_count / 2) {
        at = sparse->chunks + sparse->begin;
        memmove(at + 1, at, pos * sizeof(*at));
        sparse->begin++;
    } else {
        memmove(at, at + 1, (sparse->chunk_count - pos) * sizeof(*at));
    }
    if (sparse->cap > CAP_SMALL && sparse->chunk_count < sparse->cap / 8) {
        memmove(sparse->chunks, sparse->chunks + sparse->begin, sparse->chunk_count * sizeof(*at));
        sparse->begin = 0;
        sparse->cap /= 4;
        sparse->chunks = wz_realloc(sparse->chunks, sparse->cap * sizeof(*at));
    }
}

uint64_t wz_sparse_next(const struct wz_sparse *sparse, uint64_t number)
{
    uint64_t index = index_of(number);

    for (uint32_t pos = seek(sparse, index); pos < sparse->chunk_count; pos++) {
        const struct wz_sparse_chunk *chunk = chunk_at(sparse, pos);
        uint64_t there = chunk->there;

        if (chunk->index == index)
            there &= UINT64_MAX << number % WZ_SPARSE_CHUNK;
        if (there != 0)
            return chunk->index * WZ_SPARSE_CHUNK + (uint64_t)__builtin_ctzll(there);
    }
    return UINT64_MAX;
}
