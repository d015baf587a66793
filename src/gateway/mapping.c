// SPDX-License-Identifier: Apache-2.0
// Owns the mapping as text over HTTP. What the text means is the router's business, which the API
// reaches through two functions that it was given; here the documents are fetched and the changes
// sent to the store, all or nothing.
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/api.h"
#include "gateway/handlers.h"

struct task;

// Called when all documents are there.
typedef void (*task_fn)(struct task *task);

struct task {
    struct wz_store_call call;
    struct wz_request *req;
    task_fn go;
    struct wz_buf topic; // to be explained, and a body
    struct wz_buf body;
    bool has_body;
    struct wz_api_documents documents;
    struct wz_api_changes changes;
};

static void free_task(struct task *task)
{
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&task->documents.lists[i]);
    wz_document_list_release(&task->call.list);
    wz_api_changes_release(&task->changes);
    wz_buf_release(&task->topic);
    wz_buf_release(&task->body);
    wz_request_unref(task->req);
    wz_free(task);
}

static void refuse(struct task *task, struct wz_problem *problem)
{
    if (problem->what[0] == '\0')
        (void)wz_problem_set(problem, problem->err, 0, "%s", wz_err_text(problem->err));
    wz_answer_problem(task->req, 0, problem);
    free_task(task);
}

static void send(struct task *task, wz_mail_fn done)
{
    struct wz_api *api = task->req->api;
    struct wz_problem problem;
    int r;

    task->call.reply_to = &api->mail;
    task->call.done = done;
    r = wz_store_send(api->parts.store, &task->call);
    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The store cannot take the call now.");
    wz_problem_fix(&problem, "Try again.");
    refuse(task, &problem);
}

static void answer_import(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, call.mail);

    task->req->api->under_way--;
    if (task->call.result < 0) {
        task->call.problem.err = task->call.result;
        refuse(task, &task->call.problem);
        return;
    }
    wz_answer_json(task->req, 200, json_pack("{s:I}", "changed", (json_int_t)task->changes.count));
    free_task(task);
}

static void import(struct task *task)
{
    const struct wz_api_parts *parts = &task->req->api->parts;
    struct wz_problem problem = {0};
    int r = parts->import(parts->mapping_arg, wz_buf_slice(&task->req->body), &task->documents,
                          &task->changes, &problem);

    if (r < 0) {
        problem.err = r;
        refuse(task, &problem);
        return;
    }
    if (task->changes.count == 0) {
        wz_answer_json(task->req, 200, json_pack("{s:i}", "changed", 0));
        free_task(task);
        return;
    }
    task->call = (struct wz_store_call){
        .op = WZ_STORE_APPLY, .changes = task->changes.items, .change_count = task->changes.count};
    send(task, answer_import);
}

static void export(struct task *task)
{
    const struct wz_api_parts *parts = &task->req->api->parts;
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_problem problem = {0};
    int r = parts->export(parts->mapping_arg, &task->documents, &text, &problem);

    if (r < 0) {
        problem.err = r;
        refuse(task, &problem);
        return;
    }
    wz_answer_text(task->req, 200, "text/plain; charset=utf-8", wz_buf_slice(&text));
    free_task(task);
}

static void explain(struct task *task)
{
    const struct wz_api_parts *parts = &task->req->api->parts;
    struct wz_slice body = wz_buf_slice(&task->body);
    struct wz_problem problem = {0};
    json_t *steps;
    int r;

    if (task->has_body && body.ptr == NULL)
        body = WZ_SLICE_LIT("");
    r = parts->explain(parts->mapping_arg, &task->documents, wz_buf_slice(&task->topic), body,
                       &steps, &problem);
    if (r < 0) {
        problem.err = r;
        refuse(task, &problem);
        return;
    }
    wz_answer_json(task->req, 200, steps);
    free_task(task);
}

static void take_list(struct wz_mail *mail);

// Asks for the next collection, or goes on when all are there.
static void fetch(struct task *task, enum wz_collection collection)
{
    if (collection < WZ_COLLECTION_COUNT) {
        task->call = (struct wz_store_call){.op = WZ_STORE_LIST, .collection = collection};
        send(task, take_list);
    } else {
        task->go(task);
    }
}

static void take_list(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, call.mail);

    task->req->api->under_way--;
    if (task->call.result < 0) {
        task->call.problem.err = task->call.result;
        refuse(task, &task->call.problem);
        return;
    }
    task->documents.lists[task->call.collection] = task->call.list;
    task->call.list = (struct wz_document_list){0};
    fetch(task, task->call.collection + 1);
}

// A new task, or NULL when it was refused.
static struct task *begin(struct wz_request *req, task_fn go)
{
    const struct wz_api_parts *parts = &req->api->parts;
    struct wz_problem problem;
    struct task *task;

    if (parts->store == NULL || parts->import == NULL || parts->export == NULL ||
        (go == explain && parts->explain == NULL)) {
        (void)wz_problem_set(&problem, WZ_ERR_CLOSED, WZ_CODE_STORE_ACCESS,
                             "There is no mapping here.");
        wz_answer_problem(req, 0, &problem);
        return NULL;
    }
    task = wz_zalloc(1, sizeof(*task));
    task->req = wz_request_ref(req);
    task->go = go;
    return task;
}

void wz_handle_mapping_get(struct wz_request *req)
{
    struct task *task = begin(req, export);

    if (task != NULL)
        fetch(task, 0);
}

void wz_handle_mapping_put(struct wz_request *req)
{
    struct task *task = begin(req, import);

    if (task != NULL)
        fetch(task, 0);
}

void wz_handle_mapping_test(struct wz_request *req)
{
    struct task *task = begin(req, explain);
    struct wz_problem problem = {0};
    int r;

    if (task == NULL)
        return;
    r = wz_request_param(req, "body", &task->body, &problem);
    task->has_body = r == WZ_OK;
    if (r == WZ_OK || r == WZ_ERR_NOT_FOUND)
        r = wz_request_param(req, "topic", &task->topic, &problem);
    if (r == WZ_OK) {
        fetch(task, 0);
        return;
    }
    if (r == WZ_ERR_NOT_FOUND) {
        (void)wz_problem_set(&problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The parameter \"topic\" is missing.");
        wz_problem_fix(&problem, "Add ?topic= and the topic to the address.");
    }
    refuse(task, &problem);
}
