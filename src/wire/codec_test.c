// SPDX-License-Identifier: Apache-2.0
#include "wire/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/mem.h"

#define COUNT 300
#define LEVEL 3

static uint8_t space[WZ_BATCH_LIMIT_BYTES];

// A batch of COUNT records that are much alike, in SPACE.
static struct wz_slice make(void)
{
    struct wz_batch_builder batch;

    wz_batch_begin(&batch, space, sizeof(space), 1000);
    for (int i = 0; i < COUNT; i++) {
        char text[64];
        struct wz_record_parts parts = {.key = WZ_SLICE_LIT("bedroom.light"), .value_count = 1};

        (void)snprintf(text, sizeof(text), "{\"brightness\":%d,\"on\":true}", i);
        parts.value[0] = wz_slice_str(text);
        wz_batch_add(&batch, &parts, wz_record_len(&parts, i));
    }
    wz_batch_finish(&batch, 1770000000000);
    wz_batch_seal(space, batch.len);
    return wz_slice(space, batch.len);
}

static void test_codec_gives_back_what_was_packed(void **state)
{
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf packed = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_slice batch = make();
    struct wz_batch_info before;
    struct wz_batch_info info;
    struct wz_slice back;

    (void)state;
    wz_buf_add_str(&packed, "in front"); // it is added to what is there
    assert_int_equal(wz_codec_pack(&codec, batch, LEVEL, &packed), WZ_OK);
    wz_buf_consume(&packed, 8);
    assert_true(packed.len < batch.len / 3);
    assert_int_equal(wz_batch_read(batch, &before), WZ_OK);
    assert_int_equal(wz_batch_read(wz_buf_slice(&packed), &info), WZ_OK);
    assert_int_equal(info.len, packed.len);
    assert_int_equal(info.attributes, WZ_BATCH_LOG_APPEND_TIME | WZ_BATCH_ZSTD);
    assert_int_equal(info.base_offset, before.base_offset);
    assert_int_equal(info.last_offset, before.last_offset);
    assert_int_equal(info.max_ms, before.max_ms);
    assert_int_equal(info.sequence, before.sequence);
    assert_true(wz_batch_crc_ok(wz_buf_slice(&packed)));
    assert_int_equal(wz_codec_unpack(&codec, wz_buf_slice(&packed), &info, &buf, &back, &info),
                     WZ_OK);
    assert_int_equal(info.packed_len, packed.len);
    assert_int_equal(info.len, batch.len);
    wz_batch_seal(buf.ptr, buf.len);
    assert_int_equal(back.len, batch.len);
    assert_memory_equal(back.ptr, batch.ptr, batch.len);
}

static void test_codec_leaves_a_batch_without_compression(void **state)
{
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_slice batch = make();
    struct wz_batch_info info;
    struct wz_slice back;

    (void)state;
    assert_int_equal(wz_batch_read(batch, &info), WZ_OK);
    assert_int_equal(wz_codec_unpack(&codec, batch, &info, &buf, &back, &info), WZ_OK);
    assert_ptr_equal(back.ptr, batch.ptr);
    assert_int_equal(info.packed_len, 0);
}

static void test_codec_packs_nothing_that_gets_no_shorter(void **state)
{
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf packed = {0};
    struct wz_record_parts parts = {
        .key = WZ_SLICE_LIT("k"), .value = {WZ_SLICE_LIT("x")}, .value_count = 1};
    struct wz_batch_builder batch;

    (void)state;
    wz_batch_begin(&batch, space, sizeof(space), 7);
    wz_batch_add(&batch, &parts, wz_record_len(&parts, 0));
    wz_batch_finish(&batch, 1770000000000);
    wz_batch_seal(space, batch.len);
    assert_int_equal(wz_codec_pack(&codec, wz_slice(space, batch.len), LEVEL, &packed), WZ_END);
    assert_int_equal(packed.len, 0);
}

// Puts what zstd made of LEN zeros behind the header of a batch, as one that says it is so long.
static struct wz_slice bomb(struct wz_buf *buf, size_t len, bool sized)
{
    struct wz_slice batch = make();
    ZSTD_CCtx *packs = ZSTD_createCCtx();
    uint8_t *zeros = wz_zalloc(1, len);
    struct wz_pen pen;
    size_t size;

