// SPDX-License-Identifier: Apache-2.0
// Owns a script's life: which document runs, its workers from loading to their end, and when it is
// done. What workers say is script_frames.c's, what results mean outcome.c's.
#include "engine/script.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/outcome.h"
#include "engine/script_inside.h"

#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 10000

// After this long without a crash, the next one is the first again.
#define WORKED_MS 10000

void wz_script_feed(struct wz_script *script)
{
    script->parts->events.fed(script->parts->events.arg, script);
}

static void on_filled(void *arg) { wz_script_feed(arg); }

void wz_script_pump(struct wz_script *script)
{
    if (!script->bound || script->halting)
        return;
    for (int i = 0; i < script->share_count; i++) {
        struct wz_worker *worker = script->shares[i].worker;

        if (wz_worker_phase(worker) != WZ_WORKER_RUNNING || !wz_worker_ready(worker))
            continue;
        wz_inputs_give(&script->inputs, i, wz_worker_pieces(worker));
        wz_worker_send(worker, wz_script_holds(script, i));
    }
}

// Lanes that wait.

static void on_lanes(uv_timer_t *timer) { wz_script_open_lanes(timer->data); }

void wz_script_open_lanes(struct wz_script *script)
{
    int64_t now_us = wz_clock_mono_us();
    int64_t next;

    if (script->inputs.waiting_lanes == 0 || script->closing)
        return;
    next = wz_inputs_open_lanes(&script->inputs, now_us);
    if (next >= 0)
        wz_ignore(uv_timer_start(&script->lanes, on_lanes, (uint64_t)(next - now_us) / 1000 + 1,
                                 0)); // fails on a closing handle only
    wz_script_feed(script);
}

// Steps.

static void end_if_closed(struct wz_script *script)
{
    if (script->open_workers > 0 || script->inputs.open_count > 0 || script->open_timers > 0)
        return;
    wz_commits_release(&script->commits);
    if (script->forget)
        wz_accounts_remove(script->parts->accounts, script->account);
    else
        script->account->used = false;
    script->account = NULL;
    script->parts->events.gone(script->parts->events.arg, script);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct wz_script *script = handle->data;

    script->open_timers--;
    end_if_closed(script);
}

static void on_source_closed(void *arg)
{
    struct wz_script *script = arg;

    script->inputs.open_count--;
    end_if_closed(script);
}

static void on_worker_closed(void *arg, struct wz_worker *worker)
{
    struct wz_script *script = arg;

    (void)worker; // it frees itself
    script->open_workers--;
    end_if_closed(script);
}

// Closes all that is open; the script has no process and its steps are done, or given up.
static void close_handles(struct wz_script *script)
{
    if (uv_is_closing((uv_handle_t *)&script->lanes))
        return;
    script->waits_for_steps = false;
    uv_close((uv_handle_t *)&script->lanes, on_timer_closed);
    uv_close((uv_handle_t *)&script->deadline, on_timer_closed);
    for (int i = 0; i < script->share_count; i++)
        wz_worker_close(script->shares[i].worker);
    wz_inputs_close(&script->inputs);
}

static void on_deadline(uv_timer_t *timer)
{
    struct wz_script *script = timer->data;

    WZ_LOG(WZ_LOG_WARN, "script.unfinished", WZ_F_STR("script", script->name),
           WZ_F_STR("what", "the disk takes nothing; what it did since is done again at the next "
                            "start"));
    close_handles(script);
}

static void on_advanced(void *arg)
{
    struct wz_script *script = arg;

    // A step may count long after its frame was read.
    script->parts->events.counted(script->parts->events.arg, script);
    for (int i = 0; i < script->share_count; i++) {
        wz_script_restore_share(script, &script->shares[i]);
        if (wz_commits_ready(&script->commits) && !script->waits_for_bus)
            wz_worker_resume(script->shares[i].worker);
    }
    if (script->settling && wz_commits_written(&script->commits, script->stop_mark)) {
        script->settling = false;
        wz_script_set_status(script, WZ_SCRIPT_STOPPED);
    }
    if (script->waits_for_steps && wz_commits_idle(&script->commits))
        close_handles(script);
}

