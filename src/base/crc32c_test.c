// SPDX-License-Identifier: Apache-2.0
// Takes in the source itself, to reach both ways of computing on any processor.
#include "base/crc32c.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LEN_MAX 4096

// One bit a step, straight from the definition.
static uint32_t crc_bitwise(uint32_t crc, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ WZ_CRC32C_POLY : crc >> 1;
    }
    return crc;
}

static void fill(uint8_t *bytes, size_t len)
{
    uint32_t seed = 12345;

    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

// RFC 3720 appendix B.4, and the check value of the catalogue of CRCs.
static void test_crc32c_gives_the_vectors_of_rfc_3720(void **state)
{
    static const uint8_t pdu[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0,    0,
    };
    uint8_t bytes[32];

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(wz_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(wz_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(wz_crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(wz_crc32c(0, bytes, sizeof(bytes)), 0x113fdb5c);
    assert_int_equal(wz_crc32c(0, pdu, sizeof(pdu)), 0xd9963a56);
    assert_int_equal(wz_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(wz_crc32c(0, NULL, 0), 0);
}

static void test_crc32c_is_right_for_every_length_in_both_ways(void **state)
{
    static uint8_t bytes[LEN_MAX + 8];
    uint32_t want = ~0u;

    (void)state;
    fill(bytes, sizeof(bytes));
    for (size_t len = 0; len <= LEN_MAX; len++) {
        assert_int_equal(wz_crc32c(0, bytes + 1, len), ~want);
        assert_int_equal(crc_tables(~0u, bytes + 1, len), want);
        want = crc_bitwise(want, bytes + 1 + len, 1);
    }
}

static void test_crc32c_of_long_runs_is_right(void **state)
{
    static uint8_t bytes[100000];

    (void)state;
    fill(bytes, sizeof(bytes));
    for (size_t len = 10000; len <= sizeof(bytes); len += 9973) {
        uint32_t want = ~crc_bitwise(~0u, bytes, len);

        assert_int_equal(wz_crc32c(0, bytes, len), want);
        assert_int_equal(~crc_tables(~0u, bytes, len), want);
    }
}

static void test_crc32c_goes_on_from_any_split(void **state)
{
    static uint8_t bytes[LEN_MAX];
    uint32_t want;

    (void)state;
    fill(bytes, sizeof(bytes));
    want = wz_crc32c(0, bytes, sizeof(bytes));
    for (size_t split = 0; split <= sizeof(bytes); split += 13) {
        uint32_t crc = wz_crc32c(0, bytes, split);

        assert_int_equal(wz_crc32c(crc, bytes + split, sizeof(bytes) - split), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_gives_the_vectors_of_rfc_3720),
        cmocka_unit_test(test_crc32c_is_right_for_every_length_in_both_ways),
        cmocka_unit_test(test_crc32c_of_long_runs_is_right),
        cmocka_unit_test(test_crc32c_goes_on_from_any_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
