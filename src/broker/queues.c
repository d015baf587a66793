// SPDX-License-Identifier: Apache-2.0
// Owns the set of durable queues: their keys as they are read back and looked for by compaction,
// the fan-out of one message into many of them, and what a crash leaves between journal and
// raw-stream. Keys and rules: docs/formats/journal.md.
#include "broker/queues.h"

#include "base/codes.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/queues_inside.h"
#include "stream/reader.h"

// A new mark is put when raw-stream has gone on by so many records.
#define MARK_RECORDS 100000

// A queue's messages at its head that may have been sent before a crash.
#define SENT_GUESS 1000

// What an 'I' says that a crash has lost of its message.
#define LOST_RECORD 1
#define LOST_PLACE 2

// The wall clock has been set when it has gone on by so much more, or less, than time.
#define CLOCK_JUMP_MS 10000

// How many queues are looked at for one call of wz_queues_expire.
#define EXPIRE_STEP 1000

static struct wz_slice id_slice(const uint8_t id[8]) { return wz_slice(id, 8); }

static uint64_t number_of(const uint8_t id[8])
{
    struct wz_cursor cur = wz_cursor(id_slice(id));

    return wz_cursor_get_u64(&cur);
}

static void id_write(uint8_t ret_id[8], uint64_t number)
{
    struct wz_pen pen = wz_pen(ret_id, 8);

    wz_pen_put_u64(&pen, number);
}

// Shared bodies.

struct wz_shared_body *wz_shared_body_ref(struct wz_shared_body *shared)
{
    shared->refs++;
    return shared;
}

void wz_shared_body_unref(struct wz_queues *queues, struct wz_shared_body *shared)
{
    if (--shared->refs > 0)
        return;
    wz_journal_drop(queues->options.journal, &shared->place);
    (void)wz_map_remove(&queues->shared, id_slice(shared->number)); // it is there
    wz_free(shared);
}

struct wz_shared_body *wz_shared_body_get(struct wz_queues *queues, const uint8_t number[8])
{
    struct wz_shared_body *shared = wz_map_get(&queues->shared, id_slice(number));

    if (shared != NULL)
        return shared;
    shared = wz_zalloc(1, sizeof(*shared));
    shared->place = WZ_JOURNAL_NOWHERE;
    memcpy(shared->number, number, sizeof(shared->number));
    (void)wz_map_put(&queues->shared, id_slice(shared->number), shared); // it is new
    if (number_of(number) > queues->last_number)
        queues->last_number = number_of(number);
    return shared;
}

// Reading back. A queue is made by whichever of its keys comes first.

static struct wz_durable_queue *queue_of(struct wz_queues *queues, struct wz_cursor *key)
{
    struct wz_slice id = wz_cursor_get_bytes(key, 8);
    struct wz_durable_queue *queue;

    if (key->failed)
        return NULL;
    queue = wz_map_get(&queues->by_id, id);
    if (queue != NULL)
        return queue;
    queue = wz_durable_queue_new(queues, id.ptr);
    (void)wz_map_put(&queues->by_id, id_slice(queue->id), queue); // it is new
    wz_list_push(&queues->all, &queue->link);
    if (number_of(id.ptr) > queues->last_id)
        queues->last_id = number_of(id.ptr);
    return queue;
}

static void forget_queue(struct wz_durable_queue *queue)
{
    struct wz_queues *queues = queue->queues;

    (void)wz_map_remove(&queues->by_id, id_slice(queue->id)); // it is there
    if (queue->name.ptr != NULL && wz_map_get(&queues->by_name, queue->name) == queue)
        (void)wz_map_remove(&queues->by_name, queue->name); // it is itself
    wz_durable_queue_free(queue);
}

static void set_name(struct wz_durable_queue *queue, struct wz_slice name)
{
    if (queue->name.ptr != NULL)
        return;
    queue->name = wz_slice(wz_strndup(name.ptr, name.len), name.len);
    (void)wz_map_put(&queue->queues->by_name, queue->name, queue); // one name, one queue
}

