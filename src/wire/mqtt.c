// SPDX-License-Identifier: Apache-2.0
// Owns the form of MQTT 3.1.1 packets. Pure: no state, no input or output.
#include "wire/mqtt.h"

#include "base/utf8.h"

// Flag bits of CONNECT (3.1.2.3).
#define CONNECT_RESERVED 0x01
#define CONNECT_CLEAN 0x02
#define CONNECT_WILL 0x04
#define CONNECT_WILL_RETAIN 0x20
#define CONNECT_PASSWORD 0x40
#define CONNECT_USER 0x80

int wz_mqtt_frame_read(struct wz_slice s, size_t max, struct wz_mqtt_frame *ret_frame)
{
    uint32_t body_len = 0;
    size_t pos = 1;

    ret_frame->len = 0;
    for (;; pos++) {
        if (pos > 4)
            return WZ_ERR_PROTOCOL;
        if (pos >= s.len)
            return WZ_AGAIN;
        body_len |= (uint32_t)(s.ptr[pos] & 0x7f) << (7 * (pos - 1));
        if (s.ptr[pos] < 0x80)
            break;
    }
    ret_frame->len = pos + 1 + body_len;
    if (ret_frame->len > max)
        return WZ_ERR_TOO_LARGE;
    if (s.len < ret_frame->len)
        return WZ_AGAIN;
    ret_frame->type = s.ptr[0] >> 4;
    ret_frame->flags = s.ptr[0] & 15;
    ret_frame->body = wz_slice(s.ptr + pos + 1, body_len);
    return WZ_OK;
}

static struct wz_slice get_string(struct wz_cursor *cur)
{
    return wz_cursor_get_bytes(cur, wz_cursor_get_u16(cur));
}

// A UTF-8 string as 1.5.3 has it: well-formed, without NUL.
static bool text_valid(struct wz_slice s)
{
    return (s.len == 0 || memchr(s.ptr, 0, s.len) == NULL) && wz_utf8_valid(s);
}

// The flags against one another (3.1.2.3 to 3.1.2.9).
static int connect_flags_read(uint8_t flags, struct wz_mqtt_connect *ret_connect)
{
    ret_connect->clean_session = (flags & CONNECT_CLEAN) != 0;
    ret_connect->has_will = (flags & CONNECT_WILL) != 0;
    ret_connect->will_qos = flags >> 3 & 3;
    ret_connect->will_retain = (flags & CONNECT_WILL_RETAIN) != 0;
    ret_connect->has_user = (flags & CONNECT_USER) != 0;
    ret_connect->has_password = (flags & CONNECT_PASSWORD) != 0;
    if ((flags & CONNECT_RESERVED) != 0 || ret_connect->will_qos > 2)
        return WZ_ERR_PROTOCOL;
    if (!ret_connect->has_will && (ret_connect->will_qos > 0 || ret_connect->will_retain))
        return WZ_ERR_PROTOCOL;
    if (ret_connect->has_password && !ret_connect->has_user)
        return WZ_ERR_PROTOCOL;
    return WZ_OK;
}

static int connect_payload_read(struct wz_cursor *cur, struct wz_mqtt_connect *ret_connect)
{
    ret_connect->client_id = get_string(cur);
    if (ret_connect->has_will) {
        ret_connect->will_topic = get_string(cur);
        ret_connect->will_message = get_string(cur);
    }
    if (ret_connect->has_user)
        ret_connect->user = get_string(cur);
    if (ret_connect->has_password)
        ret_connect->password = get_string(cur);
    if (cur->failed || wz_cursor_left(cur) > 0)
        return WZ_ERR_PROTOCOL;
    if (!text_valid(ret_connect->client_id) || !text_valid(ret_connect->user))
        return WZ_ERR_PROTOCOL;
    if (ret_connect->has_will && !wz_mqtt_topic_valid(ret_connect->will_topic))
        return WZ_ERR_PROTOCOL;
    return WZ_OK;
}

int wz_mqtt_connect_read(const struct wz_mqtt_frame *frame, struct wz_mqtt_connect *ret_connect)
{
    struct wz_cursor cur = wz_cursor(frame->body);
    struct wz_mqtt_connect connect = {0};
    struct wz_slice name = get_string(&cur);
    uint8_t level = wz_cursor_get_u8(&cur);
    int r;

    if (frame->type != WZ_MQTT_CONNECT || frame->flags != 0 || cur.failed)
        return WZ_ERR_PROTOCOL;
    if (wz_slice_eq(name, WZ_SLICE_LIT("MQIsdp")) && level == 3)
        return WZ_ERR_UNSUPPORTED;
    if (!wz_slice_eq(name, WZ_SLICE_LIT("MQTT")))
        return WZ_ERR_PROTOCOL;
    if (level != 4)
        return WZ_ERR_UNSUPPORTED;
    r = connect_flags_read(wz_cursor_get_u8(&cur), &connect);
    if (r < 0)
        return r;
    connect.keep_alive_s = wz_cursor_get_u16(&cur);
    r = connect_payload_read(&cur, &connect);
    if (r < 0)
        return r;
    *ret_connect = connect;
    return WZ_OK;
}

