// SPDX-License-Identifier: Apache-2.0
// Owns the making of listening sockets. A socket's path may be longer than an address holds; it is
// then reached through the folder's descriptor under /proc.
#include "gateway/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"

#define WZ_LISTEN_BACKLOG 128

static bool fill_address(const struct wz_address *address, struct sockaddr_storage *storage,
                         socklen_t *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;

    *storage = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        *ret_len = sizeof(*v4);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address->port);
    *ret_len = sizeof(*v6);
    return inet_pton(AF_INET6, address->host, &v6->sin6_addr) == 1;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);

    if (getsockname(fd, (struct sockaddr *)&storage, &len) < 0)
        return 0;
    if (storage.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
}

static int bind_tcp(int fd, const struct wz_address *address)
{
    struct sockaddr_storage storage;
    socklen_t len;
    int one = 1;

    if (!fill_address(address, &storage, &len))
        return WZ_ERR_INVALID;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (const struct sockaddr *)&storage, len) < 0 || listen(fd, WZ_LISTEN_BACKLOG) < 0)
        return errno == EADDRINUSE ? WZ_ERR_EXISTS : wz_err_from_errno(errno);
    return WZ_OK;
}

int wz_listen_tcp(const struct wz_address *address, int *ret_fd, uint16_t *ret_port,
                  struct wz_problem *ret_problem)
{
    bool v6 = strchr(address->host, ':') != NULL;
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? wz_err_from_errno(errno) : bind_tcp(fd, address);

    if (r < 0) {
        wz_fs_close(fd);
        (void)wz_problem_set(ret_problem, r, WZ_CODE_CONFIG_PORT,
                             r == WZ_ERR_EXISTS ? "The API cannot listen on %s, port %u: another "
                                                  "program listens there."
                                                : "The API cannot listen on %s, port %u.",
                             address->host, address->port);
        wz_problem_where(ret_problem, "http.listen");
        wz_problem_fix(ret_problem,
                       "Give another address with --http-listen 127.0.0.1:PORT; port 0 "
                       "takes a free one.");
        return r;
    }
    *ret_fd = fd;
    *ret_port = bound_port(fd);
    return WZ_OK;
}

// An address for PATH. RET_DIR_FD is -1, or a descriptor to be closed after the address was used.
static int unix_address(const char *path, struct sockaddr_un *ret_address, int *ret_dir_fd)
{
    const char *slash = strrchr(path, '/');
    WZ_AUTO(wz_free_ptr) char *dir = NULL;
    int len;

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_dir_fd = -1;
    len = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s", path);
    if (len < (int)sizeof(ret_address->sun_path))
        return WZ_OK;
    if (slash == NULL)
        return WZ_ERR_TOO_LARGE;
    dir = wz_strndup(path, (size_t)(slash - path));
    *ret_dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir_fd < 0)
        return wz_err_from_errno(errno);
    len = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d%s",
                   *ret_dir_fd, slash);
    return len < (int)sizeof(ret_address->sun_path) ? WZ_OK : WZ_ERR_TOO_LARGE;
}

int wz_listen_connect(const char *path, int *ret_fd)
{
    WZ_AUTO(wz_fs_close_auto) int dir_fd = -1;
    struct sockaddr_un address;
    int r = unix_address(path, &address, &dir_fd);
    int fd;

    if (r < 0)
        return r == WZ_ERR_NOT_FOUND ? WZ_ERR_UNREACHABLE : r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return wz_err_from_errno(errno);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        r = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR ? WZ_ERR_UNREACHABLE
                                                                         : wz_err_from_errno(errno);
        wz_fs_close(fd);
        return r;
    }
    *ret_fd = fd;
    return WZ_OK;
}

// The folder is the owner's alone (0700), so nobody can come between bind and chmod.
static int bind_unix(int fd, const char *path)
{
    WZ_AUTO(wz_fs_close_auto) int dir_fd = -1;
    struct sockaddr_un address;
    int r = unix_address(path, &address, &dir_fd);

    if (r == WZ_OK)
        r = wz_fs_remove(path);
    if (r < 0)
        return r;
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, WZ_LISTEN_BACKLOG) < 0)
        return wz_err_from_errno(errno);
    return WZ_OK;
}

int wz_listen_unix(const char *path, int *ret_fd, struct wz_problem *ret_problem)
{
    int other;
    int fd;
    int r;

    if (wz_listen_connect(path, &other) == WZ_OK) {
        wz_fs_close(other);
        (void)wz_problem_set(ret_problem, WZ_ERR_LOCKED, WZ_CODE_CONFIG_DATA,
                             "Another wyze runs with this data folder.");
        wz_problem_where(ret_problem, "%s", path);
        wz_problem_fix(ret_problem, "Stop it, or give another folder with --data.");
        return WZ_ERR_LOCKED;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    r = fd < 0 ? wz_err_from_errno(errno) : bind_unix(fd, path);
    if (r < 0) {
        wz_fs_close(fd);
        (void)wz_problem_set(ret_problem, r, WZ_CODE_CONFIG_DATA,
                             "The API's socket cannot be made: %s.", wz_err_text(r));
        wz_problem_where(ret_problem, "%s", path);
        return r;
    }
    *ret_fd = fd;
    return WZ_OK;
}
