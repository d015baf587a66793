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
    {"async def handle_input(m, c):\n  pass\n",
     "handle_input must be a plain function, without async: nothing would await it", 1, ""},
    {"async def handle_input(m, c):\n  yield\n", "without async", 1, ""},
    {"def handle_input(m, c): pass\ndef init(c):\n  yield 1\n",
     "init must be a plain function, without yield", 2, ""},
    {"def handle_input(m, c): pass\nasync def stop(c):\n  pass\n",
     "stop must be a plain function, without async", 2, ""},
    {"def handle_input(m, c): pass\nstop = True\n", "stop is no function; define stop(context)", 0,
     ""},
    {"def handle_input(m, c): pass\ndef stop(c, hard):\n  pass\n",
     "stop cannot be called as stop(context): missing a required argument: 'hard'", 2, ""},
    {"def handle_input(m, c): pass\ncontext.emit('a', 1)\n",
     "NameError: name 'context' is not defined: the context is given to init, handle_input and "
     "stop",
     2, ""},
    {"import wyze\nwyze.emit('a', 1)\n",
     "AttributeError: wyze has no emit of its own: it is a method of the context", 2, ""},
    {"import wyze\nwyze.Context()\n", "TypeError: cannot create 'wyze.Context' instances", 2, ""},
    {"from wyze import get_state\n", "what a script can do is in the context", 1, ""},
    {"x = '\xff'\n", "the code is not UTF-8: there is a byte 0xff", 1, ""},
    {"import os.nowhere\n", "ModuleNotFoundError: No module named 'os.nowhere'", 1, ""},
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

// Columns are characters from 1, whatever their bytes.
static const struct {
    const char *code;
    uint32_t line;
    uint32_t column;
    const char *caret;
} places[] = {
    {"x = 1\ny = 'ä', nope\n", 2, 10, "    y = 'ä', nope\n             ^^^^"},
    {"def f():\n    return {}['k']\nf()\n", 2, 12, "    return {}['k']\n           ~~^^^^^"},
    {"y = 'ä' ü é\n", 1, 9, "^"},
    {"x = 1\nz = '\xff'\n", 2, 6, ""},
};

static void test_user_script_gives_line_and_column_in_characters(void **state)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct wz_frame_invalid invalid;

        peer_send_load(*state, places[i].code, "{}");
        invalid = peer_expect_invalid(*state, "", places[i].line);
        assert_int_equal(invalid.column, places[i].column);
        peer_assert_contains(invalid.traceback, places[i].caret);
        peer_teardown(state);
        assert_int_equal(peer_setup(state), 0);
    }
}

// What an editor puts in front of a file is no part of it.
static void test_user_script_may_begin_with_a_byte_order_mark(void **state)
{
    peer_start_script(*state, "\xef\xbb\xbf"
                              "def handle_input(msg, context): return 't', 1\n");
    peer_send_batch(*state, 1, 1, "{}");
    peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT), "t 1");
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
        TEST(test_user_script_gives_line_and_column_in_characters),
        TEST(test_user_script_may_begin_with_a_byte_order_mark),
        TEST(test_user_script_reports_a_failing_init),
        TEST(test_user_script_drops_the_outputs_of_a_call_that_raises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
