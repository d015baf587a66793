// SPDX-License-Identifier: Apache-2.0
// Owns the way to an MQTT client. A QoS 0 message goes straight into the output or is dropped. In a
// clean session others wait in the queue when the window or the output is full; in a persistent one
// all of them come out of its durable queue.
#include "broker/session.h"

#include "base/mem.h"

// So many topics are looked at in one turn for the retained messages of one session.
#define WALK_BUDGET 512

// While so many messages wait in a durable queue, no retained ones are added.
#define WALK_QUEUED 1000

// Subscriptions of so many bytes are kept, however short memory is.
#define KEPT_FREE 2048

// After so many messages it is noted how far a walk of a persistent session has come; they may come
// twice when wyze dies.
#define WALK_NOTE 500

// Retained messages that are still to be sent for one subscription.
struct walk {
    struct wz_list link;
    struct wz_retained_walk at;
    size_t sys_at;    // what the broker says of itself comes first
    uint32_t unnoted; // messages since it was noted how far it has come
    uint8_t qos;
    bool noted; // the session is persistent, and goes on with it whatever comes
};

// Takes part in the pumps of the turns to come.
static void want_pump(struct wz_session *session)
{
    if (wz_list_empty(&session->pump))
        wz_list_push(session->options.pumps, &session->pump);
}

static void write_publish(struct wz_session *session, const struct wz_mqtt_publish *publish)
{
    size_t len = wz_mqtt_publish_len(publish);
    struct wz_pen pen = wz_pen(wz_conn_reserve(session->options.conn, len), len);

    wz_mqtt_publish_write(&pen, publish);
    WZ_ASSERT(!pen.failed);
    wz_conn_commit(session->options.conn, len);
    session->options.counts->sent++;
    session->options.counts->sent_bytes += (int64_t)publish->payload.len;
}

// Sends a message of a clean session, or at QoS 0.
static void send_message(struct wz_session *session, const struct wz_message *msg, unsigned qos,
                         bool retain)
{
    uint16_t packet_id = qos > 0 ? wz_packet_ids_next(&session->clean->sent) : 0;

    if (qos == 2)
        (void)wz_packet_ids_add(&session->clean->twos, packet_id); // it is new
    write_publish(session, &(struct wz_mqtt_publish){
                               .topic = msg->topic,
                               .payload = msg->body,
                               .qos = (uint8_t)qos,
                               .retain = retain,
                               .packet_id = packet_id,
                           });
}

static bool has_out_room(const struct wz_session *session)
{
    return wz_conn_out_bytes(session->options.conn) < session->options.limits->max_out_bytes &&
           wz_conn_may_send(session->options.conn);
}

// Whether another message can be sent; something was subscribed to.
static bool has_room(const struct wz_session *session)
{
    size_t inflight = session->options.durable != NULL
                          ? wz_durable_queue_inflight(session->options.durable)
                          : session->clean->sent.count;

    return inflight < session->options.limits->max_inflight && has_out_room(session);
}

// A QoS 0 message.
static void send_direct(void *arg, const struct wz_message *msg)
{
    struct wz_session *session = arg;

    if (session->started && has_out_room(session))
        send_message(session, msg, 0, false);
    else
        session->options.counts->dropped++;
}

static int receive(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct wz_session *session = arg;
    const struct wz_message *msg = delivery->message;
    struct wz_parcel *parcel;

    (void)slot; // the filter alone decides
    qos = msg->qos < qos ? msg->qos : qos;
    if (qos == 0) {
        send_direct(session, msg);
        return WZ_OK;
    }
    if (session->clean->queue.count == 0 && has_room(session)) {
        send_message(session, msg, qos, false);
        return WZ_OK;
    }
    parcel = wz_delivery_keep(delivery);
    if (wz_queue_push(&session->clean->queue, parcel, qos) < 0) {
        wz_parcel_unref(parcel);
        session->options.counts->dropped++;
    } else {
        want_pump(session);
    }
    return WZ_OK;
}

// The durable queue has something.
static void on_ready(void *arg) { wz_session_pump(arg); }

static struct walk *walk_new(struct wz_session *session, struct wz_slice filter, unsigned qos)
{
    struct walk *walk = wz_zalloc(1, sizeof(*walk));

    walk->qos = (uint8_t)qos;
    wz_retained_walk_init(&walk->at, filter);
    wz_list_push(&session->walks, &walk->link);
    (void)wz_map_put(&session->walking, wz_slice(walk->at.filter, walk->at.filter_len),
                     walk); // there is none now
    want_pump(session);
    return walk;
}

