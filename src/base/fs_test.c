// SPDX-License-Identifier: Apache-2.0
// The linker puts the __wrap_ functions below in the place of the system's calls, so each can be
// made to fail, to be interrupted, or to move only some bytes.
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum call {
    CALL_OPEN,
    CALL_WRITE,
    CALL_READ,
    CALL_RENAME,
    CALL_FDATASYNC,
    CALL_FSYNC,
    CALL_ALLOCATE,
    CALL_TRUNCATE,
    CALL_COUNT,
};

static struct {
    int calls[CALL_COUNT];
    int fail_at[CALL_COUNT]; // which call fails, from 1 on; 0: none
    int errnum;
    int interrupts[CALL_COUNT]; // so many calls give EINTR first
    size_t most;                // bytes that one write or read moves; 0: all
} fault;

// Whether this call fails, with errno set.
static bool fails(enum call call)
{
    fault.calls[call]++;
    if (fault.interrupts[call] > 0) {
        fault.interrupts[call]--;
        errno = EINTR;
        return true;
    }
    if (fault.calls[call] != fault.fail_at[call])
        return false;
    errno = fault.errnum;
    return true;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_pwritev64(int fd, const struct iovec *pieces, int count, off_t pos);
ssize_t __wrap_pwritev64(int fd, const struct iovec *pieces, int count, off_t pos);
ssize_t __real_pread64(int fd, void *ret_bytes, size_t len, off_t pos);
ssize_t __wrap_pread64(int fd, void *ret_bytes, size_t len, off_t pos);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __real_fallocate64(int fd, int mode, off_t pos, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t pos, off_t len);
int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len);

int __wrap_open64(const char *path, int flags, ...)
{
    return fails(CALL_OPEN) ? -1 : __real_open64(path, flags, 0600);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *pieces, int count, off_t pos)
{
    struct iovec some[8];
    size_t left = fault.most;
    int used = 0;

    if (fails(CALL_WRITE))
        return -1;
    if (fault.most == 0)
        return __real_pwritev64(fd, pieces, count, pos);
    for (; used < count && used < (int)COUNT(some) && left > 0; used++) {
        some[used] = pieces[used];
        if (some[used].iov_len > left)
            some[used].iov_len = left;
        left -= some[used].iov_len;
    }
    return __real_pwritev64(fd, some, used, pos);
}

ssize_t __wrap_pread64(int fd, void *ret_bytes, size_t len, off_t pos)
{
    if (fails(CALL_READ))
        return -1;
    return __real_pread64(fd, ret_bytes, fault.most > 0 && len > fault.most ? fault.most : len,
                          pos);
}

int __wrap_rename(const char *from, const char *to)
{
    return fails(CALL_RENAME) ? -1 : __real_rename(from, to);
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    return fails(CALL_FDATASYNC) ? -1 : 0;
}

int __wrap_fsync(int fd)
{
    (void)fd;
    return fails(CALL_FSYNC) ? -1 : 0;
}

int __wrap_fallocate64(int fd, int mode, off_t pos, off_t len)
{
    return fails(CALL_ALLOCATE) ? -1 : __real_fallocate64(fd, mode, pos, len);
}

int __wrap_ftruncate64(int fd, off_t len)
{
    return fails(CALL_TRUNCATE) ? -1 : __real_ftruncate64(fd, len);
}

static char dir[] = "/tmp/wyze-fs-test-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_one(const char *name, void *arg)
{
    (void)arg;
    return remove(path_of(name)) == 0 ? WZ_OK : WZ_ERR_IO;
}

static int remove_dir(void **state)
{
    (void)state;
    return wz_fs_walk(dir, remove_one, NULL) == WZ_OK && rmdir(dir) == 0 ? 0 : -1;
}

// Each test begins without faults and with an empty folder.
static int setup(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof(fault));
    return wz_fs_walk(dir, remove_one, NULL) == WZ_OK ? 0 : -1;
}

static int open_file(const char *name, enum wz_fs_mode mode)
{
    int fd = -1;

    assert_int_equal(wz_fs_open(path_of(name), mode, &fd), WZ_OK);
    return fd;
}

