// SPDX-License-Identifier: Apache-2.0
// Looking back: what is asked, what is given, what happens to frames that come meanwhile.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "worker/peer_test.h"

#define NOW_MS 1770000000123 // of peer_send_batch: 2026-02-02T02:40:00.123Z

// A look, and what the engine is asked: pattern, limit, times; or the exception.
static const struct {
    const char *call;
    const char *pattern;
    uint32_t limit;
    int64_t since_ms;
    int64_t until_ms;
    const char *error;
} looks[] = {
    {"look('a.*.#')", "a.*.#", 1000, NOW_MS - 3600000, 0, NULL},
    {"look('#', '250ms')", "#", 1000, NOW_MS - 250, 0, NULL},
    {"look('#', '90s', '1s')", "#", 1000, NOW_MS - 90000, NOW_MS - 1000, NULL},
    {"look('#', since='1.5h', limit=1)", "#", 1, NOW_MS - 5400000, 0, NULL},
    {"look('#', '5m', None, 10000)", "#", 10000, NOW_MS - 300000, 0, NULL},
    {"look('#', '2d')", "#", 1000, NOW_MS - 172800000, 0, NULL},
    {"look('#', '2w')", "#", 1000, NOW_MS - 1209600000, 0, NULL},
    {"look('#', 1770000000)", "#", 1000, 1770000000000, 0, NULL},
    {"look('#', 0, context.now())", "#", 1000, 0, NOW_MS, NULL},
    {"look('#', -5, 1e300)", "#", 1000, 0, INT64_MAX, NULL},
    {"look('#', '2026-02-02')", "#", 1000, 1769990400000, 0, NULL},
    {"look('#', '2026-02-02T02:40:00.123Z')", "#", 1000, NOW_MS, 0, NULL},
    {"look('#', '2026-02-02T02:40:00+01:00')", "#", 1000, 1769996400000, 0, NULL},
    {"look('#', datetime(2026, 2, 2, 2, 40, tzinfo=timezone.utc))", "#", 1000, 1770000000000, 0,
     NULL},
    {"context.last('a.b')", "a.b", 1, 0, 0, NULL},
    {"look('a', 'an hour')", NULL, 0, 0, 0,
     "ValueError: since must be a str as '90s', '5m', '1h' or '2d' before now, or as ISO 8601 has "
     "it, seconds since the epoch, or a datetime, not 'an hour'"},
    {"look('a', '1h', '1 h')", NULL, 0, 0, 0, "ValueError: until must be"},
    {"look('a', datetime(2026, 2, 2))", NULL, 0, 0, 0,
     "ValueError: since is a datetime without a time zone"},
    {"look('a', None)", NULL, 0, 0, 0, "TypeError: since must be"},
    {"look('a', True)", NULL, 0, 0, 0, "TypeError: since must be"},
    {"look('a', float('inf'))", NULL, 0, 0, 0, "ValueError: since inf is no time"},
    {"look('a', float('nan'))", NULL, 0, 0, 0, "ValueError: since nan is no time"},
    {"look('a', limit=0)", NULL, 0, 0, 0, "ValueError: limit must be 1 to 10000, not 0"},
    {"look('a', limit=10001)", NULL, 0, 0, 0, "ValueError: limit must be 1 to 10000, not 10001"},
    {"look('a', limit=2**70)", NULL, 0, 0, 0, "ValueError: limit must be 1 to 10000"},
    {"look('a', limit='1')", NULL, 0, 0, 0, "TypeError: limit must be an int, not str"},
    {"look(5)", NULL, 0, 0, 0, "TypeError: pattern must be a str, not int"},
    {"look('a..b')", NULL, 0, 0, 0, "ValueError: pattern 'a..b' must be words joined by '.'"},
    {"look('a' * 256)", NULL, 0, 0, 0, "ValueError: pattern must be of 1 to 255 bytes"},
    {"context.last('a.*')", NULL, 0, 0, 0, "ValueError: topic 'a.*' must be words"},
};

#define LOOK_COUNT (sizeof(looks) / sizeof(looks[0]))

static struct wz_frame_query expect_query(struct peer *peer)
{
    struct wz_frame frame = peer_expect(peer, WZ_FRAME_QUERY);
    struct wz_frame_query query;

