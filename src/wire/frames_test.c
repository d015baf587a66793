// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/frames.h"

// Takes a payload apart to its last byte; WZ_OK when all of it adds up.
typedef int (*decode_fn)(struct wz_slice payload);

static int decode_load(struct wz_slice payload)
{
    struct wz_frame_load load;

    return wz_frame_get_load(payload, &load);
}

static int decode_invalid(struct wz_slice payload)
{
    struct wz_frame_invalid invalid;

    return wz_frame_get_invalid(payload, &invalid);
}

static int decode_log(struct wz_slice payload)
{
    struct wz_frame_log log;

    return wz_frame_get_log(payload, &log);
}

static int decode_batch(struct wz_slice payload)
{
    struct wz_frame_record record;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    while (r == WZ_OK)
        r = wz_frame_next_record(&it, &record);
    return r == WZ_END ? WZ_OK : r;
}

static int decode_results(struct wz_slice payload)
{
    struct wz_frame_result result;
    struct wz_frame_item item;
    struct wz_frame_iter items;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    while (r == WZ_OK) {
        r = wz_frame_next_result(&it, &result);
        if (r != WZ_OK)
            break;
        items = wz_frame_items(&result);
        while (r == WZ_OK)
            r = wz_frame_next_item(&items, &item);
        r = r == WZ_END ? WZ_OK : r;
    }
    return r == WZ_END ? WZ_OK : r;
}

static void build_load(struct wz_buf *buf)
{
    const struct wz_frame_load load = {
        .name = WZ_SLICE_LIT("alarm"),
        .code = WZ_SLICE_LIT("x = 1\n"),
        .config = WZ_SLICE_LIT("{\"a\":1}"),
    };

    wz_frame_put_load(buf, &load);
}

static void build_invalid(struct wz_buf *buf)
{
    const struct wz_frame_invalid invalid = {
        .line = 7,
        .column = 3,
        .reason = WZ_SLICE_LIT("SyntaxError"),
        .traceback = WZ_SLICE_LIT("where"),
    };

    wz_frame_put_invalid(buf, &invalid);
}

static void build_log(struct wz_buf *buf)
{
    const struct wz_frame_log log = {
        .source = WZ_FRAME_LOG_CONTEXT,
        .severity = WZ_SEVERITY_ERROR,
        .stream = 1,
        .offset = -1,
        .text = WZ_SLICE_LIT("hot"),
    };

    wz_frame_put_log(buf, &log);
}

static void build_batch(struct wz_buf *buf)
{
    struct wz_frame_record record = {
        .stream = 1,
        .hops = 2,
        .offset = 1LL << 40,
        .append_ms = 1770000000123,
        .topic = WZ_SLICE_LIT("bedroom.light"),
        .body = WZ_SLICE_LIT("{\"value\":1}"),
    };
    size_t start = wz_frame_list_open(buf, WZ_FRAME_BATCH);

    wz_frame_put_record(buf, &record);
    record.body = WZ_SLICE_LIT("");
    record.offset++;
    wz_frame_put_record(buf, &record);
    wz_frame_list_close(buf, start, 2);
}

static void build_results(struct wz_buf *buf)
{
    const struct wz_frame_item emit = {
        .kind = WZ_FRAME_ITEM_EMIT,
        .body_kind = WZ_FRAME_BODY_NUMBER,
        .persistent = true,
        .topic = WZ_SLICE_LIT("a.b"),
        .body = WZ_SLICE_LIT("25"),
    };
    const struct wz_frame_item trace = {
        .kind = WZ_FRAME_ITEM_TRACE,
        .body = WZ_SLICE_LIT("Traceback"),
    };
    size_t start = wz_frame_list_open(buf, WZ_FRAME_RESULT);
    size_t result = wz_frame_result_open(buf, 1, 77);

    wz_frame_put_item(buf, &emit);
    wz_frame_put_item(buf, &emit);
    wz_frame_result_close(buf, result, WZ_FRAME_OK, 2);
    result = wz_frame_result_open(buf, 0, 78);
    wz_frame_put_item(buf, &trace);
    wz_frame_result_close(buf, result, WZ_FRAME_EXCEPTION, 1);
    wz_frame_list_close(buf, start, 2);
}

static const struct {
    void (*build)(struct wz_buf *buf);
    decode_fn decode;
    enum wz_frame_type type;
    // How much of the payload's end is text that may be cut without anybody noticing: its length is
    // the frame's.
    size_t free_text;
} vectors[] = {
    {build_load, decode_load, WZ_FRAME_LOAD, 0},
    {build_invalid, decode_invalid, WZ_FRAME_INVALID, 5},
    {build_log, decode_log, WZ_FRAME_LOG, 3},
    {build_batch, decode_batch, WZ_FRAME_BATCH, 0},
    {build_results, decode_results, WZ_FRAME_RESULT, 0},
};

#define VECTOR_COUNT (sizeof(vectors) / sizeof(vectors[0]))

static void test_frame_bytes_are_those_of_the_document(void **state)
{
    static const uint8_t log[] = {0,    0,    0,    14,   69,   2,    3,   1,   0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'h', 'o', 't'};
    static const uint8_t results[] = {
        0,   0,   0,   4 + 18 + 2 * 13 + 18 + 14,
        68,               // frame
        0,   0,   0,   2, // results
        1,   0,   0,   0,
        0,   0,   0,   0,
        0,   77,  0,   0,
        0,   2,   0,   0,
        0,   26, // the first
        1,   0,   0,   0,
        8,   3,   1,   3,
        'a', '.', 'b', '2',
        '5', // its outputs
        1,   0,   0,   0,
        8,   3,   1,   3,
        'a', '.', 'b', '2',
        '5', //
        0,   1,   0,   0,
        0,   0,   0,   0,
        0,   78,  0,   0,
        0,   1,   0,   0,
        0,   14, // the second
        2,   0,   0,   0,
        9,   'T', 'r', 'a',
        'c', 'e', 'b', 'a',
        'c', 'k', // its traceback
    };
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    build_log(&buf);
    assert_int_equal(buf.len, sizeof(log));
    assert_memory_equal(buf.ptr, log, sizeof(log));
    buf.len = 0;
    build_results(&buf);
    assert_int_equal(buf.len, sizeof(results));
    assert_memory_equal(buf.ptr, results, sizeof(results));
}

