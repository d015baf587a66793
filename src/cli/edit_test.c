// SPDX-License-Identifier: Apache-2.0
#include "cli/edit.h"

#include "base/mem.h"
#include "cli/terminal_test.h"

static const struct wz_option options[] = {{"--set", "NAME=VALUE", ""}, {"--unset", "NAME", ""}};

// The body BEFORE after the options in WORDS; "-" when they are refused.
static void check(const char *before, const char *const *words, int count, const char *after)
{
    struct wz_cli cli = {0};
    json_t *body = json_loads(before, 0, NULL);
    WZ_AUTO(wz_free_ptr) char *text = NULL;
    int r;

    assert_int_equal(
        wz_args_read(count, (char **)(uintptr_t)words, options, 2, &cli.args, &cli.problem), WZ_OK);
    r = wz_edit_by_options(&cli, body);
    text = json_dumps(body, JSON_COMPACT);
    if (after[0] != '-') {
        assert_int_equal(r, WZ_OK);
        assert_string_equal(text, after);
    } else {
        assert_int_equal(r, WZ_ERR_INVALID);
        assert_string_not_equal(cli.problem.fix, "");
    }
    json_decref(body);
}

#define CHECK(before, after, ...)                                                                  \
    check(before, (const char *const[]){__VA_ARGS__},                                              \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), after)

static void test_edit_sets_members(void **state)
{
    (void)state;
    CHECK("{}", "{\"a\":\"b\"}", "--set", "a=b");
    CHECK("{\"a\":1}", "{\"a\":[1,2]}", "--set", "a=[1,2]");
    CHECK("{}", "{\"a\":true,\"b\":1.5,\"c\":null}", "--set", "a=true", "--set", "b=1.5", "--set",
          "c=null");
    CHECK("{}", "{\"a\":\"\"}", "--set", "a=");
    CHECK("{}", "{\"a\":\"b=c\"}", "--set", "a=b=c");
    CHECK("{}", "{\"a\":\"1\"}", "--set", "a=\"1\"");
    CHECK("{\"c\":{\"x\":1}}", "{\"c\":{\"x\":1,\"M.n/o\":\"m\"}}", "--set", "c.M.n/o=m");
    CHECK("{\"c\":1}", "{\"c\":{\"x\":2}}", "--set", "c.x=2");
}

static void test_edit_takes_members_away(void **state)
{
    (void)state;
    CHECK("{\"a\":1,\"b\":2}", "{\"b\":2}", "--unset", "a", "--unset", "z");
    CHECK("{\"c\":{\"x\":1,\"y\":2}}", "{\"c\":{\"y\":2}}", "--unset", "c.x");
    CHECK("{\"a\":1}", "{\"a\":2}", "--set", "a=2", "--unset", "a"); // set comes last
}

static void test_edit_refuses_what_it_cannot_read(void **state)
{
    (void)state;
    CHECK("{}", "-", "--set", "a");
    CHECK("{}", "-", "--set", "=a");
    CHECK("{}", "-", "--set", "a=\xff");
    CHECK("{}", "-", "--set", "\xff.b=1");
}

static void test_edit_set_text_wants_utf8(void **state)
{
    struct wz_cli cli = {0};
    json_t *body = json_object();

    (void)state;
    assert_int_equal(wz_edit_set_text(&cli, body, "route", "a.b"), WZ_OK);
    assert_int_equal(wz_edit_set_text(&cli, body, "route", "\xff"), WZ_ERR_INVALID);
    assert_string_equal(json_string_value(json_object_get(body, "route")), "a.b");
    json_decref(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edit_sets_members),
        cmocka_unit_test(test_edit_takes_members_away),
        cmocka_unit_test(test_edit_refuses_what_it_cannot_read),
        cmocka_unit_test(test_edit_set_text_wants_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
