// SPDX-License-Identifier: Apache-2.0
// Owns a script's life. PHASE says what its worker is doing:
//
//   none -> loading -> starting -> running -> draining -> none
//             |           |          |
//             +-----------+----------+--> ended --> waiting (backoff) --> loading
//             +-- invalid: none until the document changes
//
// Records stay in the sources' queues until their result is there; after a crash they are given
// again, one at a time, so that the one at which workers die is found and skipped.
#include "engine/script.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/inputs.h"
#include "engine/results.h"
#include "engine/script_log.h"
#include "engine/worker_process.h"

#define WZ_SCRIPT_BACKOFF_MS 100
#define WZ_SCRIPT_BACKOFF_MAX_MS 10000
#define WZ_SCRIPT_WORKED_MS                                                                        \
    10000 // after this long without a crash, the next one is the first again

enum phase {
    PHASE_NONE,
    PHASE_LOADING,  // LOAD sent
    PHASE_STARTING, // START sent
    PHASE_RUNNING,
    PHASE_DRAINING, // DRAIN sent, or killed on purpose
    PHASE_WAITING,  // no worker, the timer starts the next
};

enum status {
    STATUS_STOPPED,
    STATUS_STARTING,
    STATUS_VALID,
    STATUS_RUNNING,
    STATUS_INVALID,
};

static const char *const status_words[] = {"stopped", "starting", "valid", "running", "invalid"};

// What people are told beside the status.
struct remark {
    char *text; // NULL: none
    char *traceback;
    uint32_t line;
    uint32_t column;
};

struct wz_script {
    struct wz_script_links links;
    const struct wz_script_parts *parts;
    char *name;
    int64_t revision;
    json_t *next_body; // the document to switch to when the worker has ended
    struct wz_script_document document;
    enum phase phase;
    enum status status;
    struct remark remark;
    bool closing;
    bool ran;          // some document of it has run: its position counts
    bool document_ran; // this one has
    struct wz_inputs inputs;
    struct wz_worker_process *process;
    bool ended;  // the process has, its frames are still being taken
    bool broken; // it broke the protocol: its frames are no longer taken
    bool busy;   // waits for the bus
    struct wz_worker_end end;
    bool frame_open; // FRAME has not been worked off
    struct wz_frame frame;
    struct wz_egress egress;
    struct wz_results results;
    struct wz_script_log log;
    uv_timer_t timer;
    bool timer_closed;
    bool overdue;         // killed because it took too long
    int64_t progress_us;  // when a result came, or the first record was given
    int64_t last_look_us; // when one more turn was given to a worker that seemed to take too long
    int64_t started_us;   // when the worker began to run
    int failures;         // crashes in a row
    int64_t in_count;
    int64_t error_count;
    int64_t restart_count;
    int64_t skip_count;
};

static void set_status(struct wz_script *script, enum status status)
{
    script->status = status;
    script->parts->events.changed(script->parts->events.arg, script);
}

static void clear_remark(struct wz_script *script)
{
    wz_free(script->remark.text);
    wz_free(script->remark.traceback);
    script->remark = (struct remark){0};
}

static void set_remark(struct wz_script *script, const char *text)
{
    clear_remark(script);
    script->remark.text = wz_strdup(text);
}

static void set_timer(struct wz_script *script, uv_timer_cb fn, int64_t ms)
{
    wz_ignore(
        uv_timer_start(&script->timer, fn, (uint64_t)ms, 0)); // fails on a closing handle only
}

static void on_overdue(uv_timer_t *timer)
{
    struct wz_script *script = timer->data;

    script->overdue = true;
    wz_worker_process_kill(script->process);
}

// While records are with the worker: looks whether results come.
static void on_watch(uv_timer_t *timer)
{
    struct wz_script *script = timer->data;
    int64_t waited_ms = (wz_clock_mono_us() - script->progress_us) / 1000;

    if (script->phase != PHASE_RUNNING || wz_inputs_held(&script->inputs) == 0)
        return;
    if (script->busy) // the bus holds it up, not the script
        set_timer(script, on_watch, script->parts->max_message_ms);
    else if (waited_ms < script->parts->max_message_ms)
        set_timer(script, on_watch, script->parts->max_message_ms - waited_ms);
    else if (script->last_look_us < script->progress_us) {
        // wyze may have stood still itself: what has come meanwhile is read before 1 ms is over.
        script->last_look_us = wz_clock_mono_us();
        set_timer(script, on_watch, 1);
    } else
        on_overdue(timer);
}

