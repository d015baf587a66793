// SPDX-License-Identifier: Apache-2.0
// Owns the handlers of scripts' life beside their documents: what is asked of the engine at the
// desk.
#include <stdlib.h>

#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/api.h"
#include "gateway/handlers.h"

// A question to the engine on behalf of a request.
struct task {
    struct wz_desk_call call;
    struct wz_request *req;
    json_t *args;
    bool single; // the answer is its one item
    bool empty;  // the answer is nothing
};

static void free_task(struct task *task)
{
    json_decref(task->args);
    json_decref(task->call.answer);
    wz_request_unref(task->req);
    wz_free(task);
}

static void on_answer(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, call.mail);
    json_t *answer = task->call.answer;

    task->req->api->under_way--;
    if (task->call.result < 0)
        wz_answer_problem(task->req, 0, &task->call.problem);
    else if (task->empty)
        wz_answer_nothing(task->req);
    else if (task->single)
        wz_answer_json(task->req, 200,
                       json_incref(json_array_get(json_object_get(answer, "items"), 0)));
    else
        wz_answer_json(task->req, 200, json_incref(answer));
    free_task(task);
}

static struct task *new_task_about(struct wz_request *req, const char *what, const char *name)
{
    struct task *task = wz_zalloc(1, sizeof(*task));

    task->req = wz_request_ref(req);
    task->args = json_object();
    task->call.part = "scripts";
    task->call.what = what;
    task->call.name = name;
    task->call.args = task->args;
    task->call.reply_to = &req->api->mail;
    task->call.done = on_answer;
    return task;
}

static struct task *new_task(struct wz_request *req, const char *what)
{
    return new_task_about(req, what, req->captures[0].len > 0 ? wz_request_capture(req, 0) : "");
}

static void ask(struct task *task)
{
    struct wz_api *api = task->req->api;
    struct wz_problem problem;
    int r = api->parts.desk != NULL ? wz_desk_ask(api->parts.desk, &task->call) : WZ_ERR_CLOSED;

    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The engine cannot be asked now.");
    wz_problem_fix(&problem, "This needs a running server: wyze run.");
    wz_answer_problem(task->req, 503, &problem);
    free_task(task);
}

static bool is_number(const char *text, long long *ret_number)
{
    char *end;

    *ret_number = strtoll(text, &end, 10);
    return end > text && *end == '\0' && *ret_number >= 0;
}

// Takes the query's parameter NAME, a number, if it is there.
static int take_param(struct task *task, const char *name, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    long long number;
    int r = wz_request_param(task->req, name, &text, ret_problem);

    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0)
        return r;
    if (!is_number(wz_buf_str(&text), &number))
        return wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                              "The parameter \"%s\" must be a number.", name);
    return json_object_set_new(task->args, name, json_integer(number)) == 0 ? WZ_OK
                                                                            : WZ_ERR_INVALID;
}

// Asks about many: behind AFTER, at most LIMIT.
static void ask_range(struct wz_request *req, const char *what)
{
    struct task *task = new_task(req, what);
    struct wz_problem problem;
    int r = take_param(task, "after", &problem);

    if (r == WZ_OK)
        r = take_param(task, "limit", &problem);
    if (r == WZ_OK) {
        ask(task);
        return;
    }
    wz_answer_problem(req, 400, &problem);
    free_task(task);
}

// Asks about the message that the address names.
static void ask_one(struct wz_request *req, const char *what, bool single)
{
    struct task *task = new_task(req, what);
    struct wz_problem problem;
    long long number;

    task->single = single;
    if (is_number(wz_request_capture(req, 1), &number) &&
        json_object_set_new(task->args, "number", json_integer(number)) == 0) {
        ask(task);
        return;
    }
    (void)wz_problem_set(&problem, WZ_ERR_NOT_FOUND, WZ_CODE_API_NOT_FOUND,
                         "Messages in quarantine are known by their numbers.");
    wz_answer_problem(req, 404, &problem);
    free_task(task);
}

void wz_answer_script_removed(struct wz_request *req, const char *name)
{
    struct task *task;

    if (req->api->parts.desk == NULL) { // no engine runs: the next start forgets it
        wz_answer_nothing(req);
        return;
    }
    task = new_task_about(req, "forget", name);
    task->empty = true;
    ask(task);
}

void wz_handle_script_restart(struct wz_request *req) { ask(new_task(req, "restart")); }

void wz_handle_engine_restart(struct wz_request *req) { ask(new_task(req, "restart-all")); }

void wz_handle_quarantine_list(struct wz_request *req) { ask_range(req, "quarantine"); }

void wz_handle_quarantine_get(struct wz_request *req) { ask_one(req, "quarantine", true); }

void wz_handle_quarantine_retry(struct wz_request *req) { ask_one(req, "retry", false); }

void wz_handle_quarantine_retry_many(struct wz_request *req) { ask_range(req, "retry"); }

void wz_handle_quarantine_drop(struct wz_request *req) { ask_one(req, "drop", false); }

void wz_handle_quarantine_drop_many(struct wz_request *req) { ask_range(req, "drop"); }

void wz_handle_script_state(struct wz_request *req) { ask_range(req, "state"); }