static void expect_content(const char *name, struct wz_slice want)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    memset(&fault, 0, sizeof(fault));
    assert_int_equal(wz_fs_load(path_of(name), 1 << 20, &buf), WZ_OK);
    assert_true(wz_slice_eq(wz_buf_slice(&buf), want));
}

static void test_fs_open_keeps_to_its_mode(void **state)
{
    struct stat st;
    int fd = -1;

    (void)state;
    assert_int_equal(wz_fs_open(path_of("a"), WZ_FS_READ, &fd), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_fs_open(path_of("a"), WZ_FS_WRITE, &fd), WZ_ERR_NOT_FOUND);
    assert_int_equal(fd, -1);
    fault.interrupts[CALL_OPEN] = 2;
    fd = open_file("a", WZ_FS_NEW);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    wz_fs_close(fd);
    assert_int_equal(wz_fs_open(path_of("a"), WZ_FS_NEW, &fd), WZ_ERR_EXISTS);
    wz_fs_close(open_file("a", WZ_FS_CREATE));
    wz_fs_close(open_file("a", WZ_FS_WRITE));
    wz_fs_close(open_file("a", WZ_FS_READ));
    wz_fs_close(-1);
}

// Pieces of many lengths, empty ones among them; returns how many.
static int cut(struct iovec *ret_pieces, uint8_t *bytes, size_t len)
{
    static const size_t lens[] = {0, 1, 5, 0, 0, 100, 1000, 3, 0};
    size_t pos = 0;
    int count = 0;

    for (size_t i = 0; pos < len; i++) {
        size_t piece = lens[i % COUNT(lens)];

        piece = piece < len - pos ? piece : len - pos;
        ret_pieces[count++] = (struct iovec){.iov_base = bytes + pos, .iov_len = piece};
        pos += piece;
    }
    ret_pieces[count++] = (struct iovec){.iov_base = bytes, .iov_len = 0};
    return count;
}

static void test_fs_write_finishes_short_writes_and_goes_on_after_signals(void **state)
{
    static const size_t most[] = {1, 2, 7, 105, 4096};
    uint8_t bytes[3000];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < COUNT(most); i++) {
        struct iovec pieces[64];
        int fd = open_file("w", WZ_FS_CREATE);

        assert_int_equal(wz_fs_truncate(fd, 0), WZ_OK);
        fault.most = most[i];
        fault.interrupts[CALL_WRITE] = 5;
        assert_int_equal(wz_fs_write(fd, pieces, cut(pieces, bytes, sizeof(bytes)), 0), WZ_OK);
        assert_int_equal(fault.interrupts[CALL_WRITE], 0);
        wz_fs_close(fd);
        expect_content("w", wz_slice(bytes, sizeof(bytes)));
    }
}

static void test_fs_write_takes_more_pieces_than_the_system_does(void **state)
{
    enum { PIECES = IOV_MAX * 2 + 7 };
    WZ_AUTO(wz_free_ptr) struct iovec *pieces = wz_zalloc(PIECES, sizeof(*pieces));
    uint8_t bytes[PIECES];
    int fd = open_file("w", WZ_FS_CREATE);

    (void)state;
    for (int i = 0; i < PIECES; i++) {
        bytes[i] = (uint8_t)(i / 7);
        pieces[i] = (struct iovec){.iov_base = &bytes[i], .iov_len = 1};
    }
    assert_int_equal(wz_fs_write(fd, pieces, PIECES, 0), WZ_OK);
    wz_fs_close(fd);
    expect_content("w", wz_slice(bytes, PIECES));
}

static void test_fs_write_tells_a_full_disk_from_a_broken_one(void **state)
{
    static const int cases[][2] = {
        {ENOSPC, WZ_ERR_NOSPACE}, {EDQUOT, WZ_ERR_NOSPACE}, {EIO, WZ_ERR_IO}};
    int fd = open_file("w", WZ_FS_CREATE);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct iovec piece = {.iov_base = (char[]){"0123456789"}, .iov_len = 10};

        memset(&fault, 0, sizeof(fault));
        fault.most = 4;
        fault.fail_at[CALL_WRITE] = 2;
        fault.errnum = cases[i][0];
        assert_int_equal(wz_fs_write(fd, &piece, 1, 0), cases[i][1]);
        assert_int_equal(fault.calls[CALL_WRITE], 2);
    }
    wz_fs_close(fd);
}