static int replay_queue(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_cursor value = wz_cursor(record->value);
    struct wz_durable_queue *queue = queue_of(queues, &key);
    struct wz_slice name;
    uint8_t kind;

    if (queue == NULL)
        return WZ_ERR_CORRUPT;
    if (record->removed) {
        forget_queue(queue);
        return WZ_OK;
    }
    kind = wz_cursor_get_u8(&value);
    queue->left_ms = (int64_t)wz_cursor_get_u64(&value);
    name = wz_cursor_get_bytes(&value, wz_cursor_left(&value));
    if (value.failed || name.len == 0)
        return WZ_ERR_CORRUPT;
    if (kind != 1)
        return WZ_ERR_UNSUPPORTED;
    set_name(queue, name);
    wz_journal_drop(queues->options.journal, &queue->place);
    queue->place = record->place;
    queue->declared = true;
    return WZ_OK;
}

static struct wz_journal_place *find_queue(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, key);

    return queue != NULL ? &queue->place : NULL;
}

static int replay_binding(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_durable_queue *queue = queue_of(queues, &key);
    struct wz_slice filter = wz_cursor_get_bytes(&key, wz_cursor_left(&key));

    if (queue == NULL || !wz_pattern_valid(&wz_topic_mqtt, filter))
        return WZ_ERR_CORRUPT;
    if (record->removed) {
        wz_durable_queue_unbound(queue, filter);
        return WZ_OK;
    }
    if (record->value.len != 1 || record->value.ptr[0] > 2)
        return WZ_ERR_CORRUPT;
    return wz_durable_queue_rebind(queue, filter, record->value.ptr[0], record->place);
}

static struct wz_journal_place *find_binding(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue =
        key.len > 8 ? wz_map_get(&queues->by_id, wz_slice(key.ptr, 8)) : NULL;

    return queue != NULL ? wz_durable_queue_binding(queue, wz_slice_sub(key, 8, key.len - 8))
                         : NULL;
}

// Takes an entry's value into its mark; RET_NUMBER is the shared body's, or empty.
static int read_entry(struct wz_slice value, uint32_t *ret_mark, struct wz_slice *ret_number)
{
    struct wz_cursor cur = wz_cursor(value);
    uint8_t qos = wz_cursor_get_u8(&cur);
    uint8_t flags;

    *ret_number = (struct wz_slice){0};
    if (qos == WZ_QUEUED_RELEASED && value.len == 1) {
        *ret_mark = WZ_ENTRY_THERE | WZ_ENTRY_QOS2 | WZ_ENTRY_RELEASED;
        return WZ_OK;
    }
    flags = wz_cursor_get_u8(&cur);
    if (flags & WZ_QUEUED_SHARED)
        *ret_number = wz_cursor_get_bytes(&cur, 8);
    else
        (void)wz_cursor_get_bytes(&cur, wz_cursor_get_u16(&cur)); // the topic
    if (cur.failed || qos < 1 || qos > 2)
        return WZ_ERR_CORRUPT;
    *ret_mark = WZ_ENTRY_THERE | (qos == 2 ? WZ_ENTRY_QOS2 : 0u);
    return WZ_OK;
}

// The entry of a message that lies further from others than two of one queue ever do: a damaged
// batch has held the head that was between. The ones that are far below are given up, for they were
// settled. NULL when it is this one.
static struct wz_entry *add_far(struct wz_durable_queue *queue, uint64_t sequence)
{
    struct wz_entry *entry = NULL;

    if (sequence < wz_entries_high(&queue->entries))
        return NULL;
    WZ_LOG(WZ_LOG_WARN, "queue.head_lost", WZ_F_SLICE("queue", queue->name));
    wz_durable_queue_drop_below(queue, sequence - WZ_ENTRIES_SPAN / 2);
    if (wz_entries_add(&queue->entries, sequence, &entry) < 0) {
        wz_durable_queue_drop_below(queue, UINT64_MAX);
        wz_entries_release(&queue->entries);
        wz_ignore(wz_entries_add(&queue->entries, sequence, &entry)); // the first always fits
    }
    return entry;
}

