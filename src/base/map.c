// SPDX-License-Identifier: Apache-2.0
// Owns a hash table with linear probing, at most three quarters full. The first table has room for
// one entry, for thousands of maps hold no more.
#include "base/map.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

// The smallest tables: the first, and those that follow.
#define SIZE_FIRST 2
#define SIZE_SECOND 8

static const uint8_t removed_mark;

static uint32_t hash_of(const struct wz_map *map, struct wz_slice key)
{
    return (uint32_t)wz_hash(key, map->seed);
}

static struct wz_map_slot *find(const struct wz_map *map, struct wz_slice key, uint32_t hash)
{
    size_t mask = map->size - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct wz_map_slot *slot = &map->slots[i];

        if (slot->value == NULL && slot->key == NULL)
            return NULL;
        if (slot->value != NULL && slot->hash == hash &&
            wz_slice_eq(wz_slice(slot->key, slot->key_len), key))
            return slot;
    }
}

static void place(struct wz_map *map, struct wz_map_slot entry)
{
    size_t mask = map->size - 1;
    size_t i = entry.hash & mask;

    while (map->slots[i].value != NULL || map->slots[i].key != NULL)
        i = (i + 1) & mask;
    map->slots[i] = entry;
}

static void resize(struct wz_map *map)
{
    struct wz_map_slot *old = map->slots;
    size_t old_size = map->size;

    if (map->size == 0) {
        map->seed = wz_rand_u64();
        map->size = SIZE_FIRST;
    } else if (map->count * 2 < SIZE_SECOND) {
        map->size = SIZE_SECOND;
    }
    while (map->size < (map->count + 1) * 2)
        map->size *= 2;
    map->slots = wz_zalloc(map->size, sizeof(*map->slots));
    map->used = map->count;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].value != NULL)
            place(map, old[i]);
    }
    wz_free(old);
}

void wz_map_release(struct wz_map *map)
{
    wz_free(map->slots);
    *map = (struct wz_map){0};
}

void *wz_map_get(const struct wz_map *map, struct wz_slice key)
{
    struct wz_map_slot *slot;

    if (map->count == 0)
        return NULL;
    slot = find(map, key, hash_of(map, key));
    return slot != NULL ? slot->value : NULL;
}

void *wz_map_put(struct wz_map *map, struct wz_slice key, void *value)
{
    struct wz_map_slot entry = {.key = key.ptr, .value = value, .key_len = (uint32_t)key.len};

    WZ_ASSERT(key.len <= UINT32_MAX);
    if (key.ptr == NULL)
        entry.key = &removed_mark; // an empty key still marks its place as used
    if ((map->used + 1) * 4 > map->size * 3)
        resize(map);
    entry.hash = hash_of(map, key);
    if (map->count > 0) {
        struct wz_map_slot *slot = find(map, key, entry.hash);

        if (slot != NULL) {
            void *before = slot->value;

            *slot = entry;
            return before;
        }
    }
    place(map, entry);
    map->count++;
    map->used++;
    return NULL;
}

void *wz_map_remove(struct wz_map *map, struct wz_slice key)
{
    struct wz_map_slot *slot;
    void *value;

    if (map->count == 0)
        return NULL;
    slot = find(map, key, hash_of(map, key));
    if (slot == NULL)
        return NULL;
    value = slot->value;
    slot->value = NULL;
    slot->key = &removed_mark;
    map->count--;
    return value;
}

void *wz_map_next(const struct wz_map *map, size_t *state)
{
    while (*state < map->size) {
        void *value = map->slots[(*state)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}
