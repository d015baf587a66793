// SPDX-License-Identifier: Apache-2.0
// Each filter is put in force in a child.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/frames.h"
#include "worker/syscall_filter.h"

#define EXPECT(condition)                                                                          \
    if (!(condition))                                                                              \
        return __LINE__ % 200 + 2;

// The call is refused with EPERM.
#define REFUSED(...) (errno = 0, syscall(__VA_ARGS__) == -1 && errno == EPERM)

// Whether the kernel has looked at the call, however it liked it.
#define PASSED(...) (errno = 0, syscall(__VA_ARGS__) >= 0 || errno != EPERM)

// What waitpid says of a child in which FN runs behind the filter: FN returns the place at which it
// found something else than it should, or 0.
static int run_filtered(struct wz_syscall_filter filter, int (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(wz_syscall_filter_enter(&filter) == 0 ? fn() : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int try_others(void)
{
    const int flags = (int)(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD);

    EXPECT(REFUSED(SYS_kill, getppid(), 0) && REFUSED(SYS_kill, -1, 0) && REFUSED(SYS_kill, 0, 0));
    EXPECT(REFUSED(SYS_tgkill, getppid(), getppid(), 0) && REFUSED(SYS_tkill, getppid(), 0));
    EXPECT(PASSED(SYS_kill, getpid(), 0) && PASSED(SYS_tgkill, getpid(), getpid(), 0));
    EXPECT(REFUSED(SYS_ptrace, 16, getppid(), 0, 0) && REFUSED(SYS_pidfd_open, getppid(), 0));
    EXPECT(REFUSED(SYS_process_vm_readv, getppid(), 0, 0, 0, 0, 0));
    EXPECT(REFUSED(SYS_clone, SIGCHLD, 0, 0, 0, 0) && REFUSED(SYS_clone, flags, 0, 0, 0, 0));
    EXPECT(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
    EXPECT(REFUSED(SYS_execve, "/bin/true", NULL, NULL) && REFUSED(SYS_unshare, CLONE_NEWUSER));
    EXPECT(REFUSED(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, NULL));
    EXPECT(REFUSED(SYS_setpriority, PRIO_USER, 0, 19));
    EXPECT(REFUSED(SYS_fcntl, 0, F_SETOWN, getppid()) && REFUSED(SYS_fcntl, 0, F_SETSIG, SIGKILL));
    EXPECT(REFUSED(SYS_ioctl, 0, 0x8901 /* FIOSETOWN */, NULL));
    EXPECT(REFUSED(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0));
    EXPECT(REFUSED(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
    return 0;
}

static int try_files(void)
{
    EXPECT(PASSED(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY, 0));
    EXPECT(PASSED(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY | O_TRUNC, 0));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_TRUNC, 0));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/x", O_CREAT | O_WRONLY, 04755));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/x", O_CREAT | O_RDWR, 02755));
    EXPECT(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0) == -1 && errno == ENOSYS);
    EXPECT(REFUSED(SYS_fchmodat, AT_FDCWD, "/x", 0777) && REFUSED(SYS_fchownat, AT_FDCWD, "/x", 1));
    EXPECT(REFUSED(SYS_utimensat, AT_FDCWD, "/x", NULL, 0) && REFUSED(SYS_truncate, "/x", 0));
    EXPECT(REFUSED(SYS_setxattr, "/x", "user.x", "", 0, 0) && REFUSED(SYS_chdir, "/"));
    EXPECT(REFUSED(SYS_memfd_create, "x", 0) && REFUSED(SYS_mount, 0, 0, 0, 0, 0));
    EXPECT(REFUSED(SYS_unlinkat, AT_FDCWD, "/x", 0) && REFUSED(SYS_mkdirat, AT_FDCWD, "/x", 0));
    EXPECT(REFUSED(SYS_socket, AF_INET, SOCK_STREAM, 0) &&
           REFUSED(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL));
    EXPECT(REFUSED(SYS_pipe2, NULL, O_EXCL) && PASSED(SYS_pipe2, NULL, O_CLOEXEC));
    EXPECT(REFUSED(SYS_mmap, NULL, 1 << 21, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
                   -1, 0));
    return 0;
}

static void test_syscall_filter_keeps_from_other_processes(void **state)
{
    (void)state;
    assert_int_equal(run_filtered((struct wz_syscall_filter){0}, try_others), 0);
}

static void test_syscall_filter_keeps_from_files_settings(void **state)
{
    (void)state;
    assert_int_equal(run_filtered((struct wz_syscall_filter){0}, try_files), 0);
}

static int try_read_only(void)
{
    EXPECT(PASSED(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY, 0));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/tmp/x", O_RDONLY | O_CREAT, 0600));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/tmp/x", O_RDONLY | O_TRUNC, 0));
    EXPECT(REFUSED(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR, 0600));
    return 0;
}

