// SPDX-License-Identifier: Apache-2.0
// Documents that come, change and go; the end.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/rig_test.h"

static void test_engine_gives_each_record_once_and_publishes_its_outputs(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_feed(rig, "in.a", 5); // before the script was there
    rig_apply(rig, RIG_ECHO);
    rig_feed(rig, "in.b", 5); // matches two bindings; the worker is not there yet
    rig_run_until(rig, rig_is_running, 0);
    rig_feed_hops(rig, "in.a", 995, 3);
    rig_feed(rig, "other", 1);
    rig_run_until(rig, rig_has_answered, 1000);
    rig_run_until(rig, rig_has_outputs, 1000);
    rig_assert_numbers(rig, 5, 1000, -1);
    assert_string_equal(rig->outputs[0].topic, "out");
    assert_int_equal(rig->outputs[0].hops, 1);
    assert_int_equal(rig->outputs[999].hops, 4);
    assert_int_equal(rig_board_int(rig, "lag"), 0);
}

static bool is_behind(struct rig *rig, int64_t num)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    bool behind = json_is_true(json_object_get(state, "behind"));

    json_decref(state);
    return behind == (num > 0);
}

static void test_engine_reads_the_stream_when_a_script_is_behind(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.window_bytes = 8192});
    rig_apply(rig, "import time\n"
                   "def handle_input(msg, context):\n"
                   "    if msg['n'] < 600: time.sleep(0.001)\n"
                   "    context.emit('out', msg['n'])\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 600);
    rig_run_until(rig, is_behind, 1);
    for (int i = 0; i < 400; i++) { // live records keep coming while it catches up
        rig_feed(rig, "in.a", i % 3 == 0 ? 300 : 20);
        (void)uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    }
    rig_run_until(rig, rig_has_outputs, rig->fed);
    rig_assert_numbers(rig, 0, rig->fed, -1);
    rig_run_until(rig, is_behind, 0);
    rig_feed(rig, "in.a", 20); // live again
    rig_run_until(rig, rig_has_outputs, rig->fed);
    rig_assert_numbers(rig, 0, rig->fed, -1);
}

static bool is_off_board(struct rig *rig, int64_t num)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    bool off = !state && num == 0;

    json_decref(state);
    return off;
}

static void test_engine_ends_scripts_that_are_gone_or_not_active(void **state)
{
    struct rig *rig = *state;
    struct wz_document document = {.name = (char *)"probe", .revision = 9};

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    document.body = json_pack("{s:s, s:b, s:[{s:s}]}", "code", RIG_ECHO, "active", 0, "bindings",
                              "pattern", "in.#");
    wz_engine_apply(rig->engine, &document, 1);
    rig_run_until(rig, rig_is_stopped, 0);
    rig_feed(rig, "in.a", 3);
    json_object_set_new(document.body, "active", json_true());
    document.revision++;
    wz_engine_apply(rig->engine, &document, 1); // goes on where it stopped
    rig_run_until(rig, rig_has_outputs, 3);
    rig_assert_numbers(rig, 0, 3, -1);
    json_decref(document.body);
    rig_apply(rig, NULL);
    rig_run_until(rig, is_off_board, 0);
    rig_feed(rig, "in.a", 3);
    for (int i = 0; i < 20; i++)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(rig->output_count, 3);
    assert_true(is_off_board(rig, 0));
}

static void test_engine_stop_waits_for_what_workers_hold(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "import time\n"
                   "def handle_input(msg, context):\n"
                   "    time.sleep(0.1)\n"
                   "    context.emit('out', msg['n'])\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 3);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    rig_stop(rig);
    rig_assert_numbers(rig, 0, 3, -1);
}

