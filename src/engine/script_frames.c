// SPDX-License-Identifier: Apache-2.0
// Owns what a script's workers say, and what each of it needs: their state when they start, looks
// back at a stream. What results mean is outcome.c's.
#include "base/clock.h"
#include "base/log.h"
#include "engine/outcome.h"
#include "engine/script_inside.h"

static void on_state(void *arg, struct wz_slice frames, bool done, int err)
{
    struct wz_script_share *share = arg;
    struct wz_worker *worker = share->worker;

    if (err < 0) {
        WZ_LOG(WZ_LOG_ERROR, "script.state", WZ_F_STR("script", share->script->name), WZ_F_ERR(err),
               WZ_F_STR("what", "its state cannot be read from the journal"));
        wz_state_load_free(share->load);
        share->load = NULL;
        wz_worker_kill(worker); // like a crash: tried again
        return;
    }
    wz_buf_add_slice(wz_worker_out(worker), frames);
    wz_worker_send(worker, false);
    if (done) {
        wz_state_load_free(share->load);
        share->load = NULL;
        wz_worker_begin(worker);
    } else if (wz_worker_ready(worker)) {
        wz_state_load_next(share->load);
    }
}

// What the state may count for in the account while workers keep to their limit. What is loaded may
// be more than that, or in no worker's share; and of a step that is put in part, what it adds may
// be there before what it takes away is gone.
static size_t state_bound(const struct wz_script *script)
{
    return wz_account_state_cost(script->account) +
           2 * (size_t)script->share_count * script->parts->max_state_bytes;
}

void wz_script_restore_share(struct wz_script *script, struct wz_script_share *share)
{
    if (wz_worker_phase(share->worker) != WZ_WORKER_RESTORING || share->load ||
        !wz_commits_written(&script->commits, share->restore_mark))
        return;
    if (script->state_bound == 0)
        script->state_bound = state_bound(script);
    share->load =
        wz_state_load_new(script->parts->loop, script->account, wz_worker_number(share->worker),
                          script->share_count, on_state, share);
    wz_state_load_next(share->load);
}

void wz_script_take_room(void *arg, struct wz_worker *worker)
{
    struct wz_script *script = arg;
    struct wz_script_share *share = wz_script_share_of(script, worker);

    if (share->load && wz_worker_phase(worker) == WZ_WORKER_RESTORING)
        wz_state_load_next(share->load);
    wz_script_feed(script);
}

static void on_found(void *arg, struct wz_slice frame)
{
    struct wz_script_share *share = arg;

    share->query = NULL;
    wz_buf_add_slice(wz_worker_out(share->worker), frame);
    wz_worker_send(share->worker, wz_script_holds(share->script, wz_worker_number(share->worker)));
}

static int handle_query(struct wz_script *script, struct wz_script_share *share,
                        struct wz_slice payload)
{
    struct wz_frame_query asked;
    int r = wz_frame_get_query(payload, &asked);

    // One at a time: a worker that asks on has taken the answer before, and that was the last in
    // the buffer. Or answers would pile up here for one that never reads.
    if (r < 0 || share->query || wz_worker_out(share->worker)->len > WZ_FRAME_HEADER_LEN)
        return WZ_ERR_PROTOCOL;
    // Out of quarantine: it looks back from where the message stood.
    if (asked.stream == WZ_INPUTS_QUARANTINED &&
        wz_outcome_origin(script, (uint64_t)asked.before, &asked.stream, &asked.before) < 0)
        return WZ_ERR_PROTOCOL;
    if (asked.stream >= WZ_SCRIPT_STREAM_COUNT)
        return WZ_ERR_PROTOCOL;
    share->query = wz_query_start(&script->parts->loop->uv, script->parts->logs[asked.stream],
                                  &asked, on_found, share);
    return WZ_OK;
}

static int handle_ready(struct wz_script *script, struct wz_script_share *share)
{
    if (wz_worker_phase(share->worker) == WZ_WORKER_DRAINING)
        return WZ_OK;
    if (wz_worker_phase(share->worker) != WZ_WORKER_LOADING)
        return WZ_ERR_PROTOCOL;
    wz_script_set_status(script, WZ_SCRIPT_VALID);
    wz_worker_restore(share->worker);
    share->restore_mark = wz_commits_mark(&script->commits);
    wz_script_restore_share(script, share);
    return WZ_OK;
}

