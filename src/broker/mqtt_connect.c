// SPDX-License-Identifier: Apache-2.0
// Owns the beginning and the end of a client: CONNECT, takeover, keep-alive, will, DISCONNECT.
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "broker/mqtt_client.h"

// What a client id that we choose begins with.
#define OWN_ID_PREFIX "wyze-"

static void send_connack(struct wz_mqtt_client *client, enum wz_mqtt_connack code)
{
    bool present = code == WZ_MQTT_ACCEPTED && client->session_present;
    struct wz_pen pen = wz_pen(wz_conn_reserve(&client->conn, 4), 4);

    wz_mqtt_connack_write(&pen, present, code);
    WZ_ASSERT(!pen.failed);
    wz_conn_commit(&client->conn, 4);
    client->mqtt->counts.answers++;
}

// Answers a CONNECT with a refusal; the connection closes when that is out (3.1.4).
static int refuse(struct wz_mqtt_client *client, enum wz_mqtt_connack code, const char *why)
{
    char peer[64];

    send_connack(client, code);
    wz_conn_peer(&client->conn, peer);
    if (wz_log_allow(&client->mqtt->log_us))
        WZ_LOG(WZ_LOG_WARN, "mqtt.refused", WZ_F_STR("address", peer), WZ_F_STR("why", why));
    return WZ_ERR_UNSUPPORTED;
}

static struct wz_slice id_make(void)
{
    char text[32];
    int len =
        snprintf(text, sizeof(text), OWN_ID_PREFIX "%016llx", (unsigned long long)wz_rand_u64());

    return wz_slice(wz_strndup(text, (size_t)len), (size_t)len);
}

static void will_keep(struct wz_mqtt_client *client, const struct wz_mqtt_connect *connect)
{
    struct wz_message will = {
        .topic = connect->will_topic,
        .body = connect->will_message,
        .client = client->id,
        .qos = connect->will_qos,
        .retain = connect->will_retain,
        .offset = -1,
    };

    client->will = wz_parcel_new(&will);
}

// Another connection of the same client id is closed (3.1.4, MQTT-3.1.4-2).
static void take_over(struct wz_mqtt_client *client)
{
    struct wz_mqtt_client *before = wz_map_get(&client->mqtt->by_id, client->id);

    if (before == NULL)
        return;
    if (wz_log_allow(&client->mqtt->log_us))
        WZ_LOG(WZ_LOG_INFO, "mqtt.takeover", WZ_F_SLICE("client", client->id));
    wz_conn_close(&before->conn, WZ_CONN_NOW, WZ_ERR_CONFLICT);
}

// The durable queue of a persistent session: the one that is there, or a new one; a clean session
// ends the one that is there (3.1.2.4). Inside a group. WZ_ERR_LIMIT when there are too many.
static int choose_queue(struct wz_mqtt_client *client, bool clean,
                        struct wz_durable_queue **ret_queue)
{
    struct wz_queues *queues = client->mqtt->options.queues;
    struct wz_durable_queue *queue = wz_queues_find(queues, client->id);

    client->session_present = queue != NULL && !clean;
    if (queue != NULL && clean) {
        wz_queues_delete(queue);
        queue = NULL;
    }
    *ret_queue = queue;
    if (queue == NULL && !clean)
        return wz_queues_declare(queues, client->id, ret_queue);
    return WZ_OK;
}

// Sends the CONNACK; what came behind the CONNECT is dealt with from now on.
void wz_mqtt_client_opened(struct wz_mqtt_client *client)
{
    if (client->state != WZ_MQTT_CLIENT_OPENING || !wz_ticket_safe(&client->opening))
        return;
    client->state = WZ_MQTT_CLIENT_OPEN;
    client->heard_ms = (int64_t)uv_now(&client->mqtt->options.loop->uv);
    wz_metric_add(WZ_METRIC_MQTT_CONNECTS, 1);
    send_connack(client, WZ_MQTT_ACCEPTED);
    wz_session_start(&client->session);
}

static int open_session(struct wz_mqtt_client *client, const struct wz_mqtt_connect *connect)
{
    struct wz_mqtt *mqtt = client->mqtt;
    struct wz_session_options options = {
        .exchange = mqtt->options.exchange,
        .conn = &client->conn,
        .limits = &mqtt->options.session,
        .counts = &mqtt->counts,
        .pumps = &mqtt->pumps,
        .queues = mqtt->options.queues,
        .retained = mqtt->options.retained,
        .sys = mqtt->sys,
    };
    int r;

    take_over(client);
    wz_queues_begin(mqtt->options.queues);
    r = choose_queue(client, connect->clean_session, &options.durable);
    if (r == WZ_OK)
        wz_session_init(&client->session, &options);
    wz_queues_end(mqtt->options.queues, &client->opening);
    if (r < 0)
        return refuse(client, WZ_MQTT_UNAVAILABLE, "mqtt.max_sessions is reached");
    (void)wz_map_put(&mqtt->by_id, client->id, client); // who was there has just gone
    if (mqtt->by_id.count > mqtt->clients_maximum)
        mqtt->clients_maximum = mqtt->by_id.count;
    client->keep_alive_ms = (uint32_t)connect->keep_alive_s * 1500; // 3.1.2.10
    if (connect->has_will)
        will_keep(client, connect);
    client->state = WZ_MQTT_CLIENT_OPENING;
    wz_mqtt_client_opened(client);
    if (client->state == WZ_MQTT_CLIENT_OPENING) {
        wz_ticket_want(&client->opening);
        wz_list_push(&mqtt->blocked, &client->blocked);
    }
    return WZ_OK;
}

