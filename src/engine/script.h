// SPDX-License-Identifier: Apache-2.0
// One script: its document, its inputs, its workers, its steps, and what becomes of it when it
// fails.
#pragma once

#include <uv.h>

#include "base/list.h"
#include "bus/bus.h"
#include "engine/accounts.h"
#include "engine/courier.h"
#include "engine/feeds.h"
#include "engine/script_document.h"
#include "loop/loop.h"

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
    struct wz_loop *loop;
    struct wz_bus *bus;
    struct wz_feeds *feeds;
    struct wz_courier *courier; // or NULL
    struct wz_intake *intake;   // of all their workers
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
    struct wz_log *script_log;
    struct wz_journal *journal;
    struct wz_accounts *accounts;
    const char *worker_path;
    int64_t max_message_ms; // a message may take this long
    int64_t load_ms;        // the top level and init may, each
    int64_t drain_ms;       // a worker may finish what it holds for this long
    int64_t retry_ms;       // a message that failed waits this long, then four times, 16 times
    size_t max_state_bytes; // of the state of one worker, with WZ_STATE_ENTRY_COST for each entry
    size_t window_bytes;    // of records in memory
    size_t max_quarantined; // messages of one script; more, and it is parked
    bool without_landlock;  // scripts run also where the kernel cannot keep them from files
    struct wz_script_events events;
};

// A message is tried this often; of so many of the last WZ_SCRIPT_WINDOW ones at least, more than
// half may not be given up, or the script is parked.
#define WZ_SCRIPT_ATTEMPTS 4
#define WZ_SCRIPT_WINDOW 100
#define WZ_SCRIPT_WINDOW_MIN 10

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
// does not differ in what runs changes nothing but the revision; else the workers finish what they
// hold, and new ones go on behind it.
void wz_script_apply(struct wz_script *script, int64_t revision, json_t *body);

// Gives waiting records to the workers.
void wz_script_pump(struct wz_script *script);

// Goes on after BUSY.
void wz_script_resume(struct wz_script *script);

// Something has become durable.
void wz_script_durable(struct wz_script *script);

// Keeps its positions, if they are further on than what is kept.
void wz_script_keep(struct wz_script *script);

// Ends a halt (terminated, parked) and starts it, or starts its workers anew.
void wz_script_restart(struct wz_script *script);

// Gives a message in quarantine to the script again. WZ_ERR_NOT_FOUND when there is none of that
// number, WZ_ERR_BUSY when it is with a worker already, WZ_ERR_CLOSED when the script does not run.
// BODY is its value in the journal (wz_quarantine_get).
WZ_MUST int wz_script_retry(struct wz_script *script, uint64_t number, struct wz_slice value);

// Takes a message out of quarantine for good. WZ_ERR_NOT_FOUND, WZ_ERR_BUSY as above.
WZ_MUST int wz_script_drop(struct wz_script *script, uint64_t number);

// Its account: for who lists quarantine and state.
struct wz_account *wz_script_account(struct wz_script *script);

// Ends it: the workers finish what they hold, or are killed when that takes too long; what they did
// becomes durable as far as the disk takes it; then GONE. FORGET: its document is gone, and so is
// what the journal has of it; a crash from here on leaves nothing of it to a script of its name.
void wz_script_close(struct wz_script *script, bool forget);

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
