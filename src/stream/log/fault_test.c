// SPDX-License-Identifier: Apache-2.0
// Disks that fail: writes that stop half-way, syncs that fail, folders that are full. The linker
// puts the functions below in front of those of base/fs.h. What was acked must be there afterwards,
// on a disk that has forgotten all that was not synced.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/testlog_test.h"

#define FILES_MAX 4096

// What the disk is to do. The writer's thread reads it, the test's thread sets it.
static struct {
    _Atomic int write_err; // every write fails with it, after half of its bytes
    _Atomic int sync_err;  // the next sync_count syncs fail with it
    _Atomic int sync_count;
    _Atomic int open_err; // no new file can be made
    _Atomic int truncate_err;
    _Atomic int percent; // so many of a hundred calls fail with WZ_ERR_IO
    _Atomic int failed;  // how often something was made to fail
    _Atomic int broken;  // how often a file was synced after its sync had failed
} disk;

// What the disk holds for certain, by inode.
static struct {
    ino_t inode;
    int64_t durable_len;
    bool failed; // a sync of it has failed
} files[FILES_MAX];

static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static int file_count;
static _Atomic uint64_t random_state = 1;

// The test's own thread has a disk that works.
static _Thread_local bool spared;

static uint32_t roll(uint32_t below)
{
    uint64_t next = random_state * 6364136223846793005ull + 1442695040888963407ull;

    random_state = next;
    return (uint32_t)((next >> 33) % below);
}

static bool unlucky(void)
{
    bool fails = !spared && disk.percent > 0 && roll(100) < (uint32_t)disk.percent;

    disk.failed += fails;
    return fails;
}

static void disk_reset(void)
{
    disk.write_err = WZ_OK;
    disk.sync_count = 0;
    disk.open_err = WZ_OK;
    disk.truncate_err = WZ_OK;
    disk.percent = 0;
    disk.failed = 0;
    disk.broken = 0;
    file_count = 0;
}

// The number of a file among those that have been synced; under the lock.
static int file_of(ino_t inode)
{
    for (int i = 0; i < file_count; i++) {
        if (files[i].inode == inode)
            return i;
    }
    assert_true(file_count < FILES_MAX);
    files[file_count].inode = inode;
    files[file_count].durable_len = 0;
    files[file_count].failed = false;
    return file_count++;
}

int __real_wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos);
int __wrap_wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos);
int __wrap_wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos)
{
    int err = spared ? WZ_OK : disk.write_err;

    if (err == WZ_OK && unlucky())
        err = roll(2) ? WZ_ERR_IO : WZ_ERR_NOSPACE;
    if (err == WZ_OK)
        return __real_wz_fs_write(fd, pieces, count, pos);
    disk.failed++;
    count = (count + 1) / 2;
    pieces[count - 1].iov_len /= 2;
    wz_ignore(__real_wz_fs_write(fd, pieces, count, pos)); // part of it, as a real one may
    return err;
}

int __real_wz_fs_sync(int fd);
int __wrap_wz_fs_sync(int fd);
int __wrap_wz_fs_sync(int fd)
{
    struct stat st;
    int r = WZ_OK;
    int i;

    assert_int_equal(fstat(fd, &st), 0);
    if (!spared && disk.sync_count > 0) {
        disk.sync_count--;
        disk.failed++;
        r = disk.sync_err;
    } else if (unlucky()) {
        r = WZ_ERR_IO;
    }
    (void)pthread_mutex_lock(&files_lock);
    i = file_of(st.st_ino);
    // stream.meta writes the whole of its page again before it syncs again.
    disk.broken += files[i].failed && st.st_size > 4096 + 64;
    if (r == WZ_OK)
        files[i].durable_len = st.st_size;
    else
        files[i].failed = st.st_size != 4096 + 64;
    (void)pthread_mutex_unlock(&files_lock);
    return r == WZ_OK ? __real_wz_fs_sync(fd) : r;
}

int __real_wz_fs_open(const char *path, enum wz_fs_mode mode, int *ret_fd);
int __wrap_wz_fs_open(const char *path, enum wz_fs_mode mode, int *ret_fd);
int __wrap_wz_fs_open(const char *path, enum wz_fs_mode mode, int *ret_fd)
{
    struct stat st;
    int r;

    if (!spared && mode == WZ_FS_NEW && disk.open_err != WZ_OK) {
        disk.failed++;
        return disk.open_err;
    }
    if (mode == WZ_FS_NEW && unlucky())
        return WZ_ERR_IO;
    r = __real_wz_fs_open(path, mode, ret_fd);
    if (r == WZ_OK && mode == WZ_FS_NEW && fstat(*ret_fd, &st) == 0) { // an inode may come again
        (void)pthread_mutex_lock(&files_lock);
        files[file_of(st.st_ino)].durable_len = 0;
        files[file_of(st.st_ino)].failed = false;
        (void)pthread_mutex_unlock(&files_lock);
    }
    return r;
}

