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
    struct wz_pen pen = wz_pen(wz_conn_reserve(&client->conn, 4), 4);

    wz_mqtt_connack_write(&pen, false, code);
    WZ_ASSERT(!pen.failed);
    wz_conn_commit(&client->conn, 4);
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

static void open_session(struct wz_mqtt_client *client, const struct wz_mqtt_connect *connect)
{
    struct wz_mqtt *mqtt = client->mqtt;

    take_over(client);
    (void)wz_map_put(&mqtt->by_id, client->id, client); // who was there has just gone
    wz_session_init(&client->session, mqtt->options.exchange, &client->conn, &mqtt->options.session,
                    &mqtt->counts, &mqtt->pumps);
    client->keep_alive_ms = (uint32_t)connect->keep_alive_s * 1500; // 3.1.2.10
    if (connect->has_will)
        will_keep(client, connect);
    client->heard_ms = (int64_t)uv_now(&mqtt->options.loop->uv);
    client->state = WZ_MQTT_CLIENT_OPEN;
    wz_metric_add(WZ_METRIC_MQTT_CONNECTS, 1);
    send_connack(client, WZ_MQTT_ACCEPTED);
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
    open_session(client, &connect);
    return WZ_OK;
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
    wz_packet_ids_release(&client->received);
    if (client->state == WZ_MQTT_CLIENT_OPEN) {
        if (wz_map_get(&mqtt->by_id, client->id) == client)
            (void)wz_map_remove(&mqtt->by_id, client->id); // it is itself
        wz_session_release(&client->session);
    }
    client->state = WZ_MQTT_CLIENT_GONE;
    client->will = NULL;
    // A will that cannot be taken now is lost: there is nobody left to send it again.
    if (will != NULL)
        wz_ignore(wz_exchange_publish(mqtt->options.exchange, &will->message, wz_mqtt_topic_valid,
                                      &ticket));
    wz_parcel_unref(will);
}
