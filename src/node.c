// SPDX-License-Identifier: Apache-2.0
// Owns the parts of one running wyze and the order in which they start and stop. It starts from the
// bottom (folder, streams, store) to the top (engine, gateway, MQTT door) and stops the other way
// round: first nothing new comes in, then what is in is finished, then it is made durable.
#include "node.h"

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
#include "cli/document_check.h"
#include "cli/mapping_text.h"
#include "cli/worker_path.h"
#include "engine/accounts.h"
#include "engine/engine.h"
#include "engine/passthrough.h"
#include "gateway/gateway.h"
#include "router/commands.h"
#include "router/ignores.h"
#include "router/inbox.h"
#include "router/mapping_keeper.h"
#include "router/router.h"
#include "store/store.h"
#include "stream/retention.h"

// The most a peer's output may hold before it counts as slow.
#define OUT_BYTES_MAX (4 * 1024 * 1024)

#define PATH_BYTES 4096

#define FLOOR_PART_MIN (1024 * 1024)
#define AHEAD_BYTES_MAX (16 * 1024 * 1024)

struct node;

// Of the streams and the journal, the one that scripts' words go to.
#define SCRIPT_LOG 3
#define UNMAPPED 4

// One of the streams, or the journal, for the one who is told what became of it.
struct node_stream {
    struct node *node;
    const char *name;
    bool failing;
};

struct node {
    struct node_stream streams[5];
    const struct wz_config *config;
    struct wz_problem *problem;
    struct wz_loop loop;
    uv_signal_t signals[2];
    int lock_fd;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_log *script_log;
    struct wz_log *unmapped;
    struct wz_journal *journal;
    struct wz_space *space;
    struct wz_retention *retention;
    struct wz_trimmer *trimmer;
    struct wz_queues *queues;
    struct wz_retained *retained;
    struct wz_accounts *accounts;
    struct wz_commands *commands;
    struct wz_passthrough *passthrough;
    struct wz_inbox *inbox;
    struct wz_bus *bus;
    struct wz_board *board;
    struct wz_desk *desk;
    struct wz_router *router;
    struct wz_engine *engine;
    struct wz_store *store;
    struct wz_mapping_keeper keeper; // the store thread's
    struct wz_gateway *gateway;
    struct wz_mqtt *mqtt;
    struct wz_buf worker_path;
    int64_t started_ms;
    int64_t started_us; // the same, of the monotonic clock
    bool mapped;        // a mapping is in force
    bool disk_low;      // and so it has been logged
    bool loop_made;
    bool stopping;
};

// A new mapping on its way from the store thread to the loop; or what is wrong with it.
struct mapping_mail {
    struct wz_mail mail;
    struct node *node;
    struct wz_mapping *mapping; // NULL: PROBLEM
    struct wz_problem problem;
};

// A mapping that is not in force any more. To free one of many devices takes a while.
struct retired_mapping {
    uv_work_t work;
    struct wz_mapping *mapping;
};

static void free_retired(uv_work_t *work)
{
    wz_mapping_unref(((struct retired_mapping *)work->data)->mapping);
}

static void on_retired_freed(uv_work_t *work, int status)
{
    (void)status; // it is not cancelled
    wz_free(work->data);
}

static void retire(struct node *node, struct wz_mapping *mapping)
{
    struct retired_mapping *retired = wz_zalloc(1, sizeof(*retired));

    retired->mapping = mapping;
    retired->work.data = retired;
    // It fails without a function only.
    (void)uv_queue_work(&node->loop.uv, &retired->work, free_retired, on_retired_freed);
}

static void on_mapping(struct wz_mail *mail)
{
    struct mapping_mail *letter = WZ_CONTAINER(mail, struct mapping_mail, mail);
    struct node *node = letter->node;

    if (letter->mapping == NULL && !node->mapped) {
        *node->problem = letter->problem; // the start fails with it
    } else if (letter->mapping == NULL) {
        WZ_LOG(WZ_LOG_ERROR, "mapping.refused", WZ_F_STR("what", letter->problem.what),
               WZ_F_STR("where", letter->problem.where), WZ_F_STR("fix", letter->problem.fix));
    } else if (node->router != NULL) {
        retire(node, wz_router_set_mapping(node->router, letter->mapping));
        letter->mapping = NULL;
        node->mapped = true;
    }
    wz_mapping_unref(letter->mapping);
    wz_free(letter);
}

