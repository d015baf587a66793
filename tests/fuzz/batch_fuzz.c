// SPDX-License-Identifier: Apache-2.0
// Record batches of any bytes: nothing is read outside of them, a batch of ours whose records are
// written again is the same batch, what is decompressed is no longer than a batch may be, and what
// is compressed comes back.
#include "base/mem.h"
#include "wire/codec.h"

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

// Walks the records of a batch that is not compressed.
static void walk(struct wz_slice s, const struct wz_batch_info *info)
{
    struct wz_record_iter it;
    struct wz_record record;

    wz_record_iter_init(&it, s, info);
    for (int32_t count = 0; wz_record_next(&it, &record) == WZ_OK; count++) {
        struct wz_record_header header;

        WZ_ASSERT(count < info->count && record.offset <= info->last_offset);
        WZ_ASSERT(record.key.len + record.value.len + record.headers.len < info->len);
        while (wz_record_header_next(&record.headers, &header) == WZ_OK)
            WZ_ASSERT(header.key.len + header.value.len < info->len);
    }
    write_again(s, info);
}

// Splits a batch and holds the records of what it becomes against its own.
static void split(struct wz_slice s, const struct wz_batch_info *info)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_record_iter its[2];
    struct wz_record records[2];
    struct wz_batch_info part;
    struct wz_slice left;

    if (wz_batch_split(s, info, WZ_BATCH_HEADER_LEN + 1 + info->crc % 256, &buf) < 0)
        return;
    wz_record_iter_init(&its[0], s, info);
    for (left = wz_buf_slice(&buf); left.len > 0;) {
        WZ_ASSERT(wz_batch_read(left, &part) == WZ_OK);
        WZ_ASSERT(wz_batch_crc_ok(wz_slice_sub(left, 0, part.len)));
        wz_record_iter_init(&its[1], wz_slice_sub(left, 0, part.len), &part);
        while (wz_record_next(&its[1], &records[1]) == WZ_OK) {
            WZ_ASSERT(wz_record_next(&its[0], &records[0]) == WZ_OK);
            WZ_ASSERT(records[0].offset == records[1].offset);
            WZ_ASSERT(wz_slice_eq(records[0].key, records[1].key));
            WZ_ASSERT(wz_slice_eq(records[0].value, records[1].value));
            WZ_ASSERT(wz_slice_eq(records[0].headers, records[1].headers));
        }
        WZ_ASSERT(its[1].index == part.count);
        left = wz_slice_sub(left, part.len, left.len - part.len);
    }
    WZ_ASSERT(wz_record_next(&its[0], &records[0]) == WZ_END);
}

// Compresses a batch and holds what comes back against it.
static void pack_again(struct wz_codec *codec, struct wz_slice s)
{
    WZ_AUTO(wz_buf_release) struct wz_buf packed = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_batch_info info;
    struct wz_slice back;

    if (wz_codec_pack(codec, s, 1, &packed) != WZ_OK)
        return;
    WZ_ASSERT(packed.len < s.len && wz_batch_crc_ok(wz_buf_slice(&packed)));
    WZ_ASSERT(wz_batch_read(wz_buf_slice(&packed), &info) == WZ_OK);
    WZ_ASSERT(wz_codec_unpack(codec, wz_buf_slice(&packed), &info, &buf, &back, &info) == WZ_OK);
    WZ_ASSERT(back.len == s.len &&
              memcmp(back.ptr + WZ_BATCH_HEADER_LEN, s.ptr + WZ_BATCH_HEADER_LEN,
                     s.len - WZ_BATCH_HEADER_LEN) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_slice s = wz_slice(bytes, len);
    struct wz_batch_info info;
    int r;

    if (wz_batch_read(s, &info) != WZ_OK) {
        WZ_ASSERT(info.len == 0 || info.len > len);
        return 0;
    }
    WZ_ASSERT(info.len <= len && info.count > 0 && info.last_offset >= info.base_offset);
    s = wz_slice_sub(s, 0, info.len);
    wz_ignore(wz_batch_crc_ok(s)); // what it says does not matter here, what it reads does
    r = wz_codec_unpack(&codec, s, &info, &buf, &s, &info);
    WZ_ASSERT(buf.cap <= 2 * WZ_BATCH_LIMIT_BYTES);
    if (r < 0)
        return 0;
    WZ_ASSERT(info.len == s.len && s.len <= WZ_BATCH_LIMIT_BYTES);
    walk(s, &info);
    split(s, &info);
    pack_again(&codec, s);
    return 0;
}
