// SPDX-License-Identifier: Apache-2.0
// The list of what is in the inbox, as JSON, made on the pool from a copy of what was seen.
#pragma once

#include <jansson.h>

#include "router/mapping.h"
#include "router/seen_topics.h"
#include "topic/trie.h"

// Topics that are listed when nobody says how many, and the most.
#define WZ_INBOX_LIST_TOPICS 100

// One listing: all of it is its own but the wish.
struct wz_inbox_list {
    const json_t *wish; // "limit"; may be NULL
    struct wz_seen *items;
    uint32_t count;
    struct wz_mapping *mapping; // what it maps is not listed
    json_t *answer;             // an object, to which "items" and "more" are added
};

// Lists the topics, those with the highest counts first. Any thread.
void wz_inbox_list_make(struct wz_inbox_list *list);

// Frees what it holds.
void wz_inbox_list_release(struct wz_inbox_list *list);

// Whether a filter in the trie matches TOPIC.
bool wz_inbox_trie_has(const struct wz_trie *trie, struct wz_slice topic);
