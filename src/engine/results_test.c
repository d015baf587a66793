// SPDX-License-Identifier: Apache-2.0
// A bus that is busy now and then.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/rig_test.h"

static void test_results_publishes_each_output_once_when_the_bus_is_busy(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    context.log('x')\n"
                   "    context.emit('out', msg['n'])\n");
    rig->bus.busy_every = 7;
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 500);
    rig_run_until(rig, rig_has_answered, 500);
    assert_int_equal(rig->bus.output_count, 1000);
    for (size_t i = 0, expected = 0, logs = 0; i < 1000; i++) {
        if (strcmp(rig->bus.outputs[i].topic, "out") == 0)
            assert_int_equal(strtoll(rig->bus.outputs[i].body, NULL, 10), expected++);
        else
            assert_true(++logs <= 500);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_results_publishes_each_output_once_when_the_bus_is_busy),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