    buf->len = 0;
    wz_buf_reserve(buf, 1024 * 1024);
    memcpy(buf->ptr, batch.ptr, WZ_BATCH_HEADER_LEN);
    (void)ZSTD_CCtx_setParameter(packs, ZSTD_c_contentSizeFlag, sized);
    size = ZSTD_compress2(packs, buf->ptr + WZ_BATCH_HEADER_LEN, 1000000, zeros, len);
    assert_false(ZSTD_isError(size));
    (void)ZSTD_freeCCtx(packs);
    wz_free(zeros);
    buf->len = WZ_BATCH_HEADER_LEN + size;
    pen = wz_pen(buf->ptr + WZ_BATCH_LENGTH_POS, 4);
    wz_pen_put_u32(&pen, (uint32_t)(buf->len - WZ_BATCH_PREFIX_LEN));
    buf->ptr[WZ_BATCH_ATTRIBUTES_POS + 1] = WZ_BATCH_LOG_APPEND_TIME | WZ_BATCH_ZSTD;
    return wz_buf_slice(buf);
}

static int unpack(struct wz_codec *codec, struct wz_slice s, struct wz_buf *buf)
{
    struct wz_batch_info info;
    struct wz_slice back;

    assert_int_equal(wz_batch_read(s, &info), WZ_OK);
    return wz_codec_unpack(codec, s, &info, buf, &back, &info);
}

static void test_codec_refuses_more_than_a_batch_may_have(void **state)
{
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf packed = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    size_t most = WZ_BATCH_LIMIT_BYTES - WZ_BATCH_HEADER_LEN;

    (void)state;
    assert_int_equal(unpack(&codec, bomb(&packed, most, true), &buf), WZ_OK);
    assert_int_equal(buf.len, WZ_BATCH_LIMIT_BYTES);
    wz_buf_release(&buf);
    assert_int_equal(unpack(&codec, bomb(&packed, most + 1, true), &buf), WZ_ERR_CORRUPT);
    assert_int_equal(unpack(&codec, bomb(&packed, 100 * most, true), &buf), WZ_ERR_CORRUPT);
    assert_int_equal(unpack(&codec, bomb(&packed, 1000, false), &buf), WZ_ERR_CORRUPT);
    assert_int_equal(buf.cap, 0); // nothing was decompressed
}

static void test_codec_refuses_what_is_damaged(void **state)
{
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf packed = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_batch_info info;
    struct wz_slice back;
    int refused = 0;

    (void)state;
    assert_int_equal(wz_codec_pack(&codec, make(), LEVEL, &packed), WZ_OK);
    for (size_t i = WZ_BATCH_HEADER_LEN; i < packed.len; i++) { // no checksum says so here
        packed.ptr[i] ^= 0x40;
        refused += unpack(&codec, wz_buf_slice(&packed), &buf) == WZ_ERR_CORRUPT;
        packed.ptr[i] ^= 0x40;
    }
    assert_true(refused > 10);
    for (size_t len = WZ_BATCH_HEADER_LEN; len < packed.len; len++) {
        struct wz_pen pen = wz_pen(packed.ptr + WZ_BATCH_LENGTH_POS, 4);

        wz_pen_put_u32(&pen, (uint32_t)(len - WZ_BATCH_PREFIX_LEN));
        assert_int_equal(unpack(&codec, wz_slice(packed.ptr, len), &buf), WZ_ERR_CORRUPT);
    }
    for (uint8_t other = 1; other < 8; other++) {
        struct wz_slice batch = make();

        if (other == WZ_BATCH_ZSTD)
            continue;
        space[WZ_BATCH_ATTRIBUTES_POS + 1] = WZ_BATCH_LOG_APPEND_TIME | other;
        assert_int_equal(wz_batch_read(batch, &info), WZ_OK);
        assert_int_equal(wz_codec_unpack(&codec, batch, &info, &buf, &back, &info), WZ_ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_gives_back_what_was_packed),
        cmocka_unit_test(test_codec_leaves_a_batch_without_compression),
        cmocka_unit_test(test_codec_packs_nothing_that_gets_no_shorter),
        cmocka_unit_test(test_codec_refuses_more_than_a_batch_may_have),
        cmocka_unit_test(test_codec_refuses_what_is_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
