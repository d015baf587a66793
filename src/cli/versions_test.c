// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

#include "store/store.h"

static int accept(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    (void)arg;
    (void)view;
    (void)ret_problem;
    return WZ_OK;
}

// Puts the script a with each of the codes, one after the other.
static void save(const struct terminal *t, const char *const *codes, size_t count)
{
    struct wz_store_options options = {.check = accept};
    struct wz_store *store;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/store.db", t->folder);
    assert_int_equal(wz_store_open(path, &options, &store, NULL), WZ_OK);
    for (size_t i = 0; i < count; i++) {
        json_t *body = json_pack("{s:s, s:b}", "code", codes[i], "active", i == 0);
        struct wz_store_call call = {.op = WZ_STORE_PUT,
                                     .collection = WZ_COLLECTION_SCRIPTS,
                                     .name = "a",
                                     .body = body,
                                     .expected_revision = WZ_REVISION_ANY};

        assert_int_equal(wz_store_do(store, &call), WZ_OK);
        json_decref(body);
    }
    wz_store_close(store);
}

static void test_script_log_lists_versions_without_a_server(void **state)
{
    static const char *const codes[] = {"x = 1\n", "x = 2\n", "x = 2\n"};
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "script", "log", "a"), WZ_EXIT_NOT_FOUND);
    save(&t, codes, 3);
    assert_int_equal(TERMINAL(&t, "script", "log", "a"), 0);
    assert_non_null(strstr(t.output, "{\"revision\":3,\"time\":\"20"));
    assert_non_null(strstr(t.output, "\"changed\":[]}\n{\"revision\":2,"));
    assert_non_null(strstr(t.output, "\"changed\":[\"code\",\"active\"]}\n{\"revision\":1,"));
    assert_int_equal(TERMINAL(&t, "script", "log", "a", "--diff", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "code active\n--- revision 1\n+++ revision 2\n"
                                     "@@ -1 +1 @@\n-x = 1\n+x = 2\n\nrevision 1  20"));
    assert_int_equal(TERMINAL(&t, "script", "log", "a", "--diff"), 0);
    assert_non_null(strstr(t.output, "\"diff\":\"--- revision 1\\n+++ revision 2\\n"));
    terminal_close(&t);
}

static void test_script_rollback_needs_a_server_and_a_number(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "script", "rollback", "a"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "rollback", "a", "1"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "rollback", "a", "1x"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "script", "rollback", "a", "-1"), WZ_EXIT_INPUT);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_log_lists_versions_without_a_server),
        cmocka_unit_test(test_script_rollback_needs_a_server_and_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
