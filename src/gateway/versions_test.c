// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#define DICE "/api/v1/scripts/dice"

static void test_versions_say_what_changed_newest_first(void **state)
{
    struct stage stage;
    json_t *answer;
    json_t *items;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "GET", DICE "/versions", "", ""), 404);
    assert_int_equal(stage_ask(&stage, "PUT", DICE, "", "{\"code\":\"a\",\"active\":true}"), 201);
    assert_int_equal(stage_ask(&stage, "PATCH", DICE, "", "{\"code\":\"b\",\"active\":null}"), 200);
    assert_int_equal(stage_ask(&stage, "PATCH", DICE, "", "{\"config\":{}}"), 200);
    assert_int_equal(stage_ask(&stage, "GET", DICE "/versions", "", ""), 200);
    answer = json_loads(stage_text(&stage), 0, NULL);
    items = json_object_get(answer, "items");
    assert_int_equal(json_array_size(items), 3);
    for (size_t i = 0; i < 3; i++) {
        static const char *const changed[] = {"[\"config\"]", "[\"code\", \"active\"]", NULL};
        json_t *item = json_array_get(items, i);
        char *text = json_dumps(json_object_get(item, "changed"), 0);

        assert_int_equal(json_integer_value(json_object_get(item, "revision")), 3 - (int)i);
        assert_int_equal(strlen(json_string_value(json_object_get(item, "time"))), 24);
        if (changed[i] == NULL)
            assert_null(text);
        else
            assert_string_equal(text, changed[i]);
        free(text);
    }
    json_decref(answer);
    stage_close(&stage);
}

static void test_version_is_the_document_of_its_revision(void **state)
{
    static const char *const absent[] = {"3", "0", "-1", "x", "1x", "99999999999999999999"};
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    wz_board_set(stage.parts.board, "scripts", "dice", json_pack("{s:s}", "status", "running"));
    assert_int_equal(stage_ask(&stage, "PUT", DICE, "", "{\"code\":\"a\"}"), 201);
    assert_int_equal(stage_ask(&stage, "PUT", DICE, "", "{\"code\":\"b\"}"), 200);
    assert_int_equal(stage_ask(&stage, "DELETE", DICE, "", ""), 204);
    assert_int_equal(stage_ask(&stage, "GET", DICE "/versions/1", "", ""), 200);
    assert_string_equal(stage_text(&stage), "{\"code\":\"a\"}\n");
    assert_true(stage_has(&stage, "ETag: \"1\"\r\n"));
    assert_int_equal(stage_ask(&stage, "GET", DICE "/versions/2", "", ""), 200);
    assert_string_equal(stage_text(&stage), "{\"code\":\"b\"}\n");
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        char target[128];

        (void)snprintf(target, sizeof(target), DICE "/versions/%s", absent[i]);
        assert_int_equal(stage_ask(&stage, "GET", target, "", ""), 404);
        assert_non_null(strstr(stage_text(&stage), "WYZ-2004"));
    }
    stage_close(&stage);
}

static void test_versions_without_a_store_are_refused(void **state)
{
    struct stage stage;
    struct wz_store *store;

    (void)state;
    stage_open(&stage);
    store = stage.parts.store;
    stage.parts.store = NULL;
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "GET", DICE "/versions", "", ""), 503);
    stage.parts.store = store;
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_say_what_changed_newest_first),
        cmocka_unit_test(test_version_is_the_document_of_its_revision),
        cmocka_unit_test(test_versions_without_a_store_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
