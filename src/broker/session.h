// SPDX-License-Identifier: Apache-2.0
// What is on its way to one MQTT client: subscriptions, the window, what waits. A clean session
// keeps it in memory for as long as its connection; a persistent one leaves it to a durable queue,
// which outlives the connection (3.1.1, 4.1).
#pragma once

#include "broker/packet_ids.h"
#include "broker/queue.h"
#include "broker/queues.h"
#include "broker/retained.h"
#include "broker/sys_topics.h"
#include "loop/conn.h"
#include "wire/mqtt.h"

// Limits of a session, from the configuration.
struct wz_session_limits {
    uint32_t max_inflight;      // QoS 1 and 2 messages sent and not acked
    uint32_t max_subscriptions; // filters
    size_t max_queued;          // messages that wait to be sent
    size_t max_queued_bytes;
    size_t max_out_bytes; // output that the peer has not taken
};

// What the sessions of a door count together; added to the metrics once a turn.
struct wz_session_counts {
    int64_t sent;
    int64_t sent_bytes; // of their payloads
    int64_t dropped;
    int64_t answers; // packets sent that are no PUBLISH
};

// What a session works with; all of it is borrowed and must outlive it.
struct wz_session_options {
    struct wz_exchange *exchange;
    struct wz_conn *conn;
    const struct wz_session_limits *limits;
    struct wz_session_counts *counts;
    struct wz_list *pumps; // the door's list of sessions that have more to send
    struct wz_queues *queues;
    struct wz_retained *retained;
    const struct wz_sys_topics *sys;  // NULL: none
    struct wz_durable_queue *durable; // of a persistent session; NULL: a clean one
};

// What a clean session keeps in memory. Most clients only publish, so it is made with the first
// subscription.
struct wz_session_clean {
    struct wz_receiver receiver;
    struct wz_map subscriptions;     // filter -> binding
    struct wz_packet_ids sent;       // on their way
    struct wz_packet_ids twos;       // of these, at QoS 2,
    struct wz_packet_ids completing; // and of these, messages that the client has received
    struct wz_queue queue;
};

// A session, embedded in its client's struct.
struct wz_session {
    struct wz_session_options options;
    struct wz_consumer consumer;    // of its durable queue
    struct wz_session_clean *clean; // NULL: nothing was subscribed to yet, or it is persistent
    struct wz_list pump;
    struct wz_list walks;  // retained messages that are still to be sent
    struct wz_map walking; // filter -> its walk, one at the most
    size_t kept_bytes;     // of the subscriptions that were made since it began
    bool started;
};

// Makes a session, to which nothing is sent yet. With a durable queue: inside a group of the
// journal.
void wz_session_init(struct wz_session *session, const struct wz_session_options *options);

// The client knows that it has a session (CONNACK): from here on messages are sent.
void wz_session_start(struct wz_session *session);

// Ends it: a clean session's subscriptions and messages go, a durable queue is left at NOW_MS.
// Inside a group of the journal, not from inside a publish.
void wz_session_release(struct wz_session *session, int64_t now_ms);

// Subscribes to a well-formed filter, inside a group. Returns the QoS granted or
// WZ_MQTT_SUBACK_FAILURE at a limit, or for want of memory. Retained messages that match follow
// (3.8.4).
unsigned wz_session_subscribe(struct wz_session *session, struct wz_slice filter, unsigned qos);

// Ends a subscription, inside a group; nothing happens when there is none (3.10.4).
void wz_session_unsubscribe(struct wz_session *session, struct wz_slice filter);

// The client says PUBACK, PUBREC or PUBCOMP of a message, inside a group. Identifiers that are not
// in use are ignored. WZ_ERR_PROTOCOL for a packet that does not fit the message.
WZ_MUST int wz_session_acked(struct wz_session *session, enum wz_mqtt_type type,
                             uint16_t packet_id);

// Sends what waits, as far as window and connection allow. Not inside a group.
void wz_session_pump(struct wz_session *session);

// The memory of a clean session's identifiers.
size_t wz_session_bytes(const struct wz_session *session);

// Frees memory that is not in use just now.
void wz_session_trim(struct wz_session *session);
