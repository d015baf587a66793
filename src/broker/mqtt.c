// SPDX-License-Identifier: Apache-2.0
// Owns the door: listener, the list of clients, the dispatch of packets, the check of keep-alives.
//
// A client's states: NEW --CONNECT--> OPENING --durable--> OPEN --DISCONNECT, error, silence,
// takeover--> GONE.
#include "broker/mqtt.h"

#include <malloc.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/mqtt_client.h"

// How often silent clients are looked for.
#define TICK_MS 1000

// So much less must be held before the system gets memory back; so much the allocator keeps then.
#define GIVE_BACK_BYTES ((size_t)4 * 1024 * 1024)

// Wills that wait for room; more are lost, which is logged.
#define WILLS_MAX 20000
#define WILLS_MAX_BYTES ((size_t)16 * 1024 * 1024)

static const wz_mqtt_packet_fn packets[16] = {
    [WZ_MQTT_PUBLISH] = wz_mqtt_client_publish,
    [WZ_MQTT_PUBACK] = wz_mqtt_client_acked,
    [WZ_MQTT_PUBREC] = wz_mqtt_client_acked,
    [WZ_MQTT_PUBREL] = wz_mqtt_client_pubrel,
    [WZ_MQTT_PUBCOMP] = wz_mqtt_client_acked,
    [WZ_MQTT_SUBSCRIBE] = wz_mqtt_client_subscribe,
    [WZ_MQTT_UNSUBSCRIBE] = wz_mqtt_client_unsubscribe,
    [WZ_MQTT_PINGREQ] = wz_mqtt_client_ping,
    [WZ_MQTT_DISCONNECT] = wz_mqtt_client_disconnect,
};

static int dispatch(struct wz_mqtt_client *client, const struct wz_mqtt_frame *frame)
{
    if (client->state == WZ_MQTT_CLIENT_NEW)
        return wz_queues_ready(client->mqtt->options.queues) ? wz_mqtt_client_connect(client, frame)
                                                             : WZ_ERR_BUSY;
    if (packets[frame->type] == NULL)
        return WZ_ERR_PROTOCOL; // a second CONNECT, or what only a server sends (3.1.0)
    if (frame->type < WZ_MQTT_PINGREQ && !wz_queues_ready(client->mqtt->options.queues))
        return WZ_ERR_BUSY;
    return packets[frame->type](client, frame);
}

static size_t max_packet(const struct wz_mqtt_client *client)
{
    return client->state == WZ_MQTT_CLIENT_NEW ? WZ_MQTT_CONNECT_BYTES
                                               : client->mqtt->options.max_packet_bytes;
}

// The loop's own clock: nobody is silent because somebody sets the wall clock.
static int64_t now(const struct wz_mqtt *mqtt) { return (int64_t)uv_now(&mqtt->options.loop->uv); }

// Stops reading from a client for as long as it is on LIST.
static void hold_up(struct wz_mqtt_client *client, struct wz_list *list, struct wz_list *link)
{
    if (wz_list_empty(link))
        wz_list_push(list, link);
    wz_conn_pause(&client->conn);
}

// Among whom a client waits whose packet could not be taken. Publishers that wait for room on the
// disk are not asked each time that something becomes durable: others take messages out meanwhile.
static struct wz_list *waiting_room(struct wz_mqtt *mqtt, const struct wz_mqtt_frame *frame)
{
    return frame->type == WZ_MQTT_PUBLISH && wz_space_low(mqtt->options.space) ? &mqtt->starved
                                                                               : &mqtt->blocked;
}

// Whether a client has more answers to read than it may leave unread; messages stop before that.
static bool is_choked(const struct wz_mqtt_client *client)
{
    return wz_conn_out_bytes(&client->conn) > 2 * client->mqtt->options.session.max_out_bytes;
}

// Whether the next packet may have to wait with an ack for which there is no memory now. Acks are
// waited for then, and they make room.
static bool is_owed_too_much(struct wz_mqtt_client *client)
{
    size_t growth = wz_acks_growth(&client->acks);

    if (growth == 0)
        return false;
    wz_mqtt_client_weigh(client);
    return !wz_conn_may_hold(&client->conn, growth);
}

