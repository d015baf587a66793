// SPDX-License-Identifier: Apache-2.0
// One request to the API and its answer. It knows no socket: the server's connections and the
// command line, when no server runs, make the same requests and take the same answers.
#pragma once

#include <jansson.h>

#include "base/list.h"
#include "base/problem.h"
#include "gateway/http.h"

struct wz_api;
struct wz_request;
struct wz_route;

// The largest body of a request.
#define WZ_REQUEST_BODY_MAX (2 * 1024 * 1024)

// The most captures of a route.
#define WZ_REQUEST_CAPTURES 2

enum wz_method {
    WZ_METHOD_GET, // HEAD too
    WZ_METHOD_PUT,
    WZ_METHOD_POST,
    WZ_METHOD_PATCH,
    WZ_METHOD_DELETE,
    WZ_METHOD_OTHER,
};

// Adds more of an answer's content to RET_BUF, about BUDGET bytes at the most. WZ_OK when it is to
// be called again, WZ_AGAIN when there is nothing now (the request is woken when there is), WZ_END
// at the end, or a failure, after which the connection is cut.
typedef int (*wz_content_fn)(struct wz_request *req, struct wz_buf *ret_buf, size_t budget);

// Told on the API's thread that there is an answer, or more of it.
typedef void (*wz_request_wake_fn)(void *arg);

// Frees what an answer is made from.
typedef void (*wz_source_free_fn)(void *source);

// A request. Whoever asked holds one reference, each piece of work under way for it another.
struct wz_request {
    struct wz_api *api;
    int refs;
    struct wz_list live; // in the API's list of those that wait for new records

    struct wz_buf head_bytes; // what HEAD borrows from
    struct wz_http_head head;
    enum wz_method method;
    bool head_only;
    struct wz_slice path;  // encoded
    struct wz_slice query; // encoded
    const struct wz_route *route;
    struct wz_buf captures[WZ_REQUEST_CAPTURES]; // decoded
    struct wz_buf body;

    bool answered;
    int status;
    struct wz_buf fields;  // of the answer's head, whole lines
    struct wz_buf content; // all of it, unless next_content is there
    wz_content_fn next_content;
    void *source;
    wz_source_free_fn free_source;

    wz_request_wake_fn wake; // NULL when nobody waits any more
    void *wake_arg;
};

// Makes a request from the bytes of a head, which are copied. The result of reading them is in
// RET_ERR: when it is negative the request can only be refused. The caller has a reference.
struct wz_request *wz_request_new(struct wz_api *api, struct wz_slice head, int *ret_err);

// One more reference.
struct wz_request *wz_request_ref(struct wz_request *req);

// Gives a reference back; the last one frees. NULL is fine.
void wz_request_unref(struct wz_request *req);

// Nobody waits for the answer any more; gives the asker's reference back. NULL is fine.
void wz_request_abandon(struct wz_request *req);

// Tells who asked that there is more to be had.
void wz_request_wake(struct wz_request *req);

// Capture number INDEX of the route, decoded, as a C string.
const char *wz_request_capture(struct wz_request *req, size_t index);

// The query's parameter NAME, decoded, into RET_BUF: WZ_ERR_NOT_FOUND when there is none,
// WZ_ERR_INVALID with the problem filled.
WZ_MUST int wz_request_param(struct wz_request *req, const char *name, struct wz_buf *ret_buf,
                             struct wz_problem *ret_problem);

// The body as a JSON object, which the caller owns, or NULL with the problem filled.
json_t *wz_request_object(struct wz_request *req, struct wz_problem *ret_problem);