// Goes on with the walks that had not ended when the session was left.
static void resume_walks(struct wz_session *session)
{
    struct wz_queue_walk noted;
    size_t state = 0;

    while (wz_durable_queue_next_walk(session->options.durable, &state, &noted)) {
        struct walk *walk = walk_new(session, noted.filter, noted.qos);

        walk->noted = true;
        walk->at.started = noted.after.len > 0;
        wz_buf_add_slice(&walk->at.after, noted.after);
    }
}

void wz_session_init(struct wz_session *session, const struct wz_session_options *options)
{
    *session = (struct wz_session){
        .options = *options,
        .consumer = {.direct = send_direct, .ready = on_ready, .arg = session},
    };
    wz_list_init(&session->pump);
    wz_list_init(&session->walks);
    if (options->durable != NULL) {
        wz_durable_queue_attach(options->durable, &session->consumer);
        resume_walks(session);
    }
}

void wz_session_start(struct wz_session *session)
{
    session->started = true;
    wz_session_pump(session);
}

static void walk_free(struct wz_session *session, struct walk *walk)
{
    (void)wz_map_remove(&session->walking,
                        wz_slice(walk->at.filter, walk->at.filter_len)); // it is there
    if (session->walking.count == 0)
        wz_map_release(&session->walking);
    wz_list_remove(&walk->link);
    wz_retained_walk_release(&walk->at);
    wz_free(walk);
}

// Notes how far a walk of a persistent session has come, inside a group.
static void note_walk(struct wz_session *session, struct walk *walk)
{
    struct wz_slice after = wz_buf_slice(&walk->at.after);

    wz_durable_queue_note_walk(session->options.durable,
                               wz_slice(walk->at.filter, walk->at.filter_len), &after);
    walk->noted = true;
    walk->unnoted = 0;
}

static struct wz_session_clean *clean_new(struct wz_session *session)
{
    struct wz_session_clean *clean = wz_zalloc(1, sizeof(*clean));

    clean->receiver = (struct wz_receiver){.receive = receive, .arg = session};
    clean->queue = (struct wz_queue){
        .max_count = session->options.limits->max_queued,
        .max_bytes = session->options.limits->max_queued_bytes,
        .budget = &session->options.conn->loop->budget,
    };
    return clean;
}

static void clean_free(struct wz_session_clean *clean)
{
    struct wz_exchange_binding *binding;
    size_t index = 0;

    if (clean == NULL)
        return;
    while ((binding = wz_map_next(&clean->subscriptions, &index)) != NULL)
        wz_exchange_unbind(binding);
    wz_map_release(&clean->subscriptions);
    wz_packet_ids_release(&clean->sent);
    wz_packet_ids_release(&clean->twos);
    wz_packet_ids_release(&clean->completing);
    wz_queue_release(&clean->queue);
    wz_free(clean);
}

void wz_session_release(struct wz_session *session, int64_t now_ms)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &session->walks)
    {
        struct walk *walk = WZ_CONTAINER(it, struct walk, link);

        if (walk->noted && walk->unnoted > 0)
            note_walk(session, walk);
        walk_free(session, walk);
    }
    if (session->options.durable != NULL)
        wz_durable_queue_detach(session->options.durable, now_ms);
    clean_free(session->clean);
    session->clean = NULL;
    wz_map_release(&session->walking);
    wz_list_remove(&session->pump);
}

static int bind_clean(struct wz_session *session, struct wz_slice filter, unsigned qos)
{
    struct wz_session_clean *clean = session->clean;
    struct wz_exchange_binding *binding;
    int r;

    if (clean == NULL)
        clean = session->clean = clean_new(session);
    binding = wz_map_get(&clean->subscriptions, filter);
    if (binding != NULL) {
        wz_exchange_rebind(binding, qos);
        return WZ_OK;
    }
    if (clean->subscriptions.count >= session->options.limits->max_subscriptions)
        return WZ_ERR_LIMIT;
    r = wz_exchange_bind(session->options.exchange, &clean->receiver, filter, qos, &binding);
    if (r < 0)
        return r;
    (void)wz_map_put(&clean->subscriptions, wz_exchange_binding_pattern(binding),
                     binding); // it is new
    return WZ_OK;
}

// Nothing more of what is retained is sent for a filter.
static void stop_walk(struct wz_session *session, struct wz_slice filter)
{
    struct walk *walk = wz_map_get(&session->walking, filter);

    if (walk != NULL)
        walk_free(session, walk);
}

static void unbind(struct wz_session *session, struct wz_slice filter)
{
    struct wz_exchange_binding *binding;

    if (session->options.durable != NULL) {
        wz_durable_queue_unbind(session->options.durable, filter);
        return;
    }
    if (session->clean == NULL)
        return;
    binding = wz_map_remove(&session->clean->subscriptions, filter);
    if (binding != NULL)
        wz_exchange_unbind(binding);
}

