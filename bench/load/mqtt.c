// SPDX-License-Identifier: Apache-2.0
// MQTT 3.1.1 packets (OASIS standard, chapter 3), encoded into growing bytes and decoded from
// the connection's receive buffer without copying.

#include "mqtt.h"

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "fail.h"
#include "protocol.h"

enum packet_type {
    CONNACK = 2,
    PUBLISH = 3,
    PUBACK = 4,
    PUBREC = 5,
    PUBREL = 6,
    PUBCOMP = 7,
    SUBACK = 9,
    PINGRESP = 13,
};

// One packet as it lies in the buffer.
struct packet {
    unsigned type;
    unsigned flags;
    const uint8_t *data; // What follows the fixed header.
    size_t len;
    size_t whole_len; // With the fixed header.
};

static void put_remaining_length(struct wz_bytes *out, size_t len)
{
    do {
        uint8_t digit = (uint8_t)(len & 0x7f);

        len >>= 7;
        wz_bytes_put_u8(out, len != 0 ? (uint8_t)(digit | 0x80) : digit);
    } while (len != 0);
}

static void put_string(struct wz_bytes *out, const char *text)
{
    size_t len = strlen(text);

    wz_bytes_put_u16(out, (uint16_t)len);
    wz_bytes_put(out, text, len);
}

// Keep-alive is off (3.1.2.10): an idle connection shall cost the server no packets.
static void mqtt_hello(struct wz_bytes *out, const struct wz_hello *hello)
{
    uint8_t clean = hello->persistent ? 0x00 : 0x02;
    uint8_t fixed[] = {0x00, 0x04, 'M', 'Q', 'T', 'T', 0x04, clean, 0x00, 0x00};

    wz_bytes_put_u8(out, 0x10);
    put_remaining_length(out, sizeof(fixed) + 2 + strlen(hello->client));
    wz_bytes_put(out, fixed, sizeof(fixed));
    put_string(out, hello->client);
}

static void mqtt_subscribe(struct wz_bytes *out, const char *filter, unsigned qos, uint16_t id)
{
    wz_bytes_put_u8(out, 0x82);
    put_remaining_length(out, 2 + 2 + strlen(filter) + 1);
    wz_bytes_put_u16(out, id);
    put_string(out, filter);
    wz_bytes_put_u8(out, (uint8_t)qos);
}

static void mqtt_publish(struct wz_bytes *out, const struct wz_publish *publish)
{
    size_t id_len = publish->qos != 0 ? 2 : 0;

    wz_bytes_put_u8(out, (uint8_t)(0x30 | publish->qos << 1 | (publish->retain ? 1 : 0)));
    put_remaining_length(out, 2 + strlen(publish->topic) + id_len + publish->len);
    put_string(out, publish->topic);
    if (publish->qos != 0)
        wz_bytes_put_u16(out, (uint16_t)publish->id);
    wz_bytes_put(out, publish->body, publish->len);
}

static void mqtt_ping(struct wz_bytes *out) { wz_bytes_put(out, "\xc0\x00", 2); }

static void put_id_packet(struct wz_bytes *out, unsigned first, uint32_t id)
{
    uint8_t packet[4] = {(uint8_t)first, 0x02, (uint8_t)(id >> 8), (uint8_t)(id & 0xff)};

    wz_bytes_put(out, packet, sizeof(packet));
}

// Servers ask for no pong in MQTT: decode never makes a WZ_EVENT_PING.
static void mqtt_answer(struct wz_bytes *out, const struct wz_event *event)
{
    if (event->kind == WZ_EVENT_MESSAGE && event->qos == 1)
        put_id_packet(out, PUBACK << 4, event->id);
    else if (event->kind == WZ_EVENT_MESSAGE && event->qos == 2)
        put_id_packet(out, PUBREC << 4, event->id);
    else if (event->kind == WZ_EVENT_RECEIVED)
        put_id_packet(out, PUBREL << 4 | 2, event->id); // 3.6.1: the flags are 2.
    else if (event->kind == WZ_EVENT_RELEASE)
        put_id_packet(out, PUBCOMP << 4, event->id);
}

