// SPDX-License-Identifier: Apache-2.0
#include "wire/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

// Made by python3-kafka's DefaultRecordBatchBuilder: three records with times 123, 125 and 124, a
// null key, a null value, a header without a value.
static const uint8_t kafka_mixed[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9d, 0x00, 0x00, 0x00, 0x00,
    0x02, 0x83, 0xcc, 0x8c, 0x5b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01, 0x9c, 0x1c,
    0x38, 0xa4, 0x7b, 0x00, 0x00, 0x01, 0x9c, 0x1c, 0x38, 0xa4, 0x7d, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x03, 0xa8, 0x01, 0x00,
    0x00, 0x00, 0x30, 0x62, 0x65, 0x64, 0x72, 0x6f, 0x6f, 0x6d, 0x2e, 0x6c, 0x69, 0x67, 0x68, 0x74,
    0x2e, 0x62, 0x72, 0x69, 0x67, 0x68, 0x74, 0x6e, 0x65, 0x73, 0x73, 0x1e, 0x7b, 0x22, 0x76, 0x61,
    0x6c, 0x75, 0x65, 0x22, 0x3a, 0x22, 0x32, 0x35, 0x35, 0x22, 0x7d, 0x04, 0x08, 0x66, 0x72, 0x6f,
    0x6d, 0x2e, 0x6d, 0x65, 0x73, 0x68, 0x2f, 0x62, 0x35, 0x65, 0x61, 0x33, 0x66, 0x2f, 0x34, 0x32,
    0x2f, 0x4d, 0x2f, 0x73, 0x74, 0x61, 0x74, 0x75, 0x73, 0x08, 0x66, 0x6f, 0x72, 0x6d, 0x08, 0x74,
    0x65, 0x78, 0x74, 0x0e, 0x00, 0x04, 0x02, 0x01, 0x02, 0x78, 0x00, 0x1a, 0x00, 0x02, 0x04, 0x08,
    0x67, 0x6f, 0x6e, 0x65, 0x01, 0x02, 0x02, 0x68, 0x01};

// Made by the same: four records of one time, sequence 0, leader epoch 0.
static const uint8_t kafka_plain[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x0b, 0x00, 0x00, 0x00, 0x00,
    0x02, 0xc3, 0x15, 0x99, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x01, 0x9c, 0x1c,
    0x38, 0xa4, 0x7b, 0x00, 0x00, 0x01, 0x9c, 0x1c, 0x38, 0xa4, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0xa8, 0x01, 0x00,
    0x00, 0x00, 0x30, 0x62, 0x65, 0x64, 0x72, 0x6f, 0x6f, 0x6d, 0x2e, 0x6c, 0x69, 0x67, 0x68, 0x74,
    0x2e, 0x62, 0x72, 0x69, 0x67, 0x68, 0x74, 0x6e, 0x65, 0x73, 0x73, 0x1e, 0x7b, 0x22, 0x76, 0x61,
    0x6c, 0x75, 0x65, 0x22, 0x3a, 0x22, 0x32, 0x35, 0x35, 0x22, 0x7d, 0x04, 0x08, 0x66, 0x72, 0x6f,
    0x6d, 0x2e, 0x6d, 0x65, 0x73, 0x68, 0x2f, 0x62, 0x35, 0x65, 0x61, 0x33, 0x66, 0x2f, 0x34, 0x32,
    0x2f, 0x4d, 0x2f, 0x73, 0x74, 0x61, 0x74, 0x75, 0x73, 0x08, 0x66, 0x6f, 0x72, 0x6d, 0x08, 0x74,
    0x65, 0x78, 0x74, 0x0e, 0x00, 0x00, 0x02, 0x01, 0x02, 0x78, 0x00, 0x14, 0x00, 0x00, 0x04, 0x08,
    0x67, 0x6f, 0x6e, 0x65, 0x01, 0x00, 0xde, 0x01, 0x00, 0x00, 0x06, 0x08, 0x6c, 0x6f, 0x6e, 0x67,
    0xc8, 0x01, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
    0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
    0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
    0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
    0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
    0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
    0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x00};

#define HUNDRED_Y                                                                                  \
    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"                                           \
    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"

static uint8_t space[WZ_BATCH_MAX_BYTES];

static void add(struct wz_batch_builder *batch, const struct wz_record_parts *parts)
{
    size_t len = wz_record_len(parts, batch->count);

    assert_true(wz_batch_fits(batch, len));
    wz_batch_add(batch, parts, len);
}

