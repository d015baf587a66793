// SPDX-License-Identifier: Apache-2.0
#include "stream/log/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"

#define BASE 1000

static struct wz_buf file;
static size_t ends[8]; // of the batches

// Adds a batch of COUNT records whose value is BODY.
static void add_batch(int number, int64_t base_offset, int count, struct wz_slice body)
{
    static uint8_t space[WZ_BATCH_MAX_BYTES];
    struct wz_record_parts parts = {.key = WZ_SLICE_LIT("t"), .value = {body}, .value_count = 1};
    struct wz_batch_builder batch;

    wz_batch_begin(&batch, space, sizeof(space), base_offset);
    for (int i = 0; i < count; i++)
        wz_batch_add(&batch, &parts, wz_record_len(&parts, batch.count));
    wz_batch_finish(&batch, 1);
    wz_batch_seal(batch.bytes, batch.len);
    wz_buf_add(&file, batch.bytes, batch.len);
    ends[number] = file.len;
}

// Three batches: offsets 1000 to 1002, 1003 to 1005, and, behind a gap, 2000 to 2002.
static void make(struct wz_slice body)
{
    file.len = 0;
    add_batch(0, BASE, 3, body);
    add_batch(1, BASE + 3, 3, body);
    add_batch(2, BASE + 1000, 3, body);
}

// Walks the file with LIMIT; returns the first offsets of the batches as a sum, so that each set of
// batches has its own.
static int64_t walk(int64_t limit, int64_t *ret_damaged, int64_t *ret_pos)
{
    char path[] = "scan-test-XXXXXX";
    int fd = mkstemp(path);
    struct wz_scan scan = {0};
    struct wz_batch_info info;
    struct wz_slice batch;
    int64_t sum = 0;
    struct iovec piece = {.iov_base = file.ptr, .iov_len = file.len};

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(wz_fs_write(fd, &piece, 1, 0), WZ_OK);
    wz_scan_init(&scan, fd, BASE, 0, (int64_t)file.len);
    scan.limit_offset = limit;
    scan.window = 64; // so that every batch has to be fetched
    while (wz_scan_next(&scan, &batch, &info) == WZ_OK)
        sum += info.base_offset;
    *ret_damaged = scan.damaged;
    *ret_pos = scan.pos;
    wz_scan_release(&scan);
    wz_fs_close(fd);
    return sum;
}

static void test_scan_finds_every_batch(void **state)
{
    int64_t damaged;
    int64_t pos;

    (void)state;
    make(WZ_SLICE_LIT("body"));
    assert_int_equal(walk(INT64_MAX, &damaged, &pos), 1000 + 1003 + 2000);
    assert_int_equal(damaged, 0);
    assert_int_equal(pos, file.len);
}

static void test_scan_skips_the_batch_of_any_flipped_bit(void **state)
{
    int64_t damaged;
    int64_t pos;

    (void)state;
    make(WZ_SLICE_LIT("body"));
    for (size_t i = ends[0] * 8; i < ends[1] * 8; i++) {
        file.ptr[i / 8] ^= (uint8_t)(1 << (i % 8));
        if (walk(INT64_MAX, &damaged, &pos) != 1000 + 2000 || damaged != 1)
            fail_msg("byte %zu bit %zu", i / 8, i % 8);
        file.ptr[i / 8] ^= (uint8_t)(1 << (i % 8));
    }
}

static void test_scan_stops_before_a_torn_tail(void **state)
{
    int64_t damaged;
    int64_t pos;

    (void)state;
    make(WZ_SLICE_LIT("body"));
    for (size_t len = ends[1]; len < ends[2]; len++) {
        file.len = len;
        assert_int_equal(walk(INT64_MAX, &damaged, &pos), 1000 + 1003);
        assert_int_equal(pos, ends[1]);
        assert_int_equal(damaged, 0);
    }
}

static void test_scan_leaves_out_what_belongs_to_the_next_segment_or_comes_twice(void **state)
{
    int64_t damaged;
    int64_t pos;

    (void)state;
    make(WZ_SLICE_LIT("body"));
    add_batch(3, BASE + 3, 3, WZ_SLICE_LIT("again"));
    assert_int_equal(walk(INT64_MAX, &damaged, &pos), 1000 + 1003 + 2000);
    assert_int_equal(walk(1005, &damaged, &pos), 1000);
    assert_int_equal(walk(1006, &damaged, &pos), 1000 + 1003);
    assert_int_equal(damaged, 0);
}

static void test_scan_takes_no_batch_out_of_a_damaged_records_body(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf inner = {0};
    int64_t damaged;
    int64_t pos;

    (void)state;
    file.len = 0;
    add_batch(0, BASE + 500, 1, WZ_SLICE_LIT("forged"));
    wz_buf_add_slice(&inner, wz_buf_slice(&file));
    make(wz_buf_slice(&inner));
    file.ptr[ends[0] + 30] ^= 1;
    assert_int_equal(walk(INT64_MAX, &damaged, &pos), 1000 + 2000);
    assert_int_equal(damaged, 1);
    wz_buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_finds_every_batch),
        cmocka_unit_test(test_scan_skips_the_batch_of_any_flipped_bit),
        cmocka_unit_test(test_scan_stops_before_a_torn_tail),
        cmocka_unit_test(test_scan_leaves_out_what_belongs_to_the_next_segment_or_comes_twice),
        cmocka_unit_test(test_scan_takes_no_batch_out_of_a_damaged_records_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