void wz_script_pump(struct wz_script *script)
{
    bool idle;

    if (script->phase != PHASE_RUNNING || script->ended ||
        !wz_worker_process_ready(script->process))
        return;
    idle = wz_inputs_held(&script->inputs) == 0;
    wz_inputs_give(&script->inputs, wz_worker_process_out(script->process));
    wz_worker_process_send(script->process);
    if (idle)
        script->progress_us = wz_clock_mono_us();
    if (wz_inputs_held(&script->inputs) > 0 && !uv_is_active((uv_handle_t *)&script->timer))
        set_timer(script, on_watch, script->parts->max_message_ms);
}

static void feed(void *arg)
{
    struct wz_script *script = arg;

    script->parts->events.fed(script->parts->events.arg, script);
}

static int on_result_begin(void *arg, const struct wz_frame_result *result,
                           struct wz_cause *ret_cause)
{
    struct wz_script *script = arg;
    struct wz_frame_record record;

    *ret_cause = (struct wz_cause){0};
    if (script->frame.type != WZ_FRAME_RESULT)
        return result->offset < 0 ? WZ_OK : WZ_ERR_PROTOCOL;
    if (!wz_inputs_due(&script->inputs, result->stream, result->offset, &record))
        return WZ_ERR_PROTOCOL;
    wz_cause_init(ret_cause, &record);
    return WZ_OK;
}

static void log_exception(struct wz_script *script, const struct wz_frame_result *result,
                          struct wz_slice traceback)
{
    struct wz_frame_record record;
    struct wz_cause cause = {0};
    struct wz_slice last = traceback;

    if (!wz_script_log_allow(&script->log))
        return;
    if (wz_inputs_due(&script->inputs, result->stream, result->offset, &record))
        wz_cause_init(&cause, &record);
    // A line of the log is short: the exception itself stands in the traceback's last line.
    while (last.len > 0 && last.ptr[last.len - 1] == '\n')
        last.len--;
    for (size_t i = last.len; i > 0; i--) {
        if (last.ptr[i - 1] == '\n') {
            last = wz_slice_sub(last, i, last.len - i);
            break;
        }
    }
    WZ_LOG(WZ_LOG_WARN, "script.exception", WZ_F_STR("script", script->name),
           WZ_F_SLICE("cause", wz_slice(cause.id, cause.id_len)), WZ_F_SLICE("exception", last),
           WZ_F_SLICE("traceback", traceback));
}

static void on_result_end(void *arg, const struct wz_frame_result *result,
                          struct wz_slice traceback)
{
    struct wz_script *script = arg;

    script->progress_us = wz_clock_mono_us();
    if (script->frame.type != WZ_FRAME_RESULT)
        return;
    if (result->status == WZ_FRAME_EXCEPTION) {
        script->error_count++;
        wz_metric_add(WZ_METRIC_SCRIPT_ERRORS, 1);
        log_exception(script, result, traceback);
    }
    script->in_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_INPUTS, 1);
    wz_inputs_answer(&script->inputs, result->stream);
}

static int handle_results(struct wz_script *script)
{
    int r = wz_results_run(&script->results, script->frame.payload);

    if (r != WZ_OK)
        return r;
    wz_inputs_refill(&script->inputs);
    feed(script);
    script->parts->events.counted(script->parts->events.arg, script);
    return WZ_OK;
}

static int handle_log(struct wz_script *script)
{
    struct wz_frame_log line;
    struct wz_frame_record record;
    struct wz_cause cause = {0};
    int r = wz_frame_get_log(script->frame.payload, &line);

    if (r < 0)
        return r;
    if (wz_inputs_find(&script->inputs, line.stream, line.offset, &record))
        wz_cause_init(&cause, &record);
    return wz_script_log_write(&script->log, &line, &cause);
}

static int handle_ready(struct wz_script *script)
{
    if (script->phase != PHASE_LOADING)
        return script->phase == PHASE_DRAINING ? WZ_OK : WZ_ERR_PROTOCOL;
    script->phase = PHASE_STARTING;
    set_status(script, STATUS_VALID);
    wz_frame_put_empty(wz_worker_process_out(script->process), WZ_FRAME_START);
    wz_worker_process_send(script->process);
    set_timer(script, on_overdue, script->parts->load_ms);
    return WZ_OK;
}

