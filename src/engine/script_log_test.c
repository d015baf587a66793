// SPDX-License-Identifier: Apache-2.0
// What scripts say.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/rig_test.h"

static void test_script_log_publishes_logs_with_their_cause(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "def init(context):\n"
                   "    context.log('here \"I\" am')\n"
                   "def handle_input(msg, context):\n"
                   "    context.log('hot', 'warning')\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_answered, 1);
    assert_int_equal(rig->output_count, 2);
    assert_string_equal(rig->outputs[0].topic, "logs.info");
    assert_string_equal(rig->outputs[0].body,
                        "{\"message\":\"here \\\"I\\\" am\",\"script\":\"probe\"}");
    assert_string_equal(rig->outputs[0].parent, "");
    assert_string_equal(rig->outputs[1].topic, "logs.warning");
    assert_string_equal(rig->outputs[1].parent, "019c1c38-a47b-7cc3-98a2-000000000000");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_script_log_publishes_logs_with_their_cause),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
