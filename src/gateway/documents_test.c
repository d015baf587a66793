// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#define LAMP "/api/v1/devices/mesh%2Fb5%2F42"
#define ROUTE "{\"route\":\"bedroom.light\"}"

static void test_documents_are_made_read_replaced_and_removed(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "GET", LAMP, "", ""), 404);
    assert_int_equal(stage_ask(&stage, "PUT", LAMP, "", ROUTE), 201);
    assert_true(stage_has(&stage, "ETag: \"1\"\r\n"));
    assert_true(stage_has(&stage, "Location: " LAMP "\r\n"));
    assert_int_equal(stage_ask(&stage, "PUT", LAMP, "", "{\"route\":\"x\"}"), 200);
    assert_int_equal(stage_ask(&stage, "GET", LAMP, "", ""), 200);
    assert_true(stage_has(&stage, "ETag: \"2\"\r\n"));
    assert_string_equal(stage_text(&stage), "{\"route\":\"x\"}\n");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices", "", ""), 200);
    assert_string_equal(stage_text(&stage), "{\"items\":[{\"name\":\"mesh/b5/42\",\"revision\":2,"
                                            "\"document\":{\"route\":\"x\"}}]}\n");
    assert_int_equal(stage_ask(&stage, "DELETE", LAMP, "", ""), 204);
    assert_int_equal(stage_ask(&stage, "DELETE", LAMP, "", ""), 404);
    stage_close(&stage);
}

static void test_documents_hold_to_the_conditions_of_a_change(void **state)
{
    static const struct {
        const char *method;
        const char *fields;
        int status;
    } cases[] = {
        {"PUT", "If-Match: *\r\n", 412},
        {"PUT", "If-Match: \"1\"\r\n", 412},
        {"PUT", "If-None-Match: *\r\n", 201},
        {"PUT", "If-None-Match: *\r\n", 412},
        {"PUT", "If-Match: \"1\"\r\n", 200},
        {"PUT", "If-Match: \"1\"\r\n", 412},
        {"PUT", "If-Match: *\r\n", 200},
        {"PATCH", "If-Match: \"2\"\r\n", 412},
        {"PATCH", "If-Match: \"3\"\r\n", 200},
        {"GET", "If-None-Match: \"4\"\r\n", 304},
        {"GET", "If-None-Match: \"3\"\r\n", 200},
        {"DELETE", "If-Match: \"3\"\r\n", 412},
        {"DELETE", "If-Match: W/\"4\"\r\n", 400},
        {"PUT", "If-Match: \"4\"\r\nIf-None-Match: *\r\n", 400},
        {"DELETE", "If-Match: *\r\n", 204},
        {"DELETE", "If-Match: *\r\n", 412},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (stage_ask(&stage, cases[i].method, LAMP, cases[i].fields, ROUTE) != cases[i].status)
            print_error("case %zu: %d\n", i, stage.status);
        assert_int_equal(stage.status, cases[i].status);
    }
    stage_close(&stage);
}

static void test_documents_are_patched_member_by_member(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PATCH", "/api/v1/settings/a", "", "{\"b\":1}"), 404);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/settings/a", "", "{\"b\":1,\"c\":2}"), 201);
    assert_int_equal(stage_ask(&stage, "PATCH", "/api/v1/settings/a", "", "{\"b\":null,\"d\":3}"),
                     200);
    assert_string_equal(stage_text(&stage), "{\"c\":2,\"d\":3}\n");
    assert_true(stage_has(&stage, "ETag: \"2\"\r\n"));
    stage_close(&stage);
}