static void test_frame_values_come_back(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_record record;
    struct wz_frame_load load;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    (void)state;
    build_load(&buf);
    build_batch(&buf);
    assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
    assert_int_equal(frame.type, WZ_FRAME_LOAD);
    assert_int_equal(wz_frame_get_load(frame.payload, &load), WZ_OK);
    assert_true(wz_slice_eq(load.name, WZ_SLICE_LIT("alarm")));
    assert_true(wz_slice_eq(load.config, WZ_SLICE_LIT("{\"a\":1}")));
    wz_buf_consume(&buf, len);
    assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_OK);
    assert_int_equal(record.offset, 1LL << 40);
    assert_int_equal(record.append_ms, 1770000000123);
    assert_int_equal(record.stream, 1);
    assert_int_equal(record.hops, 2);
    assert_true(wz_slice_eq(record.topic, WZ_SLICE_LIT("bedroom.light")));
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_OK);
    assert_int_equal(record.body.len, 0);
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_END);
}

static void test_frame_read_waits_for_every_byte(void **state)
{
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        struct wz_frame frame;
        size_t len;

        vectors[v].build(&buf);
        for (size_t n = 0; n < buf.len; n++) {
            assert_int_equal(wz_frame_read(wz_slice(buf.ptr, n), &frame, &len), WZ_AGAIN);
            assert_int_equal(len, n < WZ_FRAME_HEADER_LEN ? WZ_FRAME_HEADER_LEN : buf.len);
        }
        assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
        assert_int_equal(len, buf.len);
        assert_int_equal(frame.type, vectors[v].type);
        assert_int_equal(vectors[v].decode(frame.payload), WZ_OK);
    }
}

static void test_frame_payloads_cut_short_or_too_long_are_refused(void **state)
{
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        size_t len;

        vectors[v].build(&buf);
        wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
        len = buf.len - vectors[v].free_text;
        for (size_t n = 0; n < len; n++) {
            // An exact copy, so that reading past its end is seen by the address sanitizer.
            uint8_t *copy = wz_alloc(n + 1);

            memcpy(copy, buf.ptr, n);
            assert_int_equal(vectors[v].decode(wz_slice(copy, n)), WZ_ERR_PROTOCOL);
            wz_free(copy);
        }
        wz_buf_add_byte(&buf, 0);
        if (vectors[v].free_text == 0)
            assert_int_equal(vectors[v].decode(wz_buf_slice(&buf)), WZ_ERR_PROTOCOL);
    }
}

// Each byte in turn set to values that lie about lengths and kinds: never read past the end, never
// more members than the bytes can hold.
static void test_frame_decoders_survive_lying_bytes(void **state)
{
    static const uint8_t lies[] = {0, 1, 2, 5, 0x7f, 0x80, 0xff};

    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        vectors[v].build(&buf);
        for (size_t i = WZ_FRAME_HEADER_LEN; i < buf.len; i++) {
            for (size_t k = 0; k < sizeof(lies); k++) {
                size_t len = buf.len - WZ_FRAME_HEADER_LEN;
                uint8_t *copy = wz_alloc(len);
                int r;

                memcpy(copy, buf.ptr + WZ_FRAME_HEADER_LEN, len);
                copy[i - WZ_FRAME_HEADER_LEN] = lies[k];
                r = vectors[v].decode(wz_slice(copy, len));
                assert_true(r == WZ_OK || r == WZ_ERR_PROTOCOL);
                wz_free(copy);
            }
        }
    }
}

static void test_frame_read_refuses_unknown_types_and_huge_lengths(void **state)
{
    static const uint8_t unknown[] = {0, 0, 0, 0, 5};
    static const uint8_t zero[] = {0, 0, 0, 0, 0};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, WZ_FRAME_BATCH};
    struct wz_frame frame;
    size_t len;

    (void)state;
    assert_int_equal(wz_frame_read(wz_slice(unknown, 5), &frame, &len), WZ_ERR_PROTOCOL);
    assert_int_equal(wz_frame_read(wz_slice(zero, 5), &frame, &len), WZ_ERR_PROTOCOL);
    assert_int_equal(wz_frame_read(wz_slice(huge, 5), &frame, &len), WZ_ERR_PROTOCOL);
}

static void test_severity_words_go_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < WZ_SEVERITY_COUNT; i++) {
        const char *word = wz_severity_word((enum wz_severity)i);

        assert_int_equal(wz_severity_find(wz_slice_str(word)), i);
    }
    assert_int_equal(wz_severity_find(WZ_SLICE_LIT("loud")), WZ_SEVERITY_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_bytes_are_those_of_the_document),
        cmocka_unit_test(test_frame_values_come_back),
        cmocka_unit_test(test_frame_read_waits_for_every_byte),
        cmocka_unit_test(test_frame_payloads_cut_short_or_too_long_are_refused),
        cmocka_unit_test(test_frame_decoders_survive_lying_bytes),
        cmocka_unit_test(test_frame_read_refuses_unknown_types_and_huge_lengths),
        cmocka_unit_test(test_severity_words_go_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
