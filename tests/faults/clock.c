// SPDX-License-Identifier: Apache-2.0
// A library to preload: it sets a program's wall clock forward or back while it runs. The file that
// WZ_CLOCK_FILE names holds by how many milliseconds, as 8 bytes in the machine's order; who writes
// them sets the clock at that moment. The monotonic clock goes on as it is.

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MS_PER_S 1000
#define NS_PER_MS 1000000

typedef int clock_gettime_fn(clockid_t id, struct timespec *ret_time);

static _Atomic int64_t none;
static _Atomic int64_t *offset_ms = &none;
static clock_gettime_fn *real;

// A test whose clock does not move must not pass for one whose clock did.
static void refuse(const char *what)
{
    perror(what);
    _exit(99);
}

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("WZ_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page;

    real = __extension__(clock_gettime_fn *) dlsym(RTLD_NEXT, "clock_gettime");
    if (real == NULL)
        refuse("clock_gettime");
    if (path == NULL)
        return;
    if (fd < 0)
        refuse(path);
    page = mmap(NULL, sizeof(*offset_ms), PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        refuse(path);
    (void)close(fd);
    offset_ms = page;
}

EXPORT int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int r = real(id, ret_time);

    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ms = atomic_load_explicit(offset_ms, memory_order_relaxed);
        int64_t ns = ret_time->tv_nsec + ms % MS_PER_S * NS_PER_MS;

        ret_time->tv_sec += ms / MS_PER_S;
        if (ns < 0)
            ret_time->tv_sec--;
        else if (ns >= (int64_t)MS_PER_S * NS_PER_MS)
            ret_time->tv_sec++;
        ret_time->tv_nsec = (ns + (int64_t)MS_PER_S * NS_PER_MS) % ((int64_t)MS_PER_S * NS_PER_MS);
    }
    return r;
}

EXPORT int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
    struct timespec now;

    (void)zone; // obsolete, and nobody gives one
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    ret_time->tv_sec = now.tv_sec;
    ret_time->tv_usec = now.tv_nsec / MS_PER_S;
    return 0;
}

EXPORT time_t time(time_t *ret_time)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now); // cannot fail for this clock
    if (ret_time != NULL)
        *ret_time = now.tv_sec;
    return now.tv_sec;
}
