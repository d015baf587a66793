// SPDX-License-Identifier: Apache-2.0
// A library to preload: it stands between a program and its disk and makes chosen calls fail. It
// owns a list of rules, read from WZ_FAULT, or from the file that WZ_FAULT_FILE names and again
// each time another file takes its place: so a test fills the disk and empties it while the program
// runs. One rule a line (or between semicolons):
//
//   call[|call...]:action[:n=N][:k=K][:bytes=B][:ms=T][:path=PART]
//
//   call    open create write pwrite pwritev pread fsync fdatasync fallocate ftruncate rename
//   unlink statvfs,
//           or change: all that change the disk; create is an open that may make the file
//   action  EIO ENOSPC EINTR EDQUOT EROFS EACCES EMFILE: the call fails with it and does nothing
//           short: B bytes (0: the half) are transferred; torn: the same, then the process dies
//           kill, after: the process dies before the call or behind it; delay: it takes T ms
//           free: statvfs says that B bytes are free
//   n, k    the N-th call that matches is the first, K calls are hit (all, if not given)
//   path    only files whose path contains PART
//
// Each hit is a line in the file named by WZ_FAULT_FILE with ".hits" added.

// The names below must be the ones that are linked, not macros for others.
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 32
#define PIECES_MAX 1024
#define SECTOR_BYTES 512
#define EXPORT __attribute__((visibility("default")))

#define CALLS(X)                                                                                   \
    X(OPEN, "open")                                                                                \
    X(CREATE, "create")                                                                            \
    X(WRITE, "write")                                                                              \
    X(PWRITE, "pwrite")                                                                            \
    X(PWRITEV, "pwritev")                                                                          \
    X(PREAD, "pread")                                                                              \
    X(FSYNC, "fsync")                                                                              \
    X(FDATASYNC, "fdatasync")                                                                      \
    X(FALLOCATE, "fallocate")                                                                      \
    X(FTRUNCATE, "ftruncate")                                                                      \
    X(RENAME, "rename")                                                                            \
    X(UNLINK, "unlink")                                                                            \
    X(STATVFS, "statvfs")

enum call {
#define CALL_ENUM(id, name) CALL_##id,
    CALLS(CALL_ENUM)
#undef CALL_ENUM
        CALL_COUNT,
};

static const char *const call_names[] = {
#define CALL_NAME(id, name) name,
    CALLS(CALL_NAME)
#undef CALL_NAME
};

enum action {
    ACTION_NONE,
    ACTION_ERROR,
    ACTION_SHORT,
    ACTION_TORN,
    ACTION_KILL,
    ACTION_AFTER,
    ACTION_DELAY,
    ACTION_FREE,
};

struct rule {
    unsigned calls; // a bit for each
    enum action action;
    int errnum;
    long first;
    long count; // 0: all
    size_t bytes;
    long ms;
    char path[256];
    long seen;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards all below
static struct rule rules[RULES_MAX];
static int rule_count;
static struct stat file_seen; // what the rules were read from
static bool env_read;

// The function that NAME would be without us.
#define REAL(name) (__extension__(__typeof__(&name)) next_of(#name))

static void *next_of(const char *name)
{
    void *next = dlsym(RTLD_NEXT, name);

    if (next == NULL)
        abort();
    return next;
}

// A rule that is not understood must not pass for a disk without faults.
static void refuse(const char *what)
{
    fprintf(stderr, "fault: cannot read the rule at \"%s\"\n", what);
    _exit(99);
}

static unsigned parse_calls(char *text)
{
    unsigned calls = 0;
    char *rest = NULL;

    for (char *name = strtok_r(text, "|", &rest); name != NULL; name = strtok_r(NULL, "|", &rest)) {
        unsigned before = calls;

        for (int i = 0; i < CALL_COUNT; i++) {
            if (strcmp(name, call_names[i]) == 0)
                calls |= 1u << i;
        }
        if (strcmp(name, "change") == 0)
            calls |= ((1u << CALL_COUNT) - 1) &
                     ~(1u << CALL_PREAD | 1u << CALL_OPEN | 1u << CALL_STATVFS);
        if (calls == before)
            refuse(name);
    }
    return calls;
}

static void parse_action(const char *text, struct rule *ret_rule)
{
    static const struct {
        const char *name;
        enum action action;
        int errnum;
    } actions[] = {
        {"EIO", ACTION_ERROR, EIO},       {"ENOSPC", ACTION_ERROR, ENOSPC},
        {"EINTR", ACTION_ERROR, EINTR},   {"EDQUOT", ACTION_ERROR, EDQUOT},
        {"EROFS", ACTION_ERROR, EROFS},   {"EACCES", ACTION_ERROR, EACCES},
        {"EMFILE", ACTION_ERROR, EMFILE}, {"short", ACTION_SHORT, 0},
        {"torn", ACTION_TORN, 0},         {"kill", ACTION_KILL, 0},
        {"after", ACTION_AFTER, 0},       {"delay", ACTION_DELAY, 0},
        {"free", ACTION_FREE, 0},
    };

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(text, actions[i].name) == 0) {
            ret_rule->action = actions[i].action;
            ret_rule->errnum = actions[i].errnum;
            return;
        }
    }
    refuse(text);
}

