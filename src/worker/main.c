// SPDX-License-Identifier: Apache-2.0
// wyze-python: one process for one script. It speaks the protocol of docs/formats/worker.md on
// descriptor 3 and has no other way to the outside but what its words grant. Usage:
// wyze-python NAME PARENT-PID [WORD]...
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/call.h"
#include "worker/context.h"
#include "worker/interpreter.h"
#include "worker/printer.h"
#include "worker/sandbox.h"
#include "worker/user_script.h"

// Messages are taken in and acked before scripts run: where all processors are busy, the loop and
// the writers of wyze get nine times what a script gets.
#define NICE 10

struct wz_worker {
    struct wz_channel channel;
    struct wz_body_codec codec;
    struct wz_state state;
    struct wz_user_script script;
    struct wz_context *context;
    struct wz_caller caller;
    bool started;
    char refusal[512]; // why no script can run here; empty: one can
};

// Leaves nothing but the pipe, and dies with its parent. The thread that made the process is the
// engine's loop thread: PDEATHSIG follows that thread.
static bool detach(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        return false;
    // A terminal's Ctrl-C is for wyze alone. The session stays wyze's: each session may get the
    // same share of the processors, and then a priority counts within one only (sched(7),
    // autogroup).
    if (getpgrp() != getpid() && setpgid(0, 0) < 0)
        return false;
    // Behind wyze, whatever priority that has; without it, it runs all the same.
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE);
    if (close_range(WZ_CHANNEL_FD + 1, ~0U, 0) < 0)
        return false;
    return fcntl(WZ_CHANNEL_FD, F_SETFD, FD_CLOEXEC) == 0 &&
           fcntl(WZ_CHANNEL_FD, F_SETFL, 0) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR &&
           signal(SIGINT, SIG_IGN) != SIG_ERR;
}

static void send_invalid(struct wz_worker *worker, const struct wz_fault *fault)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_invalid invalid = {
        .line = fault->line,
        .column = fault->column,
        .reason = wz_buf_slice(&fault->reason),
        .traceback = wz_buf_slice(&fault->traceback),
    };

    wz_frame_put_invalid(&buf, &invalid);
    wz_channel_send(&worker->channel, wz_buf_slice(&buf));
}

static bool set_identity(struct wz_worker *worker, const struct wz_frame_load *load)
{
    PyObject *name =
        PyUnicode_DecodeUTF8((const char *)load->name.ptr, (Py_ssize_t)load->name.len, "replace");
    PyObject *config =
        load->config.len > 0 ? wz_body_decode(&worker->codec, load->config) : PyDict_New();

    if (!name || !config)
        return false;
    Py_SETREF(worker->context->script, name);
    Py_SETREF(worker->context->config, config);
    return true;
}

// Returns WZ_END when the script may not run: the reason has been sent.
static int load_script(struct wz_worker *worker, struct wz_slice payload)
{
    WZ_AUTO(wz_fault_release) struct wz_fault fault = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_load load;

    if (worker->script.handle_input || wz_frame_get_load(payload, &load) != WZ_OK)
        return WZ_ERR_PROTOCOL;
    if (worker->refusal[0]) {
        wz_buf_add_str(&fault.reason, worker->refusal);
        send_invalid(worker, &fault);
        return WZ_END;
    }
    if (!set_identity(worker, &load)) {
        wz_user_script_fault(&worker->script, &fault);
        send_invalid(worker, &fault);
        return WZ_END;
    }
    if (!wz_user_script_load(&worker->script, load.name, load.code, &fault)) {
        send_invalid(worker, &fault);
        return WZ_END;
    }
    worker->caller.laned = load.laned;
    wz_frame_put_empty(&buf, WZ_FRAME_READY);
    wz_channel_send(&worker->channel, wz_buf_slice(&buf));
    return WZ_OK;
}

