// SPDX-License-Identifier: Apache-2.0
// Connections over real sockets, both ends in this process. The owner here speaks a small protocol:
// four bytes of length, big-endian, and that many bytes.
#include "loop/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "loop/dial_test.h"
#include "loop/listener.h"

#define DEADLINE_US ((int64_t)20 * 1000 * 1000)

struct peer;

// What an owner does with a packet; NULL: it keeps it.
typedef ssize_t (*packet_fn)(struct peer *peer, struct wz_slice body);

// The server's end of a connection.
struct peer {
    struct wz_conn conn;
    struct server *server;
    struct wz_buf got; // bodies, one behind the other
    int packets;
    int ends;
    int end_err;
};

struct server {
    struct wz_loop loop;
    struct wz_listener listener;
    packet_fn packet;
    struct wz_conn_traffic traffic;
    struct peer *peers[256];
    int peer_count;
    int open_count;
};

static ssize_t on_input(struct wz_conn *conn, struct wz_slice input)
{
    struct peer *peer = WZ_CONTAINER(conn, struct peer, conn);
    struct wz_cursor cur = wz_cursor(input);
    size_t used = 0;

    while (!conn->paused && peer->ends == 0 && wz_cursor_left(&cur) >= 4) {
        uint32_t len = wz_cursor_get_u32(&cur);
        struct wz_slice body;
        ssize_t r = 0;

        if (wz_cursor_left(&cur) < len)
            break;
        body = wz_cursor_get_bytes(&cur, len);
        peer->packets++;
        wz_buf_add_slice(&peer->got, body);
        if (peer->server->packet != NULL)
            r = peer->server->packet(peer, body);
        if (r < 0)
            return r;
        used = (size_t)(cur.pos - input.ptr);
    }
    return (ssize_t)used;
}

static void on_end(struct wz_conn *conn, int err)
{
    struct peer *peer = WZ_CONTAINER(conn, struct peer, conn);

    peer->ends++;
    peer->end_err = err;
}

static void on_closed(struct wz_conn *conn)
{
    struct peer *peer = WZ_CONTAINER(conn, struct peer, conn);

    assert_int_equal(peer->ends, 1);
    peer->server->open_count--;
}

static const struct wz_conn_ops ops = {.input = on_input, .end = on_end, .closed = on_closed};

static void on_offer(struct wz_listener *listener, void *arg)
{
    struct server *server = arg;
    struct peer *peer = wz_zalloc(1, sizeof(*peer));

    peer->server = server;
    server->peers[server->peer_count++] = peer;
    server->open_count++;
    peer->conn.traffic = &server->traffic;
    wz_conn_accept(&peer->conn, &server->loop, (uv_stream_t *)&listener->tcp, &ops);
}

static int set_up(void **state)
{
    struct server *server = wz_zalloc(1, sizeof(*server));

    *state = server;
    assert_int_equal(wz_loop_init(&server->loop), WZ_OK);
    return wz_listener_open(&server->listener, &server->loop, "127.0.0.1", 0, on_offer, server,
                            NULL);
}

static int tear_down(void **state)
{
    struct server *server = *state;

    wz_listener_close(&server->listener);
    for (int i = 0; i < server->peer_count; i++) {
        if (server->peers[i]->ends == 0)
            wz_conn_close(&server->peers[i]->conn, WZ_CONN_NOW, WZ_OK);
    }
    wz_loop_stop(&server->loop);
    wz_loop_run(&server->loop);
    assert_int_equal(server->open_count, 0);
    for (int i = 0; i < server->peer_count; i++) {
        wz_buf_release(&server->peers[i]->got);
        wz_free(server->peers[i]);
    }
    wz_loop_release(&server->loop);
    wz_free(server);
    return 0;
}

static void turn(struct server *server) { (void)uv_run(&server->loop.uv, UV_RUN_NOWAIT); }