static int replay_entry(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_durable_queue *queue = queue_of(queues, &key);
    uint64_t sequence = wz_cursor_get_u64(&key);
    struct wz_shared_body *shared = NULL;
    struct wz_slice number = {0};
    struct wz_entry *entry;
    uint32_t mark = 0;
    int r = WZ_OK;

    if (queue == NULL || key.failed || wz_cursor_left(&key) > 0 || sequence == UINT64_MAX)
        return WZ_ERR_CORRUPT;
    if (!record->removed)
        r = read_entry(record->value, &mark, &number);
    if (r < 0)
        return r;
    if (number.len > 0) // before the one it replaces lets go of the same body
        shared = wz_shared_body_ref(wz_shared_body_get(queues, number.ptr));
    if (sequence >= queue->tail)
        queue->tail = sequence + 1;
    entry = wz_entries_at(&queue->entries, sequence);
    if (entry != NULL)
        wz_durable_queue_drop(queue, entry);
    if (record->removed || sequence < queue->head) {
        struct wz_journal_place place = record->place;

        if (!record->removed)
            wz_journal_drop(queues->options.journal, &place);
        if (shared != NULL)
            wz_shared_body_unref(queues, shared);
        return WZ_OK;
    }
    if (wz_entries_add(&queue->entries, sequence, &entry) < 0)
        entry = add_far(queue, sequence);
    if (entry == NULL) {
        struct wz_journal_place place = record->place;

        wz_journal_drop(queues->options.journal, &place);
        if (shared != NULL)
            wz_shared_body_unref(queues, shared);
        return WZ_OK;
    }
    entry->place = record->place;
    entry->place.mark = mark;
    entry->shared = shared;
    queue->count++;
    queues->messages++;
    queues->shared_refs += entry->shared != NULL;
    return WZ_OK;
}

static struct wz_journal_place *find_entry(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_cursor cur = wz_cursor(key);
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, wz_cursor_get_bytes(&cur, 8));
    struct wz_entry *entry =
        queue != NULL ? wz_entries_at(&queue->entries, wz_cursor_get_u64(&cur)) : NULL;

    return entry != NULL && (entry->place.mark & WZ_ENTRY_THERE) != 0 ? &entry->place : NULL;
}

static int replay_head(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_cursor value = wz_cursor(record->value);
    struct wz_durable_queue *queue = queue_of(queues, &key);
    uint64_t head = wz_cursor_get_u64(&value);

    if (queue == NULL || (!record->removed && (value.failed || wz_cursor_left(&value) > 0)))
        return WZ_ERR_CORRUPT;
    wz_journal_drop(queues->options.journal, &queue->head_place);
    if (record->removed)
        return WZ_OK;
    queue->head_place = record->place;
    queue->head = head > queue->head ? head : queue->head;
    queue->tail = queue->head > queue->tail ? queue->head : queue->tail;
    wz_durable_queue_drop_below(queue, queue->head);
    return WZ_OK;
}

static struct wz_journal_place *find_head(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, key);

    return queue != NULL ? &queue->head_place : NULL;
}

static int replay_shifts(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_durable_queue *queue = queue_of(queues, &key);

    if (queue == NULL)
        return WZ_ERR_CORRUPT;
    wz_journal_drop(queues->options.journal, &queue->shifts_place);
    wz_packet_shifts_release(&queue->shifts);
    if (record->removed)
        return WZ_OK;
    queue->shifts_place = record->place;
    return wz_packet_shifts_decode(&queue->shifts, record->value);
}

static struct wz_journal_place *find_shifts(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, key);

    return queue != NULL ? &queue->shifts_place : NULL;
}

static int replay_received(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_cursor value = wz_cursor(record->value);
    struct wz_durable_queue *queue = queue_of(queues, &key);
    uint16_t packet_id = wz_cursor_get_u16(&key);
    struct wz_received_message *message;
    uint8_t lost;

    if (queue == NULL || key.failed || packet_id == 0)
        return WZ_ERR_CORRUPT;
    message = wz_received_get(&queue->received, packet_id);
    if (message != NULL)
        wz_journal_drop(queues->options.journal, &message->place);
    if (record->removed) {
        (void)wz_received_remove(&queue->received, packet_id); // it may have gone before
        return WZ_OK;
    }
    message = wz_received_add(&queue->received, packet_id);
    message->place = record->place;
    message->offset = (int64_t)wz_cursor_get_u64(&value);
    lost = wz_cursor_get_u8(&value);
    message->unrecorded = lost == LOST_RECORD;
    message->unqueued = lost == LOST_PLACE;
    if (message->offset >= queues->mark)
        queues->mark = message->offset + 1; // what comes before it on raw-stream is here, too
    return value.failed || lost > LOST_PLACE ? WZ_ERR_CORRUPT : WZ_OK;
}

