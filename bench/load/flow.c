// SPDX-License-Identifier: Apache-2.0
// One thread for all connections: the load shares its processors with the server under test,
// and a generator that switches between threads would take more from it than it measures.

#include "flow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "fail.h"
#include "histogram.h"
#include "nats.h"
#include "options.h"
#include "publisher.h"
#include "report.h"
#include "ring.h"
#include "subscriber.h"
#include "tally.h"

#define READ_BYTES (512u * 1024)
#define SLOW_READ_BYTES 4096u
#define CONSUMER_WINDOW 1000u // As many as wyze sends ahead: mqtt.max_inflight.
#define EPOLL_EVENTS 64
#define TICK_MS 50
#define STUCK_NS 60000000000u
#define SECOND_NS 1000000000u

struct flow {
    const struct wz_protocol *protocol;
    const struct wz_options *options;
    struct wz_publisher *publishers;
    size_t publisher_count;
    struct wz_subscriber *subscribers;
    size_t subscriber_count;
    struct wz_ring **rings; // One that all share, or one each.
    struct wz_histogram *latencies;
    int epoll_fd;
    uint64_t start_ns;
    uint64_t published_ns; // When the last publisher was done; 0 before.
    uint64_t moved_ns;     // When something last came or went.
};

static void *make(size_t count, size_t size)
{
    void *made = calloc(count, size);

    if (made == NULL)
        wz_fail("out of memory");
    return made;
}

static bool is_jetstream(const struct flow *flow)
{
    return flow->protocol == &wz_nats && flow->options->qos != 0;
}

// JetStream acks every message in an inbox of the connection; the stream must exist first. To
// make it again as it is changes nothing.
static void prepare_jetstream(const struct flow *flow, struct wz_conn *conn)
{
    struct wz_bytes inbox = {0};

    wz_nats_put_inbox(&inbox, conn->number);
    wz_bytes_put_u8(&inbox, 0);
    wz_conn_subscribe(conn, (const char *)inbox.data, 0, 1);
    wz_bytes_release(&inbox);
    wz_nats_put_stream(&conn->tx, flow->options->filter, conn->number);
    (void)wz_conn_await(conn, WZ_EVENT_ACK); // There is no other request it could answer.
}

// A consumer sends only while somebody listens to its subject.
static void subscribe_jetstream(const struct flow *flow, struct wz_conn *conn)
{
    struct wz_bytes subject = {0};

    prepare_jetstream(flow, conn);
    wz_nats_put_deliver(&subject, conn->number);
    wz_bytes_put_u8(&subject, 0);
    wz_conn_subscribe(conn, (const char *)subject.data, 0, 2);
    wz_bytes_release(&subject);
    wz_nats_put_consumer(&conn->tx, CONSUMER_WINDOW, conn->number);
    (void)wz_conn_await(conn, WZ_EVENT_ACK); // There is no other request it could answer.
}

// The number of the first of a publisher's messages when all share a given total.
static uint64_t first_of_share(uint64_t total, size_t count, size_t number)
{
    uint64_t rest = total % count;

    return total / count * number + (number < rest ? number : rest);
}

// The client id of a persistent session; empty bytes for a clean one.
static struct wz_bytes session_name(const struct flow *flow, const char *role, uint64_t persistent,
                                    size_t number)
{
    struct wz_bytes name = {0};

    if (persistent == 0)
        return name;
    wz_bytes_print(&name, "%s-%s-%zu", flow->options->client, role, number);
    wz_bytes_put_u8(&name, 0);
    return name;
}

static void open_publisher(struct flow *flow, size_t number)
{
    const struct wz_options *options = flow->options;
    bool jetstream = is_jetstream(flow);
    size_t count = flow->publisher_count;
    struct wz_bytes name = session_name(flow, "pub", options->persistent_pub, number);
    struct wz_conn conn = {0};
    uint64_t total = UINT64_MAX;
    uint64_t first;

    wz_conn_open(&conn, flow->protocol,
                 &(struct wz_conn_options){.port = options->port,
                                           .number = (unsigned)number,
                                           .rx_cap = READ_BYTES,
                                           .persistent = (const char *)name.data});
    wz_bytes_release(&name);
    if (jetstream)
        prepare_jetstream(flow, &conn);
    if (jetstream || number == 0)
        flow->rings[number] = wz_ring_new(flow->protocol, options, (unsigned)number);
    first = flow->rings[0]->count / count * number;
    if (options->messages != 0) {
        first = first_of_share(options->messages, count, number);
        total = first_of_share(options->messages, count, number + 1) - first;
    }
    wz_publisher_open(&flow->publishers[number], &conn, (unsigned)options->qos,
                      flow->rings[jetstream ? number : 0], flow->latencies);
    wz_publisher_begin(&flow->publishers[number], first, total,
                       options->qos != 0 ? options->window : 0);
}

