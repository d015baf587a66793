// SPDX-License-Identifier: Apache-2.0
// Owns the life of a worker's process:
//
//   none -> loading -> restoring -> starting -> running -> draining -> none
//              |           |           |           |
//              +-----------+-----------+-----------+--> ended --> waiting --> (again) loading
#include "engine/worker.h"

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct wz_worker {
    struct wz_worker_options options;
    int number;
    enum wz_worker_phase phase;
    struct wz_worker_process *process;
    uv_timer_t timer;
    bool ended;   // the process has, its frames are still being taken
    bool broken;  // its frames are no longer taken
    bool lawless; // because it broke the protocol
    bool paused;
    bool overdue;
    bool frame_open; // FRAME has not been worked off
    struct wz_frame frame;
    struct wz_worker_end end;
    int64_t progress_us;  // when a result came, or the first record was given
    int64_t last_look_us; // when one more turn was given to it, though it seemed to take too long
    bool holds;
};

static void set_timer(struct wz_worker *worker, uv_timer_cb fn, int64_t ms)
{
    wz_ignore(
        uv_timer_start(&worker->timer, fn, (uint64_t)ms, 0)); // fails on a closing handle only
}

static void stop_timer(struct wz_worker *worker)
{
    (void)uv_timer_stop(&worker->timer); // cannot fail
}

static void on_overdue(uv_timer_t *timer)
{
    struct wz_worker *worker = timer->data;

    worker->overdue = true;
    wz_worker_kill(worker);
}

// While it holds records: looks whether results come.
static void on_watch(uv_timer_t *timer)
{
    struct wz_worker *worker = timer->data;
    int64_t left_ms =
        worker->options.max_message_ms - (wz_clock_mono_us() - worker->progress_us) / 1000;

    if (worker->phase != WZ_WORKER_RUNNING || !worker->holds)
        return;
    if (worker->paused || wz_worker_process_waits(worker->process)) { // for others
        worker->progress_us = wz_clock_mono_us();
        set_timer(worker, on_watch, worker->options.max_message_ms);
    } else if (left_ms > 0)
        set_timer(worker, on_watch, left_ms);
    else if (worker->last_look_us < worker->progress_us) {
        // wyze may have stood still itself: what has come meanwhile is read before 1 ms is over.
        worker->last_look_us = wz_clock_mono_us();
        set_timer(worker, on_watch, 1);
    } else
        on_overdue(timer);
}

static void describe_end(const struct wz_worker *worker, struct wz_worker_report *report)
{
    if (worker->overdue)
        (void)snprintf(report->why, sizeof(report->why), "killed, it took too long");
    else if (worker->lawless)
        (void)snprintf(report->why, sizeof(report->why), "killed, it broke the protocol");
    else if (worker->end.closed && worker->end.signal == SIGKILL)
        (void)snprintf(report->why, sizeof(report->why), "killed, it closed its pipe");
    else if (worker->end.signal != 0)
        (void)snprintf(report->why, sizeof(report->why), "ended by signal %d", worker->end.signal);
    else
        (void)snprintf(report->why, sizeof(report->why), "exited with code %lld",
                       (long long)worker->end.exit_code);
}

// The process has ended and its frames are taken.
static void finish_end(struct wz_worker *worker)
{
    bool lawless = worker->lawless || worker->end.closed;
    struct wz_worker_report report = {
        .phase = worker->phase,
        .overdue = worker->overdue,
        .killed = worker->end.signal == SIGKILL && !worker->overdue && !lawless,
        .unusable = !lawless && (worker->end.exit_code == WZ_WORKER_EXIT_USAGE ||
                                 worker->end.exit_code == WZ_WORKER_EXIT_PYTHON),
        .lawless = lawless,
    };

    describe_end(worker, &report);
    wz_worker_process_free(worker->process);
    worker->process = NULL;
    worker->frame_open = false;
    worker->holds = false;
    stop_timer(worker);
    worker->phase = WZ_WORKER_NONE;
    worker->options.events.ended(worker->options.events.arg, worker, &report);
}