static struct wz_journal_place *find_received(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_cursor cur = wz_cursor(key);
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, wz_cursor_get_bytes(&cur, 8));
    struct wz_received_message *message =
        queue != NULL ? wz_received_get(&queue->received, wz_cursor_get_u16(&cur)) : NULL;

    return message != NULL ? &message->place : NULL;
}

static int replay_shared(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_shared_body *shared;

    if (record->key.len != 8)
        return WZ_ERR_CORRUPT;
    shared = wz_shared_body_get(queues, record->key.ptr);
    wz_journal_drop(queues->options.journal, &shared->place);
    if (!record->removed)
        shared->place = record->place;
    return WZ_OK;
}

static struct wz_journal_place *find_shared(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_shared_body *shared = wz_map_get(&queues->shared, key);

    return shared != NULL ? &shared->place : NULL;
}

static int replay_mark(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor value = wz_cursor(record->value);
    int64_t mark;

    if (record->key.len > 0 || (!record->removed && record->value.len != 8))
        return WZ_ERR_CORRUPT;
    wz_journal_drop(queues->options.journal, &queues->mark_place);
    queues->mark_place = record->place;
    mark = (int64_t)wz_cursor_get_u64(&value);
    queues->mark = mark > queues->mark ? mark : queues->mark;
    return value.failed ? WZ_ERR_CORRUPT : WZ_OK;
}

static struct wz_journal_place *find_mark(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;

    (void)key; // there is one
    return &queues->mark_place;
}

static void on_flush(void *arg);

struct wz_queues *wz_queues_new(const struct wz_queues_options *options)
{
    struct wz_queues *queues = wz_zalloc(1, sizeof(*queues));
    const struct wz_journal_kind kinds[] = {
        {'Q', queues, replay_queue, find_queue},   {'B', queues, replay_binding, find_binding},
        {'E', queues, replay_entry, find_entry},   {'H', queues, replay_head, find_head},
        {'N', queues, replay_shifts, find_shifts}, {'I', queues, replay_received, find_received},
        {'M', queues, replay_shared, find_shared}, {'P', queues, replay_mark, find_mark},
    };

    _Static_assert(sizeof(kinds) == sizeof(queues->kinds), "all kinds are kept");
    memcpy(queues->kinds, kinds, sizeof(kinds));
    queues->options = *options;
    queues->mark_place = WZ_JOURNAL_NOWHERE;
    wz_list_init(&queues->all);
    wz_list_init(&queues->dirty);
    wz_list_init(&queues->waiting);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        wz_journal_join(options->journal, &queues->kinds[i]);
    queues->part = (struct wz_loop_part){.flush = on_flush, .arg = queues};
    wz_loop_join(options->loop, &queues->part);
    return queues;
}

// Recovery.

static void drop_unreferred(struct wz_queues *queues)
{
    struct wz_shared_body *shared;
    struct wz_list *it;
    struct wz_list *tmp;
    size_t walk = 0;
    int64_t lost = 0;

    WZ_LIST_EACH(it, tmp, &queues->all)
    {
        struct wz_durable_queue *queue = WZ_CONTAINER(it, struct wz_durable_queue, link);

        if (!queue->declared) {
            lost++;
            forget_queue(queue);
            continue;
        }
        if (queue->left_ms == 0)
            queue->left_ms = queues->options.loop->now_ms;
        wz_durable_queue_advance(queue);
        wz_durable_queue_weigh(queue); // now that all shared bodies are known
        queue->next = queue->head;
        queue->ready_end = queue->head;
        queue->sent_end =
            queue->head + SENT_GUESS < queue->tail ? queue->head + SENT_GUESS : queue->tail;
    }
    while ((shared = wz_map_next(&queues->shared, &walk)) != NULL) {
        if (shared->refs == 0)
            wz_shared_body_unref(queues, wz_shared_body_ref(shared));
    }
    if (lost > 0)
        WZ_LOG(WZ_LOG_DEBUG, "queues.dropped", WZ_F_INT("count", lost));
}

