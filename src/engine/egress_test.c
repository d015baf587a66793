// SPDX-License-Identifier: Apache-2.0
// What a script may publish.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/testrig.h"

static void test_egress_stops_outputs_of_outputs_at_the_seventeenth(void **state)
{
    struct testrig *rig = *state;

    testrig_start(rig, (struct wz_engine_options){0});
    testrig_apply(rig, TESTRIG_ECHO);
    testrig_run_until(rig, testrig_is_running, 0);
    testrig_feed_hops(rig, "in.a", 1, 16);
    testrig_feed_hops(rig, "in.a", 1, 15);
    testrig_run_until(rig, testrig_has_answered, 2);
    assert_int_equal(rig->bus.output_count, 1);
    assert_int_equal(rig->bus.outputs[0].hops, 16);
    assert_string_equal(rig->bus.outputs[0].body, "1");
    assert_int_equal(testrig_board_int(rig, "refused"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, testrig_setup, testrig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_egress_stops_outputs_of_outputs_at_the_seventeenth),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
