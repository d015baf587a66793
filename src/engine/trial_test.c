// SPDX-License-Identifier: Apache-2.0
#include "engine/trial.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/lane.h"

// A trial, and what its events told as text: "out a.b {..}", "log ..", "look ..", "invalid ..".
struct bench {
    struct wz_trial *trial;
    struct wz_buf told;
    struct wz_trial_result result;
    int64_t offset; // of the next record
};

static void on_output(void *arg, const struct wz_frame_item *item)
{
    struct bench *bench = arg;

    wz_buf_addf(&bench->told, "out %.*s %.*s\n", WZ_SLICE_FMT(item->topic),
                WZ_SLICE_FMT(item->body));
}

static void on_log(void *arg, const struct wz_frame_log *line)
{
    struct bench *bench = arg;

    wz_buf_addf(&bench->told, "log %.*s\n", WZ_SLICE_FMT(line->text));
}

// Finds one record, always the same.
static void on_query(void *arg, const struct wz_frame_query *asked, struct wz_buf *ret_frame)
{
    struct bench *bench = arg;
    const struct wz_frame_record record = {.offset = 1,
                                           .append_ms = 1,
                                           .topic = WZ_SLICE_LIT("old"),
                                           .body = WZ_SLICE_LIT("{\"value\":\"found\"}")};
    size_t start = wz_frame_found_open(ret_frame);

    wz_buf_addf(&bench->told, "look %.*s %lld\n", WZ_SLICE_FMT(asked->pattern),
                (long long)asked->before);
    wz_frame_put_record(ret_frame, &record);
    wz_frame_found_close(ret_frame, start, 1);
}

static void on_invalid(void *arg, const struct wz_frame_invalid *invalid)
{
    struct bench *bench = arg;

    wz_buf_addf(&bench->told, "invalid %u %.*s\n", invalid->line, WZ_SLICE_FMT(invalid->reason));
}

static int bench_open(struct bench *bench, const char *code)
{
    const struct wz_trial_options options = {
        .path = WZ_WORKER_PATH,
        .load = {.name = WZ_SLICE_LIT("dice"),
                 .code = wz_slice_str(code),
                 .config = WZ_SLICE_LIT("{\"n\":5}")},
        .load_ms = 20000,
        .max_message_ms = 3000,
        .signal = SIGALRM,
        .events = {.output = on_output,
                   .log = on_log,
                   .query = on_query,
                   .invalid = on_invalid,
                   .arg = bench},
    };

    *bench = (struct bench){0};
    return wz_trial_open(&options, &bench->trial);
}

static void bench_close(struct bench *bench)
{
    wz_trial_close(bench->trial);
    wz_trial_result_release(&bench->result);
    wz_buf_release(&bench->told);
}

static int give(struct bench *bench, const char *body)
{
    const struct wz_frame_record record = {.offset = bench->offset++,
                                           .append_ms = 1770000000000,
                                           .topic = WZ_SLICE_LIT("in"),
                                           .lane = wz_lane_of(WZ_SLICE_LIT("in")),
                                           .body = wz_slice_str(body)};

    bench->told.len = 0;
    return wz_trial_give(bench->trial, &record, &bench->result);
}

static void test_trial_tells_what_the_script_does(void **state)
{
    struct bench bench;

    (void)state;
    assert_int_equal(bench_open(&bench, "def init(context):\n"
                                        "    context.emit('began', context.config)\n"
                                        "def handle_input(msg, context):\n"
                                        "    context.log('hm')\n"
                                        "    context.set_state('k', msg['n'])\n"
                                        "    yield 'a.b', {'n': msg['n'], 'was': "
                                        "context.last('old')['value']}\n"
                                        "def stop(context):\n"
                                        "    context.emit('ended', context.get_state('k'))\n"),
                     WZ_OK);
    assert_string_equal(wz_buf_str(&bench.told), "out began {\"n\":5}\n");
    assert_int_equal(give(&bench, "{\"n\":7}"), WZ_OK);
    assert_string_equal(wz_buf_str(&bench.told),
                        "log hm\nlook old 0\nout a.b {\"n\":7,\"was\":\"found\"}\n");
    assert_false(bench.result.failed || bench.result.ended);
    assert_true(bench.result.time_us > 0);
    assert_int_equal(wz_trial_state_count(bench.trial), 1);
    bench.told.len = 0;
    assert_int_equal(wz_trial_stop(bench.trial, &bench.result), WZ_OK);
    assert_string_equal(wz_buf_str(&bench.told), "out ended 7\n");
    bench_close(&bench);
}

static void test_trial_goes_on_behind_a_call_that_raised(void **state)
{
    struct bench bench;

    (void)state;
    assert_int_equal(bench_open(&bench, "def handle_input(msg, context):\n"
                                        "    context.emit('half', 1)\n"
                                        "    context.set_state('k', msg['n'])\n"
                                        "    return 'out', 1 // msg['n']\n"),
                     WZ_OK);
    assert_int_equal(give(&bench, "{\"n\":0}"), WZ_OK);
    assert_true(bench.result.failed);
    assert_non_null(strstr(wz_buf_str(&bench.result.reason), "ZeroDivisionError"));
    assert_int_equal(bench.told.len, 0);
    assert_int_equal(wz_trial_state_count(bench.trial), 0);
    assert_int_equal(give(&bench, "{\"n\":1}"), WZ_OK); // the same lane
    assert_false(bench.result.failed);
    assert_int_equal(bench.result.reason.len, 0);
    assert_string_equal(wz_buf_str(&bench.told), "out half 1\nout out 1\n");
    bench_close(&bench);
}

