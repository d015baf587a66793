// SPDX-License-Identifier: Apache-2.0
// The set of durable queues over a real journal: what is declared, deleted and expired, and a
// message for many of them.
#include "broker/queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "broker/queues_inside.h"
#include "broker/testqueues_test.h"

static int declare(struct testqueues *t, struct wz_slice name)
{
    struct wz_durable_queue *queue;
    int r;

    testqueues_begin(t);
    r = wz_queues_declare(t->queues, name, &queue);
    testqueues_end(t);
    return r;
}

static int64_t live_bytes(struct testqueues *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return info.live_bytes;
}

static void test_queues_are_found_by_their_names(void **state)
{
    struct testqueues *t = *state;
    char longest[65535];

    memset(longest, 'x', sizeof(longest));
    assert_null(testqueues_find(t, "a"));
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            assert_int_equal(declare(t, WZ_SLICE_LIT("a")), WZ_OK);
            assert_int_equal(declare(t, WZ_SLICE_LIT("a b/\xc3\xa4")), WZ_OK);
            assert_int_equal(declare(t, wz_slice(longest, sizeof(longest))), WZ_OK);
        } else {
            testqueues_settle(t);
            testqueues_crash(t);
        }
        assert_int_equal(wz_queues_count(t->queues), 3);
        assert_true(wz_slice_eq(testqueues_find(t, "a")->name, WZ_SLICE_LIT("a")));
        assert_non_null(testqueues_find(t, "a b/\xc3\xa4"));
        assert_non_null(wz_queues_find(t->queues, wz_slice(longest, sizeof(longest))));
        assert_null(wz_queues_find(t->queues, wz_slice(longest, sizeof(longest) - 1)));
    }
}

static void test_queues_are_limited(void **state)
{
    struct testqueues *t = *state;

    t->limits.max_queues = 2;
    testqueues_reopen(t);
    assert_int_equal(declare(t, WZ_SLICE_LIT("a")), WZ_OK);
    assert_int_equal(declare(t, WZ_SLICE_LIT("b")), WZ_OK);
    assert_int_equal(declare(t, WZ_SLICE_LIT("c")), WZ_ERR_LIMIT);
    testqueues_delete(t, "a");
    assert_int_equal(declare(t, WZ_SLICE_LIT("c")), WZ_OK);
    t->limits.max_queues = 1; // what is there stays
    testqueues_settle(t);
    testqueues_reopen(t);
    assert_int_equal(wz_queues_count(t->queues), 2);
    assert_int_equal(declare(t, WZ_SLICE_LIT("d")), WZ_ERR_LIMIT);
}

static void test_queues_that_are_deleted_leave_nothing(void **state)
{
    struct testqueues *t = *state;
    int64_t before;

    testqueues_settle(t);
    before = live_bytes(t);
    for (int round = 0; round < 2; round++) {
        struct testconsumer consumer = {0};
        struct wz_durable_queue *queue = testqueues_bound(t, "q", "t", 2);
        uint16_t id;

        testconsumer_attach(&consumer, queue);
        for (uint32_t i = 0; i < 10; i++)
            testqueues_publish(t, "t", i, 2, 100);
        id = testconsumer_expect(t, &consumer, 0, 2, false);
        assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_RELEASED), WZ_OK);
        assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_SETTLED), WZ_OK);
        testqueues_begin(t);
        wz_queues_received(queue, 5, -1);
        testqueues_end(t);
        testqueues_settle(t);
        testconsumer_detach(&consumer, 1);
        testqueues_delete(t, "q");
        testqueues_publish(t, "t", 11, 2, 100); // goes nowhere
        assert_int_equal(wz_queues_count(t->queues), 0);
        assert_int_equal(testqueues_messages(t), 0);
        testqueues_settle(t);
        if (round == 1)
            testqueues_crash(t);
        assert_null(testqueues_find(t, "q"));
    }
    // Nothing but the mark on raw-stream, which was put when a message came in.
    assert_in_range(live_bytes(t), before, before + 40);
}

