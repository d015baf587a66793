// SPDX-License-Identifier: Apache-2.0
// MQTT 3.1.1 packets (OASIS standard, 29 October 2014): bytes to structs and back, no input or
// output. Clause numbers below are the standard's.
#pragma once

#include "base/cursor.h"

enum wz_mqtt_type {
    WZ_MQTT_CONNECT = 1,
    WZ_MQTT_CONNACK = 2,
    WZ_MQTT_PUBLISH = 3,
    WZ_MQTT_PUBACK = 4,
    WZ_MQTT_PUBREC = 5,
    WZ_MQTT_PUBREL = 6,
    WZ_MQTT_PUBCOMP = 7,
    WZ_MQTT_SUBSCRIBE = 8,
    WZ_MQTT_SUBACK = 9,
    WZ_MQTT_UNSUBSCRIBE = 10,
    WZ_MQTT_UNSUBACK = 11,
    WZ_MQTT_PINGREQ = 12,
    WZ_MQTT_PINGRESP = 13,
    WZ_MQTT_DISCONNECT = 14,
};

// CONNACK return codes (3.2.2.3).
enum wz_mqtt_connack {
    WZ_MQTT_ACCEPTED = 0,
    WZ_MQTT_BAD_PROTOCOL = 1,
    WZ_MQTT_BAD_CLIENT_ID = 2,
    WZ_MQTT_UNAVAILABLE = 3,
    WZ_MQTT_BAD_CREDENTIALS = 4,
    WZ_MQTT_NOT_AUTHORISED = 5,
};

// SUBACK's word for a subscription that is refused (3.9.3).
#define WZ_MQTT_SUBACK_FAILURE 0x80

// The longest fixed header: one byte of type, four of length.
#define WZ_MQTT_FIXED_MAX 5

// A packet's frame: TYPE is not checked to be one of wz_mqtt_type; LEN counts the whole packet.
struct wz_mqtt_frame {
    uint8_t type;
    uint8_t flags;
    struct wz_slice body;
    size_t len;
};

// A CONNECT (3.1). Slices borrow the packet.
struct wz_mqtt_connect {
    struct wz_slice client_id;
    struct wz_slice will_topic;
    struct wz_slice will_message;
    struct wz_slice user;
    struct wz_slice password;
    uint16_t keep_alive_s;
    uint8_t will_qos;
    bool clean_session;
    bool has_will;
    bool will_retain;
    bool has_user;
    bool has_password;
};

// A PUBLISH (3.3). PACKET_ID is 0 at QoS 0.
struct wz_mqtt_publish {
    struct wz_slice topic;
    struct wz_slice payload;
    uint16_t packet_id;
    uint8_t qos;
    bool dup;
    bool retain;
};

// One entry of a SUBSCRIBE or UNSUBSCRIBE.
struct wz_mqtt_filter {
    struct wz_slice filter;
    uint8_t qos;
};

// A walk over the entries of a SUBSCRIBE or UNSUBSCRIBE.
struct wz_mqtt_filters {
    struct wz_cursor cur;
    bool with_qos;
};

// Reads the frame at the front of S. WZ_AGAIN when it is not whole yet (RET_FRAME's len is then the
// length that is needed, or 0 when not even that is known); WZ_ERR_PROTOCOL for a length of more
// than four bytes (2.2.3); WZ_ERR_TOO_LARGE for a packet longer than MAX bytes, as soon as its
// length is known.
WZ_MUST int wz_mqtt_frame_read(struct wz_slice s, size_t max, struct wz_mqtt_frame *ret_frame);

// Reads a CONNECT. WZ_ERR_UNSUPPORTED for MQTT of another level, which is answered with
// WZ_MQTT_BAD_PROTOCOL (3.1.2.2); WZ_ERR_PROTOCOL for what breaks a rule and is closed unanswered.
WZ_MUST int wz_mqtt_connect_read(const struct wz_mqtt_frame *frame,
                                 struct wz_mqtt_connect *ret_connect);

// Reads a PUBLISH. The topic's characters are not looked at: wz_mqtt_topic_valid does that, once
// for a topic and not for each message.
WZ_MUST int wz_mqtt_publish_read(const struct wz_mqtt_frame *frame,
                                 struct wz_mqtt_publish *ret_publish);

// Reads a packet that is a packet identifier and nothing else: PUBACK, PUBREC, PUBREL, PUBCOMP.
WZ_MUST int wz_mqtt_ack_read(const struct wz_mqtt_frame *frame, uint16_t *ret_packet_id);

// Reads the front of a SUBSCRIBE or UNSUBSCRIBE and starts a walk over its entries; at least one is
// there.
WZ_MUST int wz_mqtt_filters_read(const struct wz_mqtt_frame *frame, uint16_t *ret_packet_id,
                                 struct wz_mqtt_filters *ret_filters);

// The next entry; WZ_END after the last, WZ_ERR_PROTOCOL for one that breaks a rule.
WZ_MUST int wz_mqtt_filters_next(struct wz_mqtt_filters *filters,
                                 struct wz_mqtt_filter *ret_filter);

// Reads a packet without body: PINGREQ, DISCONNECT.
WZ_MUST int wz_mqtt_empty_read(const struct wz_mqtt_frame *frame);

// Whether S may be the topic of a message: 1 to 65,535 bytes of UTF-8 without NUL and wildcards
// (4.7.3, 3.3.2.1).
bool wz_mqtt_topic_valid(struct wz_slice s);

// How many bytes the PUBLISH takes.
size_t wz_mqtt_publish_len(const struct wz_mqtt_publish *publish);

// Writes a PUBLISH.
void wz_mqtt_publish_write(struct wz_pen *pen, const struct wz_mqtt_publish *publish);

// Writes a CONNACK.
void wz_mqtt_connack_write(struct wz_pen *pen, bool session_present, enum wz_mqtt_connack code);

// Writes one of the packets that are a packet identifier and nothing else: the four of
// wz_mqtt_ack_read and UNSUBACK.
void wz_mqtt_ack_write(struct wz_pen *pen, enum wz_mqtt_type type, uint16_t packet_id);

// Writes the front of a SUBACK for COUNT entries; that many bytes of wz_pen_put_u8 must follow.
void wz_mqtt_suback_write(struct wz_pen *pen, uint16_t packet_id, size_t count);

// Writes a packet without body: PINGRESP.
void wz_mqtt_empty_write(struct wz_pen *pen, enum wz_mqtt_type type);
