// SPDX-License-Identifier: Apache-2.0
#include "broker/sparse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

struct item {
    int64_t stamp;
    int64_t more[2];
};

static void put(struct wz_sparse *sparse, uint64_t number, int64_t stamp)
{
    struct item *item = wz_sparse_add(sparse, number);

    item->stamp = stamp;
    item->more[1] = stamp;
}

static int64_t stamp_at(const struct wz_sparse *sparse, uint64_t number)
{
    const struct item *item = wz_sparse_at(sparse, number);

    if (item == NULL)
        return -1;
    assert_int_equal(item->more[1], item->stamp);
    return item->stamp;
}

static void test_sparse_items_are_zero_until_they_are_told(void **state)
{
    struct wz_sparse sparse = WZ_SPARSE_OF(struct item);
    const struct item *item;

    (void)state;
    assert_null(wz_sparse_at(&sparse, 0));
    assert_int_equal(wz_sparse_next(&sparse, 0), UINT64_MAX);
    item = wz_sparse_add(&sparse, 1000);
    assert_int_equal(item->stamp, 0);
    assert_int_equal(item->more[1], 0);
    assert_ptr_equal(wz_sparse_at(&sparse, 1000), item);
    assert_ptr_equal(wz_sparse_add(&sparse, 1000), item); // once
    assert_null(wz_sparse_at(&sparse, 999));              // a neighbour
    assert_null(wz_sparse_at(&sparse, 1000 - WZ_SPARSE_CHUNK));
    assert_null(wz_sparse_at(&sparse, 1000 + WZ_SPARSE_CHUNK));
    assert_null(wz_sparse_at(&sparse, UINT64_MAX));
    wz_sparse_release(&sparse);
    assert_null(wz_sparse_at(&sparse, 1000));
}

static void test_sparse_items_begin_anew_where_one_was_before(void **state)
{
    struct wz_sparse sparse = WZ_SPARSE_OF(struct item);

    (void)state;
    put(&sparse, 5, 7);
    wz_sparse_remove(&sparse, 5);
    assert_null(wz_sparse_at(&sparse, 5));
    assert_int_equal(wz_sparse_next(&sparse, 0), UINT64_MAX);
    assert_int_equal(((struct item *)wz_sparse_add(&sparse, 5))->stamp, 0);
    wz_sparse_release(&sparse);
}

static void test_sparse_items_do_not_move_when_others_come_and_go(void **state)
{
    struct wz_sparse sparse = WZ_SPARSE_OF(struct item);
    struct item *item = wz_sparse_add(&sparse, 1000000);

    (void)state;
    item->stamp = 7;
    for (uint64_t i = 1; i <= 2000; i++) { // in front of it, too
        (void)wz_sparse_add(&sparse, 1000000 + i * WZ_SPARSE_CHUNK);
        (void)wz_sparse_add(&sparse, 1000000 - i * WZ_SPARSE_CHUNK);
    }
    for (uint64_t i = 1; i <= 2000; i++) {
        wz_sparse_remove(&sparse, 1000000 - i * WZ_SPARSE_CHUNK);
        wz_sparse_remove(&sparse, 1000000 + i * WZ_SPARSE_CHUNK);
    }
    assert_ptr_equal(wz_sparse_at(&sparse, 1000000), item);
    assert_int_equal(item->stamp, 7);
    wz_sparse_release(&sparse);
}

static void test_sparse_items_that_go_in_front_cost_nothing(void **state)
{
    struct wz_sparse sparse = WZ_SPARSE_OF(struct item);

    (void)state;
    for (uint64_t sequence = 0; sequence < 1000000; sequence++) {
        put(&sparse, sequence, (int64_t)sequence);
        if (sequence < 1000)
            continue;
        assert_int_equal(wz_sparse_next(&sparse, 0), sequence - 1000);
        wz_sparse_remove(&sparse, sequence - 1000);
        assert_int_equal(stamp_at(&sparse, sequence - 999), sequence - 999);
    }
    assert_in_range(sparse.chunk_count, 1000 / WZ_SPARSE_CHUNK, 1000 / WZ_SPARSE_CHUNK + 2);
    assert_in_range(sparse.cap, 1, 100);
    assert_null(wz_sparse_at(&sparse, 1000000 - 1001));
    wz_sparse_release(&sparse);
}

