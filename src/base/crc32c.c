// SPDX-License-Identifier: Apache-2.0
// Owns the two ways to compute CRC-32C: SSE4.2's instruction in three interleaved streams (its
// latency is three cycles, its throughput one), and tables of eight bytes a step.
#include "base/crc32c.h"

#include <pthread.h>

#define WZ_CRC32C_POLY 0x82f63b78u

// Bytes of one interleaved stream.
#define WZ_CRC32C_LANE 1024

static uint32_t table[8][256];
// shift[i][b]: the effect of WZ_CRC32C_LANE zero bytes on a checksum with byte i equal to b.
static uint32_t shift[4][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t crc_tables(uint32_t crc, const uint8_t *pos, size_t len)
{
    while (len >= 8) {
        uint32_t low = crc ^ ((uint32_t)pos[0] | (uint32_t)pos[1] << 8 | (uint32_t)pos[2] << 16 |
                              (uint32_t)pos[3] << 24);

        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][pos[4]] ^ table[2][pos[5]] ^ table[1][pos[6]] ^
              table[0][pos[7]];
        pos += 8;
        len -= 8;
    }
    for (; len > 0; len--)
        crc = crc >> 8 ^ table[0][(crc ^ *pos++) & 0xff];
    return crc;
}

static void tables_fill(void)
{
    static const uint8_t zeros[WZ_CRC32C_LANE];

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((0 - (crc & 1)) & WZ_CRC32C_POLY);
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xff];
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int byte = 0; byte < 4; byte++)
            shift[byte][i] = crc_tables(i << (8 * byte), zeros, sizeof(zeros));
    }
}

#if defined(__x86_64__)
#include <nmmintrin.h>

// The checksum as it stands after WZ_CRC32C_LANE more zero bytes.
static uint32_t crc_shift(uint32_t crc)
{
    return shift[0][crc & 0xff] ^ shift[1][crc >> 8 & 0xff] ^ shift[2][crc >> 16 & 0xff] ^
           shift[3][crc >> 24];
}

static uint64_t load64(const uint8_t *pos)
{
    uint64_t value;

    memcpy(&value, pos, sizeof(value));
    return value;
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t start, const uint8_t *pos,
                                                            size_t len)
{
    uint64_t crc = start;

    while (len >= (size_t)3 * WZ_CRC32C_LANE) {
        uint64_t second = 0;
        uint64_t third = 0;

        for (size_t i = 0; i < WZ_CRC32C_LANE; i += 8) {
            crc = _mm_crc32_u64(crc, load64(pos + i));
            second = _mm_crc32_u64(second, load64(pos + WZ_CRC32C_LANE + i));
            third = _mm_crc32_u64(third, load64(pos + (size_t)2 * WZ_CRC32C_LANE + i));
        }
        crc = crc_shift((uint32_t)crc) ^ (uint32_t)second;
        crc = crc_shift((uint32_t)crc) ^ (uint32_t)third;
        pos += (size_t)3 * WZ_CRC32C_LANE;
        len -= (size_t)3 * WZ_CRC32C_LANE;
    }
    for (; len >= 8; len -= 8, pos += 8)
        crc = _mm_crc32_u64(crc, load64(pos));
    for (; len > 0; len--)
        crc = _mm_crc32_u8((uint32_t)crc, *pos++);
    return (uint32_t)crc;
}
#endif

uint32_t wz_crc32c(uint32_t crc, const void *ptr, size_t len)
{
    (void)pthread_once(&once, tables_fill); // fails only for an invalid control block
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse42(~crc, ptr, len);
#endif
    return ~crc_tables(~crc, ptr, len);
}
