// SPDX-License-Identifier: Apache-2.0
// What becomes of messages that scripts do not take, with real workers.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/rig_test.h"

static void start(struct rig *rig, const char *code)
{
    rig_start(rig, (struct wz_engine_options){.retry_ms = 1});
    rig_apply(rig, code);
    rig_run_until(rig, rig_is_running, 0);
}

static void test_outcome_of_a_failed_call_is_not_in_the_state(void **state)
{
    struct rig *rig = *state;

    start(rig, "tries = {}\n"
               "def handle_input(msg, context):\n"
               "    n = context.get_state('n', 0) + 1\n"
               "    context.set_state('n', n)\n"
               "    context.emit('out', n)\n"
               "    tries[msg['n']] = tries.get(msg['n'], 0) + 1\n"
               "    if msg['n'] % 5 == 0 and tries[msg['n']] < 3: raise ValueError('later')\n");
    rig_feed(rig, "in.a", 40);
    rig_run_until(rig, rig_has_outputs, 40);
    rig_assert_counted(rig, 0, 40);
    rig_run_until(rig, rig_has_answered, 40);
    assert_int_equal(rig_board_int(rig, "retries"), 16);
    assert_int_equal(rig_board_int(rig, "quarantined"), 0);
}

static void test_outcome_of_a_message_that_always_fails_is_quarantine(void **state)
{
    struct rig *rig = *state;
    const char *code = "def handle_input(msg, context):\n"
                       "    n = context.get_state('n', 0) + 1\n"
                       "    context.set_state('n', n)\n"
                       "    context.emit('out', n)\n"
                       "    if msg['n'] == 3: raise ValueError('never')\n";

    start(rig, code);
    rig_feed(rig, "in.a", 10);
    rig_run_until(rig, rig_has_outputs, 9);
    rig_settle(rig);
    rig_crash(rig);
    start(rig, code);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_outputs, 10);
    assert_string_equal(rig->outputs[9].body, "10");
    rig_run_until(rig, rig_has_answered, 1);
    assert_int_equal(rig_board_int(rig, "quarantined"), 1);
}

static void on_answered(struct wz_mail *mail)
{
    struct wz_desk_call *call = WZ_CONTAINER(mail, struct wz_desk_call, mail);

    call->name = NULL; // as a sign
}

// Gives all in quarantine to the script again.
static void retry_all(struct rig *rig)
{
    json_t *args = json_pack("{s:i, s:i}", "after", 0, "limit", 100);
    struct wz_desk_call call = {.part = "scripts",
                                .what = "retry",
                                .name = "probe",
                                .args = args,
                                .reply_to = &rig->loop.mail,
                                .done = on_answered};

    assert_int_equal(wz_desk_ask(rig->desk, &call), WZ_OK);
    while (call.name)
        rig_turn(rig);
    assert_int_equal(call.result, WZ_OK);
    json_decref(call.answer);
    json_decref(args);
}

static bool is_out_of_quarantine(struct rig *rig, int64_t num)
{
    return rig_board_int(rig, "quarantined") == num;
}

// Each looks back from where it stood, though they are with the worker together.
static void test_outcome_of_a_message_out_of_quarantine_is_as_of_its_time(void **state)
{
    struct rig *rig = *state;

    start(rig, "def handle_input(msg, context):\n"
               "    if msg['n'] > 4 and msg['n'] < 8: raise ValueError('not yet')\n");
    rig_feed(rig, "in.a", 20);
    rig_run_until(rig, rig_has_answered, 20);
    rig_run_until(rig, is_out_of_quarantine, 3);
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    n = context.get_state('n', 0) + 1\n"
                   "    context.set_state('n', n)\n"
                   "    context.emit('out', len(context.lookback('in.a', since='365000d')))\n");
    rig_run_until(rig, rig_is_running, 2);
    rig_settle(rig);
    retry_all(rig);
    rig_run_until(rig, rig_has_outputs, 3);
    rig_assert_numbers(rig, 5, 3, -1); // so many were before it, and it is the cause
    rig_run_until(rig, is_out_of_quarantine, 0);
    rig_settle(rig);
    rig_crash(rig);
    start(rig, RIG_COUNT);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_outputs, 4);
    assert_string_equal(rig->outputs[3].body, "4");
    assert_true(is_out_of_quarantine(rig, 0));
}