void wz_script_wait_for_bus(struct wz_script *script)
{
    if (script->waits_for_bus)
        return;
    script->waits_for_bus = true;
    script->parts->events.busy(script->parts->events.arg, script);
}

static void on_commits_busy(void *arg) { wz_script_wait_for_bus(arg); }

void wz_script_resume(struct wz_script *script)
{
    script->waits_for_bus = false;
    wz_commits_advance(&script->commits); // comes to on_advanced
}

void wz_script_durable(struct wz_script *script)
{
    if (!wz_commits_idle(&script->commits))
        wz_commits_advance(&script->commits);
    else if (script->status == WZ_SCRIPT_VALID || script->settling)
        on_advanced(script);
}

// Documents.

// Takes nothing more from the streams, and remembers where it was.
static void unbind(struct wz_script *script)
{
    WZ_AUTO(wz_buf_release) struct wz_buf positions = {0};
    int64_t ends[WZ_SCRIPT_STREAM_COUNT];
    struct wz_cursor cur;

    if (!script->bound)
        return;
    wz_commits_keep_positions(&script->commits, &script->inputs);
    wz_inputs_put_positions(&script->inputs, &positions, ends);
    cur = wz_cursor(wz_buf_slice(&positions));
    (void)wz_cursor_get_u8(&cur); // their count
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        wz_position_get(&cur, &script->positions[i]);
    script->bound = false;
    wz_inputs_unbind(&script->inputs);
    wz_outcome_recall(script);
}

static void back_off(struct wz_script *script, struct wz_script_share *share, const char *why)
{
    int64_t delay_ms = BACKOFF_MS;
    char text[256];

    for (int i = 0; i < share->failures && delay_ms < BACKOFF_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > BACKOFF_MAX_MS)
        delay_ms = BACKOFF_MAX_MS;
    share->failures++;
    (void)snprintf(text, sizeof(text), "the worker %s; another starts in %lld ms", why,
                   (long long)delay_ms);
    WZ_LOG(WZ_LOG_WARN, "script.crash", WZ_F_STR("script", script->name), WZ_F_STR("worker", why),
           WZ_F_INT("again_ms", delay_ms));
    wz_script_log_tell(&script->log, WZ_SEVERITY_ERROR, wz_slice_str(text), &(struct wz_cause){0});
    wz_script_set_remark(script, text);
    wz_script_set_status(script, WZ_SCRIPT_STARTING);
    wz_worker_wait(share->worker, delay_ms);
}

static void load(struct wz_script *script, struct wz_script_share *share)
{
    const struct wz_frame_load frame = {
        .laned = script->share_count > 1,
        .name = wz_slice_str(script->name),
        .code = script->document.code,
        .config = wz_buf_slice(&script->document.config),
    };
    char why[192];

    if (!wz_worker_start(share->worker, &frame, why, sizeof(why))) {
        back_off(script, share, why);
        return;
    }
    wz_script_set_status(script, WZ_SCRIPT_STARTING);
}

static void on_again(void *arg, struct wz_worker *worker)
{
    struct wz_script *script = arg;

    script->restart_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_RESTARTS, 1);
    load(script, wz_script_share_of(script, worker));
}

static void on_ended(void *arg, struct wz_worker *worker, const struct wz_worker_report *report);

