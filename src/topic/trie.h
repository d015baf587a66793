// SPDX-License-Identifier: Apache-2.0
// The subscription trie: from a topic to all values whose patterns match it, at a cost that follows
// the topic's depth and not the number of patterns.
#pragma once

#include "topic/pattern.h"

struct wz_trie;

// Makes an empty trie for FORM, which must outlive it.
struct wz_trie *wz_trie_new(const struct wz_topic_form *form);

// Frees it; the values are the caller's.
void wz_trie_free(struct wz_trie *trie);

// Puts VALUE, not NULL, at PATTERN, which must be valid; a pattern may hold any number of values,
// and each of them once: WZ_ERR_EXISTS when it is there already, WZ_ERR_LIMIT when the pattern has
// more words than WZ_TRIE_DEPTH_MAX.
WZ_MUST int wz_trie_add(struct wz_trie *trie, struct wz_slice pattern, void *value);

// Takes VALUE away from PATTERN; WZ_ERR_NOT_FOUND when it is not there. Nodes that became empty go.
int wz_trie_remove(struct wz_trie *trie, struct wz_slice pattern, void *value);

// Called for each value whose pattern matches; once for each (pattern, value).
typedef void (*wz_trie_match_fn)(void *arg, void *value);

// Calls FN for all matches of TOPIC, in no particular order. The trie must be neither changed nor
// matched from inside FN. A topic with more words than WZ_TRIE_DEPTH_MAX matches nothing. Steps
// through marks inside the nodes, so two threads must not match in one trie at a time.
void wz_trie_match(const struct wz_trie *trie, struct wz_slice topic, wz_trie_match_fn fn,
                   void *arg);

// How many (pattern, value) pairs there are.
size_t wz_trie_count(const struct wz_trie *trie);

// Patterns and topics of more words are refused.
#define WZ_TRIE_DEPTH_MAX 128
