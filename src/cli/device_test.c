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
    assert_string_equal(t.output, "DEVICE      ROUTE          TEMPLATE\n"
                                  "mesh/b5/42  bedroom.light  \n");
    assert_int_equal(TERMINAL(&t, "device", "set", "other", "bedroom.light"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "set", "other", "\xff"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "rm", "mesh/b5/42"), 0);
    assert_int_equal(TERMINAL(&t, "device", "rm", "mesh/b5/42"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "device", "ls", "--json"), 0);
    assert_string_equal(t.output, "");
    terminal_close(&t);
}

static void test_device_set_leaves_what_is_not_said(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "kitchen", "--template", "tasmota",
                              "--set", "channels.A.B/c=a b", "--set", "type=json", "--set",
                              "channels.POWER1=null", "--set",
                              "channels.M={\"channel\":\"m\",\"type\":\"number\"}"),
                     0);
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "hall"), 0);
    assert_int_equal(TERMINAL(&t, "map", "set", "device", "plug", "cellar"), 0);
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "--unset", "type", "--unset",
                              "channels.M", "--unset", "send"),
                     0);
    assert_int_equal(TERMINAL(&t, "device", "get", "plug"), 0);
    assert_string_equal(t.output, "{\"route\":\"cellar\",\"template\":\"tasmota\","
                                  "\"channels\":{\"A.B/c\":\"a b\",\"POWER1\":null}}\n");
    assert_int_equal(TERMINAL(&t, "device", "ls", "--output", "table"), 0);
    assert_string_equal(t.output, "DEVICE  ROUTE   TEMPLATE\nplug    cellar  tasmota\n");
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "--template", "none"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "--set", "x"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "--set", "=x"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "set", "plug", "--set", "x=1"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "set", "new"), WZ_EXIT_INPUT); // it needs a route
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_is_set_shown_and_removed),
        cmocka_unit_test(test_device_set_leaves_what_is_not_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