    assert_int_equal(wz_frame_get_query(frame.payload, &query), WZ_OK);
    return query;
}

static void check_look(struct peer *peer, size_t i)
{
    struct wz_frame_query query;
    struct wz_frame_item item;

    if (looks[i].error) {
        item = peer_expect_status(peer, (int64_t)i, WZ_FRAME_EXCEPTION);
        peer_assert_contains(item.body, looks[i].error);
        assert_null(memmem(item.body.ptr, item.body.len, "<wyze>", 6));
        return;
    }
    query = expect_query(peer);
    assert_int_equal(query.stream, 1);
    assert_int_equal(query.before, i);
    peer_assert_text(query.pattern, looks[i].pattern);
    assert_int_equal(query.limit, looks[i].limit);
    assert_int_equal(query.since_ms, looks[i].since_ms);
    assert_int_equal(query.until_ms, looks[i].until_ms);
    peer_send_found(peer, NULL, 0);
    peer_expect_status(peer, (int64_t)i, WZ_FRAME_OK);
}

static void test_lookback_asks_for_what_the_script_means(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    char body[32];

    wz_buf_add_str(&code, "from datetime import datetime, timezone\n"
                          "def handle_input(msg, context):\n    look = context.lookback\n");
    for (size_t i = 0; i < LOOK_COUNT; i++)
        wz_buf_addf(&code, "    if msg['case'] == %zu: %s\n", i, looks[i].call);
    peer_start_script(*state, wz_buf_str(&code));
    for (size_t i = 0; i < LOOK_COUNT; i++) {
        (void)snprintf(body, sizeof(body), "{\"case\":%zu}", i);
        peer_send_batch(*state, (int64_t)i, 1, body);
        check_look(*state, i);
    }
}

static const struct wz_frame_record earlier[] = {
    {.offset = 1,
     .topic = {(const uint8_t *)"a", 1},
     .body = {(const uint8_t *)"{\"value\":\"1\"}", 13}},
    {.offset = 2,
     .topic = {(const uint8_t *)"a", 1},
     .body = {(const uint8_t *)"{\"value\":\"/w==\",\"_encoding\":\"base64\"}", 37}},
};

static void test_lookback_gives_bodies_as_handle_input_gets_them(void **state)
{
    struct peer *peer = *state;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    found = context.lookback('a')\n"
                            "    context.emit('all', str([m['value'] for m in found]))\n"
                            "    context.emit('last', str(context.last('a')['value']))\n"
                            "    context.emit('none', str(context.last('b')))\n"
                            "    context.emit('empty', str(context.lookback('a', 5, 5)))\n");
    peer_send_batch(peer, 9, 1, "{}");
    expect_query(peer);
    peer_send_found(peer, earlier, 2);
    expect_query(peer);
    peer_send_found(peer, &earlier[1], 1);
    expect_query(peer);
    peer_send_found(peer, NULL, 0);
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT),
                       "all ['1', b'\\xff']\nlast b'\\xff'\nnone None\nempty []");
}

static void test_lookback_raises_what_the_engine_says(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_item item;

    peer_start_script(peer, "def handle_input(msg, context):\n    context.lookback('a')\n");
    peer_send_batch(peer, 9, 1, "{}");
    expect_query(peer);
    peer_send_not_found(peer, "the stream is too far away: 100 %s");
    item = peer_expect_status(peer, 9, WZ_FRAME_EXCEPTION);
    peer_assert_contains(item.body, "RuntimeError: the stream is too far away: 100 %s");
}

// Counts the results of a frame, whose offsets go on at FIRST.
static int64_t count_results(struct wz_frame frame, int64_t first)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;
    int64_t count = 0;

    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    while (wz_frame_next_result(&it, &result) == WZ_OK)
        assert_int_equal(result.offset, first + count++);
    return count;
}