// Runs turns until CONDITION holds.
#define UNTIL(server, condition)                                                                   \
    for (int64_t until_ = wz_clock_mono_us() + DEADLINE_US; !(condition);) {                       \
        if (wz_clock_mono_us() > until_)                                                           \
            fail_msg("waited in vain for %s", #condition);                                         \
        turn(server);                                                                              \
    }

// A client's socket, connected and accepted; it does not block.
static int client_new(struct server *server, struct peer **ret_peer)
{
    int count = server->peer_count;
    int fd = dial(wz_listener_port(&server->listener));

    UNTIL(server, server->peer_count > count);
    if (ret_peer != NULL)
        *ret_peer = server->peers[count];
    return fd;
}

// Sends all of it, running turns while the socket takes no more.
static void send_all(struct server *server, int fd, const void *bytes, size_t len)
{
    for (size_t pos = 0; pos < len;) {
        ssize_t sent = send(fd, (const char *)bytes + pos, len - pos, MSG_NOSIGNAL);

        if (sent < 0) {
            assert_int_equal(errno, EAGAIN);
            turn(server);
        } else {
            pos += (size_t)sent;
        }
    }
}

// A packet with LEN bytes that depend on SEED.
static struct wz_buf packet_new(uint32_t len, uint32_t seed)
{
    struct wz_buf packet = {0};

    wz_buf_add(
        &packet,
        (uint8_t[]){(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len},
        4);
    for (uint32_t i = 0; i < len; i++)
        wz_buf_add_byte(&packet, (uint8_t)(i * 31 + (i >> 8) + seed));
    return packet;
}

static void send_packet(struct server *server, int fd, uint32_t len, uint32_t seed)
{
    WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(len, seed);

    send_all(server, fd, packet.ptr, packet.len);
}

static void assert_got(const struct peer *peer, uint32_t len, uint32_t seed)
{
    WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(len, seed);

    assert_int_equal(peer->got.len, len);
    assert_memory_equal(peer->got.ptr, packet.ptr + 4, len);
}

static void answer(struct peer *peer, const void *bytes, size_t len)
{
    memcpy(wz_conn_reserve(&peer->conn, len), bytes, len);
    wz_conn_commit(&peer->conn, len);
}

// Reads until LEN bytes are there or the server's end closes; returns how many came.
static size_t receive(struct server *server, int fd, void *ret_bytes, size_t len)
{
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    size_t pos = 0;

    while (pos < len) {
        ssize_t got = recv(fd, (char *)ret_bytes + pos, len - pos, 0);

        if (got == 0)
            break;
        if (got > 0) {
            pos += (size_t)got;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        assert_true(wz_clock_mono_us() < until_us);
        turn(server);
    }
    return pos;
}

static void test_conn_joins_a_packet_that_comes_byte_by_byte(void **state)
{
    struct server *server = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(40, 1);
    struct peer *peer;
    int fd = client_new(server, &peer);

    for (size_t i = 0; i < packet.len; i++) {
        assert_int_equal(peer->packets, 0);
        send_all(server, fd, packet.ptr + i, 1);
        turn(server);
    }
    UNTIL(server, peer->packets == 1);
    assert_got(peer, 40, 1);
    (void)close(fd);
}

static void test_conn_counts_what_the_system_has_given_and_taken(void **state)
{
    struct server *server = *state;
    struct peer *peers[2];
    int fds[] = {client_new(server, &peers[0]), client_new(server, &peers[1])};
    uint8_t bytes[70] = {0};

    send_packet(server, fds[0], 100, 1);
    send_packet(server, fds[1], 3 * WZ_LOOP_INPUT_BYTES, 2);
    send_all(server, fds[1], "\0\0", 2); // half a length
    UNTIL(server, server->traffic.read_bytes == 104 + 4 + 3 * WZ_LOOP_INPUT_BYTES + 2);
    answer(peers[0], "0123456789", 10);
    answer(peers[1], bytes, 60);
    assert_int_equal(server->traffic.written_bytes, 0); // not before the end of the turn
    assert_int_equal(receive(server, fds[0], bytes, 10), 10);
    assert_int_equal(receive(server, fds[1], bytes, 60), 60);
    assert_int_equal(server->traffic.written_bytes, 70);
    answer(peers[0], "0123456789", 10);
    wz_conn_close(&peers[0]->conn, WZ_CONN_NOW, WZ_OK);
    turn(server);
    assert_int_equal(server->traffic.written_bytes, 70); // nobody was given these
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_conn_joins_packets_larger_than_a_turn_of_input(void **state)
{
    struct server *server = *state;
    struct peer *peer;
    int fd = client_new(server, &peer);

    send_packet(server, fd, 3 * WZ_LOOP_INPUT_BYTES + 17, 2);
    UNTIL(server, peer->packets == 1);
    assert_got(peer, 3 * WZ_LOOP_INPUT_BYTES + 17, 2);
    peer->got.len = 0;
    for (uint32_t len = WZ_CONN_HELD_COPY - 6; len < WZ_CONN_HELD_COPY + 3; len++)
        send_packet(server, fd, len, len);
    UNTIL(server, peer->packets == 10);
    for (uint32_t len = WZ_CONN_HELD_COPY - 6; len < WZ_CONN_HELD_COPY + 3; len++) {
        WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(len, len);

        assert_memory_equal(peer->got.ptr, packet.ptr + 4, len);
        wz_buf_consume(&peer->got, len);
    }
    (void)close(fd);
}

// The places around which a partial packet moves from the turn's input to a buffer of its own.
static void test_conn_joins_packets_cut_at_every_size_that_is_held(void **state)
{
    static const size_t cuts[] = {1, 3, 4, 5, 4094, 4095, 4096, 4097, 4098, 4099, 4100, 4101, 9000};
    struct server *server = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(10000, 3);
    struct peer *peer;
    int fd = client_new(server, &peer);

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        int before = peer->packets;

        peer->got.len = 0;
        send_all(server, fd, packet.ptr, cuts[i]);
        UNTIL(server, peer->conn.held.len == cuts[i]);
        send_all(server, fd, packet.ptr + cuts[i], packet.len - cuts[i]);
        UNTIL(server, peer->packets == before + 1);
        assert_got(peer, 10000, 3);
    }
    UNTIL(server, peer->conn.held.ptr == NULL);
    (void)close(fd);
}

static void test_conn_many_at_once_all_get_their_input(void **state)
{
    struct server *server = *state;
    int fds[100];

    for (int i = 0; i < 100; i++)
        fds[i] = client_new(server, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(50000 + i, i);

        // Loopback takes it whole: nothing is read before all have sent.
        assert_int_equal(send(fds[i], packet.ptr, packet.len, MSG_NOSIGNAL), packet.len);
    }
    for (int i = 0; i < 100; i++)
        UNTIL(server, server->peers[i]->packets == 1);
    for (uint32_t i = 0; i < 100; i++) {
        assert_got(server->peers[i], 50000 + i, i);
        (void)close(fds[i]);
    }
}

static ssize_t drop(struct peer *peer, struct wz_slice body)
{
    (void)body;
    peer->got.len = 0;
    return 0;
}

// A client whose socket is never empty.
struct flood {
    int fd;
    size_t pos;
};

static void flood_more(struct flood *flood, struct wz_slice packets)
{
    ssize_t sent;

    do {
        sent = send(flood->fd, packets.ptr + flood->pos, packets.len - flood->pos, MSG_NOSIGNAL);
        if (sent > 0)
            flood->pos = (flood->pos + (size_t)sent) % packets.len;
    } while (sent > 0);
}

// Those who send without end leave room for one who has a word to say.
static void test_conn_that_says_little_is_heard_beside_floods(void **state)
{
    enum { FLOODS = 16, QUIET_TURNS = 20 };
    struct server *server = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packets = {0};
    struct flood floods[FLOODS];
    struct peer *peer;
    int turns = 0;
    int fd;

    for (uint32_t i = 0; i < 100; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(1000, i);

        wz_buf_add_slice(&packets, wz_buf_slice(&packet));
    }
    server->packet = drop;
    for (int i = 0; i < FLOODS; i++)
        floods[i] = (struct flood){.fd = client_new(server, NULL)};
    fd = client_new(server, &peer);
    for (; turns < 200 && peer->packets == 0; turns++) {
        for (int i = 0; i < FLOODS; i++)
            flood_more(&floods[i], wz_buf_slice(&packets));
        if (turns == QUIET_TURNS)
            send_packet(server, fd, 5, 5);
        turn(server);
    }
    assert_in_range(turns, QUIET_TURNS, QUIET_TURNS + FLOODS);
    for (int i = 0; i < FLOODS; i++) {
        assert_in_range(server->peers[i]->packets, 1, INT32_MAX);
        (void)close(floods[i].fd);
    }
    (void)close(fd);
}

static void test_conn_gathers_for_a_peer_that_does_not_read_and_loses_nothing(void **state)
{
    enum { PIECE = 30000, PIECES = 400 };
    struct server *server = *state;
    uint8_t *bytes = wz_alloc(PIECE);
    struct peer *peer;
    size_t before;
    int fd = client_new(server, &peer);

    for (int i = 0; i < PIECES; i++) {
        memset(bytes, i, PIECE);
        answer(peer, bytes, PIECE);
        if (i % 10 == 0)
            turn(server);
    }
    for (int i = 0; i < 10; i++)
        turn(server);
    before = wz_conn_out_bytes(&peer->conn);
    assert_in_range(before, 1, PIECE * PIECES);
    for (int i = 0; i < 10; i++)
        turn(server);
    assert_int_equal(wz_conn_out_bytes(&peer->conn), before);
    for (int i = 0; i < PIECES; i++) {
        assert_int_equal(receive(server, fd, bytes, PIECE), PIECE);
        for (int k = 0; k < PIECE; k++)
            if (bytes[k] != (uint8_t)i)
                fail_msg("piece %d, byte %d", i, k);
    }
    UNTIL(server, wz_conn_out_bytes(&peer->conn) == 0);
    assert_null(peer->conn.out_first);
    wz_free(bytes);
    (void)close(fd);
}

static void test_conn_closes_with_output_that_nobody_reads(void **state)
{
    struct server *server = *state;
    struct peer *peer;
    int fd = client_new(server, &peer);
    uint8_t *bytes = wz_zalloc(1, 16 << 20);

    answer(peer, bytes, 16 << 20);
    for (int i = 0; i < 5; i++)
        turn(server);
    assert_non_null(peer->conn.write);
    wz_conn_close(&peer->conn, WZ_CONN_DRAIN, WZ_ERR_TIMEOUT);
    UNTIL(server, server->open_count == 0);
    assert_int_equal(peer->end_err, WZ_ERR_TIMEOUT);
    wz_free(bytes);
    (void)close(fd);
}

static ssize_t echo(struct peer *peer, struct wz_slice body)
{
    answer(peer, body.ptr, body.len);
    return 0;
}

static void test_conn_answers_a_peer_that_has_ended_its_side(void **state)
{
    struct server *server = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = packet_new(2000, 6);
    uint8_t bytes[2001];
    struct peer *peer;
    int fd = client_new(server, &peer);

    server->packet = echo;
    send_all(server, fd, packet.ptr, packet.len);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(receive(server, fd, bytes, sizeof(bytes)), 2000);
    assert_memory_equal(bytes, packet.ptr + 4, 2000);
    UNTIL(server, server->open_count == 0);
    assert_int_equal(peer->end_err, WZ_OK);
    (void)close(fd);
}

static ssize_t pause_now(struct peer *peer, struct wz_slice body)
{
    (void)body;
    wz_conn_pause(&peer->conn);
    return 0;
}

static void resume_peer(uv_timer_t *timer)
{
    struct peer *peer = timer->data;

    wz_conn_resume(&peer->conn);
}

static void watch(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop sleeps over input");
}

static void test_conn_resumed_goes_on_by_itself_and_loses_nothing(void **state)
{
    enum { PACKETS = 50 };
    struct server *server = *state;
    uv_timer_t resumer;
    uv_timer_t watchdog;
    struct peer *peer;
    int fd = client_new(server, &peer);

    server->packet = pause_now;
    for (uint32_t i = 0; i < PACKETS; i++)
        send_packet(server, fd, 10, i);
    (void)uv_timer_init(&server->loop.uv, &resumer);
    (void)uv_timer_init(&server->loop.uv, &watchdog);
    resumer.data = peer;
    (void)uv_timer_start(&watchdog, watch, 10000, 0);
    while (peer->packets < PACKETS) {
        int before = peer->packets;

        (void)uv_timer_start(&resumer, resume_peer, 1, 0); // once: what follows is the loop's
        while (peer->packets == before)
            (void)uv_run(&server->loop.uv, UV_RUN_ONCE); // sleeps when it has nothing to do
        assert_int_equal(peer->packets, before + 1);
    }
    assert_int_equal(peer->got.len, 10 * PACKETS);
    uv_close((uv_handle_t *)&resumer, NULL);
    uv_close((uv_handle_t *)&watchdog, NULL);
    turn(server);
    (void)close(fd);
}

static void test_conn_paused_reads_nothing_and_ends_only_when_resumed(void **state)
{
    struct server *server = *state;
    struct peer *peer;
    int fd = client_new(server, &peer);

    server->packet = pause_now;
    send_packet(server, fd, 10, 1);
    UNTIL(server, peer->packets == 1);
    send_packet(server, fd, 10, 2);
    (void)close(fd);
    for (int i = 0; i < 20; i++)
        turn(server);
    assert_int_equal(peer->packets, 1);
    assert_int_equal(peer->ends, 0);
    server->packet = NULL;
    wz_conn_resume(&peer->conn);
    UNTIL(server, peer->ends == 1);
    assert_int_equal(peer->packets, 2);
}

static ssize_t close_now(struct peer *peer, struct wz_slice body)
{
    (void)body;
    answer(peer, "lost?", 5);
    wz_conn_close(&peer->conn, WZ_CONN_NOW, WZ_ERR_AUTH);
    return 0;
}

static void test_conn_may_be_closed_from_inside_input(void **state)
{
    struct server *server = *state;
    struct peer *peer;
    int fd = client_new(server, &peer);

    server->packet = close_now;
    for (uint32_t i = 0; i < 3; i++)
        send_packet(server, fd, 10, i);
    UNTIL(server, server->open_count == 0);
    assert_int_equal(peer->end_err, WZ_ERR_AUTH);
    (void)close(fd);
}

static ssize_t refuse(struct peer *peer, struct wz_slice body)
{
    (void)body;
    answer(peer, "sorry", 5);
    return WZ_ERR_PROTOCOL;
}

static void test_conn_delivers_the_last_words_of_a_refusal(void **state)
{
    struct server *server = *state;
    struct peer *peer;
    uint8_t bytes[6];
    int fd = client_new(server, &peer);

    server->packet = refuse;
    for (uint32_t i = 0; i < 3; i++)
        send_packet(server, fd, 10, i);
    assert_int_equal(receive(server, fd, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "sorry", 5);
    assert_int_equal(peer->packets, 1);
    assert_int_equal(peer->end_err, WZ_ERR_PROTOCOL);
    UNTIL(server, server->open_count == 0);
    (void)close(fd);
}

static void test_conn_says_that_a_peer_was_cut_off(void **state)
{
    struct server *server = *state;
    struct linger hard = {.l_onoff = 1};
    struct peer *peer;
    int fd = client_new(server, &peer);

    send_all(server, fd, "\0\0", 2);
    UNTIL(server, peer->conn.held.len == 2);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    (void)close(fd); // with that option: a reset
    UNTIL(server, peer->ends == 1);
    assert_int_equal(peer->end_err, WZ_ERR_CLOSED);
    assert_int_equal(peer->packets, 0);
}

static void test_conn_writes_in_order_what_is_gathered_in_pieces_of_any_size(void **state)
{
    struct server *server = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf sent = {0};
    struct peer *peer;
    uint8_t *bytes;
    int fd = client_new(server, &peer);

    for (uint32_t i = 0; i < 200; i++) {
        uint32_t len = i * 7919 % 40000;
        uint8_t *place = wz_conn_reserve(&peer->conn, len + 10); // more than is used in the end

        memset(place, (int)i, len);
        wz_conn_commit(&peer->conn, len);
        for (uint32_t k = 0; k < len; k++)
            wz_buf_add_byte(&sent, (uint8_t)i);
    }
    assert_int_equal(wz_conn_out_bytes(&peer->conn), sent.len);
    bytes = wz_alloc(sent.len);
    assert_int_equal(receive(server, fd, bytes, sent.len), sent.len);
    assert_memory_equal(bytes, sent.ptr, sent.len);
    wz_free(bytes);
    (void)close(fd);
}

static void test_conn_tells_the_peers_address(void **state)
{
    struct server *server = *state;
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    char expected[64];
    char text[64];
    struct peer *peer;
    int fd = client_new(server, &peer);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(addr.sin_port));
    wz_conn_peer(&peer->conn, text);
    assert_string_equal(text, expected);
    (void)close(fd);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_conn_joins_a_packet_that_comes_byte_by_byte),
        TEST(test_conn_counts_what_the_system_has_given_and_taken),
        TEST(test_conn_joins_packets_larger_than_a_turn_of_input),
        TEST(test_conn_joins_packets_cut_at_every_size_that_is_held),
        TEST(test_conn_many_at_once_all_get_their_input),
        TEST(test_conn_that_says_little_is_heard_beside_floods),
        TEST(test_conn_gathers_for_a_peer_that_does_not_read_and_loses_nothing),
        TEST(test_conn_closes_with_output_that_nobody_reads),
        TEST(test_conn_answers_a_peer_that_has_ended_its_side),
        TEST(test_conn_resumed_goes_on_by_itself_and_loses_nothing),
        TEST(test_conn_paused_reads_nothing_and_ends_only_when_resumed),
        TEST(test_conn_may_be_closed_from_inside_input),
        TEST(test_conn_delivers_the_last_words_of_a_refusal),
        TEST(test_conn_says_that_a_peer_was_cut_off),
        TEST(test_conn_writes_in_order_what_is_gathered_in_pieces_of_any_size),
        TEST(test_conn_tells_the_peers_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
