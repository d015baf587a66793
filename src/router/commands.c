// SPDX-License-Identifier: Apache-2.0
// Owns the way of commands from processed-stream to amq.topic, and the position in the journal.
//
//   router --add--> tail ----- when sure ----+--> bucket of the topic --- token ---> amq.topic
//                                            |            |   ^
//   processed-stream --- reading (behind) ---+   no token |   | reading of that topic
//                                                         v   |
//                                                 waits: two offsets
//
// The front is the offset below which every command was looked at: sent, or set to wait, or too
// old. While it is behind, commands are read from the stream; else they are taken from the tail,
// which has the newest in memory. A topic that waits remembers no commands but from where to where
// on the stream they are, however many.
//
// A command is sure when its record is durable, or when the journal would put it on the stream
// again after a crash (struct wz_command, JOURNALED). The tail is left in the order of the stream:
// a command that is sure waits for one before it that is not, for that may be of its topic, and for
// one of another topic as well, or the front could not be told by one number. They wait no longer
// than until the next sync, which is the one that all of them waited for else.
//
// The front never passes the durable end: of what a crash takes off the stream nothing was looked
// at for good.
// In the journal the key 'D' has the front, and for each topic that waits a key 'D' topic has where
// its waiting commands begin. They are put behind the commands' places in durable queues, so they
// are durable only when these are (docs/formats/journal.md).
#include "router/commands.h"

#include "base/clock.h"
#include "base/codes.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "router/bucket.h"
#include "router/command.h"
#include "router/command_reader.h"
#include "stream/reader.h"

#define LETTER 'D'

#define MEMORY_BYTES ((size_t)4 * 1024 * 1024)

// The position is put at most so often, and without commands when the stream has gone on by so many
// records.
#define KEEP_US 1000000
#define KEEP_RECORDS 100000

// A topic that waits is looked at so often at the most: one reading for several commands.
#define SERVE_US 100000

// After an error of the disk.
#define RETRY_US 1000000

// Commands that one turn of the loop looks at.
#define TURN_COUNT 1024

// Counted in a turn, added to the metrics at its end.
struct counts {
    int64_t sent;
    int64_t unmapped;
    int64_t expired;
    int64_t delayed;
    int64_t undelivered;
};

struct wz_commands {
    struct wz_commands_options options;
    struct wz_loop_part part;
    struct wz_journal_kind kind;
    uv_timer_t timer;
    int64_t timer_us; // when it goes off; 0: it does not
    struct wz_bus_waiter waiter;
    const struct wz_mapping *mapping; // NULL: none yet
    uint64_t mapping_number;
    struct wz_buckets buckets;
    struct wz_buf body;
    struct counts counts;
    int64_t log_us[4];

    struct wz_command_queue tail; // the newest, without a gap: all at or behind TAIL_FROM that were
    int64_t tail_from;            // not looked at
    int64_t next_read;            // the front, while it is behind
    bool behind;
    struct wz_command_reader *reader;          // for what is behind
    struct wz_command_reading *behind_reading; // what is left of its last reading; NULL: nothing
    struct wz_command_reader *wait_reader;     // for topics that wait
    struct wz_bucket *serving;                 // whose commands WAIT_READER reads; NULL: none
    int64_t retry_us;                          // nothing is read before this

    struct wz_journal_place place; // of the front in the journal,
    int64_t kept;                  // and the front there
    int64_t kept_us;
    bool moved;  // commands were looked at since
    bool wanted; // a command was added in this turn
    bool recovered;
    bool stopped;
};

enum trouble {
    TROUBLE_EXPIRED,
    TROUBLE_DEVICE,
    TROUBLE_UNDELIVERED,
    TROUBLE_READ,
};

// The journal.