static int handle_started(struct wz_script *script)
{
    int r;

    if (script->phase != PHASE_STARTING)
        return script->phase == PHASE_DRAINING ? WZ_OK : WZ_ERR_PROTOCOL;
    r = wz_results_run(&script->results, script->frame.payload);
    if (r != WZ_OK)
        return r;
    (void)uv_timer_stop(&script->timer); // cannot fail
    script->phase = PHASE_RUNNING;
    script->ran = true;
    script->document_ran = true;
    script->started_us = wz_clock_mono_us();
    clear_remark(script);
    set_status(script, STATUS_RUNNING);
    WZ_LOG(WZ_LOG_INFO, "script.running", WZ_F_STR("script", script->name),
           WZ_F_INT("revision", script->revision),
           WZ_F_INT("pid", wz_worker_process_pid(script->process)));
    feed(script);
    return WZ_OK;
}

static void become_invalid(struct wz_script *script, const struct wz_frame_invalid *invalid)
{
    clear_remark(script);
    script->remark = (struct remark){
        .text = wz_strndup(invalid->reason.ptr, invalid->reason.len),
        .traceback = wz_strndup(invalid->traceback.ptr, invalid->traceback.len),
        .line = invalid->line,
        .column = invalid->column,
    };
    set_status(script, STATUS_INVALID);
    WZ_LOG(WZ_LOG_WARN, "script.invalid", WZ_F_STR("script", script->name),
           WZ_F_INT("revision", script->revision), WZ_F_INT("line", invalid->line),
           WZ_F_SLICE("reason", invalid->reason));
}

static int handle_invalid(struct wz_script *script)
{
    struct wz_frame_invalid invalid;
    int r = wz_frame_get_invalid(script->frame.payload, &invalid);

    if (r < 0 || script->phase == PHASE_DRAINING)
        return r;
    if (script->phase != PHASE_LOADING && script->phase != PHASE_STARTING)
        return WZ_ERR_PROTOCOL;
    become_invalid(script, &invalid);
    return WZ_OK;
}

static int handle_frame(struct wz_script *script)
{
    switch (script->frame.type) {
    case WZ_FRAME_READY:
        return handle_ready(script);
    case WZ_FRAME_INVALID:
        return handle_invalid(script);
    case WZ_FRAME_STARTED:
        return handle_started(script);
    case WZ_FRAME_RESULT:
    case WZ_FRAME_DRAINED:
        return handle_results(script);
    case WZ_FRAME_LOG:
        return handle_log(script);
    default:
        return WZ_ERR_PROTOCOL;
    }
}

// How a process ended, for people.
static void describe_end(const struct wz_script *script, char *ret_text, size_t cap)
{
    if (script->overdue)
        (void)snprintf(ret_text, cap, "killed, it took too long");
    else if (script->broken)
        (void)snprintf(ret_text, cap, "killed, it broke the protocol");
    else if (script->end.signal != 0)
        (void)snprintf(ret_text, cap, "ended by signal %d", script->end.signal);
    else
        (void)snprintf(ret_text, cap, "exited with code %lld", (long long)script->end.exit_code);
}

// Finds out whether it is a record that kills workers, and skips it then.
static void count_death(struct wz_script *script)
{
    struct wz_frame_record record;
    struct wz_cause cause;

    if (!wz_inputs_blame(&script->inputs, &record))
        return;
    wz_cause_init(&cause, &record);
    WZ_LOG(WZ_LOG_ERROR, "script.skipped", WZ_F_STR("script", script->name),
           WZ_F_SLICE("cause", wz_slice(cause.id, cause.id_len)), WZ_F_SLICE("topic", record.topic),
           WZ_F_INT("offset", record.offset), WZ_F_INT("deaths", WZ_INPUTS_DEATHS_MAX));
    script->skip_count++;
    script->error_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_ERRORS, 1);
    wz_inputs_skip(&script->inputs, &record);
}

static void load(struct wz_script *script);

static void on_backoff(uv_timer_t *timer)
{
    struct wz_script *script = timer->data;

    script->restart_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_RESTARTS, 1);
    load(script);
}