// The records of kafka_plain, value and headers cut into pieces in different places.
static struct wz_batch_builder build_plain(int64_t base_offset)
{
    static uint8_t header_bytes[64];
    struct wz_batch_builder batch;
    struct wz_pen pen = wz_pen(header_bytes, sizeof(header_bytes));
    uint8_t *split;

    wz_record_header_put(&pen, WZ_SLICE_LIT("from"), WZ_SLICE_LIT("mesh/b5ea3f/42/M/status"));
    split = pen.pos;
    wz_record_header_put(&pen, WZ_SLICE_LIT("form"), WZ_SLICE_LIT("text"));
    wz_batch_begin(&batch, space, sizeof(space), base_offset);
    add(&batch, &(struct wz_record_parts){
                    .key = WZ_SLICE_LIT("bedroom.light.brightness"),
                    .value = {WZ_SLICE_LIT("{\"value\":"), WZ_SLICE_LIT("\"255\"}")},
                    .value_count = 2,
                    .headers = {wz_slice(header_bytes, (size_t)(split - header_bytes)),
                                wz_slice(split, (size_t)(pen.pos - split))},
                    .header_pieces = 2,
                    .header_count = 2});
    add(&batch, &(struct wz_record_parts){.value = {WZ_SLICE_LIT("x")}, .value_count = 1});
    add(&batch, &(struct wz_record_parts){.key = WZ_SLICE_LIT("gone")});
    add(&batch, &(struct wz_record_parts){.key = WZ_SLICE_LIT("long"),
                                          .value = {WZ_SLICE_LIT(HUNDRED_Y)},
                                          .value_count = 1});
    wz_batch_finish(&batch, 1770000000123);
    wz_batch_seal(batch.bytes, batch.len);
    return batch;
}

static void test_batch_reads_what_kafka_wrote(void **state)
{
    struct wz_slice s = wz_slice(kafka_mixed, sizeof(kafka_mixed));
    struct wz_batch_info info;
    struct wz_record_iter it;
    struct wz_record record;

    (void)state;
    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    assert_int_equal(info.len, sizeof(kafka_mixed));
    assert_int_equal(info.count, 3);
    assert_int_equal(info.last_offset, 2);
    assert_int_equal(info.sequence, -1);
    assert_true(wz_batch_crc_ok(s));
    wz_record_iter_init(&it, s, &info);
    assert_int_equal(wz_record_next(&it, &record), WZ_OK);
    assert_true(wz_slice_eq(record.key, WZ_SLICE_LIT("bedroom.light.brightness")));
    assert_true(wz_slice_eq(record.value, WZ_SLICE_LIT("{\"value\":\"255\"}")));
    assert_int_equal(record.append_ms, 1770000000123);
    assert_true(wz_slice_eq(wz_record_header_find(&record, "form"), WZ_SLICE_LIT("text")));
    assert_int_equal(wz_record_header_find(&record, "none").len, 0);
    assert_int_equal(wz_record_next(&it, &record), WZ_OK);
    assert_true(record.key_null && !record.value_null);
    assert_int_equal(record.append_ms, 1770000000125);
    assert_int_equal(wz_record_next(&it, &record), WZ_OK);
    assert_true(record.value_null && !record.key_null);
    assert_int_equal(record.offset, 2);
    assert_int_equal(record.append_ms, 1770000000124);
    assert_int_equal(wz_record_next(&it, &record), WZ_END);
}

static void test_batch_writes_the_records_that_kafka_writes(void **state)
{
    struct wz_batch_builder batch = build_plain(0);

    (void)state;
    assert_int_equal(batch.len, sizeof(kafka_plain));
    assert_memory_equal(batch.bytes, kafka_plain, WZ_BATCH_EPOCH_POS);
    assert_memory_equal(batch.bytes + WZ_BATCH_LAST_DELTA_POS,
                        kafka_plain + WZ_BATCH_LAST_DELTA_POS,
                        sizeof(kafka_plain) - WZ_BATCH_LAST_DELTA_POS);
}

static void test_batch_marks_append_time_offset_and_checksum(void **state)
{
    int64_t base = ((int64_t)7 << 31) + 5;
    struct wz_batch_builder batch = build_plain(base);
    struct wz_slice s = wz_slice(batch.bytes, batch.len);
    struct wz_batch_info info;

    (void)state;
    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    assert_int_equal(info.base_offset, base);
    assert_int_equal(info.last_offset, base + 3);
    assert_int_equal(info.sequence, 5);
    assert_int_equal(info.epoch, -1);
    assert_int_equal(info.attributes, WZ_BATCH_LOG_APPEND_TIME);
    assert_int_equal(info.max_ms, 1770000000123);
    assert_true(wz_batch_crc_ok(s));
    wz_batch_rebase(batch.bytes, 9);
    assert_false(wz_batch_crc_ok(s));
    wz_batch_seal(batch.bytes, batch.len);
    assert_true(wz_batch_crc_ok(s));
}

