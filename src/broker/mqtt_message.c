// SPDX-License-Identifier: Apache-2.0
// Owns a client's messages: PUBLISH and its acks, SUBSCRIBE, UNSUBSCRIBE.
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/mqtt_client.h"

void wz_mqtt_client_send_ack(struct wz_mqtt_client *client, enum wz_mqtt_type type,
                             uint16_t packet_id)
{
    struct wz_pen pen = wz_pen(wz_conn_reserve(&client->conn, 4), 4);

    wz_mqtt_ack_write(&pen, type, packet_id);
    wz_conn_commit(&client->conn, 4);
    client->mqtt->counts.answers++;
}

// Sends the packet of LEN bytes at POS of those that are kept.
static void send_answer(struct wz_mqtt_client *client, size_t pos, size_t len)
{
    memcpy(wz_conn_reserve(&client->conn, len), client->answers.ptr + pos, len);
    wz_conn_commit(&client->conn, len);
    client->mqtt->counts.answers++;
}

void wz_mqtt_client_acks(struct wz_mqtt_client *client)
{
    struct wz_ack ack;
    size_t pos = 0;

    while (wz_acks_take(&client->acks, &ack)) {
        if (ack.len > 0)
            send_answer(client, pos, ack.len);
        else
            wz_mqtt_client_send_ack(client, ack.type, ack.packet_id);
        pos += ack.len;
    }
    if (pos > 0)
        wz_buf_consume(&client->answers, pos); // once, for there may be very many
    if (client->answers.len == 0)
        wz_buf_release(&client->answers); // it is seldom that somebody subscribes
    if (client->acks.count == 0)
        wz_list_remove(&client->waiting);
    wz_mqtt_client_weigh(client);
}

// Owes the client an ack, or sends it at once when nothing before it, nor its own message, has to
// wait.
static int owe_ack(struct wz_mqtt_client *client, const struct wz_ack *ack)
{
    int r = wz_acks_push(&client->acks, ack);

    if (r < 0)
        return WZ_ERR_PROTOCOL; // more unacked messages than there are identifiers
    if (client->acks.count == 1)
        wz_mqtt_client_acks(client);
    if (client->acks.count == 0)
        return WZ_OK;
    wz_ticket_want(&ack->ticket);
    if (wz_list_empty(&client->waiting))
        wz_list_push(&client->mqtt->waiting, &client->waiting);
    return WZ_OK;
}

static void retain(struct wz_mqtt *mqtt, const struct wz_message *msg)
{
    int r = wz_retained_put(mqtt->options.retained, msg, mqtt->options.loop->now_ms);

    if (r == WZ_OK)
        return;
    wz_metric_add(WZ_METRIC_RETAINED_REFUSED, 1);
    if (wz_log_allow(&mqtt->lost_us))
        WZ_LOG(WZ_LOG_WARN, "mqtt.not_retained", WZ_F_SLICE("topic", msg->topic),
               WZ_F_STR("why", "mqtt.max_retained or mqtt.max_retained_bytes is reached"));
}

// A message to a topic of the broker's own, acked as if nobody had subscribed: so nobody can say
// for the broker how it is.
static int ignore(struct wz_mqtt *mqtt, const struct wz_message *msg)
{
    if (!wz_mqtt_topic_valid(msg->topic))
        return WZ_ERR_INVALID;
    if (wz_log_allow(&mqtt->lost_us))
        WZ_LOG(WZ_LOG_INFO, "mqtt.ignored", WZ_F_SLICE("topic", msg->topic),
               WZ_F_SLICE("client", msg->client),
               WZ_F_STR("why", "topics below $SYS are the broker's own"));
    return WZ_OK;
}

int wz_mqtt_publish_message(struct wz_mqtt *mqtt, const struct wz_message *msg,
                            struct wz_ticket *ret_ticket)
{
    struct wz_queues *queues = mqtt->options.queues;
    int r;

    if (!wz_queues_ready(queues) || !wz_space_takes(mqtt->options.space))
        return WZ_ERR_BUSY;
    *ret_ticket = (struct wz_ticket){0};
    if (wz_sys_topics_own(msg->topic))
        return ignore(mqtt, msg);
    wz_queues_begin(queues);
    r = wz_queues_publish(queues, mqtt->options.exchange, msg, wz_mqtt_topic_valid, ret_ticket);
    if (r == WZ_OK && msg->retain)
        retain(mqtt, msg);
    wz_queues_end(queues, ret_ticket);
    return r;
}