// Tells the exchange which topics the next packets of INPUT are published to. Returns how many
// bytes these packets are.
static size_t look_ahead(const struct wz_mqtt_client *client, struct wz_slice input)
{
    struct wz_slice topics[WZ_EXCHANGE_EXPECT_MAX];
    struct wz_mqtt_publish publish;
    struct wz_mqtt_frame frame;
    size_t count = 0;
    size_t pos = 0;

    while (count < WZ_EXCHANGE_EXPECT_MAX &&
           wz_mqtt_frame_read(wz_slice_sub(input, pos, input.len - pos), max_packet(client),
                              &frame) == WZ_OK) {
        pos += frame.len;
        if (wz_mqtt_publish_read(&frame, &publish) == WZ_OK)
            topics[count++] = publish.topic;
    }
    wz_exchange_expect(client->mqtt->options.exchange, topics, count);
    return pos;
}

static ssize_t on_input(struct wz_conn *conn, struct wz_slice input)
{
    struct wz_mqtt_client *client = WZ_CONTAINER(conn, struct wz_mqtt_client, conn);
    bool wide = wz_exchange_cached(client->mqtt->options.exchange) >= WZ_EXCHANGE_WIDE;
    size_t ahead = 0; // as far as the exchange has been told
    size_t pos = 0;

    if (client->state == WZ_MQTT_CLIENT_OPEN)
        client->heard_ms = now(client->mqtt);
    while (client->state != WZ_MQTT_CLIENT_GONE) {
        struct wz_slice rest = wz_slice_sub(input, pos, input.len - pos);
        struct wz_mqtt_frame frame;
        int r = wz_mqtt_frame_read(rest, max_packet(client), &frame);

        if (wide && pos >= ahead)
            ahead = pos + look_ahead(client, rest);
        if (r == WZ_AGAIN)
            break;
        if (r == WZ_OK && is_choked(client)) {
            hold_up(client, &client->mqtt->choked, &client->choked);
            break;
        }
        if (r == WZ_OK)
            r = client->state == WZ_MQTT_CLIENT_OPENING || is_owed_too_much(client)
                    ? WZ_ERR_BUSY
                    : dispatch(client, &frame);
        if (r == WZ_ERR_BUSY) {
            hold_up(client, waiting_room(client->mqtt, &frame), &client->blocked);
            break;
        }
        if (r < 0)
            return r;
        pos += frame.len;
        client->mqtt->packets++;
    }
    wz_mqtt_client_weigh(client);
    return (ssize_t)pos;
}

static void on_end(struct wz_conn *conn, int err)
{
    wz_mqtt_client_end(WZ_CONTAINER(conn, struct wz_mqtt_client, conn), err);
}

static void on_closed(struct wz_conn *conn)
{
    struct wz_mqtt_client *client = WZ_CONTAINER(conn, struct wz_mqtt_client, conn);

    wz_list_remove(&client->link);
    client->mqtt->client_count--;
    wz_metric_add(WZ_METRIC_MQTT_CONNECTIONS, -1);
    wz_free((void *)(uintptr_t)client->id.ptr);
    wz_free(client);
}

static const struct wz_conn_ops client_ops = {
    .input = on_input,
    .end = on_end,
    .closed = on_closed,
};

static void on_offer(struct wz_listener *listener, void *arg)
{
    struct wz_mqtt *mqtt = arg;
    struct wz_mqtt_client *client = wz_zalloc(1, sizeof(*client));

    client->mqtt = mqtt;
    client->heard_ms = now(mqtt);
    client->conn.traffic = &mqtt->traffic;
    wz_list_init(&client->link);
    wz_list_init(&client->waiting);
    wz_list_init(&client->blocked);
    wz_list_init(&client->choked);
    wz_list_push(&mqtt->clients, &client->link);
    mqtt->client_count++;
    wz_metric_add(WZ_METRIC_MQTT_CONNECTIONS, 1);
    wz_metric_add(WZ_METRIC_MQTT_SOCKETS, 1);
    wz_conn_accept(&client->conn, mqtt->options.loop, (uv_stream_t *)&listener->tcp, &client_ops);
    if (mqtt->client_count > mqtt->options.max_connections + WZ_MQTT_SPARE_CONNECTIONS)
        wz_conn_close(&client->conn, WZ_CONN_NOW, WZ_ERR_LIMIT);
}

