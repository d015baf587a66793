// SPDX-License-Identifier: Apache-2.0
// Owns the route table and the matching of paths. A path is cut at its slashes first and decoded
// then, so that an encoded slash stands inside a name.
#include "gateway/route.h"

#include "base/codes.h"
#include "gateway/handlers.h"
#include "gateway/near.h"
#include "gateway/uri.h"
#include "topic/pattern.h"

// A mapping of many devices is one text.
#define WZ_MAPPING_MAX (64 * 1024 * 1024)

// And a whole configuration holds that, and scripts.
#define WZ_CONFIGURATION_MAX (128 * 1024 * 1024)

// clang-format off
const struct wz_route wz_routes[] = {
    {WZ_METHOD_GET,    "/livez",                          wz_handle_livez, 0},
    {WZ_METHOD_GET,    "/readyz",                         wz_handle_readyz, 0},
    {WZ_METHOD_GET,    "/metrics",                        wz_handle_metrics, 0},
    {WZ_METHOD_GET,    "/api/v1/openapi.json",            wz_handle_openapi, 0},
    {WZ_METHOD_GET,    "/api/v1/version",                 wz_handle_version, 0},
    {WZ_METHOD_GET,    "/api/v1/status",                  wz_handle_status, 0},
    {WZ_METHOD_GET,    "/api/v1/mapping",                 wz_handle_mapping_get, 0},
    {WZ_METHOD_PUT,    "/api/v1/mapping",                 wz_handle_mapping_put, WZ_MAPPING_MAX},
    {WZ_METHOD_GET,    "/api/v1/configuration",           wz_handle_configuration_get, 0},
    {WZ_METHOD_PUT,    "/api/v1/configuration",           wz_handle_configuration_put,
                                                           WZ_CONFIGURATION_MAX},
    {WZ_METHOD_GET,    "/api/v1/mapping/test",            wz_handle_mapping_test, 0},
    {WZ_METHOD_GET,    "/api/v1/inbox",                   wz_handle_inbox_list, 0},
    {WZ_METHOD_GET,    "/api/v1/inbox/topics/{topic}",    wz_handle_inbox_topic, 0},
    {WZ_METHOD_POST,   "/api/v1/inbox/accept",            wz_handle_inbox_accept, 0},
    {WZ_METHOD_POST,   "/api/v1/inbox/reenter",           wz_handle_inbox_reenter, 0},
    {WZ_METHOD_POST,   "/api/v1/inbox/forget",            wz_handle_inbox_forget, 0},
    {WZ_METHOD_POST,   "/api/v1/publish",                 wz_handle_publish, 0},
    {WZ_METHOD_GET,    "/api/v1/streams",                 wz_handle_streams, 0},
    {WZ_METHOD_GET,    "/api/v1/streams/{stream}",         wz_handle_stream, 0},
    {WZ_METHOD_GET,    "/api/v1/streams/{stream}/records", wz_handle_records, 0},
    {WZ_METHOD_GET,    "/api/v1/streams/{stream}/live",    wz_handle_live, 0},
    {WZ_METHOD_POST,   "/api/v1/streams/{stream}/trim",    wz_handle_stream_trim, 0},
    {WZ_METHOD_POST,   "/api/v1/engine/restart",          wz_handle_engine_restart, 0},
    {WZ_METHOD_POST,   "/api/v1/scripts/{name}/restart",  wz_handle_script_restart, 0},
    {WZ_METHOD_GET,    "/api/v1/scripts/{name}/versions", wz_handle_script_versions, 0},
    {WZ_METHOD_GET,    "/api/v1/scripts/{name}/versions/{revision}",
                                                           wz_handle_script_version, 0},
    {WZ_METHOD_GET,    "/api/v1/scripts/{name}/state",    wz_handle_script_state, 0},
    {WZ_METHOD_GET,    "/api/v1/scripts/{name}/quarantine", wz_handle_quarantine_list, 0},
    {WZ_METHOD_DELETE, "/api/v1/scripts/{name}/quarantine", wz_handle_quarantine_drop_many, 0},
    {WZ_METHOD_POST,   "/api/v1/scripts/{name}/quarantine/retry",
                                                           wz_handle_quarantine_retry_many, 0},
    {WZ_METHOD_GET,    "/api/v1/scripts/{name}/quarantine/{number}",
                                                           wz_handle_quarantine_get, 0},
    {WZ_METHOD_DELETE, "/api/v1/scripts/{name}/quarantine/{number}",
                                                           wz_handle_quarantine_drop, 0},
    {WZ_METHOD_POST,   "/api/v1/scripts/{name}/quarantine/{number}/retry",
                                                           wz_handle_quarantine_retry, 0},
    {WZ_METHOD_GET,    "/api/v1/{collection}",            wz_handle_document_list, 0},
    {WZ_METHOD_GET,    "/api/v1/{collection}/{name}",     wz_handle_document_get, 0},
    {WZ_METHOD_PUT,    "/api/v1/{collection}/{name}",     wz_handle_document_put, 0},
    {WZ_METHOD_PATCH,  "/api/v1/{collection}/{name}",     wz_handle_document_patch, 0},
    {WZ_METHOD_DELETE, "/api/v1/{collection}/{name}",     wz_handle_document_delete, 0},
};
// clang-format on

const size_t wz_route_count = sizeof(wz_routes) / sizeof(wz_routes[0]);

