// SPDX-License-Identifier: Apache-2.0
// Owns the life of one running wyze: the order in which its parts start and stop. It starts from
// the bottom (folder, streams, store) to the top (engine, gateway, MQTT door) and stops the other
// way round: first nothing new comes in, then what is in is finished, then it is made durable.
#include "node/node.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/mqtt.h"
#include "broker/queues.h"
#include "broker/retained.h"
#include "bus/desk.h"
#include "bus/embedded.h"
#include "bus/trimmer.h"
#include "cli/mapping_text.h"
#include "cli/worker_path.h"
#include "engine/accounts.h"
#include "engine/engine.h"
#include "engine/passthrough.h"
#include "gateway/gateway.h"
#include "node/disk.h"
#include "node/documents.h"
#include "node/parts.h"
#include "node/streams.h"
#include "router/commands.h"
#include "router/inbox.h"
#include "router/router.h"
#include "store/store.h"
#include "stream/journal.h"
#include "stream/retention.h"
#include "stream/space.h"

// The most a peer's output may hold before it counts as slow.
#define OUT_BYTES_MAX (4 * 1024 * 1024)

static int folder_open(struct wz_node *node)
{
    const char *dir = wz_config_str(node->config, WZ_CONFIG_DATA);
    char path[WZ_NODE_PATH_BYTES];
    pid_t owner = 0;
    int r = wz_fs_make_folders(dir);

    if (r < 0) {
        (void)wz_problem_set(node->problem, r, WZ_CODE_CONFIG_DATA,
                             "the data folder %s cannot be made: %s", dir, wz_err_text(r));
        wz_problem_fix(node->problem, "give another folder with --data");
        return r;
    }
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    r = wz_fs_lock(path, &node->lock_fd, &owner);
    if (r == WZ_ERR_LOCKED) {
        (void)wz_problem_set(node->problem, r, WZ_CODE_CONFIG_DATA,
                             "another wyze (process %ld) uses the data folder %s", (long)owner,
                             dir);
        wz_problem_fix(node->problem, "stop it, or give this one a folder of its own with --data");
    } else if (r < 0) {
        (void)wz_problem_set(node->problem, r, WZ_CODE_CONFIG_DATA,
                             "the data folder %s cannot be used: %s", dir, wz_err_text(r));
    }
    return r;
}

static int mqtt_open(struct wz_node *node)
{
    const struct wz_config *config = node->config;
    const struct wz_address *address = wz_config_address(config, WZ_CONFIG_MQTT_LISTEN);
    struct wz_mqtt_options options = {
        .loop = &node->loop,
        .exchange = wz_bus_exchange(node->bus, WZ_BUS_DEVICES),
        .host = address->host,
        .port = address->port,
        .queues = node->queues,
        .retained = node->retained,
        .space = node->space,
        .session =
            {
                .max_inflight = (uint32_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_INFLIGHT),
                .max_subscriptions =
                    (uint32_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_SUBSCRIPTIONS),
                .max_queued = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_QUEUED),
                .max_queued_bytes = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_QUEUED_BYTES),
                .max_out_bytes = OUT_BYTES_MAX,
            },
        .max_packet_bytes = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_PACKET),
        .max_connections = (uint32_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_CONNECTIONS),
        .connect_timeout_ms = wz_config_int(config, WZ_CONFIG_MQTT_CONNECT_TIMEOUT),
        .sys_interval_ms = wz_config_int(config, WZ_CONFIG_MQTT_SYS_INTERVAL),
    };

    if (address->off)
        return WZ_OK;
    wz_exchange_limit(options.exchange, (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_TOPIC),
                      (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_TOPIC_LEVELS));
    return wz_mqtt_open(&options, &node->mqtt, node->problem);
}

static void engine_open(struct wz_node *node)
{
    struct wz_engine_options options = {
        .loop = &node->loop,
        .bus = node->bus,
        .board = node->board,
        .desk = node->desk,
        .raw = node->raw,
        .processed = node->processed,
        .script_log = node->script_log,
        .journal = node->journal,
        .accounts = node->accounts,
        .max_message_ms = wz_config_int(node->config, WZ_CONFIG_SCRIPTS_MAX_MESSAGE_TIME),
        .retry_ms = wz_config_int(node->config, WZ_CONFIG_SCRIPTS_RETRY_DELAY),
        .max_state_bytes = (size_t)wz_config_int(node->config, WZ_CONFIG_SCRIPTS_MAX_STATE),
        .window_bytes = (size_t)wz_config_int(node->config, WZ_CONFIG_SCRIPTS_WINDOW),
        .without_landlock = wz_config_int(node->config, WZ_CONFIG_SCRIPTS_SANDBOX) != 0,
    };

    wz_worker_path_add(&node->worker_path);
    options.worker_path = wz_buf_str(&node->worker_path);
    node->engine = wz_engine_new(&options);
}

