// SPDX-License-Identifier: Apache-2.0
// A budget of 16 MiB and peers that want more, over real sockets, both ends in this process. A
// packet here is so many bytes, whatever they are.
#include "loop/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "loop/conn.h"
#include "loop/dial_test.h"
#include "loop/listener.h"

#define MIB ((size_t)1024 * 1024)
#define PACKET ((size_t)900 * 1000)
#define SMALL_PACKET 1000
#define DEADLINE_US ((int64_t)20 * 1000 * 1000)
#define CROWD 60

// The server's end of a connection, and the client's socket.
struct peer {
    struct wz_conn conn;
    int fd;
    size_t packet; // bytes that make one
    size_t sent;
    int packets;
    int ends;
    int end_err;
};

struct server {
    struct wz_loop loop;
    struct wz_listener listener;
    struct peer *peers[CROWD + 2];
    int peer_count;
    int open_count;
};

static ssize_t on_input(struct wz_conn *conn, struct wz_slice input)
{
    struct peer *peer = WZ_CONTAINER(conn, struct peer, conn);

    peer->packets += (int)(input.len / peer->packet);
    return (ssize_t)(input.len / peer->packet * peer->packet);
}

static void on_end(struct wz_conn *conn, int err)
{
    struct peer *peer = WZ_CONTAINER(conn, struct peer, conn);

    peer->ends++;
    peer->end_err = err;
}

static struct server *the_server;

static void on_closed(struct wz_conn *conn)
{
    (void)conn;
    the_server->open_count--;
}

static const struct wz_conn_ops ops = {.input = on_input, .end = on_end, .closed = on_closed};

static void on_offer(struct wz_listener *listener, void *arg)
{
    struct server *server = arg;
    struct peer *peer = wz_zalloc(1, sizeof(*peer));

    peer->packet = PACKET;
    server->peers[server->peer_count++] = peer;
    server->open_count++;
    wz_conn_accept(&peer->conn, &server->loop, (uv_stream_t *)&listener->tcp, &ops);
}

static int set_up(void **state)
{
    struct server *server = wz_zalloc(1, sizeof(*server));

    *state = server;
    the_server = server;
    assert_int_equal(wz_loop_init(&server->loop), WZ_OK);
    wz_budget_limit(&server->loop.budget, 16 * MIB);
    return wz_listener_open(&server->listener, &server->loop, "127.0.0.1", 0, on_offer, server,
                            NULL);
}

static int tear_down(void **state)
{
    struct server *server = *state;

    wz_listener_close(&server->listener);
    for (int i = 0; i < server->peer_count; i++)
        wz_conn_close(&server->peers[i]->conn, WZ_CONN_NOW, WZ_OK);
    wz_loop_stop(&server->loop);
    wz_loop_run(&server->loop);
    assert_int_equal(server->open_count, 0);
    assert_int_equal(server->loop.budget.bytes, 0);
    for (int i = 0; i < server->peer_count; i++) {
        (void)close(server->peers[i]->fd);
        wz_free(server->peers[i]);
    }
    wz_loop_release(&server->loop);
    wz_free(server);
    return 0;
}

static void turn(struct server *server) { (void)uv_run(&server->loop.uv, UV_RUN_NOWAIT); }

static void turns(struct server *server, int count)
{
    for (int i = 0; i < count; i++)
        turn(server);
}

// Runs turns until CONDITION holds.
#define UNTIL(server, condition)                                                                   \
    for (int64_t until_ = wz_clock_mono_us() + DEADLINE_US; !(condition);) {                       \
        if (wz_clock_mono_us() > until_)                                                           \
            fail_msg("waited in vain for %s", #condition);                                         \
        turn(server);                                                                              \
    }

static struct peer *peer_new(struct server *server, size_t packet)
{
    int count = server->peer_count;
    int fd = dial(wz_listener_port(&server->listener));

    UNTIL(server, server->peer_count > count);
    server->peers[count]->fd = fd;
    server->peers[count]->packet = packet;
    return server->peers[count];
}

// Sends on, up to LEN bytes altogether, as far as the socket takes it.
static void send_on(struct peer *peer, size_t len)
{
    static const uint8_t zeros[64 * 1024];

    while (peer->sent < len) {
        size_t part = len - peer->sent < sizeof(zeros) ? len - peer->sent : sizeof(zeros);
        ssize_t sent = send(peer->fd, zeros, part, MSG_NOSIGNAL);

        if (sent < 0)
            return;
        peer->sent += (size_t)sent;
    }
}

// Reads all that is there.
static size_t receive(struct peer *peer)
{
    static uint8_t bytes[64 * 1024];
    size_t len = 0;
    ssize_t got;

    while ((got = recv(peer->fd, bytes, sizeof(bytes), 0)) > 0)
        len += (size_t)got;
    return len;
}

// A crowd that sends LEN bytes each of packets of PACKET, over and over until nothing moves.
static void crowd_sends(struct server *server, size_t len)
{
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < CROWD; i++)
            send_on(server->peers[i], len);
        turn(server);
    }
}

