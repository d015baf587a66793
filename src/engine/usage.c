// SPDX-License-Identifier: Apache-2.0
// Owns the reading of /proc/PID/stat (proc(5)).
#include "engine/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Fields behind the command's name, which is in parentheses and may hold anything.
#define FIELD_FLAGS 7
#define FIELD_UTIME 12
#define FIELD_STIME 13
#define FIELD_RSS 22

// The flag of a process that is ending (PF_EXITING in the kernel's include/linux/sched.h).
#define FLAG_ENDS 4

static int read_fields(int pid, unsigned long long ret_fields[FIELD_RSS])
{
    char path[32];
    char text[1024];
    const char *at;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return WZ_ERR_NOT_FOUND;
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd); // it was read only
    if (n <= 0)
        return WZ_ERR_NOT_FOUND;
    text[n] = '\0';
    at = strrchr(text, ')');
    for (int i = 0; at && i < FIELD_RSS; i++) {
        at = strchr(at, ' ');
        if (at && sscanf(++at, "%llu", &ret_fields[i]) != 1)
            ret_fields[i] = 0; // the state is a letter, some are below 0
    }
    return at ? WZ_OK : WZ_ERR_NOT_FOUND;
}

int wz_usage_read(int pid, struct wz_usage *ret_usage)
{
    unsigned long long fields[FIELD_RSS] = {0};
    int r = read_fields(pid, fields);

    if (r < 0)
        return r;
    ret_usage->cpu_us = (int64_t)(fields[FIELD_UTIME - 1] + fields[FIELD_STIME - 1]) * 1000000 /
                        sysconf(_SC_CLK_TCK);
    ret_usage->memory_bytes = (int64_t)fields[FIELD_RSS - 1] * sysconf(_SC_PAGESIZE);
    return WZ_OK;
}

bool wz_usage_ends(int pid)
{
    unsigned long long fields[FIELD_RSS] = {0};

    return read_fields(pid, fields) < 0 || (fields[FIELD_FLAGS - 1] & FLAG_ENDS) != 0;
}
