// SPDX-License-Identifier: Apache-2.0
// Owns the way of a request from its head to its handler, and what is refused before: foreign hosts
// and origins, which stand for a web page of somebody else's that reaches for this machine.
#include "gateway/api.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "gateway/answer.h"
#include "gateway/route.h"

// Answers are bounded by questions, and questions by connections.
#define WZ_API_MAIL_MAX 4096

void wz_api_init(struct wz_api *api, const struct wz_api_parts *parts, wz_mailbox_wake_fn wake,
                 void *arg)
{
    *api = (struct wz_api){.parts = *parts};
    wz_mailbox_init(&api->mail, WZ_API_MAIL_MAX, wake, arg);
    wz_list_init(&api->live);
    if (api->parts.started_ms == 0) {
        api->parts.started_ms = wz_clock_wall_ms();
        api->parts.started_us = wz_clock_mono_us();
    }
}

void wz_api_release(struct wz_api *api)
{
    WZ_ASSERT(api->under_way == 0);
    WZ_ASSERT(wz_list_empty(&api->live));
    wz_mailbox_release(&api->mail);
}

// The host of "host", "host:port" or "[v6]:port".
static bool take_host(struct wz_slice s, char *ret_host, size_t cap)
{
    const uint8_t *end;
    size_t len;

    if (s.len > 0 && s.ptr[0] == '[') {
        s = wz_slice_sub(s, 1, s.len - 1);
        end = memchr(s.ptr, ']', s.len);
    } else {
        end = s.len > 0 ? memchr(s.ptr, ':', s.len) : NULL;
    }
    len = end != NULL ? (size_t)(end - s.ptr) : s.len;
    if (len == 0 || len >= cap)
        return false;
    memcpy(ret_host, s.ptr, len);
    ret_host[len] = '\0';
    return true;
}

// Whether the name can only mean this machine. A web page that rebinds its own name to 127.0.0.1
// still sends its own name.
static bool is_own_host(struct wz_slice s)
{
    char host[64];
    struct in_addr v4;
    struct in6_addr v6;

    if (!take_host(s, host, sizeof(host)))
        return false;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_sender(struct wz_request *req, struct wz_problem *ret_problem)
{
    struct wz_slice host = wz_http_field(&req->head, "Host");
    struct wz_slice origin = wz_http_field(&req->head, "Origin");
    struct wz_slice scheme = WZ_SLICE_LIT("http://");
    bool own;

    if (host.ptr != NULL && !is_own_host(host)) {
        (void)wz_problem_set(ret_problem, WZ_ERR_AUTH, WZ_CODE_API_REQUEST,
                             "The request's Host is not a name of this machine.");
        wz_problem_fix(ret_problem, "Use 127.0.0.1, [::1] or localhost.");
        return WZ_ERR_AUTH;
    }
    if (origin.ptr == NULL || req->method == WZ_METHOD_GET)
        return WZ_OK;
    own = wz_slice_starts(origin, scheme) &&
          wz_slice_eq(wz_slice_sub(origin, scheme.len, origin.len - scheme.len), host);
    if (own)
        return WZ_OK;
    (void)wz_problem_set(ret_problem, WZ_ERR_AUTH, WZ_CODE_API_REQUEST,
                         "A web page of another origin may not change anything here.");
    wz_problem_fix(ret_problem,
                   "Send the request without an Origin, or from a page of this server.");
    return WZ_ERR_AUTH;
}

void wz_api_handle(struct wz_api *api, struct wz_request *req)
{
    WZ_AUTO(wz_buf_release) struct wz_buf allow = {0};
    struct wz_problem problem = {0};
    int status = 0;
    int r = check_sender(req, &problem);

    (void)api;
    wz_metric_add(WZ_METRIC_HTTP_REQUESTS, 1);
    if (r == WZ_OK)
        r = wz_route_find(req, &allow, &problem);
    if (r == WZ_OK) {
        req->route->handle(req);
        return;
    }
    if (r == WZ_ERR_UNSUPPORTED) {
        status = 405;
        wz_answer_field(req, "Allow", "%s", wz_buf_str(&allow));
    } else if (r == WZ_ERR_INVALID) {
        status = 400;
    }
    wz_answer_problem(req, status, &problem);
}

void wz_api_refuse(struct wz_request *req, int err)
{
    static const struct {
        int err;
        int status;
        int code;
        const char *what;
        const char *fix;
    } refusals[] = {
        {WZ_ERR_TOO_LARGE, 413, WZ_CODE_API_TOO_LARGE,
         "The request's body is larger than is taken here.",
         "A body has at most 2 MiB, a mapping 64 MiB, a configuration 128 MiB."},
        {WZ_ERR_LIMIT, 431, WZ_CODE_API_TOO_LARGE,
         "The request's head is longer than 16 KiB or has more than 64 fields.", ""},
        {WZ_ERR_UNSUPPORTED, 501, WZ_CODE_API_REQUEST,
         "The request's HTTP version or transfer coding is not supported.", "Use HTTP/1.1."},
        {WZ_ERR_TIMEOUT, 408, WZ_CODE_API_REQUEST, "The request took too long to arrive.", ""},
        {WZ_ERR_BUSY, 503, WZ_CODE_API_BUSY, "Too many requests are under way.",
         "Close some, or try again later."},
        {WZ_ERR_NOSPACE, 503, WZ_CODE_API_BUSY,
         "There is no memory for the request or its answer: memory.max is near.",
         "Ask for less, or try again later."},
        {WZ_ERR_PROTOCOL, 400, WZ_CODE_API_REQUEST, "The request is not well-formed HTTP/1.1.", ""},
    };
    size_t last = sizeof(refusals) / sizeof(refusals[0]) - 1;
    size_t i = 0;
    struct wz_problem problem;

    while (i < last && refusals[i].err != err)
        i++;
    (void)wz_problem_set(&problem, err, refusals[i].code, "%s", refusals[i].what);
    wz_problem_fix(&problem, "%s", refusals[i].fix);
    wz_metric_add(WZ_METRIC_HTTP_REQUESTS, 1);
    wz_answer_problem(req, refusals[i].status, &problem);
}

void wz_api_wake_live(struct wz_api *api)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &api->live)
    wz_request_wake(WZ_CONTAINER(it, struct wz_request, live));
}

const struct wz_api_stream *wz_api_stream_find(const struct wz_api *api, const char *name)
{
    for (size_t i = 0; i < api->parts.stream_count; i++) {
        if (strcmp(api->parts.streams[i].name, name) == 0)
            return &api->parts.streams[i];
    }
    return NULL;
}

void wz_api_changes_release(struct wz_api_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        wz_free((char *)(uintptr_t)changes->items[i].name);
        json_decref(changes->items[i].body);
    }
    wz_free(changes->items);
    *changes = (struct wz_api_changes){0};
}