static void test_batch_asks_for_more_at_every_truncation(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(kafka_mixed); len++) {
        uint8_t *copy = wz_alloc(len + 1); // so that a sanitizer sees a read past the end
        struct wz_batch_info info;

        memcpy(copy, kafka_mixed, len);
        copy = wz_realloc(copy, len > 0 ? len : 1);
        assert_int_equal(wz_batch_read(wz_slice(copy, len), &info), WZ_AGAIN);
        assert_int_equal(info.len, len < WZ_BATCH_PREFIX_LEN ? 0 : sizeof(kafka_mixed));
        wz_free(copy);
    }
}

// Walks a batch whose bytes may be anything; returns how the walk ended.
static int walk(struct wz_slice s)
{
    struct wz_batch_info info;
    struct wz_record_iter it;
    struct wz_record record;
    int r = wz_batch_read(s, &info);

    if (r != WZ_OK)
        return r;
    wz_record_iter_init(&it, wz_slice_sub(s, 0, info.len), &info);
    while ((r = wz_record_next(&it, &record)) == WZ_OK) {
        struct wz_record_header header;

        while (wz_record_header_next(&record.headers, &header) == WZ_OK)
            assert_true(header.key.ptr + header.key.len <= s.ptr + s.len);
        assert_true(record.offset >= info.base_offset && record.offset <= info.last_offset);
    }
    return r;
}

static void test_batch_survives_lengths_that_lie(void **state)
{
    uint8_t copy[sizeof(kafka_mixed)];
    int refused = 0;

    (void)state;
    for (size_t pos = 0; pos < sizeof(copy); pos++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, kafka_mixed, sizeof(copy));
            copy[pos] ^= (uint8_t)(1 << bit);
            refused += walk(wz_slice(copy, sizeof(copy))) != WZ_END;
        }
    }
    assert_true(refused > 100);
    assert_int_equal(walk(wz_slice(kafka_mixed, sizeof(kafka_mixed))), WZ_END);
}

static void test_batch_detects_every_flipped_bit_behind_its_checksum(void **state)
{
    uint8_t copy[sizeof(kafka_mixed)];

    (void)state;
    for (size_t pos = WZ_BATCH_CRC_POS; pos < sizeof(copy); pos++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, kafka_mixed, sizeof(copy));
            copy[pos] ^= (uint8_t)(1 << bit);
            assert_false(wz_batch_crc_ok(wz_slice(copy, sizeof(copy))));
        }
    }
}

static void test_batch_refuses_what_cannot_be_one(void **state)
{
    static const struct {
        size_t pos;
        uint8_t byte;
    } cases[] = {
        {WZ_BATCH_OFFSET_POS, 0x80},     // negative offset
        {WZ_BATCH_LENGTH_POS, 0x7f},     // 2 GiB
        {WZ_BATCH_LENGTH_POS + 3, 0x30}, // shorter than a header
        {WZ_BATCH_MAGIC_POS, 1},         {WZ_BATCH_COUNT_POS, 0x80},
        {WZ_BATCH_COUNT_POS + 3, 0},     {WZ_BATCH_LAST_DELTA_POS, 0xff},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t copy[sizeof(kafka_mixed)];
        struct wz_batch_info info;

        memcpy(copy, kafka_mixed, sizeof(copy));
        copy[cases[i].pos] = cases[i].byte;
        assert_int_equal(wz_batch_read(wz_slice(copy, sizeof(copy)), &info), WZ_ERR_CORRUPT);
    }
}

static void test_batch_closes_at_its_limits(void **state)
{
    struct wz_record_parts parts = {.key = WZ_SLICE_LIT("a")};
    struct wz_batch_builder batch;
    size_t len;

    (void)state;
    wz_batch_begin(&batch, space, sizeof(space), 0);
    for (int i = 0; i < WZ_BATCH_MAX_RECORDS; i++)
        add(&batch, &parts);
    assert_false(wz_batch_fits(&batch, wz_record_len(&parts, batch.count)));
    parts.value[0] = wz_slice(kafka_mixed, sizeof(kafka_mixed));
    parts.value_count = 1;
    wz_batch_begin(&batch, space, sizeof(space), 0);
    while (len = wz_record_len(&parts, batch.count), wz_batch_fits(&batch, len))
        wz_batch_add(&batch, &parts, len);
    assert_true(batch.len <= WZ_BATCH_MAX_BYTES && batch.len + len > WZ_BATCH_MAX_BYTES);
}