static int replay(void *arg, const struct wz_journal_record *record)
{
    struct wz_commands *commands = arg;
    struct wz_cursor value = wz_cursor(record->value);
    int64_t offset = (int64_t)wz_cursor_get_u64(&value);
    struct wz_bucket *bucket;

    if (!record->removed && (value.failed || wz_cursor_left(&value) > 0 || offset < 0))
        return WZ_ERR_CORRUPT;
    if (record->key.len > 0 && !wz_command_topic_is(record->key))
        return WZ_ERR_CORRUPT;
    if (record->key.len == 0) {
        wz_journal_drop(commands->options.journal, &commands->place);
        commands->place = record->removed ? WZ_JOURNAL_NOWHERE : record->place;
        commands->kept = record->removed ? -1 : offset;
        return WZ_OK;
    }
    bucket = wz_buckets_use(&commands->buckets, record->key, 0);
    wz_journal_drop(commands->options.journal, &bucket->place);
    bucket->place = record->removed ? WZ_JOURNAL_NOWHERE : record->place;
    bucket->kept = record->removed ? -1 : offset;
    wz_bucket_settle(&commands->buckets, bucket);
    return WZ_OK;
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    struct wz_commands *commands = arg;
    struct wz_bucket *bucket;

    if (key.len == 0)
        return commands->place.offset >= 0 ? &commands->place : NULL;
    bucket = wz_buckets_find(&commands->buckets, key);
    return bucket != NULL && bucket->place.offset >= 0 ? &bucket->place : NULL;
}

static void put_offset(struct wz_commands *commands, struct wz_slice key, int64_t offset,
                       struct wz_journal_place *place)
{
    uint8_t bytes[8];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice value = wz_slice(bytes, sizeof(bytes));

    wz_pen_put_u64(&pen, (uint64_t)offset);
    wz_journal_put(commands->options.journal, LETTER, key, &value, 1, place);
}

// The offset below which every command was looked at, and every record is durable.
static int64_t front(const struct wz_commands *commands)
{
    int64_t durable_end = wz_log_durable_end(commands->options.processed);
    int64_t looked_at = durable_end;
    struct wz_command first;

    if (commands->behind)
        looked_at = commands->next_read;
    else if (wz_command_queue_first(&commands->tail, &first))
        looked_at = first.offset;
    return looked_at < durable_end ? looked_at : durable_end;
}

int64_t wz_commands_needed(const struct wz_commands *commands)
{
    int64_t from = commands->recovered ? front(commands) : 0;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &commands->buckets.waiting)
    {
        const struct wz_bucket *bucket = WZ_CONTAINER(it, struct wz_bucket, link);

        if (bucket->from < from)
            from = bucket->from;
    }
    return from;
}

// Topics that wait come before the front that has passed their commands: a group that is too large
// to be one is written in this order.
static void put_topics(struct wz_commands *commands)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &commands->buckets.drained)
    {
        struct wz_bucket *bucket = WZ_CONTAINER(it, struct wz_bucket, link);

        wz_journal_remove(commands->options.journal, LETTER, wz_bucket_topic(bucket),
                          &bucket->place);
        wz_bucket_settle(&commands->buckets, bucket);
    }
    WZ_LIST_EACH(it, tmp, &commands->buckets.waiting)
    {
        struct wz_bucket *bucket = WZ_CONTAINER(it, struct wz_bucket, link);

        if (bucket->place.offset >= 0 && bucket->kept == bucket->from)
            continue;
        bucket->kept = bucket->from;
        put_offset(commands, wz_bucket_topic(bucket), bucket->from, &bucket->place);
    }
}

void wz_commands_put_position(struct wz_commands *commands)
{
    int64_t unused;

    if (!commands->recovered || !wz_journal_ready(commands->options.journal))
        return;
    wz_journal_begin(commands->options.journal);
    put_topics(commands);
    if (commands->kept != front(commands)) {
        commands->kept = front(commands);
        put_offset(commands, (struct wz_slice){0}, commands->kept, &commands->place);
    }
    wz_journal_end(commands->options.journal, &unused);
    commands->moved = false;
}

static void on_timer(uv_timer_t *timer) { ((struct wz_commands *)timer->data)->timer_us = 0; }

