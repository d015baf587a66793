// SPDX-License-Identifier: Apache-2.0
// The desk: where one part is asked to do something by others that do not know it. Asked from any
// thread, served and answered on the loop thread.
#pragma once

#include <jansson.h>

#include "base/problem.h"
#include "loop/mailbox.h"

struct wz_desk;
struct wz_loop;

// One question. The asker owns it, and all that it points to, until DONE has run on the thread of
// REPLY_TO.
struct wz_desk_call {
    struct wz_mail mail;
    const char *part; // who is asked ("scripts")
    const char *what; // for what ("restart")
    const char *name; // of what ("dice")
    json_t *args;     // borrowed by who serves; may be NULL
    struct wz_mailbox *reply_to;
    wz_mail_fn done; // gets &mail

    struct wz_desk *desk; // the desk's
    int result;           // WZ_OK, or an error with PROBLEM
    struct wz_problem problem;
    json_t *answer; // the asker's reference; may be NULL
};

// Serves a call on the loop thread: wz_desk_answer, now or later.
typedef void (*wz_desk_serve_fn)(void *arg, struct wz_desk_call *call);

// Makes a desk at which nobody serves. The caller frees it, when nobody asks any more.
struct wz_desk *wz_desk_new(struct wz_loop *loop);

// Frees it; NULL is fine.
void wz_desk_free(struct wz_desk *desk);

// Makes SERVE answer the calls for PART (a literal), or nobody when it is NULL. Loop thread.
void wz_desk_serve(struct wz_desk *desk, const char *part, wz_desk_serve_fn serve, void *arg);

// Asks, from any thread. WZ_ERR_BUSY when too much is under way, WZ_ERR_CLOSED at the end: then
// DONE does not run.
WZ_MUST int wz_desk_ask(struct wz_desk *desk, struct wz_desk_call *call);

// Answers a call, on the loop thread; RESULT below 0 has its problem in the call. ANSWER's
// reference is taken over.
void wz_desk_answer(struct wz_desk_call *call, int result, json_t *answer);
