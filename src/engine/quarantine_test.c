// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/lane.h"
#include "engine/quarantine.h"

static struct wz_quarantine make_example(void)
{
    return (struct wz_quarantine){
        .record = {.stream = 1,
                   .hops = 16,
                   .offset = 0x0102030405060708,
                   .append_ms = 1770000000123,
                   .topic = WZ_SLICE_LIT("bedroom.light"),
                   .body = WZ_SLICE_LIT("{\"value\":\"25\"}")},
        .attempts = 4,
        .time_ms = 1770000009999,
        .reason = WZ_SLICE_LIT("Traceback:\n  line 1\nValueError: no\n"),
        .seen = WZ_SLICE_LIT("{\"n\":1,\"m\":null}"),
    };
}

static void test_quarantine_reads_what_was_put(void **state)
{
    const struct wz_quarantine example = make_example();
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_quarantine read;

    (void)state;
    wz_quarantine_put(&buf, &example);
    assert_int_equal(wz_quarantine_get(wz_buf_slice(&buf), &read), WZ_OK);
    assert_int_equal(read.record.stream, 1);
    assert_int_equal(read.record.hops, 16);
    assert_int_equal(read.record.lane, wz_lane_of(example.record.topic));
    assert_false(read.record.opens);
    assert_int_equal(read.record.offset, example.record.offset);
    assert_int_equal(read.record.append_ms, example.record.append_ms);
    assert_int_equal(read.attempts, 4);
    assert_int_equal(read.time_ms, example.time_ms);
    assert_true(wz_slice_eq(read.record.topic, example.record.topic));
    assert_true(wz_slice_eq(read.record.body, example.record.body));
    assert_true(wz_slice_eq(read.reason, example.reason));
    assert_true(wz_slice_eq(read.seen, example.seen));
}

static void test_quarantine_keeps_the_end_of_a_long_reason(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf reason = {0};
    struct wz_quarantine message = make_example();
    struct wz_quarantine read;

    (void)state;
    while (reason.len < 2 * WZ_QUARANTINE_REASON_MAX)
        wz_buf_add_str(&reason, "deeper and deeper\n");
    wz_buf_add_str(&reason, "RecursionError: too deep");
    message.reason = wz_buf_slice(&reason);
    wz_quarantine_put(&buf, &message);
    assert_int_equal(wz_quarantine_get(wz_buf_slice(&buf), &read), WZ_OK);
    assert_int_equal(read.reason.len, WZ_QUARANTINE_REASON_MAX);
    assert_true(
        wz_slice_eq(wz_quarantine_short(read.reason), WZ_SLICE_LIT("RecursionError: too deep")));
}

static void test_quarantine_refuses_garbage(void **state)
{
    const struct wz_quarantine example = make_example();
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    size_t front_len;
    struct wz_quarantine read;
    unsigned seed = 99;

    (void)state;
    wz_quarantine_put(&buf, &example);
    front_len = buf.len - example.record.body.len;
    for (size_t len = 0; len < front_len; len++) // a body is what is left
        assert_int_equal(wz_quarantine_get(wz_slice(buf.ptr, len), &read), WZ_ERR_CORRUPT);
    for (int i = 0; i < 20000; i++) { // none of it is read past its end
        size_t len = (size_t)rand_r(&seed) % 64;
        uint8_t *bytes = wz_alloc(len + 1);

        for (size_t j = 0; j < len; j++)
            bytes[j] = rand_r(&seed) % 4 == 0 ? (uint8_t)rand_r(&seed) : 0;
        if (wz_quarantine_get(wz_slice(bytes, len), &read) == WZ_OK)
            assert_in_range(read.record.body.len + read.reason.len + read.seen.len, 0, len);
        wz_free(bytes);
    }
}

static void test_quarantine_short_is_the_last_line_that_says_something(void **state)
{
    const struct wz_quarantine example = make_example();

    (void)state;
    assert_true(wz_slice_eq(wz_quarantine_short(example.reason), WZ_SLICE_LIT("ValueError: no")));
    assert_true(wz_slice_eq(wz_quarantine_short(WZ_SLICE_LIT("one")), WZ_SLICE_LIT("one")));
    assert_int_equal(wz_quarantine_short(WZ_SLICE_LIT("\n\n")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarantine_reads_what_was_put),
        cmocka_unit_test(test_quarantine_keeps_the_end_of_a_long_reason),
        cmocka_unit_test(test_quarantine_refuses_garbage),
        cmocka_unit_test(test_quarantine_short_is_the_last_line_that_says_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