int __real_wz_fs_truncate(int fd, int64_t len);
int __wrap_wz_fs_truncate(int fd, int64_t len);
int __wrap_wz_fs_truncate(int fd, int64_t len)
{
    if (!spared && disk.truncate_err != WZ_OK)
        return disk.truncate_err;
    return unlucky() ? WZ_ERR_IO : __real_wz_fs_truncate(fd, len);
}

int __real_wz_fs_replace(const char *dir, const char *name, struct wz_slice s);
int __wrap_wz_fs_replace(const char *dir, const char *name, struct wz_slice s);
int __wrap_wz_fs_replace(const char *dir, const char *name, struct wz_slice s)
{
    return unlucky() ? WZ_ERR_NOSPACE : __real_wz_fs_replace(dir, name, s);
}

int __real_wz_fs_sync_dir(const char *path);
int __wrap_wz_fs_sync_dir(const char *path);
int __wrap_wz_fs_sync_dir(const char *path)
{
    return unlucky() ? WZ_ERR_IO : __real_wz_fs_sync_dir(path);
}

// What a power cut does to a file of the copy: segments lose bytes that were not synced, all or
// some of them; index files, which are not synced at checkpoints, may lose anything.
static int cut_power_on(const char *name, void *arg)
{
    struct testlog *copy = arg;
    size_t len = strlen(name);
    struct wz_buf buf = {0};
    int fd = -1;

    if (strcmp(name, "lock") == 0 || strcmp(name, "stream.meta") == 0)
        return WZ_OK;
    assert_int_equal(wz_fs_load(testlog_path(copy, name), 1 << 30, &buf), WZ_OK);
    assert_int_equal(__real_wz_fs_open(testlog_path(copy, name), WZ_FS_WRITE, &fd), WZ_OK);
    if (strcmp(name + len - 4, ".log") != 0 && roll(4) == 0)
        assert_int_equal(__real_wz_fs_truncate(fd, (int64_t)(buf.len / 2)), WZ_OK);
    wz_fs_close(fd);
    wz_buf_release(&buf);
    return WZ_OK;
}

// Cuts the segments of the copy to what the disk under ORIGINAL holds for certain, or a little
// more.
static int forget_unsynced(const char *name, void *arg)
{
    struct testlog **both = arg;
    size_t len = strlen(name);
    struct stat st;
    int64_t keep;
    int fd = -1;
    int i;

    if (len < 4 || strcmp(name + len - 4, ".log") != 0)
        return WZ_OK;
    assert_int_equal(stat(testlog_path(both[0], name), &st), 0);
    (void)pthread_mutex_lock(&files_lock);
    i = file_of(st.st_ino);
    keep = files[i].durable_len;
    (void)pthread_mutex_unlock(&files_lock);
    if (keep < st.st_size)
        keep += roll(2) ? 0 : roll((uint32_t)(st.st_size - keep) + 1);
    assert_int_equal(__real_wz_fs_open(testlog_path(both[1], name), WZ_FS_WRITE, &fd), WZ_OK);
    if (keep < st.st_size)
        assert_int_equal(__real_wz_fs_truncate(fd, keep), WZ_OK);
    wz_fs_close(fd);
    return WZ_OK;
}

// Opens a copy of the folder as a power cut would leave it: all that was acked is there, once and
// in order, and offsets go on above every one that was given out.
static void check_after_power_cut(struct testlog *t)
{
    int64_t acked = t->durable_end;
    int64_t given = wz_log_next_offset(t->log);
    struct testlog copy;
    struct testlog *both[] = {t, &copy};
    int64_t last;

    testlog_copy(t, &copy);
    assert_int_equal(wz_fs_walk(copy.dir, forget_unsynced, both), WZ_OK);
    assert_int_equal(wz_fs_walk(copy.dir, cut_power_on, &copy), WZ_OK);
    copy.opt.read_only = true; // so that it has no writer, who would meet the faults
    testlog_open(&copy);
    assert_true(testlog_count(&copy, &last) >= acked);
    assert_true(last + 1 >= acked && last < given);
    assert_true(wz_log_next_offset(copy.log) >= given);
    assert_int_equal(testlog_close(&copy), WZ_OK);
    testlog_release(&copy);
}

static void start(struct testlog *t)
{
    disk_reset();
    testlog_init(t);
    t->opt.segment_bytes = 100000;
    testlog_open(t);
}

static void finish(struct testlog *t, int64_t count)
{
    int64_t last;

    assert_int_equal(disk.broken, 0);
    testlog_settle(t);
    assert_int_equal(testlog_count(t, &last), count);
    assert_int_equal(last, count - 1);
    check_after_power_cut(t);
    assert_int_equal(testlog_close(t), WZ_OK);
    testlog_open(t);
    assert_int_equal(testlog_count(t, NULL), count);
    assert_int_equal(wz_log_next_offset(t->log), count);
    assert_int_equal(testlog_close(t), WZ_OK);
    testlog_release(t);
}