static void test_trial_gives_a_new_process_the_state_of_the_old_one(void **state)
{
    struct bench bench;

    (void)state;
    assert_int_equal(
        bench_open(&bench, "import os\n"
                           "def handle_input(msg, context):\n"
                           "    n = context.get_state('n', 0) + 1\n"
                           "    context.set_state('n', n)\n"
                           "    for key in msg.get('set', ()): context.set_state(key, 'x' * "
                           "900000)\n"
                           "    for key in msg.get('unset', ()): context.unset_state(key)\n"
                           "    if msg.get('die'): os._exit(9)\n"
                           "    return 'out', {'n': n, 'a': len(context.get_state('a', ''))}\n"),
        WZ_OK);
    assert_int_equal(give(&bench, "{\"set\":[\"a\",\"b\",\"c\"]}"), WZ_OK);
    assert_int_equal(give(&bench, "{\"unset\":[\"c\"]}"), WZ_OK);
    assert_int_equal(give(&bench, "{\"die\":true,\"unset\":[\"a\"]}"), WZ_OK);
    assert_true(bench.result.failed);
    assert_string_equal(wz_buf_str(&bench.result.reason), "The process exited with code 9.");
    assert_int_equal(give(&bench, "{}"), WZ_OK);
    assert_string_equal(wz_buf_str(&bench.told), "out out {\"n\":3,\"a\":900000}\n");
    assert_int_equal(wz_trial_state_count(bench.trial), 3); // n, a, b
    bench_close(&bench);
}

static void test_trial_says_that_the_script_has_ended_itself(void **state)
{
    struct bench bench;

    (void)state;
    assert_int_equal(bench_open(&bench, "def handle_input(msg, context):\n"
                                        "    context.terminate('enough')\n"
                                        "    return 'out', 1\n"),
                     WZ_OK);
    assert_int_equal(give(&bench, "{}"), WZ_OK);
    assert_true(bench.result.ended && !bench.result.failed);
    assert_string_equal(wz_buf_str(&bench.result.reason), "enough");
    assert_string_equal(wz_buf_str(&bench.told), "out out 1\n");
    bench_close(&bench);
}

static void test_trial_refuses_a_script_that_may_not_run(void **state)
{
    static const struct {
        const char *code;
        const char *told;
    } cases[] = {
        {"x = (\n", "invalid 1 "},
        {"y = 1\n", "invalid 0 "},
        {"def handle_input(msg, context): pass\ndef init(context): 1 / 0\n", "invalid 2 "},
        {"import os\nos._exit(1)\n", ""},
        {"def handle_input(msg, context): pass\ndef init(context): import os; os._exit(1)\n", ""},
    };
    struct bench bench;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(bench_open(&bench, cases[i].code), WZ_ERR_INVALID);
        assert_int_equal(strncmp(wz_buf_str(&bench.told), cases[i].told, strlen(cases[i].told)), 0);
        assert_int_equal(bench.told.len > 0, cases[i].told[0] != '\0');
        bench_close(&bench);
    }
}

static void test_trial_ends_a_call_that_takes_too_long(void **state)
{
    struct bench bench;

    (void)state;
    assert_int_equal(bench_open(&bench, "def handle_input(msg, context):\n"
                                        "    context.emit('out', 1)\n"
                                        "    while msg['value']: pass\n"),
                     WZ_OK);
    assert_int_equal(give(&bench, "{\"value\":true}"), WZ_OK);
    assert_true(bench.result.failed);
    assert_string_equal(wz_buf_str(&bench.result.reason), "The call took longer than 3000 ms.");
    assert_int_equal(bench.told.len, 0);
    assert_int_equal(give(&bench, "{\"value\":false}"), WZ_OK);
    assert_string_equal(wz_buf_str(&bench.told), "out out 1\n");
    bench_close(&bench);
}

static void test_trial_ends_at_once_by_its_signal(void **state)
{
    struct bench bench;

    (void)state;
    assert_int_equal(bench_open(&bench, "import time\n"
                                        "def handle_input(msg, context):\n"
                                        "    time.sleep(60)\n"),
                     WZ_OK);
    (void)alarm(1); // there is no other
    assert_int_equal(give(&bench, "{}"), WZ_ERR_CLOSED);
    assert_int_equal(give(&bench, "{}"), WZ_ERR_CLOSED);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trial_tells_what_the_script_does),
        cmocka_unit_test(test_trial_goes_on_behind_a_call_that_raised),
        cmocka_unit_test(test_trial_gives_a_new_process_the_state_of_the_old_one),
        cmocka_unit_test(test_trial_says_that_the_script_has_ended_itself),
        cmocka_unit_test(test_trial_refuses_a_script_that_may_not_run),
        cmocka_unit_test(test_trial_ends_a_call_that_takes_too_long),
        cmocka_unit_test(test_trial_ends_at_once_by_its_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
