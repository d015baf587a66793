// SPDX-License-Identifier: Apache-2.0
#include "stream/log/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_seal_comes_back_whole_and_refuses_every_flipped_bit(void **state)
{
    struct wz_seal seal = {.state = WZ_SEAL_SEALED,
                           .damaged = 2,
                           .base_offset = 1ll << 40,
                           .log_len = 12345,
                           .first_offset = (1ll << 40) + 5,
                           .last_offset = (1ll << 40) + 99,
                           .first_ms = 1770000000123,
                           .last_ms = 1770000000456,
                           .record_count = 90,
                           .batch_count = 9,
                           .file_len = {8, 12, 32},
                           .file_crc = {1, 0xffffffff, 3}};
    uint8_t bytes[WZ_SEAL_LEN];
    uint8_t again[WZ_SEAL_LEN];
    struct wz_seal back;

    (void)state;
    wz_seal_encode(&seal, bytes);
    assert_int_equal(wz_seal_decode(wz_slice(bytes, sizeof(bytes)), &back), WZ_OK);
    wz_seal_encode(&back, again); // the structs themselves have gaps that nobody fills
    assert_memory_equal(again, bytes, sizeof(bytes));
    assert_int_equal(back.file_crc[1], seal.file_crc[1]);
    assert_int_equal(back.log_len, seal.log_len);
    for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
        assert_int_equal(wz_seal_decode(wz_slice(bytes, sizeof(bytes)), &back), WZ_ERR_CORRUPT);
        bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
    }
    for (size_t len = 0; len < sizeof(bytes); len++)
        assert_int_equal(wz_seal_decode(wz_slice(bytes, len), &back), WZ_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal_comes_back_whole_and_refuses_every_flipped_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
