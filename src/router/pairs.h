// SPDX-License-Identifier: Apache-2.0
// Pairs of texts, found by either side: a device id and its route, a subtopic and its channel. Made
// once for a known number of pairs, in three allocations and little memory.
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum wz_side {
    WZ_SIDE_PHYSICAL,
    WZ_SIDE_LOGICAL,
    WZ_SIDE_COUNT,
};

// One pair: where its two texts stand in the bytes of all, one behind the other.
struct wz_pair {
    uint32_t pos;
    uint16_t len[WZ_SIDE_COUNT];
};

// A place in a table: a pair's number + 1, 0 for none, and a part of its text's hash, which tells
// most other texts apart without a look at them.
struct wz_pair_slot {
    uint32_t number;
    uint32_t tag;
};

// All zero is a set without pairs that owns nothing.
struct wz_pairs {
    struct wz_buf text;
    struct wz_pair *items;
    uint32_t count;
    uint32_t cap;
    uint32_t mask; // of both tables
    struct wz_pair_slot *slots[WZ_SIDE_COUNT];
    size_t longest[WZ_SIDE_COUNT];
    uint64_t seed;
};

// Makes room for CAP pairs.
void wz_pairs_init(struct wz_pairs *pairs, uint32_t cap);

// Frees what it holds.
void wz_pairs_release(struct wz_pairs *pairs);

// Adds a pair of texts of at most 65,535 bytes each. WZ_ERR_EXISTS when one of them is there on its
// side already: RET_INDEX is then that pair, else the one that was added.
WZ_MUST int wz_pairs_add(struct wz_pairs *pairs, struct wz_slice physical, struct wz_slice logical,
                         uint32_t *ret_index);

// Finds the pair that has TEXT on SIDE.
bool wz_pairs_find(const struct wz_pairs *pairs, enum wz_side side, struct wz_slice text,
                   uint32_t *ret_index);

// Finds the pair whose text on SIDE is the longest that TEXT begins with, ending where TEXT ends or
// has a SEPARATOR.
bool wz_pairs_find_longest(const struct wz_pairs *pairs, enum wz_side side, struct wz_slice text,
                           uint8_t separator, uint32_t *ret_index);

// A text of a pair, borrowed as long as the set lives and nothing is added.
static inline struct wz_slice wz_pairs_get(const struct wz_pairs *pairs, uint32_t index,
                                           enum wz_side side)
{
    const struct wz_pair *pair = &pairs->items[index];

    return wz_slice(pairs->text.ptr + pair->pos + (side == WZ_SIDE_PHYSICAL ? 0 : pair->len[0]),
                    pair->len[side]);
}
