// SPDX-License-Identifier: Apache-2.0
// What a call may return, the lanes that wait behind a failed one, and stop.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "worker/peer_test.h"

// How handle_input ends, and the lines that come of it.
static const struct {
    const char *code;
    const char *lines;
} endings[] = {
    {"return None", ""},
    {"return 't', 5", "t 5"},
    {"return ('t', {'a': b})", "NameError: name 'b' is not defined"},
    {"return iter([('t', 1), ('u', 'x')])", "t 1\nu x"},
    {"return (('t', i) for i in range(3))", "t 0\nt 1\nt 2"},
    {"return map(lambda i: ('t', i), (1, 2))", "t 1\nt 2"},
    {"context.emit('first', 0); return 't', 1", "first 0\nt 1"},
    {"return several(context)", "a 1\nin 2\nb 3\n64 k 1"},
    {"return fails(context)", "OSError: half way"},
    {"return 5", "TypeError: handle_input may return None, (topic, body), or a generator or other "
                 "iterator of (topic, body), not int"},
    {"return {'value': 1}",
     "TypeError: handle_input may return None, (topic, body), or a generator or other iterator of "
     "(topic, body), not dict"},
    {"return [('t', 1)]",
     "TypeError: handle_input may return None, (topic, body), or a generator or other iterator of "
     "(topic, body), not list"},
    {"return False",
     "TypeError: handle_input may return None, (topic, body), or a generator or other iterator of "
     "(topic, body), not bool"},
    {"return 't', 1, False", "TypeError: a tuple of 3 is no output: it must be (topic, body)"},
    {"return iter([('t', 1), None])",
     "TypeError: handle_input may return None, (topic, body), or a generator or other iterator of "
     "(topic, body), not NoneType"},
    {"return later()", "TypeError: handle_input may return None, (topic, body), or a generator or "
                       "other iterator of (topic, body), not coroutine"},
    {"return 't..u', 1",
     "ValueError: topic 't..u' must be words joined by '.', none of them empty, "
     "'*' or '#', without control characters"},
    {"return 't', None", "TypeError: body must be a dict, str, bytes or number, not NoneType"},
};

static void test_call_emits_what_handle_input_returns(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    char body[32];

    wz_buf_add_str(&code, "import warnings\n"
                          "warnings.simplefilter('ignore')\n"
                          "async def later(): pass\n"
                          "def several(context):\n"
                          "    yield 'a', 1\n"
                          "    context.emit('in', 2)\n"
                          "    context.set_state('k', 1)\n"
                          "    yield 'b', 3\n"
                          "def fails(context):\n"
                          "    yield 'a', 1\n"
                          "    raise OSError('half way')\n"
                          "def handle_input(msg, context):\n");
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        wz_buf_addf(&code, "    if msg['case'] == %zu: %s\n", i, endings[i].code);
    peer_start_script(*state, wz_buf_str(&code));
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        (void)snprintf(body, sizeof(body), "{\"case\":%zu}", i);
        peer_send_batch(*state, (int64_t)i, 1, body);
        peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT), endings[i].lines);
    }
}

static void test_call_takes_a_generator_for_handle_input(void **state)
{
    peer_start_script(*state, "def handle_input(msg, context):\n"
                              "    for i in range(msg['n']):\n"
                              "        yield 't', i\n");
    peer_send_batch(*state, 1, 1, "{\"n\":2}");
    peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT), "t 0\nt 1");
    peer_send_batch(*state, 2, 1, "{\"n\":10001}");
    peer_expect_status(*state, 2, WZ_FRAME_REFUSED);
}

// A record of LANE whose handler fails if BODY is "1".
static struct wz_frame_record in_lane(int64_t offset, uint8_t lane, bool opens, const char *body)
{
    return (struct wz_frame_record){.stream = 1,
                                    .lane = lane,
                                    .opens = opens,
                                    .offset = offset,
                                    .topic = WZ_SLICE_LIT("t"),
                                    .body = wz_slice_str(body)};
}

