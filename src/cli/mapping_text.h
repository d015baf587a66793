// SPDX-License-Identifier: Apache-2.0
// The router's mapping file, ready templates and suggestions, and what router, passthrough and
// scripts make of a message, as the functions that the API is given for them (gateway/api.h): the
// gateway itself never includes router and engine.
#pragma once

#include "gateway/api.h"

// A wz_api_import_fn; ARG is not used. Any thread.
WZ_MUST int wz_mapping_text_import(void *arg, struct wz_slice text,
                                   const struct wz_api_documents *documents,
                                   struct wz_api_changes *ret_changes,
                                   struct wz_problem *ret_problem);

// A wz_api_explain_fn; ARG is not used. Any thread.
WZ_MUST int wz_mapping_text_explain(void *arg, const struct wz_api_documents *documents,
                                    struct wz_slice topic, struct wz_slice body, json_t **ret_steps,
                                    struct wz_problem *ret_problem);

// A wz_api_suggest_fn; ARG is not used. Any thread.
void wz_mapping_text_suggest(void *arg, const struct wz_api_documents *documents, json_t *items);

// A wz_api_accept_fn; ARG is not used. Any thread.
WZ_MUST int wz_mapping_text_accept(void *arg, const struct wz_api_documents *documents,
                                   const json_t *items, const json_t *wish, json_t **ret_devices,
                                   struct wz_problem *ret_problem);

// A wz_api_export_fn; ARG is not used. Any thread.
WZ_MUST int wz_mapping_text_export(void *arg, const struct wz_api_documents *documents,
                                   struct wz_buf *ret_text, struct wz_problem *ret_problem);

// A wz_api_ready_fn: the ready templates. Any thread.
json_t *wz_mapping_text_ready(enum wz_collection collection, size_t index, const char **ret_name);
