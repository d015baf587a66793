// SPDX-License-Identifier: Apache-2.0
#include "broker/acks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// A log of which only the durable end is looked at.
struct wz_log {
    int64_t durable_end;
};

int64_t wz_log_durable_end(const struct wz_log *log) { return log->durable_end; }

static void push(struct wz_acks *acks, struct wz_log *log, int64_t offset, uint16_t packet_id)
{
    struct wz_ack ack = {
        .ticket = {.stream = log, .offset = offset}, .packet_id = packet_id, .type = 4};

    assert_int_equal(wz_acks_push(acks, &ack), WZ_OK);
}

static void test_acks_leave_only_when_their_message_is_durable(void **state)
{
    struct wz_log log = {.durable_end = 10};
    struct wz_acks acks = {0};
    struct wz_ack ack;

    (void)state;
    push(&acks, &log, 10, 7);
    assert_false(wz_acks_take(&acks, &ack));
    log.durable_end = 11;
    assert_true(wz_acks_take(&acks, &ack));
    assert_int_equal(ack.packet_id, 7);
    assert_int_equal(ack.type, 4);
    assert_false(wz_acks_take(&acks, &ack));
    wz_acks_release(&acks);
}

static void test_acks_wait_for_both_logs(void **state)
{
    struct wz_log stream = {.durable_end = 10};
    struct wz_log journal = {.durable_end = 10};
    struct wz_ack owed = {
        .ticket = {.stream = &stream, .offset = 10, .journal = &journal, .journal_offset = 20},
        .len = 77};
    struct wz_acks acks = {0};
    struct wz_ack ack;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wz_acks_push(&acks, &owed), WZ_OK);
        assert_false(wz_acks_take(&acks, &ack));
        stream.durable_end = i == 0 ? 11 : 10;
        journal.durable_end = i == 0 ? 20 : 21;
        assert_false(wz_acks_take(&acks, &ack));
        stream.durable_end = 11;
        journal.durable_end = 21;
        assert_true(wz_acks_take(&acks, &ack));
        assert_int_equal(ack.len, 77);
        stream.durable_end = 10;
        journal.durable_end = 20;
    }
    wz_acks_release(&acks);
}

static void test_acks_never_overtake_one_that_waits(void **state)
{
    struct wz_log slow = {.durable_end = 0};
    struct wz_log fast = {.durable_end = 100};
    struct wz_acks acks = {0};
    struct wz_ack ack;

    (void)state;
    push(&acks, &slow, 0, 1);
    push(&acks, &fast, 5, 2);
    push(&acks, NULL, 0, 3); // waits for nothing but its turn
    assert_false(wz_acks_take(&acks, &ack));
    slow.durable_end = 1;
    for (uint16_t id = 1; id <= 3; id++) {
        assert_true(wz_acks_take(&acks, &ack));
        assert_int_equal(ack.packet_id, id);
    }
    wz_acks_release(&acks);
}

static void test_acks_stay_in_order_while_the_ring_grows_and_wraps(void **state)
{
    struct wz_acks acks = {0};
    struct wz_ack ack;
    uint16_t put = 0;
    uint16_t taken = 0;

    (void)state;
    for (int round = 1; round < 60; round++) {
        for (int i = 0; i < round; i++)
            push(&acks, NULL, 0, put++);
        for (int i = 0; i < round - 1; i++) {
            assert_true(wz_acks_take(&acks, &ack));
            assert_int_equal(ack.packet_id, taken++);
        }
    }
    assert_int_equal(acks.count, put - taken);
    wz_acks_release(&acks);
}

static void test_acks_are_limited_and_the_ring_goes_when_it_was_large(void **state)
{
    struct wz_acks acks = {0};
    struct wz_ack ack = {0};

    (void)state;
    for (int i = 0; i < WZ_ACKS_MAX; i++)
        push(&acks, NULL, 0, (uint16_t)i);
    assert_int_equal(wz_acks_push(&acks, &ack), WZ_ERR_LIMIT);
    for (int i = 0; i < WZ_ACKS_MAX; i++)
        assert_true(wz_acks_take(&acks, &ack));
    assert_false(wz_acks_take(&acks, &ack));
    assert_null(acks.ring);
}

static void test_acks_are_trimmed_when_none_is_owed(void **state)
{
    struct wz_log log = {.durable_end = 10};
    struct wz_acks acks = {0};
    struct wz_ack ack;

    (void)state;
    push(&acks, &log, 10, 7);
    wz_acks_trim(&acks);
    log.durable_end = 11;
    assert_true(wz_acks_take(&acks, &ack));
    assert_int_equal(ack.packet_id, 7);
    wz_acks_trim(&acks);
    assert_null(acks.ring);
}

static void test_acks_say_what_the_next_one_takes_beyond_a_few(void **state)
{
    struct wz_log log = {.durable_end = 0};
    struct wz_acks acks = {0};
    int grown = 0;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        size_t growth = wz_acks_growth(&acks);
        size_t before = wz_acks_bytes(&acks);

        push(&acks, &log, i, (uint16_t)(1 + i));
        if (growth > 0)
            assert_int_equal(wz_acks_bytes(&acks), growth);
        else if (i >= WZ_ACKS_FEW)
            assert_int_equal(wz_acks_bytes(&acks), before);
        assert_true(i >= WZ_ACKS_FEW || growth == 0);
        grown += growth > 0;
    }
    assert_int_equal(grown, 7); // to 8192
    wz_acks_release(&acks);
    assert_int_equal(wz_acks_bytes(&acks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acks_leave_only_when_their_message_is_durable),
        cmocka_unit_test(test_acks_wait_for_both_logs),
        cmocka_unit_test(test_acks_never_overtake_one_that_waits),
        cmocka_unit_test(test_acks_stay_in_order_while_the_ring_grows_and_wraps),
        cmocka_unit_test(test_acks_are_limited_and_the_ring_goes_when_it_was_large),
        cmocka_unit_test(test_acks_are_trimmed_when_none_is_owed),
        cmocka_unit_test(test_acks_say_what_the_next_one_takes_beyond_a_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
