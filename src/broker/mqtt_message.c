// SPDX-License-Identifier: Apache-2.0
// Owns a client's messages: PUBLISH and its acks, SUBSCRIBE, UNSUBSCRIBE.
#include "base/mem.h"
#include "broker/mqtt_client.h"

void wz_mqtt_client_send_ack(struct wz_mqtt_client *client, enum wz_mqtt_type type,
                             uint16_t packet_id)
{
    struct wz_pen pen = wz_pen(wz_conn_reserve(&client->conn, 4), 4);

    wz_mqtt_ack_write(&pen, type, packet_id);
    wz_conn_commit(&client->conn, 4);
}

void wz_mqtt_client_acks(struct wz_mqtt_client *client)
{
    struct wz_ack ack;

    while (wz_acks_take(&client->acks, &ack))
        wz_mqtt_client_send_ack(client, ack.type, ack.packet_id);
    if (client->acks.count == 0)
        wz_list_remove(&client->waiting);
}

// Owes the client an ack, or sends it at once when nothing before it, nor its own message, has to
// wait.
static int owe_ack(struct wz_mqtt_client *client, const struct wz_ack *ack)
{
    int r;

    if (client->acks.count == 0 && wz_ticket_safe(&ack->ticket)) {
        wz_mqtt_client_send_ack(client, ack->type, ack->packet_id);
        return WZ_OK;
    }
    r = wz_acks_push(&client->acks, ack);
    if (r < 0)
        return WZ_ERR_PROTOCOL; // more unacked messages than there are identifiers
    if (ack->ticket.stream != NULL)
        wz_log_want(ack->ticket.stream);
    if (wz_list_empty(&client->waiting))
        wz_list_push(&client->mqtt->waiting, &client->waiting);
    return WZ_OK;
}

static int publish_to_exchange(struct wz_mqtt_client *client, const struct wz_mqtt_publish *publish,
                               struct wz_ticket *ret_ticket)
{
    struct wz_message msg = {
        .topic = publish->topic,
        .body = publish->payload,
        .client = client->id,
        .qos = publish->qos,
        .retain = publish->retain,
        .offset = -1,
    };
    int r =
        wz_exchange_publish(client->mqtt->options.exchange, &msg, wz_mqtt_topic_valid, ret_ticket);

    return r == WZ_ERR_INVALID ? WZ_ERR_PROTOCOL : r;
}

int wz_mqtt_client_publish(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_mqtt_publish publish;
    struct wz_ack ack = {0};
    int r = wz_mqtt_publish_read(frame, &publish);

    if (r < 0)
        return r;
    // A QoS 2 message that is sent again before its PUBREL was published the first time (4.3.3).
    if (publish.qos < 2 || !wz_packet_ids_has(&client->received, publish.packet_id)) {
        r = publish_to_exchange(client, &publish, &ack.ticket);
        if (r < 0)
            return r;
        client->mqtt->received++;
    }
    if (publish.qos == 0)
        return WZ_OK;
    if (publish.qos == 2)
        (void)wz_packet_ids_add(&client->received, publish.packet_id); // there already: sent again
    ack.packet_id = publish.packet_id;
    ack.type = publish.qos == 1 ? WZ_MQTT_PUBACK : WZ_MQTT_PUBREC;
    return owe_ack(client, &ack);
}

int wz_mqtt_client_puback(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    uint16_t packet_id;
    int r = wz_mqtt_ack_read(frame, &packet_id);

    if (r < 0)
        return r;
    wz_session_acked(&client->session, packet_id);
    return WZ_OK;
}

int wz_mqtt_client_pubrel(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    uint16_t packet_id;
    int r = wz_mqtt_ack_read(frame, &packet_id);

    if (r < 0)
        return r;
    (void)wz_packet_ids_remove(&client->received,
                               packet_id); // PUBREL twice: answered twice (4.3.3)
    wz_mqtt_client_send_ack(client, WZ_MQTT_PUBCOMP, packet_id);
    return WZ_OK;
}

int wz_mqtt_client_subscribe(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    WZ_AUTO(wz_buf_release) struct wz_buf codes = {0};
    struct wz_mqtt_filters filters;
    struct wz_mqtt_filter entry;
    struct wz_pen pen;
    uint8_t *start;
    size_t room;
    uint16_t packet_id;
    int r = wz_mqtt_filters_read(frame, &packet_id, &filters);

    if (r < 0)
        return r;
    while ((r = wz_mqtt_filters_next(&filters, &entry)) == WZ_OK) {
        if (!wz_pattern_valid(&wz_topic_mqtt, entry.filter))
            return WZ_ERR_PROTOCOL;
        wz_buf_add_byte(&codes,
                        (uint8_t)wz_session_subscribe(&client->session, entry.filter, entry.qos));
    }
    if (r < 0)
        return r;
    room = WZ_MQTT_FIXED_MAX + 2 + codes.len;
    start = wz_conn_reserve(&client->conn, room);
    pen = wz_pen(start, room);
    wz_mqtt_suback_write(&pen, packet_id, codes.len);
    wz_pen_put_slice(&pen, wz_buf_slice(&codes));
    wz_conn_commit(&client->conn, (size_t)(pen.pos - start));
    return WZ_OK;
}

int wz_mqtt_client_unsubscribe(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_mqtt_filters filters;
    struct wz_mqtt_filter entry;
    uint16_t packet_id;
    int r = wz_mqtt_filters_read(frame, &packet_id, &filters);

    if (r < 0)
        return r;
    while ((r = wz_mqtt_filters_next(&filters, &entry)) == WZ_OK) {
        if (!wz_pattern_valid(&wz_topic_mqtt, entry.filter))
            return WZ_ERR_PROTOCOL;
        wz_session_unsubscribe(&client->session, entry.filter);
    }
    if (r < 0)
        return r;
    wz_mqtt_client_send_ack(client, WZ_MQTT_UNSUBACK, packet_id);
    return WZ_OK;
}
