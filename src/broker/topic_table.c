// SPDX-License-Identifier: Apache-2.0
// Owns a hash table in parts. The upper bits of a topic's hash say which part it belongs to; a part
// is a table with linear probing of its own, a power of two of places, at most three quarters full.
// A part doubles by itself, so at a million topics a put waits for a thousand of them to move, not
// for all.
//
//   hash: [ part: 10 bits | ........ | first place to look at ]
//
// There are no marks for what was removed: those behind it move back, so that what a run of places
// costs depends on the items there are, not on those that were.
#include "broker/topic_table.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

#define PART_BITS 10
#define PARTS ((size_t)1 << PART_BITS)
#define PART_OF(hash) ((hash) >> (64 - PART_BITS))

#define PART_FIRST_SIZE 4

// A place of a part. The hash stands in it, so that another topic's item is not looked at, and none
// is when a part is resized.
struct place {
    uint64_t hash;
    void *item; // NULL: empty
};

struct part {
    struct place *places;
    uint32_t size; // a power of two, or 0
    uint32_t count;
};

struct wz_topic_table {
    wz_topic_table_topic_fn topic_of;
    uint64_t seed;
    struct part parts[PARTS];
};

struct wz_topic_table *wz_topic_table_new(wz_topic_table_topic_fn topic_of)
{
    struct wz_topic_table *table = wz_zalloc(1, sizeof(*table));

    table->topic_of = topic_of;
    table->seed = wz_rand_u64();
    return table;
}

void wz_topic_table_free(struct wz_topic_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < PARTS; i++)
        wz_free(table->parts[i].places);
    wz_free(table);
}

uint64_t wz_topic_table_hash(const struct wz_topic_table *table, struct wz_slice topic)
{
    uint64_t hash = wz_hash(topic, table->seed);
    const struct part *part = &table->parts[PART_OF(hash)];

    if (part->count > 0)
        __builtin_prefetch(&part->places[hash & (part->size - 1)], 1);
    return hash;
}

void *wz_topic_table_get_hashed(const struct wz_topic_table *table, struct wz_slice topic,
                                uint64_t hash)
{
    const struct part *part = &table->parts[PART_OF(hash)];
    size_t mask = (size_t)part->size - 1;
    const struct place *place;

    if (part->count == 0)
        return NULL;
    for (size_t i = hash & mask; (place = &part->places[i])->item != NULL; i = (i + 1) & mask) {
        if (place->hash == hash && wz_slice_eq(table->topic_of(place->item), topic))
            return place->item;
    }
    return NULL;
}

void *wz_topic_table_get(const struct wz_topic_table *table, struct wz_slice topic)
{
    return wz_topic_table_get_hashed(table, topic, wz_hash(topic, table->seed));
}

// Puts into the first empty place; there is one.
static void put_place(struct part *part, struct place place)
{
    size_t mask = (size_t)part->size - 1;
    size_t i = place.hash & mask;

    while (part->places[i].item != NULL)
        i = (i + 1) & mask;
    part->places[i] = place;
}

static void part_resize(struct part *part, uint32_t size)
{
    struct place *old = part->places;
    uint32_t old_size = part->size;

    part->size = size;
    part->places = wz_zalloc(size, sizeof(struct place));
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].item != NULL)
            put_place(part, old[i]);
    }
    wz_free(old);
}

void wz_topic_table_put_hashed(struct wz_topic_table *table, void *item, uint64_t hash)
{
    struct part *part = &table->parts[PART_OF(hash)];

    if (part->size == 0)
        part_resize(part, PART_FIRST_SIZE);
    else if (part->count >= part->size / 4 * 3)
        part_resize(part, part->size * 2);
    put_place(part, (struct place){.hash = hash, .item = item});
    part->count++;
}

void wz_topic_table_put(struct wz_topic_table *table, void *item)
{
    wz_topic_table_put_hashed(table, item, wz_hash(table->topic_of(item), table->seed));
}

// Empties place I. An item behind it moves there when it may stand in front of where it is: when
// the way from the place it would like best to the one it has leads over the empty one.
static void empty_place(struct part *part, size_t i)
{
    size_t mask = (size_t)part->size - 1;

    for (size_t k = (i + 1) & mask; part->places[k].item != NULL; k = (k + 1) & mask) {
        size_t best = part->places[k].hash & mask;

        if (((k - best) & mask) >= ((k - i) & mask)) {
            part->places[i] = part->places[k];
            i = k;
        }
    }
    part->places[i].item = NULL;
}

void wz_topic_table_remove(struct wz_topic_table *table, const void *item)
{
    uint64_t hash = wz_hash(table->topic_of(item), table->seed);
    struct part *part = &table->parts[PART_OF(hash)];
    size_t mask = (size_t)part->size - 1;
    size_t i = hash & mask;

    WZ_ASSERT(part->count > 0);
    while (part->places[i].item != item) {
        WZ_ASSERT(part->places[i].item != NULL);
        i = (i + 1) & mask;
    }
    empty_place(part, i);
    part->count--;
    if (part->size > PART_FIRST_SIZE && part->count < part->size / 8)
        part_resize(part, part->size / 2);
}

void *wz_topic_table_next(const struct wz_topic_table *table, size_t *state)
{
    size_t part_index = *state >> 32;
    uint32_t i = (uint32_t)*state;
    void *item = NULL;

    for (; part_index < PARTS; part_index++, i = 0) {
        const struct part *part = &table->parts[part_index];

        while (i < part->size && (item = part->places[i++].item) == NULL)
            continue;
        if (item != NULL)
            break;
    }
    *state = part_index << 32 | i;
    return item;
}
