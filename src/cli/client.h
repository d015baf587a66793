// SPDX-License-Identifier: Apache-2.0
// The command line's side of the API: a connection to the server, or to the API in this process
// when no server runs.
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/problem.h"

struct wz_client;

// How to find the API.
struct wz_client_options {
    const char *url;  // "http://127.0.0.1:5081"; NULL: the socket in the data folder
    const char *data; // the data folder
    unsigned needs;   // WZ_LOCAL_*: what does without a server; 0: a server must run
    int timeout_s;    // of an answer that does not come; 0: 30
};

// What is asked. METHOD and TARGET as in HTTP; FIELDS are further lines of the head, or NULL.
struct wz_ask {
    const char *method;
    const char *target;
    const char *fields;
    struct wz_slice body;
};

// An answer. The caller releases it.
struct wz_reply {
    int status;
    int64_t revision; // of its ETag, or 0
    struct wz_buf content;
};

// Connects. WZ_ERR_UNREACHABLE, with a problem that says how to start a server, when none answers.
// The caller owns RET_CLIENT.
WZ_MUST int wz_client_open(const struct wz_client_options *options, struct wz_client **ret_client,
                           struct wz_problem *ret_problem);

// Closes it; NULL is fine.
void wz_client_close(struct wz_client *client);

// Whether a server answers, and not this process itself.
bool wz_client_remote(const struct wz_client *client);

// Sends a request and reads the head of its answer; its content is then read with wz_client_next.
WZ_MUST int wz_client_begin(struct wz_client *client, const struct wz_ask *ask,
                            struct wz_reply *ret_reply, struct wz_problem *ret_problem);

// Adds the next piece of the answer's content; WZ_END at its end.
WZ_MUST int wz_client_next(struct wz_client *client, struct wz_buf *ret_buf,
                           struct wz_problem *ret_problem);

// Sends a request and reads its whole answer. A status of 400 and above is a failure: the problem
// is what the answer says, its err the one that stands for the status.
WZ_MUST int wz_client_ask(struct wz_client *client, const struct wz_ask *ask,
                          struct wz_reply *ret_reply, struct wz_problem *ret_problem);

// The answer's content as JSON, which the caller owns; NULL, with the problem filled, when it is
// not.
json_t *wz_client_json(const struct wz_reply *reply, struct wz_problem *ret_problem);

// Frees what a reply holds.
void wz_client_release_reply(struct wz_reply *reply);