// The offset of the last record on raw-stream; -1: none.
static int last_offset(struct wz_log *raw, int64_t *ret_offset)
{
    struct wz_reader_options options = {.direction = WZ_BACKWARD, .position = INT64_MAX};
    struct wz_reader *reader;
    struct wz_record record;
    int r = wz_reader_open(raw, &options, &reader);

    if (r < 0)
        return r;
    r = wz_reader_next(reader, &record);
    if (r >= 0)
        *ret_offset = r == WZ_OK ? record.offset : -1;
    wz_reader_close(reader);
    return r < 0 ? r : WZ_OK;
}

static void received_key(const struct wz_durable_queue *queue, uint16_t packet_id,
                         uint8_t ret_key[10])
{
    struct wz_pen pen = wz_pen(ret_key, 10);

    wz_pen_put_slice(&pen, id_slice(queue->id));
    wz_pen_put_u16(&pen, packet_id);
}

// Puts the 'I' of a message as it is now.
static void put_received(struct wz_durable_queue *queue, uint16_t packet_id,
                         struct wz_received_message *message)
{
    uint8_t key[10];
    uint8_t bytes[9];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice value = wz_slice(bytes, sizeof(bytes));

    received_key(queue, packet_id, key);
    wz_pen_put_u64(&pen, (uint64_t)message->offset);
    wz_pen_put_u8(&pen, message->unrecorded ? LOST_RECORD : message->unqueued ? LOST_PLACE : 0);
    wz_journal_put(queue->queues->options.journal, 'I', wz_slice(key, sizeof(key)), &value, 1,
                   &message->place);
}

// Calls SEE for each QoS 2 message that is not released.
static void each_received(struct wz_queues *queues, int64_t last,
                          void (*see)(struct wz_durable_queue *queue, uint16_t packet_id,
                                      struct wz_received_message *message, int64_t last))
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &queues->all)
    {
        struct wz_durable_queue *queue = WZ_CONTAINER(it, struct wz_durable_queue, link);
        struct wz_received_message *message;
        uint32_t walk = 0;

        while ((message = wz_received_next(&queue->received, &walk)) != NULL)
            see(queue, message->packet_id, message, last);
    }
}

// A message whose record was lost.
static void see_unrecorded(struct wz_durable_queue *queue, uint16_t packet_id,
                           struct wz_received_message *message, int64_t last)
{
    (void)queue;
    (void)packet_id;
    if (message->offset > last)
        message->unrecorded = true;
}

// What a crash has lost of a message is noted: at the next opening its offset may not tell it any
// more, for raw-stream and the mark will have gone on.
static void note_lost(struct wz_durable_queue *queue, uint16_t packet_id,
                      struct wz_received_message *message, int64_t last)
{
    (void)last;
    if (message->unrecorded || message->unqueued)
        put_received(queue, packet_id, message);
}

// The packet identifier in a record's header; 0: none.
static uint16_t packet_id_of(const struct wz_record *record)
{
    struct wz_slice digits = wz_record_header_find(record, "packet");
    uint32_t id = 0;

    for (size_t i = 0; i < digits.len && id <= UINT16_MAX; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return 0;
        id = id * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    return id <= UINT16_MAX ? (uint16_t)id : 0;
}

// A QoS 2 message's record behind the mark: if nothing here knows of it, it is not in the queues.
static void see_record(struct wz_queues *queues, const struct wz_record *record)
{
    uint16_t packet_id = packet_id_of(record);
    struct wz_slice client = wz_record_header_find(record, "client");
    struct wz_durable_queue *queue = wz_queues_find(queues, client);
    struct wz_received_message *message;

    if (packet_id == 0 || queue == NULL)
        return;
    message = wz_received_add(&queue->received, packet_id);
    if (message->offset == record->offset)
        return;
    message->offset = record->offset;
    message->unqueued = true;
}

static int find_unqueued(struct wz_queues *queues)
{
    struct wz_reader_options options = {.position = queues->mark};
    struct wz_reader *reader;
    struct wz_record record;
    int r = wz_reader_open(queues->options.raw, &options, &reader);

    if (r < 0)
        return r;
    while ((r = wz_reader_next(reader, &record)) == WZ_OK)
        see_record(queues, &record);
    wz_reader_close(reader);
    return r < 0 ? r : WZ_OK;
}

int wz_queues_recover(struct wz_queues *queues, struct wz_problem *ret_problem)
{
    int64_t last = -1;
    int r = WZ_OK;

    drop_unreferred(queues);
    wz_metric_add(WZ_METRIC_QUEUES, (int64_t)queues->by_name.count);
    queues->recovered = queues->options.raw == NULL || queues->by_name.count == 0;
    if (queues->recovered)
        return WZ_OK; // nothing can be half done
    r = last_offset(queues->options.raw, &last);
    if (r == WZ_OK) {
        each_received(queues, last, see_unrecorded);
        r = find_unqueued(queues);
    }
    if (r == WZ_OK) {
        struct wz_ticket ticket;

        wz_queues_begin(queues);
        each_received(queues, last, note_lost);
        wz_queues_end(queues, &ticket);
    }
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "raw-stream cannot be read: %s.",
                              wz_err_text(r));
    queues->recovered = true;
    return WZ_OK;
}