static void take_frames(struct wz_worker *worker)
{
    int r = WZ_OK;

    while (r == WZ_OK && !worker->broken && !worker->paused) {
        if (!worker->frame_open) {
            r = wz_worker_process_next(worker->process, &worker->frame);
            if (r != WZ_OK)
                break;
            worker->frame_open = true;
        }
        r = worker->options.events.frame(worker->options.events.arg, worker, &worker->frame);
        if (r == WZ_OK)
            worker->frame_open = false;
    }
    if (r == WZ_ERR_BUSY) {
        wz_worker_pause(worker);
        return;
    }
    if (r < 0) {
        worker->lawless = true;
        WZ_LOG(WZ_LOG_WARN, "script.protocol", WZ_F_STR("script", worker->options.script));
        wz_worker_abandon(worker);
    }
    if (worker->ended && (!worker->paused || worker->broken))
        finish_end(worker);
}

static void on_readable(void *arg)
{
    struct wz_worker *worker = arg;

    if (!worker->paused)
        take_frames(worker);
}

static void on_writable(void *arg)
{
    struct wz_worker *worker = arg;

    if (worker->phase == WZ_WORKER_RESTORING)
        stop_timer(worker);
    worker->options.events.writable(worker->options.events.arg, worker);
}

static void on_exited(void *arg, const struct wz_worker_end *end)
{
    struct wz_worker *worker = arg;

    worker->ended = true;
    worker->end = *end;
    if (!worker->paused || worker->broken)
        take_frames(worker);
}

struct wz_worker *wz_worker_new(const struct wz_worker_options *options, int number)
{
    struct wz_worker *worker = wz_zalloc(1, sizeof(*worker));

    worker->options = *options;
    worker->number = number;
    WZ_ASSERT(uv_timer_init(options->uv, &worker->timer) == 0);
    worker->timer.data = worker;
    return worker;
}

int wz_worker_number(const struct wz_worker *worker) { return worker->number; }

enum wz_worker_phase wz_worker_phase(const struct wz_worker *worker) { return worker->phase; }

int wz_worker_pid(const struct wz_worker *worker)
{
    return worker->process ? wz_worker_process_pid(worker->process) : 0;
}

bool wz_worker_start(struct wz_worker *worker, const struct wz_frame_load *load, char *ret_why,
                     size_t cap)
{
    const struct wz_worker_process_events events = {
        .readable = on_readable,
        .writable = on_writable,
        .exited = on_exited,
        .arg = worker,
    };
    const struct wz_worker_program program = {
        .path = worker->options.path,
        .name = worker->options.script,
        .words = worker->options.words,
        .courier = worker->options.courier,
        .mail = worker->options.mail,
        .intake = worker->options.intake,
    };
    int r = wz_worker_process_start(worker->options.uv, &program, &events, &worker->process);

    if (r < 0) {
        (void)snprintf(ret_why, cap, "cannot be started from %s: %s", worker->options.path,
                       wz_err_text(r));
        return false;
    }
    worker->phase = WZ_WORKER_LOADING;
    worker->ended = false;
    worker->broken = false;
    worker->lawless = false;
    worker->overdue = false;
    worker->paused = false;
    wz_frame_put_load(wz_worker_process_out(worker->process), load);
    wz_worker_process_send(worker->process);
    set_timer(worker, on_overdue, worker->options.load_ms);
    return true;
}

void wz_worker_restore(struct wz_worker *worker)
{
    stop_timer(worker);
    worker->phase = WZ_WORKER_RESTORING;
}

void wz_worker_begin(struct wz_worker *worker)
{
    worker->phase = WZ_WORKER_STARTING;
    wz_frame_put_empty(wz_worker_process_out(worker->process), WZ_FRAME_START);
    wz_worker_process_send(worker->process);
    set_timer(worker, on_overdue, worker->options.load_ms);
}

void wz_worker_run(struct wz_worker *worker)
{
    stop_timer(worker);
    worker->phase = WZ_WORKER_RUNNING;
}

bool wz_worker_ready(const struct wz_worker *worker)
{
    return worker->process && !worker->ended && !worker->broken &&
           wz_worker_process_ready(worker->process);
}

