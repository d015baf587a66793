// SPDX-License-Identifier: Apache-2.0
// What the context does and refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/peer_test.h"

static void test_context_runs_a_valid_script(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    peer_start_script(peer, "def init(context):\n"
                            "    context.config['n'] = 1\n"
                            "def handle_input(msg, context):\n"
                            "    context.emit('a.' + context.config['room'],\n"
                            "                 {'v': msg['value'] * 2, 'n': context.config['n'],\n"
                            "                  's': context.script, 't': context.now()}, False)\n");
    peer_send_batch(peer, 7, 1, "{\"value\":21}");
    result = peer_expect_result(peer, 7);
    assert_int_equal(result.status, WZ_FRAME_OK);
    assert_int_equal(result.item_count, 1);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.kind, WZ_FRAME_ITEM_EMIT);
    assert_false(item.persistent);
    peer_assert_text(item.topic, "a.kitchen");
    peer_assert_text(item.body, "{\"v\":42,\"n\":1,\"s\":\"test\",\"t\":1770000000.123}");
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    peer_expect(peer, WZ_FRAME_DRAINED);
    assert_int_equal(peer_wait_exit(peer), 0);
}

static void test_context_limits_the_outputs_of_one_message(void **state)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    peer_start_script(*state, "def handle_input(msg, context):\n"
                              "    for i in range(msg['n']):\n"
                              "        context.emit('t', 'x' * msg['len'])\n");
    peer_send_batch(*state, 1, 1, "{\"n\":10000,\"len\":1}");
    result = peer_expect_result(*state, 1);
    assert_int_equal(result.item_count, 10000);
    peer_send_batch(*state, 2, 1, "{\"n\":10001,\"len\":1}");
    result = peer_expect_result(*state, 2);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    peer_assert_contains(item.body, "one message may cause at most 10000 outputs");
    peer_send_batch(*state, 3, 1, "{\"n\":18,\"len\":1000000}");
    result = peer_expect_result(*state, 3);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    peer_assert_contains(item.body, "one message may cause at most 16777216 bytes");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_context_runs_a_valid_script),
        TEST(test_context_limits_the_outputs_of_one_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