// Groups.

bool wz_queues_ready(struct wz_queues *queues) { return wz_journal_ready(queues->options.journal); }

void wz_queues_received_ticket(struct wz_queues *queues, const struct wz_received_message *message,
                               struct wz_ticket *ret_ticket)
{
    *ret_ticket = (struct wz_ticket){
        .stream = message->offset >= 0 ? queues->options.raw : NULL,
        .offset = message->offset,
        .journal = message->place.offset >= 0 ? wz_journal_log(queues->options.journal) : NULL,
        .journal_offset = message->place.offset,
    };
}

void wz_queues_begin(struct wz_queues *queues) { wz_journal_begin(queues->options.journal); }

void wz_queues_end(struct wz_queues *queues, struct wz_ticket *ticket)
{
    int64_t offset = -1;

    wz_journal_end(queues->options.journal, &offset);
    if (offset < 0)
        return;
    ticket->journal = wz_journal_log(queues->options.journal);
    ticket->journal_offset = offset;
}

static void put_mark(struct wz_queues *queues)
{
    uint8_t bytes[8];
    struct wz_slice value = id_slice(bytes);

    queues->mark = wz_log_next_offset(queues->options.raw);
    queues->marks = false;
    id_write(bytes, (uint64_t)queues->mark);
    wz_journal_put(queues->options.journal, 'P', (struct wz_slice){0}, &value, 1,
                   &queues->mark_place);
}

static void put_head(struct wz_durable_queue *queue)
{
    uint8_t bytes[8];
    struct wz_slice value = id_slice(bytes);

    id_write(bytes, queue->head);
    wz_journal_put(queue->queues->options.journal, 'H', id_slice(queue->id), &value, 1,
                   &queue->head_place);
}

// The end of a turn: heads that have moved are put, once each however many messages were settled.
static void on_flush(void *arg)
{
    struct wz_queues *queues = arg;
    struct wz_log *raw = queues->options.raw;
    bool marks =
        raw != NULL && (queues->marks || wz_log_next_offset(raw) - queues->mark > MARK_RECORDS);
    struct wz_ticket ticket;
    struct wz_list *it;

    if ((wz_list_empty(&queues->dirty) && !marks) || !wz_queues_ready(queues))
        return;
    wz_queues_begin(queues);
    while ((it = wz_list_shift(&queues->dirty)) != NULL)
        put_head(WZ_CONTAINER(it, struct wz_durable_queue, dirty));
    if (marks)
        put_mark(queues);
    wz_queues_end(queues, &ticket);
}

void wz_queues_stop(struct wz_queues *queues)
{
    if (!queues->recovered)
        return; // the start failed: what is there stays as it is
    queues->marks = true;
    on_flush(queues);
}

void wz_queues_free(struct wz_queues *queues)
{
    struct wz_list *it;

    if (queues == NULL)
        return;
    while ((it = wz_list_shift(&queues->all)) != NULL)
        wz_durable_queue_free(WZ_CONTAINER(it, struct wz_durable_queue, link));
    WZ_ASSERT(queues->shared.count == 0);
    wz_loop_leave(&queues->part);
    wz_map_release(&queues->by_name);
    wz_map_release(&queues->by_id);
    wz_map_release(&queues->shared);
    wz_free(queues->pending);
    wz_free(queues);
}

