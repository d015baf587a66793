// SPDX-License-Identifier: Apache-2.0
// Owns the list of system calls that a script can make: what CPython, its extension modules and the
// C library need, and nothing by which another process, the kernel's settings or a file that is not
// opened can be reached. Landlock does not look at a file's mode, owner, times and attributes, so
// no call that changes those is on the list. Arguments that point to memory cannot be looked at.
#include "worker/syscall_filter.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/frames.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

// An argument of 32 bits: the kernel does not look at the upper half.
#define INT_IS(arg, value)                                                                         \
    SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint64_t)(uint32_t)(value))
#define INT_HAS(arg, mask, value)                                                                  \
    SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, (uint64_t)(uint32_t)(mask), (uint64_t)(uint32_t)(value))

// Of files that are open, the process's own memory, signals and time. Names that an architecture
// does not have are passed over.
static const int always[] = {
    SCMP_SYS(access),
    SCMP_SYS(alarm),
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getcpu),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents),
    SCMP_SYS(getdents64),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getgroups),
    SCMP_SYS(getitimer),
    SCMP_SYS(getpgrp),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getresgid),
    SCMP_SYS(getresuid),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(newfstatat),
    SCMP_SYS(pause),
    SCMP_SYS(pipe),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(pselect6),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(read),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(readv),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(select),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(setitimer),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(times),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

// Files in folders that may be written in. Not among them, because Landlock does not look at it
// before its version 3: truncate.
static const int writing[] = {
    SCMP_SYS(copy_file_range), SCMP_SYS(fallocate), SCMP_SYS(fdatasync), SCMP_SYS(flock),
    SCMP_SYS(fsync),           SCMP_SYS(ftruncate), SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),
    SCMP_SYS(rename),          SCMP_SYS(renameat),  SCMP_SYS(renameat2), SCMP_SYS(rmdir),
    SCMP_SYS(sendfile),        SCMP_SYS(umask),     SCMP_SYS(unlink),    SCMP_SYS(unlinkat),
};

// Sockets that are open. Nothing listens: no bind, listen, accept.
static const int networking[] = {
    SCMP_SYS(connect),  SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg),    SCMP_SYS(recvmsg),     SCMP_SYS(shutdown),
};

// What programs set of their sockets, by level. Not among it: what makes another kind of socket of
// one (TCP_ULP), connects later (TCP_FASTOPEN_CONNECT), or gives the kernel a program.
static const int socket_options[][2] = {
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_SNDTIMEO},
    {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_MULTICAST_LOOP},
    {IPPROTO_IP, IP_MULTICAST_TTL},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
    {IPPROTO_IPV6, IPV6_RECVERR},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_V6ONLY},
};

// The C library and Python go on without these when the kernel does not have them.
static const int unknown[] = {
    SCMP_SYS(clone3),
    SCMP_SYS(openat2),
    SCMP_SYS(epoll_pwait2),
};

// F_SETOWN, F_SETSIG and F_SETLEASE are left out: by them the kernel sends signals to others.
static const int file_commands[] = {
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,     F_GETFL,      F_SETFL,
    F_GETLK, F_SETLK,         F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLKW,
};

// What Python asks of files and sockets.
static const unsigned device_commands[] = {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS};

static int allow_all(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

// Allows CALL when all conditions hold; r is what came before.
static int allow(int r, scmp_filter_ctx ctx, int call, const struct scmp_arg_cmp *conditions,
                 unsigned count)
{
    return r < 0 ? r : seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, count, conditions);
}

#define ALLOW(r, ctx, call, ...)                                                                   \
    allow(r, ctx, call, (const struct scmp_arg_cmp[]){__VA_ARGS__},                                \
          COUNT(((const struct scmp_arg_cmp[]){__VA_ARGS__})))

// The call open or openat, whose flags are argument FLAGS and whose mode is the next one. A file
// that is made cannot be one that runs as its owner. O_TRUNC counts only where Landlock looks
// for the right to write: its first versions do not look at it by itself.
static int allow_open(scmp_filter_ctx ctx, const struct wz_syscall_filter *filter, int call,
                      unsigned flags)
{
    const struct scmp_arg_cmp plain_mode = INT_HAS(flags + 1, S_ISUID | S_ISGID, 0);
    int r = 0;

    if (filter->opens == WZ_SYSCALL_OPENS_READ_ONLY)
        return ALLOW(
            r, ctx, call,
            INT_HAS(flags, O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), O_RDONLY));
    r = ALLOW(r, ctx, call, INT_HAS(flags, O_TRUNC, 0), plain_mode);
    r = ALLOW(r, ctx, call, INT_HAS(flags, O_ACCMODE, O_WRONLY), plain_mode);
    return ALLOW(r, ctx, call, INT_HAS(flags, O_ACCMODE, O_RDWR), plain_mode);
}

static int allow_commands(scmp_filter_ctx ctx)
{
    int r = 0;

    for (size_t i = 0; i < COUNT(file_commands); i++)
        r = ALLOW(r, ctx, SCMP_SYS(fcntl), INT_IS(1, file_commands[i]));
    for (size_t i = 0; i < COUNT(device_commands); i++)
        r = ALLOW(r, ctx, SCMP_SYS(ioctl), INT_IS(1, device_commands[i]));
    r = ALLOW(r, ctx, SCMP_SYS(prctl), INT_IS(0, PR_SET_NAME));
    return ALLOW(r, ctx, SCMP_SYS(prctl), INT_IS(0, PR_GET_NAME));
}

