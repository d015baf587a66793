// SPDX-License-Identifier: Apache-2.0
// One script: its document, its sources, its worker, and what becomes of it.
#pragma once

#include <uv.h>

#include "base/list.h"
#include "bus/bus.h"
#include "engine/script_document.h"
#include "stream/log.h"

struct wz_script;

// What a script tells the engine; it must not be freed from inside any of these but GONE.
struct wz_script_events {
    void (*fed)(void *arg, struct wz_script *script); // call wz_script_pump at the turn's end
    void (*busy)(void *arg,
                 struct wz_script *script); // call wz_script_resume when the bus is ready
    void (*changed)(void *arg, struct wz_script *script); // its status is another
    void (*counted)(void *arg, struct wz_script *script); // a counter is another
    void (*gone)(void *arg, struct wz_script *script);    // closed: free it with wz_script_free
    void *arg;
};

// What all scripts of an engine share; outlives them.
struct wz_script_parts {
    uv_loop_t *uv;
    struct wz_bus *bus;
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
    const char *worker_path;
    int64_t max_message_ms; // a message may take this long
    int64_t load_ms;        // the top level and init may, each
    int64_t drain_ms;       // a worker may finish what it holds for this long
    size_t window_bytes;    // of records in memory
    bool without_landlock;  // scripts run also where the kernel cannot keep them from files
    struct wz_script_events events;
};

// Links by which the engine keeps its scripts in its own lists.
struct wz_script_links {
    struct wz_list all;
    struct wz_list fed;
    struct wz_list busy;
    struct wz_list counted;
};

// Makes a script without a document. The caller owns it: wz_script_close, then wz_script_free.
struct wz_script *wz_script_new(const struct wz_script_parts *parts, const char *name);

// Gives it a document, which wz_script_document_check has accepted (a reference is taken). One that
// does not differ in what runs changes nothing but the revision; else the worker finishes what it
// holds, and a new one goes on behind it.
void wz_script_apply(struct wz_script *script, int64_t revision, json_t *body);

// Gives waiting records to the worker.
void wz_script_pump(struct wz_script *script);

// Goes on after BUSY.
void wz_script_resume(struct wz_script *script);

// Ends it: the worker finishes what it holds, or is killed when that takes too long; then GONE.
void wz_script_close(struct wz_script *script);

// Whether it has been closed.
bool wz_script_closing(const struct wz_script *script);

// Frees a script that is gone.
void wz_script_free(struct wz_script *script);

// Its name, borrowed.
const char *wz_script_name(const struct wz_script *script);

// Its links, for the engine.
struct wz_script_links *wz_script_links(struct wz_script *script);

// The script of a link in one of those lists.
#define WZ_SCRIPT_OF(link, list)                                                                   \
    wz_script_of_links(WZ_CONTAINER(link, struct wz_script_links, list))
struct wz_script *wz_script_of_links(struct wz_script_links *links);

// Its state for people: status, remark, revision, line and traceback when invalid, counters. The
// caller owns the reference.
json_t *wz_script_describe(const struct wz_script *script);
