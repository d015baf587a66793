// SPDX-License-Identifier: Apache-2.0
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct text {
    char text[WZ_UUID_TEXT_LEN + 1];
};

static struct text next(struct wz_uuid_maker *maker, int64_t now_ms)
{
    struct text uuid = {0};

    wz_uuid_next(maker, now_ms, uuid.text);
    return uuid;
}

// The 48 bits of time at the front.
static int64_t time_of(const struct text *uuid)
{
    char digits[13] = {0};

    memcpy(digits, uuid->text, 8);
    memcpy(digits + 8, uuid->text + 9, 4);
    return (int64_t)strtoull(digits, NULL, 16);
}

static void test_uuid_has_the_form_of_version_7(void **state)
{
    struct wz_uuid_maker maker;

    (void)state;
    wz_uuid_maker_init(&maker);
    for (int i = 0; i < 1000; i++) {
        struct text uuid = next(&maker, 1770000000123 + i);

        assert_int_equal(strlen(uuid.text), WZ_UUID_TEXT_LEN);
        assert_true(wz_uuid_valid(wz_slice_str(uuid.text)));
        assert_int_equal(uuid.text[14], '7');
        assert_non_null(strchr("89ab", uuid.text[19]));
        assert_int_equal(time_of(&uuid), 1770000000123 + i);
        for (const char *c = uuid.text; *c != '\0'; c++)
            assert_non_null(strchr("0123456789abcdef-", *c));
    }
}

static void test_uuid_grows_also_when_the_clock_goes_back(void **state)
{
    static const int64_t steps_ms[] = {0, 0, 1, -1, 0, -5000, 3, 0, -1000000, 10, 2000000, -1};
    struct wz_uuid_maker maker;
    struct text before = {0};
    int64_t now_ms = 1770000000000;

    (void)state;
    wz_uuid_maker_init(&maker);
    for (int i = 0; i < 100000; i++) {
        struct text uuid;

        now_ms += steps_ms[(size_t)i % (sizeof(steps_ms) / sizeof(steps_ms[0]))];
        uuid = next(&maker, now_ms);
        assert_true(strcmp(uuid.text, before.text) > 0);
        before = uuid;
    }
}

static void test_uuid_carries_into_the_time_when_the_counter_is_full(void **state)
{
    struct wz_uuid_maker maker;
    struct text before;

    (void)state;
    wz_uuid_maker_init(&maker);
    before = next(&maker, 1000);
    maker.low = 0x0000fffffffffffe;
    for (int i = 0; i < 5; i++) {
        struct text uuid = next(&maker, 1000);

        assert_true(strcmp(uuid.text, before.text) > 0);
        assert_int_equal(time_of(&uuid), i == 0 ? 1000 : 1001);
        before = uuid;
    }
}

static void test_uuid_of_two_makers_differ(void **state)
{
    struct wz_uuid_maker a;
    struct wz_uuid_maker b;

    (void)state;
    wz_uuid_maker_init(&a);
    wz_uuid_maker_init(&b);
    for (int i = 0; i < 100; i++) {
        struct text from_a = next(&a, 5);
        struct text from_b = next(&b, 5);

        assert_string_not_equal(from_a.text, from_b.text);
    }
}

static void test_uuid_is_well_formed_before_1970(void **state)
{
    struct wz_uuid_maker maker;
    struct text first;
    struct text second;

    (void)state;
    wz_uuid_maker_init(&maker);
    first = next(&maker, -5);
    second = next(&maker, 7);
    assert_true(wz_uuid_valid(wz_slice_str(first.text)));
    assert_int_equal(first.text[14], '7');
    assert_true(strcmp(second.text, first.text) > 0);
}

static void test_uuid_valid_takes_the_canonical_text_only(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11", true},
        {"019C1C38-A47B-4CC3-98A2-3F1D2B6A9E11", true},
        {"00000000-0000-0000-0000-000000000000", true},
        {"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e1", false},
        {"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e111", false},
        {"019c1c38a-47b-7cc3-98a2-3f1d2b6a9e11", false},
        {"019c1c38-a47b-7cc3-98a2_3f1d2b6a9e11", false},
        {"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e1g", false},
        {"{19c1c38-a47b-7cc3-98a2-3f1d2b6a9e1}", false},
        {"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e1\n", false},
        {"------------------------------------", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(wz_uuid_valid(wz_slice_str(cases[i].text)), cases[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uuid_has_the_form_of_version_7),
        cmocka_unit_test(test_uuid_grows_also_when_the_clock_goes_back),
        cmocka_unit_test(test_uuid_carries_into_the_time_when_the_counter_is_full),
        cmocka_unit_test(test_uuid_of_two_makers_differ),
        cmocka_unit_test(test_uuid_is_well_formed_before_1970),
        cmocka_unit_test(test_uuid_valid_takes_the_canonical_text_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
