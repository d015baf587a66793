// SPDX-License-Identifier: Apache-2.0
// Counting messages; the acks of one read leave in one write.

#include "subscriber.h"

#include <unistd.h>

#include "fail.h"
#include "ring.h"
#include "tally.h"

#define EVENT_CAP 256

static bool is_held(const struct wz_subscriber *subscriber, uint32_t id)
{
    return (subscriber->held[id / 8] >> id % 8 & 1) != 0;
}

static void turn_held(struct wz_subscriber *subscriber, uint32_t id)
{
    subscriber->held[id / 8] ^= (uint8_t)(1u << id % 8);
}

static void take_message(struct wz_subscriber *subscriber, const struct wz_event *event)
{
    if (event->qos != subscriber->qos)
        wz_fail("the server sent a message at QoS %u, not %u", event->qos, subscriber->qos);
    // 4.3.3: until its PUBREL a QoS 2 message that comes again is the same message.
    if (event->qos == 2) {
        if (is_held(subscriber, event->id)) {
            if (!event->repeated)
                wz_fail("the server used the id %u again before its PUBREL", event->id);
            return;
        }
        turn_held(subscriber, event->id);
        subscriber->unreleased++;
    }
    subscriber->received++;
    subscriber->repeated += event->repeated ? 1 : 0;
    if (subscriber->tally != NULL)
        wz_tally_receive(subscriber->tally, wz_ring_find_seq(event->body, event->len));
}

// A PUBREL for an unknown id is legal: its message came on an earlier connection.
static void take_release(struct wz_subscriber *subscriber, uint32_t id)
{
    if (!is_held(subscriber, id))
        return;
    turn_held(subscriber, id);
    subscriber->unreleased--;
}

void wz_subscriber_take(struct wz_subscriber *subscriber, uint64_t now_ns)
{
    struct wz_event events[EVENT_CAP];
    uint64_t before = subscriber->received;
    size_t count;

    while ((count = wz_conn_events(&subscriber->conn, events, EVENT_CAP)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind == WZ_EVENT_MESSAGE)
                take_message(subscriber, &events[i]);
            else if (events[i].kind == WZ_EVENT_RELEASE)
                take_release(subscriber, events[i].id);
        }
    }
    if (subscriber->received > before) {
        if (subscriber->first_ns == 0)
            subscriber->first_ns = now_ns;
        subscriber->last_ns = now_ns;
    }
}

void wz_subscriber_read(struct wz_subscriber *subscriber, uint64_t now_ns)
{
    if (!wz_conn_fill(&subscriber->conn))
        return;
    wz_subscriber_take(subscriber, now_ns);
    if (subscriber->slow_us != 0)
        (void)usleep((useconds_t)subscriber->slow_us); // A signal may shorten the pause.
}
