// SPDX-License-Identifier: Apache-2.0
#include "json/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

#define LEN_MAX 40

// What a span must find, byte by byte.
static size_t plain_span(const uint8_t *bytes, size_t len, bool *ret_high)
{
    size_t i = 0;

    for (*ret_high = false; i < len && !wz_json_span_stops(bytes[i]); i++)
        *ret_high = *ret_high || bytes[i] >= 0x80;
    return i;
}

static void check(const uint8_t *base, size_t skip, size_t len)
{
    const uint8_t *pos = base + skip;
    const uint8_t *end = pos + len;
    unsigned highs = 0;
    bool high;
    size_t want = plain_span(pos, len, &high);

    assert_ptr_equal(wz_json_span_word(pos, end, &highs), pos + want);
    assert_int_equal(highs != 0, high);
    highs = 0;
    assert_ptr_equal(wz_json_span(base, pos, end, &highs), pos + want);
    assert_int_equal(highs != 0, high);
}

// The bytes stand at the end of an allocation of their own, so that reading on is seen.
static void test_span_stops_at_each_byte_in_each_place(void **state)
{
    (void)state;
    for (size_t len = 1; len <= LEN_MAX; len++) {
        uint8_t *bytes = wz_alloc(len);

        memset(bytes, 'x', len);
        for (size_t place = 0; place < len; place++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                bytes[place] = (uint8_t)byte;
                check(bytes, 0, len);
                check(bytes, place / 2, len - place / 2);
            }
            bytes[place] = 'x';
        }
        wz_free(bytes);
    }
}

static void test_span_of_nothing_is_empty(void **state)
{
    uint8_t byte = 'x';

    (void)state;
    check(&byte, 0, 0);
    check(&byte, 1, 0);
}

static void test_span_agrees_with_a_plain_loop_on_random_bytes(void **state)
{
    static const uint8_t few[] = {'a',  'b',  '"',  '\\', 0x1f, 0x20,
                                  0x7f, 0x80, 0xc3, 0xff, 'c',  'd'};
    uint32_t seed = 99;

    (void)state;
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[LEN_MAX];
        size_t len = (seed >> 8) % (LEN_MAX + 1);
        size_t skip = len > 0 ? (seed >> 20) % len : 0;

        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525u + 1013904223u;
            // mostly plain bytes, so that runs get long
            bytes[i] = (seed >> 28) < 14 ? 'x' : few[(seed >> 12) % sizeof(few)];
        }
        check(bytes, skip, len - skip);
        seed = seed * 1664525u + 1013904223u;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span_stops_at_each_byte_in_each_place),
        cmocka_unit_test(test_span_of_nothing_is_empty),
        cmocka_unit_test(test_span_agrees_with_a_plain_loop_on_random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