static void open_subscriber(struct flow *flow, size_t number)
{
    const struct wz_options *options = flow->options;
    struct wz_subscriber *subscriber = &flow->subscribers[number];
    struct wz_conn *conn = &subscriber->conn;
    struct wz_bytes name = session_name(flow, "sub", options->persistent_sub, number);
    bool slow = options->slow_us != 0 && options->body_bytes < SLOW_READ_BYTES / 2;

    subscriber->slow_us = options->slow_us;
    subscriber->qos = (unsigned)options->qos;
    subscriber->begin_ns = wz_clock_now_ns();
    wz_conn_open(conn, flow->protocol,
                 &(struct wz_conn_options){.port = options->port,
                                           .number = (unsigned)(flow->publisher_count + number),
                                           .rx_cap = slow ? SLOW_READ_BYTES : READ_BYTES,
                                           .persistent = (const char *)name.data});
    wz_bytes_release(&name);
    if (flow->publisher_count > 0 || options->messages != 0)
        subscriber->tally = wz_tally_new(wz_ring_count(options->devices * options->subtopics));
    if (options->resume != 0 && !conn->found)
        wz_fail("subscriber %zu has no session to resume", number);
    if (is_jetstream(flow))
        subscribe_jetstream(flow, conn);
    else if (options->resume == 0)
        wz_conn_subscribe(conn, options->filter, (unsigned)options->qos, 1);
}

static void open_flow(struct flow *flow, enum wz_flow_parts parts)
{
    if (parts & WZ_FLOW_PUBLISH)
        flow->publisher_count = flow->options->publishers;
    if (parts & WZ_FLOW_SUBSCRIBE)
        flow->subscriber_count = flow->options->subscribers;
    flow->publishers = make(flow->publisher_count + 1, sizeof(*flow->publishers));
    flow->subscribers = make(flow->subscriber_count + 1, sizeof(*flow->subscribers));
    flow->rings = make(flow->publisher_count + 1, sizeof(struct wz_ring *));
    flow->latencies = make(1, sizeof(*flow->latencies));
    flow->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (flow->epoll_fd < 0)
        wz_fail_errno("epoll_create1");
    for (size_t i = 0; i < flow->subscriber_count; i++)
        open_subscriber(flow, i);
    for (size_t i = 0; i < flow->publisher_count; i++)
        open_publisher(flow, i);
}

static void close_flow(struct flow *flow)
{
    for (size_t i = 0; i < flow->publisher_count; i++) {
        wz_publisher_close(&flow->publishers[i]);
        wz_ring_free(flow->rings[i]);
    }
    for (size_t i = 0; i < flow->subscriber_count; i++) {
        wz_conn_close(&flow->subscribers[i].conn);
        wz_tally_free(flow->subscribers[i].tally);
    }
    free(flow->publishers);
    free(flow->subscribers);
    free(flow->rings);
    free(flow->latencies);
    (void)close(flow->epoll_fd); // An epoll set holds nothing that could be lost.
}

static void watch_publisher(struct flow *flow, size_t number)
{
    struct wz_publisher *publisher = &flow->publishers[number];

    wz_conn_watch(&publisher->conn, flow->epoll_fd, number, wz_publisher_wants_out(publisher));
}

static void watch_subscriber(struct flow *flow, size_t number)
{
    struct wz_conn *conn = &flow->subscribers[number].conn;

    wz_conn_watch(conn, flow->epoll_fd, flow->publisher_count + number, conn->tx.len != 0);
}