// Makes as many workers as the document wants; there are none with a process.
static void make_workers(struct wz_script *script)
{
    const struct wz_worker_options options = {
        .uv = &script->parts->loop->uv,
        .path = script->parts->worker_path,
        .script = script->name,
        .words = (const char *const *)script->document.grants.words,
        .courier = script->parts->courier,
        .mail = &script->parts->loop->mail,
        .intake = script->parts->intake,
        .max_message_ms = script->parts->max_message_ms,
        .load_ms = script->parts->load_ms,
        .drain_ms = script->parts->drain_ms,
        .events = {.frame = wz_script_take_frame,
                   .writable = wz_script_take_room,
                   .ended = on_ended,
                   .again = on_again,
                   .closed = on_worker_closed,
                   .arg = script},
    };

    for (int i = 0; i < script->share_count; i++)
        wz_worker_close(script->shares[i].worker);
    wz_free(script->shares);
    script->share_count = script->document.workers;
    script->state_bound = 0;
    script->shares = wz_zalloc((size_t)script->share_count, sizeof(*script->shares));
    for (int i = 0; i < script->share_count; i++) {
        script->shares[i].script = script;
        script->shares[i].worker = wz_worker_new(&options, i);
        script->open_workers++;
    }
}

// Whether the document binds a stream on which it has no position.
static bool lacks_position(const struct wz_script *script, int stream)
{
    for (size_t i = 0; i < script->document.binding_count; i++)
        if ((int)script->document.bindings[i].stream == stream)
            return script->positions[stream].base < 0;
    return false;
}

static void begin_at(struct wz_script *script, const int64_t *offsets)
{
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        if (!lacks_position(script, i))
            continue;
        script->positions[i] = (struct wz_position){.base = offsets[i]};
        script->begins = true;
    }
}

static void go_on(struct wz_script *script);
static void run_document(struct wz_script *script);

static void on_beginning(void *arg, const int64_t *offsets, int err)
{
    struct wz_script *script = arg;
    char text[128];

    if (err == WZ_OK)
        begin_at(script, offsets);
    if (script->closing || script->next_body || script->again) {
        go_on(script);
    } else if (err == WZ_OK) {
        run_document(script);
    } else {
        (void)snprintf(text, sizeof(text), "where it is to begin cannot be found: %s",
                       wz_err_text(err));
        wz_script_set_remark(script, text);
        wz_script_set_status(script, WZ_SCRIPT_INVALID);
    }
}

// Sees to it that each stream has a position. False: it is being looked for.
static bool find_beginning(struct wz_script *script)
{
    bool lacks = false;

    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        lacks = lacks || lacks_position(script, i);
    if (lacks && script->document.start.kind != WZ_MOMENT_END) {
        wz_script_set_status(script, WZ_SCRIPT_STARTING);
        wz_beginning_find(&script->beginning, &script->parts->loop->uv, script->parts->logs,
                          &script->document.start, on_beginning, script);
        return false;
    }
    begin_at(script, script->ends);
    return true;
}

// Takes from the streams, and keeps where it begins.
static int take_in(struct wz_script *script)
{
    int r = wz_inputs_bind(&script->inputs, &script->document, script->positions);

    if (r < 0) {
        wz_script_set_remark(script, wz_err_text(r));
        wz_script_set_status(script, WZ_SCRIPT_INVALID);
        return r;
    }
    script->bound = true;
    script->begins = false;
    script->commits.stale = true;
    wz_commits_keep_positions(&script->commits, &script->inputs);
    return WZ_OK;
}

// It does not run. What comes while it does not is for it, too: so where it begins is kept.
static void rest(struct wz_script *script)
{
    if (script->begins) {
        if (take_in(script) < 0)
            return;
        unbind(script);
        script->stop_mark = wz_commits_mark(&script->commits);
        script->settling = !wz_commits_written(&script->commits, script->stop_mark);
    }
    wz_script_set_status(script, script->settling ? WZ_SCRIPT_STARTING : WZ_SCRIPT_STOPPED);
}