static void parse_option(char *text, struct rule *rule)
{
    char *value = strchr(text, '=');
    char *end = NULL;
    long number;

    if (value == NULL)
        refuse(text);
    *value++ = '\0';
    if (strcmp(text, "path") == 0) {
        (void)snprintf(rule->path, sizeof(rule->path), "%s", value);
        return;
    }
    number = strtol(value, &end, 10);
    if (*end != '\0' || end == value || number < 0)
        refuse(value);
    if (strcmp(text, "n") == 0)
        rule->first = number;
    else if (strcmp(text, "k") == 0)
        rule->count = number;
    else if (strcmp(text, "bytes") == 0)
        rule->bytes = (size_t)number;
    else if (strcmp(text, "ms") == 0)
        rule->ms = number;
    else
        refuse(text);
}

static void parse_rule(char *line)
{
    struct rule *rule = &rules[rule_count];
    char *rest = NULL;
    char *calls = strtok_r(line, ":", &rest);
    char *action = strtok_r(NULL, ":", &rest);

    if (calls == NULL || action == NULL || rule_count == RULES_MAX)
        refuse(line);
    *rule = (struct rule){.first = 1, .calls = parse_calls(calls)};
    parse_action(action, rule);
    for (char *option = strtok_r(NULL, ":", &rest); option != NULL;
         option = strtok_r(NULL, ":", &rest))
        parse_option(option, rule);
    rule_count++;
}

static void parse_rules(char *text)
{
    char *rest = NULL;

    rule_count = 0;
    for (char *line = strtok_r(text, ";\n", &rest); line != NULL;
         line = strtok_r(NULL, ";\n", &rest))
        parse_rule(line);
}

static void read_file(const char *path)
{
    char text[8192];
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd < 0 || len < 0)
        refuse(path);
    (void)close(fd);
    text[len] = '\0';
    parse_rules(text);
}

// Reads the rules if they are new. The lock is held.
static void refresh(void)
{
    const char *path = getenv("WZ_FAULT_FILE");
    const char *text = getenv("WZ_FAULT");
    struct stat st;

    if (text != NULL && !env_read) {
        char *copy = strdup(text);

        env_read = true;
        parse_rules(copy);
        free(copy);
    }
    if (path == NULL || stat(path, &st) < 0)
        return;
    if (st.st_ino == file_seen.st_ino && st.st_mtim.tv_sec == file_seen.st_mtim.tv_sec &&
        st.st_mtim.tv_nsec == file_seen.st_mtim.tv_nsec && st.st_size == file_seen.st_size)
        return;
    file_seen = st;
    read_file(path);
}

