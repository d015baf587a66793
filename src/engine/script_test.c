// SPDX-License-Identifier: Apache-2.0
// The life of a script, with real workers.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "engine/rig_test.h"
#include "wire/frames.h"

static void test_script_shows_an_invalid_script_and_runs_its_mend(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "x = 1\ndef handle_input(msg context): pass\n");
    rig_run_until(rig, rig_is_invalid, 0);
    assert_true(rig_board_is(rig, "remark", "SyntaxError"));
    assert_true(rig_board_is(rig, "traceback", "^"));
    assert_int_equal(rig_board_int(rig, "line"), 2);
    rig_feed(rig, "in.a", 10);
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 10);
    rig_run_until(rig, rig_has_outputs, 20);
    rig_assert_numbers(rig, 0, 20, -1); // those that came while it was invalid, too
}

static void test_script_ends_a_top_level_that_never_returns(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.load_ms = 300});
    rig_apply(rig, "while True: pass\n");
    rig_run_until(rig, rig_is_invalid, 0);
    assert_true(rig_board_is(rig, "remark", "the top level did not return within 300 ms"));
}

static void test_script_flags_a_script_whose_process_ends_while_it_is_loaded(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "import os\nos._exit(3)\n");
    rig_run_until(rig, rig_is_invalid, 0);
    assert_true(rig_board_is(rig, "remark", "exited with code 3 while it was loaded"));
}

static bool is_invalid_as(struct rig *rig, int64_t revision)
{
    return rig_is_invalid(rig, 0) && rig_board_int(rig, "revision") == revision;
}

static void test_script_flags_a_script_that_breaks_its_pipe_while_it_is_loaded(void **state)
{
    static const struct {
        const char *line;
        const char *why;
    } cases[] = {
        {"os.write(3, b'\\xff' * 64)", "killed, it broke the protocol"},
        {"os.write(3, bytes([0, 0, 0, 0, 65] * 3))", "killed, it broke the protocol"},
        {"os.close(3); time.sleep(999)", "killed, it closed its pipe"},
    };
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "def init(context):\n" // what takes a while to be read
                   "    for i in range(10): context.set_state(str(i), 'x' * 1000000)\n" RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    rig_settle(rig);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf code = {0};

        wz_buf_addf(&code, "import os, time\n%s\n" RIG_ECHO, cases[i].line);
        rig_apply(rig, wz_buf_str(&code));
        rig_run_until(rig, is_invalid_as, rig->revision);
        assert_true(
            rig_board_is(rig, "remark", "its worker ended before the script had started: "));
        assert_true(rig_board_is(rig, "remark", cases[i].why));
    }
    assert_int_equal(rig_board_int(rig, "restarts"), 0);
}

// The system kills for want of memory whom it likes: the code is not what is wrong.
static void test_script_is_loaded_again_when_its_process_is_killed_meanwhile(void **state)
{
    struct rig *rig = *state;
    char folder[] = "/tmp/wyze-engine-test-XXXXXX";
    char flag[64];
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};

    assert_non_null(mkdtemp(folder));
    (void)snprintf(flag, sizeof(flag), "%s/times", folder);
    wz_buf_addf(&code,
                "import os, signal\n"
                "with open('%s', 'a') as f: f.write('x')\n"
                "if os.path.getsize('%s') < 3:\n"
                "    os.kill(os.getpid(), signal.SIGKILL)\n" RIG_ECHO,
                flag, flag);
    rig_start(rig, (struct wz_engine_options){0});
    rig_apply_writing(rig, wz_buf_str(&code), folder);
    rig_feed(rig, "in.a", 3);
    rig_run_until(rig, rig_has_outputs, 3);
    rig_assert_numbers(rig, 0, 3, -1);
    assert_int_equal(unlink(flag), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_script_goes_on_after_an_exception(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.retry_ms = 1});
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    context.emit('out', msg['n'])\n"
                   "    if msg['n'] == 2: raise ValueError('no')\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 5);
    rig_run_until(rig, rig_has_answered, 5);
    rig_run_until(rig, rig_has_outputs, 4);
    rig_assert_numbers(rig, 0, 4, 2);
    assert_int_equal(rig_board_int(rig, "errors"), 4);
    assert_int_equal(rig_board_int(rig, "retries"), 3);
    assert_int_equal(rig_board_int(rig, "quarantined"), 1);
    assert_int_equal(rig_board_int(rig, "restarts"), 0);
}