static void test_engine_stop_kills_what_does_not_end(void **state)
{
    struct rig *rig = *state;
    int64_t began_us;

    rig_start(rig, (struct wz_engine_options){.drain_ms = 200});
    rig_apply(rig, "def handle_input(msg, context):\n    while True: pass\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 1);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    began_us = wz_clock_mono_us();
    rig_stop(rig);
    assert_in_range(wz_clock_mono_us() - began_us, 150000, 5000000);
    assert_int_equal(rig->output_count, 0);
}

static void test_engine_stop_does_not_wait_for_a_busy_bus(void **state)
{
    struct rig *rig = *state;
    int64_t began_us;

    rig_start(rig, (struct wz_engine_options){.drain_ms = 200});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    rig->busy_every = 1; // always
    rig_feed(rig, "in.a", 10);
    for (int i = 0; i < 20; i++)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    began_us = wz_clock_mono_us();
    rig_stop(rig);
    assert_in_range(wz_clock_mono_us() - began_us, 150000, 5000000);
    assert_int_equal(rig->output_count, 0);
    rig->busy_every = 0;
    rig_reopen(rig);
    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_has_outputs, 10);
    rig_assert_numbers(rig, 0, 10, -1);
}

static void test_engine_counts_each_input_once_whenever_it_crashes(void **state)
{
    struct rig *rig = *state;

    rig->busy_every = 7;
    for (int round = 0; round < 8; round++) {
        rig_start(rig, (struct wz_engine_options){.window_bytes = 8192});
        rig_apply(rig, RIG_COUNT);
        rig_run_until(rig, rig_is_running, 0);
        rig_feed(rig, "in.a", 200);
        rig_feed(rig, "in.c", 200);
        for (int turns = rand_r(&rig->seed) % 40; turns > 0; turns--)
            rig_turn(rig);
        rig_settle(rig); // what was fed; the script is anywhere
        rig_crash(rig);
    }
    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_COUNT);
    rig_run_until(rig, rig_has_outputs, rig->fed);
    rig_run_until(rig, rig_has_lag, 0);
    rig_settle(rig);
    rig_assert_counted(rig, 0, rig->fed);
}

#define TRIM_FED 5000
#define TRIM_BELOW 3000

static bool is_trimmed(struct rig *rig, int64_t num)
{
    struct wz_log_info info;

    wz_log_info(rig->logs[WZ_SCRIPT_RAW], &info);
    return info.first_offset > num;
}

// The numbers are in order, none is twice, and those that are missing are the gap.
static void assert_gap(struct rig *rig)
{
    int64_t next = 0;

    for (size_t i = 0; i < rig->output_count; i++) {
        int64_t number = strtoll(rig->outputs[i].body, NULL, 10);

        assert_true(number >= next);
        next = number + 1;
    }
    assert_int_equal(next, rig->fed);
    assert_in_range(rig_board_int(rig, "gap"), 1, TRIM_BELOW);
    assert_int_equal((int64_t)rig->output_count + rig_board_int(rig, "gap"), rig->fed);
    assert_true(rig_board_is(rig, "remark", "records were trimmed off the stream"));
}

// A script that is behind, slow or stopped, and segments that go meanwhile.
static void trim_below_a_script(struct rig *rig, bool stopped)
{
    const char *slow = "import time\n"
                       "def handle_input(msg, context):\n"
                       "    if msg['n'] < 300: time.sleep(0.01)\n"
                       "    context.emit('out', msg['n'])\n";

    rig->segment_bytes = 65536;
    rig_reopen(rig);
    rig_start(rig, (struct wz_engine_options){.window_bytes = 8192});
    rig_apply(rig, slow);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", TRIM_FED);
    rig_run_until(rig, rig_has_outputs, 50);
    if (stopped) {
        rig_apply_stopped(rig, slow);
        rig_run_until(rig, rig_is_stopped, 0);
    }
    wz_log_trim(rig->logs[WZ_SCRIPT_RAW], TRIM_BELOW);
    rig_run_until(rig, is_trimmed, TRIM_BELOW / 2);
    assert_true(rig->output_count < TRIM_BELOW / 4); // it lags still
    if (stopped)
        rig_apply(rig, slow);
    rig_run_until(rig, rig_has_answered, 1);
    rig_run_until(rig, rig_has_lag, 0);
    rig_settle(rig);
    assert_gap(rig);
}