// A QoS 2 message of a clean session.
static int publish_clean(struct wz_mqtt_client *client, const struct wz_message *msg,
                         uint16_t packet_id, struct wz_ticket *ret_ticket)
{
    int r;

    if (wz_packet_ids_has(&client->received, packet_id))
        return WZ_OK; // its PUBREC comes behind that of the first time
    r = wz_mqtt_publish_message(client->mqtt, msg, ret_ticket);
    if (r == WZ_OK)
        (void)wz_packet_ids_add(&client->received, packet_id); // it is new
    return r;
}

// Whether the identifier of one more QoS 2 message may be remembered. If not, its client is closed:
// MQTT 3.1.1 has no other way to refuse a message, and the client sends it again later (4.4), what
// it releases first.
static bool may_receive(struct wz_mqtt_client *client, const struct wz_received *all)
{
    const struct wz_budget *budget = &client->mqtt->options.loop->budget;
    size_t bytes = wz_received_growth(all);

    if (bytes == 0 || wz_budget_may_keep(budget, bytes))
        return true;
    if (wz_log_allow(&client->mqtt->log_us))
        WZ_LOG(WZ_LOG_WARN, "mqtt.unreleased", WZ_F_SLICE("client", client->id),
               WZ_F_INT("messages", all->count),
               WZ_F_STR("why", "memory.max has no room for more that are not released"));
    return false;
}

// A QoS 2 message of a persistent session. What of it is there already, because it came before, is
// not done again.
static int publish_once(struct wz_mqtt_client *client, struct wz_message *msg, uint16_t packet_id,
                        struct wz_ticket *ret_ticket)
{
    struct wz_durable_queue *durable = client->session.options.durable;
    const struct wz_received_message *before = wz_received_get(&durable->received, packet_id);
    struct wz_queues *queues = client->mqtt->options.queues;
    int64_t offset = before != NULL ? before->offset : -1;
    int r;

    if (before != NULL && !before->unrecorded && !before->unqueued) {
        // Its PUBREC waits for what it waited for the first time (4.3.3).
        wz_queues_received_ticket(queues, before, ret_ticket);
        return WZ_OK;
    }
    if (before == NULL && !may_receive(client, &durable->received))
        return WZ_ERR_LIMIT;
    msg->packet_id = packet_id;
    msg->recorded = before != NULL && !before->unrecorded;
    msg->queued = before != NULL && !before->unqueued;
    wz_queues_begin(queues);
    r = wz_mqtt_publish_message(client->mqtt, msg, ret_ticket);
    if (r == WZ_OK)
        wz_queues_received(durable, packet_id,
                           wz_queues_records(queues, ret_ticket->stream) ? ret_ticket->offset
                                                                         : offset);
    wz_queues_end(queues, ret_ticket);
    return r;
}

int wz_mqtt_client_publish(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_mqtt_publish publish;
    struct wz_message msg;
    struct wz_ack ack = {0};
    int r = wz_mqtt_publish_read(frame, &publish);

    if (r < 0)
        return r;
    msg = (struct wz_message){
        .topic = publish.topic,
        .body = publish.payload,
        .client = client->id,
        .qos = publish.qos,
        .retain = publish.retain,
        .offset = -1,
    };
    if (publish.qos == 2 && client->session.options.durable == NULL)
        r = publish_clean(client, &msg, publish.packet_id, &ack.ticket);
    else if (publish.qos == 2)
        r = publish_once(client, &msg, publish.packet_id, &ack.ticket);
    else
        r = wz_mqtt_publish_message(client->mqtt, &msg, &ack.ticket);
    if (r < 0)
        return r == WZ_ERR_INVALID ? WZ_ERR_PROTOCOL : r;
    client->mqtt->received++;
    client->mqtt->received_bytes += (int64_t)publish.payload.len;
    if (publish.qos == 0)
        return WZ_OK;
    ack.packet_id = publish.packet_id;
    ack.type = publish.qos == 1 ? WZ_MQTT_PUBACK : WZ_MQTT_PUBREC;
    return owe_ack(client, &ack);
}

