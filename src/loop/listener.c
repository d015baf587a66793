// SPDX-License-Identifier: Apache-2.0
// Owns listening sockets.
#include "loop/listener.h"

#include <arpa/inet.h>

#include "base/codes.h"
#include "base/log.h"

#define BACKLOG 4096

static int address_make(const char *host, int port, struct sockaddr_storage *ret_addr)
{
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)ret_addr) == 0)
        return WZ_OK;
    if (uv_ip6_addr(host, port, (struct sockaddr_in6 *)ret_addr) == 0)
        return WZ_OK;
    return WZ_ERR_INVALID;
}

// A port near PORT that nobody listens on, or 0.
static int free_port_near(const char *host, int port)
{
    for (int candidate = port + 1; candidate < port + 20 && candidate < 65536; candidate++) {
        struct sockaddr_storage addr;
        int fd =
            socket(strchr(host, ':') != NULL ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len =
            strchr(host, ':') != NULL ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        int taken;

        if (fd < 0 || address_make(host, candidate, &addr) < 0)
            return 0;
        taken = bind(fd, (struct sockaddr *)&addr, len);
        (void)close(fd); // only looked
        if (taken == 0)
            return candidate;
    }
    return 0;
}

static void on_offer(uv_stream_t *stream, int status)
{
    struct wz_listener *listener = stream->data;

    if (status < 0) {
        if (wz_log_allow(&listener->log_us))
            WZ_LOG(WZ_LOG_WARN, "listener.accept", WZ_F_STR("error", uv_strerror(status)));
        return;
    }
    listener->offered(listener, listener->arg);
}

int wz_listener_open(struct wz_listener *listener, struct wz_loop *loop, const char *host, int port,
                     wz_listener_fn offered, void *arg, struct wz_problem *ret_problem)
{
    struct sockaddr_storage addr;
    int r;

    *listener = (struct wz_listener){.loop = loop, .offered = offered, .arg = arg};
    if (address_make(host, port, &addr) < 0)
        return wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_PORT,
                              "%s is not a numeric address", host);
    (void)uv_tcp_init(&loop->uv, &listener->tcp); // makes no socket yet, cannot fail
    listener->tcp.data = listener;
    listener->open = true;
    r = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&addr, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_offer);
    if (r == 0)
        return WZ_OK;
    wz_listener_close(listener);
    (void)wz_problem_set(ret_problem, r == UV_EADDRINUSE ? WZ_ERR_EXISTS : WZ_ERR_SYSTEM,
                         WZ_CODE_CONFIG_PORT, "cannot listen on %s:%d: %s", host, port,
                         uv_strerror(r));
    if (r == UV_EADDRINUSE) {
        int other = free_port_near(host, port);

        if (other > 0)
            wz_problem_fix(ret_problem,
                           "another program has it (`ss -ltnp 'sport = :%d'` names it); port %d is "
                           "free",
                           port, other);
        return WZ_ERR_EXISTS;
    }
    wz_problem_fix(ret_problem, "choose an address of this machine and a port above 1023");
    return WZ_ERR_SYSTEM;
}

void wz_listener_close(struct wz_listener *listener)
{
    if (!listener->open)
        return;
    listener->open = false;
    uv_close((uv_handle_t *)&listener->tcp, NULL);
}

int wz_listener_port(const struct wz_listener *listener)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);

    if (uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&addr, &len) < 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}