// Binds if memory allows. What a binding costs is known when it is there.
static int bind_any(struct wz_session *session, struct wz_slice filter, unsigned qos)
{
    struct wz_budget *budget = &session->options.conn->loop->budget;
    struct wz_durable_queue *durable = session->options.durable;
    size_t before = budget->kept;
    size_t kept;
    int r = durable != NULL ? wz_durable_queue_bind(durable, filter, qos)
                            : bind_clean(session, filter, qos);

    if (r < 0)
        return r;
    kept = session->kept_bytes + (budget->kept - before);
    if (budget->kept > before && kept > KEPT_FREE && !wz_budget_may_keep(budget, kept)) {
        unbind(session, filter);
        return WZ_ERR_LIMIT;
    }
    session->kept_bytes = kept;
    return WZ_OK;
}

unsigned wz_session_subscribe(struct wz_session *session, struct wz_slice filter, unsigned qos)
{
    struct walk *walk;

    if (bind_any(session, filter, qos) < 0)
        return WZ_MQTT_SUBACK_FAILURE;
    stop_walk(session, filter); // it begins anew
    walk = walk_new(session, filter, qos);
    // With the subscription, for SUBACK says that it outlives whatever comes; at QoS 0 nothing
    // does.
    if (session->options.durable != NULL && qos > 0 &&
        wz_retained_count(session->options.retained) > 0)
        note_walk(session, walk);
    return qos;
}

void wz_session_unsubscribe(struct wz_session *session, struct wz_slice filter)
{
    const struct wz_budget *budget = &session->options.conn->loop->budget;
    size_t before = budget->kept;
    size_t freed;

    stop_walk(session, filter);
    unbind(session, filter);
    freed = before - budget->kept;
    session->kept_bytes -= freed < session->kept_bytes ? freed : session->kept_bytes;
}

// Whether one more retained message can be dealt with.
static bool can_walk(struct wz_session *session)
{
    struct wz_durable_queue *durable = session->options.durable;

    if (durable == NULL)
        return session->clean->queue.count == 0 && has_room(session);
    return has_out_room(session) && durable->count < WALK_QUEUED &&
           wz_durable_queue_has_room(durable) && wz_queues_ready(session->options.queues);
}

// Sends a retained message, or puts it behind what waits.
static void give_retained(struct wz_session *session, const struct wz_message *msg, unsigned qos)
{
    struct wz_ticket ticket;

    qos = msg->qos < qos ? msg->qos : qos;
    if (qos == 0 || session->options.durable == NULL) {
        send_message(session, msg, qos, true);
        return;
    }
    wz_queues_begin(session->options.queues);
    wz_ignore(wz_durable_queue_push(session->options.durable, msg, qos)); // there is room
    wz_queues_end(session->options.queues, &ticket);
}

static int walk_next(struct wz_session *session, struct walk *walk, size_t *budget,
                     struct wz_message *ret_msg)
{
    struct wz_slice filter = wz_slice(walk->at.filter, walk->at.filter_len);
    int r = WZ_END;

    if (session->options.sys != NULL && !walk->at.started)
        r = wz_sys_topics_next(session->options.sys, filter, &walk->sys_at, budget, ret_msg);
    if (r == WZ_END)
        r = wz_retained_next(session->options.retained, &walk->at, budget, ret_msg);
    return r;
}

// Ends a walk that has come to its end.
static void end_walk(struct wz_session *session, struct walk *walk)
{
    struct wz_ticket ticket;

    if (walk->noted) {
        wz_queues_begin(session->options.queues);
        wz_durable_queue_note_walk(session->options.durable,
                                   wz_slice(walk->at.filter, walk->at.filter_len), NULL);
        wz_queues_end(session->options.queues, &ticket);
    }
    walk_free(session, walk);
}

// Notes how far the first walk has come, which is the one that goes on. It stands behind the
// messages in the journal, so none is left out.
static void note_first_walk(struct wz_session *session)
{
    struct wz_ticket ticket;
    struct walk *walk;

    if (wz_list_empty(&session->walks))
        return;
    walk = WZ_CONTAINER(session->walks.next, struct walk, link);
    if (!walk->noted || walk->unnoted < WALK_NOTE || !wz_queues_ready(session->options.queues))
        return;
    wz_queues_begin(session->options.queues);
    note_walk(session, walk);
    wz_queues_end(session->options.queues, &ticket);
}

