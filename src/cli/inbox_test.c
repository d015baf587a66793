// SPDX-License-Identifier: Apache-2.0
// What needs a server is in tests/system/test_inbox.py.
#include "cli/terminal_test.h"

static void test_inbox_filters_are_kept_listed_and_removed(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "homeassistant/#"), 0);
    assert_string_equal(t.output, "");
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "--output", "table"), 0);
    assert_string_equal(t.output, "FILTER\nhomeassistant/#\n");
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "a/#/b"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "\xff"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "--rm", "homeassistant/#"), 0);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "--rm", "homeassistant/#"),
                     WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

static void test_inbox_needs_a_server_for_what_is_kept(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ls"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "accept", "a/b"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "accept", "\xff"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "accept", "a", "--route", "\xff"), WZ_EXIT_INPUT);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_filters_are_kept_listed_and_removed),
        cmocka_unit_test(test_inbox_needs_a_server_for_what_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
