// SPDX-License-Identifier: Apache-2.0
// The topics of $SYS without a door: the numbers are the test's, and so is the time.
#include "broker/sys_topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define DEADLINE_US ((int64_t)20 * 1000 * 1000)

// An interval whose end no test waits for.
#define NEVER_MS 3600000

struct world {
    struct wz_loop loop;
    struct wz_exchange *exchange;
    struct wz_receiver receiver;
    struct wz_exchange_binding *binding;
    struct wz_sys_topics *sys;
    int64_t numbers[WZ_SYS_NUMBER_COUNT];
    int64_t start_ms;
    struct wz_buf got; // "topic=text " of each message, without $SYS/broker/
    int uptimes;
};

static void read_numbers(void *arg, int64_t ret_numbers[WZ_SYS_NUMBER_COUNT])
{
    struct world *world = arg;

    memcpy(ret_numbers, world->numbers, sizeof(world->numbers));
}

static void add(struct wz_buf *buf, const struct wz_message *msg)
{
    struct wz_slice root = WZ_SLICE_LIT("$SYS/broker/");

    assert_true(wz_slice_starts(msg->topic, root));
    assert_int_equal(msg->qos, 0);
    assert_int_equal(msg->offset, -1);
    wz_buf_addf(buf, "%.*s=%.*s ",
                WZ_SLICE_FMT(wz_slice_sub(msg->topic, root.len, msg->topic.len - root.len)),
                WZ_SLICE_FMT(msg->body));
}

static int receive(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct world *world = arg;

    (void)qos;
    (void)slot;
    assert_false(delivery->message->retain);
    world->uptimes += wz_slice_eq(delivery->message->topic, WZ_SLICE_LIT("$SYS/broker/uptime"));
    add(&world->got, delivery->message);
    return WZ_OK;
}

static void start(struct world *world, int64_t interval_ms)
{
    struct wz_sys_topics_options options = {.loop = &world->loop,
                                            .exchange = world->exchange,
                                            .interval_ms = interval_ms,
                                            .read = read_numbers,
                                            .arg = world};

    world->start_ms = (int64_t)uv_now(&world->loop.uv);
    world->sys = wz_sys_topics_new(&options);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    world->exchange = wz_exchange_new(&wz_topic_mqtt);
    world->receiver = (struct wz_receiver){.receive = receive, .arg = world};
    return 0;
}

static void subscribe(struct world *world, const char *filter)
{
    assert_int_equal(wz_exchange_bind(world->exchange, &world->receiver, wz_slice_str(filter), 2,
                                      &world->binding),
                     WZ_OK);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_sys_topics_stop(world->sys);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_sys_topics_free(world->sys);
    if (world->binding != NULL)
        wz_exchange_unbind(world->binding);
    wz_exchange_free(world->exchange);
    wz_loop_release(&world->loop);
    wz_buf_release(&world->got);
    wz_free(world);
    return 0;
}

static void publish(struct world *world, int64_t at_s)
{
    world->got.len = 0;
    wz_sys_topics_publish(world->sys, world->start_ms + at_s * 1000);
}

static void expect_got(struct world *world, const char *text)
{
    assert_string_equal(wz_buf_str(&world->got), text);
}

// Walks as a new subscriber of FILTER and compares what it is given.
static void expect_walk(struct world *world, const char *filter, const char *text)
{
    WZ_AUTO(wz_buf_release) struct wz_buf seen = {0};
    struct wz_message msg;
    size_t budget = 1000;
    size_t at = 0;
    int r;

    while ((r = wz_sys_topics_next(world->sys, wz_slice_str(filter), &at, &budget, &msg)) ==
           WZ_OK) {
        assert_true(msg.retain);
        add(&seen, &msg);
    }
    assert_int_equal(r, WZ_END);
    assert_int_equal(wz_sys_topics_next(world->sys, wz_slice_str(filter), &at, &budget, &msg),
                     WZ_END);
    assert_string_equal(wz_buf_str(&seen), text);
}