static void test_syscall_filter_opens_for_reading_only(void **state)
{
    (void)state;
    assert_int_equal(run_filtered((struct wz_syscall_filter){.opens = WZ_SYSCALL_OPENS_READ_ONLY},
                                  try_read_only),
                     0);
}

static int try_grants(void)
{
    int fds[2];

    EXPECT(PASSED(SYS_unlinkat, AT_FDCWD, "/nowhere/x", 0));
    EXPECT(PASSED(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT(PASSED(SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
    EXPECT(REFUSED(SYS_socket, AF_INET, SOCK_STREAM, 262 /* MPTCP */));
    EXPECT(REFUSED(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP));
    EXPECT(REFUSED(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
    EXPECT(REFUSED(SYS_socket, AF_NETLINK, SOCK_DGRAM, 0));
    EXPECT(REFUSED(SYS_socket, AF_PACKET, SOCK_DGRAM, 0));
    EXPECT(REFUSED(SYS_sendto, 0, "", 0, MSG_FASTOPEN, NULL, 0));
    EXPECT(REFUSED(SYS_sendmsg, 0, NULL, MSG_FASTOPEN));
    EXPECT(REFUSED(SYS_sendto, 0, "", 0, MSG_OOB, NULL, 0));
    EXPECT(PASSED(SYS_setsockopt, 0, IPPROTO_TCP, TCP_NODELAY, NULL, 0));
    EXPECT(REFUSED(SYS_setsockopt, 0, IPPROTO_TCP, 31 /* TCP_ULP */, NULL, 0));
    EXPECT(REFUSED(SYS_setsockopt, 0, SOL_SOCKET, SO_ATTACH_FILTER, NULL, 0));
    EXPECT(REFUSED(SYS_bind, 0, NULL, 0) && REFUSED(SYS_listen, 0, 0));
    EXPECT(PASSED(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds));
    EXPECT(REFUSED(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, fds));
    EXPECT(REFUSED(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    EXPECT(REFUSED(SYS_clone, (int)(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNS), 0, 0, 0,
                   0));
    return 0;
}

static void test_syscall_filter_grants_no_more_than_said(void **state)
{
    (void)state;
    assert_int_equal(
        run_filtered((struct wz_syscall_filter){.write = true, .network = true, .threads = true},
                     try_grants),
        0);
}

static int try_codes_of_the_worker(void)
{
    EXPECT(REFUSED(SYS_exit_group, WZ_WORKER_EXIT_USAGE));
    EXPECT(REFUSED(SYS_exit_group, WZ_WORKER_EXIT_PYTHON));
    EXPECT(REFUSED(SYS_exit_group, 256 + WZ_WORKER_EXIT_PYTHON));
    EXPECT(REFUSED(SYS_exit_group, WZ_WORKER_EXIT_USAGE - 256));
    EXPECT(REFUSED(SYS_exit, WZ_WORKER_EXIT_USAGE) && REFUSED(SYS_exit, WZ_WORKER_EXIT_PYTHON));
    return 0;
}

static int code;

static int exit_group_with_code(void) { return (int)syscall(SYS_exit_group, code); }

static void test_syscall_filter_keeps_the_codes_of_a_worker_that_cannot_begin(void **state)
{
    (void)state;
    assert_int_equal(run_filtered((struct wz_syscall_filter){0}, try_codes_of_the_worker), 0);
    for (code = 0; code < 256; code++) {
        if (code == WZ_WORKER_EXIT_USAGE || code == WZ_WORKER_EXIT_PYTHON)
            continue;
        assert_int_equal(run_filtered((struct wz_syscall_filter){0}, exit_group_with_code),
                         code << 8);
    }
}

#if defined(__x86_64__)
static int try_x32(void)
{
    (void)syscall(0x40000000 + SYS_getpid);
    return 0;
}

// The table of calls of 32-bit programs has other numbers, and so would pass the filter.
static int try_i386(void)
{
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "cc", "r8", "r9", "r10", "r11");
    return 0;
}

static void test_syscall_filter_ends_who_speaks_another_machines_language(void **state)
{
    int status = run_filtered((struct wz_syscall_filter){0}, try_x32);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    status = run_filtered((struct wz_syscall_filter){0}, try_i386);
    // SIGSEGV: the kernel has no such calls at all.
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syscall_filter_keeps_from_other_processes),
        cmocka_unit_test(test_syscall_filter_keeps_from_files_settings),
        cmocka_unit_test(test_syscall_filter_opens_for_reading_only),
        cmocka_unit_test(test_syscall_filter_grants_no_more_than_said),
        cmocka_unit_test(test_syscall_filter_keeps_the_codes_of_a_worker_that_cannot_begin),
#if defined(__x86_64__)
        cmocka_unit_test(test_syscall_filter_ends_who_speaks_another_machines_language),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
