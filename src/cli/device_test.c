// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static void test_device_is_set_shown_and_removed(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "device", "set", "mesh/b5/42", "bedroom.light"), 0);
    assert_string_equal(t.output, "");
    assert_int_equal(TERMINAL(&t, "device", "get", "mesh/b5/42"), 0);
    assert_string_equal(t.output, "{\"route\":\"bedroom.light\"}\n");
    assert_int_equal(TERMINAL(&t, "device", "ls", "--output", "table"), 0);
    assert_string_equal(t.output, "DEVICE      ROUTE\nmesh/b5/42  bedroom.light\n");
    assert_int_equal(TERMINAL(&t, "device", "set", "other", "bedroom.light"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "set", "other", "\xff"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "rm", "mesh/b5/42"), 0);
    assert_int_equal(TERMINAL(&t, "device", "rm", "mesh/b5/42"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "device", "ls", "--json"), 0);
    assert_string_equal(t.output, "");
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_is_set_shown_and_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
