// SPDX-License-Identifier: Apache-2.0
// Counting messages; the acks of one read leave in one write.

#include "subscriber.h"

#include <unistd.h>

#include "protocol.h"

#define EVENT_CAP 256

void wz_subscriber_read(struct wz_subscriber *subscriber, uint64_t now_ns)
{
    struct wz_conn *conn = &subscriber->conn;
    struct wz_event events[EVENT_CAP];
    uint64_t before = subscriber->received;
    size_t count;

    if (!wz_conn_fill(conn))
        return;
    while ((count = wz_conn_events(conn, events, EVENT_CAP)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind != WZ_EVENT_MESSAGE)
                continue;
            subscriber->received++;
            if (events[i].id != 0)
                conn->protocol->ack(&conn->tx, events[i].id);
        }
    }
    if (subscriber->received > before) {
        if (subscriber->first_ns == 0)
            subscriber->first_ns = now_ns;
        subscriber->last_ns = now_ns;
    }
    if (subscriber->slow_us != 0)
        (void)usleep((useconds_t)subscriber->slow_us); // A signal may shorten the pause.
}
