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

    (void)state;
    for (int round = 1; round < 40; round++) {
        for (int i = 0; i < round; i++)
            assert_int_equal(wz_queue_push(&queue, numbered(put++)), WZ_OK);
        for (int i = 0; i < round - 1; i++) {
            assert_int_equal(wz_queue_first(&queue)->message.offset, taken++);
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
    assert_int_equal(wz_queue_push(&queue, numbered(1)), WZ_OK);
    assert_int_equal(wz_queue_push(&queue, numbered(2)), WZ_OK);
    assert_int_equal(wz_queue_push(&queue, third), WZ_ERR_LIMIT);
    wz_queue_pop(&queue);
    assert_int_equal(wz_queue_push(&queue, third), WZ_OK);
    wz_queue_release(&queue);
}

static void test_queue_refuses_at_its_bytes_and_counts_the_structs_too(void **state)
{
    struct wz_parcel *first = numbered(1);
    struct wz_parcel *second = numbered(2);
    struct wz_queue queue = {.max_count = 100, .max_bytes = 2 * (sizeof(*first) + first->len) - 1};

    (void)state;
    assert_int_equal(wz_queue_push(&queue, first), WZ_OK);
    assert_int_equal(wz_queue_push(&queue, second), WZ_ERR_LIMIT);
    queue.max_bytes++;
    assert_int_equal(wz_queue_push(&queue, second), WZ_OK);
    assert_int_equal(queue.bytes, queue.max_bytes);
    wz_queue_release(&queue);
}

static void test_queue_that_is_empty_owns_nothing(void **state)
{
    struct wz_queue queue = {.max_count = 10, .max_bytes = 1 << 20};

    (void)state;
    assert_null(wz_queue_first(&queue));
    assert_int_equal(wz_queue_push(&queue, numbered(1)), WZ_OK);
    wz_queue_pop(&queue);
    assert_null(wz_queue_first(&queue));
    assert_null(queue.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_gives_back_in_order_while_it_grows_and_wraps),
        cmocka_unit_test(test_queue_refuses_at_its_count),
        cmocka_unit_test(test_queue_refuses_at_its_bytes_and_counts_the_structs_too),
        cmocka_unit_test(test_queue_that_is_empty_owns_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
