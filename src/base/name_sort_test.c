// SPDX-License-Identifier: Apache-2.0
// The order is held against that of a sort that compares two names.
#include "base/name_sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

#define COUNT 20000
#define NAME_MAX_LEN 64
#define DEEP_COUNT 1000

// What the sort hands to name_of.
static const int handed;

struct name {
    size_t len;
    uint8_t bytes[NAME_MAX_LEN];
};

static struct wz_slice name_of(const void *arg, const void *item)
{
    const struct name *name = item;

    assert_ptr_equal(arg, &handed);
    return wz_slice(name->bytes, name->len);
}

static int by_name(const void *a, const void *b)
{
    const struct name *const *left = a;
    const struct name *const *right = b;

    return wz_slice_cmp(name_of(&handed, *left), name_of(&handed, *right));
}

// Sorts COUNT names both ways. Those that are equal may come in any order.
static void check(const struct name *names, size_t count)
{
    struct wz_named *items = wz_alloc(count * sizeof(items[0]));
    const struct name **expected = wz_alloc(count * sizeof(expected[0]));

    for (size_t i = 0; i < count; i++) {
        items[i] = (struct wz_named){.item = &names[i]};
        expected[i] = &names[i];
    }
    wz_name_sort(items, count, name_of, &handed);
    qsort(expected, count, sizeof(expected[0]), by_name);
    for (size_t i = 0; i < count; i++) {
        if (by_name(&items[i].item, &expected[i]) != 0)
            fail_msg("of %zu, number %zu is not in its place", count, i);
    }
    wz_free(expected);
    wz_free(items);
}

// A name of up to MAX_LEN of the first LETTERS bytes from FIRST on, behind COMMON bytes of 'c'.
static struct name random_name(size_t common, size_t max_len, int first, int letters)
{
    struct name name = {.len = common + (size_t)(random() % (long)(max_len - common + 1))};

    for (size_t i = 0; i < name.len; i++)
        name.bytes[i] = i < common ? 'c' : (uint8_t)(first + random() % letters);
    return name;
}

static void test_name_sort_orders_names_of_every_kind(void **state)
{
    static const struct {
        size_t common;
        size_t max_len;
        int first;
        int letters;
    } kinds[] = {
        {0, 3, 'a', 3},    // many are the same
        {0, 12, 0, 256},   // all bytes, both sides of where a number changes its sign
        {0, 40, 0, 2},     // zeros at the end, which a missing byte counts as
        {16, 40, '0', 10}, // the beginning in common, as long as two fronts
        {21, 23, 'a', 26}, // nearly everything in common
        {0, 64, 'a', 2},   // long runs that differ late
    };
    struct name *names = wz_zalloc(COUNT, sizeof(names[0]));

    (void)state;
    srandom(4711);
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        for (size_t i = 0; i < COUNT; i++)
            names[i] = random_name(kinds[kind].common, kinds[kind].max_len, kinds[kind].first,
                                   kinds[kind].letters);
        for (size_t count = 0; count < 200; count++)
            check(names, count);
        check(names, COUNT);
    }
    wz_free(names);
}

static struct wz_slice slice_of(const void *arg, const void *item)
{
    (void)arg;
    return *(const struct wz_slice *)item;
}

// At every eight bytes one name leaves the others, so that parts of parts are sorted as deep as it
// goes.
static void test_name_sort_orders_names_that_part_one_by_one(void **state)
{
    struct wz_named *items = wz_alloc(DEEP_COUNT * sizeof(items[0]));
    struct wz_slice *slices = wz_alloc(DEEP_COUNT * sizeof(slices[0]));

    (void)state;
    for (size_t i = 0; i < DEEP_COUNT; i++) {
        size_t len = i * 8 + 1;
        uint8_t *bytes = wz_alloc(len);

        memset(bytes, 'x', len - 1);
        bytes[len - 1] = 'y';
        slices[i] = wz_slice(bytes, len);
        items[i] = (struct wz_named){.item = &slices[i]};
    }
    wz_name_sort(items, DEEP_COUNT, slice_of, NULL);
    for (size_t i = 0; i < DEEP_COUNT; i++)
        assert_ptr_equal(items[i].item, &slices[DEEP_COUNT - 1 - i]);
    for (size_t i = 0; i < DEEP_COUNT; i++)
        wz_free((void *)(uintptr_t)slices[i].ptr);
    wz_free(slices);
    wz_free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_sort_orders_names_of_every_kind),
        cmocka_unit_test(test_name_sort_orders_names_that_part_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