static void test_call_lets_the_lane_of_a_failed_one_wait(void **state)
{
    const struct wz_frame_record records[] = {
        in_lane(0, 3, false, "1"),  in_lane(1, 3, false, "0"),  in_lane(2, 4, false, "0"),
        in_lane(3, 3, false, "0"),  in_lane(4, 63, false, "1"), in_lane(5, 3, true, "1"),
        in_lane(6, 3, false, "0"),  in_lane(7, 3, true, "0"),   in_lane(8, 3, false, "0"),
        in_lane(9, 63, false, "0"), in_lane(10, 63, true, "0"),
    };
    static const enum wz_frame_status statuses[] = {
        WZ_FRAME_EXCEPTION, WZ_FRAME_DEFERRED,  WZ_FRAME_OK,       WZ_FRAME_DEFERRED,
        WZ_FRAME_EXCEPTION, WZ_FRAME_EXCEPTION, WZ_FRAME_DEFERRED, WZ_FRAME_OK,
        WZ_FRAME_OK,        WZ_FRAME_DEFERRED,  WZ_FRAME_OK,
    };

    peer_start_script(*state, "def handle_input(msg, context):\n    assert msg == 0\n");
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        peer_send_records(*state, &records[i], 1);
        peer_expect_status(*state, (int64_t)i, statuses[i]);
    }
}

static void test_call_counts_results_without_items_in_the_next_one(void **state)
{
    struct peer *peer = *state;
    int64_t answered = 0;
    int results = 0;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    if msg['_offset'] % 100 == 99: return 't', 1\n");
    // The last batch ends half way to the next output.
    for (int batch = 0; batch < 10; batch++) {
        struct wz_frame_record records[100];
        char bodies[100][32];

        for (int i = 0; i < 100; i++) {
            (void)snprintf(bodies[i], sizeof(bodies[i]), "{\"_offset\":%d}", batch * 100 + i);
            records[i] = in_lane(batch * 100 + i, 0, false, bodies[i]);
        }
        peer_send_records(peer, records, batch < 9 ? 100 : 50);
    }
    while (answered < 950) {
        struct wz_frame frame = peer_expect(peer, WZ_FRAME_RESULT);
        struct wz_frame_result result;
        struct wz_frame_iter it;

        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while (wz_frame_next_result(&it, &result) == WZ_OK) {
            answered += result.before + 1;
            assert_int_equal(result.offset, answered - 1);
            // Behind a run stands an output, or it is the frame's end.
            if (it.left > 0)
                assert_int_equal(result.offset % 100, 99);
            assert_int_equal(result.item_count, result.offset % 100 == 99);
            results++;
        }
    }
    assert_int_equal(answered, 950);
    assert_in_range(results, 10, 500);
}

static void test_call_of_stop_that_raises_counts_for_nothing(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame frame;

    peer_start_script(peer, "def handle_input(msg, context): pass\n"
                            "def stop(context):\n"
                            "    context.emit('t', 1)\n"
                            "    context.set_state('k', 1)\n"
                            "    raise OSError('no')\n");
    peer_send_batch(peer, 1, 3, "{}");
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    do
        frame = peer_expect(peer, WZ_FRAME_RESULT); // all is answered first
    while (wz_frame_iter_init(&it, frame.payload) == WZ_OK &&
           wz_frame_next_result(&it, &result) == WZ_OK && result.offset < 3);
    frame = peer_expect(peer, WZ_FRAME_DRAINED);
    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_OK);
    assert_int_equal(result.status, WZ_FRAME_EXCEPTION);
    assert_int_equal(result.offset, -1);
    peer_assert_result(frame, "OSError: no\n? k ");
    assert_int_equal(peer_wait_exit(peer), 0);
}

static void test_call_of_stop_has_outputs_and_changes(void **state)
{
    struct peer *peer = *state;

    peer_start_script(peer, "def handle_input(msg, context): pass\n"
                            "def stop(context):\n"
                            "    context.emit('t', 1)\n"
                            "    context.set_state('k', 1)\n");
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    peer_assert_result(peer_expect(peer, WZ_FRAME_DRAINED), "t 1\n64 k 1");
    assert_int_equal(peer_wait_exit(peer), 0);
}

// A script that was only checked is drained without having been started.
static void test_call_of_stop_needs_a_start(void **state)
{
    struct peer *peer = *state;

    peer_send_load(peer,
                   "def handle_input(msg, context): pass\n"
                   "def stop(context): context.emit('t', 1)\n",
                   "{}");
    peer_expect(peer, WZ_FRAME_READY);
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    peer_assert_result(peer_expect(peer, WZ_FRAME_DRAINED), "");
    assert_int_equal(peer_wait_exit(peer), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_call_emits_what_handle_input_returns),
        TEST(test_call_takes_a_generator_for_handle_input),
        TEST(test_call_lets_the_lane_of_a_failed_one_wait),
        TEST(test_call_counts_results_without_items_in_the_next_one),
        TEST(test_call_of_stop_that_raises_counts_for_nothing),
        TEST(test_call_of_stop_has_outputs_and_changes),
        TEST(test_call_of_stop_needs_a_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
