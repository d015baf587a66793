// SPDX-License-Identifier: Apache-2.0
#include "stream/log/jumps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"

static void test_jumps_make_what_was_before_younger(void **state)
{
    struct wz_jumps jumps = {0};

    (void)state;
    assert_int_equal(wz_jumps_ms(&jumps, 0), 0);
    wz_jumps_add(&jumps, 100, 5000);
    wz_jumps_add(&jumps, 200, 70);
    assert_int_equal(wz_jumps_ms(&jumps, 99), 5070);
    assert_int_equal(wz_jumps_ms(&jumps, 100), 70);
    assert_int_equal(wz_jumps_ms(&jumps, 200), 0);
    wz_jumps_cut(&jumps, 99);
    assert_int_equal(jumps.count, 2);
    wz_jumps_cut(&jumps, 100);
    assert_int_equal(jumps.count, 1);
    assert_int_equal(wz_jumps_ms(&jumps, 150), 70);
    wz_jumps_release(&jumps);
}

static void test_jumps_back_take_back_and_make_nothing_older(void **state)
{
    struct wz_jumps jumps = {0};

    (void)state;
    wz_jumps_add(&jumps, 10, 1000);
    wz_jumps_add(&jumps, 20, 50);
    wz_jumps_add(&jumps, 30, -60);
    assert_int_equal(wz_jumps_ms(&jumps, 5), 990);
    assert_int_equal(wz_jumps_ms(&jumps, 15), 0);
    wz_jumps_add(&jumps, 40, -100000);
    assert_int_equal(wz_jumps_ms(&jumps, 5), 0);
    wz_jumps_release(&jumps);
}

static void test_jumps_that_are_too_many_count_as_one(void **state)
{
    struct wz_jumps jumps = {0};

    (void)state;
    for (int64_t i = 1; i <= WZ_JUMPS_MAX + 10; i++)
        wz_jumps_add(&jumps, i * 10, 1);
    assert_int_equal(jumps.count, WZ_JUMPS_MAX);
    assert_int_equal(wz_jumps_ms(&jumps, 0), WZ_JUMPS_MAX + 10);
    wz_jumps_add(&jumps, INT64_MAX, INT64_MAX); // and no sum runs over
    wz_jumps_add(&jumps, INT64_MAX, INT64_MAX);
    assert_int_equal(wz_jumps_ms(&jumps, 0), WZ_JUMPS_UNKNOWN_MS);
    wz_jumps_release(&jumps);
}

static void test_jumps_are_read_as_they_were_written(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_jumps jumps = {0};
    struct wz_jumps read = {0};

    (void)state;
    wz_jumps_add(&jumps, 100, 5000);
    wz_jumps_add(&jumps, 200, 70);
    wz_jumps_encode(&jumps, &buf);
    assert_int_equal(wz_jumps_decode(wz_buf_slice(&buf), &read), WZ_OK);
    assert_int_equal(wz_jumps_ms(&read, 99), 5070);
    wz_jumps_release(&read);
    for (size_t len = 0; len < buf.len; len++)
        assert_int_equal(wz_jumps_decode(wz_slice(buf.ptr, len), &read), WZ_ERR_CORRUPT);
    for (size_t i = 0; i < buf.len; i++) {
        buf.ptr[i] ^= 0x10;
        assert_int_equal(wz_jumps_decode(wz_buf_slice(&buf), &read), WZ_ERR_CORRUPT);
        buf.ptr[i] ^= 0x10;
    }
    wz_jumps_release(&jumps);
}

static void test_jumps_of_a_damaged_file_age_nothing(void **state)
{
    char dir[] = "/tmp/wyze-jumps-XXXXXX";
    struct wz_jumps jumps;
    char command[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(wz_jumps_load(dir, 77, &jumps), WZ_OK);
    assert_int_equal(jumps.count, 0);
    assert_int_equal(wz_fs_replace(dir, WZ_JUMPS_NAME, WZ_SLICE_LIT("what is this")), WZ_OK);
    assert_int_equal(wz_jumps_load(dir, 77, &jumps), WZ_OK);
    assert_int_equal(wz_jumps_ms(&jumps, 76), WZ_JUMPS_UNKNOWN_MS);
    assert_int_equal(wz_jumps_ms(&jumps, 77), 0);
    wz_jumps_release(&jumps);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jumps_make_what_was_before_younger),
        cmocka_unit_test(test_jumps_back_take_back_and_make_nothing_older),
        cmocka_unit_test(test_jumps_that_are_too_many_count_as_one),
        cmocka_unit_test(test_jumps_are_read_as_they_were_written),
        cmocka_unit_test(test_jumps_of_a_damaged_file_age_nothing),
    };

    return cmocka_run_group_tests_name("stream/jumps", tests, NULL, NULL);
}
