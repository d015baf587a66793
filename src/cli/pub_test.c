// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static void test_pub_needs_a_server(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "pub", "a.b", "-5"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "pub", "\xff", "1"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "pub", "a.b"), WZ_EXIT_USAGE);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pub_needs_a_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