int wz_mqtt_publish_read(const struct wz_mqtt_frame *frame, struct wz_mqtt_publish *ret_publish)
{
    struct wz_cursor cur = wz_cursor(frame->body);
    struct wz_mqtt_publish publish = {
        .qos = frame->flags >> 1 & 3,
        .dup = (frame->flags & 8) != 0,
        .retain = (frame->flags & 1) != 0,
    };

    if (frame->type != WZ_MQTT_PUBLISH || publish.qos > 2 || (publish.dup && publish.qos == 0))
        return WZ_ERR_PROTOCOL;
    publish.topic = get_string(&cur);
    if (publish.qos > 0) {
        publish.packet_id = wz_cursor_get_u16(&cur);
        if (publish.packet_id == 0)
            return WZ_ERR_PROTOCOL;
    }
    if (cur.failed || publish.topic.len == 0)
        return WZ_ERR_PROTOCOL;
    publish.payload = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    *ret_publish = publish;
    return WZ_OK;
}

int wz_mqtt_ack_read(const struct wz_mqtt_frame *frame, uint16_t *ret_packet_id)
{
    struct wz_cursor cur = wz_cursor(frame->body);
    uint16_t packet_id = wz_cursor_get_u16(&cur);

    if (frame->flags != (frame->type == WZ_MQTT_PUBREL ? 2 : 0))
        return WZ_ERR_PROTOCOL;
    if (cur.failed || wz_cursor_left(&cur) > 0 || packet_id == 0)
        return WZ_ERR_PROTOCOL;
    *ret_packet_id = packet_id;
    return WZ_OK;
}

int wz_mqtt_filters_read(const struct wz_mqtt_frame *frame, uint16_t *ret_packet_id,
                         struct wz_mqtt_filters *ret_filters)
{
    struct wz_cursor cur = wz_cursor(frame->body);
    uint16_t packet_id = wz_cursor_get_u16(&cur);

    if (frame->flags != 2 || cur.failed || packet_id == 0 || wz_cursor_left(&cur) == 0)
        return WZ_ERR_PROTOCOL;
    *ret_packet_id = packet_id;
    ret_filters->cur = cur;
    ret_filters->with_qos = frame->type == WZ_MQTT_SUBSCRIBE;
    return WZ_OK;
}

int wz_mqtt_filters_next(struct wz_mqtt_filters *filters, struct wz_mqtt_filter *ret_filter)
{
    struct wz_mqtt_filter entry = {0};

    if (wz_cursor_left(&filters->cur) == 0)
        return WZ_END;
    entry.filter = get_string(&filters->cur);
    if (filters->with_qos)
        entry.qos = wz_cursor_get_u8(&filters->cur);
    if (filters->cur.failed || entry.qos > 2 || entry.filter.len == 0 || !text_valid(entry.filter))
        return WZ_ERR_PROTOCOL;
    *ret_filter = entry;
    return WZ_OK;
}

int wz_mqtt_empty_read(const struct wz_mqtt_frame *frame)
{
    return frame->flags == 0 && frame->body.len == 0 ? WZ_OK : WZ_ERR_PROTOCOL;
}

bool wz_mqtt_topic_valid(struct wz_slice s)
{
    if (s.len == 0 || s.len > UINT16_MAX || !text_valid(s))
        return false;
    return memchr(s.ptr, '+', s.len) == NULL && memchr(s.ptr, '#', s.len) == NULL;
}

static size_t length_len(size_t len)
{
    return len < 128 ? 1 : len < 16384 ? 2 : len < 2097152 ? 3 : 4;
}

static void put_fixed(struct wz_pen *pen, unsigned type, unsigned flags, size_t body_len)
{
    wz_pen_put_u8(pen, (uint8_t)(type << 4 | flags));
    for (; body_len >= 128; body_len >>= 7)
        wz_pen_put_u8(pen, (uint8_t)(body_len | 0x80));
    wz_pen_put_u8(pen, (uint8_t)body_len);
}

static size_t publish_body_len(const struct wz_mqtt_publish *publish)
{
    return 2 + publish->topic.len + (publish->qos > 0 ? 2 : 0) + publish->payload.len;
}

size_t wz_mqtt_publish_len(const struct wz_mqtt_publish *publish)
{
    size_t body_len = publish_body_len(publish);

    return 1 + length_len(body_len) + body_len;
}

void wz_mqtt_publish_write(struct wz_pen *pen, const struct wz_mqtt_publish *publish)
{
    unsigned flags = (unsigned)publish->qos << 1 | (publish->dup ? 8u : 0) | publish->retain;

    put_fixed(pen, WZ_MQTT_PUBLISH, flags, publish_body_len(publish));
    wz_pen_put_u16(pen, (uint16_t)publish->topic.len);
    wz_pen_put_slice(pen, publish->topic);
    if (publish->qos > 0)
        wz_pen_put_u16(pen, publish->packet_id);
    wz_pen_put_slice(pen, publish->payload);
}

void wz_mqtt_connack_write(struct wz_pen *pen, bool session_present, enum wz_mqtt_connack code)
{
    put_fixed(pen, WZ_MQTT_CONNACK, 0, 2);
    wz_pen_put_u8(pen, session_present ? 1 : 0);
    wz_pen_put_u8(pen, (uint8_t)code);
}

void wz_mqtt_ack_write(struct wz_pen *pen, enum wz_mqtt_type type, uint16_t packet_id)
{
    put_fixed(pen, type, type == WZ_MQTT_PUBREL ? 2 : 0, 2);
    wz_pen_put_u16(pen, packet_id);
}

void wz_mqtt_suback_write(struct wz_pen *pen, uint16_t packet_id, size_t count)
{
    put_fixed(pen, WZ_MQTT_SUBACK, 0, 2 + count);
    wz_pen_put_u16(pen, packet_id);
}

void wz_mqtt_empty_write(struct wz_pen *pen, enum wz_mqtt_type type) { put_fixed(pen, type, 0, 0); }
