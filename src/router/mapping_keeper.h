// SPDX-License-Identifier: Apache-2.0
// Keeps the newest mapping, so that the next one is made from it and from what has changed: reading
// all devices again takes a second where there are a hundred thousand.
//
//   1. wz_mapping_keeper_check, inside each change of documents, makes the next mapping;
//   2. wz_mapping_keeper_take, once the change counts, gives it.
//
// Store thread.
#pragma once

#include "router/mapping.h"

// All zero knows none.
struct wz_mapping_keeper {
    struct wz_mapping *newest; // of the documents that count, or NULL
    struct wz_mapping *next;   // of a change that may count yet, or NULL
};

// Frees what it holds.
void wz_mapping_keeper_release(struct wz_mapping_keeper *keeper);

// Makes the mapping of the documents in VIEW; errors as wz_mapping_build.
WZ_MUST int wz_mapping_keeper_check(struct wz_mapping_keeper *keeper, struct wz_store_view *view,
                                    struct wz_problem *ret_problem);

// Gives the mapping of the documents in VIEW, which count now: a reference, the caller's. Errors as
// wz_mapping_build.
WZ_MUST int wz_mapping_keeper_take(struct wz_mapping_keeper *keeper, struct wz_store_view *view,
                                   struct wz_mapping **ret_mapping, struct wz_problem *ret_problem);
