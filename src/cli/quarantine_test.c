// SPDX-License-Identifier: Apache-2.0
// Without a server; with one, the system tests of the scripts' page run all of it.
#include "cli/terminal_test.h"

static void test_quarantine_needs_a_server(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "ls", "a"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "show", "a", "1"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "retry", "a"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "drop", "a", "1"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "state", "a"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "restart"), WZ_EXIT_UNREACHABLE);
    terminal_close(&t);
}

static void test_quarantine_is_dropped_whole_only_when_that_is_said(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "drop", "a"), WZ_EXIT_USAGE);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "drop", "a", "--all"),
                     WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "quarantine", "show", "a"), WZ_EXIT_USAGE);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarantine_needs_a_server),
        cmocka_unit_test(test_quarantine_is_dropped_whole_only_when_that_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
