// SPDX-License-Identifier: Apache-2.0
// What a handler answers a request with. Each request is answered once; all on the API's thread.
#pragma once

#include "gateway/request.h"

// Adds a field to the answer's head; before the answer. VALUE must be free of control characters.
void wz_answer_field(struct wz_request *req, const char *name, const char *value, ...)
    __attribute__((format(printf, 3, 4)));

// Answers with a JSON value, whose reference is taken over.
void wz_answer_json(struct wz_request *req, int status, json_t *value);

// Answers with a text of the media type TYPE, which is copied.
void wz_answer_text(struct wz_request *req, int status, const char *type, struct wz_slice text);

// Answers with 204 and nothing.
void wz_answer_nothing(struct wz_request *req);

// Answers with a problem as RFC 9457 has it; STATUS 0 stands for the status of its error.
void wz_answer_problem(struct wz_request *req, int status, const struct wz_problem *problem);

// Answers with content that NEXT makes bit by bit from SOURCE, which FREE_SOURCE frees.
void wz_answer_content(struct wz_request *req, const char *type, wz_content_fn next, void *source,
                       wz_source_free_fn free_source);

// The HTTP status of an error.
int wz_answer_status(int err);

// The title of a code in base/codes.h, or a general one.
const char *wz_answer_title(int code);
