// SPDX-License-Identifier: Apache-2.0
#include "router/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "bus/embedded.h"
#include "router/testcommands_test.h"
#include "stream/reader.h"

#define SECOND_MS 1000

static int set_up(void **state)
{
    struct testcommands *t = wz_alloc(sizeof(*t));

    testcommands_init(t);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct testcommands *t = *state;

    testcommands_close(t);
    testcommands_release(t);
    wz_free(t);
    return 0;
}

// How often each number was got; all of a topic in their order.
static void expect_once_in_order(const struct testcommands *t)
{
    int last[TESTCOMMANDS_MAX];
    int counts[TESTCOMMANDS_MAX] = {0};

    memset(last, -1, sizeof(last));
    for (int i = 0; i < t->got_count; i++) {
        const struct testcommands_got *got = &t->got[i];

        assert_int_equal(counts[got->number]++, 0);
        assert_true(got->number > last[got->topic]);
        last[got->topic] = got->number;
    }
}

static void test_commands_leave_when_their_records_are_durable(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    for (int i = 0; i < 50; i++)
        (void)testcommands_add(t, i % 5, 0);
    assert_int_equal(t->got_count, 0); // the device's consumer looks at the durable end, too
    testcommands_wait(t, 50);
    expect_once_in_order(t);
}

static void test_commands_of_a_step_in_the_journal_leave_at_once(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    testcommands_run_ms(t, 5); // what there was to read is read
    t->held = true;
    for (int i = 0; i < 50; i++)
        (void)testcommands_add_journaled(t, i % 5);
    testcommands_wait(t, 50);
    assert_true(wz_log_durable_end(t->processed) <= t->offsets[0]);
    t->held = false;
    testcommands_run_ms(t, 50);
    expect_once_in_order(t);
}

static void test_commands_stay_behind_one_that_is_not_durable(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    testcommands_run_ms(t, 5);
    t->held = true;
    (void)testcommands_add_journaled(t, 1);
    (void)testcommands_add(t, 1, 0);
    (void)testcommands_add_journaled(t, 1);
    (void)testcommands_add_journaled(t, 2);
    testcommands_wait(t, 1);
    testcommands_run_ms(t, 50);
    assert_int_equal(t->got_count, 1);
    t->held = false;
    testcommands_wait(t, 4);
    expect_once_in_order(t);
}

static void test_commands_wait_for_a_token_only_on_the_stream(void **state)
{
    struct testcommands *t = *state;

    t->options.rate = 2;
    testcommands_open(t);
    testcommands_run_ms(t, 5);
    t->held = true;
    for (int i = 0; i < 4; i++)
        (void)testcommands_add_journaled(t, 1);
    testcommands_wait(t, 2);
    testcommands_run_ms(t, 200); // if the topic waited, it would be read meanwhile, and be empty
    t->held = false;
    testcommands_wait(t, 4);
    expect_once_in_order(t);
}

// Puts the position and turns until it is durable.
static void put_position(struct testcommands *t)
{
    struct wz_log *log = wz_journal_log(t->journal);

    wz_commands_put_position(t->commands);
    while (wz_log_durable_end(log) < wz_log_next_offset(log))
        testcommands_run_ms(t, 1);
}

static void test_commands_that_left_come_again_when_a_crash_takes_their_records(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    testcommands_run_ms(t, 5);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 1);
    t->held = true;
    (void)testcommands_add_journaled(t, 1);
    (void)testcommands_add_journaled(t, 1);
    testcommands_wait(t, 3);
    put_position(t);
    testcommands_crash(t);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(t->got[i].number, i < 3 ? i : i - 2);
}

