// SPDX-License-Identifier: Apache-2.0
#include "stream/log/eraser.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/patience_test.h"

#define LONG_BYTES ((int64_t)20 << 20)

struct world {
    char dir[64];
    char path[80];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    (void)snprintf(world->dir, sizeof(world->dir), "/tmp/wyze-eraser-test-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(world->path, sizeof(world->path), "%s/file", world->dir);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    assert_int_equal(wz_fs_remove(world->path), WZ_OK);
    assert_int_equal(rmdir(world->dir), 0);
    free(world);
    return 0;
}

// A file of LEN bytes, each MiB of which begins with a letter of its own.
static int make_file(const struct world *world, int64_t len)
{
    int fd = -1;

    assert_int_equal(wz_fs_open(world->path, WZ_FS_NEW, &fd), WZ_OK);
    assert_int_equal(ftruncate(fd, len), 0);
    for (int64_t pos = 0; pos < len; pos += 1 << 20)
        assert_int_equal(pwrite(fd, &(char){(char)('a' + pos / (1 << 20))}, 1, pos), 1);
    return fd;
}

static void sleep_ms(int ms)
{
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};

    (void)nanosleep(&time, NULL);
}

static void wait_erased(void)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (wz_eraser_pending() > 0) {
        assert_true(wz_clock_mono_us() < end_us);
        sleep_ms(1);
    }
}

static int64_t length_of(int fd)
{
    struct stat stat;

    assert_int_equal(fstat(fd, &stat), 0);
    return stat.st_size;
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void test_eraser_gives_a_long_file_back_and_closes_it(void **state)
{
    int fd = make_file(*state, LONG_BYTES);
    int64_t end_us = wz_clock_mono_us() + patience_us();

    assert_int_equal(wz_fs_remove(((struct world *)*state)->path), WZ_OK);
    wz_eraser_close(fd);
    wait_erased();
    while (is_open(fd)) {
        assert_true(wz_clock_mono_us() < end_us);
        sleep_ms(1);
    }
}

static void test_eraser_waits_while_somebody_reads(void **state)
{
    const struct world *world = *state;
    int fd = make_file(world, LONG_BYTES);
    int reader = -1;
    int twin = -1;
    char letter = 0;

    assert_int_equal(wz_fs_open(world->path, WZ_FS_READ, &reader), WZ_OK);
    assert_int_equal(wz_fs_open(world->path, WZ_FS_WRITE, &twin), WZ_OK);
    assert_int_equal(wz_fs_remove(world->path), WZ_OK);
    wz_eraser_close(fd);
    wz_eraser_close(twin); // of the same file: neither may wait for the other
    assert_int_equal(wz_eraser_pending(), LONG_BYTES);
    for (int turns = 0; turns < 30; turns++) {
        sleep_ms(10);
        assert_int_equal(length_of(reader), LONG_BYTES);
    }
    assert_int_equal(pread(reader, &letter, 1, 19 << 20), 1);
    assert_int_equal(letter, 'a' + 19);
    wz_fs_close(reader);
    wait_erased();
}

static void test_eraser_leaves_alone_what_has_a_name(void **state)
{
    const struct world *world = *state;
    int fd = make_file(world, LONG_BYTES);
    int again = -1;

    wz_eraser_close(fd);
    assert_false(is_open(fd));
    assert_int_equal(wz_eraser_pending(), 0);
    assert_int_equal(wz_fs_open(world->path, WZ_FS_READ, &again), WZ_OK);
    assert_int_equal(length_of(again), LONG_BYTES);
    wz_fs_close(again);
}

static void test_eraser_closes_at_once_what_is_short_or_not_for_writing(void **state)
{
    const struct world *world = *state;
    int fds[2];

    wz_eraser_close(-1);
    fds[0] = make_file(world, 1 << 20);
    assert_int_equal(wz_fs_remove(world->path), WZ_OK);
    wz_fs_close(make_file(world, LONG_BYTES));
    assert_int_equal(wz_fs_open(world->path, WZ_FS_READ, &fds[1]), WZ_OK);
    assert_int_equal(wz_fs_remove(world->path), WZ_OK);
    for (int i = 0; i < 2; i++) {
        wz_eraser_close(fds[i]);
        assert_false(is_open(fds[i]));
    }
    assert_int_equal(wz_eraser_pending(), 0);
}

static void test_eraser_takes_many_and_not_too_many(void **state)
{
    const struct world *world = *state;
    const int64_t len = (int64_t)8 << 20;
    int readers[300];
    int waiting = 0;

    for (int i = 0; i < 300; i++) {
        int fd = make_file(world, len);

        assert_int_equal(wz_fs_open(world->path, WZ_FS_READ, &readers[i]), WZ_OK);
        assert_int_equal(wz_fs_remove(world->path), WZ_OK);
        wz_eraser_close(fd);
        waiting += is_open(fd);
    }
    assert_int_equal(waiting, 256);
    assert_int_equal(wz_eraser_pending(), 256 * len);
    for (int i = 0; i < 300; i++)
        wz_fs_close(readers[i]);
    wait_erased();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_eraser_gives_a_long_file_back_and_closes_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_eraser_waits_while_somebody_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eraser_leaves_alone_what_has_a_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_eraser_closes_at_once_what_is_short_or_not_for_writing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eraser_takes_many_and_not_too_many, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
