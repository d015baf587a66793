// SPDX-License-Identifier: Apache-2.0
// One MQTT client's connection, as the files of the door share it.
#pragma once

#include "broker/acks.h"
#include "broker/mqtt.h"
#include "broker/packet_ids.h"

// Before its CONNECT a client may send this much.
#define WZ_MQTT_CONNECT_BYTES 4096

// Connections above max_connections that may wait for the answer to their CONNECT, which refuses
// them; more are closed at once.
#define WZ_MQTT_SPARE_CONNECTIONS 64

enum wz_mqtt_client_state {
    WZ_MQTT_CLIENT_NEW,     // connected, no CONNECT yet
    WZ_MQTT_CLIENT_OPENING, // CONNECT taken, CONNACK waits for its session to be durable
    WZ_MQTT_CLIENT_OPEN,    // CONNACK sent
    WZ_MQTT_CLIENT_GONE,    // closed; only the socket is still there
};

// A client. It belongs to the door's list until its socket is closed.
struct wz_mqtt_client {
    struct wz_conn conn;
    struct wz_mqtt *mqtt;
    struct wz_list link;    // among all clients
    struct wz_list waiting; // among those that are owed acks
    struct wz_list blocked; // among those whose message could not be taken; on STARVED, too
    struct wz_list choked;  // among those who do not read what they are answered
    struct wz_session session;
    struct wz_ticket opening; // what CONNACK waits for
    struct wz_acks acks;
    struct wz_buf answers;         // SUBACKs among them, one behind the other
    struct wz_packet_ids received; // of a clean session: QoS 2 messages from PUBLISH to PUBREL
    struct wz_parcel *will;
    struct wz_slice id;     // owned bytes
    int64_t heard_ms;       // on the loop's own clock; before CONNECT, when it came
    uint32_t keep_alive_ms; // one and a half times what the client said; 0: none
    enum wz_mqtt_client_state state;
    bool session_present; // as CONNACK says it
};

// The door.
struct wz_mqtt {
    struct wz_mqtt_options options;
    struct wz_listener listener;
    struct wz_loop_part part;
    uv_timer_t timer;
    struct wz_list clients;
    struct wz_list waiting;
    struct wz_list blocked;
    struct wz_list starved; // publishers that wait for room on the disk
    struct wz_list choked;
    struct wz_list pumps;
    struct wz_queue wills;      // of clients that have gone, to be published when there is room
    size_t wills_counted_bytes; // of these, in the loop's budget
    struct wz_map by_id;
    struct wz_session_counts counts;
    struct wz_conn_traffic traffic; // of this turn, as are the counts and those that follow
    int64_t packets;
    int64_t received;       // PUBLISH packets
    int64_t received_bytes; // of their payloads
    uint32_t client_count;
    size_t clients_maximum;    // in by_id, at one time
    struct wz_sys_topics *sys; // NULL: none
    int64_t log_us;            // when something of a connection was logged last,
    int64_t lost_us;           // and a message that somebody does not get
    bool closing;
};

// Handles one packet of a client. WZ_ERR_BUSY: it could not be taken, nothing was done; another
// negative result closes the connection.
typedef int (*wz_mqtt_packet_fn)(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);

// The packets of a connection's life: mqtt_connect.c.
int wz_mqtt_client_connect(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);
int wz_mqtt_client_ping(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);
int wz_mqtt_client_disconnect(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);

// Sends the CONNACK of a client that is opening, if its session is durable by now.
void wz_mqtt_client_opened(struct wz_mqtt_client *client);

// The connection has ended: publishes the will unless a DISCONNECT came first, ends the session.
void wz_mqtt_client_end(struct wz_mqtt_client *client, int err);

// Publishes a message and retains it, if it says so. RET_TICKET is what an ack has to wait for.
// WZ_ERR_BUSY when it cannot be taken now: nobody has had it then.
int wz_mqtt_publish_message(struct wz_mqtt *mqtt, const struct wz_message *msg,
                            struct wz_ticket *ret_ticket);

// What was counted in this turn goes into the metrics: mqtt_counts.c.
void wz_mqtt_add_counts(struct wz_mqtt *mqtt);

// The door's numbers for the topics of $SYS; ARG is the door.
void wz_mqtt_read_numbers(void *arg, int64_t ret_numbers[WZ_SYS_NUMBER_COUNT]);

// The packets of messages and subscriptions: mqtt_message.c.
int wz_mqtt_client_publish(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);
int wz_mqtt_client_acked(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);
int wz_mqtt_client_pubrel(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);
int wz_mqtt_client_subscribe(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);
int wz_mqtt_client_unsubscribe(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame);

// Counts what is held for the client beside input and output: acks that wait, with their packets,
// identifiers, its will.
void wz_mqtt_client_weigh(struct wz_mqtt_client *client);

// Counts the wills that wait. They were counted with their clients before, so none is refused for
// want of memory.
void wz_mqtt_weigh_wills(struct wz_mqtt *mqtt);

// Sends the acks that may leave.
void wz_mqtt_client_acks(struct wz_mqtt_client *client);

// Sends a packet that is a packet identifier and nothing else.
void wz_mqtt_client_send_ack(struct wz_mqtt_client *client, enum wz_mqtt_type type,
                             uint16_t packet_id);
