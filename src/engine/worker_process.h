// SPDX-License-Identifier: Apache-2.0
// A worker as the engine sees it: a process of wyze-python and the pipe to it.
#pragma once

#include <uv.h>

#include "engine/courier.h"
#include "engine/intake.h"
#include "engine/pieces.h"

struct wz_worker_process;

// How a process ended.
struct wz_worker_end {
    int64_t exit_code;
    int signal;  // 0 when it exited by itself
    bool closed; // it closed its end of the pipe before, and was killed for that
};

// What is started.
struct wz_worker_program {
    const char *path;
    const char *name;         // of the script
    const char *const *words; // of its sandbox (docs/formats/worker.md), NULL behind them; or NULL
    struct wz_courier *courier; // for what is long; outlives the process; or NULL
    struct wz_mailbox *mail;    // of the loop, if there is a courier
    struct wz_intake *intake;   // of all whose large frames take turns; or NULL
};

// Told on the loop thread; none of these may free the process but EXITED.
struct wz_worker_process_events {
    // Frames may be waiting: take them with wz_worker_process_next until WZ_AGAIN.
    void (*readable)(void *arg);
    // The pipe takes more.
    void (*writable)(void *arg);
    // The process has ended; what it sent before is still to be taken, as above.
    void (*exited)(void *arg, const struct wz_worker_end *end);
    void *arg;
};

// Starts PROGRAM (borrowed during the call): empty environment, its own session, the pipe on
// descriptor 3. WZ_ERR_NOT_FOUND or WZ_ERR_SYSTEM when it cannot be started. The caller owns
// RET_PROCESS and gives it to wz_worker_process_free.
WZ_MUST int wz_worker_process_start(uv_loop_t *uv, const struct wz_worker_program *program,
                                    const struct wz_worker_process_events *events,
                                    struct wz_worker_process **ret_process);

// Whether the pipe takes more now; else WRITABLE is called when it does.
bool wz_worker_process_ready(const struct wz_worker_process *process);

// Where to put frames before wz_worker_process_send, and the buffer in it for bytes of our own.
struct wz_pieces *wz_worker_process_pieces(struct wz_worker_process *process);
struct wz_buf *wz_worker_process_out(struct wz_worker_process *process);

// Writes the frames, at once as far as the pipe takes them; the rest follows by itself.
void wz_worker_process_send(struct wz_worker_process *process);

// The next frame that has come; its payload is valid until the next call. WZ_AGAIN when there is
// none, WZ_ERR_PROTOCOL when the worker sends nonsense.
WZ_MUST int wz_worker_process_next(struct wz_worker_process *process, struct wz_frame *ret_frame);

// Stops reading from the pipe, so that the worker waits; or goes on and calls READABLE.
void wz_worker_process_pause(struct wz_worker_process *process);
void wz_worker_process_resume(struct wz_worker_process *process);

// Whether it is not read from, for others send large frames too.
bool wz_worker_process_waits(const struct wz_worker_process *process);

// Kills the process; EXITED follows. Fine when it has ended.
void wz_worker_process_kill(struct wz_worker_process *process);

// The process's id.
int wz_worker_process_pid(const struct wz_worker_process *process);

// Frees it, after EXITED only (may be from inside it). The handles close in the loop's next turn.
void wz_worker_process_free(struct wz_worker_process *process);