// PUBACK, PUBREC or PUBCOMP.
int wz_mqtt_client_acked(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_queues *queues = client->mqtt->options.queues;
    struct wz_ack ack = {.type = WZ_MQTT_PUBREL};
    int r = wz_mqtt_ack_read(frame, &ack.packet_id);

    if (r < 0)
        return r;
    wz_queues_begin(queues);
    r = wz_session_acked(&client->session, (enum wz_mqtt_type)frame->type, ack.packet_id);
    wz_queues_end(queues, &ack.ticket);
    if (r < 0 || frame->type != WZ_MQTT_PUBREC)
        return r;
    return owe_ack(client, &ack); // also for what is not known: the client is to forget it (4.3.3)
}

int wz_mqtt_client_pubrel(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_durable_queue *durable = client->session.options.durable;
    struct wz_queues *queues = client->mqtt->options.queues;
    struct wz_ack ack = {.type = WZ_MQTT_PUBCOMP};
    int r = wz_mqtt_ack_read(frame, &ack.packet_id);

    if (r < 0)
        return r;
    wz_queues_begin(queues);
    if (durable != NULL)
        wz_queues_forget_received(durable, ack.packet_id);
    else
        (void)wz_packet_ids_remove(&client->received, ack.packet_id); // PUBREL twice (4.3.3)
    wz_queues_end(queues, &ack.ticket);
    return owe_ack(client, &ack);
}

// So many bytes of SUBACKs may wait for the disk, and so many when memory is short; then no more is
// read from the client.
#define ANSWERS_MAX 65536
#define ANSWERS_FEW 1024

// Whether there is room for the answer to a SUBSCRIBE: a byte for each of its filters, each of
// which has four bytes and more. A packet that has a buffer of its own gives more back than it
// takes. When there is none, others wait before it, so the disk makes room.
static bool has_answer_room(const struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    size_t len = client->answers.len + frame->len / 4;

    if (client->answers.len > ANSWERS_MAX)
        return false;
    return frame->len > WZ_CONN_HELD_COPY || len <= ANSWERS_FEW ||
           wz_conn_may_hold(&client->conn, 2 * len);
}

int wz_mqtt_client_subscribe(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    WZ_AUTO(wz_buf_release) struct wz_buf codes = {0};
    struct wz_queues *queues = client->mqtt->options.queues;
    struct wz_ack ack = {.type = WZ_MQTT_SUBACK};
    struct wz_mqtt_filters filters;
    struct wz_mqtt_filter entry;
    uint8_t front[WZ_MQTT_FIXED_MAX + 2];
    struct wz_pen pen = wz_pen(front, sizeof(front));
    int r = wz_mqtt_filters_read(frame, &ack.packet_id, &filters);

    if (r < 0)
        return r;
    if (!has_answer_room(client, frame))
        return WZ_ERR_BUSY;
    wz_queues_begin(queues);
    while ((r = wz_mqtt_filters_next(&filters, &entry)) == WZ_OK) {
        if (!wz_pattern_valid(&wz_topic_mqtt, entry.filter)) {
            r = WZ_ERR_PROTOCOL;
            break;
        }
        wz_buf_add_byte(&codes,
                        (uint8_t)wz_session_subscribe(&client->session, entry.filter, entry.qos));
    }
    wz_queues_end(queues, &ack.ticket);
    if (r < 0)
        return r;
    wz_mqtt_suback_write(&pen, ack.packet_id, codes.len);
    wz_buf_add_slice(&client->answers, wz_slice(front, (size_t)(pen.pos - front)));
    wz_buf_add_slice(&client->answers, wz_buf_slice(&codes));
    ack.len = (uint32_t)((size_t)(pen.pos - front) + codes.len);
    return owe_ack(client, &ack);
}

int wz_mqtt_client_unsubscribe(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_queues *queues = client->mqtt->options.queues;
    struct wz_ack ack = {.type = WZ_MQTT_UNSUBACK};
    struct wz_mqtt_filters filters;
    struct wz_mqtt_filter entry;
    int r = wz_mqtt_filters_read(frame, &ack.packet_id, &filters);

    if (r < 0)
        return r;
    wz_queues_begin(queues);
    while ((r = wz_mqtt_filters_next(&filters, &entry)) == WZ_OK) {
        if (!wz_pattern_valid(&wz_topic_mqtt, entry.filter)) {
            r = WZ_ERR_PROTOCOL;
            break;
        }
        wz_session_unsubscribe(&client->session, entry.filter);
    }
    wz_queues_end(queues, &ack.ticket);
    if (r < 0)
        return r;
    return owe_ack(client, &ack);
}
