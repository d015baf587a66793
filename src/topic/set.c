// SPDX-License-Identifier: Apache-2.0
// Owns a table of pointers with linear probing, at most half full, that shrinks again. The pointers
// are ours, not a peer's, so their hash needs no secret.
#include "topic/set.h"

#include <stddef.h>

#include "base/mem.h"

// The smallest table.
#define WZ_SET_CAP_MIN 4

void wz_set_release(struct wz_set *set)
{
    if (set->cap > 0)
        wz_free(set->table);
    *set = (struct wz_set){0};
}

static uint32_t home(const struct wz_set *set, const void *value)
{
    uint64_t bits = (uint64_t)(uintptr_t)value * 0x9e3779b97f4a7c15u;

    return (uint32_t)(bits >> 32) & (set->cap - 1);
}

// The place of VALUE, or the empty one where it would go.
static uint32_t find(const struct wz_set *set, const void *value)
{
    uint32_t i = home(set, value);

    while (set->table[i] != NULL && set->table[i] != value)
        i = (i + 1) & (set->cap - 1);
    return i;
}

static void resize(struct wz_set *set, uint32_t cap)
{
    struct wz_set old = *set;
    uint32_t walk = 0;

    set->cap = cap;
    set->table = wz_zalloc(cap, sizeof(*set->table));
    for (void *value; (value = wz_set_next(&old, &walk)) != NULL;)
        set->table[find(set, value)] = value;
    wz_set_release(&old);
}

bool wz_set_add(struct wz_set *set, void *value)
{
    uint32_t i;

    if (set->cap == 0) {
        if (set->count == 0) {
            set->value = value;
            set->count = 1;
            return true;
        }
        if (set->value == value)
            return false;
        resize(set, WZ_SET_CAP_MIN);
    }
    i = find(set, value);
    if (set->table[i] == value)
        return false;
    set->table[i] = value;
    set->count++;
    if (set->count > set->cap / 2)
        resize(set, set->cap * 2);
    return true;
}

// Closes the gap at I: members that were pushed past it move back, so no probing stops short.
static void close_gap(struct wz_set *set, uint32_t i)
{
    uint32_t mask = set->cap - 1;

    for (uint32_t j = (i + 1) & mask; set->table[j] != NULL; j = (j + 1) & mask) {
        uint32_t want = home(set, set->table[j]);

        if (((j - want) & mask) >= ((j - i) & mask)) {
            set->table[i] = set->table[j];
            i = j;
        }
    }
    set->table[i] = NULL;
}

// Goes back to the form without a table.
static void keep_last(struct wz_set *set)
{
    uint32_t walk = 0;
    void *value = wz_set_next(set, &walk);

    wz_free(set->table);
    *set = (struct wz_set){.value = value, .count = 1};
}

bool wz_set_remove(struct wz_set *set, void *value)
{
    uint32_t i;

    if (set->cap == 0) {
        if (set->count == 0 || set->value != value)
            return false;
        *set = (struct wz_set){0};
        return true;
    }
    i = find(set, value);
    if (set->table[i] == NULL)
        return false;
    close_gap(set, i);
    set->count--;
    if (set->count == 1)
        keep_last(set);
    else if (set->cap > WZ_SET_CAP_MIN && set->count < set->cap / 8)
        resize(set, set->cap / 4);
    return true;
}

void *wz_set_next(const struct wz_set *set, uint32_t *state)
{
    if (set->cap == 0)
        return (*state)++ < set->count ? set->value : NULL;
    while (*state < set->cap) {
        void *value = set->table[(*state)++];

        if (value != NULL)
            return value;
    }
    return NULL;
}