// Sees to it that there is a turn at AT_US.
static void wake_at(struct wz_commands *commands, int64_t at_us, int64_t now_us)
{
    int64_t wait_ms = at_us > now_us ? (at_us - now_us + 999) / 1000 : 1;

    if (commands->timer_us != 0 && commands->timer_us <= at_us)
        return;
    commands->timer_us = at_us;
    uv_update_time(&commands->options.loop->uv);
    wz_ignore(uv_timer_start(&commands->timer, on_timer, (uint64_t)wait_ms,
                             0)); // fails on a closing handle only
}

static void keep_position(struct wz_commands *commands, int64_t now_us)
{
    int64_t durable_end = wz_log_durable_end(commands->options.processed);

    if (!commands->moved && durable_end - commands->kept < KEEP_RECORDS)
        return;
    if (now_us - commands->kept_us < KEEP_US) {
        wake_at(commands, commands->kept_us + KEEP_US, now_us);
        return;
    }
    commands->kept_us = now_us;
    wz_commands_put_position(commands);
}

// Sending.

static bool allow(struct wz_commands *commands, enum trouble trouble)
{
    return wz_log_allow(&commands->log_us[trouble]);
}

static bool is_expired(const struct wz_commands *commands, const struct wz_command *command)
{
    int64_t age_ms = commands->options.loop->now_ms - command->append_ms;

    return commands->options.expiry_ms > 0 && age_ms > commands->options.expiry_ms;
}

static void expire(struct wz_commands *commands, const struct wz_command *command)
{
    commands->counts.expired++;
    if (allow(commands, TROUBLE_EXPIRED))
        WZ_LOG(WZ_LOG_WARN, "command.expired", WZ_F_SLICE("topic", command->topic),
               WZ_F_INT("offset", command->offset),
               WZ_F_INT("age_ms", commands->options.loop->now_ms - command->append_ms));
}

// Works out the device of a topic, once a mapping.
static void resolve(struct wz_commands *commands, struct wz_bucket *bucket)
{
    struct wz_command_topic device;

    if (bucket->mapping == commands->mapping_number)
        return;
    bucket->mapping = commands->mapping_number;
    bucket->device.len = 0;
    if (wz_mapping_out(commands->mapping, wz_bucket_topic(bucket), &device) < 0)
        return;
    wz_buf_add(&bucket->device, device.topic, device.topic_len);
    bucket->send = device.send;
}

static void on_ready(void *arg)
{
    struct wz_commands *commands = arg;

    wz_loop_again(commands->options.loop);
}

// Nobody has subscribed to it. That is what QoS 1 means, and it was handed over.
static void count_undelivered(struct wz_commands *commands, struct wz_slice device)
{
    commands->counts.undelivered++;
    if (allow(commands, TROUBLE_UNDELIVERED))
        WZ_LOG(WZ_LOG_INFO, "command.undelivered", WZ_F_SLICE("topic", device));
}

// Sends a command. WZ_ERR_BUSY when the bus cannot take it now.
static int send_command(struct wz_commands *commands, struct wz_bucket *bucket,
                        const struct wz_command *command)
{
    struct wz_message msg = {.qos = 1, .offset = -1};
    struct wz_ticket ticket; // the journal keeps the order: see put_position
    int r;

    resolve(commands, bucket);
    msg.topic = wz_buf_slice(&bucket->device);
    if (msg.topic.len == 0) {
        commands->counts.unmapped++;
        if (allow(commands, TROUBLE_DEVICE))
            WZ_LOG(WZ_LOG_WARN, "demux.no_device", WZ_F_SLICE("topic", command->topic));
        return WZ_OK;
    }
    commands->body.len = 0;
    if (wz_command_body(command->value, command->form, bucket->send, &commands->body) < 0)
        return WZ_OK; // cannot be: the preprocessor has made it
    msg.body = wz_buf_slice(&commands->body);
    r = wz_bus_publish(commands->options.bus, WZ_BUS_DEVICES, &msg, &ticket);
    if (r == WZ_ERR_BUSY) {
        wz_bus_on_ready(commands->options.bus, &commands->waiter);
        return r;
    }
    commands->counts.sent++;
    // The router is one of them. A topic that the door's limits do not allow reaches nobody, too.
    if (r < 0 || wz_bus_receivers(commands->options.bus, WZ_BUS_DEVICES, msg.topic) <= 1)
        count_undelivered(commands, msg.topic);
    return WZ_OK;
}

