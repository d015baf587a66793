// SPDX-License-Identifier: Apache-2.0
// Owns the order in which the process is shut in, its limits, and the list of what every script may
// read.
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "wire/frames.h"
#include "worker/syscall_filter.h"

#define MIB (UINT64_C(1) << 20)
#define MEMORY_PRESET_BYTES (512 * MIB)
#define STACK_BYTES (8 * MIB)
#define DESCRIPTORS_MAX 64

// A script that may write can make a file of this length.
#define FILE_BYTES (1024 * MIB)

// The sanitizers reserve more address space than any limit allows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMITS_ADDRESS_SPACE false
#elif defined(__has_feature)
#define LIMITS_ADDRESS_SPACE (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define LIMITS_ADDRESS_SPACE true
#endif

// When the machine is short of memory, the kernel ends workers before it ends wyze; of 1000.
#define OOM_SCORE "500"

// What Python, its extension modules and the C library read. None of it is a secret.
static const struct wz_sandbox_folder readable[] = {
    {"/usr/lib", WZ_LANDLOCK_READING},
    {"/usr/lib64", WZ_LANDLOCK_READING},
    {"/usr/local/lib", WZ_LANDLOCK_READING},
    {"/lib", WZ_LANDLOCK_READING},
    {"/lib64", WZ_LANDLOCK_READING},
    {"/usr/share/zoneinfo", WZ_LANDLOCK_READING},
    {"/etc/localtime", WZ_LANDLOCK_READING},
    {"/etc/timezone", WZ_LANDLOCK_READING},
    {"/etc/mime.types", WZ_LANDLOCK_READING},
    {"/etc/ld.so.cache", WZ_LANDLOCK_READING},
    {"/etc/ssl/openssl.cnf", WZ_LANDLOCK_READING},
    {"/dev/null", WZ_LANDLOCK_READING | WZ_LANDLOCK_WRITE_FILE},
    {"/dev/zero", WZ_LANDLOCK_READING},
    {"/dev/random", WZ_LANDLOCK_READING},
    {"/dev/urandom", WZ_LANDLOCK_READING},
};

// What finding a machine and checking its certificate needs.
static const struct wz_sandbox_folder network_readable[] = {
    {"/etc/resolv.conf", WZ_LANDLOCK_READING},
    {"/etc/hosts", WZ_LANDLOCK_READING},
    {"/etc/host.conf", WZ_LANDLOCK_READING},
    {"/etc/nsswitch.conf", WZ_LANDLOCK_READING},
    {"/etc/gai.conf", WZ_LANDLOCK_READING},
    {"/etc/services", WZ_LANDLOCK_READING},
    {"/etc/protocols", WZ_LANDLOCK_READING},
    {"/etc/ssl/certs", WZ_LANDLOCK_READING},
    {"/usr/share/ca-certificates", WZ_LANDLOCK_READING},
    {"/usr/local/share/ca-certificates", WZ_LANDLOCK_READING},
};

// Says at RET_REASON why a script is refused; returns false.
static bool refuse(char *ret_reason, size_t cap, const char *what)
{
    (void)snprintf(ret_reason, cap, "the sandbox cannot be set up: %s: %s", what, strerror(errno));
    return false;
}

static bool add_folder(struct wz_sandbox *sandbox, const char *path, uint64_t rights)
{
    if (path[0] != '/' || sandbox->folder_count == WZ_SANDBOX_GRANTS_MAX)
        return false;
    sandbox->folders[sandbox->folder_count++] = (struct wz_sandbox_folder){path, rights};
    return true;
}

static bool add_port(struct wz_sandbox *sandbox, const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (end == text || *end || port > UINT16_MAX || sandbox->port_count == WZ_SANDBOX_GRANTS_MAX)
        return false;
    sandbox->ports[sandbox->port_count++] = (uint16_t)port;
    if (sandbox->tcp == WZ_LANDLOCK_TCP_NONE)
        sandbox->tcp = WZ_LANDLOCK_TCP_PORTS;
    return true;
}