struct wz_pieces *wz_worker_pieces(struct wz_worker *worker)
{
    return wz_worker_process_pieces(worker->process);
}

struct wz_buf *wz_worker_out(struct wz_worker *worker)
{
    return wz_worker_process_out(worker->process);
}

void wz_worker_send(struct wz_worker *worker, bool holds)
{
    wz_worker_process_send(worker->process);
    if (worker->phase == WZ_WORKER_RESTORING && !wz_worker_ready(worker))
        set_timer(worker, on_overdue, worker->options.load_ms); // so long it may leave it unread
    if (holds && !worker->holds)
        worker->progress_us = wz_clock_mono_us();
    worker->holds = holds;
    if (holds && worker->phase == WZ_WORKER_RUNNING && !uv_is_active((uv_handle_t *)&worker->timer))
        set_timer(worker, on_watch, worker->options.max_message_ms);
}

void wz_worker_progress(struct wz_worker *worker, bool holds)
{
    worker->progress_us = wz_clock_mono_us();
    worker->holds = holds;
}

void wz_worker_pause(struct wz_worker *worker)
{
    if (worker->paused || !worker->process)
        return;
    worker->paused = true;
    wz_worker_process_pause(worker->process);
}

void wz_worker_resume(struct wz_worker *worker)
{
    if (!worker->paused)
        return;
    worker->paused = false;
    worker->progress_us = wz_clock_mono_us();
    if (worker->process)
        wz_worker_process_resume(worker->process);
}

// What it has not finished in time is given up: its records wait for the next one.
static void on_drain_overdue(uv_timer_t *timer)
{
    struct wz_worker *worker = timer->data;

    WZ_LOG(WZ_LOG_WARN, "script.killed", WZ_F_STR("script", worker->options.script),
           WZ_F_STR("why", "it did not finish what it held in time"));
    if (!worker->ended) {
        wz_worker_kill(worker);
        set_timer(worker, on_drain_overdue, worker->options.drain_ms);
    }
    if (worker->paused) { // nothing takes what it says: it is done again later
        worker->broken = true;
        if (worker->ended)
            finish_end(worker);
    }
}

bool wz_worker_drain(struct wz_worker *worker)
{
    if (!worker->process)
        return false;
    if (worker->phase == WZ_WORKER_DRAINING)
        return true;
    if (worker->phase == WZ_WORKER_RUNNING) {
        wz_frame_put_empty(wz_worker_process_out(worker->process), WZ_FRAME_DRAIN);
        wz_worker_process_send(worker->process);
    } else {
        wz_worker_kill(worker);
    }
    worker->phase = WZ_WORKER_DRAINING;
    set_timer(worker, on_drain_overdue, worker->options.drain_ms);
    return true;
}

void wz_worker_kill(struct wz_worker *worker)
{
    if (worker->process)
        wz_worker_process_kill(worker->process);
}

void wz_worker_abandon(struct wz_worker *worker)
{
    if (!worker->process)
        return;
    worker->broken = true;
    worker->frame_open = false;
    wz_worker_kill(worker);
}

static void on_again(uv_timer_t *timer)
{
    struct wz_worker *worker = timer->data;

    worker->phase = WZ_WORKER_NONE;
    worker->options.events.again(worker->options.events.arg, worker);
}

void wz_worker_wait(struct wz_worker *worker, int64_t delay_ms)
{
    worker->phase = WZ_WORKER_WAITING;
    set_timer(worker, on_again, delay_ms);
}

void wz_worker_stop_waiting(struct wz_worker *worker)
{
    if (worker->phase != WZ_WORKER_WAITING)
        return;
    stop_timer(worker);
    worker->phase = WZ_WORKER_NONE;
}

static void on_closed(uv_handle_t *handle)
{
    struct wz_worker *worker = handle->data;
    struct wz_worker_events events = worker->options.events;

    events.closed(events.arg, worker);
    wz_free(worker);
}

void wz_worker_close(struct wz_worker *worker)
{
    WZ_ASSERT(!worker->process);
    uv_close((uv_handle_t *)&worker->timer, on_closed);
}
