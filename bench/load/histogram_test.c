// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wz_histogram *filled(uint64_t from, uint64_t to)
{
    struct wz_histogram *histogram = calloc(1, sizeof(*histogram));

    assert_non_null(histogram);
    for (uint64_t value = from; value <= to; value++)
        wz_histogram_add(histogram, value);
    return histogram;
}

static void test_histogram_without_values_has_quantile_0(void **state)
{
    struct wz_histogram *histogram = filled(1, 0);

    (void)state;
    assert_int_equal(wz_histogram_quantile_ns(histogram, 0.99), 0);
    free(histogram);
}

static void test_histogram_counts_small_values_exactly(void **state)
{
    struct wz_histogram *histogram = filled(1, 100);

    (void)state;
    assert_int_equal(wz_histogram_quantile_ns(histogram, 0.5), 50);
    assert_int_equal(wz_histogram_quantile_ns(histogram, 0.99), 99);
    assert_int_equal(wz_histogram_quantile_ns(histogram, 1), 100);
    free(histogram);
}

static void test_histogram_is_off_by_less_than_a_hundredth(void **state)
{
    struct wz_histogram *histogram = filled(1, 1000000);
    static const double parts[] = {0.001, 0.01, 0.5, 0.9, 0.99, 0.999};

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        double exact = parts[i] * 1000000;
        double found = (double)wz_histogram_quantile_ns(histogram, parts[i]);

        assert_true(found >= exact);
        assert_true(found < exact * 1.01);
    }
    free(histogram);
}

static void test_histogram_takes_the_largest_value(void **state)
{
    struct wz_histogram *histogram = filled(UINT64_MAX - 1, UINT64_MAX - 1);

    (void)state;
    assert_true(wz_histogram_quantile_ns(histogram, 0.5) == UINT64_MAX - 1);
    free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_without_values_has_quantile_0),
        cmocka_unit_test(test_histogram_counts_small_values_exactly),
        cmocka_unit_test(test_histogram_is_off_by_less_than_a_hundredth),
        cmocka_unit_test(test_histogram_takes_the_largest_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