static void test_fs_write_puts_bytes_at_their_place(void **state)
{
    struct iovec late = {.iov_base = (char[]){"xyz"}, .iov_len = 3};
    struct iovec early = {.iov_base = (char[]){"ab"}, .iov_len = 2};
    int fd = open_file("w", WZ_FS_CREATE);

    (void)state;
    assert_int_equal(wz_fs_write(fd, &late, 1, 4), WZ_OK);
    assert_int_equal(wz_fs_write(fd, &early, 1, 0), WZ_OK);
    assert_int_equal(wz_fs_write(fd, NULL, 0, 0), WZ_OK);
    wz_fs_close(fd);
    expect_content("w", WZ_SLICE_LIT("ab\0\0xyz"));
}

static void test_fs_read_gives_fewer_bytes_only_at_the_end(void **state)
{
    struct iovec piece = {.iov_base = (char[]){"0123456789"}, .iov_len = 10};
    int fd = open_file("r", WZ_FS_CREATE);
    char bytes[20];
    size_t len = 99;

    (void)state;
    assert_int_equal(wz_fs_write(fd, &piece, 1, 0), WZ_OK);
    fault.most = 3;
    fault.interrupts[CALL_READ] = 2;
    assert_int_equal(wz_fs_read(fd, bytes, 8, 1, &len), WZ_OK);
    assert_int_equal(len, 8);
    assert_memory_equal(bytes, "12345678", 8);
    assert_int_equal(wz_fs_read(fd, bytes, sizeof(bytes), 4, &len), WZ_OK);
    assert_int_equal(len, 6);
    assert_int_equal(wz_fs_read(fd, bytes, sizeof(bytes), 100, &len), WZ_OK);
    assert_int_equal(len, 0);
    fault.fail_at[CALL_READ] = fault.calls[CALL_READ] + 2;
    fault.errnum = EIO;
    len = 77;
    assert_int_equal(wz_fs_read(fd, bytes, 8, 0, &len), WZ_ERR_IO);
    assert_int_equal(len, 77);
    wz_fs_close(fd);
}

// A second try would tell of success that is none.
static void test_fs_sync_never_tries_again(void **state)
{
    int fd = open_file("s", WZ_FS_CREATE);

    (void)state;
    fault.fail_at[CALL_FDATASYNC] = 1;
    fault.errnum = EIO;
    assert_int_equal(wz_fs_sync(fd), WZ_ERR_IO);
    assert_int_equal(fault.calls[CALL_FDATASYNC], 1);
    fault.fail_at[CALL_FSYNC] = 1;
    assert_int_equal(wz_fs_sync_dir(dir), WZ_ERR_IO);
    assert_int_equal(fault.calls[CALL_FSYNC], 1);
    assert_int_equal(wz_fs_sync_dir(path_of("nowhere")), WZ_ERR_NOT_FOUND);
    wz_fs_close(fd);
}

static void test_fs_allocate_keeps_the_length(void **state)
{
    int fd = open_file("a", WZ_FS_CREATE);
    int64_t len = -1;

    (void)state;
    fault.interrupts[CALL_ALLOCATE] = 1;
    assert_int_equal(wz_fs_allocate(fd, 0, 65536), WZ_OK);
    assert_int_equal(wz_fs_size(fd, &len), WZ_OK);
    assert_int_equal(len, 0);
    fault.fail_at[CALL_ALLOCATE] = fault.calls[CALL_ALLOCATE] + 1;
    fault.errnum = EOPNOTSUPP;
    assert_int_equal(wz_fs_allocate(fd, 0, 65536), WZ_OK);
    fault.fail_at[CALL_ALLOCATE] = fault.calls[CALL_ALLOCATE] + 1;
    fault.errnum = ENOSPC;
    assert_int_equal(wz_fs_allocate(fd, 0, 65536), WZ_ERR_NOSPACE);
    wz_fs_close(fd);
}

