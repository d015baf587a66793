// SPDX-License-Identifier: Apache-2.0
// Owns the handlers of documents. A document is represented as it is stored; its revision is the
// ETag. A change with a condition that only a look can decide (PATCH, "If-Match: *") is a GET and
// then a PUT that expects the revision seen. A ready document, which is there without being stored,
// has the revision 0; a change of one stores it.
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/api.h"
#include "gateway/handlers.h"
#include "gateway/patch.h"
#include "gateway/route.h"

// How often a PATCH without a condition is tried again when somebody else was faster.
#define WZ_PATCH_TRIES 8

// What a script's document shows of its run; never stored.
#define WZ_LIVE_MEMBER "live"

enum condition {
    IF_ANYTHING,
    IF_ABSENT,   // If-None-Match: *
    IF_PRESENT,  // If-Match: *
    IF_REVISION, // If-Match: "3"
};

// A question to the store on behalf of a request.
struct task {
    struct wz_store_call call;
    struct wz_request *req;
    enum condition condition;
    int64_t revision; // of IF_REVISION
    json_t *body;     // of a PUT, owned
    json_t *patch;    // of a PATCH, owned
    int tries;
};

static void free_task(struct task *task)
{
    json_decref(task->body);
    json_decref(task->patch);
    wz_document_list_release(&task->call.list);
    wz_request_unref(task->req);
    wz_free(task);
}

// Refuses the request and ends the task.
static void refuse(struct task *task, int status, const struct wz_problem *problem)
{
    wz_answer_problem(task->req, status, problem);
    free_task(task);
}

// An entity tag as a revision: "3" in quotes.
static bool parse_tag(struct wz_slice s, int64_t *ret_revision)
{
    int64_t revision = 0;

    if (s.len < 3 || s.len > 20 || s.ptr[0] != '"' || s.ptr[s.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        revision = revision * 10 + (s.ptr[i] - '0');
    }
    *ret_revision = revision;
    return true;
}

static int read_condition(struct task *task, struct wz_problem *ret_problem)
{
    struct wz_slice match = wz_http_field(&task->req->head, "If-Match");
    struct wz_slice none = wz_http_field(&task->req->head, "If-None-Match");
    struct wz_slice star = WZ_SLICE_LIT("*");

    if (match.ptr == NULL && none.ptr == NULL)
        return WZ_OK;
    if (match.ptr == NULL && wz_slice_eq(none, star))
        task->condition = IF_ABSENT;
    else if (none.ptr == NULL && wz_slice_eq(match, star))
        task->condition = IF_PRESENT;
    else if (none.ptr == NULL && parse_tag(match, &task->revision))
        task->condition = IF_REVISION;
    else {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The condition in If-Match or If-None-Match cannot be read.");
        wz_problem_fix(ret_problem,
                       "Give If-Match: \"REVISION\" as in ETag, If-Match: *, or If-None-Match: *.");
        return WZ_ERR_INVALID;
    }
    return WZ_OK;
}

static int64_t expected_revision(const struct task *task)
{
    switch (task->condition) {
    case IF_ABSENT:
        return WZ_REVISION_NONE;
    case IF_REVISION:
        return task->revision;
    default:
        return WZ_REVISION_ANY;
    }
}

static void send(struct task *task, enum wz_store_op op, wz_mail_fn done)
{
    struct wz_api *api = task->req->api;
    struct wz_problem problem;
    int r;

    wz_document_list_release(&task->call.list);
    task->call.op = op;
    task->call.body = task->body;
    task->call.done = done;
    task->call.reply_to = &api->mail;
    task->call.result = WZ_OK;
    task->call.problem = (struct wz_problem){0};
    r = wz_store_send(api->parts.store, &task->call);
    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The store cannot take the call now.");
    wz_problem_fix(&problem, "Try again.");
    refuse(task, 0, &problem);
}

// The task whose call has come back.
static struct task *take_back(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, call.mail);

    task->req->api->under_way--;
    return task;
}

// Refuses what the store refused.
static void refuse_result(struct task *task)
{
    struct wz_problem *problem = &task->call.problem;
    int status = 0;

    if (problem->what[0] == '\0')
        (void)wz_problem_set(problem, task->call.result, 0, "%s", wz_err_text(task->call.result));
    if (task->call.result == WZ_ERR_CONFLICT && problem->code == WZ_CODE_DOCUMENT_CONFLICT &&
        task->condition != IF_ANYTHING)
        status = 412;
    if (status == 412 && task->call.revision > 0)
        wz_answer_field(task->req, "ETag", "\"%lld\"", (long long)task->call.revision);
    refuse(task, status, problem);
}

// Starts a task for the collection that the request names, or answers 404 and returns NULL.
static struct task *begin(struct wz_request *req)
{
    struct wz_problem problem;
    struct task *task;
    enum wz_collection collection = wz_collection_find(wz_request_capture(req, 0));

