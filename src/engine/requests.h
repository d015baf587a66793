// SPDX-License-Identifier: Apache-2.0
// What people ask of the engine: its counter at the desk (part "scripts"). Loop thread only.
//
//   what            args               answer
//   restart         -                  {}: it starts anew, also when it was terminated or parked
//   restart-all     -                  {}
//   forget          -                  {}: its document is gone, and when this is answered a crash
//                                      leaves nothing of it to a script of that name, or
//                                      the disk takes nothing
//   quarantine      after, limit       {"items": [...], "last": number, "more": bool}
//   quarantine      number             {"items": [one, with body, traceback, state], ...}
//   retry           number             {"count": 1}
//   retry           after, limit       {"count": n, "last": number, "more": bool}: in order
//   drop            number             {"count": 1}
//   drop            after, limit       {"count": n, "last": number, "more": bool}
//   state           after, limit       {"items": [...], "next": n, "more": bool}
#pragma once

#include "bus/desk.h"
#include "engine/script.h"

struct wz_requests;

// The script NAME, or NULL: one that is not closing.
typedef struct wz_script *(*wz_requests_find_fn)(void *arg, const char *name);

// Restarts all scripts.
typedef void (*wz_requests_restart_fn)(void *arg);

struct wz_requests_options {
    struct wz_loop *loop;
    struct wz_desk *desk;
    struct wz_journal *journal;
    struct wz_accounts *accounts;
    wz_requests_find_fn find;
    wz_requests_restart_fn restart_all;
    void *arg;
};

// Serves at the desk from here on.
struct wz_requests *wz_requests_new(const struct wz_requests_options *options);

// Told when more of the journal is durable, or why nothing is: what was put a moment ago can be
// read then.
void wz_requests_durable(struct wz_requests *requests);

// Serves no more; what is under way is answered with WZ_ERR_CLOSED. The loop must run until reads
// under way have come back.
void wz_requests_free(struct wz_requests *requests);
