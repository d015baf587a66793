// SPDX-License-Identifier: Apache-2.0
// Sockets of the load. Whatever goes wrong with one ends the program: a load that lost a
// connection has no result.

#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "protocol.h"

#define ANSWER_TIMEOUT_MS 30000

static int connect_loopback(uint64_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        wz_fail_errno("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        wz_fail_errno("connect to 127.0.0.1");
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
        wz_fail_errno("TCP_NODELAY");
    return fd;
}

static void wait_for(struct wz_conn *conn, short what)
{
    struct pollfd waiting = {.fd = conn->fd, .events = what};
    int r = poll(&waiting, 1, ANSWER_TIMEOUT_MS);

    if (r < 0 && errno != EINTR)
        wz_fail_errno("poll");
    if (r == 0)
        wz_fail("%s: the server gave no answer in %d s", conn->protocol->name,
                ANSWER_TIMEOUT_MS / 1000);
}

void wz_conn_open(struct wz_conn *conn, const struct wz_protocol *protocol,
                  const struct wz_conn_options *options)
{
    char client[64];
    struct wz_hello hello = {.client = client, .persistent = options->persistent != NULL};

    *conn = (struct wz_conn){
        .protocol = protocol, .number = options->number, .rx_cap = options->rx_cap};
    conn->rx = malloc(options->rx_cap);
    if (conn->rx == NULL)
        wz_fail("out of memory");
    conn->fd = connect_loopback(options->port);
    (void)snprintf(client, sizeof(client), "wyze-load-%ld-%u", (long)getpid(), options->number);
    if (options->persistent != NULL)
        hello.client = options->persistent;
    protocol->hello(&conn->tx, &hello);
    conn->found = wz_conn_await(conn, WZ_EVENT_REPLY) == 1;
}

void wz_conn_close(struct wz_conn *conn)
{
    if (conn->protocol == NULL)
        return;
    (void)close(conn->fd); // Nothing of worth is on its way.
    wz_bytes_release(&conn->tx);
    free(conn->rx);
    *conn = (struct wz_conn){0};
}

void wz_conn_subscribe(struct wz_conn *conn, const char *filter, unsigned qos, uint16_t id)
{
    conn->protocol->subscribe(&conn->tx, filter, qos, id);
    (void)wz_conn_await(conn, WZ_EVENT_REPLY); // Only a hello's reply has an id.
}

uint32_t wz_conn_await(struct wz_conn *conn, unsigned kind)
{
    struct wz_event event;

    while (!wz_conn_flush(conn))
        wait_for(conn, POLLOUT);
    for (;;) {
        while (wz_conn_events(conn, &event, 1) > 0) {
            if (event.kind == kind)
                return event.id;
        }
        while (!wz_conn_fill(conn))
            wait_for(conn, POLLIN);
    }
}

bool wz_conn_fill(struct wz_conn *conn)
{
    ssize_t got;

    conn->rx_len -= conn->rx_pos;
    memmove(conn->rx, conn->rx + conn->rx_pos, conn->rx_len);
    conn->rx_pos = 0;
    if (conn->rx_len == conn->rx_cap)
        wz_fail("the server sent a packet of more than %zu bytes", conn->rx_cap);
    got = recv(conn->fd, conn->rx + conn->rx_len, conn->rx_cap - conn->rx_len, MSG_DONTWAIT);
    if (got == 0)
        wz_fail("%s: the server closed connection %u", conn->protocol->name, conn->number);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        wz_fail_errno("recv");
    if (got < 0)
        return false;
    conn->rx_len += (size_t)got;
    return true;
}

size_t wz_conn_events(struct wz_conn *conn, struct wz_event *events, size_t cap)
{
    size_t used;
    size_t count = conn->protocol->decode(conn->rx + conn->rx_pos, conn->rx_len - conn->rx_pos,
                                          events, cap, &used);

    conn->rx_pos += used;
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind == WZ_EVENT_REFUSED)
            wz_fail("%s: the server refused: %.*s", conn->protocol->name, (int)events[i].len,
                    (const char *)events[i].body);
        conn->protocol->answer(&conn->tx, &events[i]);
    }
    return count;
}

bool wz_conn_flush(struct wz_conn *conn)
{
    if (conn->tx_pos < conn->tx.len)
        conn->tx_pos +=
            wz_conn_send(conn, conn->tx.data + conn->tx_pos, conn->tx.len - conn->tx_pos);
    if (conn->tx_pos < conn->tx.len)
        return false;
    conn->tx.len = 0;
    conn->tx_pos = 0;
    return true;
}

size_t wz_conn_send(struct wz_conn *conn, const void *data, size_t len)
{
    ssize_t sent = send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        wz_fail_errno("send");
    return sent < 0 ? 0 : (size_t)sent;
}

void wz_conn_watch(struct wz_conn *conn, int epoll_fd, uint64_t watch_id, bool wants_out)
{
    struct epoll_event what = {
        .events = wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN,
        .data.u64 = watch_id,
    };
    int op = conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (conn->watched && conn->wants_out == wants_out)
        return;
    if (epoll_ctl(epoll_fd, op, conn->fd, &what) != 0)
        wz_fail_errno("epoll_ctl");
    conn->watched = true;
    conn->wants_out = wants_out;
}
