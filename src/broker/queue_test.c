// SPDX-License-Identifier: Apache-2.0
#include "broker/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct wz_parcel *numbered(int64_t number)
{
    struct wz_message msg = {.topic = WZ_SLICE_LIT("t"), .offset = number};

    return wz_parcel_new(&msg);
}

static void test_queue_gives_back_in_order_while_it_grows_and_wraps(void **state)
{
    struct wz_queue queue = {.max_count = 1000, .max_bytes = 1 << 20};
    int64_t put = 0;
    int64_t taken = 0;
    unsigned qos;

    (void)state;
    for (int round = 1; round < 40; round++) {
        for (int i = 0; i < round; i++, put++)
            assert_int_equal(wz_queue_push(&queue, numbered(put), (unsigned)(put % 3)), WZ_OK);
        for (int i = 0; i < round - 1; i++) {
            assert_int_equal(wz_queue_first(&queue, &qos)->message.offset, taken);
            assert_int_equal(qos, taken++ % 3);
            wz_queue_pop(&queue);
        }
    }
    assert_int_equal(queue.count, put - taken);
    wz_queue_release(&queue);
    assert_int_equal(queue.count, 0);
    assert_int_equal(queue.bytes, 0);
}

static void test_queue_refuses_at_its_count(void **state)
{
    struct wz_queue queue = {.max_count = 2, .max_bytes = 1 << 20};
    struct wz_parcel *third = numbered(3);

    (void)state;
    assert_int_equal(wz_queue_push(&queue, numbered(1), 1), WZ_OK);
    assert_int_equal(wz_queue_push(&queue, numbered(2), 1), WZ_OK);
    assert_int_equal(wz_queue_push(&queue, third, 1), WZ_ERR_LIMIT);
    wz_queue_pop(&queue);
    assert_int_equal(wz_queue_push(&queue, third, 1), WZ_OK);
    wz_queue_release(&queue);
}

static void test_queue_refuses_at_its_bytes_and_counts_the_structs_too(void **state)
{
    struct wz_parcel *first = numbered(1);
    struct wz_parcel *second = numbered(2);
    struct wz_queue queue = {.max_count = 100, .max_bytes = 2 * (sizeof(*first) + first->len) - 1};

    (void)state;
    assert_int_equal(wz_queue_push(&queue, first, 1), WZ_OK);
    assert_int_equal(wz_queue_push(&queue, second, 1), WZ_ERR_LIMIT);
    queue.max_bytes++;
    assert_int_equal(wz_queue_push(&queue, second, 1), WZ_OK);
    assert_int_equal(queue.bytes, queue.max_bytes);
    wz_queue_release(&queue);
}

static void test_queue_that_is_empty_owns_nothing(void **state)
{
    struct wz_queue queue = {.max_count = 10, .max_bytes = 1 << 20};
    unsigned qos = 3;

    (void)state;
    assert_null(wz_queue_first(&queue, &qos));
    assert_int_equal(wz_queue_push(&queue, numbered(1), 1), WZ_OK);
    wz_queue_pop(&queue);
    assert_null(wz_queue_first(&queue, &qos));
    assert_int_equal(qos, 3); // nothing was first
    assert_null(queue.ring);
}

static void test_queues_count_a_parcel_that_they_share_once(void **state)
{
    struct wz_budget budget = {0};
    struct wz_queue queues[2] = {{.max_count = 10, .max_bytes = 1 << 20, .budget = &budget},
                                 {.max_count = 10, .max_bytes = 1 << 20, .budget = &budget}};
    struct wz_parcel *parcel = numbered(1);
    size_t one;

    (void)state;
    wz_budget_limit(&budget, 1 << 20);
    assert_int_equal(wz_queue_push(&queues[0], wz_parcel_ref(parcel), 1), WZ_OK);
    one = budget.bytes; // with the ring, which each has of its own
    assert_int_equal(wz_queue_push(&queues[1], parcel, 1), WZ_OK);
    assert_int_equal(budget.bytes, 2 * one - sizeof(*parcel) - parcel->len);
    wz_queue_pop(&queues[0]);
    assert_int_equal(budget.bytes, one);
    wz_queue_release(&queues[1]);
    assert_int_equal(budget.bytes, 0);
    wz_queue_release(&queues[0]);
    assert_int_equal(budget.bytes, 0);
}

static void test_queue_refuses_what_the_budget_does_not_allow(void **state)
{
    struct wz_budget budget = {0};
    struct wz_queue queue = {.max_count = 10, .max_bytes = 1 << 20, .budget = &budget};
    struct wz_parcel *second = numbered(2);

    (void)state;
    wz_budget_limit(&budget, 8000);
    assert_int_equal(wz_queue_push(&queue, numbered(1), 1), WZ_OK);
    wz_budget_count(&budget, 0, 7000);
    assert_int_equal(wz_queue_push(&queue, second, 1), WZ_ERR_LIMIT);
    wz_budget_count(&budget, 7000, 0);
    assert_int_equal(wz_queue_push(&queue, second, 1), WZ_OK);
    wz_queue_release(&queue);
    assert_int_equal(budget.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_gives_back_in_order_while_it_grows_and_wraps),
        cmocka_unit_test(test_queue_refuses_at_its_count),
        cmocka_unit_test(test_queue_refuses_at_its_bytes_and_counts_the_structs_too),
        cmocka_unit_test(test_queue_that_is_empty_owns_nothing),
        cmocka_unit_test(test_queues_count_a_parcel_that_they_share_once),
        cmocka_unit_test(test_queue_refuses_what_the_budget_does_not_allow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
