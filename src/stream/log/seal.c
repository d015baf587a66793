// SPDX-License-Identifier: Apache-2.0
// Owns the bytes of .seal.
#include "stream/log/seal.h"

#include "base/crc32c.h"
#include "base/cursor.h"

#define SEAL_MAGIC 0x57595a455345414cull // "WYZESEAL"
#define SEAL_VERSION 1
#define SEAL_CRC_POS (WZ_SEAL_LEN - 4)

void wz_seal_encode(const struct wz_seal *seal, uint8_t *ret_bytes)
{
    struct wz_pen pen = wz_pen(ret_bytes, WZ_SEAL_LEN);

    wz_pen_put_u64(&pen, SEAL_MAGIC);
    wz_pen_put_u16(&pen, SEAL_VERSION);
    wz_pen_put_u16(&pen, (uint16_t)seal->state);
    wz_pen_put_u32(&pen, seal->damaged);
    wz_pen_put_u64(&pen, (uint64_t)seal->base_offset);
    wz_pen_put_u64(&pen, (uint64_t)seal->log_len);
    wz_pen_put_u64(&pen, (uint64_t)seal->first_offset);
    wz_pen_put_u64(&pen, (uint64_t)seal->last_offset);
    wz_pen_put_u64(&pen, (uint64_t)seal->first_ms);
    wz_pen_put_u64(&pen, (uint64_t)seal->last_ms);
    wz_pen_put_u64(&pen, (uint64_t)seal->record_count);
    wz_pen_put_u64(&pen, (uint64_t)seal->batch_count);
    for (int i = 0; i < 3; i++)
        wz_pen_put_u64(&pen, (uint64_t)seal->file_len[i]);
    for (int i = 0; i < 3; i++)
        wz_pen_put_u32(&pen, seal->file_crc[i]);
    wz_pen_put_u32(&pen, (uint32_t)seal->packing);
    wz_pen_put_u32(&pen, 0);
    wz_pen_put_u32(&pen, wz_crc32c(0, ret_bytes, SEAL_CRC_POS));
    WZ_ASSERT(!pen.failed && pen.pos == pen.end);
}

int wz_seal_decode(struct wz_slice s, struct wz_seal *ret_seal)
{
    struct wz_cursor cur = wz_cursor(s);
    struct wz_seal seal = {0};
    uint64_t magic;
    uint16_t version;

    if (s.len != WZ_SEAL_LEN)
        return WZ_ERR_CORRUPT;
    magic = wz_cursor_get_u64(&cur);
    version = wz_cursor_get_u16(&cur);
    seal.state = (enum wz_seal_state)wz_cursor_get_u16(&cur);
    seal.damaged = wz_cursor_get_u32(&cur);
    seal.base_offset = (int64_t)wz_cursor_get_u64(&cur);
    seal.log_len = (int64_t)wz_cursor_get_u64(&cur);
    seal.first_offset = (int64_t)wz_cursor_get_u64(&cur);
    seal.last_offset = (int64_t)wz_cursor_get_u64(&cur);
    seal.first_ms = (int64_t)wz_cursor_get_u64(&cur);
    seal.last_ms = (int64_t)wz_cursor_get_u64(&cur);
    seal.record_count = (int64_t)wz_cursor_get_u64(&cur);
    seal.batch_count = (int64_t)wz_cursor_get_u64(&cur);
    for (int i = 0; i < 3; i++)
        seal.file_len[i] = (int64_t)wz_cursor_get_u64(&cur);
    for (int i = 0; i < 3; i++)
        seal.file_crc[i] = wz_cursor_get_u32(&cur);
    seal.packing = (enum wz_packing)wz_cursor_get_u32(&cur);
    (void)wz_cursor_get_u32(&cur); // zero
    if (wz_cursor_get_u32(&cur) != wz_crc32c(0, s.ptr, SEAL_CRC_POS) || magic != SEAL_MAGIC ||
        version != SEAL_VERSION || seal.packing > WZ_PACKING_VAIN ||
        (seal.state != WZ_SEAL_SEALED && seal.state != WZ_SEAL_CHECKPOINT))
        return WZ_ERR_CORRUPT;
    *ret_seal = seal;
    return WZ_OK;
}
