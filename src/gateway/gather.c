// SPDX-License-Identifier: Apache-2.0
// Owns the two questions to the store: what there is, and that it be changed.
#include "gateway/gather.h"

#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/etag.h"

// How often changes are made anew because somebody else was faster.
#define TRIES 16

void wz_gather_free(struct wz_gather *gather)
{
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&gather->documents.lists[i]);
    wz_api_changes_release(&gather->changes);
    for (size_t i = 0; i < 2; i++)
        wz_buf_release(&gather->words[i]);
    if (gather->free_arg != NULL)
        gather->free_arg(gather->arg);
    wz_request_unref(gather->req);
    wz_free(gather);
}

void wz_gather_refuse(struct wz_gather *gather, struct wz_problem *problem)
{
    if (problem->what[0] == '\0')
        (void)wz_problem_set(problem, problem->err, 0, "%s", wz_err_text(problem->err));
    wz_answer_problem(gather->req, 0, problem);
    wz_gather_free(gather);
}

bool wz_gather_still(struct wz_gather *gather, struct wz_slice text)
{
    struct wz_slice match = wz_http_field(&gather->req->head, "If-Match");
    struct wz_problem problem;
    char tag[WZ_ETAG_SIZE];

    wz_etag_of(text, tag);
    if (match.ptr == NULL || wz_slice_eq(match, wz_slice_str("*")) ||
        wz_slice_eq(match, wz_slice_str(tag)))
        return true;
    (void)wz_problem_set(&problem, WZ_ERR_CONFLICT, WZ_CODE_API_PRECONDITION,
                         "It was changed since it was exported.");
    wz_problem_fix(&problem, "Export it again, and make your changes to that.");
    wz_answer_field(gather->req, "ETag", "%s", tag);
    wz_answer_problem(gather->req, 412, &problem);
    wz_gather_free(gather);
    return false;
}

void wz_gather_tell(struct wz_gather *gather, const char *type, struct wz_slice text)
{
    char tag[WZ_ETAG_SIZE];

    wz_etag_of(text, tag);
    wz_answer_field(gather->req, "ETag", "%s", tag);
    wz_answer_text(gather->req, 200, type, text);
    wz_gather_free(gather);
}

struct wz_gather *wz_gather_new(struct wz_request *req, wz_gather_fn go)
{
    struct wz_problem problem;
    struct wz_gather *gather;

    if (req->api->parts.store == NULL) {
        (void)wz_problem_set(&problem, WZ_ERR_CLOSED, WZ_CODE_STORE_ACCESS,
                             "There are no documents here.");
        wz_answer_problem(req, 0, &problem);
        return NULL;
    }
    gather = wz_zalloc(1, sizeof(*gather));
    gather->req = wz_request_ref(req);
    gather->go = go;
    return gather;
}

static void send(struct wz_gather *gather, wz_mail_fn done)
{
    struct wz_api *api = gather->req->api;
    struct wz_problem problem;
    int r;

    gather->call.reply_to = &api->mail;
    gather->call.done = done;
    r = wz_store_send(api->parts.store, &gather->call);
    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The store cannot take the call now.");
    wz_problem_fix(&problem, "Try again.");
    wz_gather_refuse(gather, &problem);
}

// The gathering of an answer that has come; NULL when it was a refusal, which is passed on.
static struct wz_gather *take_answer(struct wz_mail *mail)
{
    struct wz_gather *gather = WZ_CONTAINER(mail, struct wz_gather, call.mail);

    gather->req->api->under_way--;
    if (gather->call.result == WZ_OK)
        return gather;
    gather->call.problem.err = gather->call.result;
    wz_gather_refuse(gather, &gather->call.problem);
    return NULL;
}

static void take_documents(struct wz_mail *mail)
{
    struct wz_gather *gather = take_answer(mail);

    if (gather == NULL)
        return;
    gather->state = gather->call.state;
    gather->go(gather);
}

void wz_gather_begin(struct wz_gather *gather)
{
    gather->call =
        (struct wz_store_call){.op = WZ_STORE_SNAPSHOT, .lists = gather->documents.lists};
    send(gather, take_documents);
}

static void go_on_applied(struct wz_gather *gather)
{
    if (gather->applied != NULL) {
        gather->applied(gather);
        return;
    }
    wz_answer_json(gather->req, 200,
                   json_pack("{s:I}", "changed", (json_int_t)gather->changes.count));
    wz_gather_free(gather);
}

// Whether somebody else was faster, and all begins anew.
static bool begin_again(struct wz_gather *gather)
{
    if (!gather->exact || gather->call.result != WZ_ERR_CONFLICT || gather->tries++ >= TRIES)
        return false;
    gather->req->api->under_way--;
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&gather->documents.lists[i]);
    wz_api_changes_release(&gather->changes);
    wz_gather_begin(gather);
    return true;
}

static void on_applied(struct wz_mail *mail)
{
    struct wz_gather *gather = WZ_CONTAINER(mail, struct wz_gather, call.mail);

    if (begin_again(gather))
        return;
    gather = take_answer(mail);
    if (gather != NULL)
        go_on_applied(gather);
}

void wz_gather_apply(struct wz_gather *gather)
{
    if (gather->changes.count == 0) {
        go_on_applied(gather);
        return;
    }
    gather->call = (struct wz_store_call){.op = WZ_STORE_APPLY,
                                          .expected = gather->exact ? gather->state
                                                                    : (struct wz_store_state){0},
                                          .changes = gather->changes.items,
                                          .change_count = gather->changes.count};
    send(gather, on_applied);
}