// Without processes: the present document runs, if it may.
static void run_document(struct wz_script *script)
{
    wz_script_clear_remark(script);
    script->settling = false;
    script->commits.options.durable = script->document.durable;
    if (!find_beginning(script))
        return;
    if (!script->document.active) {
        rest(script);
        return;
    }
    if (script->halt != WZ_HALT_NONE) {
        wz_script_set_remark(script, script->halt_remark ? script->halt_remark : "");
        wz_script_set_status(script,
                             script->halt == WZ_HALT_PARKED ? WZ_SCRIPT_PARKED : WZ_SCRIPT_STOPPED);
        return;
    }
    make_workers(script);
    if (take_in(script) < 0)
        return;
    for (int i = 0; i < script->share_count; i++)
        load(script, &script->shares[i]);
}

static void switch_document(struct wz_script *script)
{
    bool first = script->document.body == NULL;
    char word[32];

    wz_script_document_release(&script->document);
    wz_script_document_init(&script->document, script->next_body);
    (void)snprintf(word, sizeof(word), "state=%zu", script->parts->max_state_bytes);
    wz_grants_add(&script->document.grants, word);
    if (script->parts->without_landlock)
        wz_grants_add(&script->document.grants, "without-landlock");
    json_decref(script->next_body);
    script->next_body = NULL;
    script->document_ran = false;
    wz_outcome_forget(script);
    if (script->halt != WZ_HALT_NONE && (!first || script->revision != script->halt_revision))
        wz_outcome_unhalt(script);
    run_document(script);
}

static bool any_process(const struct wz_script *script)
{
    for (int i = 0; i < script->share_count; i++)
        if (wz_worker_pid(script->shares[i].worker) != 0)
            return true;
    return false;
}

// Without processes: does what was waiting for their end.
static void go_on(struct wz_script *script)
{
    if (script->beginning.running)
        return; // it comes back to here
    unbind(script);
    script->halting = false;
    if (script->closing) {
        script->waits_for_steps = true;
        wz_ignore(uv_timer_start(&script->deadline, on_deadline, (uint64_t)script->parts->drain_ms,
                                 0));         // fails on a closing handle only
        wz_commits_advance(&script->commits); // comes to on_advanced
    } else if (script->next_body) {
        switch_document(script);
    } else if (script->again) {
        script->again = false;
        run_document(script);
    } else if (script->halt != WZ_HALT_NONE) {
        run_document(script); // says that it does not run
    }
}

// Lets all workers finish, or end; then go_on.
static void drain(struct wz_script *script)
{
    bool any = false;

    for (int i = 0; i < script->share_count; i++) {
        wz_worker_stop_waiting(script->shares[i].worker);
        if (wz_worker_drain(script->shares[i].worker))
            any = true;
    }
    if (!any)
        go_on(script);
}

void wz_script_halt(struct wz_script *script, enum wz_halt halt, struct wz_slice remark)
{
    script->halting = true;
    script->halt = halt;
    script->halt_revision = script->revision;
    wz_free(script->halt_remark);
    script->halt_remark = wz_strndup(remark.ptr, remark.len);
    wz_commits_halt(&script->commits, halt, script->revision, remark);
    wz_script_log_tell(&script->log, WZ_SEVERITY_WARNING, remark, &(struct wz_cause){0});
    WZ_LOG(WZ_LOG_WARN, halt == WZ_HALT_PARKED ? "script.parked" : "script.terminated",
           WZ_F_STR("script", script->name), WZ_F_SLICE("remark", remark));
}

// A halted script's workers have nothing more to say.
void wz_script_end_workers(struct wz_script *script)
{
    for (int i = 0; i < script->share_count; i++) {
        wz_worker_stop_waiting(script->shares[i].worker);
        wz_worker_abandon(script->shares[i].worker);
    }
}

void wz_script_restart(struct wz_script *script)
{
    if (script->closing)
        return;
    if (script->halt != WZ_HALT_NONE)
        wz_outcome_unhalt(script);
    wz_outcome_forget(script);
    script->again = true;
    drain(script);
}

