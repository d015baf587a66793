// SPDX-License-Identifier: Apache-2.0
// The state of a script: what is kept, what of it the engine is told, what a failure leaves.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/mem.h"
#include "worker/peer_test.h"

// What a handler does with one record, and the lines that come of it.
static const struct {
    const char *code;
    const char *lines;
} steps[] = {
    {"emit('t', get('k', 5))", "t 5"},
    {"emit('t', repr(get('k')))", "t None"},
    {"put('k', 1)", "64 k 1"},
    {"put('k', get('k') + 1); put('k', get('k') + 1)", "64 k 3"},
    {"put(key='l', value='x'); emit('t', get(key='k', default=9))", "t 3\n64 l \"x\""},
    {"unset('k'); emit('t', repr(get('k')))", "t None\n64 k -"},
    {"unset('k')", "64 k -"},
    {"put('k', 1); unset('k')", "64 k -"},
    {"unset('l'); put('l', 2)", "64 l 2"},
    // what was got, or was set, is the script's own
    {"d = {'a': [1]}; put('d', d); d['a'].append(2)", "64 d {\"a\":[1]}"},
    {"get('d')['a'].append(2); emit('t', get('d'))", "t {\"a\":[1]}"},
    {"d = get('d'); d['a'].append(2); put('d', d); d.clear()", "64 d {\"a\":[1,2]}"},
    // values
    {"put('v', None)", "64 v null"},
    {"put('v', True)", "64 v true"},
    {"put('v', False)", "64 v false"},
    {"put('v', -9223372036854775808)", "64 v -9223372036854775808"},
    {"put('v', 10 ** 30)", "64 v 1000000000000000000000000000000"},
    {"emit('t', str(get('v') - 10 ** 30))", "t 0"},
    {"put('v', 0.1)", "64 v 0.1"},
    {"put('v', -1.7976931348623157e308)", "64 v -1.7976931348623157e+308"},
    {"put('v', 'a\"\\\\\\n\\u00e4\\x01')", "64 v \"a\\\"\\\\\\n\u00e4\\u0001\""},
    {"put('v', [])", "64 v []"},
    {"put('v', {'a': {'b': [None, True, 1.5, 'x']}})",
     "64 v {\"a\":{\"b\":[null,true,1.5,\"x\"]}}"},
    {"put('\u00e4', 1)", "64 \u00e4 1"},
    {"put('k' * 1024, 1); unset('k' * 1024); put('w', 1)", NULL},
    // what may not be kept
    {"put('v', 1); put('v', (1, 2))",
     "TypeError: the state holds None, bool, int, float, str, list and dict, not tuple\n"
     "? v {\"a\":{\"b\":[null,true,1.5,\"x\"]}}"},
    {"put('n', b'x')",
     "TypeError: the state holds None, bool, int, float, str, list and dict, not bytes"},
    {"put('n', [{1}])",
     "TypeError: the state holds None, bool, int, float, str, list and dict, not set"},
    {"put('n', {1: 2})", "TypeError: the keys of a dict in the state must be str, not int"},
    {"put('n', float('nan'))", "ValueError: the state cannot hold nan: JSON has no such number"},
    {"put('n', [float('-inf')])",
     "ValueError: the state cannot hold -inf: JSON has no such number"},
    {"d = []; d.append(d); put('n', d)",
     "ValueError: a value of the state may be nested 128 levels deep"},
    {"put('n', '\\ud800')", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in "
                            "position 1: surrogates not allowed"},
    {"put(5, 1)", "TypeError: key must be a str, not int"},
    {"get(None)", "TypeError: key must be a str, not NoneType"},
    {"unset(b'x')", "TypeError: key must be a str, not bytes"},
    {"put('', 1)", "ValueError: key must be of 1 to 1024 bytes, this one has 0"},
    {"get('\u00e4' * 513)", "ValueError: key must be of 1 to 1024 bytes, this one has 1026"},
    {"put('n', 'x' * 1048575)",
     "ValueError: the value is 1048577 bytes long as JSON, at most 1048576 are allowed"},
    {"put('n', '\\n' * 524288)",
     "ValueError: the value is 1048578 bytes long as JSON, at most 1048576 are allowed"},
    {"put('n', ['x' * 1048576])",
     "ValueError: the value is 1048580 bytes long as JSON, at most 1048576 are allowed"},
    {"put('v', 1)", "64 v 1"},
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static void test_state_keeps_what_is_allowed_and_refuses_the_rest(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    char body[32];

    wz_buf_add_str(&code, "def handle_input(msg, context):\n"
                          "    emit, get = context.emit, context.get_state\n"
                          "    put, unset = context.set_state, context.unset_state\n");
    for (size_t i = 0; i < STEP_COUNT; i++)
        wz_buf_addf(&code, "    if msg['step'] == %zu: %s\n", i, steps[i].code);
    peer_start_script(*state, wz_buf_str(&code));
    for (size_t i = 0; i < STEP_COUNT; i++) {
        struct wz_frame frame;

        (void)snprintf(body, sizeof(body), "{\"step\":%zu}", i);
        peer_send_batch(*state, (int64_t)i, 1, body);
        frame = peer_expect(*state, WZ_FRAME_RESULT);
        if (steps[i].lines)
            peer_assert_result(frame, steps[i].lines);
    }
}

static void test_state_of_the_engine_is_there_in_init(void **state)
{
    struct peer *peer = *state;

    peer_send_load(
        peer,
        "def init(context):\n"
        "    n, d, big = (context.get_state(k) for k in ('n', 'd', 'big'))\n"
        "    context.emit('t', f\"{n} {d['a']} {big == 2 ** 70} {context.get_state('s')}\")\n"
        "    context.set_state('n', n + 1)\n"
        "def handle_input(msg, context): return 't', context.get_state('n')\n",
        "{}");
    peer_expect(peer, WZ_FRAME_READY);
    peer_send_entry(peer, WZ_LANE_SHARED, "n", "41");
    peer_send_entry(peer, WZ_LANE_SHARED, "d", "{\"a\":[1]}");
    peer_send_entry(peer, WZ_LANE_SHARED, "big", "1180591620717411303424");
    peer_send_entry(peer, WZ_LANE_SHARED, "s", "\"\\u00e4\"");
    peer_send_entry(peer, 3, "n", "7"); // of a time when the script had several workers
    peer_send_empty(peer, WZ_FRAME_START);
    peer_assert_result(peer_expect(peer, WZ_FRAME_STARTED), "t 41 [1] True \u00e4\n64 n 42");
    peer_send_batch(peer, 1, 1, "{}");
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t 42");
}

// A worker that is sent what is no state ends.
static const struct {
    const char *value;
    bool started;
} no_states[] = {{"nonsense", false}, {"", false}, {"1", true}};

static void test_state_that_breaks_the_protocol_ends_the_worker(void **state)
{
    for (size_t i = 0; i < sizeof(no_states) / sizeof(no_states[0]); i++) {
        struct peer *peer = *state;
        int status;

        if (no_states[i].started) {
            peer_start_script(peer, "def handle_input(msg, context): pass\n");
        } else {
            peer_send_load(peer, "def handle_input(msg, context): pass\n", "{}");
            peer_expect(peer, WZ_FRAME_READY);
        }
        peer_send_entry(peer, WZ_LANE_SHARED, "k", no_states[i].value);
        status = peer_wait_exit(peer);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 76);
        peer_teardown(state);
        assert_int_equal(peer_setup(state), 0);
    }
}