static void test_fs_truncate_cuts_and_grows(void **state)
{
    struct iovec piece = {.iov_base = (char[]){"0123456789"}, .iov_len = 10};
    int fd = open_file("t", WZ_FS_CREATE);
    int64_t len = -1;

    (void)state;
    assert_int_equal(wz_fs_write(fd, &piece, 1, 0), WZ_OK);
    fault.interrupts[CALL_TRUNCATE] = 1;
    assert_int_equal(wz_fs_truncate(fd, 4), WZ_OK);
    assert_int_equal(wz_fs_truncate(fd, 6), WZ_OK);
    assert_int_equal(wz_fs_size(fd, &len), WZ_OK);
    assert_int_equal(len, 6);
    fault.fail_at[CALL_TRUNCATE] = fault.calls[CALL_TRUNCATE] + 1;
    fault.errnum = EIO;
    assert_int_equal(wz_fs_truncate(fd, 0), WZ_ERR_IO);
    wz_fs_close(fd);
    expect_content("t", WZ_SLICE_LIT("0123\0\0"));
}

static void test_fs_replace_puts_the_new_bytes_in_place(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("the first, longer one")), WZ_OK);
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("second")), WZ_OK);
    expect_content("f", WZ_SLICE_LIT("second"));
    assert_int_equal(stat(path_of("f"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(access(path_of("f.new"), F_OK), -1);
    assert_int_equal(wz_fs_replace(dir, "f", wz_slice(NULL, 0)), WZ_OK);
    expect_content("f", wz_slice(NULL, 0));
}

// Whichever call fails before the rename is done, the old file stands and nothing lies beside it.
static void test_fs_replace_keeps_the_old_file_when_a_call_fails(void **state)
{
    static const enum call calls[] = {CALL_OPEN, CALL_TRUNCATE, CALL_WRITE, CALL_FDATASYNC,
                                      CALL_RENAME};

    (void)state;
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("old")), WZ_OK);
    for (size_t i = 0; i < COUNT(calls); i++) {
        memset(&fault, 0, sizeof(fault));
        fault.fail_at[calls[i]] = 1;
        fault.errnum = ENOSPC;
        assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("new")), WZ_ERR_NOSPACE);
        assert_int_equal(fault.calls[calls[i]], 1);
        expect_content("f", WZ_SLICE_LIT("old"));
        assert_int_equal(access(path_of("f.new"), F_OK), -1);
    }
}

static void test_fs_replace_tells_when_the_name_may_not_be_durable(void **state)
{
    (void)state;
    fault.fail_at[CALL_FSYNC] = 1;
    fault.errnum = EIO;
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("new")), WZ_ERR_IO);
}

static void test_fs_replace_takes_what_a_crash_left_beside(void **state)
{
    (void)state;
    assert_int_equal(wz_fs_replace(dir, "f.new", WZ_SLICE_LIT("left by a crash, and long")), WZ_OK);
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("new")), WZ_OK);
    expect_content("f", WZ_SLICE_LIT("new"));
}

// What the command line is given as /dev/stdin or <(...): it has no size.
static void test_fs_load_reads_a_pipe_to_its_end(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    char path[32];
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "12345", 5), 5);
    assert_int_equal(close(ends[1]), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    assert_int_equal(wz_fs_load(path, 5, &buf), WZ_OK);
    assert_true(wz_slice_eq(wz_buf_slice(&buf), WZ_SLICE_LIT("12345")));
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "12345", 5), 5);
    assert_int_equal(close(ends[1]), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    assert_int_equal(wz_fs_load(path, 4, &buf), WZ_ERR_TOO_LARGE);
    assert_int_equal(close(ends[0]), 0);
}

static void test_fs_load_adds_to_the_buffer_up_to_its_limit(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("12345")), WZ_OK);
    wz_buf_add_str(&buf, "0");
    assert_int_equal(wz_fs_load(path_of("f"), 4, &buf), WZ_ERR_TOO_LARGE);
    assert_int_equal(wz_fs_load(path_of("none"), 4, &buf), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_fs_load(path_of("f"), 5, &buf), WZ_OK);
    assert_true(wz_slice_eq(wz_buf_slice(&buf), WZ_SLICE_LIT("012345")));
    fault.fail_at[CALL_READ] = fault.calls[CALL_READ] + 1;
    fault.errnum = EIO;
    assert_int_equal(wz_fs_load(path_of("f"), 5, &buf), WZ_ERR_IO);
    assert_int_equal(buf.len, 6);
}