// Calls that could reach other processes reach this one; limits can be asked for, not changed.
static int allow_own(scmp_filter_ctx ctx)
{
    pid_t pid = getpid();
    int r = 0;

    r = ALLOW(r, ctx, SCMP_SYS(kill), INT_IS(0, pid));
    r = ALLOW(r, ctx, SCMP_SYS(tgkill), INT_IS(0, pid));
    r = ALLOW(r, ctx, SCMP_SYS(tkill), INT_IS(0, pid));
    r = ALLOW(r, ctx, SCMP_SYS(prlimit64), INT_IS(0, 0), SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0));
    r = ALLOW(r, ctx, SCMP_SYS(prlimit64), INT_IS(0, pid), SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0));
    // O_EXCL: a pipe of the kernel's notices.
    r = ALLOW(r, ctx, SCMP_SYS(pipe2), INT_HAS(1, O_EXCL, 0));
    // Huge pages are the machine's, and do not count as memory that is in use.
    return ALLOW(r, ctx, SCMP_SYS(mmap), INT_HAS(3, MAP_HUGETLB, 0));
}

// The process can end with any code but those that say it could not begin: the engine would believe
// them. Of a code the lowest eight bits count; of these, one of the upper seven must differ.
static int allow_exit(scmp_filter_ctx ctx, int call)
{
    int r = 0;

    _Static_assert((WZ_WORKER_EXIT_USAGE ^ WZ_WORKER_EXIT_PYTHON) == 1, "one bit tells them apart");
    for (unsigned bit = 2; bit <= 128; bit *= 2)
        r = ALLOW(r, ctx, call, INT_HAS(0, bit, ~(unsigned)WZ_WORKER_EXIT_USAGE & bit));
    return r;
}

static int allow_sockets(scmp_filter_ctx ctx)
{
    static const int domains[] = {AF_INET, AF_INET6};
    static const int protocols[][2] = {
        {SOCK_STREAM, 0}, {SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, 0}, {SOCK_DGRAM, IPPROTO_UDP}};
    // MSG_FASTOPEN connects without Landlock's being asked. MSG_OOB on the pipe would wake wyze for
    // a byte that it does not get.
    const struct scmp_arg_cmp plain = INT_HAS(3, MSG_FASTOPEN | MSG_OOB, 0);
    int r = allow_all(ctx, networking, COUNT(networking));

    for (size_t i = 0; i < COUNT(domains) * COUNT(protocols); i++) {
        const int *protocol = protocols[i % COUNT(protocols)];

        r = ALLOW(r, ctx, SCMP_SYS(socket), INT_IS(0, domains[i / COUNT(protocols)]),
                  INT_HAS(1, 0xf, protocol[0]), INT_IS(2, protocol[1]));
    }
    for (size_t i = 0; i < COUNT(socket_options); i++)
        r = ALLOW(r, ctx, SCMP_SYS(setsockopt), INT_IS(1, socket_options[i][0]),
                  INT_IS(2, socket_options[i][1]));
    r = ALLOW(r, ctx, SCMP_SYS(sendto), plain);
    r = ALLOW(r, ctx, SCMP_SYS(sendmmsg), plain);
    r = ALLOW(r, ctx, SCMP_SYS(sendmsg), INT_HAS(2, MSG_FASTOPEN | MSG_OOB, 0));
    // A pair is connected already, and a stream cannot be connected anew: it is a pipe.
    return ALLOW(r, ctx, SCMP_SYS(socketpair), INT_IS(0, AF_UNIX), INT_HAS(1, 0xf, SOCK_STREAM));
}

// A thread of this process, in no namespace of its own.
static int allow_threads(scmp_filter_ctx ctx)
{
    const unsigned thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
    const unsigned spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                            CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

    return ALLOW(0, ctx, SCMP_SYS(clone),
                 INT_HAS(0, thread | spaces | CLONE_VFORK | CLONE_PTRACE, thread));
}

static int fill(scmp_filter_ctx ctx, const struct wz_syscall_filter *filter)
{
    int r = allow_all(ctx, always, COUNT(always));

    for (size_t i = 0; i < COUNT(unknown) && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), unknown[i], 0);
    if (r == 0)
        r = allow_open(ctx, filter, SCMP_SYS(open), 1);
    if (r == 0)
        r = allow_open(ctx, filter, SCMP_SYS(openat), 2);
    if (r == 0)
        r = allow_commands(ctx);
    if (r == 0)
        r = allow_own(ctx);
    if (r == 0)
        r = allow_exit(ctx, SCMP_SYS(exit));
    if (r == 0)
        r = allow_exit(ctx, SCMP_SYS(exit_group));
    if (r == 0 && filter->write)
        r = allow_all(ctx, writing, COUNT(writing));
    if (r == 0 && filter->network)
        r = allow_sockets(ctx);
    if (r == 0 && filter->threads)
        r = allow_threads(ctx);
    return r;
}

int wz_syscall_filter_enter(const struct wz_syscall_filter *filter)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = ctx ? 0 : -ENOMEM;

    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = fill(ctx, filter);
    if (r == 0) // a search by halves, not a walk down the list
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r;
}
