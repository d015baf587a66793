// SPDX-License-Identifier: Apache-2.0
// What a script may publish.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "engine/egress.h"
#include "engine/rig_test.h"

static void test_egress_ends_a_chain_of_outputs_at_the_seventeenth(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed_hops(rig, "in.a", 1, 16);
    rig_feed_hops(rig, "in.a", 1, 15);
    rig_run_until(rig, rig_has_answered, 2);
    rig_run_until(rig, rig_has_outputs, 1);
    assert_int_equal(rig->output_count, 1);
    assert_int_equal(rig->outputs[0].hops, 16);
    assert_string_equal(rig->outputs[0].body, "1");
    assert_int_equal(rig_board_int(rig, "quarantined"), 1); // the call raised, at once for good
    assert_int_equal(rig_board_int(rig, "retries"), 0);
}

static void test_egress_counts_what_can_never_be_published(void **state)
{
    struct rig *rig = *state;
    struct wz_egress egress = {.bus = rig->bus, .script = WZ_SLICE_LIT("probe")};
    struct wz_output output = {.topic = WZ_SLICE_LIT("a..b"), .body = WZ_SLICE_LIT("1")};

    wz_log_set_level(WZ_LOG_ERROR);
    assert_int_equal(wz_egress_publish(&egress, &output), WZ_OK); // an empty word
    output.topic = WZ_SLICE_LIT("a.b");
    output.hops = WZ_HOPS_MAX + 1;
    assert_int_equal(wz_egress_publish(&egress, &output), WZ_OK);
    assert_int_equal(egress.refused_count, 2);
    output.hops = WZ_HOPS_MAX;
    assert_int_equal(wz_egress_publish(&egress, &output), WZ_OK);
    rig->busy_every = 1;
    assert_int_equal(wz_egress_publish(&egress, &output), WZ_ERR_BUSY);
    rig->busy_every = 0;
    assert_int_equal(egress.refused_count, 2);
    assert_int_equal(egress.out_count, 1);
    assert_int_equal(rig->output_count, 1);
    assert_int_equal(wz_egress_say(&egress, &output), WZ_OK); // a line of its log
    assert_int_equal(egress.out_count, 1);
    assert_int_equal(rig->output_count, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_egress_ends_a_chain_of_outputs_at_the_seventeenth),
        TEST(test_egress_counts_what_can_never_be_published),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
