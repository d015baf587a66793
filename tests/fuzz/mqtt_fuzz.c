// SPDX-License-Identifier: Apache-2.0
// A stream of MQTT packets. What can be written again must become the same bytes, but for a length
// that took more bytes than it needs; all slices lie inside the packet.
#include "base/err.h"
#include "base/mem.h"
#include "wire/mqtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// A limit that inputs come across.
#define MAX_BYTES 2048

static void check_inside(struct wz_slice whole, struct wz_slice part)
{
    if (part.len > 0)
        WZ_ASSERT(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

// The packet that PEN has written must be that of FRAME.
static void check_same(const struct wz_mqtt_frame *frame, const struct wz_pen *pen,
                       const uint8_t *start)
{
    struct wz_mqtt_frame again;

    WZ_ASSERT(!pen->failed);
    WZ_ASSERT(wz_mqtt_frame_read(wz_slice(start, (size_t)(pen->pos - start)), MAX_BYTES, &again) ==
              WZ_OK);
    WZ_ASSERT(again.len == (size_t)(pen->pos - start) && again.len <= frame->len);
    WZ_ASSERT(again.type == frame->type && again.flags == frame->flags);
    WZ_ASSERT(wz_slice_eq(again.body, frame->body));
}

static void check_publish(const struct wz_mqtt_frame *frame)
{
    uint8_t bytes[MAX_BYTES];
    struct wz_pen pen;
    struct wz_mqtt_publish publish;

    if (wz_mqtt_publish_read(frame, &publish) < 0)
        return;
    check_inside(frame->body, publish.topic);
    check_inside(frame->body, publish.payload);
    WZ_ASSERT((publish.packet_id == 0) == (publish.qos == 0));
    pen = wz_pen(bytes, wz_mqtt_publish_len(&publish)); // as long as it says, to the byte
    wz_mqtt_publish_write(&pen, &publish);
    WZ_ASSERT(pen.pos == pen.end);
    check_same(frame, &pen, bytes);
    if (wz_mqtt_topic_valid(publish.topic))
        WZ_ASSERT(memchr(publish.topic.ptr, 0, publish.topic.len) == NULL);
}

static void check_connect(const struct wz_mqtt_frame *frame)
{
    struct wz_mqtt_connect connect;

    if (wz_mqtt_connect_read(frame, &connect) < 0)
        return;
    check_inside(frame->body, connect.client_id);
    check_inside(frame->body, connect.will_topic);
    check_inside(frame->body, connect.will_message);
    check_inside(frame->body, connect.user);
    check_inside(frame->body, connect.password);
    WZ_ASSERT(connect.has_will || (connect.will_qos == 0 && connect.will_topic.len == 0));
    WZ_ASSERT(connect.has_user || !connect.has_password);
}

static void check_filters(const struct wz_mqtt_frame *frame)
{
    uint8_t bytes[MAX_BYTES];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_mqtt_filters filters;
    struct wz_mqtt_filter entry;
    uint16_t packet_id;
    int r = wz_mqtt_filters_read(frame, &packet_id, &filters);

    if (r < 0)
        return;
    wz_pen_put_u16(&pen, packet_id);
    while ((r = wz_mqtt_filters_next(&filters, &entry)) == WZ_OK) {
        check_inside(frame->body, entry.filter);
        wz_pen_put_u16(&pen, (uint16_t)entry.filter.len);
        wz_pen_put_slice(&pen, entry.filter);
        if (frame->type == WZ_MQTT_SUBSCRIBE)
            wz_pen_put_u8(&pen, entry.qos);
    }
    if (r == WZ_END)
        WZ_ASSERT(wz_slice_eq(wz_slice(bytes, (size_t)(pen.pos - bytes)), frame->body));
}

static void check_ack(const struct wz_mqtt_frame *frame)
{
    uint8_t bytes[4];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    uint16_t packet_id;

    if (wz_mqtt_ack_read(frame, &packet_id) < 0)
        return;
    wz_mqtt_ack_write(&pen, frame->type, packet_id);
    check_same(frame, &pen, bytes);
}

static void check_empty(const struct wz_mqtt_frame *frame)
{
    uint8_t bytes[2];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

    if (wz_mqtt_empty_read(frame) < 0)
        return;
    wz_mqtt_empty_write(&pen, frame->type);
    check_same(frame, &pen, bytes);
}

typedef void (*check_fn)(const struct wz_mqtt_frame *frame);

static const check_fn checks[16] = {
    [WZ_MQTT_CONNECT] = check_connect,   [WZ_MQTT_PUBLISH] = check_publish,
    [WZ_MQTT_PUBACK] = check_ack,        [WZ_MQTT_PUBREC] = check_ack,
    [WZ_MQTT_PUBREL] = check_ack,        [WZ_MQTT_PUBCOMP] = check_ack,
    [WZ_MQTT_SUBSCRIBE] = check_filters, [WZ_MQTT_UNSUBSCRIBE] = check_filters,
    [WZ_MQTT_PINGREQ] = check_empty,     [WZ_MQTT_DISCONNECT] = check_empty,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct wz_slice rest = wz_slice(bytes, len);
    struct wz_mqtt_frame frame;

    while (wz_mqtt_frame_read(rest, MAX_BYTES, &frame) == WZ_OK) {
        WZ_AUTO(wz_free_ptr) uint8_t *copy = wz_alloc(frame.body.len);

        WZ_ASSERT(frame.len >= 2 && frame.len <= rest.len);
        check_inside(rest, frame.body);
        rest = wz_slice_sub(rest, frame.len, rest.len - frame.len);
        if (frame.body.len > 0) // a piece of memory of its own shows a read past the packet
            memcpy(copy, frame.body.ptr, frame.body.len);
        frame.body.ptr = copy;
        if (checks[frame.type] != NULL)
            checks[frame.type](&frame);
    }
    return 0;
}
