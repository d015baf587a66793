// SPDX-License-Identifier: Apache-2.0
// One worker of a script: its process from loading to its end, what it may take how long, and the
// pause after a crash. What its frames mean is the script's business.
#pragma once

#include <uv.h>

#include "engine/worker_process.h"

enum wz_worker_phase {
    WZ_WORKER_NONE,
    WZ_WORKER_LOADING,   // LOAD sent
    WZ_WORKER_RESTORING, // its state is being read for it
    WZ_WORKER_STARTING,  // START sent
    WZ_WORKER_RUNNING,
    WZ_WORKER_DRAINING, // DRAIN sent, or killed on purpose
    WZ_WORKER_WAITING,  // no process: the timer starts the next
};

// How a worker's process ended.
struct wz_worker_report {
    enum wz_worker_phase phase; // in which
    bool overdue;               // killed because it took too long
    bool killed;                // by somebody else: for want of memory, or a person
    bool unusable;              // the program itself could not begin
    bool lawless;               // it broke the protocol, or closed its pipe
    char why[96];               // for people: "ended by signal 9"
};

struct wz_worker;

// Told on the loop thread; none of them may free the worker but CLOSED.
struct wz_worker_events {
    // A frame that says something about the script. WZ_ERR_BUSY: not now, it comes again after
    // wz_worker_resume; WZ_ERR_PROTOCOL: the process is killed.
    int (*frame)(void *arg, struct wz_worker *worker, const struct wz_frame *frame);
    // It may be given more.
    void (*writable)(void *arg, struct wz_worker *worker);
    // Its process has ended, and all its frames were taken.
    void (*ended)(void *arg, struct wz_worker *worker, const struct wz_worker_report *report);
    // The pause after a crash is over: start it again.
    void (*again)(void *arg, struct wz_worker *worker);
    void (*closed)(void *arg, struct wz_worker *worker);
    void *arg;
};

// Times in milliseconds.
struct wz_worker_options {
    uv_loop_t *uv;
    const char *path;   // of the program
    const char *script; // its name
    const char *const
        *words; // of the sandbox; this, COURIER, MAIL and INTAKE as wz_worker_program has them
    struct wz_courier *courier;
    struct wz_mailbox *mail;
    struct wz_intake *intake;
    int64_t max_message_ms;
    int64_t load_ms;
    int64_t drain_ms;
    struct wz_worker_events events;
};

// Makes a worker without a process; what OPTIONS point to outlives it. NUMBER is the caller's. Give
// it to wz_worker_close.
struct wz_worker *wz_worker_new(const struct wz_worker_options *options, int number);

// Its number, its phase, its process's id (0: none).
int wz_worker_number(const struct wz_worker *worker);
enum wz_worker_phase wz_worker_phase(const struct wz_worker *worker);
int wz_worker_pid(const struct wz_worker *worker);

// Starts a process and sends it LOAD. False when there is none to be started, RET_WHY says why.
WZ_MUST bool wz_worker_start(struct wz_worker *worker, const struct wz_frame_load *load,
                             char *ret_why, size_t cap);

// READY has come: its state is to be read. The time this takes is not the worker's.
void wz_worker_restore(struct wz_worker *worker);

// Sends START.
void wz_worker_begin(struct wz_worker *worker);

// STARTED has come: it runs.
void wz_worker_run(struct wz_worker *worker);

// Whether it takes more now; what is sent then, and the buffer for bytes of our own in it.
bool wz_worker_ready(const struct wz_worker *worker);
struct wz_pieces *wz_worker_pieces(struct wz_worker *worker);
struct wz_buf *wz_worker_out(struct wz_worker *worker);

// Sends what is there. HOLDS: it has records that it has not answered.
void wz_worker_send(struct wz_worker *worker, bool holds);

// It has answered something; HOLDS as above.
void wz_worker_progress(struct wz_worker *worker, bool holds);

// Its frames are not taken any more until wz_worker_resume: what it says cannot be kept now.
void wz_worker_pause(struct wz_worker *worker);
void wz_worker_resume(struct wz_worker *worker);

// Sends DRAIN to one that runs, kills one that does not yet; ENDED comes, in time. Without a
// process, nothing: false.
WZ_MUST bool wz_worker_drain(struct wz_worker *worker);

// Kills it, and takes no more frames: ENDED comes. Without a process, nothing.
void wz_worker_abandon(struct wz_worker *worker);

// Kills it like a crash: frames it has sent are still taken.
void wz_worker_kill(struct wz_worker *worker);

// After DELAY_MS: AGAIN.
void wz_worker_wait(struct wz_worker *worker, int64_t delay_ms);

// Ends the pause, without AGAIN.
void wz_worker_stop_waiting(struct wz_worker *worker);

// Frees it when its handles are closed: then CLOSED, later than this call returns. It has no
// process.
void wz_worker_close(struct wz_worker *worker);