static void test_script_goes_on_behind_the_last_answer_when_a_script_changes(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    for (int version = 0; version < 5; version++) {
        WZ_AUTO(wz_buf_release) struct wz_buf code = {0};

        rig_feed(rig, "in.a", 3000);
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        wz_buf_addf(&code, "# %d\n" RIG_ECHO, version);
        rig_apply(rig, wz_buf_str(&code));
        rig_feed(rig, "in.a", 100);
    }
    rig_run_until(rig, rig_has_outputs, 15500);
    rig_assert_numbers(rig, 0, 15500, -1);
    assert_int_equal(rig_board_int(rig, "restarts"), 0);
}

static void test_script_does_not_restart_for_a_new_description(void **state)
{
    struct rig *rig = *state;
    struct wz_document document = {.name = (char *)"probe", .revision = 1};

    rig_start(rig, (struct wz_engine_options){0});
    document.body =
        json_pack("{s:s, s:s}", "code", "def init(context): context.emit('up', 1)\n" RIG_ECHO,
                  "description", "a");
    wz_engine_apply(rig->engine, &document, 1);
    rig_run_until(rig, rig_is_running, 1);
    json_object_set_new(document.body, "description", json_string("b"));
    document.revision = 2;
    wz_engine_apply(rig->engine, &document, 1);
    rig_run_until(rig, rig_is_running, 2);
    rig_run_until(rig, rig_has_outputs, 1);
    rig_settle(rig);
    assert_int_equal(rig->output_count, 1);
    json_object_set_new(document.body, "config", json_pack("{s:i}", "a", 1));
    document.revision = 3;
    wz_engine_apply(rig->engine, &document, 1);
    rig_run_until(rig, rig_has_outputs, 2);
    json_decref(document.body);
}

static void test_script_is_not_said_to_run_while_the_one_before_ends(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, "import time\n"
                   "def handle_input(msg, context): pass\n"
                   "def stop(context):\n"
                   "    time.sleep(0.6)\n"
                   "    context.emit('out', 'stopped')\n");
    rig_run_until(rig, rig_is_running, 1);
    rig_feed(rig, "in.a", 1); // the board is told of it when the next one has come
    rig_turn(rig);
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, rig_is_running, 2);
    assert_int_equal(rig->output_count, 1);
}

// Makes one that begins at START the only script; NULL: it says nothing of that.
static void apply_from(struct rig *rig, const char *code, const char *start, bool active)
{
    struct wz_document document = {.name = (char *)"probe", .revision = ++rig->revision};

    document.body = json_pack("{s:s, s:b, s:[{s:s}]}", "code", code, "active", active, "bindings",
                              "pattern", "in.#");
    if (start)
        json_object_set_new(document.body, "start", json_string(start));
    wz_engine_apply(rig->engine, &document, 1);
    json_decref(document.body);
}