static int gateway_open(struct wz_node *node)
{
    char path[WZ_NODE_PATH_BYTES];
    struct wz_gateway_options options = {
        .parts =
            {
                .store = node->store,
                .bus = node->bus,
                .board = node->board,
                .desk = node->desk,
                .config = node->config,
                .streams = {{"raw-stream", node->raw, wz_node_caps(node, WZ_STREAM_RAW)},
                            {"processed-stream", node->processed,
                             wz_node_caps(node, WZ_STREAM_PROCESSED)},
                            {"script-log", node->script_log,
                             wz_node_caps(node, WZ_STREAM_SCRIPT_LOG)}},
                .stream_count = 3,
                .journal = wz_journal_log(node->journal),
                .budget = &node->loop.budget,
                .space = node->space,
                .import = wz_mapping_text_import,
                .export = wz_mapping_text_export,
                .ready = wz_mapping_text_ready,
                .explain = wz_mapping_text_explain,
                .suggest = wz_mapping_text_suggest,
                .accept = wz_mapping_text_accept,
                .started_ms = node->started_ms,
                .started_us = node->started_us,
            },
        .listen = wz_config_address(node->config, WZ_CONFIG_HTTP_LISTEN),
        .socket_path = path,
    };

    (void)snprintf(path, sizeof(path), "%s/wyze.sock", wz_config_str(node->config, WZ_CONFIG_DATA));
    return wz_gateway_start(&options, &node->gateway, node->problem);
}

static void on_engine_stopped(void *arg)
{
    struct wz_node *node = arg;

    wz_loop_stop(&node->loop);
}

// Nothing new comes in from here on; the loop returns when everything is closed.
static void stop(struct wz_node *node)
{
    if (node->stopping)
        return;
    node->stopping = true;
    for (size_t i = 0; i < sizeof(node->signals) / sizeof(node->signals[0]); i++)
        uv_close((uv_handle_t *)&node->signals[i], NULL);
    if (node->mqtt != NULL)
        wz_mqtt_close(node->mqtt);
    if (node->space != NULL)
        wz_space_stop(node->space);
    if (node->trimmer != NULL)
        wz_trimmer_stop(node->trimmer);
    if (node->journal != NULL)
        wz_journal_stop(node->journal);
    if (node->commands != NULL)
        wz_commands_stop(node->commands);
    if (node->passthrough != NULL)
        wz_passthrough_stop(node->passthrough);
    if (node->inbox != NULL)
        wz_inbox_stop(node->inbox);
    if (node->engine != NULL)
        wz_engine_stop(node->engine, on_engine_stopped, node);
    else
        wz_loop_stop(&node->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct wz_node *node = signal->data;

    WZ_LOG(WZ_LOG_INFO, "node.stopping", WZ_F_INT("signal", number));
    stop(node);
}

static void limits_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return; // then the default has to do
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); // likewise
}

static int loop_make(struct wz_node *node)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    int r = wz_loop_init(&node->loop);

    if (r < 0)
        return wz_problem_set(node->problem, r, WZ_CODE_CONFIG_DATA,
                              "the system gives no event loop: %s", wz_err_text(r));
    node->loop_made = true;
    wz_budget_limit(&node->loop.budget, (size_t)wz_config_int(node->config, WZ_CONFIG_MEMORY_MAX));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)uv_signal_init(&node->loop.uv, &node->signals[i]); // cannot fail on a new loop
        node->signals[i].data = node;
        if (uv_signal_start(&node->signals[i], on_signal, numbers[i]) < 0)
            WZ_LOG(WZ_LOG_WARN, "node.signal", WZ_F_INT("signal", numbers[i]));
    }
    (void)signal(SIGPIPE, SIG_IGN); // cannot fail for this signal
    return WZ_OK;
}

