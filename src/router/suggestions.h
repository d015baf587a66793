// SPDX-License-Identifier: Apache-2.0
// What a person may want to do about topics in the inbox: a device whose document would map them,
// or a filter to ignore them by. Pure.
#pragma once

#include <jansson.h>

#include "base/problem.h"
#include "store/store.h"

// Looks at ITEMS, the inbox's list, and gives each the member "suggestion" if there is one:
// {"device": id, "document": {"route": .., "template": ..}, "topic": the logical topic it would
// have, "because": text}, or {"ignore": filter, "because": text}. All devices suggested can be
// saved together: they were checked with what is in LISTS.
void wz_suggest(const struct wz_document_list lists[WZ_COLLECTION_COUNT], json_t *items);

// The devices that a person has accepted, as an object of documents by id, which the caller owns.
// ITEMS have their suggestions; WISH has "topic" and may have "device", "route", "template", and
// "alike", true for all devices like this one. A device that is in LISTS keeps what is not wished
// otherwise. WZ_ERR_NOT_FOUND or WZ_ERR_INVALID with a problem, also where the topic would not be
// mapped then.
WZ_MUST int wz_suggestions_accept(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                                  const json_t *items, const json_t *wish, json_t **ret_devices,
                                  struct wz_problem *ret_problem);
