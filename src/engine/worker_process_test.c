// SPDX-License-Identifier: Apache-2.0
// Workers that have to be killed.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/rig_test.h"

static void test_worker_process_kills_a_worker_that_takes_too_long(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.max_message_ms = 500});
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    while msg['n'] == 3: pass\n"
                   "    context.emit('out', msg['n'])\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 6);
    rig_run_until(rig, rig_has_answered, 6);
    rig_run_until(rig, rig_has_outputs, 5);
    rig_assert_numbers(rig, 0, 5, 3);
    assert_true(rig_has_restarted(rig, 3));
}

static void test_worker_process_spares_a_worker_when_the_engine_itself_stood_still(void **state)
{
    struct rig *rig = *state;
    int64_t given_us;

    rig_start(rig, (struct wz_engine_options){.max_message_ms = 1500});
    rig_apply(rig, "import time\n"
                   "def handle_input(msg, context):\n"
                   "    time.sleep(0.1)\n"
                   "    context.emit('out', msg['n'])\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 1);
    given_us = wz_clock_mono_us();
    while (wz_clock_mono_us() < given_us + 20000) // the record leaves for the worker
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(sleep(2), 0); // the answer is there; nobody has looked
    rig_run_until(rig, rig_has_answered, 1);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_answered, 2);
    rig_assert_numbers(rig, 0, 2, -1);
    assert_int_equal(rig_board_int(rig, "restarts"), 0);
}

static void test_worker_process_ends_a_worker_that_breaks_the_protocol(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "import os\n"
                   "def handle_input(msg, context):\n"
                   "    if msg['n'] == 1: os.write(3, b'\\xff' * 100)\n"
                   "    context.emit('out', msg['n'])\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 3);
    rig_run_until(rig, rig_has_answered, 3);
    rig_run_until(rig, rig_has_outputs, 2);
    rig_assert_numbers(rig, 0, 2, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_process_kills_a_worker_that_takes_too_long),
        TEST(test_worker_process_spares_a_worker_when_the_engine_itself_stood_still),
        TEST(test_worker_process_ends_a_worker_that_breaks_the_protocol),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
