// SPDX-License-Identifier: Apache-2.0
// Each test that takes rights away does so in a child, and needs a kernel with Landlock.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/landlock.h"

// A folder with the folders a, b and the file a/f in it.
struct tree {
    char path[64];
};

static const char *in_tree(const struct tree *tree, const char *name)
{
    static char path[96];

    (void)snprintf(path, sizeof(path), "%s/%s", tree->path, name);
    return path;
}

static int setup(void **state)
{
    static struct tree tree;

    (void)snprintf(tree.path, sizeof(tree.path), "/tmp/landlock-test-XXXXXX");
    *state = &tree;
    if (!mkdtemp(tree.path) || mkdir(in_tree(&tree, "a"), 0700) < 0 ||
        mkdir(in_tree(&tree, "b"), 0700) < 0)
        return -1;
    return close(open(in_tree(&tree, "a/f"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int teardown(void **state)
{
    static const char *const names[] = {"a/f", "a/g", "b/g", "a", "b", ""};
    const struct tree *tree = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)remove(in_tree(tree, names[i]));
    return 0;
}

// The error of opening a file of the tree; 0: it can be opened.
static int open_err(const struct tree *tree, const char *name, int flags)
{
    int fd = open(in_tree(tree, name), flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

// Runs FN with the tree in a child that reads a and writes in b; the line at which it fails, or 0.
static int run_confined(const struct tree *tree, int (*fn)(const struct tree *tree))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct wz_landlock landlock;
        bool done = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    wz_landlock_open(WZ_LANDLOCK_TCP_NONE, &landlock) &&
                    wz_landlock_allow(&landlock, in_tree(tree, "a"), WZ_LANDLOCK_READING) &&
                    wz_landlock_allow(&landlock, in_tree(tree, "b"), WZ_LANDLOCK_WRITING) &&
                    !wz_landlock_allow(&landlock, in_tree(tree, "c"), WZ_LANDLOCK_READING) &&
                    errno == ENOENT && wz_landlock_enter(&landlock);

        _exit(done ? fn(tree) : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define EXPECT(condition)                                                                          \
    if (!(condition))                                                                              \
        return __LINE__ % 200 + 2;

static int read_and_write(const struct tree *tree)
{
    EXPECT(open_err(tree, "a/f", O_RDONLY) == 0);
    EXPECT(open_err(tree, "a", O_RDONLY | O_DIRECTORY) == 0);
    EXPECT(open_err(tree, "a/f", O_WRONLY) == EACCES);
    EXPECT(open_err(tree, "a/f", O_RDWR) == EACCES);
    EXPECT(open_err(tree, "a/g", O_WRONLY | O_CREAT) == EACCES);
    EXPECT(open_err(tree, "", O_RDONLY | O_DIRECTORY) == EACCES);
    EXPECT(open_err(tree, "b/g", O_RDWR | O_CREAT) == 0);
    EXPECT(open_err(tree, "b/g", O_WRONLY | O_TRUNC) == 0);
    EXPECT(symlink("/etc/passwd", in_tree(tree, "b/link")) < 0 && errno == EACCES);
    EXPECT(mkfifo(in_tree(tree, "b/fifo"), 0600) < 0 && errno == EACCES);
    EXPECT(unlink(in_tree(tree, "a/f")) < 0 && errno == EACCES);
    EXPECT(unlink(in_tree(tree, "b/g")) == 0);
    EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    return 0;
}

static void test_landlock_leaves_what_is_allowed_and_no_more(void **state)
{
    assert_true(wz_landlock_version() > 0);
    assert_int_equal(run_confined(*state, read_and_write), 0);
}

static void test_landlock_rights_grow_with_the_kernel(void **state)
{
    uint64_t before = 0;

    (void)state;
    assert_int_equal(wz_landlock_rights(0), 0);
    assert_int_equal(wz_landlock_rights(1), 0x1fff);
    assert_int_equal(wz_landlock_rights(2), 0x3fff);
    assert_int_equal(wz_landlock_rights(3), 0x7fff);
    assert_int_equal(wz_landlock_rights(4), 0x7fff);
    assert_int_equal(wz_landlock_rights(5), 0xffff);
    for (int version = 1; version < 20; version++) {
        uint64_t rights = wz_landlock_rights(version);

        assert_int_equal(before & ~rights, 0);
        before = rights;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_landlock_leaves_what_is_allowed_and_no_more, setup,
                                        teardown),
        cmocka_unit_test(test_landlock_rights_grow_with_the_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