// The position that the journal has.
static int64_t read_position(struct testcommands *t)
{
    struct wz_reader_options options = {.position = 0};
    int64_t position = -1;
    struct wz_reader *reader;
    struct wz_record record;

    assert_int_equal(wz_reader_open(wz_journal_log(t->journal), &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        struct wz_cursor value = wz_cursor(record.value);

        if (!wz_slice_eq(record.key, WZ_SLICE_LIT("D")))
            continue;
        (void)wz_cursor_get_u8(&value); // its version
        position = (int64_t)wz_cursor_get_u64(&value);
        assert_false(value.failed);
    }
    wz_reader_close(reader);
    return position;
}

static void test_commands_position_stays_where_the_stream_is_durable(void **state)
{
    struct testcommands *t = *state;

    t->options.memory_bytes = 1;
    testcommands_open(t);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 1);
    testcommands_run_ms(t, 5);
    t->held = true;
    (void)testcommands_add_journaled(t, 1);
    testcommands_wait(t, 2);
    for (int i = 0; i < 3; i++) { // the tail is empty; then it overflows, and is behind
        put_position(t);
        assert_int_equal(read_position(t), t->offsets[0] + 1);
        (void)testcommands_add(t, 1, 0);
    }
}

static void test_commands_are_those_that_came_through_egress(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    t->busy = true;
    testcommands_add_other(t, true);
    testcommands_add_other(t, false);
    (void)testcommands_add(t, 1, 0);
    testcommands_run_ms(t, 50);
    testcommands_crash(t); // read back from the stream, all of it, as no position was put
    testcommands_wait(t, 1);
    testcommands_run_ms(t, 50);
    assert_int_equal(t->got_count, 1);
}

static void test_commands_that_were_sent_are_not_sent_again_after_a_stop(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    for (int i = 0; i < 20; i++)
        (void)testcommands_add(t, i % 5, 0);
    testcommands_wait(t, 20);
    (void)testcommands_add(t, 1, 0); // not durable when it stops
    testcommands_close(t);
    testcommands_open(t);
    testcommands_wait(t, 21);
    testcommands_run_ms(t, 50);
    expect_once_in_order(t);
}

static void test_commands_position_follows_within_a_second_without_traffic(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    testcommands_run_ms(t, 1200); // the first position is put
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 1);
    testcommands_run_ms(t, 1300);
    testcommands_crash(t);
    testcommands_run_ms(t, 100);
    assert_int_equal(t->got_count, 1);
}

static void test_commands_that_are_too_old_are_counted_and_not_sent(void **state)
{
    struct testcommands *t = *state;
    int64_t expired = wz_metric_get(WZ_METRIC_COMMANDS_EXPIRED);

    t->options.expiry_ms = 5 * SECOND_MS;
    testcommands_open(t);
    (void)testcommands_add(t, 1, 6 * SECOND_MS);
    (void)testcommands_add(t, 1, 4 * SECOND_MS);
    (void)testcommands_add(t, 2, 0);
    testcommands_wait(t, 2);
    testcommands_turn(t);
    assert_int_equal(t->got[0].number, 1);
    assert_int_equal(wz_metric_get(WZ_METRIC_COMMANDS_EXPIRED) - expired, 1);
}

static void test_commands_never_are_too_old_without_an_expiry(void **state)
{
    struct testcommands *t = *state;

    t->options.expiry_ms = 0;
    testcommands_open(t);
    t->busy = true;
    (void)testcommands_add(t, 1, 1000000 * SECOND_MS);
    testcommands_run_ms(t, 50);
    testcommands_crash(t); // there is no position yet: from the first record on
    testcommands_wait(t, 1);
}

static void test_commands_without_a_position_go_on_from_those_that_are_not_too_old(void **state)
{
    struct testcommands *t = *state;
    char command[128];

    t->options.expiry_ms = 5 * SECOND_MS;
    testcommands_open(t);
    t->busy = true;
    (void)testcommands_add(t, 1, 60 * SECOND_MS);
    testcommands_run_ms(t, 20);
    (void)testcommands_add(t, 1, 0);
    testcommands_run_ms(t, 20);
    testcommands_close(t);
    (void)snprintf(command, sizeof(command), "rm -r '%s/journal'", t->dir);
    assert_int_equal(system(command), 0);
    t->busy = false;
    testcommands_open(t);
    testcommands_wait(t, 1);
    assert_int_equal(t->got[0].number, 1);
}

