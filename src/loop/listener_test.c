// SPDX-License-Identifier: Apache-2.0
#include "loop/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "loop/dial_test.h"

struct world {
    struct wz_loop loop;
    struct wz_listener listener;
    int offers;
};

static void on_offer(struct wz_listener *listener, void *arg)
{
    struct world *world = arg;
    uv_tcp_t *tcp = wz_alloc(sizeof(*tcp));

    world->offers++;
    (void)uv_tcp_init(&world->loop.uv, tcp);
    assert_int_equal(uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)tcp), 0);
    uv_close((uv_handle_t *)tcp, (uv_close_cb)wz_free);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    return wz_listener_open(&world->listener, &world->loop, "127.0.0.1", 0, on_offer, world, NULL);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_listener_close(&world->listener);
    wz_listener_close(&world->listener); // twice is fine
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_loop_release(&world->loop);
    wz_free(world);
    return 0;
}

static void test_listener_offers_each_peer_once(void **state)
{
    struct world *world = *state;
    int64_t until_us = wz_clock_mono_us() + 10000000;

    for (int i = 0; i < 20; i++)
        (void)close(dial(wz_listener_port(&world->listener)));
    while (world->offers < 20 && wz_clock_mono_us() < until_us)
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(world->offers, 20);
}

static void test_listener_names_a_free_port_when_its_own_is_taken(void **state)
{
    struct world *world = *state;
    struct wz_listener second;
    struct wz_listener third;
    struct wz_problem problem = {0};
    int port = wz_listener_port(&world->listener);
    char *word;

    assert_in_range(port, 1, 65535);
    assert_int_equal(
        wz_listener_open(&second, &world->loop, "127.0.0.1", port, on_offer, world, &problem),
        WZ_ERR_EXISTS);
    assert_int_equal(problem.err, WZ_ERR_EXISTS);
    assert_non_null(strstr(problem.what, "127.0.0.1"));
    assert_int_equal(wz_listener_open(&third, &world->loop, "127.0.0.1", port, on_offer, world,
                                      NULL), // nobody wants to know
                     WZ_ERR_EXISTS);
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT); // libuv lets go of the closed ones
    word = strstr(problem.fix, "; port ");
    if (word != NULL) { // none is free near the very last port
        int other = (int)strtol(word + 7, NULL, 10);

        assert_int_equal(
            wz_listener_open(&third, &world->loop, "127.0.0.1", other, on_offer, world, NULL),
            WZ_OK);
        assert_int_equal(wz_listener_port(&third), other);
        wz_listener_close(&third);
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    }
}

static void test_listener_refuses_what_is_no_address_of_this_machine(void **state)
{
    struct world *world = *state;
    struct wz_listener other;
    struct wz_problem problem = {0};

    assert_int_equal(
        wz_listener_open(&other, &world->loop, "localhost", 0, on_offer, world, &problem),
        WZ_ERR_INVALID);
    assert_int_equal(problem.code, WZ_CODE_CONFIG_PORT);
    assert_non_null(strstr(problem.what, "localhost"));
    assert_int_equal(
        wz_listener_open(&other, &world->loop, "192.0.2.1", 0, on_offer, world, &problem),
        WZ_ERR_SYSTEM);
    assert_int_equal(problem.err, WZ_ERR_SYSTEM);
    assert_true(problem.fix[0] != '\0');
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
}

static void test_listener_speaks_version_6_too(void **state)
{
    struct world *world = *state;
    struct wz_listener six;

    if (wz_listener_open(&six, &world->loop, "::1", 0, on_offer, world, NULL) < 0)
        skip(); // a machine without it
    assert_in_range(wz_listener_port(&six), 1, 65535);
    wz_listener_close(&six);
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_listener_offers_each_peer_once),
        TEST(test_listener_names_a_free_port_when_its_own_is_taken),
        TEST(test_listener_refuses_what_is_no_address_of_this_machine),
        TEST(test_listener_speaks_version_6_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