static int start(struct wz_node *node)
{
    struct wz_router_options router = {.loop = &node->loop};
    int r = loop_make(node);

    if (r == WZ_OK)
        r = folder_open(node);
    if (r == WZ_OK)
        r = wz_node_streams_open(node);
    if (r < 0)
        return r;
    node->bus = wz_bus_new(&node->loop);
    node->board = wz_board_new();
    node->desk = wz_desk_new(&node->loop);
    r = wz_node_journal_open(node);
    if (r < 0)
        return r;
    wz_node_disk_open(node);
    router.bus = node->bus;
    router.raw = node->raw;
    router.processed = node->processed;
    router.commands = node->commands;
    router.inbox = node->inbox;
    r = wz_router_open(&router, &node->router);
    if (r < 0)
        return r;
    engine_open(node);
    r = wz_node_store_open(node);
    if (r == WZ_OK)
        r = wz_node_documents_wait(node);
    wz_mem_give_back(); // of documents and of what the journal said; nobody is waiting yet
    if (r == WZ_OK)
        r = mqtt_open(node);
    if (r == WZ_OK)
        r = gateway_open(node); // last: once it answers, /readyz is true of all doors
    wz_journal_start(node->journal);
    return r;
}

// Takes everything apart, however far start came. Returns what kept a stream from being durable.
static int finish(struct wz_node *node)
{
    int r;

    if (node->loop_made) {
        stop(node);
        wz_loop_run(&node->loop);               // until every handle is closed
        (void)wz_mailbox_run(&node->loop.mail); // posts that came too late for a turn
    }
    wz_mqtt_free(node->mqtt);
    node->mqtt = NULL;
    if (node->bus != NULL)
        wz_bus_stop(node->bus);
    wz_gateway_stop(node->gateway);
    if (node->store != NULL)
        wz_store_close(node->store); // no more documents come after this
    wz_mapping_keeper_release(&node->keeper);
    if (node->engine != NULL)
        wz_engine_free(node->engine);
    node->engine = NULL;
    wz_router_close(node->router);
    node->router = NULL;
    if (node->commands != NULL)
        wz_commands_put_position(node->commands);
    wz_commands_free(node->commands);
    if (node->passthrough != NULL)
        wz_passthrough_put_position(node->passthrough);
    wz_passthrough_free(node->passthrough);
    node->passthrough = NULL;
    wz_inbox_free(node->inbox);
    node->inbox = NULL;
    if (node->queues != NULL)
        wz_queues_stop(node->queues);
    wz_queues_free(node->queues);
    node->queues = NULL;
    wz_retained_free(node->retained);
    if (node->accounts != NULL)
        wz_accounts_free(node->accounts);
    r = wz_node_streams_close(node);
    wz_space_free(node->space); // asked until the last ack has left
    wz_trimmer_free(node->trimmer);
    wz_retention_free(node->retention);
    if (node->loop_made)
        wz_loop_release(&node->loop);
    wz_bus_free(node->bus);
    if (node->board != NULL)
        wz_board_free(node->board);
    wz_desk_free(node->desk);
    wz_buf_release(&node->worker_path);
    wz_fs_close(node->lock_fd);
    return r;
}

// Puts up where the doors are, for the API's status.
static void show_listeners(struct wz_node *node)
{
    const struct wz_address *mqtt = wz_config_address(node->config, WZ_CONFIG_MQTT_LISTEN);
    const struct wz_address *http = wz_config_address(node->config, WZ_CONFIG_HTTP_LISTEN);

    if (node->mqtt != NULL)
        wz_board_set(node->board, "listeners", "mqtt",
                     json_pack("{s:s, s:i}", "host", mqtt->host, "port", wz_mqtt_port(node->mqtt)));
    if (!http->off)
        wz_board_set(node->board, "listeners", "http",
                     json_pack("{s:s, s:i}", "host", http->host, "port",
                               (int)wz_gateway_port(node->gateway)));
}

int wz_node_run(const struct wz_config *config, struct wz_problem *ret_problem)
{
    struct wz_node node = {
        .config = config,
        .problem = ret_problem,
        .lock_fd = -1,
        .started_ms = wz_clock_wall_ms(),
        .started_us = wz_clock_mono_us(),
    };
    int stopped;
    int r;

    wz_log_set_level((enum wz_log_level)wz_config_int(config, WZ_CONFIG_LOG_LEVEL));
    limits_raise();
    r = start(&node);
    if (r == WZ_OK) {
        show_listeners(&node);
        WZ_LOG(WZ_LOG_INFO, "node.ready", WZ_F_STR("data", wz_config_str(config, WZ_CONFIG_DATA)),
               WZ_F_INT("mqtt_port", node.mqtt != NULL ? wz_mqtt_port(node.mqtt) : 0));
        wz_loop_run(&node.loop);
    }
    stopped = finish(&node);
    if (r == WZ_OK && stopped < 0)
        r = wz_problem_set(ret_problem, stopped, WZ_CODE_STREAM_IO,
                           "a stream could not be made durable at the end: %s",
                           wz_err_text(stopped));
    return r;
}