static void pump_walks(struct wz_session *session)
{
    size_t budget = WALK_BUDGET;
    struct wz_message msg;
    int r = WZ_END;

    while (!wz_list_empty(&session->walks) && budget > 0 && can_walk(session)) {
        struct walk *walk = WZ_CONTAINER(session->walks.next, struct walk, link);

        r = walk_next(session, walk, &budget, &msg);
        if (r == WZ_OK) {
            give_retained(session, &msg, walk->qos);
            walk->unnoted++;
        } else if (r == WZ_END) {
            end_walk(session, walk);
        }
    }
    note_first_walk(session);
    if (budget == 0 && !wz_list_empty(&session->walks))
        wz_loop_again(session->options.conn->loop);
}

static void send_pubrel(struct wz_session *session, uint16_t packet_id)
{
    struct wz_pen pen = wz_pen(wz_conn_reserve(session->options.conn, 4), 4);

    wz_mqtt_ack_write(&pen, WZ_MQTT_PUBREL, packet_id);
    wz_conn_commit(session->options.conn, 4);
    session->options.counts->answers++;
}

static void pump_durable(struct wz_session *session)
{
    struct wz_queued queued;

    while (has_room(session) && wz_durable_queue_next(session->options.durable, &queued) == WZ_OK) {
        if (queued.parcel == NULL)
            send_pubrel(session, queued.packet_id);
        else
            write_publish(session, &(struct wz_mqtt_publish){
                                       .topic = queued.parcel->message.topic,
                                       .payload = queued.parcel->message.body,
                                       .qos = queued.qos,
                                       .dup = queued.dup,
                                       .retain = queued.retain,
                                       .packet_id = queued.packet_id,
                                   });
    }
}

static void pump_clean(struct wz_session *session)
{
    struct wz_queue *queue = &session->clean->queue;
    struct wz_parcel *parcel;
    unsigned qos;

    while ((parcel = wz_queue_first(queue, &qos)) != NULL && has_room(session)) {
        send_message(session, &parcel->message, qos, false);
        wz_queue_pop(queue);
    }
}

void wz_session_pump(struct wz_session *session)
{
    bool more;

    if (!session->started)
        return;
    if (session->options.durable != NULL)
        pump_durable(session);
    else if (session->clean != NULL)
        pump_clean(session);
    pump_walks(session);
    more = (session->clean != NULL && session->clean->queue.count > 0) ||
           !wz_list_empty(&session->walks);
    if (session->options.durable != NULL && !has_out_room(session))
        more = true; // nobody tells when the client has read
    if (more)
        want_pump(session);
    else
        wz_list_remove(&session->pump);
}

// As a durable queue settles: what does not fit the message closes the connection (4.8).
static int acked_clean(struct wz_session_clean *clean, enum wz_mqtt_type type, uint16_t packet_id)
{
    bool two;

    if (clean == NULL || !wz_packet_ids_has(&clean->sent, packet_id))
        return WZ_OK;
    two = wz_packet_ids_has(&clean->twos, packet_id);
    if (type == WZ_MQTT_PUBREC) {
        if (!two)
            return WZ_ERR_PROTOCOL;
        (void)wz_packet_ids_add(&clean->completing, packet_id); // PUBREC may come twice
        return WZ_OK;
    }
    if (two && !wz_packet_ids_remove(&clean->completing, packet_id))
        return WZ_ERR_PROTOCOL;
    (void)wz_packet_ids_remove(&clean->twos, packet_id); // of QoS 1 it was not
    (void)wz_packet_ids_remove(&clean->sent, packet_id); // it is there
    return WZ_OK;
}

int wz_session_acked(struct wz_session *session, enum wz_mqtt_type type, uint16_t packet_id)
{
    int r = WZ_OK;

    if (session->options.durable == NULL)
        r = acked_clean(session->clean, type, packet_id);
    else
        r = wz_durable_queue_settle(session->options.durable, packet_id,
                                    type == WZ_MQTT_PUBREC ? WZ_RELEASED : WZ_SETTLED);
    want_pump(session);
    return r == WZ_ERR_NOT_FOUND ? WZ_OK : r;
}

size_t wz_session_bytes(const struct wz_session *session)
{
    const struct wz_session_clean *clean = session->clean;

    return clean == NULL ? 0
                         : wz_packet_ids_bytes(&clean->sent) + wz_packet_ids_bytes(&clean->twos) +
                               wz_packet_ids_bytes(&clean->completing);
}

void wz_session_trim(struct wz_session *session)
{
    if (session->clean != NULL) {
        wz_packet_ids_trim(&session->clean->sent);
        wz_packet_ids_trim(&session->clean->twos);
        wz_packet_ids_trim(&session->clean->completing);
    }
    if (session->options.durable != NULL)
        wz_durable_queue_trim(session->options.durable);
}