    if (collection == WZ_COLLECTION_COUNT) {
        wz_ignore(wz_route_refuse(req, &problem)); // the problem says it all
        wz_answer_problem(req, 404, &problem);
        return NULL;
    }
    if (req->api->parts.store == NULL) {
        (void)wz_problem_set(&problem, WZ_ERR_CLOSED, WZ_CODE_STORE_ACCESS,
                             "There is no store here.");
        wz_answer_problem(req, 0, &problem);
        return NULL;
    }
    task = wz_zalloc(1, sizeof(*task));
    task->req = wz_request_ref(req);
    task->call.collection = collection;
    if (req->captures[1].len > 0)
        task->call.name = wz_request_capture(req, 1);
    return task;
}

// The ready document INDEX of the task's collection, or NULL.
static json_t *ready_at(const struct task *task, size_t index, const char **ret_name)
{
    wz_api_ready_fn ready = task->req->api->parts.ready;

    return ready != NULL ? ready(task->call.collection, index, ret_name) : NULL;
}

// The ready document that the task names, a new reference, or NULL.
static json_t *find_ready(const struct task *task)
{
    const char *name = NULL;
    json_t *body;

    for (size_t i = 0; (body = ready_at(task, i, &name)) != NULL; i++) {
        if (strcmp(name, task->call.name) == 0)
            return body;
        json_decref(body);
    }
    return NULL;
}

// Whether what documents of the collection do stands on the board, and comes with them.
static bool is_live(enum wz_collection collection)
{
    return collection == WZ_COLLECTION_SCRIPTS || collection == WZ_COLLECTION_PASSTHROUGH;
}

// Adds what the board says of what a document does.
static void add_live(struct task *task, json_t *object, const char *name)
{
    struct wz_board *board = task->req->api->parts.board;
    json_t *live;

    if (!is_live(task->call.collection) || board == NULL)
        return;
    live = wz_board_get(board, wz_collection_name(task->call.collection), name);
    if (live != NULL)
        (void)json_object_set_new(object, WZ_LIVE_MEMBER, live); // the object is ours
}

static void add_item(struct task *task, json_t *items, const struct wz_document *doc)
{
    json_t *item = json_pack("{s:s, s:I, s:O}", "name", doc->name, "revision",
                             (json_int_t)doc->revision, "document", doc->body);

    if (item != NULL)
        add_live(task, item, doc->name);
    (void)json_array_append_new(items, item); // refuses NULL, which a bad name would give
}

// Adds the ready documents from *INDEX on that come before NAME (NULL: all), and goes past one of
// that name, whose place the stored one takes.
static void add_ready(struct task *task, json_t *items, const char *name, size_t *index)
{
    const char *ready;
    json_t *body;

    for (; (body = ready_at(task, *index, &ready)) != NULL; ++*index) {
        int order = name != NULL ? strcmp(ready, name) : -1;

        if (order < 0)
            (void)json_array_append_new(items, json_pack("{s:s, s:i, s:b, s:O}", "name", ready,
                                                         "revision", 0, "ready", 1, "document",
                                                         body)); // its name is ours
        json_decref(body);
        if (order > 0)
            return;
    }
}

static void answer_list(struct wz_mail *mail)
{
    struct task *task = take_back(mail);
    json_t *items = json_array();
    size_t ready = 0;

    if (task->call.result < 0) {
        json_decref(items);
        refuse_result(task);
        return;
    }
    for (size_t i = 0; i < task->call.list.count; i++) {
        add_ready(task, items, task->call.list.items[i].name, &ready);
        add_item(task, items, &task->call.list.items[i]);
    }
    add_ready(task, items, NULL, &ready);
    wz_answer_json(task->req, 200, json_pack("{s:o}", "items", items));
    free_task(task);
}

void wz_handle_document_list(struct wz_request *req)
{
    struct task *task = begin(req);

    if (task != NULL)
        send(task, WZ_STORE_LIST, answer_list);
}

// Answers with a document, whose reference is taken over.
static void answer_document(struct task *task, int status, json_t *body, int64_t revision)
{
    wz_answer_field(task->req, "ETag", "\"%lld\"", (long long)revision);
    add_live(task, body, task->call.name);
    wz_answer_json(task->req, status, body);
    free_task(task);
}

static void answer_get(struct wz_mail *mail)
{
    struct task *task = take_back(mail);
    struct wz_slice none = wz_http_field(&task->req->head, "If-None-Match");
    struct wz_document *doc = task->call.list.items;
    json_t *ready = task->call.result == WZ_ERR_NOT_FOUND ? find_ready(task) : NULL;
    int64_t known;

    if (ready != NULL) {
        answer_document(task, 200, ready, 0);
        return;
    }
    if (task->call.result < 0) {
        refuse_result(task);
        return;
    }
    if (!is_live(task->call.collection) && parse_tag(none, &known) && known == doc->revision) {
        wz_answer_field(task->req, "ETag", "\"%lld\"", (long long)known);
        wz_answer_text(task->req, 304, "application/json", wz_slice(NULL, 0));
        free_task(task);
        return;
    }
    answer_document(task, 200, json_deep_copy(doc->body), doc->revision);
}