static bool read_bytes(const char *text, size_t *ret_bytes)
{
    char *end;

    *ret_bytes = strtoull(text, &end, 10);
    return end != text && *end == '\0' && *ret_bytes > 0;
}

static bool read_word(struct wz_sandbox *sandbox, const char *word)
{
    const char *value = strchr(word, '=');

    if (strcmp(word, "without-landlock") == 0)
        sandbox->landlock_is_kept = false;
    else if (strcmp(word, "threads") == 0)
        sandbox->threads = true;
    else if (strcmp(word, "network") == 0)
        sandbox->tcp = WZ_LANDLOCK_TCP_ALL;
    else if (!value)
        return false;
    else if (strncmp(word, "memory=", 7) == 0)
        return read_bytes(value + 1, &sandbox->memory_bytes);
    else if (strncmp(word, "state=", 6) == 0)
        return read_bytes(value + 1, &sandbox->state_bytes);
    else if (strncmp(word, "port=", 5) == 0)
        return add_port(sandbox, value + 1);
    else if (strncmp(word, "read=", 5) == 0)
        return add_folder(sandbox, value + 1, WZ_LANDLOCK_READING);
    else if (strncmp(word, "write=", 6) == 0) {
        sandbox->write = true;
        return add_folder(sandbox, value + 1, WZ_LANDLOCK_WRITING);
    } else
        return false;
    return true;
}

bool wz_sandbox_read(char *const *words, int count, struct wz_sandbox *ret_sandbox)
{
    *ret_sandbox = (struct wz_sandbox){.memory_bytes = MEMORY_PRESET_BYTES,
                                       .state_bytes = WZ_STATE_MAX_BYTES,
                                       .landlock_is_kept = true};
    for (int i = 0; i < count; i++)
        if (!read_word(ret_sandbox, words[i]))
            return false;
    return true;
}

// What is no wall but keeps scripts from stumbling, and the machine from suffering.
static void settle(const struct wz_sandbox *sandbox)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        wz_ignore((int)write(fd, OOM_SCORE, strlen(OOM_SCORE))); // a wish
        close(fd);
    }
    (void)signal(SIGXFSZ, SIG_IGN); // writing too far is an error, not the end; cannot fail
    (void)chdir("/");               // what is there cannot be read anyway
    if (sandbox->threads)
        return;
    // Libraries of linear algebra make threads when they are loaded, unless they are told not to.
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 1); // fail without memory only
    (void)setenv("OMP_NUM_THREADS", "1", 1);
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};

    // An ordinary user has none, and so may not take any out of the bounding set.
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EPERM)
            return false;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return false;
    return syscall(SYS_capset, &header, none) == 0;
}

// Sets both limits, as far as the limit in force allows it.
static bool limit(int resource, rlim_t most)
{
    struct rlimit now;

    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return false;
    if (now.rlim_max > most)
        now.rlim_max = most;
    now.rlim_cur = now.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &now) == 0;
}

static bool limit_all(const struct wz_sandbox *sandbox)
{
    return limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, sandbox->write ? FILE_BYTES : 0) &&
           limit(RLIMIT_NOFILE, DESCRIPTORS_MAX) && limit(RLIMIT_MEMLOCK, 0) &&
           limit(RLIMIT_MSGQUEUE, 0) && limit(RLIMIT_STACK, STACK_BYTES) && limit(RLIMIT_NICE, 0) &&
           limit(RLIMIT_RTPRIO, 0) && (sandbox->threads || limit(RLIMIT_NPROC, 0)) &&
           (!LIMITS_ADDRESS_SPACE || limit(RLIMIT_AS, sandbox->memory_bytes));
}

// Opens what is there of the system's own.
static bool allow_system(const struct wz_landlock *landlock,
                         const struct wz_sandbox_folder *folders, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!wz_landlock_allow(landlock, folders[i].path, folders[i].rights) && errno != ENOENT)
            return false;
    return true;
}