// Looks at the command that is the next at the front, and sure; false when it must stay there for
// now. Topics wait for what is on the stream: one whose record is not durable yet stays instead.
static bool look_at(struct wz_commands *commands, const struct wz_command *command, int64_t now_us)
{
    bool durable = command->offset < wz_log_durable_end(commands->options.processed);
    struct wz_bucket *bucket;

    commands->moved = true;
    if (is_expired(commands, command)) {
        expire(commands, command);
        return true;
    }
    bucket = wz_buckets_use(&commands->buckets, command->topic, now_us);
    if (bucket == NULL) {
        wake_at(commands, now_us + SERVE_US, now_us);
        return false;
    }
    if (wz_bucket_waits(bucket) || !wz_bucket_take(&commands->buckets, bucket, now_us)) {
        if (!durable)
            return false;
        commands->counts.delayed++;
        wz_bucket_wait(&commands->buckets, bucket, command->offset, now_us + SERVE_US);
        return true;
    }
    if (send_command(commands, bucket, command) == WZ_OK)
        return true;
    wz_bucket_give_back(&commands->buckets, bucket);
    return false;
}

// Topics that wait.

// How far the commands of the topic that was served do not wait any more: they were sent, or were
// too old.
static int64_t send_waiting(struct wz_commands *commands, struct wz_bucket *bucket,
                            struct wz_command_reading *reading, int64_t now_us)
{
    struct wz_command command;

    while (wz_command_queue_first(&reading->found, &command)) {
        if (is_expired(commands, &command)) {
            expire(commands, &command);
        } else if (!wz_bucket_take(&commands->buckets, bucket, now_us)) {
            return command.offset;
        } else if (send_command(commands, bucket, &command) < 0) {
            wz_bucket_give_back(&commands->buckets, bucket);
            return command.offset;
        }
        wz_command_queue_shift(&reading->found);
    }
    return reading->next;
}

static void read_failed(struct wz_commands *commands, int err, int64_t now_us)
{
    commands->retry_us = now_us + RETRY_US;
    if (allow(commands, TROUBLE_READ))
        WZ_LOG(WZ_LOG_ERROR, "command.read", WZ_F_ERR(err),
               WZ_F_STR("what", "commands wait until processed-stream can be read"));
}

static void on_waiting_read(void *arg, struct wz_command_reading *reading)
{
    struct wz_commands *commands = arg;
    struct wz_bucket *bucket = commands->serving;
    int64_t now_us = wz_clock_mono_us();
    int64_t due_us = now_us;
    int64_t from;

    commands->serving = NULL;
    if (reading->err < 0)
        read_failed(commands, reading->err, now_us);
    from = send_waiting(commands, bucket, reading, now_us);
    if (from < reading->next || reading->err < 0) { // not for the reading's own bound
        int64_t token_us = wz_bucket_token_us(&commands->buckets, bucket);

        due_us = token_us > now_us + SERVE_US ? token_us : now_us + SERVE_US;
    }
    commands->moved = true;
    wz_bucket_advance(&commands->buckets, bucket, from, due_us);
}

// Reads for the topic whose turn it is.
static void serve(struct wz_commands *commands, int64_t now_us)
{
    struct wz_bucket *bucket;

    if (commands->serving != NULL || wz_list_empty(&commands->buckets.waiting))
        return;
    bucket = WZ_CONTAINER(commands->buckets.waiting.next, struct wz_bucket, link);
    if (bucket->due_us > now_us || commands->retry_us > now_us) {
        wake_at(commands, bucket->due_us > commands->retry_us ? bucket->due_us : commands->retry_us,
                now_us);
        return;
    }
    commands->serving = bucket;
    wz_command_reader_start(commands->wait_reader, bucket->from, bucket->last + 1,
                            wz_bucket_topic(bucket));
}

// The front.

