// SPDX-License-Identifier: Apache-2.0
// Owns every system call on files.
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

// The longest path we build.
#define WZ_FS_PATH_MAX 4096

// How long, and how often, a lock is waited for whose holder has died.
#define WZ_FS_LEFT_OVER_MS 2000
#define WZ_FS_LEFT_OVER_LOOKS 200

static int last_error(void) { return wz_err_from_errno(errno); }

int wz_fs_open(const char *path, enum wz_fs_mode mode, int *ret_fd)
{
    static const int flags[] = {
        [WZ_FS_READ] = O_RDONLY,
        [WZ_FS_WRITE] = O_RDWR,
        [WZ_FS_CREATE] = O_RDWR | O_CREAT,
        [WZ_FS_NEW] = O_RDWR | O_CREAT | O_EXCL,
    };
    int fd;

    do
        fd = open(path, flags[mode] | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return last_error();
    *ret_fd = fd;
    return WZ_OK;
}

void wz_fs_no_readahead(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); // where that cannot be, it reads ahead
}

void wz_fs_close(int fd)
{
    if (fd >= 0)
        (void)close(fd); // see the header
}

void wz_fs_close_auto(int *fd) { wz_fs_close(*fd); }

int wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos)
{
    while (count > 0) {
        int batch = count < IOV_MAX ? count : IOV_MAX;
        ssize_t done = pwritev(fd, pieces, batch, pos);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return last_error();
        if (done == 0 && pieces->iov_len > 0)
            return WZ_ERR_IO;
        pos += done;
        while (count > 0 && (size_t)done >= pieces->iov_len) {
            done -= (ssize_t)pieces->iov_len;
            pieces++;
            count--;
        }
        if (count > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + done;
            pieces->iov_len -= (size_t)done;
        }
    }
    return WZ_OK;
}

int wz_fs_read(int fd, void *ret_bytes, size_t len, int64_t pos, size_t *ret_len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t got = pread(fd, (uint8_t *)ret_bytes + have, len - have, pos + (int64_t)have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return last_error();
        if (got == 0)
            break;
        have += (size_t)got;
    }
    *ret_len = have;
    return WZ_OK;
}

int wz_fs_sync(int fd)
{
    // No retry: after a failure the kernel may have dropped the dirty pages, and the next call
    // would then succeed without having written them. EINTR is not among fdatasync's errors.
    return fdatasync(fd) == 0 ? WZ_OK : last_error();
}

int wz_fs_set_direct(int fd, bool direct)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return last_error();
    flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    return fcntl(fd, F_SETFL, flags) == 0 ? WZ_OK : last_error();
}

int wz_fs_allocate(int fd, int64_t pos, int64_t len)
{
    int r;

    do
        r = fallocate(fd, FALLOC_FL_KEEP_SIZE, pos, len);
    while (r < 0 && errno == EINTR);
    if (r == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
        return WZ_OK;
    return last_error();
}

int wz_fs_truncate(int fd, int64_t len)
{
    int r;

    do
        r = ftruncate(fd, len);
    while (r < 0 && errno == EINTR);
    return r == 0 ? WZ_OK : last_error();
}

int wz_fs_size(int fd, int64_t *ret_len)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return last_error();
    *ret_len = st.st_size;
    return WZ_OK;
}

int wz_fs_identity(int fd, uint64_t *ret_identity)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return last_error();
    *ret_identity = (uint64_t)st.st_ino;
    return WZ_OK;
}

void wz_fs_uncache(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); // a hint
}

int wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total)
{
    struct statvfs vfs;

    if (statvfs(path, &vfs) < 0)
        return last_error();
    *ret_free = (int64_t)(vfs.f_bavail * vfs.f_frsize);
    *ret_total = (int64_t)(vfs.f_blocks * vfs.f_frsize);
    return WZ_OK;
}

int wz_fs_mkdir(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return WZ_OK;
    return last_error();
}

int wz_fs_make_folders(const char *path)
{
    WZ_AUTO(wz_free_ptr) char *part = wz_strdup(path);

    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int r;

        *slash = '\0';
        r = wz_fs_mkdir(part);
        if (r < 0)
            return r;
        *slash = '/';
    }
    return wz_fs_mkdir(part);
}

int wz_fs_sync_dir(const char *path)
{
    WZ_AUTO(wz_fs_close_auto) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return last_error();
    return fsync(fd) == 0 ? WZ_OK : last_error();
}

int wz_fs_remove(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return WZ_OK;
    return last_error();
}

int wz_fs_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? WZ_OK : last_error();
}

static int write_new(const char *path, struct wz_slice s)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)s.ptr, .iov_len = s.len};
    int r = wz_fs_open(path, WZ_FS_CREATE, &fd);

    if (r < 0)
        return r;
    r = wz_fs_truncate(fd, 0);
    if (r < 0)
        return r;
    r = wz_fs_write(fd, &piece, 1, 0);
    if (r < 0)
        return r;
    return wz_fs_sync(fd);
}