static void test_log_waits_out_a_full_disk(void **state)
{
    struct testlog t;
    int64_t count = 1000;
    int r = WZ_OK;

    (void)state;
    start(&t);
    testlog_append_many(&t, 1000, 100);
    testlog_settle(&t);
    disk.write_err = WZ_ERR_NOSPACE;
    assert_int_equal(testlog_append(&t, 100), WZ_OK);
    wz_log_flush(t.log);
    while (t.state_err == WZ_OK)
        testlog_wait(&t);
    assert_int_equal(t.state_err, WZ_ERR_NOSPACE);
    assert_int_equal(wz_log_state(t.log), WZ_ERR_NOSPACE);
    assert_int_equal(t.durable_end, 1000);
    assert_int_equal(testlog_count(&t, NULL), 1000); // readers go on
    for (count = 1001; r == WZ_OK; count += r == WZ_OK)
        r = testlog_append(&t, 20000);
    assert_int_equal(r, WZ_ERR_BUSY);
    check_after_power_cut(&t);
    disk.write_err = WZ_OK;
    testlog_settle(&t);
    assert_int_equal(t.state_err, WZ_OK);
    assert_int_equal(t.state_changes, 2);
    finish(&t, count);
}

// Lets the sync number N, and COUNT behind it, fail while batches of ten records are written.
static void fail_sync(int n, int count, int truncate_err)
{
    struct testlog t;

    start(&t);
    for (int i = 0; i < 8; i++) {
        if (i == n) {
            disk.truncate_err = truncate_err;
            disk.sync_err = WZ_ERR_IO;
            disk.sync_count = count;
        }
        testlog_append_many(&t, 10, 1000);
        testlog_settle(&t);
        check_after_power_cut(&t);
    }
    assert_int_equal(disk.failed, count);
    disk.truncate_err = WZ_OK;
    finish(&t, 80);
}

static void test_log_writes_anew_what_a_failed_sync_leaves_in_doubt(void **state)
{
    (void)state;
    for (int n = 0; n < 8; n += 3) {
        fail_sync(n, 1, WZ_OK);
        fail_sync(n, 1, WZ_ERR_IO); // and the poisoned segment cannot be cut
    }
    fail_sync(2, 5, WZ_OK);
}

static void test_log_stops_acking_when_no_fresh_segment_can_be_had(void **state)
{
    struct testlog t;

    (void)state;
    start(&t);
    testlog_append_many(&t, 100, 100);
    testlog_settle(&t);
    disk.sync_err = WZ_ERR_IO;
    disk.sync_count = 1;
    disk.open_err = WZ_ERR_NOSPACE;
    testlog_append_many(&t, 100, 100);
    while (t.state_err == WZ_OK)
        testlog_wait(&t);
    assert_int_equal(t.durable_end, 100);
    assert_int_equal(testlog_count(&t, NULL), 100);
    check_after_power_cut(&t);
    disk.open_err = WZ_OK;
    finish(&t, 200);
}

static void test_log_closed_on_a_broken_disk_says_so(void **state)
{
    struct testlog t;

    (void)state;
    start(&t);
    testlog_append_many(&t, 100, 100);
    testlog_settle(&t);
    disk.write_err = WZ_ERR_IO;
    disk.open_err = WZ_ERR_IO;
    testlog_append_many(&t, 100, 100);
    assert_int_equal(testlog_close(&t), WZ_ERR_IO);
    assert_int_equal(t.durable_end, 100);
    disk_reset();
    testlog_open(&t);
    assert_false(t.recovery.clean);
    assert_int_equal(testlog_count(&t, NULL), 100);
    assert_true(wz_log_next_offset(t.log) >= 200);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_loses_nothing_acked_on_a_disk_that_fails_at_random(void **state)
{
    const char *given = getenv("WYZE_TEST_SEED");

    (void)state;
    random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("fault: WYZE_TEST_SEED=%llu\n", (unsigned long long)random_state);
    for (int round = 0; round < 4; round++) {
        struct testlog t;
        int64_t count = 0;

        start(&t);
        disk.percent = (int)roll(15) + 1;
        for (int i = 0; i < 30; i++) {
            int more = 1 + (int)roll(300);

            testlog_append_many(&t, more, roll(300));
            count += more;
            testlog_settle(&t);
            if (i % 5 == 0)
                check_after_power_cut(&t);
        }
        disk.percent = 0;
        finish(&t, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_waits_out_a_full_disk),
        cmocka_unit_test(test_log_writes_anew_what_a_failed_sync_leaves_in_doubt),
        cmocka_unit_test(test_log_stops_acking_when_no_fresh_segment_can_be_had),
        cmocka_unit_test(test_log_closed_on_a_broken_disk_says_so),
        cmocka_unit_test(test_log_loses_nothing_acked_on_a_disk_that_fails_at_random),
    };

    spared = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
