// SPDX-License-Identifier: Apache-2.0
// Owns a loop with one worker's process on it, and the script's state as its steps left it.
#include "engine/trial.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/worker_process.h"

// A STATE frame is sent once it is longer than this.
#define STATE_BYTES ((size_t)1024 * 1024)

// An entry of the state. ID: the lane, then the key.
struct entry {
    struct wz_buf id;
    struct wz_buf value;
};

struct wz_trial {
    struct wz_trial_options options;
    char *path;
    uv_loop_t uv;
    uv_timer_t timer;
    uv_signal_t signal;
    struct wz_worker_process *process; // NULL: none runs
    struct wz_worker_end end;          // of the last one
    struct wz_map state;               // id -> struct entry
    struct wz_trial_result *result;    // of the call that is waited for, or NULL
    bool answered;                     // what is waited for has come
    bool interrupted;
    bool overdue; // the process was killed because it took too long
    bool lawless; // because it broke the protocol
};

static void free_entry(struct entry *entry)
{
    wz_buf_release(&entry->id);
    wz_buf_release(&entry->value);
    wz_free(entry);
}

static void set_reason(struct wz_trial *trial, struct wz_slice text)
{
    if (!trial->result)
        return;
    trial->result->reason.len = 0;
    wz_buf_add_slice(&trial->result->reason, text);
}

static void keep(struct wz_trial *trial, const struct wz_frame_entry *change)
{
    WZ_AUTO(wz_buf_release) struct wz_buf id = {0};
    struct entry *entry;

    wz_buf_add_byte(&id, change->lane);
    wz_buf_add_slice(&id, change->key);
    entry = wz_map_remove(&trial->state, wz_buf_slice(&id));
    if (entry)
        free_entry(entry);
    if (change->removed)
        return;
    entry = wz_zalloc(1, sizeof(*entry));
    wz_buf_add_slice(&entry->id, wz_buf_slice(&id));
    wz_buf_add_slice(&entry->value, change->value);
    (void)wz_map_put(&trial->state, wz_buf_slice(&entry->id), entry); // nothing is there any more
}

static void take_item(struct wz_trial *trial, const struct wz_frame_item *item)
{
    if (item->kind == WZ_FRAME_ITEM_EMIT) {
        trial->options.events.output(trial->options.events.arg, item);
    } else if (item->kind == WZ_FRAME_ITEM_TRACE) {
        set_reason(trial, item->body);
    } else if (item->kind == WZ_FRAME_ITEM_TERMINATE) {
        set_reason(trial, item->body);
        if (trial->result)
            trial->result->ended = true;
    }
}

static int take_result(struct wz_trial *trial, const struct wz_frame_result *result)
{
    struct wz_frame_iter items = wz_frame_items(result);
    struct wz_frame_item item;
    int r;

    if (trial->result)
        trial->result->failed = result->status != WZ_FRAME_OK;
    while ((r = wz_frame_next_item(&items, &item)) == WZ_OK)
        take_item(trial, &item);
    return r == WZ_END ? WZ_OK : r;
}

// Takes a list of one result and the changes behind it.
static int take_step(struct wz_trial *trial, struct wz_slice payload)
{
    struct wz_frame_iter it;
    struct wz_frame_result result;
    struct wz_frame_entry change;
    int r = wz_frame_iter_init(&it, payload);

    if (r < 0 || trial->answered)
        return WZ_ERR_PROTOCOL;
    while ((r = wz_frame_next_result(&it, &result)) == WZ_OK) {
        r = take_result(trial, &result);
        if (r < 0)
            return r;
    }
    if (r == WZ_END)
        r = wz_frame_changes(&it);
    while (r == WZ_OK && (r = wz_frame_next_entry(&it, &change)) == WZ_OK)
        keep(trial, &change);
    trial->answered = true;
    return r == WZ_END ? WZ_OK : r;
}

static int take_query(struct wz_trial *trial, struct wz_slice payload)
{
    struct wz_frame_query asked;
    int r = wz_frame_get_query(payload, &asked);

    if (r < 0)
        return r;
    trial->options.events.query(trial->options.events.arg, &asked,
                                wz_worker_process_out(trial->process));
    wz_worker_process_send(trial->process);
    return WZ_OK;
}

static int take_log(struct wz_trial *trial, struct wz_slice payload)
{
    struct wz_frame_log line;
    int r = wz_frame_get_log(payload, &line);

    if (r == WZ_OK)
        trial->options.events.log(trial->options.events.arg, &line);
    return r;
}

static int take_invalid(struct wz_trial *trial, struct wz_slice payload)
{
    struct wz_frame_invalid invalid;
    int r = wz_frame_get_invalid(payload, &invalid);

    if (r < 0)
        return r;
    trial->options.events.invalid(trial->options.events.arg, &invalid);
    return WZ_OK;
}

