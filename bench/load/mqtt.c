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
static void mqtt_hello(struct wz_bytes *out, const char *client)
{
    static const uint8_t fixed[] = {0x00, 0x04, 'M', 'Q', 'T', 'T', 0x04, 0x02, 0x00, 0x00};

    wz_bytes_put_u8(out, 0x10);
    put_remaining_length(out, sizeof(fixed) + 2 + strlen(client));
    wz_bytes_put(out, fixed, sizeof(fixed));
    put_string(out, client);
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

    wz_bytes_put_u8(out, (uint8_t)(0x30 | publish->qos << 1));
    put_remaining_length(out, 2 + strlen(publish->topic) + id_len + publish->len);
    put_string(out, publish->topic);
    if (publish->qos != 0)
        wz_bytes_put_u16(out, (uint16_t)publish->id);
    wz_bytes_put(out, publish->body, publish->len);
}

static void mqtt_ping(struct wz_bytes *out) { wz_bytes_put(out, "\xc0\x00", 2); }

static void mqtt_pong(struct wz_bytes *out)
{
    // Servers ask nothing in MQTT: decode never makes a WZ_EVENT_PING.
    (void)out;
}

static void mqtt_ack(struct wz_bytes *out, uint32_t id)
{
    uint8_t packet[4] = {0x40, 0x02, (uint8_t)(id >> 8), (uint8_t)(id & 0xff)};

    wz_bytes_put(out, packet, sizeof(packet));
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

    if (packet->len < head_len)
        wz_fail("the server sent a PUBLISH of %zu bytes", packet->len);
    topic_len = (size_t)packet->data[0] << 8 | packet->data[1];
    if (packet->len - head_len < topic_len)
        wz_fail("the server sent a PUBLISH whose topic is longer than the packet");
    ret_event->kind = WZ_EVENT_MESSAGE;
    ret_event->id = 0;
    if (qos != 0)
        ret_event->id = (uint32_t)packet->data[2 + topic_len] << 8 | packet->data[3 + topic_len];
    ret_event->body = packet->data + head_len + topic_len;
    ret_event->len = packet->len - head_len - topic_len;
}

static void read_packet(const struct packet *packet, struct wz_event *ret_event)
{
    const uint8_t *data = packet->data;

    ret_event->body = data;
    ret_event->len = 0;
    ret_event->kind = WZ_EVENT_REPLY;
    if (packet->type == PUBLISH) {
        read_publish(packet, ret_event);
    } else if (packet->type == PUBACK && packet->len == 2) {
        ret_event->kind = WZ_EVENT_ACK;
        ret_event->id = (uint32_t)data[0] << 8 | data[1];
    } else if (packet->type == CONNACK && packet->len == 2) {
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
    .pong = mqtt_pong,
    .ack = mqtt_ack,
    .decode = mqtt_decode,
};