// When much less is held than before, the allocator gives it back to the system: by itself it does
// so only when nothing lies above it.
static void give_back(struct wz_mqtt *mqtt)
{
    struct wz_budget *budget = &mqtt->options.loop->budget;

    if (budget->bytes + GIVE_BACK_BYTES >= budget->most)
        return;
    (void)malloc_trim(GIVE_BACK_BYTES); // there may have been nothing
    budget->most = budget->bytes;
}

// By both clocks at one moment: a turn of the loop that took long is no clock that was set.
static void expire_queues(struct wz_mqtt *mqtt)
{
    wz_queues_expire(mqtt->options.queues, wz_clock_wall_ms(), wz_clock_mono_us() / 1000);
}

static void on_tick(uv_timer_t *timer)
{
    struct wz_mqtt *mqtt = timer->data;
    int64_t now_ms = now(mqtt);
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &mqtt->clients)
    {
        struct wz_mqtt_client *client = WZ_CONTAINER(it, struct wz_mqtt_client, link);
        int64_t silent_ms = now_ms - client->heard_ms;
        bool late = client->state == WZ_MQTT_CLIENT_NEW
                        ? silent_ms > mqtt->options.connect_timeout_ms
                        : client->keep_alive_ms > 0 && silent_ms > client->keep_alive_ms;

        wz_acks_trim(&client->acks);
        wz_packet_ids_trim(&client->received);
        if (client->state == WZ_MQTT_CLIENT_OPEN)
            wz_session_trim(&client->session);
        wz_mqtt_client_weigh(client);
        // Who is held up by us is not silent.
        if (late && wz_list_empty(&client->blocked) && !wz_conn_is_stopped(&client->conn))
            wz_conn_close(&client->conn, WZ_CONN_NOW, WZ_ERR_TIMEOUT);
    }
    give_back(mqtt);
    expire_queues(mqtt);
}

// The end of a turn: what waits is sent as far as there is room, what was counted is added up.
static void on_flush(void *arg)
{
    struct wz_mqtt *mqtt = arg;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &mqtt->choked)
    {
        struct wz_mqtt_client *client = WZ_CONTAINER(it, struct wz_mqtt_client, choked);

        if (is_choked(client))
            continue;
        wz_list_remove(&client->choked);
        wz_conn_resume(&client->conn);
    }
    WZ_LIST_EACH(it, tmp, &mqtt->pumps)
    {
        wz_session_pump(WZ_CONTAINER(it, struct wz_session, pump));
    }
    if (mqtt->counts.dropped > 0 && wz_log_allow(&mqtt->lost_us))
        WZ_LOG(WZ_LOG_WARN, "mqtt.dropped", WZ_F_INT("count", mqtt->counts.dropped),
               WZ_F_STR("why", "a subscriber does not read fast enough"));
    wz_mqtt_add_counts(mqtt);
}

// Publishes wills that could not be taken when their clients went.
static void publish_wills(struct wz_mqtt *mqtt)
{
    struct wz_parcel *will;
    struct wz_ticket ticket;
    unsigned qos;

    while ((will = wz_queue_first(&mqtt->wills, &qos)) != NULL &&
           wz_mqtt_publish_message(mqtt, &will->message, &ticket) != WZ_ERR_BUSY)
        wz_queue_pop(&mqtt->wills);
    wz_mqtt_weigh_wills(mqtt);
}

