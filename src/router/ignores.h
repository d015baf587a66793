// SPDX-License-Identifier: Apache-2.0
// The collection `ignores`: each document's name is an MQTT filter of topics that are not kept when
// no rule maps them. Its body is a note for people: {"description": "..."}, or {}.
#pragma once

#include "base/problem.h"
#include "store/store.h"
#include "topic/trie.h"

// WZ_OK when the document may be saved; else WZ_ERR_INVALID with a problem.
WZ_MUST int wz_ignore_check(const char *name, const json_t *body, struct wz_problem *ret_problem);

// The filter in the list, which was checked, that says to ignore TOPIC, the first by name; borrowed
// from the list. NULL: none does.
const char *wz_ignores_find(const struct wz_document_list *list, struct wz_slice topic);

// A trie of all filters in the list, which were checked; the caller owns it. NULL for an empty one.
struct wz_trie *wz_ignores_compile(const struct wz_document_list *list);
