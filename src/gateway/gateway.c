// SPDX-License-Identifier: Apache-2.0
// Owns the gateway's thread, its sockets, and all that is known here of libwebsockets, which
// carries the sockets. The framing of HTTP is not left to it: its parser (4.1) decodes a path
// before it is cut at the slashes, so no name with a slash would get through, does not read chunked
// bodies, and answers what it refuses with pages of its own.
#include "gateway/gateway.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/listen.h"
#include "gateway/peer.h"
#include "loop/budget.h"
#include "stream/reader.h"

// Bytes that one connection is given in its turn.
#define WZ_GATEWAY_TURN_BYTES (64 * 1024)

// How often the connections' times are looked at.
#define WZ_GATEWAY_TICK_US (1000 * 1000)

// Room for those who are closed, until they are gone, and for what libwebsockets has open.
#define WZ_GATEWAY_DESCRIPTORS_MORE 96

// A listening socket, and the slots of those who came through it.
struct door {
    int fd; // -1: it is not open
    size_t max;
    size_t count;
    struct wz_peer_group group;
};

struct wz_gateway {
    struct wz_api api;
    struct lws_context *context;
    struct lws_vhost *vhost;
    pthread_t thread;
    char *socket_path; // to be removed at the end, or NULL
    uint16_t port;
    atomic_bool stopping;
    atomic_bool written; // a log can be read further
    struct wz_list conns;
    struct door tcp;
    struct door local;
    struct door *accepting; // the one through which the next connection comes
    lws_sorted_usec_list_t tick;
};

// A connection: libwebsockets' side and ours.
struct conn {
    struct session *session;
    struct lws *wsi;
    struct wz_gateway *gateway;
    struct wz_peer *peer;
    struct door *door;
    struct wz_list link;
    size_t unsent_bytes; // counted, of what libwebsockets keeps
    bool leaving;        // its slot is another's already
};

// What libwebsockets keeps for each socket; a listening one has no connection.
struct session {
    struct conn *conn;
};

static void wake_peer(void *arg)
{
    struct conn *conn = arg;

    (void)lws_callback_on_writable(conn->wsi); // fails only for a socket that is closing
}

static void open_conn(struct session *session, struct lws *wsi)
{
    struct wz_gateway *gw = lws_context_user(lws_get_context(wsi));
    struct conn *conn = wz_zalloc(1, sizeof(*conn));

    conn->session = session;
    conn->wsi = wsi;
    conn->gateway = gw;
    conn->door = gw->accepting;
    conn->door->count++;
    conn->peer = wz_peer_new(&gw->api, wake_peer, conn);
    wz_peer_join(conn->peer, &conn->door->group);
    wz_list_push(&gw->conns, &conn->link);
    session->conn = conn;
}

// Counts what libwebsockets keeps for the connection; false when there is no memory for it.
static bool count_unsent(struct conn *conn, size_t bytes)
{
    struct wz_budget *budget = conn->gateway->api.parts.budget;

    if (bytes <= WZ_PEER_FREE_BYTES)
        bytes = 0;
    if (budget == NULL || bytes == conn->unsent_bytes)
        return true;
    if (!wz_budget_lend(budget, conn->unsent_bytes, bytes))
        return false;
    conn->unsent_bytes = bytes;
    return true;
}

static void close_conn(struct session *session)
{
    struct conn *conn = session->conn;

    if (conn == NULL)
        return;
    session->conn = NULL;
    if (!conn->leaving)
        conn->door->count--;
    (void)count_unsent(conn, 0); // less is fine
    wz_list_remove(&conn->link);
    wz_peer_free(conn->peer);
    wz_free(conn);
}

// Writes what the connection has; -1 closes it.
static int write_conn(struct conn *conn)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    int r = wz_peer_output(conn->peer, &buf, WZ_GATEWAY_TURN_BYTES);

    // What the socket does not take at once libwebsockets keeps, and asks again only when it is
    // gone.
    if (buf.len > 0 && lws_write(conn->wsi, buf.ptr, buf.len, LWS_WRITE_RAW) < 0)
        return -1;
    // Records may be long. Who is cut off reads on from where it was.
    if (!count_unsent(conn, lws_partial_buffered(conn->wsi) ? buf.len : 0))
        return -1;
    if (r == WZ_END && !lws_partial_buffered(conn->wsi))
        return -1;
    (void)lws_rx_flow_control(conn->wsi, wz_peer_wants_input(conn->peer)); // no failure to act on
    if (r != WZ_AGAIN)
        wake_peer(conn);
    return 0;
}

