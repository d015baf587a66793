// SPDX-License-Identifier: Apache-2.0
#include "router/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define L(text) WZ_SLICE_LIT(text)
#define SECOND_US 1000000

static int taken(const struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t now_us)
{
    int count = 0;

    while (count < 10000 && wz_bucket_take(buckets, bucket, now_us))
        count++;
    return count;
}

static void test_bucket_gives_its_rate_at_once_and_then_by_the_second(void **state)
{
    struct wz_buckets buckets;
    struct wz_bucket *bucket;

    (void)state;
    wz_buckets_init(&buckets, 100, 10);
    bucket = wz_buckets_use(&buckets, L("a.output"), 7 * SECOND_US);
    assert_int_equal(taken(&buckets, bucket, 7 * SECOND_US), 100);
    assert_int_equal(wz_bucket_token_us(&buckets, bucket), 7 * SECOND_US + 10000);
    assert_int_equal(taken(&buckets, bucket, 7 * SECOND_US + 9999), 0);
    assert_int_equal(taken(&buckets, bucket, 7 * SECOND_US + 10000), 1);
    assert_int_equal(taken(&buckets, bucket, 7 * SECOND_US + 500000), 49);
    assert_int_equal(taken(&buckets, bucket, 100 * SECOND_US), 100); // never more
    wz_buckets_release(&buckets);
}

static void test_bucket_has_the_token_again_that_was_given_back(void **state)
{
    struct wz_buckets buckets;
    struct wz_bucket *bucket;

    (void)state;
    wz_buckets_init(&buckets, 1, 10);
    bucket = wz_buckets_use(&buckets, L("a.output"), SECOND_US);
    assert_true(wz_bucket_take(&buckets, bucket, SECOND_US));
    assert_false(wz_bucket_take(&buckets, bucket, SECOND_US));
    wz_bucket_give_back(&buckets, bucket);
    assert_true(wz_bucket_take(&buckets, bucket, SECOND_US));
    wz_buckets_release(&buckets);
}

static void test_buckets_of_the_highest_rate_give_that(void **state)
{
    struct wz_buckets buckets;
    struct wz_bucket *bucket;

    (void)state;
    wz_buckets_init(&buckets, 1000000, 10);
    bucket = wz_buckets_use(&buckets, L("a.output"), 0);
    assert_int_equal(taken(&buckets, bucket, 0), 10000);
    assert_true(wz_bucket_token_us(&buckets, bucket) < 0);
    wz_buckets_release(&buckets);
}

static void test_buckets_forget_the_full_one_that_was_not_used_longest(void **state)
{
    struct wz_buckets buckets;
    struct wz_bucket *a;

    (void)state;
    wz_buckets_init(&buckets, 10, 2);
    a = wz_buckets_use(&buckets, L("a.output"), 0);
    (void)wz_buckets_use(&buckets, L("b.output"), 0);
    assert_ptr_equal(wz_buckets_use(&buckets, L("a.output"), 0), a);
    assert_non_null(wz_buckets_use(&buckets, L("c.output"), 0));
    assert_null(wz_buckets_find(&buckets, L("b.output")));
    assert_ptr_equal(wz_buckets_find(&buckets, L("a.output")), a);
    wz_buckets_release(&buckets);
}

static void test_buckets_keep_those_that_have_something_to_say(void **state)
{
    struct wz_buckets buckets;
    struct wz_bucket *a;
    struct wz_bucket *b;

    (void)state;
    wz_buckets_init(&buckets, 10, 2);
    a = wz_buckets_use(&buckets, L("a.output"), 0);
    b = wz_buckets_use(&buckets, L("b.output"), 0);
    wz_bucket_wait(&buckets, a, 17, 0);
    assert_true(wz_bucket_take(&buckets, b, 0));
    assert_null(wz_buckets_use(&buckets, L("c.output"), 0)); // one waits, the other is not full
    assert_non_null(wz_buckets_use(&buckets, L("c.output"), 100000));
    assert_null(wz_buckets_find(&buckets, L("b.output")));
    wz_buckets_release(&buckets);
}

static void test_bucket_remembers_from_where_to_where_commands_wait(void **state)
{
    struct wz_buckets buckets;
    struct wz_bucket *bucket;

    (void)state;
    wz_buckets_init(&buckets, 10, 2);
    bucket = wz_buckets_use(&buckets, L("a.output"), 0);
    assert_false(wz_bucket_waits(bucket));
    wz_bucket_wait(&buckets, bucket, 17, 5);
    wz_bucket_wait(&buckets, bucket, 40, 9);
    assert_int_equal(bucket->from, 17);
    assert_int_equal(bucket->last, 40);
    assert_int_equal(bucket->due_us, 5); // still the first one's
    wz_bucket_advance(&buckets, bucket, 18, 7);
    assert_true(wz_bucket_waits(bucket));
    assert_ptr_equal(buckets.waiting.next, &bucket->link);
    bucket->place.offset = 3; // the journal knows of it
    wz_bucket_advance(&buckets, bucket, 41, 8);
    assert_false(wz_bucket_waits(bucket));
    assert_ptr_equal(buckets.drained.next, &bucket->link);
    bucket->place.offset = -1;
    wz_bucket_settle(&buckets, bucket);
    assert_ptr_equal(buckets.idle.next, &bucket->link);
    wz_buckets_release(&buckets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_gives_its_rate_at_once_and_then_by_the_second),
        cmocka_unit_test(test_bucket_has_the_token_again_that_was_given_back),
        cmocka_unit_test(test_buckets_of_the_highest_rate_give_that),
        cmocka_unit_test(test_buckets_forget_the_full_one_that_was_not_used_longest),
        cmocka_unit_test(test_buckets_keep_those_that_have_something_to_say),
        cmocka_unit_test(test_bucket_remembers_from_where_to_where_commands_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
