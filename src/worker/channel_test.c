// SPDX-License-Identifier: Apache-2.0
// The pipe: order, gathering, its end.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "worker/peer_test.h"

static void test_channel_that_exits_answers_no_more(void **state)
{
    struct peer *peer = *state;
    int status;

    peer_start_script(peer, "import os\ndef handle_input(msg, context):\n    os._exit(5)\n");
    peer_send_batch(peer, 1, 3, "{}");
    status = peer_wait_exit(peer);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
}

static void test_channel_in_an_endless_loop_can_be_killed(void **state)
{
    struct peer *peer = *state;
    struct timeval limit = {.tv_usec = 300000};
    uint8_t byte;
    int status;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    print('begun')\n"
                            "    while True:\n"
                            "        try:\n"
                            "            pass\n"
                            "        except BaseException:\n"
                            "            pass\n");
    peer_send_batch(peer, 1, 1, "{}");
    peer_expect(peer, WZ_FRAME_LOG);
    assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(recv(peer->fd, &byte, 1, 0), -1); // nothing comes
    kill(peer->pid, SIGINT);
    assert_int_equal(waitpid(peer->pid, &status, WNOHANG), 0);
    kill(peer->pid, SIGKILL);
    status = peer_wait_exit(peer);
    assert_true(WIFSIGNALED(status));
}

static void test_channel_ends_when_the_engine_closes_the_pipe(void **state)
{
    struct peer *peer = *state;
    int status;

    peer_start_script(peer, "def handle_input(msg, context): pass\n");
    assert_int_equal(shutdown(peer->fd, SHUT_RDWR), 0);
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    peer->pid = 0;
    assert_true(WIFEXITED(status));
}

static void test_channel_answers_a_batch_of_ten_thousand_in_order(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    int64_t seen = 0;
    int frames = 0;

    peer_start_script(peer, "def handle_input(msg, context):\n    context.emit('a.b', msg['v'])\n");
    peer_send_batch(peer, 0, 10000, "{\"v\":1}");
    while (seen < 10000) {
        struct wz_frame frame = peer_expect(peer, WZ_FRAME_RESULT);
        struct wz_frame_iter it;
        int r;

        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while ((r = wz_frame_next_result(&it, &result)) == WZ_OK) {
            assert_int_equal(result.offset, seen++);
            assert_int_equal(result.item_count, 1);
        }
        assert_int_equal(r, WZ_END);
        frames++;
    }
    assert_in_range(frames, 5, 2000); // gathered, and not held back either
}

static void test_channel_refuses_frames_out_of_turn(void **state)
{
    struct peer *peer = *state;
    int status;

    peer_send_empty(peer, WZ_FRAME_START);
    status = peer_wait_exit(peer);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 76);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_channel_that_exits_answers_no_more),
        TEST(test_channel_in_an_endless_loop_can_be_killed),
        TEST(test_channel_ends_when_the_engine_closes_the_pipe),
        TEST(test_channel_answers_a_batch_of_ten_thousand_in_order),
        TEST(test_channel_refuses_frames_out_of_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