static bool all_run(const struct wz_script *script)
{
    for (int i = 0; i < script->share_count; i++)
        if (wz_worker_phase(script->shares[i].worker) != WZ_WORKER_RUNNING)
            return false;
    return true;
}

static int handle_started(struct wz_script *script, struct wz_script_share *share,
                          struct wz_slice payload)
{
    int r;

    if (wz_worker_phase(share->worker) == WZ_WORKER_DRAINING)
        return WZ_OK;
    if (wz_worker_phase(share->worker) != WZ_WORKER_STARTING)
        return WZ_ERR_PROTOCOL;
    r = wz_outcome_take(script, share->worker, WZ_FRAME_STARTED, payload);
    if (r < 0 || script->halting)
        return r;
    wz_worker_run(share->worker);
    script->document_ran = true;
    share->started_us = wz_clock_mono_us();
    WZ_LOG(WZ_LOG_INFO, "script.running", WZ_F_STR("script", script->name),
           WZ_F_INT("revision", script->revision),
           WZ_F_INT("worker", wz_worker_number(share->worker)),
           WZ_F_INT("pid", wz_worker_pid(share->worker)));
    if (all_run(script)) {
        wz_script_clear_remark(script);
        wz_script_remark_gap(script);
        wz_script_set_status(script, WZ_SCRIPT_RUNNING);
    }
    wz_script_feed(script);
    return WZ_OK;
}

static int handle_invalid(struct wz_script *script, struct wz_script_share *share,
                          struct wz_slice payload)
{
    enum wz_worker_phase phase = wz_worker_phase(share->worker);
    struct wz_frame_invalid invalid;
    int r = wz_frame_get_invalid(payload, &invalid);

    if (r < 0 || phase == WZ_WORKER_DRAINING)
        return r;
    if (phase != WZ_WORKER_LOADING && phase != WZ_WORKER_STARTING)
        return WZ_ERR_PROTOCOL;
    wz_script_become_invalid(script, &invalid);
    return WZ_OK;
}

static int handle_log(struct wz_script *script, struct wz_worker *worker, struct wz_slice payload)
{
    struct wz_frame_log line;
    struct wz_frame_record record;
    struct wz_cause cause = {0};
    int r = wz_frame_get_log(payload, &line);

    if (r < 0)
        return r;
    if (wz_inputs_find(&script->inputs, wz_worker_number(worker), line.stream, line.offset,
                       &record))
        wz_cause_init(&cause, &record);
    r = wz_script_log_write(&script->log, &line, &cause);
    if (r == WZ_ERR_BUSY)
        wz_script_wait_for_bus(script);
    return r;
}

static int handle_results(struct wz_script *script, struct wz_worker *worker,
                          const struct wz_frame *frame)
{
    enum wz_worker_phase phase = wz_worker_phase(worker);
    int r;

    // While its state is read it has nothing to say that could change it; and what stop says comes
    // when it has been asked to.
    if (wz_script_share_of(script, worker)->load ||
        (phase != WZ_WORKER_DRAINING &&
         (phase != WZ_WORKER_RUNNING || frame->type == WZ_FRAME_DRAINED)))
        return WZ_ERR_PROTOCOL;
    r = wz_outcome_take(script, worker, frame->type, frame->payload);
    if (r < 0)
        return r;
    wz_worker_progress(worker, wz_script_holds(script, wz_worker_number(worker)));
    if (!script->bound)
        return WZ_OK;
    wz_inputs_refill(&script->inputs);
    wz_script_open_lanes(script);
    wz_script_feed(script);
    script->parts->events.counted(script->parts->events.arg, script);
    return WZ_OK;
}

int wz_script_take_frame(void *arg, struct wz_worker *worker, const struct wz_frame *frame)
{
    struct wz_script *script = arg;
    struct wz_script_share *share = wz_script_share_of(script, worker);

    switch (frame->type) {
    case WZ_FRAME_READY:
        return handle_ready(script, share);
    case WZ_FRAME_INVALID:
        return handle_invalid(script, share, frame->payload);
    case WZ_FRAME_STARTED:
        return handle_started(script, share, frame->payload);
    case WZ_FRAME_RESULT:
    case WZ_FRAME_DRAINED:
        return handle_results(script, worker, frame);
    case WZ_FRAME_LOG:
        return handle_log(script, worker, frame->payload);
    case WZ_FRAME_QUERY:
        return handle_query(script, share, frame->payload);
    default:
        return WZ_ERR_PROTOCOL;
    }
}
