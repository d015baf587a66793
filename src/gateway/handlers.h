// SPDX-License-Identifier: Apache-2.0
// The handlers of the route table. Each takes a request whose route and captures are filled, on the
// API's thread, and answers it, at once or when what it asked for has come back.
#pragma once

#include "gateway/request.h"

// status.c: how the program is.
void wz_handle_livez(struct wz_request *req);
void wz_handle_readyz(struct wz_request *req);
void wz_handle_metrics(struct wz_request *req);
void wz_handle_openapi(struct wz_request *req);
void wz_handle_version(struct wz_request *req);
void wz_handle_status(struct wz_request *req);

// configuration.c: all documents.
void wz_handle_configuration_get(struct wz_request *req);
void wz_handle_configuration_put(struct wz_request *req);

// mapping.c: the mapping as text.
void wz_handle_mapping_get(struct wz_request *req);
void wz_handle_mapping_put(struct wz_request *req);
void wz_handle_mapping_test(struct wz_request *req);

// inbox.c: messages that no rule maps.
void wz_handle_inbox_list(struct wz_request *req);
void wz_handle_inbox_topic(struct wz_request *req);
void wz_handle_inbox_accept(struct wz_request *req);
void wz_handle_inbox_reenter(struct wz_request *req);
void wz_handle_inbox_forget(struct wz_request *req);

// publish.c: a message into the system.
void wz_handle_publish(struct wz_request *req);

// streams.c, records.c, live.c: what is on the streams.
void wz_handle_streams(struct wz_request *req);
void wz_handle_stream(struct wz_request *req);
void wz_handle_records(struct wz_request *req);
void wz_handle_live(struct wz_request *req);

// trim.c: old records are to go.
void wz_handle_stream_trim(struct wz_request *req);

// scripts.c: what the engine does. The first answers a request that has removed the document of the
// script NAME (borrowed from the request) with 204, when no crash can bring back what the script
// has kept.
void wz_answer_script_removed(struct wz_request *req, const char *name);
void wz_handle_script_restart(struct wz_request *req);
void wz_handle_script_state(struct wz_request *req);
void wz_handle_engine_restart(struct wz_request *req);
void wz_handle_quarantine_list(struct wz_request *req);
void wz_handle_quarantine_get(struct wz_request *req);
void wz_handle_quarantine_retry(struct wz_request *req);
void wz_handle_quarantine_retry_many(struct wz_request *req);
void wz_handle_quarantine_drop(struct wz_request *req);
void wz_handle_quarantine_drop_many(struct wz_request *req);

// versions.c: what scripts' documents were before.
void wz_handle_script_versions(struct wz_request *req);
void wz_handle_script_version(struct wz_request *req);

// documents.c: the store.
void wz_handle_document_list(struct wz_request *req);
void wz_handle_document_get(struct wz_request *req);
void wz_handle_document_put(struct wz_request *req);
void wz_handle_document_patch(struct wz_request *req);
void wz_handle_document_delete(struct wz_request *req);