void wz_mqtt_durable(struct wz_mqtt *mqtt)
{
    struct wz_list *it;
    struct wz_list *tmp;

    struct wz_list blocked;

    publish_wills(mqtt);
    wz_list_init(&blocked);
    while ((it = wz_list_shift(&mqtt->blocked)) != NULL)
        wz_list_push(&blocked, it);
    while (!wz_space_low(mqtt->options.space) && (it = wz_list_shift(&mqtt->starved)) != NULL)
        wz_list_push(&blocked, it);
    WZ_LIST_EACH(it, tmp, &mqtt->waiting)
    {
        wz_mqtt_client_acks(WZ_CONTAINER(it, struct wz_mqtt_client, waiting));
    }
    while ((it = wz_list_shift(&blocked)) != NULL) {
        struct wz_mqtt_client *client = WZ_CONTAINER(it, struct wz_mqtt_client, blocked);

        wz_mqtt_client_opened(client);
        client->heard_ms = now(mqtt); // he was not listened to
        if (client->state == WZ_MQTT_CLIENT_OPENING)
            wz_list_push(&mqtt->blocked, &client->blocked);
        else
            wz_conn_resume(&client->conn);
    }
}

int wz_mqtt_open(const struct wz_mqtt_options *options, struct wz_mqtt **ret_mqtt,
                 struct wz_problem *ret_problem)
{
    struct wz_mqtt *mqtt = wz_zalloc(1, sizeof(*mqtt));
    struct wz_sys_topics_options sys = {.loop = options->loop,
                                        .exchange = options->exchange,
                                        .interval_ms = options->sys_interval_ms,
                                        .read = wz_mqtt_read_numbers,
                                        .arg = mqtt};
    int r;

    mqtt->options = *options;
    wz_list_init(&mqtt->clients);
    wz_list_init(&mqtt->waiting);
    wz_list_init(&mqtt->blocked);
    wz_list_init(&mqtt->starved);
    wz_list_init(&mqtt->choked);
    wz_list_init(&mqtt->pumps);
    mqtt->wills = (struct wz_queue){.max_count = WILLS_MAX, .max_bytes = WILLS_MAX_BYTES};
    mqtt->part = (struct wz_loop_part){.flush = on_flush, .arg = mqtt};
    wz_loop_join(options->loop, &mqtt->part);
    (void)uv_timer_init(&options->loop->uv, &mqtt->timer); // these two cannot fail
    (void)uv_timer_start(&mqtt->timer, on_tick, TICK_MS, TICK_MS);
    mqtt->timer.data = mqtt;
    // From here on they know when the clock is set, not from the first tick on.
    expire_queues(mqtt);
    if (sys.interval_ms > 0)
        mqtt->sys = wz_sys_topics_new(&sys);
    *ret_mqtt = mqtt; // also on failure: libuv still holds its handles, the caller closes and frees
    r = wz_listener_open(&mqtt->listener, options->loop, options->host, options->port, on_offer,
                         mqtt, ret_problem);
    return r;
}

void wz_mqtt_close(struct wz_mqtt *mqtt)
{
    struct wz_list *it;
    struct wz_list *tmp;

    mqtt->closing = true;
    wz_listener_close(&mqtt->listener);
    uv_close((uv_handle_t *)&mqtt->timer, NULL);
    wz_sys_topics_stop(mqtt->sys);
    WZ_LIST_EACH(it, tmp, &mqtt->clients)
    {
        wz_conn_close(&WZ_CONTAINER(it, struct wz_mqtt_client, link)->conn, WZ_CONN_NOW, WZ_OK);
    }
}

void wz_mqtt_free(struct wz_mqtt *mqtt)
{
    if (mqtt == NULL)
        return;
    WZ_ASSERT(wz_list_empty(&mqtt->clients));
    wz_loop_leave(&mqtt->part);
    wz_map_release(&mqtt->by_id);
    wz_queue_release(&mqtt->wills);
    wz_mqtt_weigh_wills(mqtt);
    wz_sys_topics_free(mqtt->sys);
    wz_free(mqtt);
}

int wz_mqtt_port(const struct wz_mqtt *mqtt) { return wz_listener_port(&mqtt->listener); }