static void crowd_new(struct server *server)
{
    for (int i = 0; i < CROWD; i++)
        (void)peer_new(server, PACKET);
}

static void assert_is_served(struct server *server)
{
    struct peer *peer = peer_new(server, SMALL_PACKET);

    for (int i = 1; i <= 10; i++) {
        send_on(peer, (size_t)i * SMALL_PACKET);
        UNTIL(server, peer->packets == i);
        assert_true(wz_conn_may_send(&peer->conn));
    }
    wz_conn_close(&peer->conn, WZ_CONN_NOW, WZ_OK);
}

static int closed_by_budget(const struct server *server)
{
    int count = 0;

    for (int i = 0; i < server->peer_count; i++)
        count += server->peers[i]->end_err == WZ_ERR_LIMIT;
    return count;
}

// Output that is not taken: more than the system's buffers hold.
static void stuff(struct server *server, struct peer *peer, size_t held)
{
    while (peer->conn.write == NULL || wz_conn_bytes(&peer->conn) < held) {
        size_t len = peer->conn.write == NULL ? 4 * MIB : (size_t)8 * 1024;

        memset(wz_conn_reserve(&peer->conn, len), 0, len);
        wz_conn_commit(&peer->conn, len);
        turn(server);
    }
}

static void test_budget_allows_nobody_more_than_is_left(void **state)
{
    static const struct {
        size_t held;
        size_t own;
        bool allowed;
    } rows[] = {
        {0, 0, true},       {0, 6999, true},     {0, 7000, false},
        {3500, 3499, true}, {3500, 3500, false}, {6999, 0, true},
        {6999, 1, false},   {7000, 0, false},    {9000, 0, false},
    };
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;

    wz_budget_limit(budget, 8000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        wz_budget_count(budget, budget->bytes, rows[i].held);
        assert_int_equal(wz_budget_allows(budget, rows[i].own), rows[i].allowed);
        assert_int_equal(wz_budget_is_tight(budget), rows[i].held >= 7000);
        assert_int_equal(wz_budget_is_full(budget), rows[i].held >= 8000);
    }
    wz_budget_count(budget, budget->bytes, 0);
}

static void test_budget_counts_what_is_held_until_it_is_freed(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;
    struct peer *peer = peer_new(server, PACKET);
    int64_t told = wz_metric_get(WZ_METRIC_MEMORY_HELD);

    send_on(peer, 100000);
    UNTIL(server, peer->conn.held.len == 100000);
    turn(server);
    assert_int_equal(budget->bytes, peer->conn.held.cap);
    assert_int_equal(wz_metric_get(WZ_METRIC_MEMORY_HELD) - told, peer->conn.held.cap);
    (void)wz_conn_reserve(&peer->conn, 50000);
    wz_conn_commit(&peer->conn, 1);
    assert_in_range(budget->bytes, peer->conn.held.cap + 50000, peer->conn.held.cap + 50100);
    turn(server);
    assert_int_equal(budget->bytes, peer->conn.held.cap);
    send_on(peer, PACKET + 10);
    UNTIL(server, peer->packets == 1);
    UNTIL(server, peer->conn.held.len == 10);
    assert_in_range(budget->bytes, 10, WZ_CONN_HELD_COPY); // the long packet's buffer is gone
    wz_conn_close(&peer->conn, WZ_CONN_NOW, WZ_OK);
    turns(server, 2);
    assert_int_equal(budget->bytes, 0);
    assert_int_equal(wz_metric_get(WZ_METRIC_MEMORY_HELD), told);
}

static void test_budget_is_not_exceeded_by_partial_packets_of_a_crowd(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;

    crowd_new(server);
    crowd_sends(server, PACKET - 1);
    // Beside the mark: what stays of a short read of each, and the packet of one that is let go on.
    assert_in_range(budget->bytes, budget->mark / 2,
                    budget->mark + (size_t)CROWD * 2 * WZ_CONN_HELD_COPY + 2 * PACKET);
    assert_is_served(server);
    assert_int_equal(closed_by_budget(server), 0);
}

