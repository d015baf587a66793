// SPDX-License-Identifier: Apache-2.0
#include "stream/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

#define NOW INT64_C(1770000000123)

static void test_moment_reads_positions_and_times(void **state)
{
    static const struct {
        const char *text;
        enum wz_moment_kind kind;
        int64_t value;
    } cases[] = {
        {"first", WZ_MOMENT_FIRST, 0},
        {"end", WZ_MOMENT_END, 0},
        {"@0", WZ_MOMENT_OFFSET, 0},
        {"@123456789012345678", WZ_MOMENT_OFFSET, INT64_C(123456789012345678)},
        {"-500ms", WZ_MOMENT_TIME, NOW - 500},
        {"-30s", WZ_MOMENT_TIME, NOW - 30000},
        {"-5m", WZ_MOMENT_TIME, NOW - 300000},
        {"-1h", WZ_MOMENT_TIME, NOW - 3600000},
        {"-2d", WZ_MOMENT_TIME, NOW - 172800000},
        {"-1w", WZ_MOMENT_TIME, NOW - 604800000},
        {"-99999999d", WZ_MOMENT_TIME, 0},
        {"1970-01-01T00:00:00Z", WZ_MOMENT_TIME, 0},
        {"2026-02-02T02:40:00.123Z", WZ_MOMENT_TIME, NOW},
        {"2026-02-02T02:40:00.1239999z", WZ_MOMENT_TIME, NOW},
        {"2026-02-02t04:40:00.123+02:00", WZ_MOMENT_TIME, NOW},
        {"2026-02-02 04:40:00.123 02:00", WZ_MOMENT_TIME, NOW},
        {"2026-02-01T23:10:00.123-03:30", WZ_MOMENT_TIME, NOW},
        {"2024-02-29T00:00:00Z", WZ_MOMENT_TIME, INT64_C(1709164800000)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_moment moment;
        struct wz_problem problem;

        if (wz_moment_parse(wz_slice_str(cases[i].text), NOW, &moment, &problem) != WZ_OK)
            print_error("%s\n", cases[i].text);
        assert_int_equal(wz_moment_parse(wz_slice_str(cases[i].text), NOW, &moment, &problem),
                         WZ_OK);
        assert_int_equal(moment.kind, cases[i].kind);
        assert_int_equal(moment.value, cases[i].value);
    }
}

static void test_moment_refuses_what_is_neither(void **state)
{
    static const char *const texts[] = {
        "",
        "@",
        "@-1",
        "@1x",
        "@1234567890123456789",
        "-",
        "-1",
        "-h",
        "-1y",
        "-1h ",
        "now",
        "1h",
        "2026-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+2:00",
        "26-01-01T00:00:00Z",
        "-999999999999999999w",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct wz_moment moment;
        struct wz_problem problem;

        if (wz_moment_parse(wz_slice_str(texts[i]), NOW, &moment, &problem) == WZ_OK)
            print_error("%s\n", texts[i]);
        assert_int_equal(wz_moment_parse(wz_slice_str(texts[i]), NOW, &moment, &problem),
                         WZ_ERR_INVALID);
        assert_non_null(strstr(problem.fix, "-1h"));
    }
}

static void test_moment_writes_times_that_it_reads(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_moment moment;

    (void)state;
    wz_moment_add_time(&text, NOW);
    assert_string_equal(wz_buf_str(&text), "2026-02-02T02:40:00.123Z");
    assert_int_equal(wz_moment_parse(wz_buf_slice(&text), 0, &moment, NULL), WZ_OK);
    assert_int_equal(moment.value, NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moment_reads_positions_and_times),
        cmocka_unit_test(test_moment_refuses_what_is_neither),
        cmocka_unit_test(test_moment_writes_times_that_it_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