// A worker that ended while it loaded code that never ran: the code is what is wrong, unless the
// program says that it could not even begin.
static void end_loading(struct wz_script *script, struct wz_script_share *share,
                        const struct wz_worker_report *report)
{
    char text[256];
    struct wz_frame_invalid invalid = {0};

    if (script->document_ran || report->unusable || report->killed ||
        (report->phase == WZ_WORKER_RESTORING && !report->lawless)) {
        back_off(script, share, report->why);
        return;
    }
    if (report->lawless)
        (void)snprintf(text, sizeof(text), "its worker ended before the script had started: %s",
                       report->why);
    else if (report->overdue)
        (void)snprintf(text, sizeof(text), "%s did not return within %lld ms",
                       report->phase == WZ_WORKER_STARTING ? "init" : "the top level",
                       (long long)script->parts->load_ms);
    else
        (void)snprintf(text, sizeof(text), "its process %s while it was loaded", report->why);
    invalid.reason = wz_slice_str(text);
    wz_script_become_invalid(script, &invalid);
}

static void on_ended(void *arg, struct wz_worker *worker, const struct wz_worker_report *report)
{
    struct wz_script *script = arg;
    struct wz_script_share *share = wz_script_share_of(script, worker);
    int number = wz_worker_number(worker);
    bool leaving = script->closing || script->next_body || script->again || script->halting;

    wz_state_load_free(share->load);
    share->load = NULL;
    wz_query_cancel(share->query);
    share->query = NULL;
    if (!leaving && report->phase == WZ_WORKER_RUNNING && script->status != WZ_SCRIPT_INVALID) {
        if (wz_clock_mono_us() - share->started_us > WORKED_MS * 1000)
            share->failures = 0;
        wz_outcome_death(script, worker, report->why);
        leaving = script->halting;
    }
    wz_inputs_rewind(&script->inputs, number);
    wz_script_open_lanes(script);
    if (!leaving && script->status != WZ_SCRIPT_INVALID) {
        if (report->phase == WZ_WORKER_RUNNING)
            back_off(script, share, report->why);
        else
            end_loading(script, share, report);
    }
    if (script->status == WZ_SCRIPT_INVALID && !leaving) {
        wz_script_end_workers(script); // the others run the same code
        if (!any_process(script))
            unbind(script);
    } else if (leaving && !any_process(script)) {
        go_on(script);
    }
}

// Whether two bodies run the same.
static bool runs_same(json_t *a, json_t *b)
{
    static const char *const members[] = {"code",    "bindings", "config", "active",
                                          "workers", "durable",  "limits", "grants"};

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
        if (renamed && script->halt != WZ_HALT_NONE)
            script->halt_revision = revision;
        if (renamed)
            script->parts->events.changed(script->parts->events.arg, script);
        return;
    }
    json_decref(script->next_body);
    script->next_body = json_deep_copy(body);
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        script->ends[i] = wz_log_next_offset(script->parts->logs[i]);
    drain(script);
}

int wz_script_retry(struct wz_script *script, uint64_t number, struct wz_slice value)
{
    if (!script->bound || script->halting)
        return WZ_ERR_CLOSED;
    return wz_outcome_retry(script, number, value);
}

int wz_script_drop(struct wz_script *script, uint64_t number)
{
    struct wz_quarantined *message = wz_account_find_quarantined(script->account, number);

    if (!message || message->leaving)
        return WZ_ERR_NOT_FOUND;
    if (message->retrying)
        return WZ_ERR_BUSY;
    wz_outcome_release(script, message);
    wz_commits_close(&script->commits, script->bound ? &script->inputs : NULL);
    script->parts->events.counted(script->parts->events.arg, script);
    return WZ_OK;
}

struct wz_account *wz_script_account(struct wz_script *script) { return script->account; }

void wz_script_keep(struct wz_script *script)
{
    if (script->bound)
        wz_commits_keep_positions(&script->commits, &script->inputs);
}