// Whether another process is refused, and told that we hold it.
static bool other_process_is_refused(const char *path)
{
    pid_t parent = getpid();
    pid_t child = fork();
    int status = -1;

    assert_true(child >= 0);
    if (child == 0) {
        pid_t owner = 0;
        int fd = -1;

        _exit(wz_fs_lock(path, &fd, &owner) == WZ_ERR_LOCKED && owner == parent ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_fs_lock_is_held_once(void **state)
{
    const char *path = path_of("lock");
    pid_t owner = -1;
    int second = -1;
    int fd = -1;

    (void)state;
    assert_int_equal(wz_fs_lock(path, &fd, &owner), WZ_OK);
    assert_int_equal(wz_fs_lock(path, &second, &owner), WZ_ERR_LOCKED);
    assert_int_equal(owner, getpid());
    assert_int_equal(second, -1);
    assert_true(other_process_is_refused(path));
    wz_fs_close(fd);
    assert_false(other_process_is_refused(path));
    assert_int_equal(wz_fs_lock(path, &fd, &owner), WZ_OK);
    wz_fs_close(fd);
}

// Takes the lock, starts a process that has it too for a moment, and dies.
static void hold_and_die(const char *path)
{
    pid_t owner = 0;
    int fd = -1;

    if (wz_fs_lock(path, &fd, &owner) != WZ_OK)
        _exit(1);
    if (fork() == 0)
        (void)usleep(100000); // as long as an exec takes on a machine that is busy
    _exit(0);
}

static void test_fs_lock_waits_for_what_a_dead_holder_has_started(void **state)
{
    const char *path = path_of("lock");
    pid_t owner = -1;
    pid_t child = fork();
    int status = -1;
    int fd = -1;

    (void)state;
    assert_true(child >= 0);
    if (child == 0)
        hold_and_die(path);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(wz_fs_lock(path, &fd, &owner), WZ_OK);
    wz_fs_close(fd);
}

static void test_fs_lock_holds_on_a_full_disk(void **state)
{
    pid_t owner = -1;
    int fd = -1;

    (void)state;
    fault.fail_at[CALL_WRITE] = 1;
    fault.errnum = ENOSPC;
    assert_int_equal(wz_fs_lock(path_of("lock"), &fd, &owner), WZ_OK);
    wz_fs_close(fd);
    fault.fail_at[CALL_WRITE] = 2;
    fault.errnum = EIO;
    assert_int_equal(wz_fs_lock(path_of("lock"), &fd, &owner), WZ_ERR_IO);
}

static int collect(const char *name, void *arg)
{
    struct wz_buf *names = arg;

    wz_buf_addf(names, "%s ", name);
    return strcmp(name, "stop") == 0 ? WZ_ERR_CLOSED : WZ_OK;
}

static void test_fs_walk_goes_in_the_order_of_bytes(void **state)
{
    static const char *const names[] = {"b", "a", "B", ".hidden", "a10", "a9"};
    WZ_AUTO(wz_buf_release) struct wz_buf met = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf stopped = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        wz_fs_close(open_file(names[i], WZ_FS_NEW));
    assert_int_equal(wz_fs_walk(dir, collect, &met), WZ_OK);
    assert_string_equal(wz_buf_str(&met), ".hidden B a a10 a9 b ");
    wz_fs_close(open_file("stop", WZ_FS_NEW));
    wz_fs_close(open_file("unseen", WZ_FS_NEW));
    assert_int_equal(wz_fs_walk(dir, collect, &stopped), WZ_ERR_CLOSED);
    assert_string_equal(wz_buf_str(&stopped), ".hidden B a a10 a9 b stop ");
    assert_int_equal(wz_fs_walk(path_of("nowhere"), collect, &met), WZ_ERR_NOT_FOUND);
}

static void test_fs_names_come_and_go(void **state)
{
    struct stat st;
    char from[128];

    (void)state;
    assert_int_equal(wz_fs_mkdir(path_of("d")), WZ_OK);
    assert_int_equal(wz_fs_mkdir(path_of("d")), WZ_OK);
    assert_int_equal(stat(path_of("d"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(wz_fs_mkdir(path_of("x/y")), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_fs_replace(dir, "f", WZ_SLICE_LIT("1")), WZ_OK);
    (void)snprintf(from, sizeof(from), "%s", path_of("f"));
    assert_int_equal(wz_fs_rename(from, path_of("g")), WZ_OK);
    assert_int_equal(wz_fs_rename(from, path_of("g")), WZ_ERR_NOT_FOUND);
    expect_content("g", WZ_SLICE_LIT("1"));
    assert_int_equal(wz_fs_remove(path_of("g")), WZ_OK);
    assert_int_equal(wz_fs_remove(path_of("g")), WZ_OK);
}

static void test_fs_make_folders_makes_those_above_too(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(wz_fs_make_folders(path_of("a/b/c")), WZ_OK);
    assert_int_equal(wz_fs_make_folders(path_of("a/b/c")), WZ_OK);
    assert_int_equal(stat(path_of("a/b"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(rmdir(path_of("a/b/c")), 0);
    assert_int_equal(rmdir(path_of("a/b")), 0);
    wz_fs_close(open_file("file", WZ_FS_NEW));
    assert_true(wz_fs_make_folders(path_of("file/below")) < 0);
}

static void test_fs_space_is_told(void **state)
{
    int64_t free_bytes = -1;
    int64_t total_bytes = -1;

    (void)state;
    assert_int_equal(wz_fs_space(dir, &free_bytes, &total_bytes), WZ_OK);
    assert_true(free_bytes >= 0 && free_bytes <= total_bytes && total_bytes > 0);
    assert_int_equal(wz_fs_space(path_of("nowhere"), &free_bytes, &total_bytes), WZ_ERR_NOT_FOUND);
}

static void test_fs_knows_what_is_the_system_s(void **state)
{
    static const char *const of_it[] = {"/", "/proc", "/proc/1/mem", "/sys", "/sys/x", "/dev/shm"};
    static const char *const not_of_it[] = {"/process", "/srv/proc", "/system", "/device/x",
                                            "/srv"};

    (void)state;
    for (size_t i = 0; i < sizeof(of_it) / sizeof(of_it[0]); i++)
        assert_true(wz_fs_is_system(of_it[i]));
    for (size_t i = 0; i < sizeof(not_of_it) / sizeof(not_of_it[0]); i++)
        assert_false(wz_fs_is_system(not_of_it[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fs_open_keeps_to_its_mode, setup),
        cmocka_unit_test_setup(test_fs_write_finishes_short_writes_and_goes_on_after_signals,
                               setup),
        cmocka_unit_test_setup(test_fs_write_takes_more_pieces_than_the_system_does, setup),
        cmocka_unit_test_setup(test_fs_write_tells_a_full_disk_from_a_broken_one, setup),
        cmocka_unit_test_setup(test_fs_write_puts_bytes_at_their_place, setup),
        cmocka_unit_test_setup(test_fs_read_gives_fewer_bytes_only_at_the_end, setup),
        cmocka_unit_test_setup(test_fs_sync_never_tries_again, setup),
        cmocka_unit_test_setup(test_fs_allocate_keeps_the_length, setup),
        cmocka_unit_test_setup(test_fs_truncate_cuts_and_grows, setup),
        cmocka_unit_test_setup(test_fs_replace_puts_the_new_bytes_in_place, setup),
        cmocka_unit_test_setup(test_fs_replace_keeps_the_old_file_when_a_call_fails, setup),
        cmocka_unit_test_setup(test_fs_replace_tells_when_the_name_may_not_be_durable, setup),
        cmocka_unit_test_setup(test_fs_replace_takes_what_a_crash_left_beside, setup),
        cmocka_unit_test_setup(test_fs_load_reads_a_pipe_to_its_end, setup),
        cmocka_unit_test_setup(test_fs_load_adds_to_the_buffer_up_to_its_limit, setup),
        cmocka_unit_test_setup(test_fs_lock_is_held_once, setup),
        cmocka_unit_test_setup(test_fs_lock_waits_for_what_a_dead_holder_has_started, setup),
        cmocka_unit_test_setup(test_fs_lock_holds_on_a_full_disk, setup),
        cmocka_unit_test_setup(test_fs_walk_goes_in_the_order_of_bytes, setup),
        cmocka_unit_test_setup(test_fs_names_come_and_go, setup),
        cmocka_unit_test_setup(test_fs_make_folders_makes_those_above_too, setup),
        cmocka_unit_test_setup(test_fs_space_is_told, setup),
        cmocka_unit_test(test_fs_knows_what_is_the_system_s),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
