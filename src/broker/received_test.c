// SPDX-License-Identifier: Apache-2.0
#include "broker/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_received_knows_an_identifier_until_it_is_removed(void **state)
{
    struct wz_received received = {0};
    struct wz_received_message *message;

    (void)state;
    assert_null(wz_received_get(&received, 7));
    assert_false(wz_received_remove(&received, 7));
    message = wz_received_add(&received, 7);
    assert_int_equal(message->place.offset, -1);
    assert_int_equal(message->offset, -1);
    assert_false(message->unrecorded || message->unqueued);
    message->offset = 99;
    assert_ptr_equal(wz_received_add(&received, 7), message); // as it is
    assert_int_equal(wz_received_get(&received, 7)->offset, 99);
    assert_int_equal(received.count, 1);
    assert_null(wz_received_get(&received, 8));
    assert_true(wz_received_remove(&received, 7));
    assert_false(wz_received_remove(&received, 7));
    assert_null(wz_received_get(&received, 7));
    assert_int_equal(wz_received_add(&received, 7)->offset, -1); // another message
    wz_received_release(&received);
    assert_null(wz_received_get(&received, 7));
}

static void test_received_has_room_for_every_identifier(void **state)
{
    struct wz_received received = {0};

    (void)state;
    for (uint32_t id = 1; id <= UINT16_MAX; id++)
        wz_received_add(&received, (uint16_t)id)->offset = id;
    assert_int_equal(received.count, UINT16_MAX);
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        assert_int_equal(wz_received_get(&received, (uint16_t)id)->offset, id);
        assert_true(wz_received_remove(&received, (uint16_t)id));
    }
    assert_int_equal(received.count, 0);
    wz_received_release(&received);
}

static void test_received_frees_its_memory_when_there_are_none(void **state)
{
    struct wz_received received = {0};

    (void)state;
    wz_received_trim(&received);
    (void)wz_received_add(&received, 300);
    wz_received_trim(&received);
    assert_non_null(wz_received_get(&received, 300));
    assert_true(wz_received_remove(&received, 300));
    assert_non_null(received.table);
    wz_received_trim(&received);
    assert_null(received.table);
    wz_received_release(&received);
}

static void test_received_is_what_a_plain_array_is(void **state)
{
    static int64_t model[UINT16_MAX + 1];
    struct wz_received received = {0};
    uint32_t count = 0;

    (void)state;
    srandom(31);
    for (int64_t stamp = 1; stamp <= 200000; stamp++) {
        uint16_t id = (uint16_t)(1 + random() % (stamp % 2000 < 1000 ? 50 : UINT16_MAX));

        if (random() % 2 == 0) {
            count += model[id] == 0;
            model[id] = stamp;
            wz_received_add(&received, id)->offset = stamp;
        } else {
            assert_int_equal(wz_received_remove(&received, id), model[id] != 0);
            count -= model[id] != 0;
            model[id] = 0;
        }
        assert_int_equal(received.count, count);
    }
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        const struct wz_received_message *message = wz_received_get(&received, (uint16_t)id);

        assert_int_equal(message != NULL ? message->offset : 0, model[id]);
    }
    wz_received_release(&received);
}

static void test_received_takes_32_bytes_an_identifier_when_all_are_there(void **state)
{
    struct wz_budget budget = {.max = 1 << 30};
    struct wz_received received = {.budget = &budget};

    (void)state;
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        size_t growth = wz_received_growth(&received);
        size_t before = budget.kept;

        (void)wz_received_add(&received, (uint16_t)id);
        assert_int_equal(growth, budget.kept > before && budget.kept > 1024 ? budget.kept : 0);
    }
    assert_int_equal(sizeof(struct wz_received_message), 32);
    assert_int_equal(budget.kept, 65536 * 32);
    assert_int_equal(budget.bytes, budget.kept);
    assert_int_equal(wz_received_growth(&received), 0);
    wz_received_release(&received);
    assert_int_equal(budget.kept, 0);
    assert_int_equal(budget.bytes, 0);
}

static void test_received_shrinks_when_few_are_left(void **state)
{
    struct wz_budget budget = {.max = 1 << 30};
    struct wz_received received = {.budget = &budget};

    (void)state;
    for (uint16_t id = 1; id <= 5000; id++)
        wz_received_add(&received, id)->offset = id;
    for (uint16_t id = 1; id <= 4997; id++)
        assert_true(wz_received_remove(&received, id));
    wz_received_trim(&received);
    assert_in_range(budget.kept, 1, 512);
    for (uint16_t id = 4998; id <= 5000; id++)
        assert_int_equal(wz_received_get(&received, id)->offset, id);
    assert_int_equal(received.count, 3);
    wz_received_release(&received);
    assert_int_equal(budget.kept, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_received_knows_an_identifier_until_it_is_removed),
        cmocka_unit_test(test_received_has_room_for_every_identifier),
        cmocka_unit_test(test_received_frees_its_memory_when_there_are_none),
        cmocka_unit_test(test_received_is_what_a_plain_array_is),
        cmocka_unit_test(test_received_takes_32_bytes_an_identifier_when_all_are_there),
        cmocka_unit_test(test_received_shrinks_when_few_are_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