static void test_commands_of_a_topic_that_has_had_its_rate_wait_alone(void **state)
{
    struct testcommands *t = *state;
    int64_t delayed = wz_metric_get(WZ_METRIC_COMMANDS_DELAYED);
    int64_t start_us;

    t->options.rate = 20;
    testcommands_open(t);
    start_us = wz_clock_mono_us();
    for (int i = 0; i < 40; i++)
        (void)testcommands_add(t, 1, 0);
    (void)testcommands_add(t, 2, 0);
    testcommands_wait(t, 21);
    assert_int_equal(t->got[19].topic, 1); // a full bucket at once,
    assert_int_equal(t->got[20].topic, 2); // and then nobody waits for the others
    testcommands_turn(t);
    assert_int_equal(wz_metric_get(WZ_METRIC_COMMANDS_DELAYED) - delayed, 20);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 42);
    assert_true(wz_clock_mono_us() - start_us > 900000); // 21 more at 20 a second
    expect_once_in_order(t);
}

static void test_commands_that_wait_expire_in_their_turn(void **state)
{
    struct testcommands *t = *state;
    int64_t expired = wz_metric_get(WZ_METRIC_COMMANDS_EXPIRED);

    t->options.rate = 1;
    t->options.expiry_ms = 500;
    testcommands_open(t);
    for (int i = 0; i < 1000; i++) // more than one reading takes
        (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 1);
    testcommands_run_ms(t, 1500);
    assert_int_equal(wz_metric_get(WZ_METRIC_COMMANDS_EXPIRED) - expired, 999);
    assert_int_equal(t->got_count, 1);
    (void)testcommands_add(t, 1, 0); // nothing waits before it any more
    testcommands_wait(t, 2);
    assert_int_equal(t->got[1].number, 1000);
}

static void test_commands_that_wait_go_to_the_device_of_the_newest_mapping(void **state)
{
    struct testcommands *t = *state;

    t->options.rate = 10;
    testcommands_open(t);
    for (int i = 0; i < 12; i++)
        (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 10);
    testcommands_map(t, true);
    testcommands_wait(t, 12);
    assert_false(t->got[9].renamed);
    assert_true(t->got[10].renamed);
    assert_true(t->got[11].renamed);
}

// A topic that waits has a position of its own: others are not sent again for it.
static void test_commands_of_other_topics_do_not_come_again_because_one_waits(void **state)
{
    struct testcommands *t = *state;

    t->options.rate = 5;
    testcommands_open(t);
    for (int i = 0; i < 20; i++)
        (void)testcommands_add(t, i < 10 ? 1 : i % 4 + 2, 0);
    testcommands_wait(t, 15); // five of them wait
    testcommands_close(t);
    testcommands_open(t);
    (void)testcommands_add(t, 1, 0);
    (void)testcommands_add(t, 2, 0);
    testcommands_wait(t, 22);
    testcommands_close(t); // the topic's position is taken out
    testcommands_open(t);
    testcommands_run_ms(t, 100);
    assert_int_equal(t->got_count, 22);
    expect_once_in_order(t);
}

static void test_commands_that_memory_does_not_hold_are_read_back(void **state)
{
    struct testcommands *t = *state;

    t->options.memory_bytes = 1000;
    t->options.rate = 100000;
    testcommands_open(t);
    for (int i = 0; i < 2000; i++) {
        (void)testcommands_add(t, i % 7, 0);
        if (i % 100 == 0)
            testcommands_turn(t);
    }
    testcommands_wait(t, 2000);
    testcommands_run_ms(t, 20);
    expect_once_in_order(t);
}

static void test_commands_to_more_topics_than_there_are_buckets_wait(void **state)
{
    struct testcommands *t = *state;

    t->options.rate = 2;
    t->options.max_topics = 2;
    testcommands_open(t);
    for (int i = 0; i < 12; i++)
        (void)testcommands_add(t, i % 4, 0);
    testcommands_wait(t, 12);
    expect_once_in_order(t);
}

