// SPDX-License-Identifier: Apache-2.0
// What script.c, script_status.c, script_frames.c and outcome.c share of a script.
#pragma once

#include "engine/beginning.h"
#include "engine/commits.h"
#include "engine/query.h"
#include "engine/script.h"
#include "engine/script_log.h"
#include "engine/state_load.h"
#include "engine/worker.h"

enum wz_script_status {
    WZ_SCRIPT_STOPPED,
    WZ_SCRIPT_STARTING,
    WZ_SCRIPT_VALID,
    WZ_SCRIPT_RUNNING,
    WZ_SCRIPT_INVALID,
    WZ_SCRIPT_PARKED,
};

// What people are told beside the status.
struct wz_script_remark {
    char *text; // NULL: none
    char *traceback;
    uint32_t line;
    uint32_t column;
};

// One worker's share of a script.
struct wz_script_share {
    struct wz_script *script;
    struct wz_worker *worker;
    struct wz_state_load *load;
    uint64_t restore_mark; // of wz_commits_mark: what its state is to have
    struct wz_query *query;
    int64_t started_us; // when it began to run
    int failures;       // crashes in a row
};

struct wz_script {
    struct wz_script_links links;
    const struct wz_script_parts *parts;
    char *name;
    int64_t revision;
    json_t *next_body; // the document to switch to when the workers have ended
    struct wz_script_document document;
    enum wz_script_status status;
    struct wz_script_remark remark;
    struct wz_account *account;
    struct wz_commits commits;
    struct wz_inputs inputs;
    struct wz_position positions[WZ_SCRIPT_STREAM_COUNT]; // while it takes nothing
    int64_t ends[WZ_SCRIPT_STREAM_COUNT];                 // where they ended when DOCUMENT came
    struct wz_beginning beginning;
    uint64_t stop_mark; // of wz_commits_mark, while SETTLING
    struct wz_script_share *shares;
    int share_count;
    size_t state_bound; // what the account's state may count for; 0: no worker has it yet
    struct wz_egress egress;
    struct wz_script_log log;
    uv_timer_t lanes;    // the next lane that waits is due
    uv_timer_t deadline; // of steps that are not durable at the end
    int open_workers;
    int open_timers;
    bool bound;        // it takes from the streams
    bool document_ran; // this one has
    bool begins;       // a position is where it begins, and was not kept yet
    bool settling;     // it does not run, and is said to be stopped when where it begins is kept
    bool closing;
    bool forget; // its document is gone
    bool again;  // it is to run anew when the workers have ended
    bool halting;
    bool waits_for_bus;
    bool waits_for_steps; // to close
    enum wz_halt halt;
    int64_t halt_revision;
    char *halt_remark;
    uint64_t window; // of the last messages: 1 for each that was given up
    uint64_t window_high;
    int window_count;
    int64_t in_count;
    int64_t error_count;
    int64_t retry_count;
    int64_t restart_count;
    int64_t gap_count;
};

// Asks for wz_script_pump.
void wz_script_feed(struct wz_script *script);

// Asks for wz_script_resume.
void wz_script_wait_for_bus(struct wz_script *script);

// Lets lanes go on that are due, and sees to it that the next one will.
void wz_script_open_lanes(struct wz_script *script);

// Says that it is not to run any more, in the step at hand; then end its workers.
void wz_script_halt(struct wz_script *script, enum wz_halt halt, struct wz_slice remark);
void wz_script_end_workers(struct wz_script *script);

// The share of that worker.
static inline struct wz_script_share *wz_script_share_of(struct wz_script *script,
                                                         const struct wz_worker *worker)
{
    return &script->shares[wz_worker_number(worker)];
}

// Whether worker NUMBER holds records.
static inline bool wz_script_holds(const struct wz_script *script, int number)
{
    return wz_inputs_held(&script->inputs, number) > 0;
}

// script_status.c: what is said of it. A remark is copied, and replaces the one before.
void wz_script_set_status(struct wz_script *script, enum wz_script_status status);
void wz_script_clear_remark(struct wz_script *script);
void wz_script_set_remark(struct wz_script *script, const char *text);

// What it has missed is said for as long as there is nothing worse to say.
void wz_script_remark_gap(struct wz_script *script);

// Its code is wrong: says why, also in its log. The slices are borrowed.
void wz_script_become_invalid(struct wz_script *script, const struct wz_frame_invalid *invalid);

// script_frames.c: a worker has said something, or has room again; for struct wz_worker_events,
// with the script as ARG.
int wz_script_take_frame(void *arg, struct wz_worker *worker, const struct wz_frame *frame);
void wz_script_take_room(void *arg, struct wz_worker *worker);

// Reads its state for a worker, when the journal has all of it.
void wz_script_restore_share(struct wz_script *script, struct wz_script_share *share);