static void test_budget_lets_whole_packets_through_one_after_the_other(void **state)
{
    struct server *server = *state;
    int64_t stops = wz_metric_get(WZ_METRIC_MEMORY_STOPS);
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    int missing = CROWD;

    crowd_new(server);
    while (missing > 0 && wz_clock_mono_us() < until_us) {
        crowd_sends(server, 2 * PACKET);
        missing = 0;
        for (int i = 0; i < CROWD; i++)
            missing += server->peers[i]->packets < 2;
    }
    assert_int_equal(missing, 0);
    assert_int_equal(closed_by_budget(server), 0);
    assert_true(wz_metric_get(WZ_METRIC_MEMORY_STOPS) > stops);
    assert_int_equal(server->loop.budget.bytes, 0);
    assert_null(server->loop.budget.passing);
    assert_true(wz_list_empty(&server->loop.budget.waiting));
}

static void test_budget_closes_who_is_let_go_on_and_says_no_more(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;
    int64_t closed = wz_metric_get(WZ_METRIC_MEMORY_CLOSED);
    struct wz_conn *passing;

    crowd_new(server);
    crowd_sends(server, PACKET - 1);
    passing = budget->passing;
    assert_non_null(passing);
    UNTIL(server, closed_by_budget(server) > 0);
    assert_int_equal(WZ_CONTAINER(passing, struct peer, conn)->end_err, WZ_ERR_LIMIT);
    assert_true(budget->passing != passing);
    assert_true(wz_metric_get(WZ_METRIC_MEMORY_CLOSED) > closed);
}

static void test_budget_is_free_again_when_a_crowd_has_gone(void **state)
{
    struct server *server = *state;

    crowd_new(server);
    crowd_sends(server, PACKET - 1);
    for (int i = 0; i < CROWD; i++)
        (void)shutdown(server->peers[i]->fd, SHUT_RDWR); // those who are stopped do not see it yet
    UNTIL(server, server->open_count == 0);
    assert_int_equal(server->loop.budget.bytes, 0);
}

static void test_budget_takes_from_those_who_do_not_read_and_not_from_others(void **state)
{
    struct server *server = *state;
    struct peer *slow = peer_new(server, SMALL_PACKET);
    struct peer *reads = peer_new(server, SMALL_PACKET);

    stuff(server, slow, 9 * MIB);
    assert_false(wz_conn_may_send(&slow->conn));
    assert_true(wz_conn_may_send(&reads->conn));
    send_on(slow, SMALL_PACKET);
    send_on(reads, SMALL_PACKET);
    UNTIL(server, reads->packets == 1);
    send_on(slow, 200 * SMALL_PACKET);
    turns(server, 20);
    assert_int_equal(slow->packets, 0);
    assert_false(wz_list_empty(&slow->conn.stopped));
    assert_is_served(server);
    for (int64_t until_us = wz_clock_mono_us() + DEADLINE_US; slow->packets < 200;) {
        assert_true(wz_clock_mono_us() < until_us);
        (void)receive(slow);
        turn(server);
    }
    assert_true(wz_conn_may_send(&slow->conn));
    assert_int_equal(slow->ends, 0);
}

// The owner and the budget stop a connection apart: it is read from when both let it.
static void test_budget_and_owner_stop_a_connection_apart(void **state)
{
    struct server *server = *state;
    struct peer *slow = peer_new(server, SMALL_PACKET);

    stuff(server, slow, 9 * MIB);
    send_on(slow, 3 * SMALL_PACKET);
    UNTIL(server, !wz_list_empty(&slow->conn.stopped));
    wz_conn_pause(&slow->conn);
    wz_conn_resume(&slow->conn);
    turns(server, 10);
    assert_int_equal(slow->packets, 0);
    wz_conn_pause(&slow->conn);
    for (int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
         !wz_list_empty(&slow->conn.stopped);) {
        assert_true(wz_clock_mono_us() < until_us);
        (void)receive(slow);
        turn(server);
    }
    turns(server, 10);
    assert_int_equal(slow->packets, 0);
    wz_conn_resume(&slow->conn);
    UNTIL(server, slow->packets == 3);
}

static void test_budget_lets_the_next_go_on_when_the_first_is_paused(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;
    struct wz_conn *passing;

    crowd_new(server);
    crowd_sends(server, PACKET - 1);
    passing = budget->passing;
    assert_non_null(passing);
    wz_conn_pause(passing);
    turns(server, 2);
    assert_ptr_not_equal(budget->passing, passing);
    wz_conn_close(passing, WZ_CONN_NOW, WZ_OK);
    UNTIL(server, budget->passing != NULL);
    assert_int_equal(closed_by_budget(server), 0);
}