void wz_handle_document_get(struct wz_request *req)
{
    struct task *task = begin(req);

    if (task != NULL)
        send(task, WZ_STORE_GET, answer_get);
}

static void patch_again(struct task *task);

static void answer_put(struct wz_mail *mail)
{
    struct task *task = take_back(mail);
    bool lost = task->call.result == WZ_ERR_CONFLICT &&
                task->call.problem.code == WZ_CODE_DOCUMENT_CONFLICT;

    if (lost && task->patch != NULL && task->condition == IF_ANYTHING &&
        task->tries++ < WZ_PATCH_TRIES) {
        patch_again(task);
        return;
    }
    if (task->call.result < 0) {
        refuse_result(task);
        return;
    }
    if (task->call.revision == 1)
        wz_answer_field(task->req, "Location", "%.*s", WZ_SLICE_FMT(task->req->path));
    answer_document(task, task->call.revision == 1 ? 201 : 200, json_deep_copy(task->body),
                    task->call.revision);
}

static void answer_delete(struct wz_mail *mail)
{
    struct task *task = take_back(mail);
    json_t *ready = task->call.result == WZ_ERR_NOT_FOUND ? find_ready(task) : NULL;

    if (ready != NULL)
        wz_problem_fix(&task->call.problem, "It is a ready one, which cannot be removed.");
    json_decref(ready);
    if (task->call.result < 0) {
        refuse_result(task);
        return;
    }
    if (task->call.collection == WZ_COLLECTION_SCRIPTS)
        wz_answer_script_removed(task->req, task->call.name);
    else
        wz_answer_nothing(task->req);
    free_task(task);
}

// Goes on once the document has been seen: a PUT or DELETE that expects its revision.
static void change_document(struct task *task, json_t *body, int64_t revision)
{
    task->call.expected_revision = task->condition == IF_REVISION ? task->revision : revision;
    if (task->patch != NULL) {
        json_decref(task->body);
        task->body = wz_patch_apply(body, task->patch);
    }
    if (task->req->method == WZ_METHOD_DELETE)
        send(task, WZ_STORE_DELETE, answer_delete);
    else
        send(task, WZ_STORE_PUT, answer_put);
}

static void change_seen(struct wz_mail *mail)
{
    struct task *task = take_back(mail);
    struct wz_document *doc = task->call.list.items;
    struct wz_problem problem;
    bool absent = task->call.result == WZ_ERR_NOT_FOUND;
    json_t *ready = absent && task->req->method != WZ_METHOD_DELETE ? find_ready(task) : NULL;

    if (ready != NULL) {
        change_document(task, ready, WZ_REVISION_NONE);
        json_decref(ready);
        return;
    }
    if (absent && task->condition != IF_ANYTHING) {
        (void)wz_problem_set(&problem, WZ_ERR_CONFLICT, WZ_CODE_API_PRECONDITION,
                             "The document is not there, which If-Match asks for.");
        refuse(task, 412, &problem);
        return;
    }
    if (task->call.result < 0) {
        refuse_result(task);
        return;
    }
    change_document(task, doc->body, doc->revision);
}

static void patch_again(struct task *task) { send(task, WZ_STORE_GET, change_seen); }

// Starts a change; reads its condition and, if BODY is wanted, the object in its body.
static struct task *begin_change(struct wz_request *req, json_t **ret_body)
{
    struct wz_problem problem;
    struct task *task = begin(req);

    if (task == NULL)
        return NULL;
    if (read_condition(task, &problem) < 0) {
        refuse(task, 400, &problem);
        return NULL;
    }
    task->call.expected_revision = expected_revision(task);
    if (ret_body == NULL)
        return task;
    *ret_body = wz_request_object(req, &problem);
    if (*ret_body == NULL) {
        refuse(task, 400, &problem);
        return NULL;
    }
    if (is_live(task->call.collection))
        (void)json_object_del(*ret_body, WZ_LIVE_MEMBER); // fine when it is not there
    return task;
}

void wz_handle_document_put(struct wz_request *req)
{
    json_t *body = NULL;
    struct task *task = begin_change(req, &body);

    if (task == NULL)
        return;
    task->body = body;
    if (task->condition == IF_PRESENT)
        send(task, WZ_STORE_GET, change_seen);
    else
        send(task, WZ_STORE_PUT, answer_put);
}

void wz_handle_document_patch(struct wz_request *req)
{
    json_t *patch = NULL;
    struct task *task = begin_change(req, &patch);

    if (task == NULL)
        return;
    task->patch = patch;
    send(task, WZ_STORE_GET, change_seen);
}

void wz_handle_document_delete(struct wz_request *req)
{
    struct task *task = begin_change(req, NULL);

    if (task == NULL)
        return;
    if (task->condition == IF_PRESENT)
        send(task, WZ_STORE_GET, change_seen);
    else
        send(task, WZ_STORE_DELETE, answer_delete);
}