static void back_off(struct wz_script *script, const char *why)
{
    int64_t delay_ms = WZ_SCRIPT_BACKOFF_MS;
    char text[256];

    for (int i = 0; i < script->failures && delay_ms < WZ_SCRIPT_BACKOFF_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > WZ_SCRIPT_BACKOFF_MAX_MS)
        delay_ms = WZ_SCRIPT_BACKOFF_MAX_MS;
    script->failures++;
    script->phase = PHASE_WAITING;
    (void)snprintf(text, sizeof(text), "the worker %s; another starts in %lld ms", why,
                   (long long)delay_ms);
    WZ_LOG(WZ_LOG_WARN, "script.crash", WZ_F_STR("script", script->name), WZ_F_STR("worker", why),
           WZ_F_INT("again_ms", delay_ms));
    set_remark(script, text);
    set_status(script, STATUS_STARTING);
    set_timer(script, on_backoff, delay_ms);
}

static void end_if_closed(struct wz_script *script)
{
    if (script->timer_closed && script->inputs.open_count == 0)
        script->parts->events.gone(script->parts->events.arg, script);
}

static void on_source_closed(void *arg)
{
    struct wz_script *script = arg;

    script->inputs.open_count--;
    end_if_closed(script);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct wz_script *script = handle->data;

    script->timer_closed = true;
    end_if_closed(script);
}

// Without a process: makes the next document the present one and starts its worker.
static void switch_document(struct wz_script *script)
{
    int r;

    wz_inputs_unbind(&script->inputs);
    wz_script_document_release(&script->document);
    wz_script_document_init(&script->document, script->next_body);
    if (script->parts->without_landlock)
        wz_grants_add(&script->document.grants, "without-landlock");
    json_decref(script->next_body);
    script->next_body = NULL;
    script->document_ran = false;
    script->failures = 0;
    wz_inputs_forgive(&script->inputs);
    clear_remark(script);
    if (!script->document.active) {
        set_status(script, STATUS_STOPPED);
        return;
    }
    r = wz_inputs_bind(&script->inputs, &script->document, !script->ran);
    if (r < 0) {
        set_remark(script, wz_err_text(r));
        set_status(script, STATUS_INVALID);
        return;
    }
    load(script);
}

// Without a process: does what was waiting for its end.
static void go_on(struct wz_script *script)
{
    script->phase = PHASE_NONE;
    if (script->closing) {
        wz_inputs_close(&script->inputs);
        uv_close((uv_handle_t *)&script->timer, on_timer_closed);
    } else if (script->next_body) {
        switch_document(script);
    }
}

// A worker that ended while it loaded code that never ran: the code is what is wrong, unless the
// program says that it could not even begin.
static void end_loading(struct wz_script *script, const char *why)
{
    char text[256];
    struct wz_frame_invalid invalid = {0};

    if (script->document_ran || script->broken || script->end.exit_code == 64 ||
        script->end.exit_code == 70) {
        back_off(script, why);
        return;
    }
    if (script->overdue)
        (void)snprintf(text, sizeof(text), "%s did not return within %lld ms",
                       script->status == STATUS_VALID ? "init" : "the top level",
                       (long long)script->parts->load_ms);
    else
        (void)snprintf(text, sizeof(text), "its process %s while it was loaded", why);
    invalid.reason = wz_slice_str(text);
    become_invalid(script, &invalid);
    wz_inputs_unbind(&script->inputs);
}

// The process has ended and its frames are taken.
static void finish_end(struct wz_script *script)
{
    enum phase was = script->phase;
    char why[64];

    describe_end(script, why, sizeof(why));
    wz_worker_process_free(script->process);
    script->process = NULL;
    script->frame_open = false;
    wz_results_reset(&script->results);
    (void)uv_timer_stop(&script->timer); // cannot fail
    script->phase = PHASE_NONE;
    if (was == PHASE_DRAINING || script->closing || script->next_body) {
        wz_inputs_rewind(&script->inputs);
        go_on(script);
    } else if (script->status == STATUS_INVALID) {
        wz_inputs_unbind(&script->inputs);
    } else if (was != PHASE_RUNNING) {
        end_loading(script, why);
    } else {
        if (wz_clock_mono_us() - script->started_us > WZ_SCRIPT_WORKED_MS * 1000)
            script->failures = 0;
        count_death(script);
        wz_inputs_rewind(&script->inputs);
        back_off(script, why);
    }
}