static void serve_publisher(struct flow *flow, size_t number, uint32_t ready, uint64_t now_ns)
{
    struct wz_publisher *publisher = &flow->publishers[number];

    if (ready & ~(uint32_t)EPOLLOUT)
        wz_publisher_read(publisher, now_ns);
    wz_publisher_write(publisher, now_ns);
    watch_publisher(flow, number);
}

static void answer_subscriber(struct flow *flow, size_t number)
{
    (void)wz_conn_flush(&flow->subscribers[number].conn); // watch_subscriber sees what is left.
    watch_subscriber(flow, number);
}

static void serve_subscriber(struct flow *flow, size_t number, uint32_t ready, uint64_t now_ns)
{
    if (ready & ~(uint32_t)EPOLLOUT)
        wz_subscriber_read(&flow->subscribers[number], now_ns);
    answer_subscriber(flow, number);
}

// Takes what came together with the reply to the hello.
static void begin_subscriber(struct flow *flow, size_t number)
{
    wz_subscriber_take(&flow->subscribers[number], wz_clock_now_ns());
    answer_subscriber(flow, number);
}

static void serve_ready(struct flow *flow)
{
    struct epoll_event ready[EPOLL_EVENTS];
    int count = epoll_wait(flow->epoll_fd, ready, EPOLL_EVENTS, TICK_MS);
    uint64_t now_ns = wz_clock_now_ns();

    for (int i = 0; i < count; i++) {
        uint64_t id = ready[i].data.u64;

        if (id < flow->publisher_count)
            serve_publisher(flow, id, ready[i].events, now_ns);
        else
            serve_subscriber(flow, id - flow->publisher_count, ready[i].events, now_ns);
    }
    if (count > 0)
        flow->moved_ns = now_ns;
}

static bool all_published(const struct flow *flow)
{
    for (size_t i = 0; i < flow->publisher_count; i++) {
        if (!flow->publishers[i].done)
            return false;
    }
    return true;
}

static uint64_t published_count(const struct flow *flow)
{
    uint64_t count = 0;

    for (size_t i = 0; i < flow->publisher_count; i++)
        count += flow->publishers[i].total;
    return count;
}

static uint64_t received_count(const struct flow *flow)
{
    uint64_t count = 0;

    for (size_t i = 0; i < flow->subscriber_count; i++)
        count += flow->subscribers[i].received;
    return count;
}

// Whether something of a QoS 2 message or an ack is on its way.
static bool subscribers_busy(const struct flow *flow)
{
    for (size_t i = 0; i < flow->subscriber_count; i++) {
        if (flow->subscribers[i].unreleased != 0 || flow->subscribers[i].conn.tx.len != 0)
            return true;
    }
    return false;
}

// What all subscribers together wait for.
static uint64_t expected_count(const struct flow *flow)
{
    if (flow->publisher_count == 0)
        return flow->options->messages != 0 ? flow->options->messages * flow->subscriber_count
                                            : UINT64_MAX;
    return published_count(flow) * flow->subscriber_count;
}

static void stop_when_late(struct flow *flow, uint64_t now_ns)
{
    if (now_ns - flow->start_ns < flow->options->seconds * SECOND_NS)
        return;
    for (size_t i = 0; i < flow->publisher_count; i++) {
        if (flow->publishers[i].total != UINT64_MAX)
            continue;
        wz_publisher_stop(&flow->publishers[i]);
        wz_publisher_write(&flow->publishers[i], now_ns);
        watch_publisher(flow, i);
    }
}

static void publish_all(struct flow *flow)
{
    while (!all_published(flow)) {
        uint64_t now_ns;

        serve_ready(flow);
        now_ns = wz_clock_now_ns();
        stop_when_late(flow, now_ns);
        if (now_ns - flow->moved_ns > STUCK_NS)
            wz_fail("%s: the server took nothing for a minute", flow->protocol->name);
    }
    flow->published_ns = wz_clock_now_ns();
    flow->moved_ns = flow->published_ns;
}

static void receive_rest(struct flow *flow)
{
    uint64_t expected = expected_count(flow);

    while (received_count(flow) < expected || subscribers_busy(flow)) {
        serve_ready(flow);
        if (wz_clock_now_ns() - flow->moved_ns > flow->options->idle_ms * 1000000)
            return;
    }
}