static void note_hit(enum call call, const char *path)
{
    const char *control = getenv("WZ_FAULT_FILE");
    char name[PATH_MAX + 8];
    char line[PATH_MAX + 32];
    int fd;
    int len;

    if (control == NULL)
        return;
    (void)snprintf(name, sizeof(name), "%s.hits", control);
    fd = REAL(open)(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    len = snprintf(line, sizeof(line), "%s %s\n", call_names[call], path);
    if (fd >= 0 && REAL(write)(fd, line, (size_t)len) < 0)
        abort(); // the test would wait for what it cannot see
    if (fd >= 0)
        (void)close(fd);
}

// What is to happen to this call on the file PATH.
static struct rule decide(enum call call, const char *path)
{
    struct rule hit = {.action = ACTION_NONE};
    int errnum = errno;
    sigset_t all;
    sigset_t before;

    // A handler that writes, as libuv's does, would wait for the lock that its own thread holds.
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_mutex_lock(&lock);
    refresh();
    for (int i = 0; i < rule_count && hit.action == ACTION_NONE; i++) {
        struct rule *rule = &rules[i];

        if ((rule->calls & 1u << call) == 0 || strstr(path, rule->path) == NULL)
            continue;
        rule->seen++;
        if (rule->seen >= rule->first &&
            (rule->count == 0 || rule->seen < rule->first + rule->count))
            hit = *rule;
    }
    if (hit.action != ACTION_NONE)
        note_hit(call, path);
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = errnum;
    return hit;
}

static struct rule decide_fd(enum call call, int fd)
{
    char link[64];
    char path[PATH_MAX];
    int errnum = errno;
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    path[len < 0 ? 0 : len] = '\0';
    errno = errnum;
    return decide(call, path);
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

static void take_lock(void) { (void)pthread_mutex_lock(&lock); }

static void give_lock_back(void) { (void)pthread_mutex_unlock(&lock); }

// A child has the forking thread alone: without these it would wait, at its first call and for
// ever, for a lock that another thread held, and who waits for the child to run its program would,
// too.
__attribute__((constructor)) static void fork_unlocked(void)
{
    if (pthread_atfork(take_lock, give_lock_back, give_lock_back) != 0)
        refuse("pthread_atfork");
}

// What comes before the call; true when the call must not be made.
static bool fails(const struct rule *hit)
{
    struct timespec time = {.tv_sec = hit->ms / 1000, .tv_nsec = hit->ms % 1000 * 1000000};

    if (hit->action == ACTION_KILL)
        die();
    if (hit->action == ACTION_DELAY)
        (void)nanosleep(&time, NULL);
    if (hit->action != ACTION_ERROR)
        return false;
    errno = hit->errnum;
    return true;
}

static void behind(const struct rule *hit)
{
    if (hit->action == ACTION_AFTER || hit->action == ACTION_TORN)
        die();
}

// How many of LEN bytes are to be transferred. Past the page cache that is whole sectors, of the
// disk's as of ours.
static size_t part_of(const struct rule *hit, int fd, size_t len)
{
    size_t part = hit->bytes > 0 ? hit->bytes : len / 2;
    size_t least = (fcntl(fd, F_GETFL) & O_DIRECT) != 0 ? SECTOR_BYTES : 1;

    if (hit->action != ACTION_SHORT && hit->action != ACTION_TORN)
        return len;
    part -= part % least;
    if (part == 0 && hit->action == ACTION_SHORT)
        part = least;
    return part < len ? part : len;
}

// A call that returns RESULT_TYPE: decided on, made, and followed by what comes behind it.
#define WRAP(result_type, hit_value, call_made)                                                    \
    do {                                                                                           \
        struct rule hit = (hit_value);                                                             \
        result_type result;                                                                        \
        if (fails(&hit))                                                                           \
            return -1;                                                                             \
        result = (call_made);                                                                      \
        behind(&hit);                                                                              \
        return result;                                                                             \
    } while (0)

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

static struct rule decide_open(const char *path, int flags)
{
    return decide((flags & O_CREAT) != 0 ? CALL_CREATE : CALL_OPEN, path);
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    WRAP(int, decide_open(path, flags), REAL(open)(path, flags, mode));
}

EXPORT int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    WRAP(int, decide_open(path, flags), REAL(open64)(path, flags, mode));
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    WRAP(int, decide_open(path, flags), REAL(openat)(dir, path, flags, mode));
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    WRAP(int, decide_open(path, flags), REAL(openat64)(dir, path, flags, mode));
}

EXPORT ssize_t write(int fd, const void *bytes, size_t len)
{
    WRAP(ssize_t, decide_fd(CALL_WRITE, fd), REAL(write)(fd, bytes, part_of(&hit, fd, len)));
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t len, off_t pos)
{
    WRAP(ssize_t, decide_fd(CALL_PWRITE, fd), REAL(pwrite)(fd, bytes, part_of(&hit, fd, len), pos));
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t pos)
{
    WRAP(ssize_t, decide_fd(CALL_PWRITE, fd),
         REAL(pwrite64)(fd, bytes, part_of(&hit, fd, len), pos));
}

// Writes the pieces, or as much of them as the rule lets through.
static ssize_t write_pieces(const struct rule *hit, int fd, const struct iovec *pieces, int count,
                            off64_t pos)
{
    struct iovec cut[PIECES_MAX];
    size_t total = 0;
    size_t left;
    int used = 0;

    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    left = part_of(hit, fd, total);
    if (left == total || count > PIECES_MAX)
        return REAL(pwritev64)(fd, pieces, count, pos);
    for (; used < count && left > 0; used++) {
        cut[used] = pieces[used];
        if (cut[used].iov_len > left)
            cut[used].iov_len = left;
        left -= cut[used].iov_len;
    }
    return REAL(pwritev64)(fd, cut, used, pos);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t pos)
{
    WRAP(ssize_t, decide_fd(CALL_PWRITEV, fd), write_pieces(&hit, fd, pieces, count, pos));
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t pos)
{
    WRAP(ssize_t, decide_fd(CALL_PWRITEV, fd), write_pieces(&hit, fd, pieces, count, pos));
}

EXPORT ssize_t pread(int fd, void *bytes, size_t len, off_t pos)
{
    WRAP(ssize_t, decide_fd(CALL_PREAD, fd), REAL(pread)(fd, bytes, part_of(&hit, fd, len), pos));
}

EXPORT ssize_t pread64(int fd, void *bytes, size_t len, off64_t pos)
{
    WRAP(ssize_t, decide_fd(CALL_PREAD, fd), REAL(pread64)(fd, bytes, part_of(&hit, fd, len), pos));
}

EXPORT int fsync(int fd) { WRAP(int, decide_fd(CALL_FSYNC, fd), REAL(fsync)(fd)); }

EXPORT int fdatasync(int fd) { WRAP(int, decide_fd(CALL_FDATASYNC, fd), REAL(fdatasync)(fd)); }

EXPORT int fallocate(int fd, int mode, off_t pos, off_t len)
{
    WRAP(int, decide_fd(CALL_FALLOCATE, fd), REAL(fallocate)(fd, mode, pos, len));
}

EXPORT int fallocate64(int fd, int mode, off64_t pos, off64_t len)
{
    WRAP(int, decide_fd(CALL_FALLOCATE, fd), REAL(fallocate64)(fd, mode, pos, len));
}

EXPORT int ftruncate(int fd, off_t len)
{
    WRAP(int, decide_fd(CALL_FTRUNCATE, fd), REAL(ftruncate)(fd, len));
}

EXPORT int ftruncate64(int fd, off64_t len)
{
    WRAP(int, decide_fd(CALL_FTRUNCATE, fd), REAL(ftruncate64)(fd, len));
}

EXPORT int rename(const char *from, const char *to)
{
    WRAP(int, decide(CALL_RENAME, to), REAL(rename)(from, to));
}

EXPORT int unlink(const char *path) { WRAP(int, decide(CALL_UNLINK, path), REAL(unlink)(path)); }

// Says of the file system of PATH what the rule wants.
EXPORT int statvfs(const char *path, struct statvfs *ret_vfs)
{
    struct rule hit = decide(CALL_STATVFS, path);
    int r;

    if (fails(&hit))
        return -1;
    r = REAL(statvfs)(path, ret_vfs);
    if (r == 0 && hit.action == ACTION_FREE)
        ret_vfs->f_bavail = hit.bytes / ret_vfs->f_frsize;
    return r;
}

EXPORT int statvfs64(const char *path, struct statvfs64 *ret_vfs)
{
    struct rule hit = decide(CALL_STATVFS, path);
    int r;

    if (fails(&hit))
        return -1;
    r = REAL(statvfs64)(path, ret_vfs);
    if (r == 0 && hit.action == ACTION_FREE)
        ret_vfs->f_bavail = hit.bytes / ret_vfs->f_frsize;
    return r;
}
