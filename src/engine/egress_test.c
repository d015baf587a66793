// SPDX-License-Identifier: Apache-2.0
// What a script may publish.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/rig_test.h"

static void test_egress_stops_outputs_of_outputs_at_the_seventeenth(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed_hops(rig, "in.a", 1, 16);
    rig_feed_hops(rig, "in.a", 1, 15);
    rig_run_until(rig, rig_has_answered, 2);
    assert_int_equal(rig->bus.output_count, 1);
    assert_int_equal(rig->bus.outputs[0].hops, 16);
    assert_string_equal(rig->bus.outputs[0].body, "1");
    assert_int_equal(rig_board_int(rig, "refused"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_egress_stops_outputs_of_outputs_at_the_seventeenth),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
