// SPDX-License-Identifier: Apache-2.0
// The table of what the API answers. docs/openapi.json describes the same; a test holds them
// together.
#pragma once

#include "gateway/request.h"

// Answers a request, at once or later.
typedef void (*wz_handler_fn)(struct wz_request *req);

// A line of the table. PATH holds captures in braces, each for one segment. BODY_MAX is for paths
// without captures only; 0 stands for WZ_REQUEST_BODY_MAX.
struct wz_route {
    enum wz_method method;
    const char *path;
    wz_handler_fn handle;
    size_t body_max;
};

// The table and its length.
extern const struct wz_route wz_routes[];
extern const size_t wz_route_count;

// The name of a method ("GET").
const char *wz_route_method_name(enum wz_method method);

// Finds the request's route and fills its captures. WZ_ERR_NOT_FOUND for an unknown path, with
// paths that may be meant; WZ_ERR_UNSUPPORTED when the path does not know the method, RET_ALLOW
// then holds those it knows ("GET, PUT"); WZ_ERR_INVALID for wrong percent-encoding. The problem is
// filled.
WZ_MUST int wz_route_find(struct wz_request *req, struct wz_buf *ret_allow,
                          struct wz_problem *ret_problem);

// The largest body that the request's route takes, in bytes; also before wz_route_find.
size_t wz_route_body_max(const struct wz_request *req);

// Whether the request asks how the program is: that is answered at once, whatever is under way.
bool wz_route_is_vital(const struct wz_request *req);

// Fills the problem of a path at which there is nothing, with one that may be meant; returns
// WZ_ERR_NOT_FOUND.
int wz_route_refuse(struct wz_request *req, struct wz_problem *ret_problem);
