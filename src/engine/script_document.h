// SPDX-License-Identifier: Apache-2.0
// A script as the store holds it: {"description", "code", "bindings": [{"stream", "pattern"}],
// "active", "config", "workers", "durable", "limits", "grants", "start"}; all but code may be left
// out.
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/problem.h"
#include "engine/grants.h"
#include "stream/moment.h"

// The most bindings and workers of one script, and bytes of its name.
#define WZ_SCRIPT_BINDINGS_MAX 1000
#define WZ_SCRIPT_WORKERS_MAX 64
#define WZ_SCRIPT_NAME_MAX 255

// The streams that scripts read; the numbers go over the pipe to the worker.
enum wz_script_stream {
    WZ_SCRIPT_RAW,
    WZ_SCRIPT_PROCESSED,
    WZ_SCRIPT_STREAM_COUNT,
};

// One binding; the pattern borrows from the document's body.
struct wz_script_binding {
    enum wz_script_stream stream;
    struct wz_slice pattern;
};

// A document taken apart. It holds a reference to BODY, from which all slices borrow.
struct wz_script_document {
    json_t *body;
    struct wz_slice code;
    struct wz_buf config; // compact JSON text
    bool active;
    bool durable; // positions and state outlive a crash, each input counts once
    int workers;
    struct wz_script_binding *bindings;
    size_t binding_count;
    struct wz_grants grants; // and limits
    struct wz_moment start;  // where it begins on a stream that it has no position on
};

// Says whether BODY can be saved as the script NAME: known members only, each of its type, code and
// name there, patterns valid. WZ_OK, or WZ_ERR_INVALID with RET_PROBLEM (which may be NULL). Any
// thread. Whether the code is good Python is not looked at.
WZ_MUST int wz_script_document_check(const char *name, json_t *body,
                                     struct wz_problem *ret_problem);

// Takes apart a body that wz_script_document_check accepts; START is then as seen from now. The
// caller releases RET_DOCUMENT.
void wz_script_document_init(struct wz_script_document *ret_document, json_t *body);

// Frees what it holds.
void wz_script_document_release(struct wz_script_document *document);

// The word of a stream ("raw").
const char *wz_script_stream_word(enum wz_script_stream stream);
