// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static void test_passthrough_is_set_shown_and_removed(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "kitchen", "kitchen.*"), 0);
    assert_string_equal(t.output, "");
    assert_int_equal(TERMINAL(&t, "passthrough", "get", "kitchen"), 0);
    assert_string_equal(t.output, "{\"pattern\":\"kitchen.*\"}\n");
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "kitchen", "kitchen.*", "--order", "5",
                              "--rename", "home.{1}", "--rate", "0.5", "--inactive"),
                     0);
    assert_int_equal(TERMINAL(&t, "passthrough", "get", "kitchen"), 0);
    assert_string_equal(t.output, "{\"pattern\":\"kitchen.*\",\"rename\":\"home.{1}\",\"order\":5,"
                                  "\"rate\":0.5,\"active\":false}\n");
    assert_int_equal(TERMINAL(&t, "passthrough", "ls", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "kitchen  kitchen.*  5"));
    assert_int_equal(TERMINAL(&t, "passthrough", "rm", "kitchen"), 0);
    assert_int_equal(TERMINAL(&t, "passthrough", "rm", "kitchen"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "passthrough", "ls", "--json"), 0);
    assert_string_equal(t.output, "");
    terminal_close(&t);
}

static void test_passthrough_sets_what_change_means(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a.#", "--change", "value",
                              "--deadband", "10%", "--atleast", "10m"),
                     0);
    assert_int_equal(TERMINAL(&t, "passthrough", "get", "r"), 0);
    assert_string_equal(t.output, "{\"pattern\":\"a.#\",\"change\":{\"member\":\"value\","
                                  "\"deadband\":\"10%\",\"atleast\":\"10m\"}}\n");
    assert_int_equal(
        TERMINAL(&t, "passthrough", "set", "r", "a.#", "--change", "v", "--deadband", "0.5"), 0);
    assert_int_equal(TERMINAL(&t, "passthrough", "get", "r"), 0);
    assert_string_equal(t.output,
                        "{\"pattern\":\"a.#\",\"change\":{\"member\":\"v\",\"deadband\":0.5}}\n");
    terminal_close(&t);
}

static void test_passthrough_refuses_what_is_no_rule(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a..#b"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "\xff"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a", "--rename", "\xff"),
                     WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a", "--rename", "{1}"),
                     WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a", "--rate", "often"),
                     WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a", "--deadband", "1"),
                     WZ_EXIT_INPUT); // of what?
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "r", "a", "--change", "\xff"),
                     WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "passthrough", "get", "r"), WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passthrough_is_set_shown_and_removed),
        cmocka_unit_test(test_passthrough_sets_what_change_means),
        cmocka_unit_test(test_passthrough_refuses_what_is_no_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
