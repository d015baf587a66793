// SPDX-License-Identifier: Apache-2.0
#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/mem.h"

struct vector {
    enum wz_value_type type;
    const char *text;
    int64_t number; // -1: refused
};

static void test_value_parse_reads_numbers_with_their_units(void **state)
{
    static const struct vector vectors[] = {
        {WZ_VALUE_SIZE, "0", 0},
        {WZ_VALUE_SIZE, "17", 17},
        {WZ_VALUE_SIZE, "17B", 17},
        {WZ_VALUE_SIZE, "256MiB", 268435456},
        {WZ_VALUE_SIZE, "256 MiB", 268435456},
        {WZ_VALUE_SIZE, "1kB", 1000},
        {WZ_VALUE_SIZE, "3TB", 3000000000000},
        {WZ_VALUE_SIZE, "8388608TiB", INT64_MAX},
        {WZ_VALUE_SIZE, "99999999999999999999", INT64_MAX},
        {WZ_VALUE_SIZE, "1M", -1},
        {WZ_VALUE_SIZE, "1.5MiB", -1},
        {WZ_VALUE_SIZE, "-1", -1},
        {WZ_VALUE_SIZE, "", -1},
        {WZ_VALUE_SIZE, "MiB", -1},
        {WZ_VALUE_DURATION, "60s", 60000},
        {WZ_VALUE_DURATION, "250ms", 250},
        {WZ_VALUE_DURATION, "2h", 7200000},
        {WZ_VALUE_DURATION, "1d", 86400000},
        {WZ_VALUE_DURATION, "0", 0},
        {WZ_VALUE_DURATION, "60", -1},
        {WZ_VALUE_DURATION, "60S", -1},
        {WZ_VALUE_COUNT, "20000", 20000},
        {WZ_VALUE_COUNT, "20k", -1},
        {WZ_VALUE_COUNT, "20 ", 20},
        {WZ_VALUE_COUNT, " 20", -1},
        {WZ_VALUE_BOOL, "true", 1},
        {WZ_VALUE_BOOL, "false", 0},
        {WZ_VALUE_BOOL, "yes", -1},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_value_rule rule = {.type = vectors[i].type};
        struct wz_value value = {.number = -1};
        int r = wz_value_parse(&rule, "it", vectors[i].text, &value, NULL);

        print_message("%s\n", vectors[i].text);
        assert_int_equal(r, vectors[i].number < 0 ? WZ_ERR_INVALID : WZ_OK);
        assert_int_equal(value.number, vectors[i].number);
    }
}

static void test_value_parse_names_the_range_that_it_refuses_by(void **state)
{
    struct wz_value_rule rule = {.type = WZ_VALUE_SIZE, .least = 1 << 20, .most = 1 << 30};
    struct wz_value value = {0};
    struct wz_problem problem;
    (void)state;

    assert_int_equal(wz_value_parse(&rule, "x", "1MiB", &value, NULL), WZ_OK);
    assert_int_equal(wz_value_parse(&rule, "x", "1GiB", &value, NULL), WZ_OK);
    assert_int_equal(wz_value_parse(&rule, "x", "1048575", &value, NULL), WZ_ERR_INVALID);
    assert_int_equal(wz_value_parse(&rule, "x", "2GiB", &value, &problem), WZ_ERR_INVALID);
    assert_int_equal(problem.code, WZ_CODE_CONFIG_VALUE);
    assert_string_equal(problem.what, "The value \"2GiB\" of x is out of range.");
    assert_non_null(strstr(problem.fix, "1MiB to 1GiB"));
}