// The scripts on their way from the store thread to the loop.
struct scripts_mail {
    struct wz_mail mail;
    struct node *node;
    struct wz_document_list list;
    struct wz_document_list removed; // after the start, and when another process changed something
};

static void free_scripts_mail(struct scripts_mail *letter)
{
    wz_document_list_release(&letter->list);
    wz_document_list_release(&letter->removed);
    wz_free(letter);
}

static void on_scripts(struct wz_mail *mail)
{
    struct scripts_mail *letter = WZ_CONTAINER(mail, struct scripts_mail, mail);

    if (letter->node->engine != NULL) {
        wz_engine_apply(letter->node->engine, letter->list.items, letter->list.count);
        for (size_t i = 0; i < letter->removed.count; i++)
            wz_accounts_forget(letter->node->accounts, letter->removed.items[i].name);
    }
    free_scripts_mail(letter);
}

// The rules of the passthrough on their way from the store thread to the loop.
struct rules_mail {
    struct wz_mail mail;
    struct node *node;
    struct wz_document_list list;
};

static void on_rules(struct wz_mail *mail)
{
    struct rules_mail *letter = WZ_CONTAINER(mail, struct rules_mail, mail);

    if (letter->node->passthrough != NULL)
        wz_passthrough_apply(letter->node->passthrough, letter->list.items, letter->list.count);
    wz_document_list_release(&letter->list);
    wz_free(letter);
}

// Filters of topics that are not to be kept, on their way from the store thread to the loop.
struct ignores_mail {
    struct wz_mail mail;
    struct node *node;
    struct wz_trie *ignores;
};

static void on_ignores(struct wz_mail *mail)
{
    struct ignores_mail *letter = WZ_CONTAINER(mail, struct ignores_mail, mail);

    if (letter->node->router != NULL)
        wz_router_set_ignores(letter->node->router, letter->ignores);
    else
        wz_trie_free(letter->ignores);
    wz_free(letter);
}

