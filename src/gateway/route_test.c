// SPDX-License-Identifier: Apache-2.0
#include "gateway/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

// A request for METHOD and TARGET; the caller gives its reference back.
static struct wz_request *ask(const char *method, const char *target)
{
    char head[4096];
    int r;
    struct wz_request *req;

    (void)snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, target);
    req = wz_request_new(NULL, wz_slice_str(head), &r);
    assert_int_equal(r, WZ_OK);
    return req;
}

static void test_route_finds_each_line_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < wz_route_count; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf allow = {0};
        char path[128];
        struct wz_problem problem;
        struct wz_request *req;

        // The captures of the table are themselves names that can be captured.
        (void)snprintf(path, sizeof(path), "%s", wz_routes[i].path);
        for (char *c = path; *c != '\0'; c++)
            *c = *c == '{' || *c == '}' ? 'x' : *c;
        req = ask(wz_route_method_name(wz_routes[i].method), path);
        assert_int_equal(wz_route_find(req, &allow, &problem), WZ_OK);
        assert_ptr_equal(req->route, &wz_routes[i]);
        wz_request_unref(req);
    }
}

static void test_route_keeps_encoded_slashes_inside_a_name(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf allow = {0};
    struct wz_problem problem;
    struct wz_request *req = ask("GET", "/api/v1/devices/%2Fmesh%2F..%2F%2F%C3%A4%20b?x=y");

    (void)state;
    assert_int_equal(wz_route_find(req, &allow, &problem), WZ_OK);
    assert_string_equal(wz_request_capture(req, 0), "devices");
    assert_string_equal(wz_request_capture(req, 1), "/mesh/..//\xc3\xa4 b");
    wz_request_unref(req);
}

static void test_route_refuses_with_what_may_be_meant(void **state)
{
    static const struct {
        const char *method;
        const char *path;
        int err;
        const char *fix;
    } cases[] = {
        {"GET", "/api/v1/a/b/c", WZ_ERR_NOT_FOUND, "openapi.json"},
        {"GET", "/livz", WZ_ERR_NOT_FOUND, "Did you mean /livez?"},
        {"GET", "/api/v1/", WZ_ERR_NOT_FOUND, "openapi.json"},
        {"GET", "/api/v1/devices/", WZ_ERR_NOT_FOUND, "openapi.json"},
        {"GET", "/api/v1/devices/a%2", WZ_ERR_INVALID, "%25"},
        {"GET", "/api/v1/devices/a%00", WZ_ERR_INVALID, "%25"},
        {"POST", "/api/v1/version", WZ_ERR_UNSUPPORTED, "GET, HEAD"},
        {"BREW", "/api/v1/devices/a", WZ_ERR_UNSUPPORTED, "GET, HEAD, PUT, PATCH, DELETE"},
        {"PUT", "/api/v1/streams/raw-stream", WZ_ERR_UNSUPPORTED, "It knows GET, HEAD."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf allow = {0};
        struct wz_problem problem = {0};
        struct wz_request *req = ask(cases[i].method, cases[i].path);

        assert_int_equal(wz_route_find(req, &allow, &problem), cases[i].err);
        assert_non_null(strstr(problem.fix, cases[i].fix));
        wz_request_unref(req);
    }
}

static void test_route_takes_larger_bodies_for_the_mapping_only(void **state)
{
    static const struct {
        const char *method;
        const char *path;
        size_t max;
    } cases[] = {
        {"PUT", "/api/v1/mapping", 64 * 1024 * 1024},
        {"POST", "/api/v1/mapping", WZ_REQUEST_BODY_MAX},
        {"PUT", "/api/v1/devices/mapping", WZ_REQUEST_BODY_MAX},
        {"PUT", "/nothing", WZ_REQUEST_BODY_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_request *req = ask(cases[i].method, cases[i].path);

        assert_int_equal(wz_route_body_max(req), cases[i].max);
        wz_request_unref(req);
    }
}

// "GET" as OpenAPI spells it.
static void spell(enum wz_method method, char ret_name[8])
{
    const char *name = wz_route_method_name(method);
    size_t i = 0;

    for (; name[i] != '\0'; i++)
        ret_name[i] = (char)(name[i] | 0x20);
    ret_name[i] = '\0';
}

static bool has_route(const char *path, const char *method)
{
    for (size_t i = 0; i < wz_route_count; i++) {
        char name[8];

        spell(wz_routes[i].method, name);
        if (strcmp(wz_routes[i].path, path) == 0 && strcmp(name, method) == 0)
            return true;
    }
    return false;
}

static void test_route_table_and_openapi_say_the_same(void **state)
{
    json_t *document = json_load_file(WZ_DOCS_DIR "/openapi.json", JSON_REJECT_DUPLICATES, NULL);
    json_t *paths = json_object_get(document, "paths");
    size_t described = 0;
    const char *path;
    const char *method;
    json_t *item;
    json_t *operation;

    (void)state;
    assert_non_null(paths);
    for (size_t i = 0; i < wz_route_count; i++) {
        char name[8];

        spell(wz_routes[i].method, name);
        operation = json_object_get(json_object_get(paths, wz_routes[i].path), name);
        if (operation == NULL)
            print_error("not described: %s %s\n", name, wz_routes[i].path);
        assert_non_null(json_object_get(operation, "responses"));
    }
    json_object_foreach(paths, path, item)
    {
        json_object_foreach(item, method, operation)
        {
            if (strcmp(method, "parameters") == 0)
                continue;
            if (!has_route(path, method))
                print_error("no such route: %s %s\n", method, path);
            assert_true(has_route(path, method));
            described++;
        }
    }
    assert_int_equal(described, wz_route_count);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_finds_each_line_of_the_table),
        cmocka_unit_test(test_route_keeps_encoded_slashes_inside_a_name),
        cmocka_unit_test(test_route_refuses_with_what_may_be_meant),
        cmocka_unit_test(test_route_takes_larger_bodies_for_the_mapping_only),
        cmocka_unit_test(test_route_table_and_openapi_say_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