// Finds the packet at the start of data; false when it is not whole yet.
static bool find_packet(const uint8_t *data, size_t len, struct packet *ret_packet)
{
    size_t value = 0;
    size_t pos = 1;

    for (;; pos++) {
        if (pos >= len)
            return false;
        if (pos > 4)
            wz_fail("the server sent a remaining length of more than four bytes");
        value |= (size_t)(data[pos] & 0x7f) << (7 * (pos - 1));
        if ((data[pos] & 0x80) == 0)
            break;
    }
    pos++;
    if (len - pos < value)
        return false;
    *ret_packet = (struct packet){
        .type = data[0] >> 4,
        .flags = data[0] & 0x0f,
        .data = data + pos,
        .len = value,
        .whole_len = pos + value,
    };
    return true;
}

static void read_publish(const struct packet *packet, struct wz_event *ret_event)
{
    unsigned qos = packet->flags >> 1 & 3;
    size_t head_len = qos != 0 ? 4 : 2;
    size_t topic_len;

    if (qos == 3)
        wz_fail("the server sent a PUBLISH of QoS 3");
    if (packet->len < head_len)
        wz_fail("the server sent a PUBLISH of %zu bytes", packet->len);
    topic_len = (size_t)packet->data[0] << 8 | packet->data[1];
    if (packet->len - head_len < topic_len)
        wz_fail("the server sent a PUBLISH whose topic is longer than the packet");
    ret_event->kind = WZ_EVENT_MESSAGE;
    ret_event->qos = qos;
    ret_event->repeated = (packet->flags & 8) != 0;
    if (qos != 0)
        ret_event->id = (uint32_t)packet->data[2 + topic_len] << 8 | packet->data[3 + topic_len];
    ret_event->body = packet->data + head_len + topic_len;
    ret_event->len = packet->len - head_len - topic_len;
}

// The packets that are a packet identifier and nothing else: PUBACK to PUBCOMP.
static void read_id_packet(const struct packet *packet, struct wz_event *ret_event)
{
    static const enum wz_event_kind kinds[] = {
        [PUBACK] = WZ_EVENT_ACK,
        [PUBREC] = WZ_EVENT_RECEIVED,
        [PUBREL] = WZ_EVENT_RELEASE,
        [PUBCOMP] = WZ_EVENT_ACK,
    };

    if (packet->flags != (packet->type == PUBREL ? 2 : 0))
        wz_fail("the server sent a packet of type %u with flags %u", packet->type, packet->flags);
    ret_event->kind = kinds[packet->type];
    ret_event->id = (uint32_t)packet->data[0] << 8 | packet->data[1];
}

static void read_packet(const struct packet *packet, struct wz_event *ret_event)
{
    const uint8_t *data = packet->data;

    *ret_event = (struct wz_event){.kind = WZ_EVENT_REPLY, .body = data};
    if (packet->type == PUBLISH) {
        read_publish(packet, ret_event);
    } else if (packet->type >= PUBACK && packet->type <= PUBCOMP && packet->len == 2) {
        read_id_packet(packet, ret_event);
    } else if (packet->type == CONNACK && packet->len == 2) {
        ret_event->id = data[0] & 1;
        if (data[1] != 0)
            ret_event->kind = WZ_EVENT_REFUSED;
    } else if (packet->type == SUBACK && packet->len >= 3) {
        if (data[packet->len - 1] == 0x80)
            ret_event->kind = WZ_EVENT_REFUSED;
    } else if (packet->type != PINGRESP) {
        wz_fail("the server sent a packet of type %u with %zu bytes", packet->type, packet->len);
    }
}

static size_t mqtt_decode(const uint8_t *data, size_t len, struct wz_event *events, size_t cap,
                          size_t *ret_used)
{
    struct packet packet;
    size_t count = 0;
    size_t pos = 0;

    while (count < cap && find_packet(data + pos, len - pos, &packet)) {
        read_packet(&packet, &events[count++]);
        pos += packet.whole_len;
    }
    *ret_used = pos;
    return count;
}

const struct wz_protocol wz_mqtt = {
    .name = "mqtt",
    .hello = mqtt_hello,
    .subscribe = mqtt_subscribe,
    .publish = mqtt_publish,
    .ping = mqtt_ping,
    .answer = mqtt_answer,
    .decode = mqtt_decode,
};
