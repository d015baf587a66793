// SPDX-License-Identifier: Apache-2.0
// What makes documents fit to be saved, for the server and for a process without one.
#pragma once

#include "store/store.h"

// A wz_store_check_fn: refuses what could not be mapped or run. ARG is a struct wz_mapping_keeper,
// or NULL where nobody takes the mappings. Store thread.
WZ_MUST int wz_document_check(void *arg, struct wz_store_view *view,
                              struct wz_problem *ret_problem);