static void test_state_is_as_it_was_after_a_call_that_raised(void **state)
{
    struct peer *peer = *state;

    // So many keys that they have an index, some of them set twice.
    peer_start_script(peer, "def init(context):\n"
                            "    for i in range(40): context.set_state(f'k{i}', i)\n"
                            "def handle_input(msg, context):\n"
                            "    if msg['bad']:\n"
                            "        for i in range(60): context.set_state(f'k{i}', 'bad')\n"
                            "        for i in range(0, 60, 3): context.unset_state(f'k{i}')\n"
                            "        for i in range(0, 60, 6): context.set_state(f'k{i}', [])\n"
                            "        raise OSError('no')\n"
                            "    seen = [context.get_state(f'k{i}') for i in range(60)]\n"
                            "    return 't', str(seen == [*range(40), *[None] * 20])\n");
    peer_send_batch(peer, 1, 1, "{\"bad\":1}");
    peer_expect_status(peer, 1, WZ_FRAME_EXCEPTION);
    peer_send_batch(peer, 2, 1, "{\"bad\":0}");
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t True");
}

static void test_state_shows_what_a_failed_call_has_looked_at(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;
    size_t len = 0;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    if msg['n'] == 0:\n"
                            "        context.set_state('a', [1]); context.set_state('b', 2)\n"
                            "        for i in range(70): context.set_state(f'big{i}', 'x' * 1000)\n"
                            "        return\n"
                            "    if msg['n'] == 2:\n"
                            "        for i in range(70): context.get_state(f'big{i}')\n"
                            "    context.set_state('a', 3); context.get_state('b')\n"
                            "    context.set_state('new', 4); context.set_state('new', 5)\n"
                            "    context.emit('lost', 1)\n"
                            "    raise OSError('no')\n");
    peer_send_batch(peer, 0, 1, "{\"n\":0}");
    peer_expect_status(peer, 0, WZ_FRAME_OK);
    peer_send_batch(peer, 1, 1, "{\"n\":1}");
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "OSError: no\n? a [1]\n? b 2\n? new ");
    peer_send_batch(peer, 2, 1, "{\"n\":2}");
    result = peer_expect_result(peer, 2);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    while (wz_frame_next_item(&it, &item) == WZ_OK) {
        assert_int_equal(item.kind, WZ_FRAME_ITEM_SEEN);
        len += WZ_FRAME_ITEM_LEN + 2 + item.topic.len + item.body.len;
    }
    assert_in_range(len, 63 * 1024, 64 * 1024); // those that fit, small ones behind them too
    assert_int_equal(result.item_count, 1 + 64 + 3);
}