static void test_queues_of_one_name_have_nothing_in_common(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    uint8_t id[8];

    memcpy(id, testqueues_bound(t, "q", "t", 1)->id, sizeof(id));
    testqueues_publish(t, "t", 1, 1, 100);
    testqueues_delete(t, "q");
    for (int round = 0; round < 2; round++) {
        struct wz_durable_queue *queue = testqueues_queue(t, "q");

        assert_memory_not_equal(queue->id, id, sizeof(id));
        assert_int_equal(queue->bindings.count, 0);
        testconsumer_attach(&consumer, queue);
        testconsumer_expect_none(t, &consumer);
        testconsumer_detach(&consumer, 1);
        testqueues_settle(t);
        testqueues_crash(t);
    }
}

static void test_queues_share_the_body_of_a_message_for_many(void **state)
{
    enum { COUNT = 50, LEN = 100000 };
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    int64_t before;

    for (int i = 0; i < COUNT; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "q%d", i);
        (void)testqueues_bound(t, name, i % 2 == 0 ? "t" : "+", 1 + (unsigned)i % 2);
    }
    testqueues_settle(t);
    before = live_bytes(t);
    testqueues_publish(t, "t", 1, 2, LEN);
    testqueues_publish(t, "t", 2, 1, LEN);
    assert_in_range(live_bytes(t) - before, 2 * LEN, 2 * LEN + 2 * COUNT * 100);
    assert_int_equal(t->queues->shared.count, 2);
    assert_int_equal(testqueues_messages(t), 2 * COUNT);
    testqueues_settle(t);
    testqueues_crash(t);
    assert_int_equal(t->queues->shared.count, 2);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        unsigned qos = 1 + (unsigned)i % 2;
        uint16_t id;

        (void)snprintf(name, sizeof(name), "q%d", i);
        testconsumer_attach(&consumer, testqueues_find(t, name));
        id = testconsumer_expect(t, &consumer, 1, qos, true);
        if (qos == 2)
            assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_RELEASED), WZ_OK);
        assert_int_equal(t->queues->shared.count, i + 1 < COUNT ? 2 : 1); // it needs no body now
        assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_SETTLED), WZ_OK);
        (void)testconsumer_expect(t, &consumer, 2, 1, true);
        testconsumer_detach(&consumer, 1);
        if (i % 3 == 0)
            testqueues_delete(t, name); // with what it has not settled
    }
    testqueues_settle(t);
    assert_in_range(live_bytes(t), LEN, LEN + COUNT * 200);
    testqueues_crash(t);
    assert_int_equal(t->queues->shared.count, 1);
    assert_int_equal(testqueues_messages(t), COUNT - (COUNT + 2) / 3);
}

static void test_queues_forget_shared_bodies_that_nobody_needs(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumers[2] = {0};

    testconsumer_attach(&consumers[0], testqueues_bound(t, "a", "t", 1));
    testconsumer_attach(&consumers[1], testqueues_bound(t, "b", "t", 1));
    for (uint32_t i = 0; i < 500; i++) {
        testqueues_publish(t, "t", i, 1, 50);
        for (int k = 0; k < 2; k++)
            assert_int_equal(testconsumer_settle(t, &consumers[k],
                                                 testconsumer_expect(t, &consumers[k], i, 1, false),
                                                 WZ_SETTLED),
                             WZ_OK);
    }
    assert_int_equal(t->queues->shared.count, 0);
    testconsumer_detach(&consumers[0], 1);
    testconsumer_detach(&consumers[1], 1);
    testqueues_settle(t);
    testqueues_crash(t); // all of them are in the journal still
    assert_int_equal(t->queues->shared.count, 0);
    assert_int_equal(testqueues_messages(t), 0);
}

static void test_queues_that_are_full_refuse_for_themselves(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};

    t->limits.max_count = 2;
    testqueues_reopen(t);
    (void)testqueues_bound(t, "full", "#", 1);
    (void)testqueues_bound(t, "other", "t", 1);
    testqueues_publish(t, "u", 1, 1, 10);
    testqueues_publish(t, "u", 2, 1, 10);
    testqueues_publish(t, "u", 3, 1, 10);
    testqueues_publish(t, "t", 4, 1, 10);
    testqueues_publish(t, "t", 5, 1, 10);
    testqueues_publish(t, "t", 6, 1, 10); // both refuse
    assert_int_equal(testqueues_messages(t), 4);
    assert_int_equal(t->queues->shared.count, 2);
    testconsumer_attach(&consumer, testqueues_find(t, "other"));
    (void)testconsumer_expect(t, &consumer, 4, 1, false);
    (void)testconsumer_expect(t, &consumer, 5, 1, false);
    testconsumer_expect_none(t, &consumer);
    testconsumer_detach(&consumer, 1);
}

