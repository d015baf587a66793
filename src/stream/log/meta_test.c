// SPDX-License-Identifier: Apache-2.0
#include "stream/log/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"

static const char path[] = "meta_test.tmp";

// A file of COUNT writes, each raising the reserved end by 100; the caller closes RET_FD.
static void make(int count, int *ret_fd)
{
    struct wz_meta meta = {.block = 100};

    assert_int_equal(wz_fs_remove(path), WZ_OK);
    assert_int_equal(wz_fs_open(path, WZ_FS_NEW, ret_fd), WZ_OK);
    for (int i = 0; i < count; i++) {
        meta.reserved_end += 100;
        assert_int_equal(wz_meta_save(*ret_fd, &meta), WZ_OK);
    }
}

static void flip(int fd, int64_t pos)
{
    uint8_t byte;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    size_t len;

    assert_int_equal(wz_fs_read(fd, &byte, 1, pos, &len), WZ_OK);
    byte ^= 4;
    assert_int_equal(wz_fs_write(fd, &piece, 1, pos), WZ_OK);
}

static void test_meta_gives_back_what_was_saved_last(void **state)
{
    enum wz_meta_state there;
    struct wz_meta meta;

    (void)state;
    assert_int_equal(wz_fs_remove(path), WZ_OK);
    assert_int_equal(wz_meta_load(path, &meta, &there), WZ_OK);
    assert_int_equal(there, WZ_META_NONE);
    for (int count = 1; count < 6; count++) {
        int fd = -1;

        make(count, &fd);
        assert_int_equal(wz_meta_load(path, &meta, &there), WZ_OK);
        assert_int_equal(there, WZ_META_WHOLE);
        assert_int_equal(meta.reserved_end, count * 100);
        assert_int_equal(meta.sequence, count);
        wz_fs_close(fd);
    }
    assert_int_equal(wz_fs_remove(path), WZ_OK);
}

static void test_meta_tells_when_a_slot_is_damaged_and_when_both_are(void **state)
{
    enum wz_meta_state there;
    struct wz_meta meta;
    int fd = -1;

    (void)state;
    make(4, &fd);
    for (int64_t pos = 0; pos < 64; pos++) {
        flip(fd, pos); // the newer slot: 4 modulo 2
        assert_int_equal(wz_meta_load(path, &meta, &there), WZ_OK);
        assert_int_equal(there, WZ_META_DAMAGED);
        assert_int_equal(meta.reserved_end, 300);
        flip(fd, 4096 + pos);
        assert_int_equal(wz_meta_load(path, &meta, &there), WZ_OK);
        assert_int_equal(there, WZ_META_LOST);
        flip(fd, 4096 + pos);
        flip(fd, pos);
    }
    wz_fs_close(fd);
    assert_int_equal(wz_fs_remove(path), WZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meta_gives_back_what_was_saved_last),
        cmocka_unit_test(test_meta_tells_when_a_slot_is_damaged_and_when_both_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