static void test_sys_topics_are_the_brokers_own(void **state)
{
    (void)state;
    assert_true(wz_sys_topics_own(WZ_SLICE_LIT("$SYS")));
    assert_true(wz_sys_topics_own(WZ_SLICE_LIT("$SYS/")));
    assert_true(wz_sys_topics_own(WZ_SLICE_LIT("$SYS/broker/uptime")));
    assert_false(wz_sys_topics_own(WZ_SLICE_LIT("")));
    assert_false(wz_sys_topics_own(WZ_SLICE_LIT("$SY")));
    assert_false(wz_sys_topics_own(WZ_SLICE_LIT("$SYSTEM/a")));
    assert_false(wz_sys_topics_own(WZ_SLICE_LIT("$sys/broker/uptime")));
    assert_false(wz_sys_topics_own(WZ_SLICE_LIT("a/$SYS/b")));
}

static void test_sys_topics_are_there_from_the_start(void **state)
{
    struct world *world = *state;

    world->numbers[WZ_SYS_CLIENTS_CONNECTED] = 2;
    world->numbers[WZ_SYS_CLIENTS_DISCONNECTED] = 3;
    world->numbers[WZ_SYS_CLIENTS_TOTAL] = 5;
    world->numbers[WZ_SYS_CLIENTS_MAXIMUM] = 4;
    world->numbers[WZ_SYS_CLIENTS_EXPIRED] = 1;
    world->numbers[WZ_SYS_BYTES_SENT] = INT64_MAX;
    world->numbers[WZ_SYS_STORED] = 7;
    start(world, NEVER_MS);
    expect_walk(world, "$SYS/broker/version", "version=wyze version " WZ_VERSION " ");
    expect_walk(world, "$SYS/broker/uptime", "uptime=0 seconds ");
    expect_walk(world, "$SYS/broker/clients/+",
                "clients/total=5 clients/maximum=4 clients/inactive=3 clients/disconnected=3 "
                "clients/active=2 clients/connected=2 clients/expired=1 ");
    expect_walk(world, "$SYS/+/bytes/sent", "bytes/sent=9223372036854775807 ");
    expect_walk(world, "$SYS/broker/store/#", "store/messages/count=7 ");
    expect_walk(world, "$SYS/broker/load/bytes/sent/+",
                "load/bytes/sent/1min=0.00 load/bytes/sent/5min=0.00 load/bytes/sent/15min=0.00 ");
    expect_walk(world, "$SYS/broker/nothing", "");
}

static void test_sys_topics_match_no_wildcard_in_front(void **state)
{
    struct world *world = *state;

    start(world, NEVER_MS);
    subscribe(world, "#");
    publish(world, 1);
    expect_got(world, "");
    expect_walk(world, "#", "");
    expect_walk(world, "+/broker/uptime", "");
    expect_walk(world, "+/#", "");
    expect_walk(world, "broker/uptime", "");
}

static void test_sys_topics_walk_keeps_to_its_budget(void **state)
{
    struct world *world = *state;
    struct wz_slice filter = WZ_SLICE_LIT("$SYS/broker/load/connections/15min"); // the last one
    struct wz_message msg;
    size_t looked_at = 0;
    size_t budget = 0;
    size_t at = 0;
    int r;

    start(world, NEVER_MS);
    assert_int_equal(wz_sys_topics_next(world->sys, filter, &at, &budget, &msg), WZ_AGAIN);
    do {
        budget = 5;
        r = wz_sys_topics_next(world->sys, filter, &at, &budget, &msg);
        looked_at += 5 - budget;
    } while (r == WZ_AGAIN);
    assert_int_equal(r, WZ_OK);
    assert_int_equal(looked_at, at);
    assert_int_equal(looked_at, 49);
    assert_int_equal(wz_sys_topics_next(world->sys, filter, &at, &budget, &msg), WZ_END);
}

