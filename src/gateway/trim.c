// SPDX-License-Identifier: Apache-2.0
// Owns requests for old records to be removed: from what somebody wants to keep to the offset below
// which whole segments go, which the loop's side then has removed, or not, in a dry run.
#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/handlers.h"
#include "gateway/streams.h"
#include "stream/moment.h"

// A question on behalf of a request.
struct task {
    struct wz_desk_call call;
    struct wz_request *req;
    const struct wz_api_stream *stream;
    json_t *args;
    int64_t below_offset;
    bool dry_run;
};

static void free_task(struct task *task)
{
    json_decref(task->args);
    json_decref(task->call.answer);
    wz_request_unref(task->req);
    wz_free(task);
}

static int refuse(struct wz_problem *ret_problem, const char *what)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST, "%s", what);
    wz_problem_fix(ret_problem, "Give one of before (\"-30d\", a time), keep_bytes and offset, and "
                                "dry_run if nothing is to be removed.");
    return WZ_ERR_INVALID;
}

// The first offset at or after WHEN.
static int find_moment(const char *when, struct wz_log *log, int64_t *ret_offset,
                       struct wz_problem *ret_problem)
{
    struct wz_moment moment;
    int r = wz_moment_parse(wz_slice_str(when), wz_clock_wall_ms(), &moment, ret_problem);

    if (r < 0)
        return r;
    r = wz_moment_find(&moment, log, ret_offset);
    if (r < 0)
        (void)wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "The stream cannot be read: %s.",
                             wz_err_text(r));
    return r;
}

int wz_streams_trim_offset(const json_t *body, struct wz_log *log, int64_t *ret_offset,
                           struct wz_problem *ret_problem)
{
    const json_t *before = json_object_get(body, "before");
    const json_t *keep = json_object_get(body, "keep_bytes");
    const json_t *offset = json_object_get(body, "offset");
    struct wz_log_limits limits = {.needed_offset = INT64_MAX};
    struct wz_log_removed unused;

    if ((before != NULL) + (keep != NULL) + (offset != NULL) != 1)
        return refuse(ret_problem, "It is not said, or said twice, what is to go.");
    if (before != NULL && json_is_string(before))
        return find_moment(json_string_value(before), log, ret_offset, ret_problem);
    if (before != NULL)
        return refuse(ret_problem, "The member \"before\" is no string.");
    if (offset != NULL && (!json_is_integer(offset) || json_integer_value(offset) < 0))
        return refuse(ret_problem, "The member \"offset\" is no offset.");
    if (offset != NULL) {
        *ret_offset = json_integer_value(offset);
        return WZ_OK;
    }
    if (!json_is_integer(keep) || json_integer_value(keep) < 0)
        return refuse(ret_problem, "The member \"keep_bytes\" is no number of bytes.");
    limits.max_bytes = json_integer_value(keep) > 0 ? json_integer_value(keep) : 1;
    wz_log_plan(log, &limits, &unused, ret_offset);
    return WZ_OK;
}

static json_t *describe(const struct task *task, const struct wz_log_removed *removed,
                        int64_t first_offset)
{
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "stream", task->stream->name, "dry_run",
                     task->dry_run, "segments", (json_int_t)removed->segments, "records",
                     (json_int_t)removed->records, "bytes", (json_int_t)removed->bytes,
                     "first_offset", (json_int_t)first_offset);
}

// What would go, as NEEDED says from where on somebody needs what is there.
static json_t *describe_plan(const struct task *task, const json_t *needed)
{
    struct wz_log_limits limits = {
        .below_offset = task->below_offset,
        .needed_offset = json_is_integer(needed) ? json_integer_value(needed) : INT64_MAX};
    struct wz_log_removed removed;
    struct wz_log_info info;
    int64_t first;

    wz_log_plan(task->stream->log, &limits, &removed, &first);
    wz_log_info(task->stream->log, &info);
    return describe(task, &removed, removed.segments > 0 ? first : info.first_offset);
}

// What went.
static json_t *describe_done(const struct task *task, const json_t *answer)
{
    struct wz_log_removed removed = {
        .segments = json_integer_value(json_object_get(answer, "segments")),
        .records = json_integer_value(json_object_get(answer, "records")),
        .bytes = json_integer_value(json_object_get(answer, "bytes")),
    };
    struct wz_log_info info;

    wz_log_info(task->stream->log, &info);
    return describe(task, &removed, info.first_offset);
}

static void on_answer(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, call.mail);
    json_t *answer = task->call.answer;

    task->req->api->under_way--;
    if (task->call.result < 0)
        wz_answer_problem(task->req, 0, &task->call.problem);
    else if (task->dry_run)
        wz_answer_json(task->req, 200,
                       describe_plan(task, json_object_get(answer, "needed_offset")));
    else
        wz_answer_json(task->req, 200, describe_done(task, answer));
    free_task(task);
}

// Reads what is wanted out of the body.
static int read_task(struct task *task, struct wz_problem *ret_problem)
{
    json_t *body = wz_request_object(task->req, ret_problem);
    const json_t *dry_run;
    int r;

    if (body == NULL)
        return WZ_ERR_INVALID;
    dry_run = json_object_get(body, "dry_run");
    task->dry_run = json_is_true(dry_run);
    if (json_object_size(body) != 1u + (dry_run != NULL) ||
        (dry_run != NULL && !json_is_boolean(dry_run)))
        r = refuse(ret_problem, "The request has a member that is unknown, or of the wrong kind.");
    else
        r = wz_streams_trim_offset(body, task->stream->log, &task->below_offset, ret_problem);
    json_decref(body);
    return r;
}

static void ask(struct task *task)
{
    struct wz_api *api = task->req->api;
    struct wz_problem problem;
    int r;

    task->args = json_pack("{s:I}", "below_offset", (json_int_t)task->below_offset);
    task->call.part = "streams";
    task->call.what = task->dry_run ? "needed" : "trim";
    task->call.name = task->stream->name;
    task->call.args = task->args;
    task->call.reply_to = &api->mail;
    task->call.done = on_answer;
    r = api->parts.desk != NULL ? wz_desk_ask(api->parts.desk, &task->call) : WZ_ERR_CLOSED;
    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The stream cannot be trimmed now.");
    wz_problem_fix(&problem, "This needs a running server: wyze run.");
    wz_answer_problem(task->req, 503, &problem);
    free_task(task);
}

static void refuse_journal(struct wz_request *req)
{
    struct wz_problem problem;

    (void)wz_problem_set(&problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                         "The journal is not trimmed: sessions, retained messages and scripts' "
                         "state are in it.");
    wz_problem_fix(&problem, "It compacts itself. The streams can be trimmed.");
    wz_answer_problem(req, 400, &problem);
}

void wz_handle_stream_trim(struct wz_request *req)
{
    const struct wz_api_stream *stream;
    struct wz_problem problem;
    struct task *task;
    int r;

    if (strcmp(wz_request_capture(req, 0), "journal") == 0) {
        refuse_journal(req);
        return;
    }
    stream = wz_streams_of_request(req);
    if (stream == NULL)
        return;
    task = wz_zalloc(1, sizeof(*task));
    task->req = wz_request_ref(req);
    task->stream = stream;
    r = read_task(task, &problem);
    if (r == WZ_OK) {
        ask(task);
        return;
    }
    wz_answer_problem(req, r == WZ_ERR_INVALID ? 400 : 0, &problem);
    free_task(task);
}