const char *wz_route_method_name(enum wz_method method)
{
    static const char *const names[] = {
        [WZ_METHOD_GET] = "GET",     [WZ_METHOD_PUT] = "PUT",       [WZ_METHOD_POST] = "POST",
        [WZ_METHOD_PATCH] = "PATCH", [WZ_METHOD_DELETE] = "DELETE", [WZ_METHOD_OTHER] = "",
    };

    return names[method];
}

size_t wz_route_body_max(const struct wz_request *req)
{
    for (size_t i = 0; i < wz_route_count; i++) {
        if (wz_routes[i].body_max > 0 && wz_routes[i].method == req->method &&
            wz_slice_eq(req->path, wz_slice_str(wz_routes[i].path)))
            return wz_routes[i].body_max;
    }
    return WZ_REQUEST_BODY_MAX;
}

bool wz_route_is_vital(const struct wz_request *req)
{
    static const char *const vital[] = {"/livez", "/readyz", "/metrics"};

    for (size_t i = 0; i < sizeof(vital) / sizeof(vital[0]); i++) {
        if (wz_slice_eq(req->path, wz_slice_str(vital[i])))
            return true;
    }
    return false;
}

// Whether PATH has the segments of ROUTE; fills the captures.
static int match(const struct wz_route *route, struct wz_request *req)
{
    struct wz_words wanted = wz_words(wz_slice_str(route->path), '/');
    struct wz_words given = wz_words(req->path, '/');
    struct wz_slice want;
    struct wz_slice have;
    size_t captures = 0;

    while (wz_words_next(&wanted, &want)) {
        if (!wz_words_next(&given, &have))
            return WZ_ERR_NOT_FOUND;
        if (want.len > 0 && want.ptr[0] == '{') {
            struct wz_buf *capture = &req->captures[captures++];

            capture->len = 0;
            if (have.len == 0)
                return WZ_ERR_NOT_FOUND;
            if (wz_uri_decode(have, capture) < 0)
                return WZ_ERR_INVALID;
        } else if (!wz_slice_eq(want, have)) {
            return WZ_ERR_NOT_FOUND;
        }
    }
    return wz_words_next(&given, &have) ? WZ_ERR_NOT_FOUND : WZ_OK;
}

// Names the route that the path may mean.
static void suggest(struct wz_slice path, struct wz_problem *ret_problem)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    for (size_t i = 0; i < wz_route_count; i++) {
        struct wz_slice candidate = wz_slice_str(wz_routes[i].path);
        size_t distance = wz_near_distance(path, candidate);

        if (distance < best_distance && wz_near_enough(path, candidate)) {
            best = wz_routes[i].path;
            best_distance = distance;
        }
    }
    if (best != NULL)
        wz_problem_fix(ret_problem, "Did you mean %s? All addresses: /api/v1/openapi.json.", best);
    else
        wz_problem_fix(ret_problem, "All addresses are listed at /api/v1/openapi.json.");
}

int wz_route_refuse(struct wz_request *req, struct wz_problem *ret_problem)
{
    size_t len = req->path.len < 160 ? req->path.len : 160;

    (void)wz_problem_set(ret_problem, WZ_ERR_NOT_FOUND, WZ_CODE_API_NOT_FOUND,
                         "There is nothing at \"%.*s\".", (int)len, (const char *)req->path.ptr);
    suggest(req->path, ret_problem);
    return WZ_ERR_NOT_FOUND;
}

static int refuse_encoding(struct wz_problem *ret_problem)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                         "The address is not percent-encoded rightly.");
    wz_problem_fix(ret_problem, "Write a literal %% as %%25, and / in a name as %%2F.");
    return WZ_ERR_INVALID;
}

static int refuse_method(struct wz_request *req, struct wz_slice allow,
                         struct wz_problem *ret_problem)
{
    size_t len = req->head.method.len < 32 ? req->head.method.len : 32;

    (void)wz_problem_set(ret_problem, WZ_ERR_UNSUPPORTED, WZ_CODE_API_METHOD,
                         "This address does not know the method %.*s.", (int)len,
                         (const char *)req->head.method.ptr);
    wz_problem_fix(ret_problem, "It knows %.*s.", WZ_SLICE_FMT(allow));
    return WZ_ERR_UNSUPPORTED;
}

// A fixed address ("/api/v1/status") hides the captures that would match it too, for all methods.
static bool same_path(const struct wz_route *a, const struct wz_route *b)
{
    return a == NULL || strcmp(a->path, b->path) == 0;
}

int wz_route_find(struct wz_request *req, struct wz_buf *ret_allow, struct wz_problem *ret_problem)
{
    const struct wz_route *found = NULL;

    for (size_t i = 0; i < wz_route_count; i++) {
        const struct wz_route *route = &wz_routes[i];
        int r = same_path(found, route) ? match(route, req) : WZ_ERR_NOT_FOUND;

        if (r == WZ_ERR_INVALID)
            return refuse_encoding(ret_problem);
        if (r < 0)
            continue;
        found = route;
        if (route->method == req->method) {
            req->route = route;
            return WZ_OK;
        }
        wz_buf_addf(ret_allow, "%s%s", ret_allow->len > 0 ? ", " : "",
                    wz_route_method_name(route->method));
        if (route->method == WZ_METHOD_GET)
            wz_buf_add_str(ret_allow, ", HEAD");
    }
    if (found == NULL)
        return wz_route_refuse(req, ret_problem);
    return refuse_method(req, wz_buf_slice(ret_allow), ret_problem);
}
