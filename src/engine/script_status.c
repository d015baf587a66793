// SPDX-License-Identifier: Apache-2.0
// Owns what people are told of a script: its status, the remark beside it, its numbers.
#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/script_inside.h"
#include "engine/usage.h"

static const char *const status_words[] = {"stopped", "starting", "valid",
                                           "running", "invalid",  "parked"};

void wz_script_set_status(struct wz_script *script, enum wz_script_status status)
{
    script->status = status;
    script->parts->events.changed(script->parts->events.arg, script);
}

void wz_script_clear_remark(struct wz_script *script)
{
    wz_free(script->remark.text);
    wz_free(script->remark.traceback);
    script->remark = (struct wz_script_remark){0};
}

void wz_script_set_remark(struct wz_script *script, const char *text)
{
    wz_script_clear_remark(script);
    script->remark.text = wz_strdup(text);
}

void wz_script_remark_gap(struct wz_script *script)
{
    char text[128];

    if (script->gap_count == 0)
        return;
    (void)snprintf(text, sizeof(text),
                   "%" PRId64 " records were trimmed off the stream before it could read them",
                   script->gap_count);
    wz_script_set_remark(script, text);
}

void wz_script_become_invalid(struct wz_script *script, const struct wz_frame_invalid *invalid)
{
    struct wz_slice reason = wz_utf8_head(invalid->reason, WZ_FRAME_FAULT_MAX);
    struct wz_slice traceback = wz_utf8_tail(invalid->traceback, WZ_FRAME_FAULT_MAX);

    wz_script_clear_remark(script);
    script->remark = (struct wz_script_remark){
        .text = wz_strndup(reason.ptr, reason.len),
        .traceback = wz_strndup(traceback.ptr, traceback.len),
        .line = invalid->line,
        .column = invalid->column,
    };
    wz_script_set_status(script, WZ_SCRIPT_INVALID);
    wz_script_log_tell(&script->log, WZ_SEVERITY_ERROR, traceback.len > 0 ? traceback : reason,
                       &(struct wz_cause){0});
    WZ_LOG(WZ_LOG_WARN, "script.invalid", WZ_F_STR("script", script->name),
           WZ_F_INT("revision", script->revision), WZ_F_INT("line", invalid->line),
           WZ_F_SLICE("reason", reason));
}

static void add_number(json_t *state, const char *name, int64_t number)
{
    WZ_ASSERT(json_object_set_new(state, name, json_integer(number)) == 0);
}

static void add_usage(const struct wz_script *script, json_t *state)
{
    struct wz_usage all = {0};

    for (int i = 0; i < script->share_count; i++) {
        struct wz_usage usage;

        if (wz_usage_read(wz_worker_pid(script->shares[i].worker), &usage) < 0)
            continue;
        all.cpu_us += usage.cpu_us;
        all.memory_bytes += usage.memory_bytes;
    }
    add_number(state, "cpu_ms", all.cpu_us / 1000);
    add_number(state, "memory_bytes", all.memory_bytes);
}

json_t *wz_script_describe(const struct wz_script *script)
{
    const struct wz_script_remark *remark = &script->remark;
    // While the workers of the document before end, the status is theirs and the revision is not.
    enum wz_script_status status = script->next_body ? WZ_SCRIPT_STARTING : script->status;
    json_t *state = json_object();

    WZ_ASSERT(state);
    (void)json_object_set_new(state, "status", json_string(status_words[status])); // ASCII
    add_number(state, "revision", script->revision);
    add_number(state, "in", script->in_count);
    add_number(state, "out", script->egress.out_count);
    add_number(state, "refused", script->egress.refused_count);
    add_number(state, "errors", script->error_count);
    add_number(state, "retries", script->retry_count);
    add_number(state, "quarantined", (int64_t)script->account->by_number.count);
    add_number(state, "restarts", script->restart_count);
    add_number(state, "gap", script->gap_count);
    add_number(state, "lag", wz_inputs_lag(&script->inputs));
    add_number(state, "state_keys", (int64_t)script->account->state.count);
    add_number(state, "state_bytes", (int64_t)script->account->state_bytes);
    add_usage(script, state);
    (void)json_object_set_new(state, "behind",
                              json_boolean(wz_inputs_behind(&script->inputs))); // cannot fail
    if (remark->text)
        (void)json_object_set_new(state, "remark", json_string(remark->text)); // fails for no UTF-8
    if (remark->traceback && remark->traceback[0])
        (void)json_object_set_new(state, "traceback", json_string(remark->traceback));
    if (remark->line > 0)
        add_number(state, "line", remark->line);
    if (remark->column > 0)
        add_number(state, "column", remark->column);
    return state;
}