static int keep_state(struct wz_worker *worker, struct wz_slice payload)
{
    struct wz_frame_entry entry;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    if (!worker->script.handle_input || worker->started)
        return WZ_ERR_PROTOCOL;
    while (r == WZ_OK) {
        r = wz_frame_next_entry(&it, &entry);
        if (r == WZ_OK && (entry.removed || !wz_state_load(&worker->state, &entry)))
            r = WZ_ERR_PROTOCOL;
    }
    return r == WZ_END ? WZ_OK : r;
}

static int start_script(struct wz_worker *worker)
{
    WZ_AUTO(wz_fault_release) struct wz_fault fault = {0};

    if (!worker->script.handle_input || worker->started)
        return WZ_ERR_PROTOCOL;
    worker->started = true;
    if (wz_call_init(&worker->caller, &fault))
        return WZ_OK;
    send_invalid(worker, &fault);
    return WZ_END;
}

static int handle_batch(struct wz_worker *worker, struct wz_slice payload)
{
    struct wz_frame_record record;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    if (!worker->started)
        return WZ_ERR_PROTOCOL;
    while (r == WZ_OK) {
        r = wz_frame_next_record(&it, &record);
        if (r == WZ_OK)
            wz_call_handle_input(&worker->caller, &record);
    }
    return r == WZ_END ? WZ_OK : r;
}

static int drain(struct wz_worker *worker)
{
    wz_call_stop(&worker->caller, worker->started);
    wz_channel_flush(&worker->channel);
    return WZ_END;
}

static int dispatch(struct wz_worker *worker, const struct wz_frame *frame)
{
    switch (frame->type) {
    case WZ_FRAME_LOAD:
        return load_script(worker, frame->payload);
    case WZ_FRAME_STATE:
        return keep_state(worker, frame->payload);
    case WZ_FRAME_START:
        return start_script(worker);
    case WZ_FRAME_BATCH:
        return handle_batch(worker, frame->payload);
    case WZ_FRAME_DRAIN:
        return drain(worker);
    default:
        return WZ_ERR_PROTOCOL;
    }
}

static bool set_up(struct wz_worker *worker, size_t state_bytes)
{
    if (!wz_context_register() || !wz_interpreter_start())
        return false;
    if (wz_body_codec_init(&worker->codec) && wz_user_script_init(&worker->script)) {
        wz_state_init(&worker->state, &worker->codec, state_bytes);
        worker->context = wz_context_new(&worker->channel, &worker->codec);
        worker->caller.context = worker->context;
        worker->caller.script = &worker->script;
        if (worker->context && wz_printer_install(worker->context))
            return true;
    }
    PyErr_Print();
    return false;
}

int main(int argc, char **argv)
{
    static struct wz_worker worker = {
        .channel = {.fd = WZ_CHANNEL_FD, .state = &worker.state},
    };
    struct wz_sandbox sandbox;
    struct wz_frame frame;
    int r;

    if (argc < 3 || !wz_sandbox_read(argv + 3, argc - 3, &sandbox) ||
        !detach((pid_t)strtol(argv[2], NULL, 10))) {
        fprintf(stderr, "wyze-python runs the scripts of wyze, which starts it: "
                        "wyze-python NAME PARENT-PID [WORD]...\n");
        return WZ_WORKER_EXIT_USAGE;
    }
    if (!set_up(&worker, sandbox.state_bytes))
        return WZ_WORKER_EXIT_PYTHON;
    // Nothing of the user's has run so far; a refusal is the answer to LOAD.
    if (!wz_sandbox_enter(&sandbox, worker.refusal, sizeof(worker.refusal)) && !worker.refusal[0])
        return WZ_WORKER_EXIT_PYTHON;
    do {
        r = wz_channel_next(&worker.channel, &frame);
        if (r == WZ_OK)
            r = dispatch(&worker, &frame);
    } while (r == WZ_OK);
    // Without taking Python down: a script's threads and finalizers must not keep the process.
    _exit(r == WZ_END ? WZ_CHANNEL_EXIT_OK : WZ_CHANNEL_EXIT_PROTOCOL);
}