static int take_frame(struct wz_trial *trial, const struct wz_frame *frame)
{
    switch (frame->type) {
    case WZ_FRAME_READY:
        trial->answered = true;
        return WZ_OK;
    case WZ_FRAME_INVALID:
        return take_invalid(trial, frame->payload);
    case WZ_FRAME_STARTED:
    case WZ_FRAME_RESULT:
    case WZ_FRAME_DRAINED:
        return take_step(trial, frame->payload);
    case WZ_FRAME_LOG:
        return take_log(trial, frame->payload);
    case WZ_FRAME_QUERY:
        return take_query(trial, frame->payload);
    default:
        return WZ_ERR_PROTOCOL;
    }
}

static void on_readable(void *arg)
{
    struct wz_trial *trial = arg;
    struct wz_frame frame;
    int r;

    while (!trial->lawless && (r = wz_worker_process_next(trial->process, &frame)) != WZ_AGAIN) {
        if (r == WZ_OK)
            r = take_frame(trial, &frame);
        if (r < 0) {
            trial->lawless = true;
            wz_worker_process_kill(trial->process);
        }
    }
}

static void on_writable(void *arg)
{
    (void)arg; // what is sent is sent whole
}

static void on_exited(void *arg, const struct wz_worker_end *end)
{
    struct wz_trial *trial = arg;

    on_readable(trial);
    trial->end = *end;
    wz_worker_process_free(trial->process);
    trial->process = NULL;
}

static void on_late(uv_timer_t *timer)
{
    struct wz_trial *trial = timer->data;

    trial->overdue = true;
    if (trial->process)
        wz_worker_process_kill(trial->process);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct wz_trial *trial = signal->data;

    (void)number; // the one that was asked for
    trial->interrupted = true;
}

// Waits until what was asked has been answered. WZ_AGAIN when the process has died instead.
static int await(struct wz_trial *trial, int64_t limit_ms)
{
    (void)uv_timer_start(&trial->timer, on_late, (uint64_t)limit_ms, 0); // it has a function
    while (!trial->answered && trial->process && !trial->interrupted)
        (void)uv_run(&trial->uv, UV_RUN_ONCE); // whether more is to come is known here
    (void)uv_timer_stop(&trial->timer);        // cannot fail
    if (trial->answered)
        return WZ_OK;
    return trial->interrupted ? WZ_ERR_CLOSED : WZ_AGAIN;
}

static void end_process(struct wz_trial *trial)
{
    if (trial->process)
        wz_worker_process_kill(trial->process);
    while (trial->process)
        (void)uv_run(&trial->uv, UV_RUN_ONCE); // as above
}

static void send_state(struct wz_trial *trial)
{
    struct wz_buf *out = wz_worker_process_out(trial->process);
    struct entry *entry;
    size_t walk = 0;
    size_t start = 0;
    uint32_t count = 0;

    while ((entry = wz_map_next(&trial->state, &walk))) {
        const struct wz_frame_entry put = {
            .lane = entry->id.ptr[0],
            .key = wz_slice(entry->id.ptr + 1, entry->id.len - 1),
            .value = wz_buf_slice(&entry->value),
        };

        if (count == 0)
            start = wz_frame_list_open(out, WZ_FRAME_STATE);
        wz_frame_put_entry(out, &put);
        count++;
        if (out->len - start < STATE_BYTES)
            continue;
        wz_frame_list_close(out, start, count);
        count = 0;
    }
    if (count > 0)
        wz_frame_list_close(out, start, count);
}

// Starts a process, with the state that there is, up to the end of init.
static int start(struct wz_trial *trial)
{
    const struct wz_worker_process_events events = {
        .readable = on_readable, .writable = on_writable, .exited = on_exited, .arg = trial};
    const struct wz_worker_program program = {
        .path = trial->path,
        .name = "trial",
        .words = trial->options.words,
    };
    struct wz_trial_result *result = trial->result;
    int r = wz_worker_process_start(&trial->uv, &program, &events, &trial->process);

    if (r < 0)
        return r;
    trial->result = NULL; // what init gives is no answer to a record
    trial->answered = trial->overdue = trial->lawless = false;
    wz_frame_put_load(wz_worker_process_out(trial->process), &trial->options.load);
    wz_worker_process_send(trial->process);
    r = await(trial, trial->options.load_ms);
    if (r == WZ_OK) {
        trial->answered = false;
        send_state(trial);
        wz_frame_put_empty(wz_worker_process_out(trial->process), WZ_FRAME_START);
        wz_worker_process_send(trial->process);
        r = await(trial, trial->options.load_ms);
    }
    trial->result = result;
    if (r != WZ_OK)
        end_process(trial);
    return r == WZ_AGAIN ? WZ_ERR_INVALID : r;
}