static void test_state_changes_of_a_frame_are_there_once(void **state)
{
    struct peer *peer = *state;
    int64_t answered = 0;
    int changes = 0;
    int frames = 0;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    context.set_state('n', context.get_state('n', 0) + 1)\n");
    peer_send_batch(peer, 0, 10000, "{}");
    while (answered < 10000) {
        struct wz_frame frame = peer_expect(peer, WZ_FRAME_RESULT);
        struct wz_frame_result result;
        struct wz_frame_entry entry;
        struct wz_frame_iter it;
        char number[16];

        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while (wz_frame_next_result(&it, &result) == WZ_OK)
            answered += result.before + 1;
        assert_int_equal(result.offset, answered - 1);
        assert_int_equal(wz_frame_changes(&it), WZ_OK);
        while (wz_frame_next_entry(&it, &entry) == WZ_OK)
            changes++;
        (void)snprintf(number, sizeof(number), "%d", (int)answered); // as of the frame's last call
        peer_assert_text(entry.value, number);
        frames++;
    }
    assert_int_equal(changes, frames);
    assert_in_range(frames, 1, 5000);
}

static const char laned_code[] =
    "def attempt(f):\n"
    "    try: return f()\n"
    "    except RuntimeError as error: return str(error)\n"
    "def init(context):\n"
    "    context.emit('init', attempt(lambda: context.get_state('n')))\n"
    "def handle_input(msg, context):\n"
    "    context.set_state('n', context.get_state('n', 0) + 1)\n"
    "    return 't', context.get_state('n')\n"
    "def stop(context):\n"
    "    context.emit('stop', attempt(lambda: context.set_state('n', 1)))\n";

static void test_state_of_a_script_with_several_workers_is_by_lane(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_record record = {.topic = WZ_SLICE_LIT("t"), .body = WZ_SLICE_LIT("{}")};

    peer_start_laned_script(peer, laned_code);
    record.lane = 63;
    peer_send_records(peer, &record, 1);
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t 1\n63 n 1");
    record.lane = 0;
    peer_send_records(peer, &record, 1);
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t 1\n0 n 1");
    record.lane = 63;
    peer_send_records(peer, &record, 1);
    peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t 2\n63 n 2");
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    peer_assert_result(peer_expect(peer, WZ_FRAME_DRAINED),
                       "stop set_state has no state here: the script has several workers, so each "
                       "lane of topics has a state of its own, and without a record there is no "
                       "lane; use it in handle_input, or give the script one worker");
}

// 17 values of a MiB are too much for a call, the same key 17 times is not.
static void test_state_limits_the_changes_of_a_call(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_item item;

    peer_start_script(peer,
                      "def handle_input(msg, context):\n"
                      "    for i in range(17):\n"
                      "        try: context.set_state(f'k{i % msg[\"keys\"]}', 'x' * 1048570)\n"
                      "        except RuntimeError: pass\n");
    peer_send_batch(peer, 1, 1, "{\"keys\":17}");
    item = peer_expect_status(peer, 1, WZ_FRAME_REFUSED);
    peer_assert_contains(item.body, "wyze.LimitError: one message may cause at most 16777216 bytes "
                                    "of changes of the state");
    peer_send_batch(peer, 2, 1, "{\"keys\":15}");
    peer_expect_status(peer, 2, WZ_FRAME_OK);
    // Again: each frame holds what one call may change, and what was gathered in front of it.
    peer_send_batch(peer, 3, 1, "{\"keys\":15}");
    peer_expect_status(peer, 3, WZ_FRAME_OK);
}

