// SPDX-License-Identifier: Apache-2.0
// Owns how streams and disk get on: it says when the disk is short of room and has retention remove
// what is over. Loop thread.
#include "node/disk.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "broker/mqtt.h"
#include "bus/embedded.h"
#include "bus/trimmer.h"
#include "engine/accounts.h"
#include "router/commands.h"
#include "stream/journal.h"
#include "stream/retention.h"
#include "stream/space.h"

#define FLOOR_PART_MIN (1024 * 1024)
#define AHEAD_BYTES_MAX (16 * 1024 * 1024)

// The room on the disk was looked at and is short, or is not any more.
static void on_space(void *arg)
{
    struct wz_node *node = arg;
    bool low = wz_space_low(node->space);

    if (low && !node->disk_low)
        WZ_LOG(WZ_LOG_ERROR, "disk.low", WZ_F_INT("free_bytes", wz_space_free_bytes(node->space)),
               WZ_F_INT("min_free_bytes", wz_space_floor_bytes(node->space)),
               WZ_F_STR("what", "no messages are taken in until there is room on the disk"));
    else if (!low && node->disk_low)
        WZ_LOG(WZ_LOG_INFO, "disk.room", WZ_F_INT("free_bytes", wz_space_free_bytes(node->space)));
    node->disk_low = low;
    if (low) {
        wz_journal_give_back(node->journal);
        return;
    }
    if (node->mqtt != NULL)
        wz_mqtt_durable(node->mqtt); // who waited for room is asked again
    wz_bus_durable(node->bus);
}

// The disks and the streams on them were looked at.
static void on_measured(void *arg)
{
    struct wz_node *node = arg;

    wz_retention_look(node->retention, wz_clock_wall_ms(), wz_clock_mono_us() / 1000);
}

// What retention must leave alone: commands that are to be sent, and outputs that a crash would
// have looked for. Both are on processed-stream; who lags there is told of a gap instead.
static int64_t on_needed(void *arg, const struct wz_log *log)
{
    const struct wz_node *node = arg;
    int64_t commands;
    int64_t outputs;

    if (log != node->processed)
        return INT64_MAX;
    commands = wz_commands_needed(node->commands);
    outputs = wz_accounts_needed(node->accounts);
    return commands < outputs ? commands : outputs;
}

struct wz_log_caps wz_node_caps(const struct wz_node *node, enum wz_stream stream)
{
    static const struct {
        enum wz_config_key bytes;
        enum wz_config_key age;
    } keys[] = {
        [WZ_STREAM_RAW] = {WZ_CONFIG_STREAMS_RAW_BYTES, WZ_CONFIG_STREAMS_RAW_AGE},
        [WZ_STREAM_PROCESSED] = {WZ_CONFIG_STREAMS_PROCESSED_BYTES,
                                 WZ_CONFIG_STREAMS_PROCESSED_AGE},
    };

    if (stream == WZ_STREAM_SCRIPT_LOG)
        return (struct wz_log_caps){.max_bytes =
                                        wz_config_int(node->config, WZ_CONFIG_SCRIPTS_LOG_BYTES)};
    if (stream == WZ_STREAM_UNMAPPED)
        return (struct wz_log_caps){.max_bytes =
                                        wz_config_int(node->config, WZ_CONFIG_INBOX_MAX_BYTES)};
    return (struct wz_log_caps){
        .max_bytes = wz_config_int(node->config, keys[stream].bytes),
        .max_age_ms = wz_config_int(node->config, keys[stream].age),
    };
}

// The space is there, and is not started.
static void retention_open(struct wz_node *node)
{
    struct wz_log *const logs[] = {[WZ_STREAM_RAW] = node->raw,
                                   [WZ_STREAM_PROCESSED] = node->processed,
                                   [WZ_STREAM_SCRIPT_LOG] = node->script_log};
    struct wz_retention_options options = {
        .space = node->space,
        .keep_free = (int)wz_config_int(node->config, WZ_CONFIG_STREAMS_KEEP_FREE),
        .needed = on_needed,
        .arg = node,
    };

    node->retention = wz_retention_new(&options);
    node->trimmer = wz_trimmer_new(node->desk, node->retention);
    for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        struct wz_log_caps caps;

        if (logs[i] == NULL)
            continue; // the journal keeps what is alive
        caps = wz_node_caps(node, (enum wz_stream)i);
        wz_space_watch(node->space, logs[i]);
        wz_retention_add(node->retention, logs[i], &caps);
        wz_trimmer_add(node->trimmer, node->watches[i].name, logs[i]);
    }
}

// The floor, as it is configured.
static void space_options(const struct wz_node *node, struct wz_space_options *ret_options)
{
    const struct wz_config *config = node->config;
    bool chosen = strcmp(wz_config_where(config, WZ_CONFIG_STREAMS_MIN_FREE), "default") != 0;

    *ret_options = (struct wz_space_options){
        .min_free_bytes = wz_config_int(config, WZ_CONFIG_STREAMS_MIN_FREE),
        .floor_part = chosen ? 0 : WZ_SPACE_PRESET_PART,
    };
}

void wz_node_disk_open(struct wz_node *node)
{
    struct wz_space_options options;

    space_options(node, &options);
    options.loop = &node->loop;
    options.looked = on_space;
    options.measured = on_measured;
    options.arg = node;
    node->space = wz_space_new(&options);
    wz_space_watch(node->space, wz_journal_log(node->journal));
    retention_open(node);
    wz_space_start(node->space);
    wz_bus_join_space(node->bus, node->space);
}

// Of the disk that holds the data folder; 0: there is none, or the disk does not answer.
static int64_t floor_bytes(const struct wz_node *node)
{
    struct wz_space_options options;
    int64_t free_bytes;
    int64_t total_bytes;

    space_options(node, &options);
    if (wz_fs_space(wz_config_str(node->config, WZ_CONFIG_DATA), &free_bytes, &total_bytes) < 0)
        return 0;
    return wz_space_floor(&options, total_bytes);
}

// A part of the floor, but at least a MiB; WHOLE when that is less, or when there is no floor.
static int64_t part_of_floor(const struct wz_node *node, int64_t part, int64_t whole)
{
    int64_t bytes = floor_bytes(node) / part;

    if (bytes == 0)
        return whole;
    if (bytes < FLOOR_PART_MIN)
        bytes = FLOOR_PART_MIN;
    return bytes < whole ? bytes : whole;
}

int64_t wz_node_ahead_bytes(const struct wz_node *node)
{
    return part_of_floor(node, 4, AHEAD_BYTES_MAX);
}

int64_t wz_node_journal_segment_bytes(const struct wz_node *node)
{
    return part_of_floor(node, 2, wz_config_int(node->config, WZ_CONFIG_STREAMS_SEGMENT_BYTES));
}