static void on_behind_read(void *arg, struct wz_command_reading *reading)
{
    struct wz_commands *commands = arg;

    if (reading->err < 0)
        read_failed(commands, reading->err, wz_clock_mono_us());
    commands->behind_reading = reading;
}

// Goes on from what was read; false when something of it must stay for now.
static bool look_at_read(struct wz_commands *commands, int64_t now_us)
{
    struct wz_command_reading *reading = commands->behind_reading;
    struct wz_command command;

    while (wz_command_queue_first(&reading->found, &command)) {
        if (!look_at(commands, &command, now_us))
            return false;
        commands->next_read = command.offset + 1;
        wz_command_queue_shift(&reading->found);
    }
    commands->next_read = reading->next;
    commands->behind_reading = NULL;
    return true;
}

// Reads what is behind; when the tail goes on from there, it is behind no more.
static void catch_up(struct wz_commands *commands, int64_t now_us)
{
    int64_t durable_end = wz_log_durable_end(commands->options.processed);
    struct wz_command first;

    if (wz_command_reader_busy(commands->reader) ||
        (commands->behind_reading != NULL && !look_at_read(commands, now_us)))
        return;
    if (commands->next_read >= commands->tail_from) {
        while (wz_command_queue_first(&commands->tail, &first) &&
               first.offset < commands->next_read)
            wz_command_queue_shift(&commands->tail);
        commands->behind = false;
    } else if (commands->retry_us > now_us) {
        wake_at(commands, commands->retry_us, now_us);
    } else if (commands->next_read < durable_end) {
        wz_command_reader_start(commands->reader, commands->next_read, durable_end,
                                (struct wz_slice){0});
    }
}

// Takes what has become sure from the tail.
static void look_at_tail(struct wz_commands *commands, int64_t now_us)
{
    int64_t durable_end = wz_log_durable_end(commands->options.processed);
    struct wz_command command;

    for (int i = 0; wz_command_queue_first(&commands->tail, &command); i++) {
        if (command.offset >= durable_end && !command.journaled)
            return;
        if (i == TURN_COUNT) {
            wz_loop_again(commands->options.loop);
            return;
        }
        if (!look_at(commands, &command, now_us))
            return;
        wz_command_queue_shift(&commands->tail);
    }
}

void wz_commands_add(struct wz_commands *commands, const struct wz_command *command)
{
    size_t bytes = wz_command_queue_bytes(&commands->tail);
    struct wz_command first;

    commands->wanted = true;
    if (bytes == 0 || bytes + command->value.len <= commands->options.memory_bytes) {
        wz_command_queue_push(&commands->tail, command);
        return;
    }
    if (!commands->behind) {
        WZ_ASSERT(wz_command_queue_first(&commands->tail, &first));
        commands->next_read = first.offset;
        commands->behind = true;
    }
    wz_command_queue_clear(&commands->tail);
    commands->tail_from = command->offset + 1;
}

static void add_counts(struct counts *counts)
{
    static const struct counts none;

    if (memcmp(counts, &none, sizeof(none)) == 0)
        return;
    wz_metric_add(WZ_METRIC_DEMUX_COMMANDS, counts->sent);
    wz_metric_add(WZ_METRIC_DEMUX_COMMANDS_UNMAPPED, counts->unmapped);
    wz_metric_add(WZ_METRIC_COMMANDS_EXPIRED, counts->expired);
    wz_metric_add(WZ_METRIC_COMMANDS_DELAYED, counts->delayed);
    wz_metric_add(WZ_METRIC_COMMANDS_UNDELIVERED, counts->undelivered);
    *counts = none;
}

// Each turn: what has become sure meanwhile is sent, before the connections are flushed.
static void on_flush(void *arg)
{
    struct wz_commands *commands = arg;
    int64_t now_us;

    if (commands->wanted)
        wz_log_want(commands->options.processed);
    commands->wanted = false;
    if (commands->mapping == NULL || commands->stopped || !commands->recovered)
        return;
    now_us = wz_clock_mono_us();
    if (!commands->waiter.waiting) {
        if (commands->behind)
            catch_up(commands, now_us);
        if (!commands->behind)
            look_at_tail(commands, now_us);
        serve(commands, now_us);
    }
    keep_position(commands, now_us);
    add_counts(&commands->counts);
}