// What the state counts for is told again by who sets the same keys.
#define COUNTING                                                                                   \
    "def handle_input(msg, context):\n"                                                            \
    "    put, unset = context.set_state, context.unset_state\n"                                    \
    "    for i in range(msg['from'], msg['to']):\n"                                                \
    "        unset(f'k{i:04}') if msg['gone'] else put(f'k{i:04}', 'x' * msg['len'])\n"

// Each entry counts for 100 bytes, its key and its value with quotes: 307 here, so 213 fit.
static void test_state_is_limited_in_all(void **state)
{
    static const struct {
        const char *body;
        enum wz_frame_status status;
    } calls[] = {
        {"{\"from\":0,\"to\":200,\"gone\":0,\"len\":200}", WZ_FRAME_OK},
        {"{\"from\":200,\"to\":214,\"gone\":0,\"len\":200}", WZ_FRAME_REFUSED},
        {"{\"from\":200,\"to\":213,\"gone\":0,\"len\":200}", WZ_FRAME_OK},
        {"{\"from\":213,\"to\":214,\"gone\":0,\"len\":50}", WZ_FRAME_REFUSED},
        {"{\"from\":0,\"to\":213,\"gone\":0,\"len\":200}", WZ_FRAME_OK}, // nothing more
        {"{\"from\":0,\"to\":1,\"gone\":1}", WZ_FRAME_OK},
        {"{\"from\":213,\"to\":214,\"gone\":0,\"len\":200}", WZ_FRAME_OK}, // in its place
        {"{\"from\":0,\"to\":1,\"gone\":0,\"len\":200}", WZ_FRAME_REFUSED},
    };
    struct peer *peer;

    peer_teardown(state);
    assert_int_equal(peer_setup_word(state, "state=65536"), 0);
    peer = *state;
    peer_start_script(peer, COUNTING);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct wz_frame_item item;

        peer_send_batch(peer, (int64_t)i, 1, calls[i].body);
        item = peer_expect_status(peer, (int64_t)i, calls[i].status);
        if (calls[i].status == WZ_FRAME_REFUSED)
            peer_assert_contains(item.body, "wyze.LimitError: the state may take at most 65536 "
                                            "bytes, with 100 more for each key");
    }
}

// What the engine sends is kept, however much: it may not grow, but be set anew and taken out.
static void test_state_that_is_too_large_when_it_comes_may_become_less(void **state)
{
    static const struct {
        const char *body;
        enum wz_frame_status status;
    } calls[] = {
        {"{\"from\":0,\"to\":300,\"gone\":0,\"len\":200}", WZ_FRAME_OK},
        {"{\"from\":0,\"to\":1,\"gone\":0,\"len\":201}", WZ_FRAME_REFUSED},
        {"{\"from\":300,\"to\":301,\"gone\":0,\"len\":0}", WZ_FRAME_REFUSED},
        {"{\"from\":0,\"to\":1,\"gone\":0,\"len\":10}", WZ_FRAME_OK},
        {"{\"from\":0,\"to\":1,\"gone\":0,\"len\":11}", WZ_FRAME_REFUSED},
        {"{\"from\":0,\"to\":150,\"gone\":1}", WZ_FRAME_OK},
        {"{\"from\":300,\"to\":350,\"gone\":0,\"len\":200}", WZ_FRAME_OK},
    };
    char value[203];
    struct peer *peer;

    peer_teardown(state);
    assert_int_equal(peer_setup_word(state, "state=65536"), 0);
    peer = *state;
    memset(value, 'x', sizeof(value));
    value[0] = value[201] = '"';
    value[202] = '\0';
    peer_send_load(peer, COUNTING, "{}");
    peer_expect(peer, WZ_FRAME_READY);
    for (int i = 0; i < 300; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "k%04d", i);
        peer_send_entry(peer, WZ_LANE_SHARED, key, value);
    }
    peer_send_empty(peer, WZ_FRAME_START);
    peer_expect(peer, WZ_FRAME_STARTED);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        peer_send_batch(peer, (int64_t)i, 1, calls[i].body);
        peer_expect_status(peer, (int64_t)i, calls[i].status);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_state_keeps_what_is_allowed_and_refuses_the_rest),
        TEST(test_state_of_the_engine_is_there_in_init),
        TEST(test_state_that_breaks_the_protocol_ends_the_worker),
        TEST(test_state_is_as_it_was_after_a_call_that_raised),
        TEST(test_state_shows_what_a_failed_call_has_looked_at),
        TEST(test_state_changes_of_a_frame_are_there_once),
        TEST(test_state_of_a_script_with_several_workers_is_by_lane),
        TEST(test_state_limits_the_changes_of_a_call),
        TEST(test_state_is_limited_in_all),
        TEST(test_state_that_is_too_large_when_it_comes_may_become_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
