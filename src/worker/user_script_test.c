// SPDX-License-Identifier: Apache-2.0
// The loading of scripts, and what is said of those that cannot run.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/peer_test.h"

// What is wrong with a script, and where.
static const struct {
    const char *code;
    const char *reason;
    uint32_t line;
    const char *traceback;
} invalid_scripts[] = {
    {"x = 1\ndef handle_input(msg, context)\n    pass\n", "SyntaxError: expected ':'", 2, "^"},
    {"def handle_input(m, c):\n  pass\nx = 1 / 0\n", "ZeroDivisionError: division by zero", 3,
     "x = 1 / 0"},
    {"import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'", 1, ""},
    {"import sys\nsys.exit(3)\n", "SystemExit: 3", 2, ""},
    {"x = 1\n", "there is no function handle_input(msg, context)", 0, ""},
    {"\nhandle_input = 3\n", "handle_input is no function", 0, ""},
    {"\ndef handle_input(msg):\n  pass\n",
     "handle_input cannot be called as handle_input(msg, context)", 2, ""},
    {"def handle_input(m, c): pass\ndef init():\n  pass\n",
     "init cannot be called as init(context)", 2, ""},
    {"async def handle_input(m, c):\n  pass\n", "without async and yield", 1, ""},
    {"def handle_input(m, c):\n  yield 1\n", "without async and yield", 1, ""},
};

static void test_user_script_says_why_and_where_a_script_is_invalid(void **state)
{
    for (size_t i = 0; i < sizeof(invalid_scripts) / sizeof(invalid_scripts[0]); i++) {
        struct wz_frame_invalid invalid;
        struct peer *peer;

        peer_send_load(*state, invalid_scripts[i].code, "{}");
        invalid = peer_expect_invalid(*state, invalid_scripts[i].reason, invalid_scripts[i].line);
        peer_assert_contains(invalid.traceback, invalid_scripts[i].traceback);
        peer = *state;
        assert_int_equal(peer_wait_exit(peer), 0);
        peer_teardown(state);
        assert_int_equal(peer_setup(state), 0);
    }
}

static void test_user_script_gives_column_and_caret_of_a_syntax_error(void **state)
{
    struct wz_frame_invalid invalid;

    peer_send_load(*state, "x = 1\ny = (1 +\n", "{}");
    invalid = peer_expect_invalid(*state, "SyntaxError: '(' was never closed", 2);
    assert_int_equal(invalid.column, 5);
    peer_assert_contains(invalid.traceback, "    y = (1 +\n        ^");
}

static void test_user_script_reports_a_failing_init(void **state)
{
    struct peer *peer = *state;

    peer_send_load(
        peer,
        "def init(c):\n  c.emit('a', 1)\n  raise OSError('no')\ndef handle_input(m, c): pass\n",
        "{}");
    peer_expect(peer, WZ_FRAME_READY);
    peer_send_empty(peer, WZ_FRAME_START);
    peer_expect_invalid(peer, "OSError: no", 3);
    assert_int_equal(peer_wait_exit(peer), 0);
}

static void test_user_script_drops_the_outputs_of_a_call_that_raises(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    context.emit('a', 'lost')\n"
                            "    if msg.get('bad'):\n"
                            "        raise KeyError('bad')\n");
    peer_send_batch(peer, 1, 1, "{\"bad\":1}");
    result = peer_expect_result(peer, 1);
    assert_int_equal(result.status, WZ_FRAME_EXCEPTION);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.kind, WZ_FRAME_ITEM_TRACE);
    peer_assert_contains(item.body,
                         "File \"test.py\", line 4, in handle_input\n    raise KeyError('bad')");
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_END);
    peer_send_batch(peer, 2, 1, "{}");
    result = peer_expect_result(peer, 2);
    assert_int_equal(result.status, WZ_FRAME_OK);
    assert_int_equal(result.item_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_user_script_says_why_and_where_a_script_is_invalid),
        TEST(test_user_script_gives_column_and_caret_of_a_syntax_error),
        TEST(test_user_script_reports_a_failing_init),
        TEST(test_user_script_drops_the_outputs_of_a_call_that_raises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