static void wait_for_bus(struct wz_script *script)
{
    if (script->busy)
        return;
    script->busy = true;
    wz_worker_process_pause(script->process);
    script->parts->events.busy(script->parts->events.arg, script);
}

static void break_off(struct wz_script *script)
{
    script->broken = true;
    script->frame_open = false;
    wz_results_reset(&script->results);
    WZ_LOG(WZ_LOG_WARN, "script.protocol", WZ_F_STR("script", script->name));
    wz_worker_process_kill(script->process);
}

static void take_frames(struct wz_script *script)
{
    int r = WZ_OK;

    while (r == WZ_OK && !script->broken) {
        if (!script->frame_open) {
            r = wz_worker_process_next(script->process, &script->frame);
            if (r != WZ_OK)
                break;
            script->frame_open = true;
        }
        r = handle_frame(script);
        if (r == WZ_OK)
            script->frame_open = false;
    }
    if (r == WZ_ERR_BUSY) {
        wait_for_bus(script);
        return;
    }
    if (r < 0)
        break_off(script);
    if (script->ended)
        finish_end(script);
}

static void on_readable(void *arg)
{
    struct wz_script *script = arg;

    if (!script->busy)
        take_frames(script);
}

static void on_exited(void *arg, const struct wz_worker_end *end)
{
    struct wz_script *script = arg;

    script->ended = true;
    script->end = *end;
    if (!script->busy || script->broken)
        take_frames(script);
}

void wz_script_resume(struct wz_script *script)
{
    script->busy = false;
    script->progress_us = wz_clock_mono_us();
    if (script->process)
        wz_worker_process_resume(script->process);
}

static void load(struct wz_script *script)
{
    const struct wz_worker_process_events events = {
        .readable = on_readable,
        .writable = feed,
        .exited = on_exited,
        .arg = script,
    };
    struct wz_frame_load frame = {
        .name = wz_slice_str(script->name),
        .code = script->document.code,
        .config = wz_buf_slice(&script->document.config),
    };
    const struct wz_worker_program program = {
        .path = script->parts->worker_path,
        .name = script->name,
        .words = (const char *const *)script->document.grants.words,
    };
    char text[256];
    int r = wz_worker_process_start(script->parts->uv, &program, &events, &script->process);

    if (r < 0) {
        (void)snprintf(text, sizeof(text), "cannot be started from %s: %s",
                       script->parts->worker_path, wz_err_text(r));
        back_off(script, text);
        return;
    }
    script->phase = PHASE_LOADING;
    script->ended = false;
    script->broken = false;
    script->overdue = false;
    wz_frame_put_load(wz_worker_process_out(script->process), &frame);
    wz_worker_process_send(script->process);
    set_timer(script, on_overdue, script->parts->load_ms);
    set_status(script, STATUS_STARTING);
}

// What a worker has not finished in time is given up: its records wait for the next one.
static void on_drain_overdue(uv_timer_t *timer)
{
    struct wz_script *script = timer->data;

    WZ_LOG(WZ_LOG_WARN, "script.killed", WZ_F_STR("script", script->name),
           WZ_F_STR("why", "it did not finish what it held in time"));
    if (!script->ended) {
        wz_worker_process_kill(script->process);
        set_timer(script, on_drain_overdue, script->parts->drain_ms);
    }
    if (script->busy) { // the bus takes nothing: outputs not taken are made again later
        script->broken = true;
        if (script->ended)
            finish_end(script);
    }
}

static void drain(struct wz_script *script)
{
    switch (script->phase) {
    case PHASE_NONE:
    case PHASE_WAITING:
        (void)uv_timer_stop(&script->timer); // cannot fail
        go_on(script);
        break;
    case PHASE_RUNNING:
        wz_frame_put_empty(wz_worker_process_out(script->process), WZ_FRAME_DRAIN);
        wz_worker_process_send(script->process);
        script->phase = PHASE_DRAINING;
        set_timer(script, on_drain_overdue, script->parts->drain_ms);
        break;
    case PHASE_LOADING:
    case PHASE_STARTING:
        wz_worker_process_kill(script->process);
        script->phase = PHASE_DRAINING;
        set_timer(script, on_drain_overdue, script->parts->drain_ms);
        break;
    case PHASE_DRAINING:
        break;
    }
}

