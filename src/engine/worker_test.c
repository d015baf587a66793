// SPDX-License-Identifier: Apache-2.0
// Workers that die.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/rig_test.h"

static void test_worker_that_dies_three_times_at_a_record_costs_that_record(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "import os\n"
                   "def handle_input(msg, context):\n"
                   "    context.emit('out', msg['n'])\n"
                   "    if msg['n'] == 50: os._exit(1)\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 100);
    rig_run_until(rig, rig_has_answered, 100);
    rig_run_until(rig, rig_has_outputs, 99);
    rig_assert_numbers(rig, 0, 99, 50);
    assert_int_equal(rig_board_int(rig, "quarantined"), 1);
    assert_in_range(rig_board_int(rig, "restarts"), 3, 4);
}

static void test_worker_that_dies_once_loses_and_doubles_nothing(void **state)
{
    struct rig *rig = *state;
    char flag[] = "/tmp/wyze-engine-test-XXXXXX";
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};

    assert_non_null(mkdtemp(flag));
    wz_buf_addf(&code,
                "import os, signal\n"
                "def handle_input(msg, context):\n"
                "    context.emit('out', msg['n'])\n"
                "    if msg['n'] %% 700 == 699 and not os.path.exists(f'%s/{msg[\"n\"]}'):\n"
                "        open(f'%s/{msg[\"n\"]}', 'w').close()\n"
                "        os.kill(os.getpid(), signal.SIGSEGV)\n",
                flag, flag);
    rig_start(rig, (struct wz_engine_options){0});
    rig_apply_writing(rig, wz_buf_str(&code), flag);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 2000);
    rig_run_until(rig, rig_has_outputs, 1000);
    rig_feed(rig, "in.a", 1000);
    rig_run_until(rig, rig_has_outputs, 3000);
    rig_assert_numbers(rig, 0, 3000, -1);
    assert_int_equal(rig_board_int(rig, "restarts"), 4);
    for (int n = 699; n < 3000; n += 700) {
        char path[64];

        (void)snprintf(path, sizeof(path), "%s/%d", flag, n);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(flag), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_that_dies_three_times_at_a_record_costs_that_record),
        TEST(test_worker_that_dies_once_loses_and_doubles_nothing),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