void wz_script_close(struct wz_script *script, bool forget)
{
    script->forget = script->forget || forget;
    if (forget)
        wz_accounts_disown(script->parts->accounts, script->account);
    if (script->closing)
        return;
    script->closing = true;
    drain(script);
}

bool wz_script_closing(const struct wz_script *script) { return script->closing; }

static void on_gap(void *arg, enum wz_script_stream stream, int64_t count)
{
    struct wz_script *script = arg;

    script->gap_count += count;
    WZ_LOG(WZ_LOG_WARN, "script.gap", WZ_F_STR("script", script->name),
           WZ_F_STR("stream", wz_script_stream_word(stream)), WZ_F_INT("records", count));
    wz_script_remark_gap(script);
    script->parts->events.changed(script->parts->events.arg, script);
}

static void open_steps(struct wz_script *script)
{
    const struct wz_script_parts *parts = script->parts;
    struct wz_commits_options options = {
        .journal = parts->journal,
        .egress = &script->egress,
        .account = script->account,
        .durable = true,
        .advanced = on_advanced,
        .busy = on_commits_busy,
        .arg = script,
    };

    memcpy(options.logs, parts->logs, sizeof(parts->logs));
    wz_commits_init(&script->commits, &options,
                    wz_accounts_projection(parts->accounts, script->account));
}

// A stream without records has none below its end either: a crash has skipped offsets there, which
// are no gap when the first record comes.
static void skip_unused(struct wz_script *script)
{
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        struct wz_position *position = &script->positions[i];
        struct wz_log_info info;

        if (position->base < 0)
            continue; // where it begins is not known yet
        wz_log_info(script->parts->logs[i], &info);
        if (info.first_ms == 0 && position->base < info.first_offset)
            position->base = info.first_offset;
    }
}

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
    script->log.stream = parts->script_log;
    script->inputs.options = (struct wz_inputs_options){
        .source = {.uv = &parts->loop->uv,
                   .feeds = parts->feeds,
                   .window_bytes = parts->window_bytes,
                   .filled = on_filled,
                   .gap = on_gap,
                   .closed = on_source_closed,
                   .arg = script},
    };
    memcpy(script->inputs.options.logs, parts->logs, sizeof(parts->logs));
    script->account = wz_accounts_use(parts->accounts, name);
    memcpy(script->positions, script->account->positions, sizeof(script->positions));
    skip_unused(script);
    script->halt = script->account->halt;
    script->halt_revision = script->account->halt_revision;
    script->halt_remark = script->account->remark ? wz_strdup(script->account->remark) : NULL;
    WZ_ASSERT(uv_timer_init(&parts->loop->uv, &script->lanes) == 0);
    WZ_ASSERT(uv_timer_init(&parts->loop->uv, &script->deadline) == 0);
    script->lanes.data = script;
    script->deadline.data = script;
    script->open_timers = 2;
    open_steps(script);
    wz_commits_advance(&script->commits); // what a crash kept from processed-stream
    return script;
}

void wz_script_free(struct wz_script *script)
{
    WZ_ASSERT(script->open_workers == 0 && script->open_timers == 0 &&
              script->inputs.open_count == 0);
    wz_list_remove(&script->links.all);
    wz_list_remove(&script->links.fed);
    wz_list_remove(&script->links.busy);
    wz_list_remove(&script->links.counted);
    wz_script_document_release(&script->document);
    json_decref(script->next_body);
    wz_script_clear_remark(script);
    wz_free(script->shares);
    wz_free(script->halt_remark);
    wz_free(script->name);
    wz_free(script);
}

const char *wz_script_name(const struct wz_script *script) { return script->name; }

struct wz_script_links *wz_script_links(struct wz_script *script) { return &script->links; }

struct wz_script *wz_script_of_links(struct wz_script_links *links)
{
    return WZ_CONTAINER(links, struct wz_script, links);
}
