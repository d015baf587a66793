// SPDX-License-Identifier: Apache-2.0
// A table that finds an item by its topic, for millions of them: 16 bytes a place, and no put that
// waits for the whole of it to grow. Loop thread only.
#pragma once

#include "base/slice.h"

struct wz_topic_table;

// What the table takes for an item, usually: a place, and an empty one beside it.
#define WZ_TOPIC_TABLE_COST 32

// The topic of an item, borrowed from it.
typedef struct wz_slice (*wz_topic_table_topic_fn)(const void *item);

// Makes an empty table of items whose topics TOPIC_OF tells; they stay as they are while an item is
// there. The caller frees it.
struct wz_topic_table *wz_topic_table_new(wz_topic_table_topic_fn topic_of);

// Frees the table; the items are the caller's. NULL is fine.
void wz_topic_table_free(struct wz_topic_table *table);

// The item of TOPIC, or NULL.
void *wz_topic_table_get(const struct wz_topic_table *table, struct wz_slice topic);

// Puts ITEM, not NULL, whose topic is not there yet.
void wz_topic_table_put(struct wz_topic_table *table, void *item);

// The hash of TOPIC in this table, for the functions below. It has the place that they look at
// first fetched into the cache: who has many topics asks for the hashes of some ahead.
uint64_t wz_topic_table_hash(const struct wz_topic_table *table, struct wz_slice topic);

// As wz_topic_table_get and wz_topic_table_put, for a topic whose hash is known.
void *wz_topic_table_get_hashed(const struct wz_topic_table *table, struct wz_slice topic,
                                uint64_t hash);
void wz_topic_table_put_hashed(struct wz_topic_table *table, void *item, uint64_t hash);

// Takes ITEM out, which is there.
void wz_topic_table_remove(struct wz_topic_table *table, const void *item);

// The next item of a walk, in no order, or NULL; start with *STATE zero. Nothing may be put or
// removed meanwhile. The items are not looked at, so who frees the table next may free them.
void *wz_topic_table_next(const struct wz_topic_table *table, size_t *state);
