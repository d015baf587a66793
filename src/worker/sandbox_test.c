// SPDX-License-Identifier: Apache-2.0
// The words, and a process shut in by them. What a script finds is in tests/system/test_sandbox.py.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/sandbox.h"

#define EXPECT(condition)                                                                          \
    if (!(condition))                                                                              \
        return __LINE__ % 200 + 2;

static bool read_words(struct wz_sandbox *ret_sandbox, const char *one, const char *two)
{
    char *words[] = {(char *)one, (char *)two};

    return wz_sandbox_read(words, one ? (two ? 2 : 1) : 0, ret_sandbox);
}

static void test_sandbox_grants_nothing_by_itself(void **state)
{
    struct wz_sandbox sandbox;

    (void)state;
    assert_true(read_words(&sandbox, NULL, NULL));
    assert_int_equal(sandbox.memory_bytes, 512 << 20);
    assert_int_equal(sandbox.state_bytes, 256 << 20);
    assert_true(sandbox.landlock_is_kept);
    assert_false(sandbox.threads || sandbox.write);
    assert_int_equal(sandbox.tcp, WZ_LANDLOCK_TCP_NONE);
    assert_int_equal(sandbox.folder_count + sandbox.port_count, 0);
}

static void test_sandbox_reads_its_words(void **state)
{
    struct wz_sandbox sandbox;

    (void)state;
    assert_true(read_words(&sandbox, "memory=67108864", "threads"));
    assert_int_equal(sandbox.memory_bytes, 67108864);
    assert_true(sandbox.threads);
    assert_true(read_words(&sandbox, "read=/a", "write=/b=c"));
    assert_int_equal(sandbox.folder_count, 2);
    assert_string_equal(sandbox.folders[0].path, "/a");
    assert_int_equal(sandbox.folders[0].rights, WZ_LANDLOCK_READING);
    assert_string_equal(sandbox.folders[1].path, "/b=c");
    assert_int_equal(sandbox.folders[1].rights, WZ_LANDLOCK_WRITING);
    assert_true(sandbox.write);
    assert_true(read_words(&sandbox, "port=443", "port=53"));
    assert_int_equal(sandbox.tcp, WZ_LANDLOCK_TCP_PORTS);
    assert_int_equal(sandbox.ports[1], 53);
    assert_true(read_words(&sandbox, "network", "port=443"));
    assert_int_equal(sandbox.tcp, WZ_LANDLOCK_TCP_ALL);
    assert_true(read_words(&sandbox, "without-landlock", "state=65536"));
    assert_int_equal(sandbox.state_bytes, 65536);
    assert_false(sandbox.landlock_is_kept);
}

static void test_sandbox_refuses_words_it_does_not_know(void **state)
{
    static const char *const words[] = {"",         "net",      "network=1",  "memory=", "memory=x",
                                        "memory=0", "port=",    "port=65536", "port=1x", "read=",
                                        "read=a",   "readx=/a", "state=",     "state=-"};
    struct wz_sandbox sandbox;

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (read_words(&sandbox, words[i], NULL))
            fail_msg("\"%s\" is taken", words[i]);
}

// The place in FN at which it failed, or 0, in a child that is shut in by a word.
static int run_inside(const char *word, int (*fn)(bool entered, const char *reason))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct wz_sandbox sandbox;
        char reason[512] = "";

        if (!read_words(&sandbox, word, NULL))
            _exit(1);
        _exit(fn(wz_sandbox_enter(&sandbox, reason, sizeof(reason)), reason));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int look_around(bool entered, const char *reason)
{
    struct rlimit limit;
    char cwd[8];

    EXPECT(entered && reason[0] == '\0');
    EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(open("/usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
    EXPECT(open("/usr/lib/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES);
    EXPECT(open("/dev/null", O_WRONLY | O_CLOEXEC) >= 0);
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == 64);
    EXPECT(getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_max == 0);
    EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
    EXPECT(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0);
    EXPECT(fork() < 0 && errno == EPERM);
    return 0;
}

static void test_sandbox_shuts_the_process_in(void **state)
{
    (void)state;
    assert_int_equal(run_inside(NULL, look_around), 0);
}

static int look_for_reason(bool entered, const char *reason)
{
    EXPECT(!entered);
    EXPECT(strstr(reason, "\"/nowhere/at/all\" cannot be granted: No such file or directory"));
    return 0;
}

static void test_sandbox_says_which_folder_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(run_inside("read=/nowhere/at/all", look_for_reason), 0);
}

static int look_for_link(bool entered, const char *reason)
{
    EXPECT(!entered);
    EXPECT(strstr(reason, "cannot be granted: it leads to /"));
    return 0;
}

static int look_for_nothing(bool entered, const char *reason)
{
    EXPECT(entered && reason[0] == '\0');
    return 0;
}

static void test_sandbox_grants_no_link_to_the_root_or_to_processes(void **state)
{
    static const char *const targets[] = {"/", "/proc", "/dev/../sys/kernel", "/dev/fd"};
    char folder[] = "/tmp/wyze-sandbox-XXXXXX";
    char path[64];
    char word[80];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/link", folder);
    (void)snprintf(word, sizeof(word), "read=%s", path);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        assert_int_equal(symlink(targets[i], path), 0);
        assert_int_equal(run_inside(word, look_for_link), 0);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(symlink("/usr/share", path), 0);
    assert_int_equal(run_inside(word, look_for_nothing), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox_grants_nothing_by_itself),
        cmocka_unit_test(test_sandbox_reads_its_words),
        cmocka_unit_test(test_sandbox_refuses_words_it_does_not_know),
        cmocka_unit_test(test_sandbox_shuts_the_process_in),
        cmocka_unit_test(test_sandbox_says_which_folder_is_not_there),
        cmocka_unit_test(test_sandbox_grants_no_link_to_the_root_or_to_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
