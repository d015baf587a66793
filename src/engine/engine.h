// SPDX-License-Identifier: Apache-2.0
// The engine: runs the users' scripts over the streams, each in a worker process of its own. All of
// it belongs to the loop thread.
#pragma once

#include "bus/board.h"
#include "bus/bus.h"
#include "bus/desk.h"
#include "engine/accounts.h"
#include "loop/loop.h"
#include "store/store.h"
#include "stream/log.h"

struct wz_engine;

// The section of the board on which each script's state stands.
#define WZ_ENGINE_BOARD "scripts"

// What an engine works with; all that is pointed to outlives it. Numbers: 0 is the default.
struct wz_engine_options {
    struct wz_loop *loop;
    struct wz_bus *bus;
    struct wz_board *board;
    struct wz_desk *desk;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_log *script_log; // what scripts say
    struct wz_journal *journal;
    struct wz_accounts *accounts; // read back and recovered
    const char *worker_path;      // of the program wyze-python
    int64_t max_message_ms;       // a message may take this long; 30 s
    int64_t load_ms;              // a script's top level may, and its init; 10 s
    int64_t drain_ms;             // a worker that is ended may go on this long; 5 s
    int64_t retry_ms;             // a message that failed waits this long, then longer; 100 ms
    size_t max_state_bytes;       // of the state of one worker; 256 MiB
    size_t window_bytes;          // of records in memory for each script and stream; 1 MiB
    size_t max_quarantined;       // messages of one script; 10,000
    bool without_landlock;        // scripts run also where the kernel cannot keep them from files
};

// Called on the loop thread when all workers have ended.
typedef void (*wz_engine_stopped_fn)(void *arg);

// Makes an engine without scripts.
struct wz_engine *wz_engine_new(const struct wz_engine_options *options);

// Makes DOCUMENTS (borrowed during the call, of the collection scripts) all the scripts there are:
// new ones start, changed ones restart behind the last message they answered, others run on, those
// that are gone end. A document that cannot be a script is logged, put on the board as invalid, and
// does not run. Does nothing after wz_engine_stop.
void wz_engine_apply(struct wz_engine *engine, const struct wz_document *documents, size_t count);

// Something has become durable on a stream or in the journal: steps go on that waited for it.
void wz_engine_durable(struct wz_engine *engine);

// Ends all scripts: their workers finish what they hold or are killed at the deadline; then STOPPED
// is called, later than this call returns. Outputs are published up to then.
void wz_engine_stop(struct wz_engine *engine, wz_engine_stopped_fn stopped, void *arg);

// Frees an engine whose STOPPED has been called (may be from inside it); the bus must still be
// there.
void wz_engine_free(struct wz_engine *engine);
