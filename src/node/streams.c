// SPDX-License-Identifier: Apache-2.0
// Owns the streams and the journal: opens them, has what the journal remembers found again, tells
// whoever waits what has become durable, and closes them. Loop thread.
#include "node/streams.h"

#include "base/log.h"
#include "broker/mqtt.h"
#include "broker/queues.h"
#include "broker/retained.h"
#include "bus/embedded.h"
#include "engine/accounts.h"
#include "engine/engine.h"
#include "engine/passthrough.h"
#include "node/disk.h"
#include "router/commands.h"
#include "router/inbox.h"
#include "stream/journal.h"
#include "stream/retention.h"

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct wz_stream_watch *watch = arg;
    struct wz_node *node = watch->node;

    (void)durable_end; // who waits looks at his own ticket
    if (state_err != WZ_OK && !watch->failing)
        WZ_LOG(WZ_LOG_ERROR, "stream.stopped", WZ_F_STR("stream", watch->name), WZ_F_ERR(state_err),
               WZ_F_STR("what", "nothing is acked until the disk takes records again"));
    else if (state_err == WZ_OK && watch->failing)
        WZ_LOG(WZ_LOG_INFO, "stream.resumed", WZ_F_STR("stream", watch->name));
    watch->failing = state_err != WZ_OK;
    if (node->mqtt != NULL)
        wz_mqtt_durable(node->mqtt); // acks first: a SUBACK comes before what it is for
    if (node->queues != NULL)
        wz_queues_durable(node->queues);
    if (node->bus != NULL)
        wz_bus_durable(node->bus);
    if (node->passthrough != NULL)
        wz_passthrough_durable(node->passthrough);
    if (node->engine != NULL)
        wz_engine_durable(node->engine);
    if (node->retention != NULL)
        wz_retention_durable(node->retention);
    if (node->inbox != NULL)
        wz_inbox_durable(node->inbox);
}

// A compaction of the journal has met damaged batches.
static void on_damaged(void *arg, int64_t batches)
{
    const struct wz_stream_watch *watch = arg;

    WZ_LOG(WZ_LOG_ERROR, "stream.damaged", WZ_F_STR("stream", watch->name),
           WZ_F_INT("damaged_batches", batches),
           WZ_F_STR("what", "what sessions and retained messages had in them is lost; the segment "
                            "they are in is removed"));
}

static enum wz_durability durability(const struct wz_node *node)
{
    return wz_config_int(node->config, WZ_CONFIG_DURABILITY) == 0 ? WZ_DURABILITY_FSYNC
                                                                  : WZ_DURABILITY_OS;
}

static void log_recovery(const char *name, const struct wz_log_recovery *recovery)
{
    if (recovery->clean && recovery->damaged_batches == 0 && recovery->rebuilt_indexes == 0 &&
        recovery->orphans == 0)
        return;
    WZ_LOG(WZ_LOG_WARN, "stream.recovered", WZ_F_STR("stream", name),
           WZ_F_INT("cut_bytes", recovery->cut_bytes),
           WZ_F_INT("damaged_batches", recovery->damaged_batches),
           WZ_F_INT("rebuilt_indexes", recovery->rebuilt_indexes),
           WZ_F_INT("orphans_removed", recovery->orphans));
}

static int stream_open(struct wz_node *node, enum wz_stream number, const char *name,
                       struct wz_log **ret_log)
{
    struct wz_log_options options = {
        // Nobody waits for what scripts say.
        .durability = number == WZ_STREAM_SCRIPT_LOG ? WZ_DURABILITY_OS : durability(node),
        .segment_bytes = wz_retention_segment_bytes(
            wz_node_caps(node, number).max_bytes,
            wz_config_int(node->config, WZ_CONFIG_STREAMS_SEGMENT_BYTES)),
        .keys_unindexed = number == WZ_STREAM_UNMAPPED,
        .ahead_bytes = wz_node_ahead_bytes(node),
        .compress = (number == WZ_STREAM_RAW || number == WZ_STREAM_PROCESSED) &&
                    wz_config_int(node->config, WZ_CONFIG_STREAMS_COMPRESSION) == 0,
        .compress_keep_free = (int)wz_config_int(node->config, WZ_CONFIG_STREAMS_KEEP_FREE) + 1,
        .loop_mail = &node->loop.mail,
        .on_durable = on_durable,
        .arg = &node->watches[number],
    };
    struct wz_log_recovery recovery;
    char path[WZ_NODE_PATH_BYTES];
    int r;

    node->watches[number] = (struct wz_stream_watch){.node = node, .name = name};
    (void)snprintf(path, sizeof(path), "%s/%s", wz_config_str(node->config, WZ_CONFIG_DATA), name);
    r = wz_log_open(path, &options, ret_log, &recovery, node->problem);
    if (r < 0)
        return r;
    log_recovery(name, &recovery);
    return WZ_OK;
}

int wz_node_streams_open(struct wz_node *node)
{
    int r = stream_open(node, WZ_STREAM_RAW, "raw-stream", &node->raw);

    if (r == WZ_OK)
        r = stream_open(node, WZ_STREAM_PROCESSED, "processed-stream", &node->processed);
    if (r == WZ_OK)
        r = stream_open(node, WZ_STREAM_SCRIPT_LOG, "script-log", &node->script_log);
    if (r == WZ_OK)
        r = stream_open(node, WZ_STREAM_UNMAPPED, "unmapped", &node->unmapped);
    return r;
}