static void test_value_parse_reads_addresses(void **state)
{
    static const struct {
        const char *text;
        const char *host; // NULL: refused
        int port;
        bool loopback;
    } vectors[] = {
        {"127.0.0.1:1883", "127.0.0.1", 1883, true},
        {"127.9.9.9:0", "127.9.9.9", 0, true},
        {"localhost:80", "127.0.0.1", 80, true},
        {"[::1]:65535", "::1", 65535, true},
        {"[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1, true},
        {"0.0.0.0:1883", "0.0.0.0", 1883, false},
        {"[::]:1883", "::", 1883, false},
        {"[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1, false},
        {"10.1.2.3:1883", "10.1.2.3", 1883, false},
        {"127.0.0.1", NULL, 0, false},
        {"1883", NULL, 0, false},
        {":1883", NULL, 0, false},
        {"127.0.0.1:65536", NULL, 0, false},
        {"127.0.0.1:", NULL, 0, false},
        {"127.0.0.1:1883x", NULL, 0, false},
        {"::1:1883", NULL, 0, false},
        {"[::1]", NULL, 0, false},
        {"example.org:1883", NULL, 0, false},
        {"127.1:1883", NULL, 0, false},
        {"", NULL, 0, false},
    };
    struct wz_value_rule rule = {.type = WZ_VALUE_ADDRESS};
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_value value = {0};
        int r = wz_value_parse(&rule, "it", vectors[i].text, &value, NULL);

        print_message("%s\n", vectors[i].text);
        assert_int_equal(r, vectors[i].host == NULL ? WZ_ERR_INVALID : WZ_OK);
        if (vectors[i].host == NULL)
            continue;
        assert_string_equal(value.address.host, vectors[i].host);
        assert_int_equal(value.address.port, vectors[i].port);
        assert_int_equal(wz_address_is_loopback(&value.address), vectors[i].loopback);
    }
}

static void test_value_parse_knows_off_from_an_address(void **state)
{
    struct wz_value_rule rule = {.type = WZ_VALUE_ADDRESS};
    struct wz_value value = {0};
    (void)state;

    assert_int_equal(wz_value_parse(&rule, "it", "off", &value, NULL), WZ_OK);
    assert_true(value.address.off);
}

static void test_value_parse_gives_the_index_of_a_choice(void **state)
{
    struct wz_value_rule rule = {.type = WZ_VALUE_CHOICE, .words = "error|warn|info"};
    struct wz_value value = {0};
    struct wz_problem problem;
    (void)state;

    assert_int_equal(wz_value_parse(&rule, "level", "info", &value, NULL), WZ_OK);
    assert_int_equal(value.number, 2);
    assert_string_equal(value.text, "info");
    wz_value_release(&value);
    assert_int_equal(wz_value_parse(&rule, "level", "inf", &value, &problem), WZ_ERR_INVALID);
    assert_string_equal(problem.fix, "Allowed: error, warn or info.");
    assert_int_equal(wz_value_parse(&rule, "level", "warn|info", &value, NULL), WZ_ERR_INVALID);
    assert_int_equal(wz_value_parse(&rule, "level", "", &value, NULL), WZ_ERR_INVALID);
}

static void test_value_add_number_prints_the_largest_unit_that_fits(void **state)
{
    static const struct vector vectors[] = {
        {WZ_VALUE_SIZE, "256MiB", 268435456},
        {WZ_VALUE_SIZE, "1025B", 1025},
        {WZ_VALUE_SIZE, "0B", 0},
        {WZ_VALUE_DURATION, "1m", 60000},
        {WZ_VALUE_DURATION, "90s", 90000},
        {WZ_VALUE_DURATION, "1d", 86400000},
        {WZ_VALUE_DURATION, "1500ms", 1500},
        {WZ_VALUE_COUNT, "20000", 20000},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        wz_value_add_number(&buf, vectors[i].type, vectors[i].number);
        assert_string_equal(wz_buf_str(&buf), vectors[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_parse_reads_numbers_with_their_units),
        cmocka_unit_test(test_value_parse_names_the_range_that_it_refuses_by),
        cmocka_unit_test(test_value_parse_reads_addresses),
        cmocka_unit_test(test_value_parse_knows_off_from_an_address),
        cmocka_unit_test(test_value_parse_gives_the_index_of_a_choice),
        cmocka_unit_test(test_value_add_number_prints_the_largest_unit_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
