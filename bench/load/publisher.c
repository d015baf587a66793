// SPDX-License-Identifier: Apache-2.0
// Publishing: a window of messages is released, the ring's bytes up to the last released
// message are written, acks move the window on; at QoS 2 that is PUBCOMP. Latency counts from the
// release, so that time spent in a full socket is not forgotten.

#include "publisher.h"

#include <stdlib.h>

#include "fail.h"
#include "histogram.h"
#include "ring.h"

#define WRITE_BYTES (256u * 1024)
#define EVENT_CAP 256

void wz_publisher_open(struct wz_publisher *publisher, const struct wz_conn *conn, unsigned qos,
                       const struct wz_ring *ring, struct wz_histogram *latencies)
{
    *publisher =
        (struct wz_publisher){.conn = *conn, .ring = ring, .latencies = latencies, .qos = qos};
    publisher->released_ns = calloc(WZ_PROTOCOL_MAX_ID + 1, sizeof(*publisher->released_ns));
    publisher->received = calloc(WZ_PROTOCOL_MAX_ID + 1, sizeof(*publisher->received));
    if (publisher->released_ns == NULL || publisher->received == NULL)
        wz_fail("out of memory");
}

void wz_publisher_begin(struct wz_publisher *publisher, uint64_t first, uint64_t total,
                        uint64_t window)
{
    publisher->first = first;
    publisher->total = total;
    publisher->window = window;
    publisher->sent_bytes = wz_ring_bytes_before(publisher->ring, first);
    publisher->limit_bytes = publisher->sent_bytes;
}

static void set_limit(struct wz_publisher *publisher)
{
    publisher->limit_bytes = UINT64_MAX;
    if (publisher->released != UINT64_MAX)
        publisher->limit_bytes =
            wz_ring_bytes_before(publisher->ring, publisher->first + publisher->released);
}

static void release(struct wz_publisher *publisher, uint64_t now_ns)
{
    uint64_t until = publisher->total;

    if (publisher->window != 0 && until > publisher->acked + publisher->window)
        until = publisher->acked + publisher->window;
    if (until <= publisher->released)
        return;
    if (publisher->window != 0) {
        for (uint64_t n = publisher->released; n < until; n++) {
            uint64_t place = (publisher->first + n) % publisher->ring->count;

            uint64_t id = 1 + place % publisher->ring->id_count;

            if (publisher->released_ns[id] != 0)
                wz_fail("connection %u has used all ids and got no ack for message %u",
                        publisher->conn.number, (unsigned)id);
            publisher->released_ns[id] = now_ns;
        }
    }
    publisher->released = until;
    set_limit(publisher);
}

// Writes ring bytes until the position; stops early when the socket is full.
static bool write_until(struct wz_publisher *publisher, uint64_t limit)
{
    const struct wz_bytes *packets = &publisher->ring->packets;
    size_t budget = WRITE_BYTES;

    while (publisher->sent_bytes < limit && budget > 0) {
        size_t pos = (size_t)(publisher->sent_bytes % packets->len);
        size_t len = packets->len - pos;
        size_t sent;

        if (len > limit - publisher->sent_bytes)
            len = (size_t)(limit - publisher->sent_bytes);
        if (len > budget)
            len = budget;
        sent = wz_conn_send(&publisher->conn, packets->data + pos, len);
        publisher->sent_bytes += sent;
        budget -= sent;
        if (sent < len)
            return false;
    }
    return publisher->sent_bytes == limit;
}

// Control packets go between two messages.
static bool write_control(struct wz_publisher *publisher)
{
    const struct wz_ring *ring = publisher->ring;
    uint64_t begun;

    if (publisher->conn.tx.len == 0)
        return true;
    begun = wz_ring_messages_begun(ring, publisher->sent_bytes);
    return write_until(publisher, wz_ring_bytes_before(ring, begun)) &&
           wz_conn_flush(&publisher->conn);
}

void wz_publisher_write(struct wz_publisher *publisher, uint64_t now_ns)
{
    if (!write_control(publisher))
        return;
    release(publisher, now_ns);
    if (!write_until(publisher, publisher->limit_bytes))
        return;
    if (publisher->released < publisher->total || publisher->pinged)
        return;
    if (publisher->window != 0) {
        publisher->done = publisher->acked == publisher->total;
        return;
    }
    publisher->conn.protocol->ping(&publisher->conn.tx);
    publisher->pinged = true;
    (void)wz_conn_flush(&publisher->conn); // wz_publisher_wants_out sees what is left.
}

static void take_received(struct wz_publisher *publisher, uint32_t id)
{
    if (publisher->qos != 2 || publisher->released_ns[id] == 0 || publisher->received[id])
        wz_fail("connection %u got a PUBREC for message %u, which is not in flight",
                publisher->conn.number, id);
    publisher->received[id] = true;
}

static void take_ack(struct wz_publisher *publisher, uint32_t id, uint64_t now_ns)
{
    if (id > WZ_PROTOCOL_MAX_ID || publisher->released_ns[id] == 0)
        wz_fail("connection %u got an ack for message %u, which is not in flight",
                publisher->conn.number, id);
    if (publisher->received[id] != (publisher->qos == 2))
        wz_fail("connection %u got the wrong kind of ack for message %u", publisher->conn.number,
                id);
    publisher->received[id] = false;
    wz_histogram_add(publisher->latencies, now_ns - publisher->released_ns[id]);
    publisher->released_ns[id] = 0;
    publisher->acked++;
}

void wz_publisher_read(struct wz_publisher *publisher, uint64_t now_ns)
{
    struct wz_event events[EVENT_CAP];
    size_t count;

    if (!wz_conn_fill(&publisher->conn))
        return;
    while ((count = wz_conn_events(&publisher->conn, events, EVENT_CAP)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind == WZ_EVENT_ACK && publisher->window != 0)
                take_ack(publisher, events[i].id, now_ns);
            else if (events[i].kind == WZ_EVENT_RECEIVED)
                take_received(publisher, events[i].id);
            else if (events[i].kind == WZ_EVENT_REPLY && publisher->pinged)
                publisher->done = true;
        }
    }
}

void wz_publisher_stop(struct wz_publisher *publisher)
{
    if (publisher->total != UINT64_MAX)
        return;
    publisher->total = publisher->released;
    if (publisher->window == 0)
        publisher->total =
            wz_ring_messages_begun(publisher->ring, publisher->sent_bytes) - publisher->first;
    publisher->released = publisher->total;
    set_limit(publisher);
}

bool wz_publisher_wants_out(const struct wz_publisher *publisher)
{
    return publisher->conn.tx.len != 0 || publisher->sent_bytes < publisher->limit_bytes;
}

void wz_publisher_close(struct wz_publisher *publisher)
{
    wz_conn_close(&publisher->conn);
    free(publisher->released_ns);
    free(publisher->received);
    *publisher = (struct wz_publisher){0};
}
