// SPDX-License-Identifier: Apache-2.0
#include "broker/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

static void test_parcel_keeps_all_that_the_message_borrowed(void **state)
{
    char bytes[] = "topic body client from script parent";
    struct wz_message msg = {
        .topic = wz_slice(bytes, 5),
        .body = wz_slice(bytes + 6, 4),
        .client = wz_slice(bytes + 11, 6),
        .from = wz_slice(bytes + 18, 4),
        .script = wz_slice(bytes + 23, 6),
        .parent = wz_slice(bytes + 30, 6),
        .timestamp_ms = 5,
        .offset = 6,
        .append_ms = 7,
        .qos = 1,
        .hops = 2,
        .retain = true,
    };
    struct wz_parcel *parcel = wz_parcel_new(&msg);
    const struct wz_message *kept = &parcel->message;

    (void)state;
    memset(bytes, '?', sizeof(bytes));
    assert_true(wz_slice_eq(kept->topic, WZ_SLICE_LIT("topic")));
    assert_true(wz_slice_eq(kept->body, WZ_SLICE_LIT("body")));
    assert_true(wz_slice_eq(kept->client, WZ_SLICE_LIT("client")));
    assert_true(wz_slice_eq(kept->from, WZ_SLICE_LIT("from")));
    assert_true(wz_slice_eq(kept->script, WZ_SLICE_LIT("script")));
    assert_true(wz_slice_eq(kept->parent, WZ_SLICE_LIT("parent")));
    assert_int_equal(kept->timestamp_ms, 5);
    assert_int_equal(kept->offset, 6);
    assert_int_equal(kept->append_ms, 7);
    assert_int_equal(kept->qos, 1);
    assert_int_equal(kept->hops, 2);
    assert_true(kept->retain);
    wz_parcel_unref(parcel);
}

static void test_parcel_lasts_until_its_last_keeper_goes(void **state)
{
    struct wz_message msg = {.topic = WZ_SLICE_LIT("t")};
    struct wz_parcel *parcel = wz_parcel_new(&msg);

    (void)state;
    assert_ptr_equal(wz_parcel_ref(parcel), parcel);
    wz_parcel_unref(parcel);
    assert_int_equal(parcel->refs, 1);
    assert_true(wz_slice_eq(parcel->message.topic, WZ_SLICE_LIT("t")));
    wz_parcel_unref(parcel);
    wz_parcel_unref(NULL);
}

static void test_delivery_is_copied_once_however_many_keep_it(void **state)
{
    struct wz_message msg = {.topic = WZ_SLICE_LIT("t"), .body = WZ_SLICE_LIT("b")};
    struct wz_delivery delivery = {.message = &msg};
    struct wz_parcel *first = wz_delivery_keep(&delivery);
    struct wz_parcel *second = wz_delivery_keep(&delivery);

    (void)state;
    assert_ptr_equal(first, second);
    assert_int_equal(first->refs, 3); // the delivery's own and two keepers'
    wz_parcel_unref(first);
    wz_parcel_unref(second);
    wz_parcel_unref(delivery.parcel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parcel_keeps_all_that_the_message_borrowed),
        cmocka_unit_test(test_parcel_lasts_until_its_last_keeper_goes),
        cmocka_unit_test(test_delivery_is_copied_once_however_many_keep_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