static void test_outcome_of_a_call_over_a_limit_is_quarantine_at_once(void **state)
{
    struct rig *rig = *state;

    start(rig, "def handle_input(msg, context):\n"
               "    for i in range(10001 if msg['n'] == 1 else 1):\n"
               "        context.emit('out', msg['n'])\n");
    rig_feed(rig, "in.a", 3);
    rig_run_until(rig, rig_has_outputs, 2);
    rig_assert_numbers(rig, 0, 2, 1);
    rig_run_until(rig, rig_has_answered, 3);
    assert_int_equal(rig_board_int(rig, "quarantined"), 1);
    assert_int_equal(rig_board_int(rig, "retries"), 0);
}

// Both kinds in the same frames: what counted before the script was parked is in its state.
static void test_outcome_of_a_script_that_fails_on_most_is_that_it_is_parked(void **state)
{
    struct rig *rig = *state;
    int64_t failed;

    start(rig, "def handle_input(msg, context):\n"
               "    n = context.get_state('n', 0) + 1\n"
               "    context.set_state('n', n)\n"
               "    context.emit('out', n)\n"
               "    if msg['_id'][-1] in '0123456': raise ValueError('never')\n");
    for (int i = 0; i < 100; i++) {
        char topic[16];

        (void)snprintf(topic, sizeof(topic), "in.%d", i % 10);
        rig_feed(rig, topic, 1);
    }
    rig_run_until(rig, rig_is_parked, 0);
    assert_true(
        rig_board_is(rig, "remark", "messages failed, the last one with ValueError: never"));
    failed = rig_board_int(rig, "quarantined");
    assert_in_range(failed, 10, 70);
    rig_settle(rig);
    rig_reopen(rig);
    rig_start(rig, (struct wz_engine_options){0});
    rig->revision--;
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    n = context.get_state('n', 0) + 1\n"
                   "    context.set_state('n', n)\n"
                   "    context.emit('out', n)\n"
                   "    if msg['_id'][-1] in '0123456': raise ValueError('never')\n");
    assert_true(rig_is_parked(rig, 0)); // the same document
    rig_apply(rig, RIG_COUNT);
    rig_run_until(rig, rig_has_outputs, 100 - failed);
    rig_settle(rig);
    assert_int_equal(rig->output_count, 100 - failed);
    for (size_t i = 0; i < rig->output_count; i++)
        assert_int_equal(strtoll(rig->outputs[i].body, NULL, 10), i + 1);
}

// In one frame: calls that fail for good until the script is parked, records that wait behind them,
// and others that count. What counted before it, and after it in the frame, is in the state.
static void test_outcome_of_a_frame_in_which_it_is_parked_counts_whole(void **state)
{
    struct rig *rig = *state;

    start(rig, RIG_COUNT);
    for (int i = 0; i < 60; i++) {
        char topic[16];

        (void)snprintf(topic, sizeof(topic), "in.%d", i);
        rig_feed_hops(rig, topic, 1, 16); // it may emit nothing: that is over a limit
        rig_feed(rig, topic, 1);
        rig_feed(rig, "in.ok", 1);
    }
    rig_run_until(rig, rig_is_parked, 0);
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    if msg['n'] % 3 == 0: return\n"
                   "    n = context.get_state('n', 0) + 1\n"
                   "    context.set_state('n', n)\n"
                   "    context.emit('out', n)\n");
    rig_run_until(rig, rig_has_outputs, 120);
    rig_settle(rig);
    assert_int_equal(rig->output_count, 120);
    for (size_t i = 0; i < 120; i++)
        assert_int_equal(strtoll(rig->outputs[i].body, NULL, 10), i + 1);
}