static void test_queues_expire_when_nobody_has_used_them_for_long(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    struct testconsumer left = {0};
    int64_t now_ms;

    t->limits.expiry_ms = 10000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    testconsumer_attach(&consumer, testqueues_queue(t, "used"));
    testconsumer_attach(&left, testqueues_bound(t, "left", "t", 1));
    testconsumer_detach(&left, now_ms - 5000000);
    (void)testqueues_queue(t, "never"); // declared, never used
    testqueues_publish(t, "t", 1, 1, 10);
    wz_queues_expire(t->queues, now_ms + 4900000, now_ms + 4900000);
    assert_int_equal(wz_queues_count(t->queues), 3);
    wz_queues_expire(t->queues, now_ms + 5100000, now_ms + 5100000);
    assert_null(testqueues_find(t, "left"));
    assert_int_equal(testqueues_messages(t), 0);
    wz_queues_expire(t->queues, now_ms + 11000000, now_ms + 11000000);
    assert_null(testqueues_find(t, "never"));
    assert_int_equal(wz_queues_count(t->queues), 1);
    testqueues_settle_and_crash(t); // who was there has left now
    consumer = (struct testconsumer){0};
    now_ms = t->loop.now_ms;
    assert_int_equal(wz_queues_count(t->queues), 1);
    wz_queues_expire(t->queues, now_ms + 9900000, now_ms + 9900000);
    assert_non_null(testqueues_find(t, "used"));
    wz_queues_expire(t->queues, now_ms + 10100000, now_ms + 10100000);
    assert_int_equal(wz_queues_count(t->queues), 0);
}

static void test_queues_do_not_expire_because_the_clock_is_set(void **state)
{
    struct testqueues *t = *state;
    int64_t now_ms;

    t->limits.expiry_ms = 1000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    (void)testqueues_queue(t, "q");
    wz_queues_expire(t->queues, now_ms + 1, 1);
    wz_queues_expire(t->queues, now_ms + INT64_C(1000000000000), 1001); // 30 years in a second
    assert_int_equal(wz_queues_count(t->queues), 1);
    wz_queues_expire(t->queues, now_ms - INT64_C(1000000000000), 2001); // and back
    assert_int_equal(wz_queues_count(t->queues), 1);
    wz_queues_expire(t->queues, now_ms - INT64_C(1000000000000) + 999000, 1001001); // time goes on
    assert_int_equal(wz_queues_count(t->queues), 0);
}

// It is in the journal, too, that they were left at other times of the clock.
static void test_queues_were_left_as_long_ago_after_the_clock_was_set(void **state)
{
    struct testqueues *t = *state;
    int64_t now_ms;

    t->limits.expiry_ms = 10000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    (void)testqueues_queue(t, "q");
    (void)testqueues_queue(t, "r");
    wz_queues_expire(t->queues, now_ms + 1, 1);
    wz_queues_expire(t->queues, now_ms - 1000000, 1001); // back
    testqueues_settle_and_crash(t);
    wz_queues_expire(t->queues, now_ms + 8990000, 1);
    assert_int_equal(wz_queues_count(t->queues), 2);
    wz_queues_expire(t->queues, now_ms + 9010000, 20001);
    assert_int_equal(wz_queues_count(t->queues), 0);
}

// One of thousands, at once.
static void test_queues_expire_as_soon_as_their_time_has_come(void **state)
{
    enum { COUNT = 3000, DUE = 2000 };
    struct testqueues *t = *state;
    int64_t now_ms;

    t->limits.max_queues = COUNT;
    t->limits.expiry_ms = 10000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    for (int i = 0; i < 2 * COUNT; i++) {
        struct testconsumer consumer = {0};
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", i % COUNT);
        if (i < COUNT) {
            (void)testqueues_queue(t, name);
        } else if (i != COUNT + DUE) {
            testconsumer_attach(&consumer, testqueues_find(t, name));
            testconsumer_detach(&consumer, now_ms + 8000);
        }
    }
    wz_queues_expire(t->queues, now_ms + 15000, 1);
    assert_null(testqueues_find(t, "2000"));
    assert_int_equal(wz_queues_count(t->queues), COUNT - 1);
}

