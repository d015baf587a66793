// SPDX-License-Identifier: Apache-2.0
// A request that is about all documents: they are fetched, in one state, then it is answered from
// them, or with what it changes, all or nothing.
//
//   1. wz_gather_begin;
//   2. GO is called with the documents; it answers and ends with wz_gather_free, or fills CHANGES
//      and calls wz_gather_apply, or wz_gather_refuse;
//   3. what was applied is answered with the number of changes, or APPLIED is called.
#pragma once

#include "gateway/api.h"
#include "gateway/request.h"

struct wz_gather;
typedef void (*wz_gather_fn)(struct wz_gather *gather);

struct wz_gather {
    struct wz_store_call call;
    struct wz_request *req;
    struct wz_api_documents documents;
    struct wz_store_state state; // in which they were
    struct wz_api_changes changes;
    wz_gather_fn go;
    bool exact;                  // changes are made to the state that GO saw, or GO is called again
    int tries;                   // so often
    wz_gather_fn applied;        // NULL: answer and end; else it does that
    struct wz_buf words[2];      // what GO wants to know of the request; NULL bytes: not given
    void *arg;                   // what else its owner has to do with the request,
    void (*free_arg)(void *arg); // freed with the gathering; NULL: not
};

// Makes a gathering for a request. NULL when there is no store: the request is answered then.
struct wz_gather *wz_gather_new(struct wz_request *req, wz_gather_fn go);

// Fetches the documents and calls GO.
void wz_gather_begin(struct wz_gather *gather);

// Whether the request's If-Match, if it has one, is the tag of TEXT, which says what the documents
// are now. Else it is answered with 412 and the tag, and ended.
bool wz_gather_still(struct wz_gather *gather, struct wz_slice text);

// Answers with TEXT, which says what the documents are, and its tag. Ends it.
void wz_gather_tell(struct wz_gather *gather, const char *type, struct wz_slice text);

// Makes the changes, then goes on as APPLIED says; ends it when they are refused.
void wz_gather_apply(struct wz_gather *gather);

// Answers with the problem. Ends it.
void wz_gather_refuse(struct wz_gather *gather, struct wz_problem *problem);

// Ends it; the request is answered already.
void wz_gather_free(struct wz_gather *gather);