static void test_outcome_of_terminate_is_that_the_rest_is_not_tried(void **state)
{
    struct rig *rig = *state;

    start(rig, "def handle_input(msg, context):\n"
               "    context.set_state('n', context.get_state('n', 0) + 1)\n"
               "    context.emit('out', context.get_state('n'))\n"
               "    if msg['n'] == 4: context.terminate('enough')\n");
    rig_feed(rig, "in.a", 10);
    rig_run_until(rig, rig_is_stopped, 0);
    assert_true(rig_board_is(rig, "remark", "enough"));
    rig_run_until(rig, rig_has_outputs, 5);
    rig_settle(rig);
    assert_int_equal(rig->output_count, 5);
    rig_apply(rig, RIG_COUNT);
    rig_run_until(rig, rig_has_outputs, 10);
    rig_assert_counted(rig, 0, 10);
}

static bool has_topic(struct rig *rig, int64_t num)
{
    int64_t count = 0;

    for (size_t i = 0; i < rig->output_count; i++)
        count += strcmp(rig->outputs[i].topic, "b") == 0;
    return count >= num;
}

static void test_outcome_of_a_failure_holds_up_its_own_lane_alone(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.retry_ms = 200});
    rig_apply(rig, "tries = []\n"
                   "def handle_input(msg, context):\n"
                   "    if msg['n'] == 0:\n"
                   "        tries.append(1)\n"
                   "        if len(tries) < 3: raise ValueError('later')\n"
                   "    context.emit('a' if msg['n'] < 2 else 'b', msg['n'])\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 2);
    rig_feed(rig, "in.c", 50);
    rig_run_until(rig, has_topic, 50);
    assert_int_equal(rig->output_count, 50); // 0 is still tried, 1 waits behind it
    rig_run_until(rig, rig_has_outputs, 52);
    assert_string_equal(rig->outputs[50].body, "0");
    assert_string_equal(rig->outputs[51].body, "1");
}

#define FRAMES                                                                                     \
    "import os, struct\n"                                                                          \
    "def frame(payload):\n"                                                                        \
    "    data = struct.pack('>IB', len(payload), 68) + payload\n"                                  \
    "    while data: data = data[os.write(3, data):]\n"                                            \
    "def item(kind, body): return struct.pack('>BI', kind, len(body)) + body\n"                    \
    "def one(offset, items=b'', status=0, before=0):\n"                                            \
    "    return struct.pack('>BBIqII', 0, status, before, offset, len(items) > 0, len(items))"     \
    " + items\n"                                                                                   \
    "def results(*all): return struct.pack('>I', len(all)) + b''.join(all) + bytes(4)\n"           \
    "def result(offset, items): return results(one(offset, items))\n"                              \
    "def handle_input(msg, context):\n"                                                            \
    "    n = msg['n']\n"                                                                           \
    "    if n % 2 == 0: "

