// SPDX-License-Identifier: Apache-2.0
// Owns two hash tables, open addressing with linear probing, at most half full, over one run of
// text.
#include "router/pairs.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

void wz_pairs_init(struct wz_pairs *pairs, uint32_t cap)
{
    uint32_t size = 4;

    while (size < 2 * (uint64_t)cap)
        size *= 2;
    *pairs = (struct wz_pairs){.cap = cap, .mask = size - 1, .seed = wz_rand_u64()};
    pairs->items = wz_zalloc(cap, sizeof(pairs->items[0]));
    for (int side = 0; side < WZ_SIDE_COUNT; side++)
        pairs->slots[side] = wz_zalloc(size, sizeof(pairs->slots[side][0]));
}

void wz_pairs_release(struct wz_pairs *pairs)
{
    for (int side = 0; side < WZ_SIDE_COUNT; side++)
        wz_free(pairs->slots[side]);
    wz_free(pairs->items);
    wz_buf_release(&pairs->text);
    *pairs = (struct wz_pairs){0};
}

// The slot where TEXT, of that HASH, stands on SIDE, or where it would.
static struct wz_pair_slot *find_slot(const struct wz_pairs *pairs, enum wz_side side,
                                      struct wz_slice text, uint64_t hash)
{
    struct wz_pair_slot *slots = pairs->slots[side];
    uint32_t tag = (uint32_t)(hash >> 32);
    uint32_t i = (uint32_t)hash & pairs->mask;

    while (
        slots[i].number != 0 &&
        (slots[i].tag != tag || !wz_slice_eq(wz_pairs_get(pairs, slots[i].number - 1, side), text)))
        i = (i + 1) & pairs->mask;
    return &slots[i];
}

int wz_pairs_add(struct wz_pairs *pairs, struct wz_slice physical, struct wz_slice logical,
                 uint32_t *ret_index)
{
    struct wz_slice texts[WZ_SIDE_COUNT] = {physical, logical};
    struct wz_pair_slot *slots[WZ_SIDE_COUNT];
    uint64_t hashes[WZ_SIDE_COUNT];
    struct wz_pair *pair = &pairs->items[pairs->count];

    WZ_ASSERT(pairs->count < pairs->cap && pairs->text.len <= UINT32_MAX);
    for (int side = 0; side < WZ_SIDE_COUNT; side++) {
        WZ_ASSERT(texts[side].len <= UINT16_MAX);
        hashes[side] = wz_hash(texts[side], pairs->seed);
        slots[side] = find_slot(pairs, (enum wz_side)side, texts[side], hashes[side]);
        if (slots[side]->number == 0)
            continue;
        *ret_index = slots[side]->number - 1;
        return WZ_ERR_EXISTS;
    }
    pair->pos = (uint32_t)pairs->text.len;
    for (int side = 0; side < WZ_SIDE_COUNT; side++) {
        wz_buf_add_slice(&pairs->text, texts[side]);
        pair->len[side] = (uint16_t)texts[side].len;
        if (texts[side].len > pairs->longest[side])
            pairs->longest[side] = texts[side].len;
        *slots[side] = (struct wz_pair_slot){pairs->count + 1, (uint32_t)(hashes[side] >> 32)};
    }
    *ret_index = pairs->count++;
    return WZ_OK;
}

bool wz_pairs_find(const struct wz_pairs *pairs, enum wz_side side, struct wz_slice text,
                   uint32_t *ret_index)
{
    uint32_t number;

    if (pairs->count == 0 || text.len > pairs->longest[side])
        return false;
    number = find_slot(pairs, side, text, wz_hash(text, pairs->seed))->number;
    if (number != 0)
        *ret_index = number - 1;
    return number != 0;
}

bool wz_pairs_find_longest(const struct wz_pairs *pairs, enum wz_side side, struct wz_slice text,
                           uint8_t separator, uint32_t *ret_index)
{
    size_t len = text.len;

    if (len > pairs->longest[side]) // whatever a peer sends, no more than this is hashed
        len = pairs->longest[side];
    for (; len > 0; len--)
        if ((len == text.len || text.ptr[len] == separator) &&
            wz_pairs_find(pairs, side, wz_slice(text.ptr, len), ret_index))
            return true;
    return false;
}
