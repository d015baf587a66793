// SPDX-License-Identifier: Apache-2.0
// Owns the handlers of scripts' versions: what their documents were before.
#include <stdlib.h>

#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/api.h"
#include "gateway/handlers.h"
#include "stream/moment.h"

// A question to the store on behalf of a request.
struct task {
    struct wz_store_call call;
    struct wz_request *req;
    int64_t revision; // the one that is asked for
};

static void free_task(struct task *task)
{
    wz_document_list_release(&task->call.list);
    wz_request_unref(task->req);
    wz_free(task);
}

static void refuse(struct task *task, const struct wz_problem *problem)
{
    wz_answer_problem(task->req, 0, problem);
    free_task(task);
}

static void send(struct task *task, wz_mail_fn done)
{
    struct wz_api *api = task->req->api;
    struct wz_problem problem;
    int r = WZ_ERR_CLOSED;

    task->call.op = WZ_STORE_VERSIONS;
    task->call.collection = WZ_COLLECTION_SCRIPTS;
    task->call.name = wz_request_capture(task->req, 0);
    task->call.done = done;
    task->call.reply_to = &api->mail;
    if (api->parts.store != NULL)
        r = wz_store_send(api->parts.store, &task->call);
    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The store cannot take the call now.");
    wz_problem_fix(&problem, "Try again.");
    refuse(task, &problem);
}

// The task whose call has come back; NULL when it failed: then it is answered.
static struct task *take_back(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, call.mail);

    task->req->api->under_way--;
    if (task->call.result == WZ_OK)
        return task;
    refuse(task, &task->call.problem);
    return NULL;
}

static struct task *new_task(struct wz_request *req)
{
    struct task *task = wz_zalloc(1, sizeof(*task));

    task->req = wz_request_ref(req);
    return task;
}

// The names of the members in which two documents differ.
static json_t *compare(json_t *before, json_t *after)
{
    json_t *names = json_array();
    const char *name;
    json_t *value;

    json_object_foreach(after, name, value)
    {
        if (!json_equal(value, json_object_get(before, name)))
            (void)json_array_append_new(names, json_string(name)); // it was parsed
    }
    json_object_foreach(before, name, value)
    {
        if (json_object_get(after, name) == NULL)
            (void)json_array_append_new(names, json_string(name)); // as above
    }
    return names;
}

// What the list says of a version. BEFORE is the one in front of it, or NULL when that is not kept.
static json_t *describe(const struct wz_document *version, const struct wz_document *before)
{
    json_t *item = json_pack("{s:I}", "revision", (json_int_t)version->revision);

    if (version->time_ms > 0) {
        WZ_AUTO(wz_buf_release) struct wz_buf time = {0};

        wz_moment_add_time(&time, version->time_ms);
        (void)json_object_set_new(item, "time", json_string(wz_buf_str(&time))); // plain text
    }
    if (before != NULL)
        (void)json_object_set_new(item, "changed",
                                  compare(before->body, version->body)); // as above
    return item;
}

static void answer_list(struct wz_mail *mail)
{
    struct task *task = take_back(mail);
    json_t *items = json_array();

    if (task == NULL) {
        json_decref(items);
        return;
    }
    for (size_t i = 0; i < task->call.list.count; i++) {
        const struct wz_document *version = &task->call.list.items[i];

        (void)json_array_append_new(
            items, describe(version, i + 1 < task->call.list.count ? version + 1 : NULL));
    }
    wz_answer_json(task->req, 200, json_pack("{s:o}", "items", items));
    free_task(task);
}

void wz_handle_script_versions(struct wz_request *req) { send(new_task(req), answer_list); }

static void refuse_revision(struct task *task)
{
    struct wz_problem problem;

    (void)wz_problem_set(&problem, WZ_ERR_NOT_FOUND, WZ_CODE_DOCUMENT_NOT_FOUND,
                         "That version of the script is not kept.");
    wz_problem_where(&problem, "scripts/%s", wz_request_capture(task->req, 0));
    wz_problem_fix(&problem, "List its versions to see those that are there.");
    refuse(task, &problem);
}

static void answer_version(struct wz_mail *mail)
{
    struct task *task = take_back(mail);

    if (task == NULL)
        return;
    for (size_t i = 0; i < task->call.list.count; i++) {
        const struct wz_document *version = &task->call.list.items[i];

        if (version->revision != task->revision)
            continue;
        wz_answer_field(task->req, "ETag", "\"%lld\"", (long long)version->revision);
        wz_answer_json(task->req, 200, json_incref(version->body));
        free_task(task);
        return;
    }
    refuse_revision(task);
}

void wz_handle_script_version(struct wz_request *req)
{
    struct task *task = new_task(req);
    const char *text = wz_request_capture(req, 1);
    char *end;

    task->revision = strtoll(text, &end, 10);
    if (*end != '\0' || task->revision < 1)
        refuse_revision(task);
    else
        send(task, answer_version);
}