// Scripts that write to the pipe themselves: a change of a lane that is not theirs, an output and a
// remark that are too large, a result for what they do not hold.
static void test_outcome_of_a_frame_that_no_worker_sends_is_the_end_of_the_worker(void **state)
{
    static const char *const codes[] = {
        FRAMES "frame(struct.pack('>IBBIqII', 1, 0, 0, 0, n, 0, 0) +\n"
               "                      struct.pack('>IBHI', 1, 7, 1, 1) + b'k1')\n"
               "    context.emit('out', n)\n",
        FRAMES
        "frame(result(n, item(1, struct.pack('>BBB', 1, 1, 3) + b'big' + b'x' * (5 << 20))))\n"
        "    context.emit('out', n)\n",
        FRAMES "frame(result(n, item(3, b'x' * (5 << 20))))\n"
               "    context.emit('out', n)\n",
        FRAMES "frame(result(99, item(3, b'x')))\n"
               "    context.emit('out', n)\n",
        // The first result is right, and counts no more than the others.
        FRAMES "frame(results(one(n, item(1, b'\\x01\\x01\\x03outx')), one(99)))\n"
               "    context.emit('out', n)\n",
        FRAMES "frame(results(one(n, item(1, b'\\x01\\x01\\x03outx')), one(n + 1, status=3)))\n"
               "    context.emit('out', n)\n",
        FRAMES "frame(results(one(n, item(2, b'x'), 1), one(n + 1, before=9)))\n"
               "    context.emit('out', n)\n",
    };
    struct rig *rig = *state;

    for (int i = 0; i < (int)(sizeof(codes) / sizeof(codes[0])); i++) {
        start(rig, codes[i]);
        rig_feed(rig, "in.a", 2);
        rig_run_until(rig, rig_has_outputs, i + 1);
        rig_settle(rig);
        assert_int_equal(rig->output_count, i + 1);
        assert_int_equal(strtoll(rig->outputs[i].body, NULL, 10), 2 * i + 1);
        rig_run_until(rig, rig_has_answered, 2);
        assert_int_equal(rig_board_int(rig, "quarantined"), i + 1);
        assert_int_equal(rig_board_int(rig, "state_keys"), 0);
        rig_stop(rig);
    }
}

// Keeps a key of a KiB for each message.
#define RIG_LEAK                                                                                   \
    "def handle_input(msg, context):\n"                                                            \
    "    context.set_state('k%d' % msg['n'], 'x' * 1000)\n"                                        \
    "    context.emit('out', msg['n'])\n"

static void test_outcome_of_a_call_that_would_fill_the_state_is_quarantine(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.max_state_bytes = 65536});
    rig_apply(rig, RIG_LEAK);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 64); // 59 entries fit: 100, a key of 3 and 1002 each
    rig_run_until(rig, rig_has_answered, 64);
    rig_settle(rig);
    rig_assert_numbers(rig, 0, 59, -1);
    assert_int_equal(rig_board_int(rig, "quarantined"), 5);
    assert_int_equal(rig_board_int(rig, "retries"), 0);
    assert_int_equal(rig_board_int(rig, "state_keys"), 59);
    rig_feed(rig, "in.a", 100);
    rig_run_until(rig, rig_is_parked, 0);
    assert_true(rig_board_is(rig, "remark",
                             "the last one with wyze.LimitError: the state may take at most 65536 "
                             "bytes"));
    assert_int_equal(rig_board_int(rig, "state_keys"), 59);
}

// More than the limit is there: it is loaded, and may become less.
static void test_outcome_of_a_lower_limit_is_that_the_state_does_not_grow(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){0});
    rig_apply(rig, RIG_LEAK);
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 1000);
    rig_run_until(rig, rig_has_outputs, 1000);
    rig_settle(rig);
    rig_crash(rig);
    rig_start(rig, (struct wz_engine_options){.max_state_bytes = 65536});
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    n = msg['n']\n"
                   "    if n % 2: context.set_state('new', n)\n"
                   "    else: context.set_state('k%d' % (n % 1000), 'y' * 1000)\n"
                   "    context.emit('out', n)\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 8);
    rig_run_until(rig, rig_has_answered, 8);
    rig_settle(rig);
    assert_int_equal(rig->output_count, 1004);
    assert_int_equal(rig_board_int(rig, "quarantined"), 4);
    assert_int_equal(rig_board_int(rig, "state_keys"), 1000);
    rig_apply(rig, "def handle_input(msg, context):\n"
                   "    for i in range(950): context.unset_state('k%d' % i)\n"
                   "    context.set_state('new', context.get_state('k999')[:1])\n");
    rig_run_until(rig, rig_is_running, 3);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_answered, 9);
    rig_settle(rig);
    assert_int_equal(rig_board_int(rig, "state_keys"), 51);
}