static void test_record_len_is_exact_around_every_varint_step(void **state)
{
    static uint8_t value[20000];

    (void)state;
    for (size_t len = 0; len < sizeof(value); len += len < 300 || len > 8000 ? 1 : 61) {
        struct wz_record_parts parts = {.value = {wz_slice(value, len)}, .value_count = 1};
        struct wz_batch_builder batch;

        wz_batch_begin(&batch, space, sizeof(space), 0);
        add(&batch, &parts);
        wz_batch_finish(&batch, 1);
        assert_int_equal(walk(wz_slice(batch.bytes, batch.len)), WZ_END);
    }
}

// Reads on in SPLIT, batch by batch: the record that is next in all of them.
struct pieces {
    struct wz_slice split;
    struct wz_record_iter it;
    bool begun;
    int count;
};

static int next_of(struct pieces *pieces, struct wz_record *ret_record)
{
    for (;;) {
        struct wz_batch_info info;
        int r = pieces->begun ? wz_record_next(&pieces->it, ret_record) : WZ_END;

        if (r != WZ_END || pieces->split.len == 0)
            return r;
        assert_int_equal(wz_batch_read(pieces->split, &info), WZ_OK);
        assert_true(wz_batch_crc_ok(wz_slice_sub(pieces->split, 0, info.len)));
        assert_int_equal(info.attributes, WZ_BATCH_LOG_APPEND_TIME);
        assert_int_equal(info.epoch, -1);
        assert_int_equal(info.sequence, (int32_t)(info.base_offset & INT32_MAX));
        assert_int_equal(info.last_offset - info.base_offset, info.count - 1);
        wz_record_iter_init(&pieces->it, wz_slice_sub(pieces->split, 0, info.len), &info);
        pieces->split = wz_slice_sub(pieces->split, info.len, pieces->split.len - info.len);
        pieces->begun = true;
        pieces->count++;
    }
}

// Holds the batches in SPLIT against S, record by record; returns how many batches they are.
static int same_records(struct wz_slice s, struct wz_slice split)
{
    struct pieces pieces = {.split = split};
    struct wz_batch_info info;
    struct wz_record_iter it;
    struct wz_record records[2];

    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    wz_record_iter_init(&it, s, &info);
    while (wz_record_next(&it, &records[0]) == WZ_OK) {
        assert_int_equal(next_of(&pieces, &records[1]), WZ_OK);
        assert_int_equal(records[0].offset, records[1].offset);
        assert_int_equal(records[0].append_ms, records[1].append_ms);
        assert_int_equal(records[0].key_null, records[1].key_null);
        assert_int_equal(records[0].value_null, records[1].value_null);
        assert_int_equal(records[0].header_count, records[1].header_count);
        assert_true(wz_slice_eq(records[0].key, records[1].key));
        assert_true(wz_slice_eq(records[0].value, records[1].value));
        assert_true(wz_slice_eq(records[0].headers, records[1].headers));
    }
    assert_int_equal(next_of(&pieces, &records[1]), WZ_END);
    return pieces.count;
}

static void test_batch_split_says_what_the_whole_says(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf split = {0};
    static uint8_t many[WZ_BATCH_MAX_BYTES];
    struct wz_batch_builder batch = build_plain(((int64_t)3 << 31) - 2); // the sequence starts anew
    struct wz_slice s = wz_slice(batch.bytes, batch.len);
    struct wz_batch_info info;

    (void)state;
    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    wz_buf_add_str(&split, "in front"); // it is added to what is there
    assert_int_equal(wz_batch_split(s, &info, WZ_BATCH_HEADER_LEN + 1, &split), WZ_OK);
    wz_buf_consume(&split, 8);
    assert_int_equal(same_records(s, wz_buf_slice(&split)), 4);
    wz_batch_begin(&batch, many, sizeof(many), 77);
    for (int i = 0; i < WZ_BATCH_MAX_RECORDS; i++) { // offset deltas of one and of two bytes
        add(&batch, &(struct wz_record_parts){.key = WZ_SLICE_LIT("k"),
                                              .value = {wz_slice(HUNDRED_Y, (size_t)i % 90)},
                                              .value_count = 1});
    }
    wz_batch_finish(&batch, 1770000000123);
    s = wz_slice(many, batch.len);
    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    for (size_t least = WZ_BATCH_HEADER_LEN + 1; least < s.len + 200; least += 97) {
        int count;

        split.len = 0;
        assert_int_equal(wz_batch_split(s, &info, least, &split), WZ_OK);
        count = same_records(s, wz_buf_slice(&split));
        assert_true((size_t)count <= s.len / (least - WZ_BATCH_HEADER_LEN) + 1);
        assert_true(least > 200 || count > 50);
    }
    assert_int_equal(split.len, s.len); // it was not long enough
    wz_batch_seal(many, batch.len);
    assert_memory_equal(split.ptr, many, batch.len);
}

