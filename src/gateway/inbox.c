// SPDX-License-Identifier: Apache-2.0
// Owns the handlers of the inbox. The list is asked for at the router's desk; what it suggests is
// worked out here with the documents, by functions that the API was given; what is accepted goes to
// the store (gather.h), and then the desk is asked to let it re-enter.
#include <stdlib.h>

#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/api.h"
#include "gateway/gather.h"
#include "gateway/handlers.h"

// All topics that the inbox lists: suggestions look at them together.
#define TOPICS_MAX 4096

#define LIMIT_PRESET 100

struct task;

// Called when list and documents are there.
typedef void (*task_fn)(struct task *task);

// What a gathering has to do with the inbox; freed with it.
struct task {
    struct wz_desk_call desk;
    struct wz_gather *gather;
    struct wz_request *req; // the gathering's
    task_fn go;
    json_t *args; // of the question at the desk
    json_t *wish; // the request's body
    json_t *list; // the desk's answer
    json_t *devices;
    json_t *answer;
};

static void free_task(void *arg)
{
    struct task *task = arg;

    json_decref(task->args);
    json_decref(task->wish);
    json_decref(task->list);
    json_decref(task->devices);
    json_decref(task->answer);
    json_decref(task->desk.answer);
    wz_free(task);
}

// Ends a task whose request is answered.
static void end(struct task *task) { wz_gather_free(task->gather); }

static void refuse_busy(struct task *task, int err, const char *what)
{
    struct wz_problem problem;

    (void)wz_problem_set(&problem, err, WZ_CODE_API_BUSY, "%s", what);
    wz_problem_fix(&problem, "This needs a running server: wyze run. If one runs, try again.");
    wz_gather_refuse(task->gather, &problem);
}

static void suggest(struct wz_gather *gather);

// NULL when there is no store: the request is answered then.
static struct task *new_task(struct wz_request *req)
{
    struct wz_gather *gather = wz_gather_new(req, suggest);
    struct task *task;

    if (gather == NULL)
        return NULL;
    task = wz_zalloc(1, sizeof(*task));
    task->gather = gather;
    task->req = gather->req;
    gather->arg = task;
    gather->free_arg = free_task;
    return task;
}

// Asks at the desk; ARGS are taken over.
static void ask(struct task *task, const char *what, json_t *args, wz_mail_fn done)
{
    struct wz_api *api = task->req->api;
    int r;

    json_decref(task->args);
    task->args = args;
    task->desk = (struct wz_desk_call){.part = "inbox",
                                       .what = what,
                                       .name = "",
                                       .args = args,
                                       .reply_to = &api->mail,
                                       .done = done};
    r = api->parts.desk != NULL ? wz_desk_ask(api->parts.desk, &task->desk) : WZ_ERR_CLOSED;
    if (r == WZ_OK)
        api->under_way++;
    else
        refuse_busy(task, r, "The inbox cannot be asked now.");
}

// The task whose question at the desk has come back; NULL when it was refused.
static struct task *take_answer(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, desk.mail);

    task->req->api->under_way--;
    if (task->desk.result == WZ_OK)
        return task;
    wz_gather_refuse(task->gather, &task->desk.problem);
    return NULL;
}

// The list, with suggestions.

static void suggest(struct wz_gather *gather)
{
    const struct wz_api_parts *parts = &gather->req->api->parts;
    struct task *task = gather->arg;

    parts->suggest(parts->mapping_arg, &gather->documents, json_object_get(task->list, "items"));
    task->go(task);
}

static void take_list(struct wz_mail *mail)
{
    struct task *task = take_answer(mail);

    if (task == NULL)
        return;
    task->list = task->desk.answer;
    task->desk.answer = NULL;
    wz_gather_begin(task->gather);
}

// Lists everything, then goes on with GO. TASK may be NULL: the request is answered then.
static void list(struct task *task, task_fn go)
{
    const struct wz_api_parts *parts;

    if (task == NULL)
        return;
    parts = &task->req->api->parts;
    task->go = go;
    if (parts->suggest == NULL || parts->accept == NULL)
        refuse_busy(task, WZ_ERR_CLOSED, "There is no mapping here.");
    else
        ask(task, "ls", json_pack("{s:i}", "limit", TOPICS_MAX), take_list);
}

static int read_limit(struct wz_request *req, size_t *ret_limit, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r = wz_request_param(req, "limit", &text, ret_problem);
    char *end;
    long limit;

    *ret_limit = LIMIT_PRESET;
    if (r < 0)
        return r == WZ_ERR_NOT_FOUND ? WZ_OK : r;
    limit = strtol(wz_buf_str(&text), &end, 10);
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '9' || *end != '\0' || limit < 1 ||
        limit > TOPICS_MAX) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The parameter \"limit\" is not valid.");
        wz_problem_fix(ret_problem, "Give a number from 1 to %d.", TOPICS_MAX);
        return WZ_ERR_INVALID;
    }
    *ret_limit = (size_t)limit;
    return WZ_OK;
}

static void answer_list(struct task *task)
{
    json_t *items = json_object_get(task->list, "items");
    struct wz_problem problem;
    size_t limit;

    wz_ignore(read_limit(task->req, &limit, &problem)); // it was read before
    if (json_array_size(items) > limit)
        (void)json_object_set_new(task->list, "more", json_true()); // our own name
    while (json_array_size(items) > limit)
        (void)json_array_remove(items, json_array_size(items) - 1); // it is there
    wz_answer_json(task->req, 200, json_incref(task->list));
    end(task);
}

