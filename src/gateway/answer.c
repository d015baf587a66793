// SPDX-License-Identifier: Apache-2.0
// Owns the forms of answers, and the one table from errors to HTTP statuses.
#include "gateway/answer.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/codes.h"

void wz_answer_field(struct wz_request *req, const char *name, const char *value, ...)
{
    char text[512];
    va_list args;

    va_start(args, value);
    (void)vsnprintf(text, sizeof(text), value, args);
    va_end(args);
    wz_buf_addf(&req->fields, "%s: %s\r\n", name, text);
}

static void finish(struct wz_request *req, int status)
{
    WZ_ASSERT(!req->answered);
    req->answered = true;
    req->status = status;
    wz_request_wake(req);
}

void wz_answer_text(struct wz_request *req, int status, const char *type, struct wz_slice text)
{
    wz_answer_field(req, "Content-Type", "%s", type);
    wz_buf_add_slice(&req->content, text);
    finish(req, status);
}

void wz_answer_json(struct wz_request *req, int status, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    WZ_ASSERT(text != NULL); // all strings in it were checked when they were made
    wz_buf_add_str(&req->content, text);
    wz_buf_add_byte(&req->content, '\n');
    free(text);
    json_decref(value);
    wz_answer_field(req, "Content-Type", "application/json");
    finish(req, status);
}

void wz_answer_nothing(struct wz_request *req) { finish(req, 204); }

void wz_answer_content(struct wz_request *req, const char *type, wz_content_fn next, void *source,
                       wz_source_free_fn free_source)
{
    wz_answer_field(req, "Content-Type", "%s", type);
    req->next_content = next;
    req->source = source;
    req->free_source = free_source;
    finish(req, 200);
}

int wz_answer_status(int err)
{
    switch (err) {
    case WZ_ERR_INVALID:
        return 422;
    case WZ_ERR_NOT_FOUND:
        return 404;
    case WZ_ERR_EXISTS:
    case WZ_ERR_CONFLICT:
        return 409;
    case WZ_ERR_TOO_LARGE:
        return 413;
    case WZ_ERR_PROTOCOL:
        return 400;
    case WZ_ERR_UNSUPPORTED:
        return 501;
    case WZ_ERR_NOSPACE:
        return 507;
    case WZ_ERR_AUTH:
        return 403;
    case WZ_ERR_LIMIT:
    case WZ_ERR_LOCKED:
    case WZ_ERR_BUSY:
    case WZ_ERR_CLOSED:
    case WZ_ERR_UNREACHABLE:
    case WZ_ERR_TIMEOUT:
        return 503;
    default:
        return 500;
    }
}

const char *wz_answer_title(int code)
{
    switch (code) {
#define WZ_CODE_CASE(name, number, title)                                                          \
    case number:                                                                                   \
        return title;
        WZ_CODE_TABLE(WZ_CODE_CASE)
#undef WZ_CODE_CASE
    default:
        return "The request failed";
    }
}

// Sets a text that may have been cut inside a character, or hold what a peer sent.
static void set_text(json_t *object, const char *name, const char *text)
{
    size_t len = strlen(text);
    json_t *value = json_stringn(text, len);

    for (size_t cut = 1; value == NULL && cut < 4 && cut <= len; cut++)
        value = json_stringn(text, len - cut);
    if (value == NULL)
        value = json_string("(a text that is not UTF-8)");
    if (len > 0)
        (void)json_object_set_new(object, name, value); // the object is ours and the name fine
    else
        json_decref(value);
}

void wz_answer_problem(struct wz_request *req, int status, const struct wz_problem *problem)
{
    json_t *object = json_object();
    char *text;

    if (status == 0)
        status = wz_answer_status(problem->err);
    set_text(object, "type", "about:blank");
    set_text(object, "title",
             problem->code != 0 ? wz_answer_title(problem->code) : wz_http_reason(status));
    (void)json_object_set_new(object, "status", json_integer(status)); // as above
    if (problem->code != 0)
        (void)json_object_set_new(object, "code",
                                  json_sprintf("WYZ-%d", problem->code)); // as above
    set_text(object, "detail",
             problem->what[0] != '\0' ? problem->what : wz_err_text(problem->err));
    set_text(object, "where", problem->where);
    set_text(object, "fix", problem->fix);
    text = json_dumps(object, JSON_COMPACT);
    WZ_ASSERT(text != NULL);
    wz_buf_add_str(&req->content, text);
    wz_buf_add_byte(&req->content, '\n');
    free(text);
    json_decref(object);
    if (status == 503)
        wz_answer_field(req, "Retry-After", "1");
    wz_answer_field(req, "Content-Type", "application/problem+json");
    finish(req, status);
}