// Batches and a DRAIN come while a call waits: they have their turn behind it, in order.
static void test_lookback_keeps_what_comes_in_front_of_the_answer(void **state)
{
    struct peer *peer = *state;
    int64_t answered = 0;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    if msg['look']: context.lookback('a')\n"
                            "    return 't', 1\n");
    peer_send_batch(peer, 0, 3, "{\"look\":true}");
    for (int i = 0; i < 3; i++) {
        peer_send_batch(peer, 3 + i * 2000, 2000, "{\"look\":false}");
        if (i > 0) // the call in front
            answered += count_results(peer_expect(peer, WZ_FRAME_RESULT), answered);
        expect_query(peer);
        peer_send_found(peer, earlier, 2);
    }
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    while (answered < 6003)
        answered += count_results(peer_expect(peer, WZ_FRAME_RESULT), answered);
    peer_expect(peer, WZ_FRAME_DRAINED);
    assert_int_equal(peer_wait_exit(peer), 0);
}

// Results in front of the call are told before it waits; what it did so far is not.
static void test_lookback_tells_finished_calls_before_it_waits(void **state)
{
    struct peer *peer = *state;
    const struct wz_frame_record records[] = {
        {.stream = 1, .offset = 4, .topic = WZ_SLICE_LIT("t"), .body = WZ_SLICE_LIT("1")},
        {.stream = 1, .offset = 5, .topic = WZ_SLICE_LIT("t"), .body = WZ_SLICE_LIT("2")},
        {.stream = 1, .offset = 6, .topic = WZ_SLICE_LIT("t"), .body = WZ_SLICE_LIT("3")},
    };

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    context.set_state('n', msg)\n"
                            "    if msg > 1: context.emit('t', msg)\n"
                            "    if msg == 3:\n"
                            "        context.set_state('new', 1)\n"
                            "        context.lookback('a')\n"
                            "        return 'u', context.get_state('n')\n");
    // The first of all leaves at once; so that the others are gathered they are one batch.
    peer_send_records(peer, records, 3);
    for (;;) {
        struct wz_frame frame = peer_expect(peer, WZ_FRAME_RESULT);
        struct wz_frame_result result;
        struct wz_frame_iter it;
        int64_t last = 0;

        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while (wz_frame_next_result(&it, &result) == WZ_OK)
            last = result.offset;
        assert_in_range(last, 4, 5);
        if (last == 4) {
            peer_assert_result(frame, "64 n 1");
            continue;
        }
        peer_assert_result(frame, "t 2\n64 n 2");
        break;
    }
    expect_query(peer);
    peer_send_found(peer, NULL, 0);
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t 3\nu 3\n64 n 3\n64 new 1");
}

static void test_lookback_in_init_sees_all_there_is(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_query query;

    peer_send_load(peer,
                   "def init(context):\n"
                   "    context.emit('t', len(context.lookback('a', '1m')))\n"
                   "def handle_input(msg, context): pass\n",
                   "{}");
    peer_expect(peer, WZ_FRAME_READY);
    peer_send_empty(peer, WZ_FRAME_START);
    query = expect_query(peer);
    assert_int_equal(query.stream, 0);
    assert_int_equal(query.before, INT64_MAX);
    assert_in_range(wz_clock_wall_ms() - query.since_ms, 60000, 90000);
    peer_send_found(peer, earlier, 2);
    peer_assert_result(peer_expect(peer, WZ_FRAME_STARTED), "t 2");
}

static void test_lookback_ends_with_the_pipe(void **state)
{
    struct peer *peer = *state;
    int status;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    try: context.lookback('a')\n"
                            "    except BaseException: pass\n");
    peer_send_batch(peer, 1, 1, "{}");
    expect_query(peer);
    assert_int_equal(shutdown(peer->fd, SHUT_RDWR), 0);
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    peer->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_lookback_answer_that_nobody_asked_for_ends_the_worker(void **state)
{
    struct peer *peer = *state;
    int status;

    peer_start_script(peer, "def handle_input(msg, context): pass\n");
    peer_send_found(peer, NULL, 0);
    status = peer_wait_exit(peer);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 76);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lookback_asks_for_what_the_script_means),
        TEST(test_lookback_gives_bodies_as_handle_input_gets_them),
        TEST(test_lookback_raises_what_the_engine_says),
        TEST(test_lookback_keeps_what_comes_in_front_of_the_answer),
        TEST(test_lookback_tells_finished_calls_before_it_waits),
        TEST(test_lookback_in_init_sees_all_there_is),
        TEST(test_lookback_ends_with_the_pipe),
        TEST(test_lookback_answer_that_nobody_asked_for_ends_the_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