static void answer_topic(struct task *task)
{
    const char *topic = wz_request_capture(task->req, 0);
    struct wz_problem problem = {0};
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(task->list, "items"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "topic")), topic) != 0)
            continue;
        wz_answer_json(task->req, 200, json_incref(item));
        end(task);
        return;
    }
    (void)wz_problem_set(&problem, WZ_ERR_NOT_FOUND, WZ_CODE_INBOX_TOPIC,
                         "The inbox has no topic \"%.128s\".", topic);
    wz_problem_fix(&problem, "wyze map inbox ls lists them.");
    wz_gather_refuse(task->gather, &problem);
}

void wz_handle_inbox_list(struct wz_request *req)
{
    struct wz_problem problem;
    size_t limit;

    if (read_limit(req, &limit, &problem) < 0)
        wz_answer_problem(req, 400, &problem);
    else
        list(new_task(req), answer_list);
}

void wz_handle_inbox_topic(struct wz_request *req) { list(new_task(req), answer_topic); }

// What is done about topics.

static void answer_began(struct wz_mail *mail)
{
    struct task *task = take_answer(mail);

    if (task == NULL)
        return;
    wz_answer_json(task->req, 200,
                   task->answer != NULL ? json_incref(task->answer) : json_object());
    end(task);
}

static void on_saved(struct wz_gather *gather)
{
    struct task *task = gather->arg;
    json_t *reenter;
    json_t *ids;
    const char *id;
    json_t *document;

    reenter = json_object_get(task->wish, "reenter");
    task->answer =
        json_pack("{s:O, s:b}", "devices", task->devices, "reenter", !json_is_false(reenter));
    if (json_is_false(reenter)) {
        wz_answer_json(task->req, 200, json_incref(task->answer));
        end(task);
        return;
    }
    ids = json_array();
    json_object_foreach(task->devices, id, document)
    {
        (void)json_array_append_new(ids, json_string(id)); // it is UTF-8
    }
    ask(task, "reenter", json_pack("{s:o}", "devices", ids), answer_began);
}

// What somebody else has made of a device meanwhile is not written over.
static void save(struct task *task)
{
    const struct wz_api_parts *parts = &task->req->api->parts;
    const struct wz_document_list *before = &task->gather->documents.lists[WZ_COLLECTION_DEVICES];
    struct wz_api_changes *changes = &task->gather->changes;
    struct wz_problem problem = {0};
    const char *id;
    json_t *document;
    int r =
        parts->accept(parts->mapping_arg, &task->gather->documents,
                      json_object_get(task->list, "items"), task->wish, &task->devices, &problem);

    if (r < 0) {
        problem.err = r;
        wz_gather_refuse(task->gather, &problem);
        return;
    }
    changes->items = wz_zalloc(json_object_size(task->devices), sizeof(changes->items[0]));
    json_object_foreach(task->devices, id, document)
    {
        changes->items[changes->count++] =
            (struct wz_store_change){.collection = WZ_COLLECTION_DEVICES,
                                     .name = wz_strdup(id),
                                     .body = json_incref(document),
                                     .new = wz_document_list_find(before, id) == NULL};
    }
    task->gather->applied = on_saved;
    wz_gather_apply(task->gather);
}

// Takes the request's body. NULL when it was refused.
static struct task *begin(struct wz_request *req)
{
    struct task *task = new_task(req);
    struct wz_problem problem = {.err = WZ_ERR_INVALID};

    if (task == NULL)
        return NULL;
    task->wish = wz_request_object(req, &problem);
    if (task->wish != NULL)
        return task;
    wz_gather_refuse(task->gather, &problem);
    return NULL;
}

// Whether a member of the body is missing, or a list of names.
static bool is_names(const json_t *names)
{
    json_t *name;
    size_t i;

    if (names != NULL && !json_is_array(names))
        return false;
    json_array_foreach((json_t *)(uintptr_t)names, i, name)
    {
        if (!json_is_string(name))
            return false;
    }
    return true;
}

static void refuse_wish(struct task *task, const char *what)
{
    struct wz_problem problem;

    (void)wz_problem_set(&problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST, "%s", what);
    wz_gather_refuse(task->gather, &problem);
}

void wz_handle_inbox_accept(struct wz_request *req)
{
    static const char *const texts[] = {"device", "route", "template"};
    struct task *task = begin(req);

    if (task == NULL)
        return;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *text = json_object_get(task->wish, texts[i]);

        if (text == NULL || json_is_string(text))
            continue;
        refuse_wish(task, "\"device\", \"route\" and \"template\" are texts.");
        return;
    }
    if (json_is_string(json_object_get(task->wish, "topic")))
        list(task, save);
    else
        refuse_wish(task, "\"topic\", a text, is missing.");
}

void wz_handle_inbox_reenter(struct wz_request *req)
{
    struct task *task = begin(req);
    json_t *devices;

    if (task == NULL)
        return;
    devices = json_object_get(task->wish, "devices");
    if (is_names(devices))
        ask(task, "reenter", json_pack("{s:O*}", "devices", devices), answer_began);
    else
        refuse_wish(task, "\"devices\" is a list of device ids.");
}

void wz_handle_inbox_forget(struct wz_request *req)
{
    struct task *task = begin(req);
    json_t *topics;

    if (task == NULL)
        return;
    topics = json_object_get(task->wish, "topics");
    if (topics != NULL && is_names(topics))
        ask(task, "forget", json_pack("{s:O}", "topics", topics), answer_began);
    else
        refuse_wish(task, "\"topics\" is a list of topics.");
}