int wz_mqtt_client_connect(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    struct wz_mqtt *mqtt = client->mqtt;
    struct wz_mqtt_connect connect;
    int r = wz_mqtt_connect_read(frame, &connect);

    if (r == WZ_ERR_UNSUPPORTED)
        return refuse(client, WZ_MQTT_BAD_PROTOCOL, "it does not speak MQTT 3.1.1");
    if (r < 0)
        return r;
    if (mqtt->client_count > mqtt->options.max_connections)
        return refuse(client, WZ_MQTT_UNAVAILABLE, "mqtt.max_connections is reached");
    if (connect.client_id.len == 0 && !connect.clean_session) // 3.1.3.1
        return refuse(client, WZ_MQTT_BAD_CLIENT_ID, "an empty client id needs a clean session");
    if (connect.client_id.len == 0)
        client->id = id_make();
    else
        client->id = wz_slice(wz_strndup(connect.client_id.ptr, connect.client_id.len),
                              connect.client_id.len);
    return open_session(client, &connect);
}

int wz_mqtt_client_ping(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    int r = wz_mqtt_empty_read(frame);
    struct wz_pen pen;

    if (r < 0)
        return r;
    pen = wz_pen(wz_conn_reserve(&client->conn, 2), 2);
    wz_mqtt_empty_write(&pen, WZ_MQTT_PINGRESP);
    wz_conn_commit(&client->conn, 2);
    client->mqtt->counts.answers++;
    return WZ_OK;
}

int wz_mqtt_client_disconnect(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    int r = wz_mqtt_empty_read(frame);

    if (r < 0)
        return r;
    wz_parcel_unref(client->will); // an orderly end has none (3.1.2.5)
    client->will = NULL;
    wz_conn_close(&client->conn, WZ_CONN_NOW, WZ_OK);
    return WZ_OK;
}

static void log_end(const struct wz_mqtt_client *client, int err)
{
    char peer[64];

    if (err == WZ_OK || !wz_log_allow(&client->mqtt->log_us))
        return;
    wz_conn_peer(&client->conn, peer);
    WZ_LOG(WZ_LOG_INFO, "mqtt.closed", WZ_F_SLICE("client", client->id), WZ_F_STR("address", peer),
           WZ_F_ERR(err));
}

void wz_mqtt_weigh_wills(struct wz_mqtt *mqtt)
{
    wz_budget_count(&mqtt->options.loop->budget, mqtt->wills_counted_bytes, mqtt->wills.bytes);
    mqtt->wills_counted_bytes = mqtt->wills.bytes;
}

void wz_mqtt_client_weigh(struct wz_mqtt_client *client)
{
    wz_conn_hold(&client->conn,
                 wz_acks_bytes(&client->acks) + client->answers.cap +
                     wz_packet_ids_bytes(&client->received) + wz_session_bytes(&client->session) +
                     (client->will != NULL ? sizeof(*client->will) + client->will->len : 0));
}

// Publishes a will, now or when there is room; takes over the reference.
static void publish_will(struct wz_mqtt *mqtt, struct wz_parcel *will)
{
    struct wz_ticket ticket;

    if (wz_mqtt_publish_message(mqtt, &will->message, &ticket) == WZ_ERR_BUSY) {
        if (wz_queue_push(&mqtt->wills, will, will->message.qos) == WZ_OK) {
            wz_mqtt_weigh_wills(mqtt);
            return;
        }
        if (wz_log_allow(&mqtt->lost_us))
            WZ_LOG(WZ_LOG_ERROR, "mqtt.will_lost", WZ_F_SLICE("client", will->message.client));
    }
    wz_parcel_unref(will);
}

void wz_mqtt_client_end(struct wz_mqtt_client *client, int err)
{
    struct wz_mqtt *mqtt = client->mqtt;
    struct wz_parcel *will = client->will;
    struct wz_ticket ticket;

    if (err == WZ_ERR_PROTOCOL || err == WZ_ERR_TOO_LARGE || err == WZ_ERR_UNSUPPORTED ||
        err == WZ_ERR_LIMIT)
        wz_metric_add(WZ_METRIC_MQTT_REFUSED, 1);
    log_end(client, err);
    wz_list_remove(&client->waiting);
    wz_list_remove(&client->blocked);
    wz_list_remove(&client->choked);
    wz_acks_release(&client->acks);
    wz_buf_release(&client->answers);
    wz_packet_ids_release(&client->received);
    if (client->state == WZ_MQTT_CLIENT_OPEN || client->state == WZ_MQTT_CLIENT_OPENING) {
        if (wz_map_get(&mqtt->by_id, client->id) == client)
            (void)wz_map_remove(&mqtt->by_id, client->id); // it is itself
        wz_queues_begin(mqtt->options.queues);
        wz_session_release(&client->session, mqtt->options.loop->now_ms);
        wz_queues_end(mqtt->options.queues, &ticket);
    }
    client->state = WZ_MQTT_CLIENT_GONE;
    client->will = NULL;
    wz_mqtt_client_weigh(client);
    if (will != NULL)
        publish_will(mqtt, will);
}
