// SPDX-License-Identifier: Apache-2.0
// An MQTT session: subscriptions, and what is on its way to the client. It lasts as long as its
// connection (3.1.1, 4.1: a session must last at least that long).
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "broker/exchange.h"
#include "broker/packet_ids.h"
#include "broker/queue.h"
#include "loop/conn.h"
#include "wire/mqtt.h"

// Limits of a session, from the configuration.
struct wz_session_limits {
    uint32_t max_inflight;      // QoS 1 messages sent and not acked
    uint32_t max_subscriptions; // filters
    size_t max_queued;          // messages that wait to be sent
    size_t max_queued_bytes;
    size_t max_out_bytes; // output that the peer has not taken
};

// What the sessions of a door count together; added to the metrics once a turn.
struct wz_session_counts {
    int64_t sent;
    int64_t dropped;
};

// A session, embedded in its client's struct.
struct wz_session {
    struct wz_receiver receiver;
    struct wz_exchange *exchange;
    struct wz_conn *conn;
    const struct wz_session_limits *limits;
    struct wz_session_counts *counts;
    struct wz_list *pumps; // the door's list of sessions with messages that wait
    struct wz_list pump;
    struct wz_map subscriptions; // filter -> binding
    struct wz_packet_ids sent;   // QoS 1 messages the client has not acked
    struct wz_queue queue;
};

// Starts a session for CONN; everything it is given must outlive it.
void wz_session_init(struct wz_session *session, struct wz_exchange *exchange, struct wz_conn *conn,
                     const struct wz_session_limits *limits, struct wz_session_counts *counts,
                     struct wz_list *pumps);

// Ends it: subscriptions and messages go. Not from inside a publish.
void wz_session_release(struct wz_session *session);

// Subscribes to a well-formed filter. Returns the QoS granted (0 or 1) or WZ_MQTT_SUBACK_FAILURE at
// a limit.
unsigned wz_session_subscribe(struct wz_session *session, struct wz_slice filter, unsigned qos);

// Ends a subscription; nothing happens when there is none (3.10.4).
void wz_session_unsubscribe(struct wz_session *session, struct wz_slice filter);

// The client has acked a QoS 1 message; an identifier that is not in use is ignored.
void wz_session_acked(struct wz_session *session, uint16_t packet_id);

// Sends what waits, as far as window and connection allow.
void wz_session_pump(struct wz_session *session);