static void test_batch_split_refuses_what_is_not_as_we_write_it(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf split = {0};
    struct wz_slice mixed = wz_slice(kafka_mixed, sizeof(kafka_mixed));
    struct wz_batch_info info;
    struct wz_batch_builder plain = build_plain(0);
    uint8_t bytes[sizeof(kafka_plain)]; // as many
    int refused = 0;

    (void)state;
    wz_buf_add_str(&split, "x");
    assert_int_equal(wz_batch_read(mixed, &info), WZ_OK);
    info.attributes = WZ_BATCH_LOG_APPEND_TIME;
    assert_int_equal(wz_batch_split(mixed, &info, 70, &split), WZ_ERR_CORRUPT); // of its times
    mixed = wz_slice(kafka_plain, sizeof(kafka_plain));
    assert_int_equal(wz_batch_read(mixed, &info), WZ_OK);
    assert_int_equal(wz_batch_split(mixed, &info, 70, &split), WZ_ERR_CORRUPT); // they are others'
    for (size_t i = WZ_BATCH_HEADER_LEN; i < sizeof(bytes); i++) {
        struct wz_slice s = wz_slice(bytes, sizeof(bytes));
        int r;

        memcpy(bytes, plain.bytes, sizeof(bytes));
        bytes[i] ^= 0x02;
        assert_int_equal(wz_batch_read(s, &info), WZ_OK);
        r = wz_batch_split(s, &info, 70, &split);
        refused += r == WZ_ERR_CORRUPT;
        if (r == WZ_OK)
            (void)same_records(s, wz_slice_sub(wz_buf_slice(&split), 1, split.len - 1));
        else
            assert_int_equal(split.len, 1);
        split.len = 1;
    }
    assert_true(refused > 10);
    memcpy(bytes, plain.bytes, sizeof(bytes));
    assert_int_equal(bytes[WZ_BATCH_HEADER_LEN + 4], 0);
    bytes[WZ_BATCH_HEADER_LEN + 4] = 2; // the first one's offset
    assert_int_equal(wz_batch_split(wz_slice(bytes, sizeof(bytes)), &info, 70, &split),
                     WZ_ERR_CORRUPT);
}

static void test_batch_ends_before_the_last_offset_there_is(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf split = {0};
    struct wz_batch_builder batch = build_plain(0);
    struct wz_slice s = wz_slice(batch.bytes, batch.len);
    struct wz_batch_info info;

    (void)state;
    wz_batch_rebase(batch.bytes, INT64_MAX - batch.count);
    wz_batch_seal(batch.bytes, batch.len);
    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    assert_int_equal(info.last_offset, INT64_MAX - 1);
    assert_int_equal(wz_batch_split(s, &info, 70, &split), WZ_OK);
    assert_true(same_records(s, wz_buf_slice(&split)) > 1);
    wz_batch_rebase(batch.bytes, INT64_MAX - batch.count + 1);
    assert_int_equal(wz_batch_read(s, &info), WZ_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_reads_what_kafka_wrote),
        cmocka_unit_test(test_batch_writes_the_records_that_kafka_writes),
        cmocka_unit_test(test_batch_marks_append_time_offset_and_checksum),
        cmocka_unit_test(test_batch_asks_for_more_at_every_truncation),
        cmocka_unit_test(test_batch_survives_lengths_that_lie),
        cmocka_unit_test(test_batch_detects_every_flipped_bit_behind_its_checksum),
        cmocka_unit_test(test_batch_refuses_what_cannot_be_one),
        cmocka_unit_test(test_batch_closes_at_its_limits),
        cmocka_unit_test(test_record_len_is_exact_around_every_varint_step),
        cmocka_unit_test(test_batch_split_says_what_the_whole_says),
        cmocka_unit_test(test_batch_split_refuses_what_is_not_as_we_write_it),
        cmocka_unit_test(test_batch_ends_before_the_last_offset_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
