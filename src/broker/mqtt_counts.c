// SPDX-License-Identifier: Apache-2.0
// Owns what the door has counted: a turn's counts on their way into the metrics, and the numbers of
// the topics of $SYS.
#include "base/metrics.h"
#include "broker/mqtt_client.h"

static void add(enum wz_metric metric, int64_t count)
{
    if (count > 0)
        wz_metric_add(metric, count);
}

void wz_mqtt_add_counts(struct wz_mqtt *mqtt)
{
    add(WZ_METRIC_MQTT_RECEIVED, mqtt->received);
    add(WZ_METRIC_MQTT_SENT, mqtt->counts.sent);
    add(WZ_METRIC_MQTT_DROPPED, mqtt->counts.dropped);
    add(WZ_METRIC_MQTT_PAYLOAD_RECEIVED, mqtt->received_bytes);
    add(WZ_METRIC_MQTT_PAYLOAD_SENT, mqtt->counts.sent_bytes);
    add(WZ_METRIC_MQTT_PACKETS_RECEIVED, mqtt->packets);
    add(WZ_METRIC_MQTT_PACKETS_SENT, mqtt->counts.sent + mqtt->counts.answers);
    add(WZ_METRIC_MQTT_BYTES_RECEIVED, mqtt->traffic.read_bytes);
    add(WZ_METRIC_MQTT_BYTES_SENT, mqtt->traffic.written_bytes);
    mqtt->received = 0;
    mqtt->received_bytes = 0;
    mqtt->packets = 0;
    mqtt->counts = (struct wz_session_counts){0};
    mqtt->traffic = (struct wz_conn_traffic){0};
}

// What is of now. The walk looks at each client, as the check of keep-alives does every second.
static void read_present(struct wz_mqtt *mqtt, int64_t *ret_numbers)
{
    const struct wz_queues *queues = mqtt->options.queues;
    int64_t subscriptions = (int64_t)wz_queues_bindings(queues);
    int64_t disconnected = (int64_t)wz_queues_count(queues);
    int64_t connected = (int64_t)mqtt->by_id.count;
    int64_t retained = (int64_t)wz_retained_count(mqtt->options.retained);
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &mqtt->clients)
    {
        struct wz_mqtt_client *client = WZ_CONTAINER(it, struct wz_mqtt_client, link);

        if (client->state != WZ_MQTT_CLIENT_OPEN && client->state != WZ_MQTT_CLIENT_OPENING)
            continue;
        if (client->session.options.durable != NULL)
            disconnected--;
        else if (client->session.clean != NULL)
            subscriptions += (int64_t)client->session.clean->subscriptions.count;
    }
    ret_numbers[WZ_SYS_CLIENTS_TOTAL] = connected + disconnected;
    ret_numbers[WZ_SYS_CLIENTS_CONNECTED] = connected;
    ret_numbers[WZ_SYS_CLIENTS_DISCONNECTED] = disconnected;
    ret_numbers[WZ_SYS_CLIENTS_MAXIMUM] = (int64_t)mqtt->clients_maximum;
    ret_numbers[WZ_SYS_STORED] = retained + (int64_t)wz_queues_stored(queues);
    ret_numbers[WZ_SYS_SUBSCRIPTIONS] = subscriptions;
    ret_numbers[WZ_SYS_RETAINED] = retained;
}

void wz_mqtt_read_numbers(void *arg, int64_t ret_numbers[WZ_SYS_NUMBER_COUNT])
{
    static const struct {
        enum wz_sys_number number;
        enum wz_metric metric;
    } counters[] = {
        {WZ_SYS_CLIENTS_EXPIRED, WZ_METRIC_QUEUES_EXPIRED},
        {WZ_SYS_SOCKETS, WZ_METRIC_MQTT_SOCKETS},
        {WZ_SYS_CONNECTS, WZ_METRIC_MQTT_CONNECTS},
        {WZ_SYS_PACKETS_RECEIVED, WZ_METRIC_MQTT_PACKETS_RECEIVED},
        {WZ_SYS_PACKETS_SENT, WZ_METRIC_MQTT_PACKETS_SENT},
        {WZ_SYS_BYTES_RECEIVED, WZ_METRIC_MQTT_BYTES_RECEIVED},
        {WZ_SYS_BYTES_SENT, WZ_METRIC_MQTT_BYTES_SENT},
        {WZ_SYS_PUBLISH_RECEIVED, WZ_METRIC_MQTT_RECEIVED},
        {WZ_SYS_PUBLISH_SENT, WZ_METRIC_MQTT_SENT},
        {WZ_SYS_PUBLISH_DROPPED, WZ_METRIC_MQTT_DROPPED},
        {WZ_SYS_PAYLOAD_RECEIVED, WZ_METRIC_MQTT_PAYLOAD_RECEIVED},
        {WZ_SYS_PAYLOAD_SENT, WZ_METRIC_MQTT_PAYLOAD_SENT},
    };
    struct wz_mqtt *mqtt = arg;

    wz_mqtt_add_counts(mqtt); // what was written when the last turn ended is in none of them yet
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        ret_numbers[counters[i].number] = wz_metric_get(counters[i].metric);
    ret_numbers[WZ_SYS_PUBLISH_DROPPED] += wz_metric_get(WZ_METRIC_QUEUES_DROPPED);
    read_present(mqtt, ret_numbers);
}
