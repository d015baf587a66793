// SPDX-License-Identifier: Apache-2.0
// Record batches of any bytes: nothing is read outside of them, and a batch of ours whose records
// are written again is the same batch.
#include "base/mem.h"
#include "wire/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Writes the records of a batch again, as far as they are in the order in which we write them.
static void write_again(struct wz_slice s, const struct wz_batch_info *info)
{
    uint8_t *copy = wz_alloc(s.len);
    struct wz_record_iter it;
    struct wz_record record;
    struct wz_batch_builder batch;
    bool plain = true;

    wz_record_iter_init(&it, s, info);
    wz_batch_begin(&batch, copy, s.len, info->base_offset);
    while (plain && wz_record_next(&it, &record) == WZ_OK) {
        struct wz_record_parts parts = {.key = record.key, .header_count = record.header_count};
        size_t record_len;

        if (!record.value_null)
            parts.value[parts.value_count++] = record.value;
        if (!record.key_null && record.key.ptr == NULL)
            parts.key = wz_slice("", 0);
        if (record.key_null)
            parts.key = (struct wz_slice){0};
        parts.headers[parts.header_pieces++] = record.headers;
        record_len = wz_record_len(&parts, batch.count);
        plain =
            record.offset == info->base_offset + batch.count && wz_batch_fits(&batch, record_len);
        if (plain)
            wz_batch_add(&batch, &parts, record_len);
    }
    // Shortest forms can only be shorter than what was read.
    WZ_ASSERT(batch.len <= s.len);
    wz_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct wz_slice s = wz_slice(bytes, len);
    struct wz_batch_info info;
    struct wz_record_iter it;
    struct wz_record record;

    if (wz_batch_read(s, &info) != WZ_OK) {
        WZ_ASSERT(info.len == 0 || info.len > len);
        return 0;
    }
    WZ_ASSERT(info.len <= len && info.count > 0 && info.last_offset >= info.base_offset);
    s = wz_slice_sub(s, 0, info.len);
    wz_ignore(wz_batch_crc_ok(s)); // what it says does not matter here, what it reads does
    wz_record_iter_init(&it, s, &info);
    for (int32_t count = 0; wz_record_next(&it, &record) == WZ_OK; count++) {
        struct wz_record_header header;

        WZ_ASSERT(count < info.count && record.offset <= info.last_offset);
        WZ_ASSERT(record.key.len + record.value.len + record.headers.len < info.len);
        while (wz_record_header_next(&record.headers, &header) == WZ_OK)
            WZ_ASSERT(header.key.len + header.value.len < info.len);
    }
    write_again(s, &info);
    return 0;
}
