// SPDX-License-Identifier: Apache-2.0
// CRC-32C for the tests, which read megabytes of segments in Python: python3-kafka's own takes a
// quarter of a second for each. It shares nothing with the program's, and is compared with
// python3-kafka's when it is loaded (tests/system/segments.py).
#include <stddef.h>
#include <stdint.h>

#define POLYNOMIAL 0x82f63b78u // Castagnoli, reflected

// The checksum of LEN bytes.
__attribute__((visibility("default"))) uint32_t wz_test_crc32c(const uint8_t *bytes, size_t len);

uint32_t wz_test_crc32c(const uint8_t *bytes, size_t len)
{
    uint32_t table[256];
    uint32_t crc = UINT32_MAX;

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ ((table[i] & 1) != 0 ? POLYNOMIAL : 0);
    }
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}