static struct wz_commands *commands_new(struct wz_node *node)
{
    struct wz_commands_options options = {
        .loop = &node->loop,
        .bus = node->bus,
        .processed = node->processed,
        .journal = node->journal,
        .expiry_ms = wz_config_int(node->config, WZ_CONFIG_COMMANDS_EXPIRY),
        .rate = wz_config_int(node->config, WZ_CONFIG_COMMANDS_RATE),
    };

    return wz_commands_new(&options);
}

static struct wz_passthrough *passthrough_new(struct wz_node *node)
{
    const struct wz_passthrough_options options = {
        .loop = &node->loop,
        .bus = node->bus,
        .board = node->board,
        .raw = node->raw,
        .processed = node->processed,
        .journal = node->journal,
    };

    return wz_passthrough_new(&options);
}

static struct wz_inbox *inbox_new(struct wz_node *node)
{
    struct wz_inbox_options options = {
        .loop = &node->loop,
        .journal = node->journal,
        .raw = node->raw,
        .unmapped = node->unmapped,
        .board = node->board,
        .desk = node->desk,
        .max_bytes = wz_config_int(node->config, WZ_CONFIG_INBOX_MAX_BYTES),
        .max_rate = wz_config_int(node->config, WZ_CONFIG_INBOX_MAX_RATE),
    };

    return wz_inbox_new(&options);
}

int wz_node_journal_open(struct wz_node *node)
{
    const struct wz_config *config = node->config;
    struct wz_journal_options options = {
        .loop = &node->loop,
        .durability = durability(node),
        .segment_bytes = wz_node_journal_segment_bytes(node),
        .ahead_bytes = wz_node_ahead_bytes(node),
        .on_durable = on_durable,
        .on_damaged = on_damaged,
        .arg = &node->watches[WZ_STREAM_JOURNAL],
    };
    struct wz_queues_options queues = {
        .loop = &node->loop,
        .exchange = wz_bus_exchange(node->bus, WZ_BUS_DEVICES),
        .raw = node->raw,
        .limits =
            {
                .max_queues = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_SESSIONS),
                .max_count = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_QUEUED),
                .max_bytes = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_QUEUED_BYTES),
                .max_bindings = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_SUBSCRIPTIONS),
                .max_inflight = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_INFLIGHT),
                .expiry_ms = wz_config_int(config, WZ_CONFIG_MQTT_SESSION_EXPIRY),
            },
    };
    struct wz_retained_limits retained = {
        .max_count = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_RETAINED),
        .max_bytes = (size_t)wz_config_int(config, WZ_CONFIG_MQTT_MAX_RETAINED_BYTES),
    };
    struct wz_log_recovery recovery;
    char path[WZ_NODE_PATH_BYTES];
    int r;

    node->watches[WZ_STREAM_JOURNAL] = (struct wz_stream_watch){.node = node, .name = "journal"};
    (void)snprintf(path, sizeof(path), "%s/journal", wz_config_str(config, WZ_CONFIG_DATA));
    r = wz_journal_open(path, &options, &node->journal, &recovery, node->problem);
    if (r < 0)
        return r;
    log_recovery("journal", &recovery);
    queues.journal = node->journal;
    wz_exchange_keep_under(queues.exchange, &node->loop.budget);
    node->queues = wz_queues_new(&queues);
    node->retained = wz_retained_new(node->journal, &retained);
    node->accounts = wz_accounts_new(node->journal);
    node->commands = commands_new(node);
    node->passthrough = passthrough_new(node);
    node->inbox = inbox_new(node);
    r = wz_journal_replay(node->journal, node->problem);
    if (r == WZ_OK)
        r = wz_queues_recover(node->queues, node->problem);
    if (r == WZ_OK)
        r = wz_accounts_recover(node->accounts, node->processed, node->problem);
    if (r == WZ_OK)
        r = wz_commands_recover(node->commands, node->problem);
    if (r == WZ_OK)
        r = wz_passthrough_recover(node->passthrough, node->problem);
    if (r == WZ_OK)
        r = wz_inbox_recover(node->inbox, node->problem);
    wz_retained_settle(node->retained);
    if (r == WZ_OK)
        wz_bus_join_queues(node->bus, node->queues);
    return r;
}

int wz_node_streams_close(struct wz_node *node)
{
    int raw = node->raw != NULL ? wz_log_close(node->raw) : WZ_OK;
    int processed = node->processed != NULL ? wz_log_close(node->processed) : WZ_OK;
    int said = node->script_log != NULL ? wz_log_close(node->script_log) : WZ_OK;
    int unmapped = node->unmapped != NULL ? wz_log_close(node->unmapped) : WZ_OK;
    int journal = wz_journal_close(node->journal);

    node->raw = NULL;
    node->processed = NULL;
    node->script_log = NULL;
    node->unmapped = NULL;
    node->journal = NULL;
    if (raw == WZ_OK)
        raw = processed;
    if (raw == WZ_OK)
        raw = said;
    if (raw == WZ_OK)
        raw = unmapped;
    return raw < 0 ? raw : journal;
}