static void test_commands_wait_for_a_bus_that_is_busy(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    t->busy = true;
    for (int i = 0; i < 10; i++)
        (void)testcommands_add(t, i % 2, 0);
    testcommands_run_ms(t, 50);
    assert_int_equal(t->got_count, 0);
    t->busy = false;
    wz_bus_durable(t->bus); // as when the journal has got further
    testcommands_wait(t, 10);
    expect_once_in_order(t);
}

static void test_commands_without_a_device_are_counted_and_hold_nothing_up(void **state)
{
    struct testcommands *t = *state;
    int64_t unmapped = wz_metric_get(WZ_METRIC_DEMUX_COMMANDS_UNMAPPED);

    testcommands_open(t);
    (void)testcommands_add(t, 99, 0);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 1);
    testcommands_turn(t);
    assert_int_equal(t->got[0].topic, 1);
    assert_int_equal(wz_metric_get(WZ_METRIC_DEMUX_COMMANDS_UNMAPPED) - unmapped, 1);
}

static int on_subscriber(void *arg, const struct wz_message *msg, void **slot,
                         struct wz_ticket *ret_ticket)
{
    (void)arg;
    (void)msg;
    (void)slot;
    (void)ret_ticket;
    return WZ_OK;
}

static void test_commands_that_nobody_has_subscribed_to_are_counted(void **state)
{
    struct testcommands *t = *state;
    int64_t undelivered = wz_metric_get(WZ_METRIC_COMMANDS_UNDELIVERED);

    testcommands_open(t); // the test's device is where the router is else
    assert_int_equal(wz_bus_bind(t->bus, WZ_BUS_DEVICES, WZ_SLICE_LIT("dev/1/command"),
                                 on_subscriber, NULL, t, &t->subscriber),
                     WZ_OK);
    (void)testcommands_add(t, 1, 0);
    (void)testcommands_add(t, 2, 0);
    testcommands_wait(t, 2);
    testcommands_turn(t);
    assert_int_equal(wz_metric_get(WZ_METRIC_COMMANDS_UNDELIVERED) - undelivered, 1);
}

static void test_commands_are_their_values_where_the_mapping_says_so(void **state)
{
    struct testcommands *t = *state;

    testcommands_open(t);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 1);
    assert_true(t->got[0].whole);
    t->value_alone = true;
    testcommands_map(t, false);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 2);
    assert_false(t->got[1].whole);
    t->value_alone = false;
    testcommands_map(t, false);
    (void)testcommands_add(t, 1, 0);
    testcommands_wait(t, 3);
    assert_true(t->got[2].whole);
    expect_once_in_order(t);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_commands_leave_when_their_records_are_durable),
        TEST(test_commands_of_a_step_in_the_journal_leave_at_once),
        TEST(test_commands_stay_behind_one_that_is_not_durable),
        TEST(test_commands_wait_for_a_token_only_on_the_stream),
        TEST(test_commands_that_left_come_again_when_a_crash_takes_their_records),
        TEST(test_commands_position_stays_where_the_stream_is_durable),
        TEST(test_commands_are_those_that_came_through_egress),
        TEST(test_commands_that_were_sent_are_not_sent_again_after_a_stop),
        TEST(test_commands_position_follows_within_a_second_without_traffic),
        TEST(test_commands_that_are_too_old_are_counted_and_not_sent),
        TEST(test_commands_never_are_too_old_without_an_expiry),
        TEST(test_commands_without_a_position_go_on_from_those_that_are_not_too_old),
        TEST(test_commands_of_a_topic_that_has_had_its_rate_wait_alone),
        TEST(test_commands_that_wait_expire_in_their_turn),
        TEST(test_commands_that_wait_go_to_the_device_of_the_newest_mapping),
        TEST(test_commands_of_other_topics_do_not_come_again_because_one_waits),
        TEST(test_commands_that_memory_does_not_hold_are_read_back),
        TEST(test_commands_to_more_topics_than_there_are_buckets_wait),
        TEST(test_commands_wait_for_a_bus_that_is_busy),
        TEST(test_commands_without_a_device_are_counted_and_hold_nothing_up),
        TEST(test_commands_that_nobody_has_subscribed_to_are_counted),
        TEST(test_commands_are_their_values_where_the_mapping_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