static void test_documents_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *target;
        const char *body;
        int status;
        const char *code;
    } cases[] = {
        {LAMP, "", 400, "WYZ-6001"},
        {LAMP, "[]", 400, "WYZ-6001"},
        {LAMP, "{\"a\":", 400, "WYZ-6001"},
        {LAMP, "{\"a\":1,\"a\":2}", 400, "WYZ-6001"},
        {"/api/v1/devices/a%01b", ROUTE, 422, "WYZ-2001"},
        {"/api/v1/devices/%FF", ROUTE, 422, "WYZ-2001"},
        {"/api/v1/device/a", ROUTE, 404, "WYZ-6002"},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (stage_ask(&stage, "PUT", cases[i].target, "", cases[i].body) != cases[i].status)
            print_error("case %zu: %d %s\n", i, stage.status, stage_text(&stage));
        assert_int_equal(stage.status, cases[i].status);
        assert_true(stage_has(&stage, "Content-Type: application/problem+json\r\n"));
        if (strstr(stage_text(&stage), cases[i].code) == NULL)
            print_error("case %zu: %s\n", i, stage_text(&stage));
        assert_non_null(strstr(stage_text(&stage), cases[i].code));
    }
    stage_close(&stage);
}

static void test_documents_of_scripts_show_their_run_and_never_store_it(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    wz_board_set(stage.parts.board, "scripts", "dice", json_pack("{s:s}", "status", "running"));
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/scripts/dice", "",
                               "{\"code\":\"\",\"live\":{\"status\":\"x\"}}"),
                     201);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/scripts/dice", "", ""), 200);
    assert_string_equal(stage_text(&stage), "{\"code\":\"\",\"live\":{\"status\":\"running\"}}\n");
    wz_board_remove(stage.parts.board, "scripts", "dice");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/scripts/dice", "", ""), 200);
    assert_string_equal(stage_text(&stage), "{\"code\":\"\"}\n");
    stage_close(&stage);
}

static json_t *ready_of(enum wz_collection collection, size_t index, const char **ret_name)
{
    static const char *const names[] = {"b", "d"};

    if (collection != WZ_COLLECTION_TEMPLATES || index >= 2)
        return NULL;
    *ret_name = names[index];
    return json_pack("{s:s}", "description", names[index]);
}

static void test_documents_that_are_ready_are_read_and_stored_by_a_change(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage.parts.ready = ready_of;
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/templates/b", "", ""), 200);
    assert_true(stage_has(&stage, "ETag: \"0\"\r\n"));
    assert_string_equal(stage_text(&stage), "{\"description\":\"b\"}\n");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices/b", "", ""), 404);
    assert_int_equal(stage_ask(&stage, "DELETE", "/api/v1/templates/b", "", ""), 404);
    assert_non_null(strstr(stage_text(&stage), "ready one"));
    assert_int_equal(stage_ask(&stage, "DELETE", "/api/v1/templates/x", "", ""), 404);
    assert_null(strstr(stage_text(&stage), "ready one"));
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/templates/c", "", "{}"), 201);
    assert_int_equal(
        stage_ask(&stage, "PATCH", "/api/v1/templates/d", "If-Match: \"1\"\r\n", "{\"x\":1}"), 412);
    assert_int_equal(stage_ask(&stage, "PATCH", "/api/v1/templates/d", "", "{\"x\":1}"), 201);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/templates", "", ""), 200);
    assert_string_equal(
        stage_text(&stage),
        "{\"items\":[{\"name\":\"b\",\"revision\":0,\"ready\":true,"
        "\"document\":{\"description\":\"b\"}},"
        "{\"name\":\"c\",\"revision\":1,\"document\":{}},"
        "{\"name\":\"d\",\"revision\":1,\"document\":{\"description\":\"d\",\"x\":1}}]}\n");
    assert_int_equal(stage_ask(&stage, "DELETE", "/api/v1/templates/d", "", ""), 204);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/templates/d", "", ""), 200);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/templates/b", "If-Match: *\r\n", "{}"), 201);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_are_made_read_replaced_and_removed),
        cmocka_unit_test(test_documents_hold_to_the_conditions_of_a_change),
        cmocka_unit_test(test_documents_are_patched_member_by_member),
        cmocka_unit_test(test_documents_that_cannot_be_are_refused),
        cmocka_unit_test(test_documents_of_scripts_show_their_run_and_never_store_it),
        cmocka_unit_test(test_documents_that_are_ready_are_read_and_stored_by_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
