// SPDX-License-Identifier: Apache-2.0
// Owns the mapping as text, and its explanation, over HTTP. What they mean is the router's
// business, which the API reaches through functions that it was given.
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/gather.h"
#include "gateway/handlers.h"

// Whether the mapping is still the one for which the request has a condition; else it is answered.
static bool is_still(struct wz_gather *gather)
{
    const struct wz_api_parts *parts = &gather->req->api->parts;
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_problem problem = {0};
    int r;

    if (wz_http_field(&gather->req->head, "If-Match").ptr == NULL)
        return true;
    r = parts->export(parts->mapping_arg, &gather->documents, &text, &problem);
    if (r == WZ_OK)
        return wz_gather_still(gather, wz_buf_slice(&text));
    problem.err = r;
    wz_gather_refuse(gather, &problem);
    return false;
}

static void import(struct wz_gather *gather)
{
    const struct wz_api_parts *parts = &gather->req->api->parts;
    struct wz_problem problem = {0};
    int r;

    if (!is_still(gather))
        return;
    r = parts->import(parts->mapping_arg, wz_buf_slice(&gather->req->body), &gather->documents,
                      &gather->changes, &problem);

    if (r == WZ_OK) {
        gather->exact = true; // another import may be under way
        wz_gather_apply(gather);
        return;
    }
    problem.err = r;
    wz_gather_refuse(gather, &problem);
}

static void export(struct wz_gather *gather)
{
    const struct wz_api_parts *parts = &gather->req->api->parts;
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_problem problem = {0};
    int r = parts->export(parts->mapping_arg, &gather->documents, &text, &problem);

    if (r < 0) {
        problem.err = r;
        wz_gather_refuse(gather, &problem);
        return;
    }
    wz_gather_tell(gather, "text/plain; charset=utf-8", wz_buf_slice(&text));
}

// The first word is the topic, the second the body.
static void explain(struct wz_gather *gather)
{
    const struct wz_api_parts *parts = &gather->req->api->parts;
    struct wz_problem problem = {0};
    json_t *steps;
    int r = parts->explain(parts->mapping_arg, &gather->documents, wz_buf_slice(&gather->words[0]),
                           wz_buf_slice(&gather->words[1]), &steps, &problem);

    if (r < 0) {
        problem.err = r;
        wz_gather_refuse(gather, &problem);
        return;
    }
    wz_answer_json(gather->req, 200, steps);
    wz_gather_free(gather);
}

// A gathering for what needs one of the functions; NULL when it was refused.
static struct wz_gather *begin(struct wz_request *req, wz_gather_fn go, bool is_there)
{
    struct wz_problem problem;

    if (is_there)
        return wz_gather_new(req, go);
    (void)wz_problem_set(&problem, WZ_ERR_CLOSED, WZ_CODE_STORE_ACCESS,
                         "There is no mapping here.");
    wz_answer_problem(req, 0, &problem);
    return NULL;
}

void wz_handle_mapping_get(struct wz_request *req)
{
    struct wz_gather *gather = begin(req, export, req->api->parts.export != NULL);

    if (gather != NULL)
        wz_gather_begin(gather);
}

void wz_handle_mapping_put(struct wz_request *req)
{
    struct wz_gather *gather =
        begin(req, import, req->api->parts.import != NULL && req->api->parts.export != NULL);

    if (gather != NULL)
        wz_gather_begin(gather);
}

void wz_handle_mapping_test(struct wz_request *req)
{
    struct wz_gather *gather = begin(req, explain, req->api->parts.explain != NULL);
    struct wz_problem problem = {0};
    int r;

    if (gather == NULL)
        return;
    r = wz_request_param(req, "body", &gather->words[1], &problem);
    if (r == WZ_OK)
        wz_buf_reserve(&gather->words[1], 1); // one that is empty is given, too
    if (r == WZ_OK || r == WZ_ERR_NOT_FOUND)
        r = wz_request_param(req, "topic", &gather->words[0], &problem);
    if (r == WZ_OK) {
        wz_gather_begin(gather);
        return;
    }
    if (r == WZ_ERR_NOT_FOUND) {
        (void)wz_problem_set(&problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The parameter \"topic\" is missing.");
        wz_problem_fix(&problem, "Add ?topic= and the topic to the address.");
    }
    wz_gather_refuse(gather, &problem);
}