static void test_sys_topics_publish_what_has_changed_and_the_uptime(void **state)
{
    struct world *world = *state;

    start(world, NEVER_MS);
    subscribe(world, "$SYS/#");
    publish(world, 10);
    expect_got(world, "uptime=10 seconds ");
    world->numbers[WZ_SYS_CLIENTS_CONNECTED] = 1;
    world->numbers[WZ_SYS_RETAINED] = 8;
    expect_walk(world, "$SYS/broker/clients/active", "clients/active=0 "); // as it was published
    publish(world, 20);
    expect_got(world, "uptime=20 seconds clients/active=1 clients/connected=1 "
                      "retained messages/count=8 ");
    publish(world, 20);
    expect_got(world, "uptime=20 seconds ");
    world->numbers[WZ_SYS_RETAINED] = 0;
    publish(world, 86400);
    expect_got(world, "uptime=86400 seconds retained messages/count=0 ");
    expect_walk(world, "$SYS/broker/clients/active", "clients/active=1 ");
}

// What mosquitto 2.0.11 computes: 600 (1 - e^(-10/60)) and so on.
static void test_sys_topics_average_as_mosquitto_does(void **state)
{
    struct world *world = *state;

    world->numbers[WZ_SYS_PUBLISH_SENT] = 1000000; // before the start: in no average
    start(world, NEVER_MS);
    subscribe(world, "$SYS/broker/load/publish/sent/+");
    publish(world, 10);
    expect_got(world, "");
    world->numbers[WZ_SYS_PUBLISH_SENT] += 100;
    publish(world, 20);
    expect_got(world, "load/publish/sent/1min=92.11 load/publish/sent/5min=19.67 "
                      "load/publish/sent/15min=6.63 ");
    publish(world, 30);
    expect_got(world, "load/publish/sent/1min=77.97 load/publish/sent/5min=19.03 "
                      "load/publish/sent/15min=6.56 ");
    publish(world, 36000); // hours later nothing is left, and that is said
    expect_got(world, "load/publish/sent/1min=0.00 load/publish/sent/5min=0.00 "
                      "load/publish/sent/15min=0.00 ");
    publish(world, 36010);
    expect_got(world, "");
}

static void test_sys_topics_average_the_same_however_often_they_are_made(void **state)
{
    struct world *world = *state;

    start(world, NEVER_MS);
    for (int64_t second = 1; second <= 60; second++) {
        world->numbers[WZ_SYS_CONNECTS] = 5 * second;
        publish(world, second);
    }
    // 300 a minute for a minute.
    expect_walk(world, "$SYS/broker/load/connections/1min", "load/connections/1min=189.64 ");
    world->numbers[WZ_SYS_CONNECTS] += 300;
    publish(world, 120);
    expect_walk(world, "$SYS/broker/load/connections/1min", "load/connections/1min=259.40 ");
}

static void test_sys_topics_are_published_by_their_timer(void **state)
{
    struct world *world = *state;
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;

    start(world, 5);
    subscribe(world, "$SYS/broker/uptime");
    while (world->uptimes < 3) {
        assert_true(wz_clock_mono_us() < until_us);
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    }
    wz_sys_topics_stop(world->sys);
    world->uptimes = 0;
    for (int i = 0; i < 20; i++)
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(world->uptimes, 0);
    wz_sys_topics_free(world->sys);
    world->sys = NULL; // stopping and freeing nothing is fine: the end of the test does
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_sys_topics_are_the_brokers_own),
        TEST(test_sys_topics_are_there_from_the_start),
        TEST(test_sys_topics_match_no_wildcard_in_front),
        TEST(test_sys_topics_walk_keeps_to_its_budget),
        TEST(test_sys_topics_publish_what_has_changed_and_the_uptime),
        TEST(test_sys_topics_average_as_mosquitto_does),
        TEST(test_sys_topics_average_the_same_however_often_they_are_made),
        TEST(test_sys_topics_are_published_by_their_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
