// SPDX-License-Identifier: Apache-2.0
// Owns the way from an exchange to an MQTT client. A QoS 0 message goes straight into the output or
// is dropped; a QoS 1 message waits in the queue when the window or the output is full.
#include "broker/session.h"

#include "base/mem.h"

// The highest QoS at which we deliver.
#define QOS_MAX 1

static void send_message(struct wz_session *session, const struct wz_message *msg, unsigned qos)
{
    struct wz_mqtt_publish publish = {
        .topic = msg->topic,
        .payload = msg->body,
        .qos = (uint8_t)qos,
        .packet_id = qos > 0 ? wz_packet_ids_next(&session->sent) : 0,
    };
    size_t len = wz_mqtt_publish_len(&publish);
    struct wz_pen pen = wz_pen(wz_conn_reserve(session->conn, len), len);

    wz_mqtt_publish_write(&pen, &publish);
    WZ_ASSERT(!pen.failed);
    wz_conn_commit(session->conn, len);
    session->counts->sent++;
}

static bool has_room(const struct wz_session *session)
{
    return session->sent.count < session->limits->max_inflight &&
           wz_conn_out_bytes(session->conn) < session->limits->max_out_bytes;
}

static int receive(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct wz_session *session = arg;
    const struct wz_message *msg = delivery->message;
    struct wz_parcel *parcel;

    (void)slot; // the filter alone decides
    qos = msg->qos < qos ? msg->qos : qos;
    if (qos == 0) {
        if (wz_conn_out_bytes(session->conn) < session->limits->max_out_bytes)
            send_message(session, msg, 0);
        else
            session->counts->dropped++;
        return WZ_OK;
    }
    if (session->queue.count == 0 && has_room(session)) {
        send_message(session, msg, qos);
        return WZ_OK;
    }
    parcel = wz_delivery_keep(delivery);
    if (wz_queue_push(&session->queue, parcel) < 0) {
        wz_parcel_unref(parcel);
        session->counts->dropped++;
    } else if (wz_list_empty(&session->pump)) {
        wz_list_push(session->pumps, &session->pump);
    }
    return WZ_OK;
}

void wz_session_init(struct wz_session *session, struct wz_exchange *exchange, struct wz_conn *conn,
                     const struct wz_session_limits *limits, struct wz_session_counts *counts,
                     struct wz_list *pumps)
{
    *session = (struct wz_session){
        .receiver = {.receive = receive, .arg = session},
        .exchange = exchange,
        .conn = conn,
        .limits = limits,
        .counts = counts,
        .pumps = pumps,
        .queue = {.max_count = limits->max_queued, .max_bytes = limits->max_queued_bytes},
    };
    wz_list_init(&session->pump);
}

void wz_session_release(struct wz_session *session)
{
    struct wz_exchange_binding *binding;
    size_t walk = 0;

    while ((binding = wz_map_next(&session->subscriptions, &walk)) != NULL)
        wz_exchange_unbind(binding);
    wz_map_release(&session->subscriptions);
    wz_packet_ids_release(&session->sent);
    wz_queue_release(&session->queue);
    wz_list_remove(&session->pump);
}

unsigned wz_session_subscribe(struct wz_session *session, struct wz_slice filter, unsigned qos)
{
    struct wz_exchange_binding *binding = wz_map_get(&session->subscriptions, filter);
    unsigned granted = qos < QOS_MAX ? qos : QOS_MAX;

    if (binding != NULL) {
        wz_exchange_rebind(binding, granted);
        return granted;
    }
    if (session->subscriptions.count >= session->limits->max_subscriptions)
        return WZ_MQTT_SUBACK_FAILURE;
    if (wz_exchange_bind(session->exchange, &session->receiver, filter, granted, &binding) < 0)
        return WZ_MQTT_SUBACK_FAILURE;
    (void)wz_map_put(&session->subscriptions, wz_exchange_binding_pattern(binding),
                     binding); // it is new
    return granted;
}

void wz_session_unsubscribe(struct wz_session *session, struct wz_slice filter)
{
    struct wz_exchange_binding *binding = wz_map_remove(&session->subscriptions, filter);

    if (binding != NULL)
        wz_exchange_unbind(binding);
}

void wz_session_pump(struct wz_session *session)
{
    struct wz_parcel *parcel;

    while ((parcel = wz_queue_first(&session->queue)) != NULL && has_room(session)) {
        send_message(session, &parcel->message, QOS_MAX);
        wz_queue_pop(&session->queue);
    }
    if (session->queue.count == 0)
        wz_list_remove(&session->pump);
}

void wz_session_acked(struct wz_session *session, uint16_t packet_id)
{
    if (wz_packet_ids_remove(&session->sent, packet_id) && session->queue.count > 0)
        wz_session_pump(session);
}