static void describe_end(const struct wz_trial *trial, struct wz_buf *reason)
{
    reason->len = 0;
    if (trial->overdue)
        wz_buf_addf(reason, "The call took longer than %lld ms.",
                    (long long)trial->options.max_message_ms);
    else if (trial->lawless)
        wz_buf_add_str(reason, "The process broke the protocol.");
    else if (trial->end.signal != 0)
        wz_buf_addf(reason, "The process was ended by signal %d.", trial->end.signal);
    else
        wz_buf_addf(reason, "The process exited with code %lld.", (long long)trial->end.exit_code);
}

// Sends what is in the process's buffer and waits for its answer.
static int call(struct wz_trial *trial)
{
    int64_t begin_us = wz_clock_mono_us();
    int r;

    trial->answered = trial->overdue = trial->lawless = false;
    wz_worker_process_send(trial->process);
    r = await(trial, trial->options.max_message_ms);
    trial->result->time_us = wz_clock_mono_us() - begin_us;
    if (r == WZ_AGAIN) {
        trial->result->failed = true;
        describe_end(trial, &trial->result->reason);
        r = WZ_OK;
    }
    return r;
}

// Makes the result new, and starts a process when none runs.
static int prepare(struct wz_trial *trial, struct wz_trial_result *result)
{
    int r = WZ_OK;

    wz_trial_result_release(result);
    trial->result = result;
    (void)uv_run(&trial->uv, UV_RUN_NOWAIT); // a signal or a death that has come meanwhile
    if (trial->interrupted)
        return WZ_ERR_CLOSED;
    if (!trial->process)
        r = start(trial);
    return r;
}

int wz_trial_give(struct wz_trial *trial, const struct wz_frame_record *record,
                  struct wz_trial_result *ret_result)
{
    struct wz_frame_record given = *record;
    struct wz_buf *out;
    size_t at;
    int r = prepare(trial, ret_result);

    if (r == WZ_OK) {
        given.opens = true; // a call that failed holds nothing up
        out = wz_worker_process_out(trial->process);
        at = wz_frame_list_open(out, WZ_FRAME_BATCH);
        wz_frame_put_record(out, &given);
        wz_frame_list_close(out, at, 1);
        r = call(trial);
    }
    trial->result = NULL;
    return r;
}

int wz_trial_stop(struct wz_trial *trial, struct wz_trial_result *ret_result)
{
    int r = prepare(trial, ret_result);

    if (r == WZ_OK) {
        wz_frame_put_empty(wz_worker_process_out(trial->process), WZ_FRAME_DRAIN);
        r = call(trial);
    }
    trial->result = NULL;
    return r;
}

size_t wz_trial_state_count(const struct wz_trial *trial) { return trial->state.count; }

void wz_trial_result_release(struct wz_trial_result *result)
{
    wz_buf_release(&result->reason);
    *result = (struct wz_trial_result){0};
}

int wz_trial_open(const struct wz_trial_options *options, struct wz_trial **ret_trial)
{
    struct wz_trial *trial = wz_zalloc(1, sizeof(*trial));
    int r;

    trial->options = *options;
    trial->path = wz_strdup(options->path);
    if (uv_loop_init(&trial->uv) < 0) {
        wz_free(trial->path);
        wz_free(trial);
        return WZ_ERR_SYSTEM;
    }
    (void)uv_timer_init(&trial->uv, &trial->timer); // cannot fail on a loop that is there
    trial->timer.data = trial;
    (void)uv_signal_init(&trial->uv, &trial->signal); // the same
    trial->signal.data = trial;
    if (options->signal != 0)
        WZ_ASSERT(uv_signal_start(&trial->signal, on_signal, options->signal) == 0);
    r = start(trial);
    if (r < 0) {
        wz_trial_close(trial);
        return r;
    }
    *ret_trial = trial;
    return WZ_OK;
}

void wz_trial_close(struct wz_trial *trial)
{
    struct entry *entry;
    size_t walk = 0;

    if (!trial)
        return;
    end_process(trial);
    uv_close((uv_handle_t *)&trial->timer, NULL);
    uv_close((uv_handle_t *)&trial->signal, NULL);
    (void)uv_run(&trial->uv, UV_RUN_DEFAULT); // ends when all handles are closed
    (void)uv_loop_close(&trial->uv);          // nothing is left on it
    while ((entry = wz_map_next(&trial->state, &walk)))
        free_entry(entry);
    wz_map_release(&trial->state);
    wz_free(trial->path);
    wz_free(trial);
}