static void test_budget_closes_the_largest_when_the_limit_stays_reached(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;
    struct peer *small = peer_new(server, SMALL_PACKET);
    struct peer *large = peer_new(server, SMALL_PACKET);
    struct peer *other = peer_new(server, SMALL_PACKET);

    wz_budget_limit(budget, 64 * MIB);
    stuff(server, small, MIB);
    stuff(server, large, 12 * MIB);
    stuff(server, other, 3 * MIB);
    wz_budget_limit(budget, budget->bytes);
    assert_false(wz_conn_may_send(&other->conn));
    UNTIL(server, large->ends == 1);
    UNTIL(server, !wz_budget_is_tight(budget));
    assert_int_equal(large->end_err, WZ_ERR_LIMIT);
    assert_int_equal(small->ends + other->ends, 0);
}

static void test_budget_leaves_half_to_what_comes_and_goes(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;

    assert_true(wz_budget_may_keep(budget, 8 * MIB - 1));
    assert_false(wz_budget_may_keep(budget, 8 * MIB));
    wz_budget_keep(budget, 0, 6 * MIB);
    assert_int_equal(budget->bytes, 6 * MIB);
    assert_true(wz_budget_may_keep(budget, 2 * MIB - 1)); // nobody more than is left
    assert_false(wz_budget_may_keep(budget, 2 * MIB));
    wz_budget_keep(budget, 6 * MIB, 8 * MIB);
    assert_false(wz_budget_may_keep(budget, 0));
    assert_true(wz_budget_allows(budget, MIB));
    wz_budget_keep(budget, 8 * MIB, MIB);
    wz_budget_count(budget, 0, 14 * MIB); // what comes and goes is in the way, too
    assert_false(wz_budget_may_keep(budget, 0));
    wz_budget_count(budget, 14 * MIB, 0);
    wz_budget_keep(budget, MIB, 0);
    assert_int_equal(budget->kept, 0);
}

static void test_budget_lends_half_and_what_is_left(void **state)
{
    struct server *server = *state;
    struct wz_budget *budget = &server->loop.budget;

    assert_true(wz_budget_lend(budget, 0, 8 * MIB));
    assert_false(wz_budget_lend(budget, 8 * MIB, 8 * MIB + 1));
    assert_int_equal(budget->bytes, 0);
    wz_budget_settle(budget); // the turn's end
    assert_int_equal(budget->bytes, 8 * MIB);
    assert_true(wz_budget_lend(budget, 8 * MIB, 3 * MIB));
    wz_budget_count(budget, 0, 12 * MIB);
    wz_budget_settle(budget);
    assert_int_equal(budget->bytes, 15 * MIB);
    assert_true(wz_budget_lend(budget, 3 * MIB, 4 * MIB));
    assert_false(wz_budget_lend(budget, 4 * MIB, 6 * MIB)); // it is shared with all others
    assert_true(wz_budget_lend(budget, 4 * MIB, 0));
    wz_budget_count(budget, 12 * MIB, 0);
    wz_budget_settle(budget);
    assert_int_equal(budget->bytes, 0);
}

static void test_budget_counts_what_an_owner_holds_for_its_peer(void **state)
{
    struct server *server = *state;
    struct peer *holder = peer_new(server, SMALL_PACKET);

    wz_conn_hold(&holder->conn, 9 * MIB);
    assert_int_equal(server->loop.budget.bytes, 9 * MIB);
    assert_int_equal(wz_conn_bytes(&holder->conn), 9 * MIB);
    assert_false(wz_conn_may_hold(&holder->conn, 0));
    send_on(holder, SMALL_PACKET);
    turns(server, 20);
    assert_int_equal(holder->packets, 0); // it has more than is left: it is not read from
    assert_true(wz_conn_is_stopped(&holder->conn));
    assert_is_served(server);
    wz_conn_hold(&holder->conn, MIB);
    assert_true(wz_conn_may_hold(&holder->conn, MIB));
    UNTIL(server, holder->packets == 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_budget_allows_nobody_more_than_is_left),
        TEST(test_budget_counts_what_is_held_until_it_is_freed),
        TEST(test_budget_is_not_exceeded_by_partial_packets_of_a_crowd),
        TEST(test_budget_lets_whole_packets_through_one_after_the_other),
        TEST(test_budget_closes_who_is_let_go_on_and_says_no_more),
        TEST(test_budget_is_free_again_when_a_crowd_has_gone),
        TEST(test_budget_takes_from_those_who_do_not_read_and_not_from_others),
        TEST(test_budget_and_owner_stop_a_connection_apart),
        TEST(test_budget_lets_the_next_go_on_when_the_first_is_paused),
        TEST(test_budget_closes_the_largest_when_the_limit_stays_reached),
        cmocka_unit_test_setup_teardown(test_budget_leaves_half_to_what_comes_and_goes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_budget_lends_half_and_what_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_budget_counts_what_an_owner_holds_for_its_peer, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
