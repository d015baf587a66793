// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static void test_script_needs_a_server_for_its_verdict_only(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "script", "ls"), 0);
    assert_string_equal(t.output, "");
    assert_int_equal(TERMINAL(&t, "script", "get", "a"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "script", "start", "a"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "script", "rm", "a"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "script", "logs", "a"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "script", "logs", "a..b", "--from", "-1h"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "script", "deploy", "/dev/null", "--on", "raw:#"),
                     WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "script", "deploy", "/dev/null", "--on", "raw"), WZ_EXIT_INPUT);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_needs_a_server_for_its_verdict_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