// Life.

struct wz_commands *wz_commands_new(const struct wz_commands_options *options)
{
    struct wz_commands *commands = wz_zalloc(1, sizeof(*commands));

    commands->options = *options;
    if (commands->options.memory_bytes == 0)
        commands->options.memory_bytes = MEMORY_BYTES;
    if (commands->options.max_topics == 0)
        commands->options.max_topics = WZ_BUCKETS_MAX;
    commands->place = WZ_JOURNAL_NOWHERE;
    commands->kept = -1;
    commands->waiter = (struct wz_bus_waiter){.ready = on_ready, .arg = commands};
    wz_buckets_init(&commands->buckets, options->rate, SIZE_MAX);
    commands->reader =
        wz_command_reader_new(&options->loop->uv, options->processed, on_behind_read, commands);
    commands->wait_reader =
        wz_command_reader_new(&options->loop->uv, options->processed, on_waiting_read, commands);
    (void)uv_timer_init(&options->loop->uv, &commands->timer); // cannot fail
    commands->timer.data = commands;
    commands->kind = (struct wz_journal_kind){LETTER, commands, replay, find};
    wz_journal_join(options->journal, &commands->kind);
    commands->part = (struct wz_loop_part){.flush = on_flush, .arg = commands};
    wz_loop_join(options->loop, &commands->part);
    return commands;
}

// Topics that waited wait again: from where the journal says to the front.
static void recover_topics(struct wz_commands *commands)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &commands->buckets.drained)
    {
        struct wz_bucket *bucket = WZ_CONTAINER(it, struct wz_bucket, link);

        if (bucket->kept >= commands->next_read)
            continue;
        wz_bucket_wait(&commands->buckets, bucket, commands->next_read - 1, 0);
        wz_bucket_advance(&commands->buckets, bucket, bucket->kept, 0);
    }
}

int wz_commands_recover(struct wz_commands *commands, struct wz_problem *ret_problem)
{
    struct wz_log *processed = commands->options.processed;
    int64_t end = wz_log_next_offset(processed);
    int64_t expired_ms = wz_clock_wall_ms() - commands->options.expiry_ms;
    int r = WZ_OK;

    // Without a position, as with a journal of before there was one: what is not too old.
    commands->next_read = commands->kept;
    if (commands->kept < 0 && commands->options.expiry_ms > 0)
        r = wz_log_find_time(processed, expired_ms, &commands->next_read);
    else if (commands->kept < 0)
        commands->next_read = 0;
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                              "processed-stream cannot be read: %s", wz_err_text(r));
    if (commands->next_read > end) // of another stream than this one
        commands->next_read = end;
    commands->tail_from = end;
    commands->behind = true;
    commands->moved = true;
    commands->recovered = true;
    recover_topics(commands);
    commands->buckets.max = commands->options.max_topics;
    return WZ_OK;
}

void wz_commands_set_mapping(struct wz_commands *commands, const struct wz_mapping *mapping)
{
    commands->mapping = mapping;
    commands->mapping_number++;
}

static void on_closed(uv_handle_t *handle) { ((struct wz_commands *)handle->data)->timer_us = 0; }

void wz_commands_stop(struct wz_commands *commands)
{
    if (commands->stopped)
        return;
    commands->stopped = true;
    commands->mapping = NULL;
    wz_bus_off_ready(commands->options.bus, &commands->waiter);
    wz_command_reader_free(commands->reader);
    wz_command_reader_free(commands->wait_reader);
    uv_close((uv_handle_t *)&commands->timer, on_closed);
}

void wz_commands_free(struct wz_commands *commands)
{
    if (commands == NULL)
        return;
    WZ_ASSERT(commands->stopped);
    wz_loop_leave(&commands->part);
    wz_buckets_release(&commands->buckets);
    wz_command_queue_release(&commands->tail);
    wz_buf_release(&commands->body);
    wz_free(commands);
}