static void test_engine_tells_a_slow_script_what_was_trimmed_while_it_ran(void **state)
{
    trim_below_a_script(*state, false);
}

static void test_engine_tells_a_stopped_script_what_was_trimmed_meanwhile(void **state)
{
    trim_below_a_script(*state, true);
}

static void test_engine_keeps_state_and_position_over_an_orderly_stop(void **state)
{
    struct rig *rig = *state;

    for (int round = 0; round < 3; round++) {
        rig_start(rig, (struct wz_engine_options){0});
        rig_apply(rig, RIG_COUNT);
        rig_run_until(rig, rig_is_running, 0);
        rig_feed(rig, "in.a", 100);
        rig_turn(rig);
        rig_stop(rig); // in order: what the worker held is done
        rig_feed(rig, "in.a", 10);
        rig_reopen(rig);
    }
    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_COUNT);
    rig_run_until(rig, rig_has_outputs, rig->fed);
    rig_assert_counted(rig, 0, rig->fed);
}

static void test_engine_begins_a_script_anew_that_was_deleted(void **state)
{
    struct rig *rig = *state;

    for (int round = 0; round < 3; round++) {
        rig_start(rig, (struct wz_engine_options){0});
        rig_feed(rig, "in.a", 5); // not its business
        rig_apply(rig, RIG_COUNT);
        rig_run_until(rig, rig_is_running, 0);
        rig_feed(rig, "in.a", 20);
        rig_run_until(rig, rig_has_outputs, (round + 1) * 20);
        assert_string_equal(rig->outputs[rig->output_count - 1].body, "20"); // a new count
        rig_apply(rig, NULL);
        rig_run_until(rig, is_off_board, 0);
        rig_stop(rig); // its keys are taken out by then
        rig_settle(rig);
        rig_crash(rig);
    }
}

static void test_engine_runs_a_document_made_anew_under_its_old_revision(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "def init(context): context.emit('first', 1)\n" RIG_ECHO);
    rig_run_until(rig, rig_has_outputs, 1);
    rig->revision--;
    rig_apply(rig, "def init(context): context.emit('second', 1)\n" RIG_ECHO);
    rig_run_until(rig, rig_has_outputs, 2);
    assert_string_equal(rig->outputs[1].topic, "second");
}

static void test_engine_puts_a_document_of_the_wrong_shape_on_the_board(void **state)
{
    struct rig *rig = *state;
    struct wz_document document = {.name = (char *)"probe", .revision = 1};

    rig_start(rig, (struct wz_engine_options){0});
    document.body = json_pack("{s:s, s:i}", "code", RIG_ECHO, "speed", 3);
    wz_engine_apply(rig->engine, &document, 1);
    json_decref(document.body);
    assert_true(rig_is_invalid(rig, 0));
    assert_true(rig_board_is(rig, "remark", "there is no member \"speed\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_engine_gives_each_record_once_and_publishes_its_outputs),
        TEST(test_engine_reads_the_stream_when_a_script_is_behind),
        TEST(test_engine_ends_scripts_that_are_gone_or_not_active),
        TEST(test_engine_stop_waits_for_what_workers_hold),
        TEST(test_engine_stop_kills_what_does_not_end),
        TEST(test_engine_stop_does_not_wait_for_a_busy_bus),
        TEST(test_engine_counts_each_input_once_whenever_it_crashes),
        TEST(test_engine_tells_a_slow_script_what_was_trimmed_while_it_ran),
        TEST(test_engine_tells_a_stopped_script_what_was_trimmed_meanwhile),
        TEST(test_engine_keeps_state_and_position_over_an_orderly_stop),
        TEST(test_engine_begins_a_script_anew_that_was_deleted),
        TEST(test_engine_runs_a_document_made_anew_under_its_old_revision),
        TEST(test_engine_puts_a_document_of_the_wrong_shape_on_the_board),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
