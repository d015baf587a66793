// SPDX-License-Identifier: Apache-2.0
// Owns the calls of Landlock, for which libraries have no functions, and what each version of it
// knows.
#include "worker/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's struct landlock_ruleset_attr as of version 6: a kernel that knows less of it takes
// it when the rest is zero.
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

// The kernel's struct landlock_net_port_attr and the type of its rule, from version 4 on.
struct port_rule {
    uint64_t allowed;
    uint64_t port;
};
#define RULE_NET_PORT 2

// From version 7 on: what is denied is not in the machine's audit log, which a script could fill.
#define RESTRICT_SELF_QUIET (1U << 0)

#define VERSION_NET 4
#define VERSION_SCOPES 6
#define VERSION_QUIET 7

// What can be allowed for a file; the rest is about what a folder holds.
#define FILE_RIGHTS                                                                                \
    (WZ_LANDLOCK_EXECUTE | WZ_LANDLOCK_WRITE_FILE | WZ_LANDLOCK_READ_FILE | WZ_LANDLOCK_TRUNCATE | \
     WZ_LANDLOCK_IOCTL_DEV)

int wz_landlock_version(void)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0UL, (unsigned)LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (int)version : 0;
}

uint64_t wz_landlock_rights(int version)
{
    uint64_t rights = 0;

    if (version >= 1)
        rights = (WZ_LANDLOCK_MAKE_SYM << 1) - 1;
    if (version >= 2)
        rights |= WZ_LANDLOCK_REFER;
    if (version >= 3)
        rights |= WZ_LANDLOCK_TRUNCATE;
    if (version >= 5)
        rights |= WZ_LANDLOCK_IOCTL_DEV;
    return rights;
}

bool wz_landlock_open(enum wz_landlock_tcp tcp, struct wz_landlock *ret_landlock)
{
    int version = wz_landlock_version();
    struct ruleset ruleset = {.fs = wz_landlock_rights(version)};
    int fd;

    if (version >= VERSION_NET)
        ruleset.net = NET_BIND_TCP | (tcp == WZ_LANDLOCK_TCP_ALL ? 0 : NET_CONNECT_TCP);
    if (version >= VERSION_SCOPES)
        ruleset.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0U);
    if (fd < 0)
        return false;
    *ret_landlock = (struct wz_landlock){.version = version, .ruleset = fd};
    return true;
}

bool wz_landlock_allow(const struct wz_landlock *landlock, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights & wz_landlock_rights(landlock->version),
        .parent_fd = open(path, O_PATH | O_CLOEXEC),
    };
    struct stat stat;
    bool done;
    int err;

    if (rule.parent_fd < 0)
        return false;
    done = fstat(rule.parent_fd, &stat) == 0;
    if (done && !S_ISDIR(stat.st_mode))
        rule.allowed_access &= FILE_RIGHTS;
    done = done && syscall(SYS_landlock_add_rule, landlock->ruleset, LANDLOCK_RULE_PATH_BENEATH,
                           &rule, 0U) == 0;
    err = errno;
    close(rule.parent_fd);
    errno = err;
    return done;
}

bool wz_landlock_allow_port(const struct wz_landlock *landlock, uint16_t port)
{
    struct port_rule rule = {.allowed = NET_CONNECT_TCP, .port = port};

    return syscall(SYS_landlock_add_rule, landlock->ruleset, RULE_NET_PORT, &rule, 0U) == 0;
}

bool wz_landlock_enter(struct wz_landlock *landlock)
{
    unsigned flags = landlock->version >= VERSION_QUIET ? RESTRICT_SELF_QUIET : 0;
    bool done = syscall(SYS_landlock_restrict_self, landlock->ruleset, flags) == 0;
    int err = errno;

    close(landlock->ruleset);
    landlock->ruleset = -1;
    errno = err;
    return done;
}