int wz_fs_replace(const char *dir, const char *name, struct wz_slice s)
{
    char path[WZ_FS_PATH_MAX];
    char beside[WZ_FS_PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
        snprintf(beside, sizeof(beside), "%s/%s.new", dir, name) >= (int)sizeof(beside))
        return WZ_ERR_TOO_LARGE;
    r = write_new(beside, s);
    if (r == WZ_OK)
        r = wz_fs_rename(beside, path);
    if (r < 0) {
        wz_ignore(wz_fs_remove(beside)); // the first error is the one to tell
        return r;
    }
    return wz_fs_sync_dir(dir);
}

// Reads what has no size to its end: a pipe, a terminal.
static int load_stream(int fd, size_t max, struct wz_buf *ret_buf)
{
    size_t start = ret_buf->len;

    for (;;) {
        ssize_t got;

        wz_buf_reserve(ret_buf, 65536);
        got = read(fd, ret_buf->ptr + ret_buf->len, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return last_error();
        if (got == 0)
            return WZ_OK;
        ret_buf->len += (size_t)got;
        if (ret_buf->len - start > max)
            return WZ_ERR_TOO_LARGE;
    }
}

int wz_fs_load(const char *path, size_t max, struct wz_buf *ret_buf)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct stat facts;
    int64_t size = 0;
    size_t got;
    int r = wz_fs_open(path, WZ_FS_READ, &fd);

    if (r < 0)
        return r;
    if (fstat(fd, &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode))
        return load_stream(fd, max, ret_buf);
    r = wz_fs_size(fd, &size);
    if (r < 0)
        return r;
    if (size > (int64_t)max)
        return WZ_ERR_TOO_LARGE;
    wz_buf_reserve(ret_buf, (size_t)size + 1); // so that there is a place to read to at all
    r = wz_fs_read(fd, ret_buf->ptr + ret_buf->len, (size_t)size, 0, &got);
    if (r < 0)
        return r;
    ret_buf->len += got;
    return WZ_OK;
}

// Who has written its number into a lock file, or 0.
static pid_t lock_owner(int fd)
{
    char text[32] = {0};
    size_t len;

    if (wz_fs_read(fd, text, sizeof(text) - 1, 0, &len) < 0)
        return 0;
    return (pid_t)strtol(text, NULL, 10);
}

// Whether whoever holds a lock has died: then it is held by a process that it was about to start,
// up to its exec. That is not for long.
static bool is_left_over(pid_t owner) { return owner > 0 && kill(owner, 0) < 0 && errno == ESRCH; }

static int take_lock(int fd, pid_t *ret_owner_pid)
{
    const struct timespec pause = {.tv_nsec =
                                       WZ_FS_LEFT_OVER_MS * 1000000L / WZ_FS_LEFT_OVER_LOOKS};
    int left = WZ_FS_LEFT_OVER_LOOKS;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return last_error();
        *ret_owner_pid = lock_owner(fd);
        if (!is_left_over(*ret_owner_pid) || left-- == 0)
            return WZ_ERR_LOCKED;
        (void)nanosleep(&pause, NULL); // shorter is fine
    }
    return WZ_OK;
}

// Whether PATH is FOLDER, or beneath it.
static bool is_beneath(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool wz_fs_is_system(const char *path)
{
    return strcmp(path, "/") == 0 || is_beneath(path, "/proc") || is_beneath(path, "/sys") ||
           is_beneath(path, "/dev");
}

int wz_fs_lock(const char *path, int *ret_fd, pid_t *ret_owner_pid)
{
    char text[32] = {0};
    struct iovec piece = {.iov_base = text};
    int fd = -1;
    int r = wz_fs_open(path, WZ_FS_CREATE, &fd);

    if (r < 0)
        return r;
    r = take_lock(fd, ret_owner_pid);
    if (r < 0) {
        wz_fs_close(fd);
        return r;
    }
    piece.iov_len = (size_t)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    r = wz_fs_truncate(fd, 0);
    if (r == WZ_OK)
        r = wz_fs_write(fd, &piece, 1, 0);
    if (r < 0 && r != WZ_ERR_NOSPACE) { // on a full disk the lock holds, only its number is unsaid
        wz_fs_close(fd);
        return r;
    }
    *ret_fd = fd;
    return WZ_OK;
}

static int visible(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int wz_fs_walk(const char *path, wz_fs_name_fn fn, void *arg)
{
    struct dirent **entries;
    int count = scandir(path, &entries, visible, by_bytes);
    int r = WZ_OK;

    if (count < 0)
        return last_error();
    for (int i = 0; i < count; i++) {
        if (r >= 0)
            r = fn(entries[i]->d_name, arg);
        free(entries[i]);
    }
    free(entries);
    return r < 0 ? r : WZ_OK;
}
