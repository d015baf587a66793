// SPDX-License-Identifier: Apache-2.0
// A script on trial: a worker as scripts run in, given records one at a time, on a libuv loop of
// its own. No bus, no journal: what it puts out and keeps goes no further than this struct and its
// events. For programs without a loop; every call waits for its end.
#pragma once

#include "wire/frames.h"

struct wz_trial;

// Told while a call waits; what they are given is borrowed for the call.
struct wz_trial_events {
    // An output of a call that has ended well.
    void (*output)(void *arg, const struct wz_frame_item *item);
    void (*log)(void *arg, const struct wz_frame_log *line);
    // The script looks back: adds a FOUND frame.
    void (*query)(void *arg, const struct wz_frame_query *asked, struct wz_buf *ret_frame);
    // Why the script may not run.
    void (*invalid)(void *arg, const struct wz_frame_invalid *invalid);
    void *arg;
};

// Times in milliseconds.
struct wz_trial_options {
    const char *path;         // of wyze-python; borrowed for the call
    const char *const *words; // of its sandbox, as wz_worker_program has them; as long as the trial
    struct wz_frame_load load; // the script; borrowed as long as the trial
    int64_t load_ms;           // its top level and init may take so long
    int64_t max_message_ms;    // a call may
    int signal;                // when the process gets it, calls return WZ_ERR_CLOSED; 0: none
    struct wz_trial_events events;
};

// What became of a call. All zero is a new one; release it.
struct wz_trial_result {
    bool failed;          // it raised an exception, went over a limit, or its process died
    bool ended;           // it has ended the script: no more records can be given
    struct wz_buf reason; // the traceback, how the process died, or the remark
    int64_t time_us;      // from giving the record to its answer
};

// Starts a worker with an empty state and waits until it runs. WZ_ERR_INVALID when the script may
// not run (INVALID was told, or its process died: then it was not), WZ_ERR_SYSTEM or
// WZ_ERR_NOT_FOUND when no worker can be started, WZ_ERR_CLOSED by the signal. The caller owns
// RET_TRIAL.
WZ_MUST int wz_trial_open(const struct wz_trial_options *options, struct wz_trial **ret_trial);

// Ends its process and frees it; NULL is fine.
void wz_trial_close(struct wz_trial *trial);

// Gives it a record and waits for the answer, which goes into RET_RESULT in place of what is there.
// A process that died is started anew with the state as the last call that ended well left it.
// Errors as above; then RET_RESULT says nothing.
WZ_MUST int wz_trial_give(struct wz_trial *trial, const struct wz_frame_record *record,
                          struct wz_trial_result *ret_result);

// Calls the script's stop, as when a server stops in good order. As above.
WZ_MUST int wz_trial_stop(struct wz_trial *trial, struct wz_trial_result *ret_result);

// How many keys its state has.
size_t wz_trial_state_count(const struct wz_trial *trial);

// Frees what a result holds.
void wz_trial_result_release(struct wz_trial_result *result);