// By a link a path can lead to what the engine grants by no name (src/engine/grants.c).
static bool allow_folder(const struct wz_landlock *landlock, const struct wz_sandbox_folder *folder,
                         char *ret_reason, size_t cap)
{
    char *real = realpath(folder->path, NULL);
    bool may = real && !wz_fs_is_system(real);
    bool done = may && wz_landlock_allow(landlock, real, folder->rights);

    if (real && !may)
        (void)snprintf(ret_reason, cap,
                       "the folder \"%.120s\" cannot be granted: it leads to %.120s", folder->path,
                       real);
    else if (!done)
        (void)snprintf(ret_reason, cap, "the folder \"%.120s\" cannot be granted: %s", folder->path,
                       strerror(errno));
    free(real);
    return done;
}

static bool allow_granted(const struct wz_landlock *landlock, const struct wz_sandbox *sandbox,
                          char *ret_reason, size_t cap)
{
    for (size_t i = 0; i < sandbox->folder_count; i++)
        if (!allow_folder(landlock, &sandbox->folders[i], ret_reason, cap))
            return false;
    for (size_t i = 0; i < sandbox->port_count; i++)
        if (!wz_landlock_allow_port(landlock, sandbox->ports[i]))
            return refuse(ret_reason, cap, "Landlock does not take a port");
    return true;
}

// Whether the kernel can do what is set; else says what to do.
static bool check_version(const struct wz_sandbox *sandbox, int version, char *ret_reason,
                          size_t cap)
{
    if (version == 0 && (sandbox->landlock_is_kept || sandbox->folder_count > 0))
        (void)snprintf(ret_reason, cap,
                       "this kernel has no Landlock, or it is switched off, so scripts could read "
                       "every file: %s",
                       sandbox->landlock_is_kept
                           ? "start Linux 5.13 or newer with \"landlock\" in its lsm= list, or, if "
                             "you trust all scripts, set scripts.sandbox to without-landlock"
                           : "a folder cannot be granted without it");
    else if (version < 4 && sandbox->tcp == WZ_LANDLOCK_TCP_PORTS)
        (void)snprintf(ret_reason, cap,
                       "this kernel cannot limit a script to some ports: take Linux 6.7 or newer, "
                       "or grant the network as a whole");
    else
        return true;
    return false;
}

static bool enter_landlock(const struct wz_sandbox *sandbox, char *ret_reason, size_t cap)
{
    struct wz_landlock landlock;

    if (!wz_landlock_open(sandbox->tcp, &landlock))
        return refuse(ret_reason, cap, "Landlock");
    if (!allow_system(&landlock, readable, sizeof(readable) / sizeof(readable[0])) ||
        (sandbox->tcp != WZ_LANDLOCK_TCP_NONE &&
         !allow_system(&landlock, network_readable,
                       sizeof(network_readable) / sizeof(network_readable[0]))))
        return refuse(ret_reason, cap, "Landlock does not take a rule");
    if (!allow_granted(&landlock, sandbox, ret_reason, cap))
        return false;
    return wz_landlock_enter(&landlock) ||
           refuse(ret_reason, cap, "Landlock does not take the rules");
}

bool wz_sandbox_enter(const struct wz_sandbox *sandbox, char *ret_reason, size_t cap)
{
    int version = wz_landlock_version();
    struct wz_syscall_filter filter = {
        .opens = version > 0 ? WZ_SYSCALL_OPENS_CHECKED : WZ_SYSCALL_OPENS_READ_ONLY,
        .write = sandbox->write,
        .network = sandbox->tcp != WZ_LANDLOCK_TCP_NONE,
        .threads = sandbox->threads,
    };
    int r;

    if (!check_version(sandbox, version, ret_reason, cap))
        return false;
    settle(sandbox);
    if (!drop_capabilities())
        return refuse(ret_reason, cap, "capabilities");
    if (!limit_all(sandbox))
        return refuse(ret_reason, cap, "limits");
    // A dump of its memory would be written by others than itself, and others could look into it.
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return refuse(ret_reason, cap, "privileges");
    if (version > 0 && !enter_landlock(sandbox, ret_reason, cap))
        return false;
    r = wz_syscall_filter_enter(&filter);
    errno = -r;
    return r == 0 || refuse(ret_reason, cap, "the filter of system calls");
}