static void ignores_send(struct node *node, struct wz_store_view *view)
{
    WZ_AUTO(wz_document_list_release) struct wz_document_list list = {0};
    int r = wz_store_view_list(view, WZ_COLLECTION_IGNORES, &list);
    struct ignores_mail *letter;

    if (r < 0) {
        WZ_LOG(WZ_LOG_ERROR, "ignores.unreadable", WZ_F_ERR(r));
        return;
    }
    letter = wz_zalloc(1, sizeof(*letter));
    letter->mail.run = on_ignores;
    letter->node = node;
    letter->ignores = wz_ignores_compile(&list);
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

static void mapping_send(struct node *node, struct wz_store_view *view)
{
    struct mapping_mail *letter = wz_zalloc(1, sizeof(*letter));

    letter->mail.run = on_mapping;
    letter->node = node;
    if (wz_mapping_keeper_take(&node->keeper, view, &letter->mapping, &letter->problem) < 0)
        letter->mapping = NULL;
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

static void scripts_send(struct node *node, struct wz_store_view *view, unsigned changed)
{
    struct scripts_mail *letter = wz_zalloc(1, sizeof(*letter));
    int r = wz_store_view_list(view, WZ_COLLECTION_SCRIPTS, &letter->list);

    if (r == WZ_OK && changed == WZ_STORE_ALL)
        r = wz_store_view_removed(view, &letter->removed);
    if (r < 0) {
        WZ_LOG(WZ_LOG_ERROR, "scripts.unreadable", WZ_F_ERR(r));
        free_scripts_mail(letter);
        return;
    }
    letter->mail.run = on_scripts;
    letter->node = node;
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

// On the store thread, inside a change.
static int on_store_check(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    struct node *node = arg;

    return wz_document_check(&node->keeper, view, ret_problem);
}

static void rules_send(struct node *node, struct wz_store_view *view)
{
    struct rules_mail *letter = wz_zalloc(1, sizeof(*letter));
    int r = wz_store_view_list(view, WZ_COLLECTION_PASSTHROUGH, &letter->list);

    if (r < 0) {
        WZ_LOG(WZ_LOG_ERROR, "passthrough.unreadable", WZ_F_ERR(r));
        wz_free(letter);
        return;
    }
    letter->mail.run = on_rules;
    letter->node = node;
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

// On the store thread, at the start and after a change.
static void on_store_changed(void *arg, struct wz_store_view *view, unsigned changed)
{
    if ((changed & WZ_MAPPING_COLLECTIONS) != 0)
        mapping_send(arg, view);
    if ((changed & 1u << WZ_COLLECTION_IGNORES) != 0)
        ignores_send(arg, view);
    if ((changed & 1u << WZ_COLLECTION_SCRIPTS) != 0)
        scripts_send(arg, view, changed);
    if ((changed & 1u << WZ_COLLECTION_PASSTHROUGH) != 0)
        rules_send(arg, view);
}

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct node_stream *stream = arg;
    struct node *node = stream->node;

    (void)durable_end; // who waits looks at his own ticket
    if (state_err != WZ_OK && !stream->failing)
        WZ_LOG(WZ_LOG_ERROR, "stream.stopped", WZ_F_STR("stream", stream->name),
               WZ_F_ERR(state_err),
               WZ_F_STR("what", "nothing is acked until the disk takes records again"));
    else if (state_err == WZ_OK && stream->failing)
        WZ_LOG(WZ_LOG_INFO, "stream.resumed", WZ_F_STR("stream", stream->name));
    stream->failing = state_err != WZ_OK;
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
    const struct node_stream *stream = arg;

    WZ_LOG(WZ_LOG_ERROR, "stream.damaged", WZ_F_STR("stream", stream->name),
           WZ_F_INT("damaged_batches", batches),
           WZ_F_STR("what", "what sessions and retained messages had in them is lost; the segment "
                            "they are in is removed"));
}

// The room on the disk was looked at and is short, or is not any more.
static void on_space(void *arg)
{
    struct node *node = arg;
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
    struct node *node = arg;

    wz_retention_look(node->retention, wz_clock_wall_ms(), wz_clock_mono_us() / 1000);
}

// What retention must leave alone: commands that are to be sent, and outputs that a crash would
// have looked for. Both are on processed-stream; who lags there is told of a gap instead.
static int64_t on_needed(void *arg, const struct wz_log *log)
{
    const struct node *node = arg;
    int64_t commands;
    int64_t outputs;

    if (log != node->processed)
        return INT64_MAX;
    commands = wz_commands_needed(node->commands);
    outputs = wz_accounts_needed(node->accounts);
    return commands < outputs ? commands : outputs;
}

// What a stream may keep, as it is configured.
static struct wz_log_caps caps_of(const struct node *node, size_t stream)
{
    static const struct {
        enum wz_config_key bytes;
        enum wz_config_key age;
    } keys[] = {
        {WZ_CONFIG_STREAMS_RAW_BYTES, WZ_CONFIG_STREAMS_RAW_AGE},
        {WZ_CONFIG_STREAMS_PROCESSED_BYTES, WZ_CONFIG_STREAMS_PROCESSED_AGE},
    };

    if (stream == SCRIPT_LOG)
        return (struct wz_log_caps){.max_bytes =
                                        wz_config_int(node->config, WZ_CONFIG_SCRIPTS_LOG_BYTES)};
    if (stream == UNMAPPED)
        return (struct wz_log_caps){.max_bytes =
                                        wz_config_int(node->config, WZ_CONFIG_INBOX_MAX_BYTES)};
    return (struct wz_log_caps){
        .max_bytes = wz_config_int(node->config, keys[stream].bytes),
        .max_age_ms = wz_config_int(node->config, keys[stream].age),
    };
}

// The space is there, and is not started.
static void retention_open(struct node *node)
{
    struct wz_log *const logs[] = {
        [0] = node->raw, [1] = node->processed, [SCRIPT_LOG] = node->script_log};
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
        caps = caps_of(node, i);
        wz_space_watch(node->space, logs[i]);
        wz_retention_add(node->retention, logs[i], &caps);
        wz_trimmer_add(node->trimmer, node->streams[i].name, logs[i]);
    }
}

// The floor, as it is configured.
static void space_options(const struct node *node, struct wz_space_options *ret_options)
{
    const struct wz_config *config = node->config;
    bool chosen = strcmp(wz_config_where(config, WZ_CONFIG_STREAMS_MIN_FREE), "default") != 0;

    *ret_options = (struct wz_space_options){
        .min_free_bytes = wz_config_int(config, WZ_CONFIG_STREAMS_MIN_FREE),
        .floor_part = chosen ? 0 : WZ_SPACE_PRESET_PART,
    };
}

// The streams and the journal are open, the bus is there; no door is.
static void space_open(struct node *node)
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
static int64_t floor_bytes(const struct node *node)
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
static int64_t part_of_floor(const struct node *node, int64_t part, int64_t whole)
{
    int64_t bytes = floor_bytes(node) / part;

    if (bytes == 0)
        return whole;
    if (bytes < FLOOR_PART_MIN)
        bytes = FLOOR_PART_MIN;
    return bytes < whole ? bytes : whole;
}

// What is taken ahead is free for the stream alone: on a small disk little.
static int64_t ahead_bytes(const struct node *node)
{
    return part_of_floor(node, 4, AHEAD_BYTES_MAX);
}

// A segment of the journal is so large that the copies of its compaction have room below the floor
// of free space, and some of what is settled meanwhile, too.
static int64_t journal_segment_bytes(const struct node *node)
{
    return part_of_floor(node, 2, wz_config_int(node->config, WZ_CONFIG_STREAMS_SEGMENT_BYTES));
}

static int folder_open(struct node *node)
{
    const char *dir = wz_config_str(node->config, WZ_CONFIG_DATA);
    char path[PATH_BYTES];
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

static enum wz_durability durability(const struct node *node)
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

static int stream_open(struct node *node, struct node_stream *stream, const char *name,
                       struct wz_log **ret_log)
{
    size_t number = (size_t)(stream - node->streams);
    struct wz_log_options options = {
        // Nobody waits for what scripts say.
        .durability = number == SCRIPT_LOG ? WZ_DURABILITY_OS : durability(node),
        .segment_bytes = wz_retention_segment_bytes(
            caps_of(node, number).max_bytes,
            wz_config_int(node->config, WZ_CONFIG_STREAMS_SEGMENT_BYTES)),
        .keys_unindexed = stream == &node->streams[UNMAPPED],
        .ahead_bytes = ahead_bytes(node),
        .compress = number < 2 && wz_config_int(node->config, WZ_CONFIG_STREAMS_COMPRESSION) == 0,
        .compress_keep_free = (int)wz_config_int(node->config, WZ_CONFIG_STREAMS_KEEP_FREE) + 1,
        .loop_mail = &node->loop.mail,
        .on_durable = on_durable,
        .arg = stream,
    };
    struct wz_log_recovery recovery;
    char path[PATH_BYTES];
    int r;

    *stream = (struct node_stream){.node = node, .name = name};
    (void)snprintf(path, sizeof(path), "%s/%s", wz_config_str(node->config, WZ_CONFIG_DATA), name);
    r = wz_log_open(path, &options, ret_log, &recovery, node->problem);
    if (r < 0)
        return r;
    log_recovery(name, &recovery);
    return WZ_OK;
}

static struct wz_commands *commands_new(struct node *node)
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

static struct wz_passthrough *passthrough_new(struct node *node)
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

static struct wz_inbox *inbox_new(struct node *node)
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

// The journal, and what it remembers: queues and retained messages, scripts' accounts, how far
// commands were sent and what has passed through. The bus and the board are there.
static int journal_open(struct node *node)
{
    const struct wz_config *config = node->config;
    struct wz_journal_options options = {
        .loop = &node->loop,
        .durability = durability(node),
        .segment_bytes = journal_segment_bytes(node),
        .ahead_bytes = ahead_bytes(node),
        .on_durable = on_durable,
        .on_damaged = on_damaged,
        .arg = &node->streams[2],
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
    char path[PATH_BYTES];
    int r;

    node->streams[2] = (struct node_stream){.node = node, .name = "journal"};
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

static int store_open(struct node *node)
{
    struct wz_store_options options = {
        .check = on_store_check,
        .changed = on_store_changed,
        .arg = node,
    };
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/store.db", wz_config_str(node->config, WZ_CONFIG_DATA));
    return wz_store_open(path, &options, &node->store, node->problem);
}

// Waits until what the store says is in force: nobody may be acked by another mapping, for what no
// rule maps is not kept.
static int documents_wait(struct node *node)
{
    // The store thread answers after it has sent all it has.
    struct wz_store_call call = {.op = WZ_STORE_LIST, .collection = WZ_COLLECTION_TYPES};
    int r = wz_store_do(node->store, &call);

    if (r < 0) {
        *node->problem = call.problem;
        return r;
    }
    wz_document_list_release(&call.list);
    (void)wz_mailbox_run(&node->loop.mail); // how many there were does not matter
    if (node->mapped)
        return WZ_OK;
    if (node->problem->code != 0)
        return node->problem->err;
    return wz_problem_set(node->problem, WZ_ERR_IO, WZ_CODE_STORE_IO,
                          "The mapping could not be read from the store.");
}

static int mqtt_open(struct node *node)
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

static void engine_open(struct node *node)
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

static int gateway_open(struct node *node)
{
    char path[PATH_BYTES];
    struct wz_gateway_options options = {
        .parts =
            {
                .store = node->store,
                .bus = node->bus,
                .board = node->board,
                .desk = node->desk,
                .config = node->config,
                .streams = {{"raw-stream", node->raw, caps_of(node, 0)},
                            {"processed-stream", node->processed, caps_of(node, 1)},
                            {"script-log", node->script_log, caps_of(node, SCRIPT_LOG)}},
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
    struct node *node = arg;

    wz_loop_stop(&node->loop);
}

// Nothing new comes in from here on; the loop returns when everything is closed.
static void stop(struct node *node)
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
    struct node *node = signal->data;

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

static int loop_make(struct node *node)
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

static int start(struct node *node)
{
    struct wz_router_options router = {.loop = &node->loop};
    int r = loop_make(node);

    if (r == WZ_OK)
        r = folder_open(node);
    if (r == WZ_OK)
        r = stream_open(node, &node->streams[0], "raw-stream", &node->raw);
    if (r == WZ_OK)
        r = stream_open(node, &node->streams[1], "processed-stream", &node->processed);
    if (r == WZ_OK)
        r = stream_open(node, &node->streams[SCRIPT_LOG], "script-log", &node->script_log);
    if (r == WZ_OK)
        r = stream_open(node, &node->streams[UNMAPPED], "unmapped", &node->unmapped);
    if (r < 0)
        return r;
    node->bus = wz_bus_new(&node->loop);
    node->board = wz_board_new();
    node->desk = wz_desk_new(&node->loop);
    r = journal_open(node);
    if (r < 0)
        return r;
    space_open(node);
    router.bus = node->bus;
    router.raw = node->raw;
    router.processed = node->processed;
    router.commands = node->commands;
    router.inbox = node->inbox;
    r = wz_router_open(&router, &node->router);
    if (r < 0)
        return r;
    engine_open(node);
    r = store_open(node);
    if (r == WZ_OK)
        r = documents_wait(node);
    wz_mem_give_back(); // of documents and of what the journal said; nobody is waiting yet
    if (r == WZ_OK)
        r = mqtt_open(node);
    if (r == WZ_OK)
        r = gateway_open(node); // last: once it answers, /readyz is true of all doors
    wz_journal_start(node->journal);
    return r;
}

static int streams_close(struct node *node)
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

// Takes everything apart, however far start came. Returns what kept a stream from being durable.
static int finish(struct node *node)
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
    r = streams_close(node);
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
static void show_listeners(struct node *node)
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
    struct node node = {
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
