// SPDX-License-Identifier: Apache-2.0
#include "broker/packet_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_packet_ids_start_at_one(void **state)
{
    struct wz_packet_ids ids = {0};

    (void)state;
    assert_int_equal(wz_packet_ids_next(&ids), 1);
    assert_int_equal(wz_packet_ids_next(&ids), 2);
    assert_int_equal(ids.count, 2);
    wz_packet_ids_release(&ids);
}

static void test_packet_ids_wrap_past_one_that_is_stuck(void **state)
{
    struct wz_packet_ids ids = {0};
    uint16_t stuck;
    uint32_t given = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(wz_packet_ids_remove(&ids, wz_packet_ids_next(&ids)));
    stuck = wz_packet_ids_next(&ids);
    for (int i = 0; i < 3 * 65535; i++) {
        uint16_t id = wz_packet_ids_next(&ids);

        assert_int_not_equal(id, 0);
        assert_int_not_equal(id, stuck);
        assert_true(wz_packet_ids_remove(&ids, id));
        given++;
    }
    assert_int_equal(given, 3 * 65535);
    assert_true(wz_packet_ids_has(&ids, stuck));
    assert_int_equal(ids.count, 1);
    wz_packet_ids_release(&ids);
}

static void test_packet_ids_find_the_last_free_one(void **state)
{
    struct wz_packet_ids ids = {0};

    (void)state;
    for (int i = 0; i < 65535; i++)
        (void)wz_packet_ids_next(&ids);
    assert_true(wz_packet_ids_remove(&ids, 4711));
    assert_int_equal(wz_packet_ids_next(&ids), 4711);
    assert_int_equal(ids.count, 65535);
    wz_packet_ids_release(&ids);
}

static void test_packet_ids_are_in_the_set_once(void **state)
{
    struct wz_packet_ids ids = {0};

    (void)state;
    assert_false(wz_packet_ids_has(&ids, 65535));
    assert_true(wz_packet_ids_add(&ids, 65535));
    assert_false(wz_packet_ids_add(&ids, 65535));
    assert_true(wz_packet_ids_has(&ids, 65535));
    assert_int_equal(ids.count, 1);
    assert_true(wz_packet_ids_remove(&ids, 65535));
    assert_false(wz_packet_ids_remove(&ids, 65535));
    assert_false(wz_packet_ids_remove(&ids, 1));
    assert_int_equal(ids.count, 0);
    wz_packet_ids_release(&ids);
}

static void test_packet_ids_of_an_empty_set_cost_nothing(void **state)
{
    struct wz_packet_ids ids = {0};

    (void)state;
    assert_false(wz_packet_ids_remove(&ids, 1));
    assert_null(ids.pages);
    wz_packet_ids_release(&ids);
    assert_null(ids.pages);
}

static void test_packet_ids_trim_frees_only_an_empty_set(void **state)
{
    struct wz_packet_ids ids = {0};

    (void)state;
    assert_int_equal(wz_packet_ids_next(&ids), 1);
    wz_packet_ids_trim(&ids);
    assert_true(wz_packet_ids_has(&ids, 1));
    assert_true(wz_packet_ids_remove(&ids, 1));
    wz_packet_ids_trim(&ids);
    assert_null(ids.pages);
    assert_int_equal(wz_packet_ids_next(&ids), 2); // the count goes on
    wz_packet_ids_release(&ids);
}

static void test_packet_ids_take_memory_for_the_part_that_is_in_use(void **state)
{
    struct wz_packet_ids ids = {0};

    (void)state;
    assert_int_equal(wz_packet_ids_bytes(&ids), 0);
    for (int i = 0; i < 4000; i++)
        (void)wz_packet_ids_next(&ids);
    assert_int_equal(wz_packet_ids_bytes(&ids), 128 + 512);
    for (uint32_t id = 1; id <= UINT16_MAX; id += 97)
        (void)wz_packet_ids_add(&ids, (uint16_t)id);
    assert_int_equal(wz_packet_ids_bytes(&ids), 128 + 8192);
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        if (id != 1 && id != 20000)
            (void)wz_packet_ids_remove(&ids, (uint16_t)id);
    }
    (void)wz_packet_ids_add(&ids, 1);
    (void)wz_packet_ids_add(&ids, 20000);
    wz_packet_ids_trim(&ids);
    assert_int_equal(wz_packet_ids_bytes(&ids), 128 + 2 * 512);
    assert_true(wz_packet_ids_has(&ids, 1) && wz_packet_ids_has(&ids, 20000));
    assert_int_equal(ids.count, 2);
    wz_packet_ids_release(&ids);
    assert_int_equal(wz_packet_ids_bytes(&ids), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_ids_start_at_one),
        cmocka_unit_test(test_packet_ids_wrap_past_one_that_is_stuck),
        cmocka_unit_test(test_packet_ids_find_the_last_free_one),
        cmocka_unit_test(test_packet_ids_are_in_the_set_once),
        cmocka_unit_test(test_packet_ids_of_an_empty_set_cost_nothing),
        cmocka_unit_test(test_packet_ids_trim_frees_only_an_empty_set),
        cmocka_unit_test(test_packet_ids_take_memory_for_the_part_that_is_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
