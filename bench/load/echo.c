// SPDX-License-Identifier: Apache-2.0
// Readings carry a sequence number in their bodies and commands bring it back. The number tells
// when the reading was due. Topic n belongs to connection n % connections, which also
// subscribes to its commands; a direct run subscribes the next connection to the reading itself,
// and a run of acks, at QoS 1, subscribes to nothing.

#include "echo.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "fail.h"
#include "histogram.h"
#include "options.h"
#include "protocol.h"
#include "report.h"
#include "ring.h"

#define READ_BYTES (256u * 1024)
#define EVENT_CAP 256
#define EPOLL_EVENTS 64
#define SECOND_NS 1000000000u
#define TIMER_SLACK_NS 1u

struct echo {
    const struct wz_options *options;
    bool acks;         // What is waited for is the ack.
    uint64_t *unacked; // By packet id: 1 + the number of the reading that waits for its ack.
    struct wz_conn *conns;
    size_t conn_count;
    struct wz_bytes *topics;
    size_t topic_count;
    struct wz_bytes body; // Scratch.
    struct wz_histogram *latencies;
    struct wz_histogram *lateness; // Of this process: from when a reading was due until it left.
    uint8_t *answered;             // By sequence number: 1 once its command came.
    int epoll_fd;
    uint64_t total;
    uint64_t sent;
    uint64_t received;
    uint64_t doubled;
    uint64_t strange; // Answers without a number of this run.
    uint64_t start_ns;
    uint64_t last_ns;
};

static void *make(size_t count, size_t size)
{
    void *made = calloc(count, size);

    if (made == NULL)
        wz_fail("out of memory");
    return made;
}

static void subscribe_topic(struct echo *echo, uint64_t place)
{
    const struct wz_options *options = echo->options;
    const char *pattern = options->direct != 0 ? options->topic : options->answer;
    size_t conn = (size_t)(place + options->direct) % echo->conn_count;
    struct wz_bytes topic = {0};

    wz_ring_topic(pattern, place % options->devices, place / options->devices, &topic);
    wz_conn_subscribe(&echo->conns[conn], (const char *)topic.data, (unsigned)options->qos,
                      (uint16_t)(1 + place % WZ_PROTOCOL_MAX_ID));
    wz_bytes_release(&topic);
}

static uint16_t packet_id(uint64_t n) { return (uint16_t)(1 + n % WZ_PROTOCOL_MAX_ID); }

static void open_echo(struct echo *echo, const struct wz_protocol *protocol)
{
    const struct wz_options *options = echo->options;

    echo->conn_count = options->publishers;
    echo->topic_count = options->devices * options->subtopics;
    echo->total = options->messages != 0 ? options->messages : options->rate * options->seconds;
    echo->conns = make(echo->conn_count, sizeof(*echo->conns));
    echo->topics = make(echo->topic_count, sizeof(*echo->topics));
    echo->latencies = make(1, sizeof(*echo->latencies));
    echo->lateness = make(1, sizeof(*echo->lateness));
    echo->answered = make(echo->total, 1);
    echo->unacked = make(WZ_PROTOCOL_MAX_ID + 1, sizeof(*echo->unacked));
    echo->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (echo->epoll_fd < 0)
        wz_fail_errno("epoll_create1");
    for (size_t i = 0; i < echo->conn_count; i++)
        wz_conn_open(&echo->conns[i], protocol,
                     &(struct wz_conn_options){
                         .port = options->port, .number = (unsigned)i, .rx_cap = READ_BYTES});
    for (size_t i = 0; i < echo->topic_count; i++) {
        wz_ring_topic(options->topic, i % options->devices, i / options->devices, &echo->topics[i]);
        if (!echo->acks)
            subscribe_topic(echo, i);
    }
    for (size_t i = 0; i < echo->conn_count; i++)
        wz_conn_watch(&echo->conns[i], echo->epoll_fd, i, false);
}

static void close_echo(struct echo *echo)
{
    for (size_t i = 0; i < echo->conn_count; i++)
        wz_conn_close(&echo->conns[i]);
    for (size_t i = 0; i < echo->topic_count; i++)
        wz_bytes_release(&echo->topics[i]);
    wz_bytes_release(&echo->body);
    free(echo->conns);
    free(echo->topics);
    free(echo->latencies);
    free(echo->lateness);
    free(echo->answered);
    free(echo->unacked);
    (void)close(echo->epoll_fd); // An epoll set holds nothing that could be lost.
}

static uint64_t due_ns(const struct echo *echo, uint64_t n)
{
    return echo->start_ns + n * SECOND_NS / echo->options->rate;
}

static void send_reading(struct echo *echo, uint64_t n)
{
    size_t place = (size_t)(n % echo->topic_count);
    struct wz_conn *conn = &echo->conns[place % echo->conn_count];

    wz_ring_body(n, echo->options->body_bytes, &echo->body);
    conn->protocol->publish(&conn->tx,
                            &(struct wz_publish){.topic = (const char *)echo->topics[place].data,
                                                 .body = echo->body.data,
                                                 .len = echo->body.len,
                                                 .qos = (unsigned)echo->options->qos,
                                                 .id = packet_id(n),
                                                 .conn = conn->number});
    if (echo->acks && echo->unacked[packet_id(n)] != 0)
        wz_fail("%u readings wait for their acks", (unsigned)WZ_PROTOCOL_MAX_ID);
    echo->unacked[packet_id(n)] = echo->acks ? n + 1 : 0;
}

