// SPDX-License-Identifier: Apache-2.0
// What scripts say.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "engine/rig_test.h"
#include "engine/script_log.h"

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

// A call that fails publishes what it has said, and is tried again: nothing but the rate bounds
// that.
static void test_script_log_publishes_no_more_in_a_second_than_it_keeps(void **state)
{
    struct rig *rig = *state;
    struct wz_egress egress = {.bus = rig->bus, .script = WZ_SLICE_LIT("probe")};
    struct wz_script_log log = {.egress = &egress, .stream = rig->script_log};
    struct wz_frame_log line = {.source = WZ_FRAME_LOG_CONTEXT,
                                .severity = WZ_SEVERITY_DEBUG,
                                .text = WZ_SLICE_LIT("again")};
    struct wz_cause cause = {0};

    wz_log_set_level(WZ_LOG_ERROR);
    for (int i = 0; i < 3 * WZ_SCRIPT_LOG_RECORDS; i++)
        assert_int_equal(wz_script_log_write(&log, &line, &cause), WZ_OK);
    // All of it takes far less than a second; on a machine where it does not, less than three.
    assert_in_range(rig->output_count, WZ_SCRIPT_LOG_RECORDS, 2 * WZ_SCRIPT_LOG_RECORDS);
    assert_int_equal(egress.out_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_script_log_publishes_logs_with_their_cause),
        TEST(test_script_log_publishes_no_more_in_a_second_than_it_keeps),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
