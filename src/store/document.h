// SPDX-License-Identifier: Apache-2.0
// What a document's name and body may be, and the body's way to text and back.
#pragma once

#include "base/buf.h"
#include "store/store.h"

// Whether NAME may name a document: 1 to WZ_DOCUMENT_NAME_MAX bytes of UTF-8 without control
// characters. WZ_ERR_INVALID with a problem.
WZ_MUST int wz_document_check_name(enum wz_collection collection, const char *name,
                                   struct wz_problem *ret_problem);

// Adds BODY as compact JSON text to RET_TEXT. WZ_ERR_INVALID when it is no object,
// WZ_ERR_TOO_LARGE when the text is longer than WZ_DOCUMENT_BODY_MAX; with a problem.
WZ_MUST int wz_document_encode(enum wz_collection collection, const char *name, const json_t *body,
                               struct wz_buf *ret_text, struct wz_problem *ret_problem);

// The body whose text is S; the caller owns RET_BODY. WZ_ERR_CORRUPT, without a problem, when it is
// not an object in JSON.
WZ_MUST int wz_document_decode(struct wz_slice s, json_t **ret_body);

// Frees what a document holds.
void wz_document_release(struct wz_document *document);