static void flush_conn(struct echo *echo, size_t number)
{
    struct wz_conn *conn = &echo->conns[number];
    bool flushed = wz_conn_flush(conn);

    wz_conn_watch(conn, echo->epoll_fd, number, !flushed);
}

// Usually one reading is due; after a pause of this process all that were missed are.
static void send_due(struct echo *echo, uint64_t now_ns)
{
    while (echo->sent < echo->total && due_ns(echo, echo->sent) <= now_ns) {
        size_t conn = (size_t)(echo->sent % echo->topic_count) % echo->conn_count;

        wz_histogram_add(echo->lateness, now_ns - due_ns(echo, echo->sent));
        send_reading(echo, echo->sent++);
        flush_conn(echo, conn);
    }
}

// The number of the reading that an event answers; UINT64_MAX: none of this run.
static uint64_t answered_number(struct echo *echo, const struct wz_event *event)
{
    uint64_t n;

    if (!echo->acks)
        return wz_ring_find_seq(event->body, event->len);
    if (event->id > WZ_PROTOCOL_MAX_ID || echo->unacked[event->id] == 0)
        return UINT64_MAX;
    n = echo->unacked[event->id] - 1;
    echo->unacked[event->id] = 0;
    return n;
}

static void take_answer(struct echo *echo, const struct wz_event *event, uint64_t now_ns)
{
    uint64_t n = answered_number(echo, event);

    if (n >= echo->sent) {
        echo->strange++;
    } else if (echo->answered[n] != 0) {
        echo->doubled++;
    } else {
        echo->answered[n] = 1;
        echo->received++;
        echo->last_ns = now_ns;
        wz_histogram_add(echo->latencies, now_ns - due_ns(echo, n));
    }
}

static void read_answers(struct echo *echo, size_t number)
{
    struct wz_conn *conn = &echo->conns[number];
    struct wz_event events[EVENT_CAP];
    uint64_t now_ns;
    size_t count;

    if (!wz_conn_fill(conn))
        return;
    now_ns = wz_clock_now_ns();
    while ((count = wz_conn_events(conn, events, EVENT_CAP)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind == (echo->acks ? WZ_EVENT_ACK : WZ_EVENT_MESSAGE))
                take_answer(echo, &events[i], now_ns);
        }
    }
}

static uint64_t next_wake_ns(const struct echo *echo)
{
    if (echo->sent < echo->total)
        return due_ns(echo, echo->sent);
    return echo->last_ns + echo->options->idle_ms * 1000000;
}

static void serve_until(struct echo *echo, uint64_t wake_ns)
{
    struct epoll_event ready[EPOLL_EVENTS];
    uint64_t now_ns = wz_clock_now_ns();
    uint64_t left_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left_ns / SECOND_NS),
                               .tv_nsec = (long)(left_ns % SECOND_NS)};
    int count = epoll_pwait2(echo->epoll_fd, ready, EPOLL_EVENTS, &timeout, NULL);

    for (int i = 0; i < count; i++) {
        size_t number = (size_t)ready[i].data.u64;

        if (ready[i].events & ~(uint32_t)EPOLLOUT)
            read_answers(echo, number);
        flush_conn(echo, number);
    }
}

static void run_echo(struct echo *echo)
{
    echo->start_ns = wz_clock_now_ns() + SECOND_NS / 100;
    echo->last_ns = echo->start_ns;
    while (echo->received < echo->total) {
        uint64_t now_ns = wz_clock_now_ns();

        if (echo->sent == echo->total && next_wake_ns(echo) <= now_ns)
            break;
        send_due(echo, now_ns);
        serve_until(echo, next_wake_ns(echo));
        if (echo->sent < echo->total && echo->last_ns < due_ns(echo, echo->sent))
            echo->last_ns = due_ns(echo, echo->sent);
    }
}

static void report_echo(const char *mode, const struct echo *echo)
{
    double seconds = (double)(echo->last_ns - echo->start_ns) / 1e9;

    wz_report_begin(mode);
    wz_report_count("messages", echo->sent);
    wz_report_number("seconds", seconds);
    wz_report_number("rate", (double)echo->received / seconds);
    wz_report_count("received", echo->received);
    wz_report_count("lost", echo->sent - echo->received);
    wz_report_count("doubled", echo->doubled);
    wz_report_count("strange", echo->strange);
    wz_report_latencies("latency_us", echo->latencies);
    wz_report_latencies("late_us", echo->lateness);
    wz_report_end();
}

static void run_and_report(struct echo *echo, const char *mode, const struct wz_protocol *protocol)
{
    // Timers may fire 50 us late by default; readings are due every 200 us.
    if (prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS) != 0)
        wz_fail_errno("PR_SET_TIMERSLACK");
    open_echo(echo, protocol);
    run_echo(echo);
    report_echo(mode, echo);
    close_echo(echo);
}

void wz_echo_run(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options)
{
    struct echo echo = {.options = options};

    run_and_report(&echo, mode, protocol);
}

void wz_echo_run_acks(const char *mode, const struct wz_protocol *protocol,
                      const struct wz_options *options)
{
    struct echo echo = {.options = options, .acks = true};

    run_and_report(&echo, mode, protocol);
}
