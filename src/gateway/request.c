// SPDX-License-Identifier: Apache-2.0
// Owns requests: their reading, their references, what handlers ask them.
#include "gateway/request.h"

#include "base/codes.h"
#include "base/mem.h"
#include "gateway/uri.h"

static enum wz_method find_method(struct wz_slice name)
{
    static const struct {
        const char *name;
        enum wz_method method;
    } methods[] = {
        {"GET", WZ_METHOD_GET},   {"HEAD", WZ_METHOD_GET},    {"PUT", WZ_METHOD_PUT},
        {"POST", WZ_METHOD_POST}, {"PATCH", WZ_METHOD_PATCH}, {"DELETE", WZ_METHOD_DELETE},
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (wz_slice_eq(name, wz_slice_str(methods[i].name)))
            return methods[i].method;
    }
    return WZ_METHOD_OTHER;
}

struct wz_request *wz_request_new(struct wz_api *api, struct wz_slice head, int *ret_err)
{
    struct wz_request *req = wz_zalloc(1, sizeof(*req));

    req->api = api;
    req->refs = 1;
    wz_list_init(&req->live);
    wz_buf_add_slice(&req->head_bytes, head);
    *ret_err = wz_http_read_request(wz_buf_slice(&req->head_bytes), &req->head);
    req->method = WZ_METHOD_OTHER;
    if (*ret_err < 0)
        return req;
    req->method = find_method(req->head.method);
    req->head_only = wz_slice_eq(req->head.method, WZ_SLICE_LIT("HEAD"));
    wz_uri_split(req->head.target, &req->path, &req->query);
    return req;
}

struct wz_request *wz_request_ref(struct wz_request *req)
{
    req->refs++;
    return req;
}

void wz_request_unref(struct wz_request *req)
{
    if (req == NULL || --req->refs > 0)
        return;
    wz_list_remove(&req->live);
    if (req->free_source != NULL)
        req->free_source(req->source);
    for (size_t i = 0; i < WZ_REQUEST_CAPTURES; i++)
        wz_buf_release(&req->captures[i]);
    wz_buf_release(&req->head_bytes);
    wz_buf_release(&req->body);
    wz_buf_release(&req->fields);
    wz_buf_release(&req->content);
    wz_free(req);
}

void wz_request_abandon(struct wz_request *req)
{
    if (req == NULL)
        return;
    req->wake = NULL;
    wz_list_remove(&req->live);
    wz_request_unref(req);
}

void wz_request_wake(struct wz_request *req)
{
    if (req->wake != NULL)
        req->wake(req->wake_arg);
}

const char *wz_request_capture(struct wz_request *req, size_t index)
{
    return wz_buf_str(&req->captures[index]);
}

int wz_request_param(struct wz_request *req, const char *name, struct wz_buf *ret_buf,
                     struct wz_problem *ret_problem)
{
    int r = wz_uri_query_find(req->query, name, ret_buf);

    if (r == WZ_ERR_INVALID) {
        (void)wz_problem_set(ret_problem, r, WZ_CODE_API_REQUEST,
                             "The parameter \"%s\" is not percent-encoded rightly.", name);
        wz_problem_fix(ret_problem, "Write a literal %% as %%25.");
    }
    return r;
}

json_t *wz_request_object(struct wz_request *req, struct wz_problem *ret_problem)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)req->body.ptr, req->body.len,
                               JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    if (json_is_object(value))
        return value;
    if (value != NULL || req->body.len == 0)
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The request's body is not a JSON object.");
    else
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The request's body is not JSON: %s.", error.text);
    if (value == NULL && req->body.len > 0)
        wz_problem_where(ret_problem, "line %d, column %d of the body", error.line, error.column);
    json_decref(value);
    return NULL;
}