static void test_script_begins_where_its_document_says(void **state)
{
    static const struct {
        const char *start;
        int64_t first; // of the records that were there
    } cases[] = {
        {NULL, 7},  {"now", 7},    {"end", 7}, {"first", 0}, {"@5", 5}, {"2026-02-02T02:40:01Z", 3},
        {"-1s", 7}, {"-9999w", 0},
    };
    struct rig *rig = *state;

    rig_feed(rig, "in.a", 3);
    rig_settle(rig);
    wz_log_set_time(rig->logs[WZ_SCRIPT_RAW], INT64_C(1770003600000));
    rig_feed(rig, "in.a", 4);
    rig_settle(rig);
    rig_start(rig, (struct wz_engine_options){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t before = rig->output_count;
        int64_t count = rig->fed - cases[i].first + 1;

        if (cases[i].first == 7) // then none of those that the scripts before were given
            count = 1;
        apply_from(rig, RIG_ECHO, cases[i].start, true);
        rig_run_until(rig, rig_is_running, rig->revision);
        rig_feed(rig, "in.a", 1);
        rig_run_until(rig, rig_has_outputs, (int64_t)before + count);
        rig_settle(rig);
        assert_int_equal(rig->output_count, before + (size_t)count);
        assert_int_equal(strtoll(rig->outputs[before].body, NULL, 10), rig->fed - count);
        rig_apply(rig, NULL);
        rig_settle(rig);
    }
}

static void test_script_is_not_moved_by_another_start(void **state)
{
    struct rig *rig = *state;

    rig_feed(rig, "in.a", 10);
    rig_start(rig, (struct wz_engine_options){0});
    apply_from(rig, RIG_ECHO, "now", true);
    rig_feed(rig, "in.a", 3);
    rig_run_until(rig, rig_has_outputs, 3);
    apply_from(rig, RIG_ECHO "\n", "first", true);
    rig_run_until(rig, rig_is_running, rig->revision);
    rig_feed(rig, "in.a", 2);
    rig_run_until(rig, rig_has_outputs, 5);
    rig_settle(rig);
    rig_assert_numbers(rig, 10, 5, -1);
}

static void
test_script_that_does_not_run_yet_begins_where_the_stream_ended_when_it_came(void **state)
{
    struct rig *rig = *state;

    rig_feed(rig, "in.a", 10);
    rig_start(rig, (struct wz_engine_options){0});
    rig->hold_journal = true;
    apply_from(rig, RIG_ECHO, NULL, false);
    for (int i = 0; i < 20; i++)
        rig_turn(rig);
    assert_true(rig_board_is(rig, "status", "starting")); // a crash would forget where that was
    rig->hold_journal = false;
    rig_run_until(rig, rig_is_stopped, 0);
    rig_feed(rig, "in.a", 5);
    rig_settle(rig);
    rig_crash(rig);
    rig_start(rig, (struct wz_engine_options){0});
    apply_from(rig, RIG_ECHO, NULL, true);
    rig_run_until(rig, rig_has_outputs, 5);
    rig_settle(rig);
    rig_assert_numbers(rig, 10, 5, -1);
}

// What looks for its beginning is changed, started anew and closed meanwhile.
static void test_script_looks_for_its_beginning_whatever_comes_meanwhile(void **state)
{
    struct rig *rig = *state;

    rig_feed(rig, "in.a", 10);
    rig_settle(rig);
    rig_start(rig, (struct wz_engine_options){0});
    apply_from(rig, RIG_ECHO, "first", true);
    apply_from(rig, RIG_ECHO "\n", "first", true);
    apply_from(rig, RIG_ECHO "\n\n", "now", true); // the first one has found its place
    rig_run_until(rig, rig_has_outputs, 10);
    rig_settle(rig);
    rig_assert_numbers(rig, 0, 10, -1);
    rig_apply(rig, NULL);
    apply_from(rig, RIG_ECHO, "first", true);
    rig_apply(rig, NULL);
    rig_stop(rig);
}

static void test_script_shows_the_lag_of_a_script_that_never_answers(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.drain_ms = 100, .window_bytes = 8192});
    rig_apply(rig, "def handle_input(msg, context):\n    while True: pass\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 10);
    rig_run_until(rig, rig_has_lag, 10);
    rig_feed(rig, "in.a", 500);
    rig_run_until(rig, rig_has_lag, 510);
}

static void test_script_does_not_count_offsets_that_a_crash_skipped_as_lag(void **state)
{
    struct rig *rig = *state;
    const char *code = "def handle_input(msg, context):\n    while True: pass\n";

    rig_start(rig, (struct wz_engine_options){.drain_ms = 100});
    rig_apply(rig, code);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 10);
    rig_run_until(rig, rig_has_lag, 10);
    rig_settle(rig);
    rig_crash(rig);
    rig_start(rig, (struct wz_engine_options){.drain_ms = 100});
    rig_apply(rig, code);
    assert_int_equal(rig_board_int(rig, "lag"), 10);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 5);
    rig_run_until(rig, rig_has_lag, 15);
}

static bool is_overdue(struct rig *rig, int64_t num)
{
    (void)num;
    return rig_board_is(rig, "remark", "killed, it took too long");
}

static void test_script_ends_a_worker_that_does_not_read_its_state(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.load_ms = 3000});
    rig_apply(rig, "def init(context):\n"
                   "    for i in range(10): context.set_state(str(i), 'x' * 1000000)\n" RIG_ECHO);
    rig_run_until(rig, rig_is_running, 0);
    rig_settle(rig);
    rig_apply(rig, "import os, time\n"
                   "os.write(3, bytes([0, 0, 0, 0, 65]))\n"
                   "time.sleep(999)\n");
    rig_run_until(rig, is_overdue, 0);
}

static void on_answered(struct wz_mail *mail)
{
    struct wz_desk_call *call = WZ_CONTAINER(mail, struct wz_desk_call, mail);

    call->name = NULL; // as a sign
}

static bool has_quarantined(struct rig *rig, int64_t num)
{
    return rig_board_int(rig, "quarantined") == num;
}