// Messages.

// Puts the body that COUNT queues share.
static struct wz_shared_body *share(struct wz_queues *queues, const struct wz_message *msg)
{
    uint8_t number[8];
    uint8_t len[2];
    struct wz_pen pen = wz_pen(len, sizeof(len));
    struct wz_slice pieces[] = {wz_slice(len, sizeof(len)), msg->topic, msg->body};
    struct wz_shared_body *shared;

    id_write(number, queues->last_number + 1);
    shared = wz_shared_body_get(queues, number);
    wz_pen_put_u16(&pen, (uint16_t)msg->topic.len);
    wz_journal_put(queues->options.journal, 'M', id_slice(shared->number), pieces, 3,
                   &shared->place);
    return wz_shared_body_ref(shared);
}

// A queue that is full refuses, for itself alone.
static void refuse(struct wz_queues *queues, struct wz_durable_queue *queue)
{
    queue->dropped++;
    wz_metric_add(WZ_METRIC_QUEUES_DROPPED, 1);
    if (!wz_log_allow(&queues->log_us))
        return;
    WZ_LOG(WZ_LOG_WARN, "queue.full", WZ_F_SLICE("queue", queue->name),
           WZ_F_INT("messages", (int64_t)queue->count), WZ_F_INT("refused", queue->dropped));
    queue->dropped = 0;
}

// Puts the message into the queues that matched from pending number FIRST on.
static void push_pending(struct wz_queues *queues, size_t first, const struct wz_message *msg)
{
    struct wz_message live = *msg;
    struct wz_shared_body *shared = queues->pending_count - first > 1 ? share(queues, msg) : NULL;
    struct wz_parcel *parcel = NULL;

    live.retain = false; // for a subscription that was there already (3.3.1.3)
    for (size_t i = first; i < queues->pending_count; i++) {
        struct wz_pending_push *push = &queues->pending[i];

        if (wz_durable_queue_add(push->queue, &live, push->qos, shared, &parcel) < 0)
            refuse(queues, push->queue);
    }
    wz_parcel_unref(parcel);
    if (shared != NULL)
        wz_shared_body_unref(queues, shared);
}

int wz_queues_publish(struct wz_queues *queues, struct wz_exchange *exchange,
                      const struct wz_message *msg, wz_topic_valid_fn valid,
                      struct wz_ticket *ret_ticket)
{
    size_t first = queues->pending_count;
    int r;

    *ret_ticket = (struct wz_ticket){0};
    wz_queues_begin(queues);
    r = wz_exchange_publish(exchange, msg, valid, ret_ticket);
    if (queues->pending_count > first)
        push_pending(queues, first, msg);
    queues->pending_count = first;
    wz_queues_end(queues, ret_ticket);
    return r;
}

// Queues.

struct wz_durable_queue *wz_queues_find(const struct wz_queues *queues, struct wz_slice name)
{
    return wz_map_get(&queues->by_name, name);
}

int wz_queues_declare(struct wz_queues *queues, struct wz_slice name,
                      struct wz_durable_queue **ret_queue)
{
    struct wz_durable_queue *queue;
    uint8_t id[8];
    struct wz_cursor key = wz_cursor(id_slice(id));

    if (queues->by_name.count >= queues->options.limits.max_queues)
        return WZ_ERR_LIMIT;
    id_write(id, queues->last_id + 1);
    queue = queue_of(queues, &key);
    set_name(queue, name);
    queue->left_ms = queues->options.loop->now_ms;
    wz_durable_queue_put(queue);
    wz_metric_add(WZ_METRIC_QUEUES, 1);
    *ret_queue = queue;
    return WZ_OK;
}

void wz_queues_delete(struct wz_durable_queue *queue)
{
    WZ_ASSERT(queue->consumer == NULL);
    wz_journal_remove(queue->queues->options.journal, 'Q', id_slice(queue->id), &queue->place);
    wz_metric_add(WZ_METRIC_QUEUES, -1);
    forget_queue(queue);
}