static int read_conn(struct conn *conn, const void *bytes, size_t len)
{
    wz_peer_input(conn->peer, wz_slice(bytes, len));
    (void)lws_rx_flow_control(conn->wsi, wz_peer_wants_input(conn->peer)); // no failure to act on
    return 0;
}

// Closes the connection that is needed least: one without a request before one whose request has
// not come yet, and of these the one that has been so longest. There is one, for not all may be
// busy.
static void make_room(struct wz_gateway *gw, const struct door *door)
{
    struct conn *found = NULL;
    enum wz_peer_rest found_rest = WZ_PEER_BUSY;
    int64_t found_since_us = 0;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &gw->conns)
    {
        struct conn *conn = WZ_CONTAINER(it, struct conn, link);
        int64_t since_us;
        enum wz_peer_rest rest = wz_peer_rest(conn->peer, &since_us);

        if (conn->door != door || conn->leaving || rest == WZ_PEER_BUSY || rest < found_rest ||
            (rest == found_rest && since_us >= found_since_us))
            continue;
        found = conn;
        found_rest = rest;
        found_since_us = since_us;
    }
    WZ_ASSERT(found != NULL);
    found->leaving = true;
    found->door->count--;
    lws_set_timeout(found->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

// Takes in the connections that wait at a listening socket.
static void accept_all(struct wz_gateway *gw, int listen_fd)
{
    static const int one = 1;
    struct door *door = listen_fd == gw->tcp.fd ? &gw->tcp : &gw->local;

    for (int i = 0; i < 16; i++) {
        lws_sock_file_fd_type sock;

        sock.sockfd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (sock.sockfd < 0)
            return;
        if (door->count >= door->max)
            make_room(gw, door);
        gw->accepting = door;
        (void)setsockopt(sock.sockfd, IPPROTO_TCP, TCP_NODELAY, &one,
                         sizeof(one)); // a Unix socket has none
        (void)lws_adopt_descriptor_vhost(gw->vhost, LWS_ADOPT_SOCKET, sock, "http",
                                         NULL); // closes the socket when it fails
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *session = user;

    switch (reason) {
    case LWS_CALLBACK_RAW_RX_FILE:
        accept_all(lws_context_user(lws_get_context(wsi)), lws_get_socket_fd(wsi));
        return 0;
    case LWS_CALLBACK_RAW_ADOPT:
        open_conn(session, wsi);
        return 0;
    case LWS_CALLBACK_RAW_RX:
        return session->conn != NULL ? read_conn(session->conn, in, len) : -1;
    case LWS_CALLBACK_RAW_WRITEABLE:
        return session->conn != NULL ? write_conn(session->conn) : 0;
    case LWS_CALLBACK_RAW_CLOSE:
        close_conn(session);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {"http", on_event, sizeof(struct session), 16 * 1024, 0, NULL, 0},
    {0},
};

static void on_tick(lws_sorted_usec_list_t *tick)
{
    struct wz_gateway *gw = WZ_CONTAINER(tick, struct wz_gateway, tick);
    int64_t now_us = wz_clock_mono_us();
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &gw->conns)
    {
        struct conn *conn = WZ_CONTAINER(it, struct conn, link);

        if (wz_peer_tick(conn->peer, now_us) == WZ_END)
            lws_set_timeout(conn->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    }
    wz_api_wake_live(&gw->api);
    lws_sul_schedule(gw->context, 0, tick, on_tick, WZ_GATEWAY_TICK_US);
}

static void wake_thread(void *arg)
{
    struct wz_gateway *gw = arg;

    lws_cancel_service(gw->context);
}

// Runs on a log's writer thread.
static void on_written(void *arg)
{
    struct wz_gateway *gw = arg;

    if (!atomic_exchange(&gw->written, true))
        lws_cancel_service(gw->context);
}

// Ends all that could ask anything, and waits for what was asked.
static void wind_up(struct wz_gateway *gw)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &gw->conns)
    close_conn(WZ_CONTAINER(it, struct conn, link)->session);
    while (gw->api.under_way > 0 && wz_mailbox_wait(&gw->api.mail))
        (void)wz_mailbox_run(&gw->api.mail); // the count is of no interest
}

static void *run(void *arg)
{
    struct wz_gateway *gw = arg;

    lws_sul_schedule(gw->context, 0, &gw->tick, on_tick, WZ_GATEWAY_TICK_US);
    while (!atomic_load(&gw->stopping)) {
        if (lws_service(gw->context, 0) < 0)
            break;
        (void)wz_mailbox_run(&gw->api.mail); // the count is of no interest
        if (atomic_exchange(&gw->written, false))
            wz_api_wake_live(&gw->api);
    }
    wind_up(gw);
    return NULL;
}

static void log_line(int level, const char *line)
{
    struct wz_slice text = wz_slice_str(line);

    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    WZ_LOG(level == LLL_ERR ? WZ_LOG_ERROR : WZ_LOG_WARN, "gateway.sockets",
           WZ_F_SLICE("text", text));
}

static int make_context(struct wz_gateway *gw)
{
    struct lws_context_creation_info info = {0};

    lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.user = gw;
    info.pt_serv_buf_size = 16 * 1024;
    info.fd_limit_per_thread =
        WZ_GATEWAY_CONNECTIONS_MAX + WZ_GATEWAY_LOCAL_MAX + WZ_GATEWAY_DESCRIPTORS_MORE;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    gw->context = lws_create_context(&info);
    if (gw->context != NULL)
        gw->vhost = lws_create_vhost(gw->context, &info);
    return gw->vhost != NULL ? WZ_OK : WZ_ERR_SYSTEM;
}

static int adopt_listener(struct wz_gateway *gw, int fd)
{
    lws_sock_file_fd_type sock = {.filefd = fd};

    if (lws_adopt_descriptor_vhost(gw->vhost, LWS_ADOPT_RAW_FILE_DESC, sock, "http", NULL) == NULL)
        return WZ_ERR_SYSTEM;
    return WZ_OK;
}

static int listen_all(struct wz_gateway *gw, const struct wz_gateway_options *options,
                      struct wz_problem *ret_problem)
{
    int fd;
    int r = WZ_OK;

    if (options->listen != NULL && !options->listen->off) {
        r = wz_listen_tcp(options->listen, &fd, &gw->port, ret_problem);
        if (r == WZ_OK) {
            gw->tcp.fd = fd;
            r = adopt_listener(gw, fd);
        }
    }
    if (r == WZ_OK && options->socket_path != NULL) {
        r = wz_listen_unix(options->socket_path, &fd, ret_problem);
        if (r == WZ_OK) {
            gw->socket_path = wz_strdup(options->socket_path);
            gw->local.fd = fd;
            r = adopt_listener(gw, fd);
        }
    }
    return r;
}

static void free_gateway(struct wz_gateway *gw)
{
    if (gw->context != NULL)
        lws_context_destroy(gw->context);
    gw->context = NULL;
    if (gw->socket_path != NULL)
        wz_ignore(wz_fs_remove(gw->socket_path)); // the next start replaces it
    wz_free(gw->socket_path);
    wz_api_release(&gw->api);
    wz_free(gw);
}

// Tells the logs whom to wake, or with GW NULL nobody.
static void watch_logs(const struct wz_api_parts *parts, struct wz_gateway *gw)
{
    for (size_t i = 0; i < parts->stream_count; i++)
        wz_log_watch(parts->streams[i].log, gw != NULL ? on_written : NULL, gw);
}

static void door_init(struct door *door, size_t max)
{
    *door = (struct door){.fd = -1, .max = max, .group = {.busy_max = max - WZ_GATEWAY_SPARE}};
}

int wz_gateway_start(const struct wz_gateway_options *options, struct wz_gateway **ret_gateway,
                     struct wz_problem *ret_problem)
{
    struct wz_gateway *gw = wz_zalloc(1, sizeof(*gw));
    int r;

    wz_list_init(&gw->conns);
    door_init(&gw->tcp, WZ_GATEWAY_CONNECTIONS_MAX);
    door_init(&gw->local, WZ_GATEWAY_LOCAL_MAX);
    wz_api_init(&gw->api, &options->parts, wake_thread, gw);
    (void)wz_problem_set(ret_problem, WZ_ERR_SYSTEM, 0, "The API's server cannot be started.");
    r = make_context(gw);
    if (r == WZ_OK)
        r = listen_all(gw, options, ret_problem);
    if (r == WZ_OK && pthread_create(&gw->thread, NULL, run, gw) != 0)
        r = WZ_ERR_SYSTEM;
    if (r < 0) {
        free_gateway(gw);
        return r;
    }
    watch_logs(&gw->api.parts, gw);
    *ret_gateway = gw;
    return WZ_OK;
}

uint16_t wz_gateway_port(const struct wz_gateway *gateway) { return gateway->port; }

void wz_gateway_stop(struct wz_gateway *gateway)
{
    if (gateway == NULL)
        return;
    watch_logs(&gateway->api.parts, NULL);
    atomic_store(&gateway->stopping, true);
    lws_cancel_service(gateway->context);
    WZ_ASSERT(pthread_join(gateway->thread, NULL) == 0);
    free_gateway(gateway);
}