static void test_script_that_is_stopped_shows_that_its_quarantine_was_dropped(void **state)
{
    struct rig *rig = *state;
    const char *code = "def handle_input(msg, context): raise ValueError('no')\n";
    int64_t quiet_us;
    json_t *args = json_pack("{s:i, s:i}", "after", 0, "limit", 100);
    struct wz_desk_call call = {.part = "scripts",
                                .what = "drop",
                                .name = "probe",
                                .args = args,
                                .reply_to = &rig->loop.mail,
                                .done = on_answered};

    rig_start(rig, (struct wz_engine_options){.retry_ms = 1});
    rig_apply(rig, code);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 3);
    rig_run_until(rig, has_quarantined, 3);
    rig_apply_stopped(rig, code);
    rig_run_until(rig, rig_is_stopped, 0);
    quiet_us = wz_clock_mono_us() + 600000; // the board is written every 250 ms, when it has to be
    while (wz_clock_mono_us() < quiet_us)
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(wz_desk_ask(rig->desk, &call), WZ_OK);
    while (call.name)
        rig_turn(rig);
    assert_int_equal(call.result, WZ_OK);
    rig_run_until(rig, has_quarantined, 0);
    json_decref(call.answer);
    json_decref(args);
}

static void test_script_tries_again_when_the_worker_cannot_be_started(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.worker_path = "/nowhere/wyze-python"});
    rig_apply(rig, RIG_ECHO);
    assert_true(rig_board_is(rig, "status", "starting"));
    assert_true(rig_board_is(rig, "remark", "cannot be started from /nowhere/wyze-python"));
}

// Makes the program PATH: the first time it exits with CODE, then it is the worker.
static void make_failing_worker(const char *path, int code)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fprintf(file,
                        "#!/bin/sh\n"
                        "test -e %s.begun && exec %s \"$@\"\n"
                        "touch %s.begun\n"
                        "exit %d\n",
                        path, WZ_WORKER_PATH, path, code) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

static void run_failing_worker(struct rig *rig, int code,
                               bool (*done)(struct rig *rig, int64_t num))
{
    char folder[] = "/tmp/wyze-engine-test-XXXXXX";
    char path[64];
    char begun[80];

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/worker", folder);
    (void)snprintf(begun, sizeof(begun), "%s.begun", path);
    make_failing_worker(path, code);
    rig_start(rig, (struct wz_engine_options){.worker_path = path});
    rig_apply(rig, RIG_ECHO);
    rig_run_until(rig, done, 0);
    assert_int_equal(unlink(begun), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

// Its code has not been looked at by then: it is tried again.
static void test_script_is_not_to_blame_for_a_worker_that_cannot_begin(void **state)
{
    run_failing_worker(*state, WZ_WORKER_EXIT_USAGE, rig_is_running);
}

static void test_script_is_not_to_blame_for_a_python_that_cannot_begin(void **state)
{
    run_failing_worker(*state, WZ_WORKER_EXIT_PYTHON, rig_is_running);
}

static void test_script_is_to_blame_for_any_other_end_while_it_is_loaded(void **state)
{
    run_failing_worker(*state, WZ_WORKER_EXIT_USAGE - 1, rig_is_invalid);
    assert_true(rig_board_is(*state, "remark", "exited with code 95 while it was loaded"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_script_shows_an_invalid_script_and_runs_its_mend),
        TEST(test_script_ends_a_top_level_that_never_returns),
        TEST(test_script_flags_a_script_whose_process_ends_while_it_is_loaded),
        TEST(test_script_flags_a_script_that_breaks_its_pipe_while_it_is_loaded),
        TEST(test_script_is_loaded_again_when_its_process_is_killed_meanwhile),
        TEST(test_script_goes_on_after_an_exception),
        TEST(test_script_goes_on_behind_the_last_answer_when_a_script_changes),
        TEST(test_script_does_not_restart_for_a_new_description),
        TEST(test_script_is_not_said_to_run_while_the_one_before_ends),
        TEST(test_script_begins_where_its_document_says),
        TEST(test_script_is_not_moved_by_another_start),
        TEST(test_script_that_does_not_run_yet_begins_where_the_stream_ended_when_it_came),
        TEST(test_script_looks_for_its_beginning_whatever_comes_meanwhile),
        TEST(test_script_shows_the_lag_of_a_script_that_never_answers),
        TEST(test_script_does_not_count_offsets_that_a_crash_skipped_as_lag),
        TEST(test_script_ends_a_worker_that_does_not_read_its_state),
        TEST(test_script_that_is_stopped_shows_that_its_quarantine_was_dropped),
        TEST(test_script_tries_again_when_the_worker_cannot_be_started),
        TEST(test_script_is_not_to_blame_for_a_worker_that_cannot_begin),
        TEST(test_script_is_not_to_blame_for_a_python_that_cannot_begin),
        TEST(test_script_is_to_blame_for_any_other_end_while_it_is_loaded),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
