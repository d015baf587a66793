// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static void test_status_of_this_program_needs_no_server(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "version"), 0);
    assert_string_equal(t.output, "{\"version\":\"" WZ_VERSION "\"}\n");
    assert_int_equal(TERMINAL(&t, "--version"), 0);
    assert_int_equal(TERMINAL(&t, "status"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "ready"), WZ_EXIT_UNREACHABLE);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_of_this_program_needs_no_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