static void test_queues_expire_in_their_order_after_a_start(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer first = {0};
    struct testconsumer second = {0};
    int64_t now_ms;

    t->limits.expiry_ms = 10000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    testconsumer_attach(&first, testqueues_queue(t, "first")); // made first, left last
    testconsumer_attach(&second, testqueues_queue(t, "second"));
    testconsumer_detach(&second, now_ms - 2000000);
    testconsumer_detach(&first, now_ms - 1000000);
    testqueues_settle_and_crash(t);
    wz_queues_expire(t->queues, now_ms + 8500000, 1);
    assert_null(testqueues_find(t, "second"));
    assert_non_null(testqueues_find(t, "first"));
    wz_queues_expire(t->queues, now_ms + 9500000, 1000001);
    assert_null(testqueues_find(t, "first"));
}

#define S(text) WZ_SLICE_LIT(text)
#define ID "\0\0\0\0\0\0\0\1"

// Whatever the clock was set to while nobody watched it.
static void test_queues_neither_expire_at_a_start_nor_stay_for_ever(void **state)
{
    const struct {
        struct wz_slice value;
        int64_t expiry_ms;
        int64_t left_ms; // from the start on
    } rows[] = {
        {S("\1\0\0\0\0\0\0\0\1q"), 10000000, 900000},           // 1970
        {S("\1\0\0\0\0\0\0\0\1q"), 500000, 500000},             // the same, at the most
        {S("\1\x7f\0\0\0\0\0\0\1q"), 10000000, 10000000},       // not in our time
        {S("\1\xff\xff\xff\xff\xff\xff\xff\xffq"), 1000, 1000}, // before 1970
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct testqueues t;
        int64_t now_ms;

        testqueues_init(&t);
        t.limits.expiry_ms = rows[i].expiry_ms;
        testqueues_open(&t);
        testqueues_put(&t, 'Q', S(ID), rows[i].value);
        testqueues_settle(&t);
        testqueues_crash(&t);
        now_ms = t.loop.now_ms + rows[i].left_ms;
        wz_queues_expire(t.queues, now_ms, 1);
        if (wz_queues_count(t.queues) != 1)
            fail_msg("row %zu: it expires too early", i);
        wz_queues_expire(t.queues, now_ms + 1000, 1001);
        if (wz_queues_count(t.queues) != 0)
            fail_msg("row %zu: it stays", i);
        testqueues_close(&t);
        testqueues_release(&t);
    }
}

static void test_queues_never_expire_without_an_expiry(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q");
    wz_queues_expire(t->queues, INT64_MAX, INT64_MAX);
    assert_int_equal(wz_queues_count(t->queues), 1);
}

static void test_queues_expire_all_of_many(void **state)
{
    struct testqueues *t = *state;

    wz_log_set_level(WZ_LOG_WARN);
    t->limits.max_queues = 5000;
    t->limits.expiry_ms = 10;
    testqueues_reopen(t);
    for (int i = 0; i < 2500; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(declare(t, wz_slice_str(name)), WZ_OK);
    }
    for (int i = 0; i < 3; i++)
        wz_queues_expire(t->queues, t->loop.now_ms + 1000000, t->loop.now_ms + 1000000);
    assert_int_equal(wz_queues_count(t->queues), 0);
    wz_log_set_level(WZ_LOG_INFO);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, testqueues_set_up, testqueues_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_queues_are_found_by_their_names),
        TEST(test_queues_are_limited),
        TEST(test_queues_that_are_deleted_leave_nothing),
        TEST(test_queues_of_one_name_have_nothing_in_common),
        TEST(test_queues_share_the_body_of_a_message_for_many),
        TEST(test_queues_forget_shared_bodies_that_nobody_needs),
        TEST(test_queues_that_are_full_refuse_for_themselves),
        TEST(test_queues_expire_when_nobody_has_used_them_for_long),
        TEST(test_queues_do_not_expire_because_the_clock_is_set),
        TEST(test_queues_were_left_as_long_ago_after_the_clock_was_set),
        TEST(test_queues_expire_as_soon_as_their_time_has_come),
        TEST(test_queues_expire_in_their_order_after_a_start),
        cmocka_unit_test(test_queues_neither_expire_at_a_start_nor_stay_for_ever),
        TEST(test_queues_never_expire_without_an_expiry),
        TEST(test_queues_expire_all_of_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
