// SPDX-License-Identifier: Apache-2.0
#include "stream/log/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/inside.h"
#include "stream/log/testlog_test.h"

// A log of many small sealed segments.
static void make(struct testlog *t)
{
    testlog_init(t);
    t->opt.segment_bytes = 2000;
    testlog_open(t);
    for (int i = 0; i < 50; i++) {
        testlog_append_many(t, 10, 100);
        testlog_settle(t);
    }
}

static void test_cache_gives_the_same_indexes_until_they_are_let_go(void **state)
{
    struct wz_sealed *first;
    struct wz_sealed *second;
    struct wz_place place;
    struct testlog t;

    (void)state;
    make(&t);
    assert_int_equal(wz_shelf_find(wz_log_shelf(t.log), 0, &place), WZ_OK);
    assert_false(place.live);
    assert_int_equal(wz_cache_get(wz_log_cache(t.log), &place, &first), WZ_OK);
    assert_int_equal(wz_cache_get(wz_log_cache(t.log), &place, &second), WZ_OK);
    assert_ptr_equal(first, second);
    assert_true(first->index.count > 0);
    wz_cache_unref(wz_log_cache(t.log), first);
    wz_cache_unref(wz_log_cache(t.log), second);
    assert_int_equal(wz_cache_rebuilt(wz_log_cache(t.log)), 0);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_cache_makes_damaged_indexes_anew_and_mends_the_file(void **state)
{
    static const char topics[] = "00000000000000000000.topics";
    WZ_AUTO(wz_buf_release) struct wz_buf before = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf after = {0};
    struct wz_sealed *sealed;
    struct wz_place place;
    struct testlog t;
    uint8_t byte = 0xee;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    int fd = -1;

    (void)state;
    make(&t);
    assert_int_equal(wz_fs_load(testlog_path(&t, topics), 1 << 20, &before), WZ_OK);
    assert_int_equal(wz_fs_open(testlog_path(&t, topics), WZ_FS_WRITE, &fd), WZ_OK);
    assert_int_equal(wz_fs_write(fd, &piece, 1, 40), WZ_OK);
    wz_fs_close(fd);
    assert_int_equal(wz_shelf_find(wz_log_shelf(t.log), 0, &place), WZ_OK);
    assert_int_equal(wz_cache_get(wz_log_cache(t.log), &place, &sealed), WZ_OK);
    assert_int_equal(wz_cache_rebuilt(wz_log_cache(t.log)), 1);
    assert_int_equal(sealed->topics.len, before.len);
    assert_memory_equal(sealed->topics.ptr, before.ptr, before.len);
    wz_cache_unref(wz_log_cache(t.log), sealed);
    assert_int_equal(wz_fs_load(testlog_path(&t, topics), 1 << 20, &after), WZ_OK);
    assert_memory_equal(after.ptr, before.ptr, before.len);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_gives_the_same_indexes_until_they_are_let_go),
        cmocka_unit_test(test_cache_makes_damaged_indexes_anew_and_mends_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