// Each message is answered with a frame of its own, whose change is one that the worker knows
// nothing of: the first one brings the state over the bound, and the next is not taken. What the
// worker says itself ends it then.
static void test_outcome_of_frames_that_would_fill_the_state_is_the_end_of_the_worker(void **state)
{
    struct rig *rig = *state;

    rig_start(rig, (struct wz_engine_options){.max_state_bytes = 65536});
    rig_apply(rig, "import os, struct\n"
                   "def handle_input(msg, context):\n"
                   "    value = b'\"' + b'x' * 140000 + b'\"'\n"
                   "    data = struct.pack('>IBBIqII', 1, 0, 0, 0, msg['n'], 0, 0)\n"
                   "    data += struct.pack('>IBHI', 1, 64, 2, len(value))\n"
                   "    data += b'k%d' % msg['n'] + value\n"
                   "    data = struct.pack('>IB', len(data), 68) + data\n"
                   "    while data: data = data[os.write(3, data):]\n");
    rig_run_until(rig, rig_is_running, 0);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_answered, 1);
    rig_settle(rig);
    rig_feed(rig, "in.a", 1);
    rig_run_until(rig, rig_has_answered, 2);
    rig_settle(rig);
    assert_int_equal(rig_board_int(rig, "quarantined"), 1);
    assert_int_equal(rig_board_int(rig, "state_keys"), 1);
}

static void test_outcome_counts_once_with_several_workers(void **state)
{
    struct rig *rig = *state;

    for (int round = 0; round < 4; round++) {
        rig_start(rig, (struct wz_engine_options){0});
        rig_apply_workers(rig, RIG_COUNT, 4);
        rig_run_until(rig, rig_is_running, 0);
        for (int i = 0; i < 300; i++) {
            char topic[16];

            (void)snprintf(topic, sizeof(topic), "in.%d", i % 3); // three lanes
            rig_feed(rig, topic, 1);
        }
        for (int turns = 0; turns < 10 * round; turns++)
            rig_turn(rig);
        rig_settle(rig);
        rig_crash(rig);
    }
    rig_start(rig, (struct wz_engine_options){0});
    rig_apply_workers(rig, RIG_COUNT, 3);
    rig_run_until(rig, rig_has_outputs, rig->fed);
    rig_settle(rig);
    assert_int_equal(rig->output_count, rig->fed);
    for (int lane = 0; lane < 3; lane++) { // each counts by itself
        int64_t n = 0;

        for (size_t i = 0; i < rig->output_count; i++)
            if (strtoll(strrchr(rig->outputs[i].parent, '-') + 1, NULL, 10) % 300 % 3 == lane)
                assert_int_equal(strtoll(rig->outputs[i].body, NULL, 10), ++n);
        assert_int_equal(n, rig->fed / 3);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_outcome_of_a_failed_call_is_not_in_the_state),
        TEST(test_outcome_of_a_message_that_always_fails_is_quarantine),
        TEST(test_outcome_of_a_message_out_of_quarantine_is_as_of_its_time),
        TEST(test_outcome_of_a_call_over_a_limit_is_quarantine_at_once),
        TEST(test_outcome_of_a_script_that_fails_on_most_is_that_it_is_parked),
        TEST(test_outcome_of_a_frame_in_which_it_is_parked_counts_whole),
        TEST(test_outcome_of_terminate_is_that_the_rest_is_not_tried),
        TEST(test_outcome_of_a_failure_holds_up_its_own_lane_alone),
        TEST(test_outcome_of_a_frame_that_no_worker_sends_is_the_end_of_the_worker),
        TEST(test_outcome_of_a_call_that_would_fill_the_state_is_quarantine),
        TEST(test_outcome_of_a_lower_limit_is_that_the_state_does_not_grow),
        TEST(test_outcome_of_frames_that_would_fill_the_state_is_the_end_of_the_worker),
        TEST(test_outcome_counts_once_with_several_workers),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
