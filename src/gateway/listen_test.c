// SPDX-License-Identifier: Apache-2.0
#include "gateway/listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"

static void test_listen_takes_a_free_port_and_tells_a_taken_one(void **state)
{
    struct wz_address address = {.host = "127.0.0.1"};
    struct wz_problem problem;
    uint16_t port;
    int fd;
    int second;

    (void)state;
    assert_int_equal(wz_listen_tcp(&address, &fd, &port, NULL), WZ_OK);
    assert_true(port > 0);
    address.port = port;
    assert_int_equal(wz_listen_tcp(&address, &second, &port, &problem), WZ_ERR_EXISTS);
    assert_non_null(strstr(problem.what, "another program listens"));
    assert_non_null(strstr(problem.fix, "--http-listen"));
    wz_fs_close(fd);
}

static void test_listen_reaches_a_socket_however_long_its_path_is(void **state)
{
    char folder[64] = "/tmp/wyze-listen-XXXXXX";
    char path[300];
    char command[128];
    struct stat stat_of;
    int fd;
    int other;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/%0150d", folder, 0);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/%0150d/wyze.sock", folder, 0);
    assert_int_equal(wz_listen_connect(path, &other), WZ_ERR_UNREACHABLE);
    assert_int_equal(wz_listen_unix(path, &fd, NULL), WZ_OK);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    assert_int_equal(wz_listen_connect(path, &other), WZ_OK);
    wz_fs_close(other);
    assert_int_equal(wz_listen_unix(path, &other, NULL), WZ_ERR_LOCKED);
    wz_fs_close(fd);
    // One that a crash has left over is replaced.
    assert_int_equal(wz_listen_connect(path, &other), WZ_ERR_UNREACHABLE);
    assert_int_equal(wz_listen_unix(path, &fd, NULL), WZ_OK);
    wz_fs_close(fd);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_takes_a_free_port_and_tells_a_taken_one),
        cmocka_unit_test(test_listen_reaches_a_socket_however_long_its_path_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