// Some never go: what lies between them costs neither memory nor a walk.
static void test_sparse_items_keep_memory_for_what_is_there_alone(void **state)
{
    const uint64_t stuck[] = {3, 4, 700000, 700000 + ((uint64_t)1 << 40)};
    struct wz_sparse sparse = WZ_SPARSE_OF(struct item);
    uint64_t seen = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(stuck) / sizeof(stuck[0]); i++)
        (void)wz_sparse_add(&sparse, stuck[i]);
    for (uint64_t sequence = 5; sequence < 700000; sequence++) { // all at once
        (void)wz_sparse_add(&sparse, sequence);
        if (sequence >= 600000)
            wz_sparse_remove(&sparse, sequence - 599995);
    }
    for (uint64_t sequence = 100005; sequence < 700000; sequence++)
        wz_sparse_remove(&sparse, sequence);
    for (uint64_t sequence = 700001; sequence < 5000000; sequence++) { // one after the other
        (void)wz_sparse_add(&sparse, sequence);
        wz_sparse_remove(&sparse, sequence);
    }
    assert_in_range(sparse.chunk_count, 3, 4);
    assert_in_range(sparse.cap, 3, 256);
    for (size_t i = 0; i < sizeof(stuck) / sizeof(stuck[0]); i++) {
        seen = wz_sparse_next(&sparse, seen);
        assert_int_equal(seen++, stuck[i]);
    }
    assert_int_equal(wz_sparse_next(&sparse, seen), UINT64_MAX);
    wz_sparse_release(&sparse);
}

static void test_sparse_items_that_go_one_by_one_use_the_same_memory(void **state)
{
    struct wz_sparse sparse = WZ_SPARSE_OF(struct item);
    struct item *item = wz_sparse_add(&sparse, 0);

    (void)state;
    for (uint64_t sequence = 0; sequence < 10000; sequence++) {
        assert_ptr_equal(wz_sparse_add(&sparse, sequence), item + sequence % WZ_SPARSE_CHUNK);
        wz_sparse_remove(&sparse, sequence);
    }
    assert_int_equal(sparse.chunk_count, 1);
    wz_sparse_release(&sparse);
}

// The model: what is put at each sequence from a base on; -1: not there.
struct model {
    int64_t stamps[20000];
    size_t high; // none from here on
};

static void operate(struct wz_sparse *sparse, struct model *model, uint64_t base, int64_t stamp)
{
    const size_t range = sizeof(model->stamps) / sizeof(model->stamps[0]);
    long what = random() % 100;
    size_t at = model->high; // mostly at the end, sometimes behind a gap, sometimes between
    size_t count = what < 95 ? 1 : 200;

    if (what < 5)
        at += (size_t)random() % 300;
    else if (what >= 50 && model->high > 0)
        at = (size_t)random() % model->high;
    for (; count > 0 && at < range; count--, at++) {
        if (what < 60) {
            model->stamps[at] = stamp;
            put(sparse, base + at, stamp);
            model->high = at >= model->high ? at + 1 : model->high;
        } else if (model->stamps[at] >= 0) {
            model->stamps[at] = -1;
            wz_sparse_remove(sparse, base + at);
        }
    }
}

static void check(const struct wz_sparse *sparse, const struct model *model, uint64_t base,
                  unsigned seed)
{
    uint64_t sequence = 0;

    for (size_t at = 0; at < model->high; at++) {
        const struct item *item = wz_sparse_at(sparse, base + at);

        if ((item != NULL ? item->stamp : -1) != model->stamps[at])
            fail_msg("seed %u: item %zu of %zu", seed, at, model->high);
        if (item == NULL)
            continue;
        sequence = wz_sparse_next(sparse, sequence);
        if (sequence++ != base + at)
            fail_msg("seed %u: not %zu but %llu is next", seed, at, (unsigned long long)sequence);
    }
    if (wz_sparse_next(sparse, sequence) != UINT64_MAX)
        fail_msg("seed %u: one more", seed);
}

static void test_sparse_items_are_what_a_plain_array_is(void **state)
{
    const uint64_t base = ((uint64_t)1 << 33) - 777;
    struct model *model = wz_alloc(sizeof(*model));

    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct wz_sparse sparse = WZ_SPARSE_OF(struct item);

        srandom(seed);
        memset(model->stamps, 0xff, sizeof(model->stamps)); // -1
        model->high = 0;
        for (int64_t stamp = 1; stamp <= 4000; stamp++) {
            operate(&sparse, model, base, stamp);
            if (stamp % 200 == 0)
                check(&sparse, model, base, seed);
        }
        wz_sparse_release(&sparse);
    }
    wz_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparse_items_are_zero_until_they_are_told),
        cmocka_unit_test(test_sparse_items_begin_anew_where_one_was_before),
        cmocka_unit_test(test_sparse_items_do_not_move_when_others_come_and_go),
        cmocka_unit_test(test_sparse_items_that_go_in_front_cost_nothing),
        cmocka_unit_test(test_sparse_items_keep_memory_for_what_is_there_alone),
        cmocka_unit_test(test_sparse_items_that_go_one_by_one_use_the_same_memory),
        cmocka_unit_test(test_sparse_items_are_what_a_plain_array_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