// Tells the tallies what was published: by this process or, with --messages, by another.
static void settle_tallies(struct flow *flow)
{
    for (size_t i = 0; i < flow->subscriber_count; i++) {
        struct wz_tally *tally = flow->subscribers[i].tally;

        if (tally == NULL)
            continue;
        for (size_t p = 0; p < flow->publisher_count; p++)
            wz_tally_publish(tally, flow->publishers[p].first, flow->publishers[p].total);
        if (flow->publisher_count == 0)
            wz_tally_publish(tally, 0, flow->options->messages);
    }
}

static uint64_t last_received_ns(const struct flow *flow, uint64_t *ret_first_ns)
{
    uint64_t last_ns = 0;

    for (size_t i = 0; i < flow->subscriber_count; i++) {
        const struct wz_subscriber *subscriber = &flow->subscribers[i];

        if (subscriber->first_ns != 0 && subscriber->first_ns < *ret_first_ns)
            *ret_first_ns = subscriber->first_ns;
        if (subscriber->last_ns > last_ns)
            last_ns = subscriber->last_ns;
    }
    return last_ns;
}

static void report_tallies(const struct flow *flow)
{
    uint64_t repeated = 0;
    uint64_t lost = 0;
    uint64_t doubled = 0;
    uint64_t strange = 0;

    for (size_t i = 0; i < flow->subscriber_count; i++) {
        const struct wz_subscriber *subscriber = &flow->subscribers[i];

        repeated += subscriber->repeated;
        if (subscriber->tally == NULL)
            continue;
        lost += wz_tally_lost(subscriber->tally);
        doubled += wz_tally_doubled(subscriber->tally);
        strange += subscriber->tally->strange;
    }
    wz_report_count("repeated", repeated);
    if (expected_count(flow) == UINT64_MAX)
        return;
    wz_report_count("lost", lost);
    wz_report_count("doubled", doubled);
    wz_report_count("strange", strange);
}

static void report_received(const struct flow *flow)
{
    uint64_t received = received_count(flow);
    uint64_t first_ns = UINT64_MAX;
    uint64_t last_ns = last_received_ns(flow, &first_ns);

    wz_report_count("received", received);
    report_tallies(flow);
    if (last_ns > first_ns) {
        double seconds = (double)(last_ns - first_ns) / 1e9;

        wz_report_number("receive_seconds", seconds);
        wz_report_number("receive_rate", (double)received / seconds);
    }
    if (flow->options->resume != 0 && last_ns != 0) {
        double seconds = (double)(last_ns - flow->subscribers[0].begin_ns) / 1e9;

        wz_report_number("resume_seconds", seconds);
        wz_report_number("resume_rate", (double)received / seconds);
    }
    if (flow->publisher_count > 0) {
        uint64_t end_ns = last_ns > flow->published_ns ? last_ns : flow->published_ns;

        // Over the time until all was acked and received.
        wz_report_number("through_rate",
                         (double)published_count(flow) * 1e9 / (double)(end_ns - flow->start_ns));
    }
}

static void report_flow(const char *mode, const struct flow *flow)
{
    double seconds = (double)(flow->published_ns - flow->start_ns) / 1e9;

    wz_report_begin(mode);
    if (flow->publisher_count > 0) {
        wz_report_count("messages", published_count(flow));
        wz_report_number("seconds", seconds);
        wz_report_number("rate", (double)published_count(flow) / seconds);
        wz_report_latencies("ack_us", flow->latencies);
    }
    if (flow->subscriber_count > 0)
        report_received(flow);
    wz_report_end();
}

void wz_flow_run(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options, enum wz_flow_parts parts)
{
    struct flow flow = {.protocol = protocol, .options = options};

    open_flow(&flow, parts);
    for (size_t i = 0; i < flow.subscriber_count; i++)
        begin_subscriber(&flow, i);
    flow.start_ns = wz_clock_now_ns();
    flow.moved_ns = flow.start_ns;
    for (size_t i = 0; i < flow.publisher_count; i++)
        serve_publisher(&flow, i, EPOLLOUT, flow.start_ns);
    publish_all(&flow);
    if (flow.subscriber_count > 0)
        receive_rest(&flow);
    settle_tallies(&flow);
    report_flow(mode, &flow);
    close_flow(&flow);
}