// Whether two bodies run the same.
static bool runs_same(json_t *a, json_t *b)
{
    static const char *const members[] = {"code",   "bindings", "config",
                                          "active", "limits",   "grants"};

    for (size_t i = 0; a && i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *one = json_object_get(a, members[i]);
        json_t *other = json_object_get(b, members[i]);

        if (one != other && !json_equal(one, other))
            return false;
    }
    return a != NULL;
}

void wz_script_apply(struct wz_script *script, int64_t revision, json_t *body)
{
    json_t *now = script->next_body ? script->next_body : script->document.body;

    bool renamed = script->revision != revision;

    // A document that was deleted and made anew may have an old revision: the body decides.
    script->revision = revision;
    if (runs_same(now, body)) {
        if (renamed)
            script->parts->events.changed(script->parts->events.arg, script);
        return;
    }
    json_decref(script->next_body);
    script->next_body = json_deep_copy(body);
    drain(script);
}

void wz_script_close(struct wz_script *script)
{
    if (script->closing)
        return;
    script->closing = true;
    drain(script);
}

bool wz_script_closing(const struct wz_script *script) { return script->closing; }

struct wz_script *wz_script_new(const struct wz_script_parts *parts, const char *name)
{
    struct wz_script *script = wz_zalloc(1, sizeof(*script));

    wz_list_init(&script->links.all);
    wz_list_init(&script->links.fed);
    wz_list_init(&script->links.busy);
    wz_list_init(&script->links.counted);
    script->parts = parts;
    script->name = wz_strdup(name);
    script->egress.bus = parts->bus;
    script->egress.script = wz_slice_str(script->name);
    script->log.egress = &script->egress;
    script->inputs.options = (struct wz_inputs_options){
        .source = {.uv = parts->uv,
                   .bus = parts->bus,
                   .window_bytes = parts->window_bytes,
                   .filled = feed,
                   .closed = on_source_closed,
                   .arg = script},
    };
    memcpy(script->inputs.options.logs, parts->logs, sizeof(parts->logs));
    script->results.egress = &script->egress;
    script->results.events =
        (struct wz_results_events){.begin = on_result_begin, .end = on_result_end, .arg = script};
    WZ_ASSERT(uv_timer_init(parts->uv, &script->timer) == 0);
    script->timer.data = script;
    return script;
}

void wz_script_free(struct wz_script *script)
{
    WZ_ASSERT(!script->process && script->timer_closed && script->inputs.open_count == 0);
    wz_list_remove(&script->links.all);
    wz_list_remove(&script->links.fed);
    wz_list_remove(&script->links.busy);
    wz_list_remove(&script->links.counted);
    wz_script_document_release(&script->document);
    json_decref(script->next_body);
    clear_remark(script);
    wz_free(script->name);
    wz_free(script);
}

const char *wz_script_name(const struct wz_script *script) { return script->name; }

struct wz_script_links *wz_script_links(struct wz_script *script) { return &script->links; }

struct wz_script *wz_script_of_links(struct wz_script_links *links)
{
    return WZ_CONTAINER(links, struct wz_script, links);
}

json_t *wz_script_describe(const struct wz_script *script)
{
    const struct remark *remark = &script->remark;
    json_t *state;

    state = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "status",
                      status_words[script->status], "revision", (json_int_t)script->revision, "in",
                      (json_int_t)script->in_count, "out", (json_int_t)script->egress.out_count,
                      "refused", (json_int_t)script->egress.refused_count, "errors",
                      (json_int_t)script->error_count, "skipped", (json_int_t)script->skip_count,
                      "restarts", (json_int_t)script->restart_count, "lag",
                      (json_int_t)wz_inputs_lag(&script->inputs), "behind",
                      wz_inputs_behind(&script->inputs));
    WZ_ASSERT(state);
    if (remark->text)
        (void)json_object_set_new(state, "remark", json_string(remark->text)); // fails for no UTF-8
    if (remark->traceback && remark->traceback[0])
        (void)json_object_set_new(state, "traceback", json_string(remark->traceback));
    if (remark->line > 0)
        (void)json_object_set_new(state, "line", json_integer(remark->line));
    if (remark->column > 0)
        (void)json_object_set_new(state, "column", json_integer(remark->column));
    return state;
}