void wz_queues_received(struct wz_durable_queue *queue, uint16_t packet_id, int64_t offset)
{
    struct wz_received_message *message = wz_received_add(&queue->received, packet_id);

    message->offset = offset;
    message->unrecorded = false;
    message->unqueued = false;
    put_received(queue, packet_id, message);
    queue->queues->marks = true;
}

void wz_queues_forget_received(struct wz_durable_queue *queue, uint16_t packet_id)
{
    struct wz_received_message *message = wz_received_get(&queue->received, packet_id);
    uint8_t key[10];

    if (message == NULL)
        return;
    received_key(queue, packet_id, key);
    wz_journal_remove(queue->queues->options.journal, 'I', wz_slice(key, sizeof(key)),
                      &message->place);
    (void)wz_received_remove(&queue->received, packet_id); // it is there
}

// Tells the consumers that wait for something.
static void tell_waiting(struct wz_queues *queues)
{
    struct wz_list told;
    struct wz_list *it;

    // Who is told may have to wait again, which puts him on the list anew.
    wz_list_init(&told);
    while ((it = wz_list_shift(&queues->waiting)) != NULL)
        wz_list_push(&told, it);
    while ((it = wz_list_shift(&told)) != NULL) {
        struct wz_durable_queue *queue = WZ_CONTAINER(it, struct wz_durable_queue, waiting);

        if (queue->consumer != NULL)
            queue->consumer->ready(queue->consumer->arg);
    }
}

void wz_queues_durable(struct wz_queues *queues)
{
    int64_t end = wz_log_durable_end(wz_journal_log(queues->options.journal));

    if (end == queues->durable_end)
        return; // it was another log
    queues->durable_end = end;
    tell_waiting(queues);
}

// The wall clock was set: what was left a while ago was left that while ago still.
static void follow_clock(struct wz_queues *queues, int64_t now_ms, int64_t mono_ms)
{
    int64_t jump_ms = (now_ms - queues->wall_ms) - (mono_ms - queues->mono_ms);
    bool first = queues->wall_ms == 0;
    struct wz_list *it;
    struct wz_list *tmp;

    queues->wall_ms = now_ms;
    queues->mono_ms = mono_ms;
    if (first || (jump_ms < CLOCK_JUMP_MS && jump_ms > -CLOCK_JUMP_MS))
        return;
    WZ_LOG(WZ_LOG_WARN, "queues.clock", WZ_F_INT("jump_ms", jump_ms));
    WZ_LIST_EACH(it, tmp, &queues->all)
    {
        struct wz_durable_queue *queue = WZ_CONTAINER(it, struct wz_durable_queue, link);

        if (queue->left_ms != 0)
            queue->left_ms += jump_ms;
    }
}

void wz_queues_expire(struct wz_queues *queues, int64_t now_ms, int64_t mono_ms)
{
    struct wz_ticket ticket;
    int64_t expiry_ms = queues->options.limits.expiry_ms;

    tell_waiting(queues); // those whose reading failed, too
    follow_clock(queues, now_ms, mono_ms);
    if (expiry_ms == 0 || wz_list_empty(&queues->all) || !wz_queues_ready(queues))
        return;
    wz_queues_begin(queues);
    for (int i = 0; i < EXPIRE_STEP && !wz_list_empty(&queues->all); i++) {
        struct wz_list *it = wz_list_shift(&queues->all);
        struct wz_durable_queue *queue = WZ_CONTAINER(it, struct wz_durable_queue, link);

        wz_list_push(&queues->all, it); // the next call looks at others first
        if (queue->consumer == NULL && now_ms - queue->left_ms > expiry_ms) {
            WZ_LOG(WZ_LOG_INFO, "queue.expired", WZ_F_SLICE("queue", queue->name),
                   WZ_F_INT("messages", (int64_t)queue->count));
            wz_queues_delete(queue);
            wz_metric_add(WZ_METRIC_QUEUES_EXPIRED, 1);
        }
    }
    wz_queues_end(queues, &ticket);
}

size_t wz_queues_count(const struct wz_queues *queues) { return queues->by_name.count; }

size_t wz_queues_messages(const struct wz_queues *queues) { return queues->messages; }

size_t wz_queues_bindings(const struct wz_queues *queues) { return queues->bindings; }

size_t wz_queues_stored(const struct wz_queues *queues)
{
    return queues->messages - queues->shared_refs + queues->shared.count;
}
