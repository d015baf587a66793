// SPDX-License-Identifier: Apache-2.0
// Owns how the durable queues are read back: the journal's kinds of keys as they are replayed and
// looked for by compaction, and what a crash leaves between journal and raw-stream. Keys and rules:
// docs/formats/journal.md.
#include <stdlib.h>

#include "base/codes.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/journal_keys.h"
#include "broker/queues_inside.h"
#include "stream/reader.h"

// So long after a start no queue expires: while wyze was down its client could not come.
#define START_GRACE_MS ((int64_t)15 * 60 * 1000)

static uint64_t number_of(const uint8_t bytes[8])
{
    struct wz_cursor cur = wz_cursor(wz_slice(bytes, 8));

    return wz_cursor_get_u64(&cur);
}

// A record's queue, made by whichever of its keys comes first; the key has the form that begins
// with its number.
static struct wz_durable_queue *queue_of(struct wz_queues *queues,
                                         const struct wz_journal_record *record)
{
    return wz_queues_get(queues, record->key.ptr);
}

// What stands in a record's key behind the queue's number.
static struct wz_slice behind_queue(struct wz_slice key)
{
    return wz_slice_sub(key, 8, key.len - 8);
}

static int replay_queue(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor value = wz_cursor(record->value);
    struct wz_durable_queue *queue;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_QUEUE, record);

    if (r < 0)
        return r;
    queue = queue_of(queues, record);
    if (record->removed) {
        wz_queues_forget(queue);
        return WZ_OK;
    }
    (void)wz_cursor_get_u8(&value); // an MQTT session
    queue->left_ms = (int64_t)wz_cursor_get_u64(&value);
    wz_queues_name(queue, wz_cursor_get_bytes(&value, wz_cursor_left(&value)));
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
    struct wz_durable_queue *queue;
    struct wz_slice filter;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_BINDING, record);

    if (r < 0)
        return r;
    queue = queue_of(queues, record);
    filter = behind_queue(record->key);
    if (record->removed) {
        wz_durable_queue_unbound(queue, filter);
        return WZ_OK;
    }
    return wz_durable_queue_rebind(queue, filter, record->value, record->place);
}

static struct wz_journal_place *find_binding(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, wz_slice(key.ptr, 8));

    return queue != NULL ? wz_durable_queue_binding(queue, behind_queue(key)) : NULL;
}

// The mark of an entry with that value; RET_NUMBER is the shared body's, or empty.
static uint32_t mark_of(struct wz_slice value, struct wz_slice *ret_number)
{
    bool shared = value.len > 1 && (value.ptr[1] & WZ_QUEUED_SHARED) != 0;

    *ret_number = shared ? wz_slice_sub(value, 2, 8) : (struct wz_slice){0};
    if (value.ptr[0] == WZ_QUEUED_RELEASED)
        return WZ_ENTRY_QOS2 | WZ_ENTRY_RELEASED;
    return value.ptr[0] == 2 ? WZ_ENTRY_QOS2 : 0u;
}

// A record that says nothing more: what it had is gone.
static int pass_over(struct wz_queues *queues, const struct wz_journal_record *record,
                     struct wz_shared_body *shared)
{
    struct wz_journal_place place = record->place;

    if (!record->removed)
        wz_journal_drop(queues->options.journal, &place);
    if (shared != NULL)
        wz_shared_body_unref(queues, shared);
    return WZ_OK;
}

static int replay_entry(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue;
    struct wz_shared_body *shared = NULL;
    struct wz_slice number = {0};
    struct wz_entry *entry;
    uint64_t sequence;
    uint32_t mark = 0;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_ENTRY, record);

    if (r < 0)
        return r;
    queue = queue_of(queues, record);
    sequence = number_of(record->key.ptr + 8);
    if (!record->removed)
        mark = mark_of(record->value, &number);
    if (number.len > 0) // before the one it replaces lets go of the same body
        shared = wz_shared_body_ref(wz_shared_body_get(queues, number.ptr));
    if (sequence >= queue->tail)
        queue->tail = sequence + 1;
    wz_durable_queue_drop(queue, sequence);
    if (record->removed || sequence < queue->head)
        return pass_over(queues, record, shared);
    entry = wz_sparse_add(&queue->entries, sequence);
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
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, wz_slice(key.ptr, 8));
    struct wz_entry *entry =
        queue != NULL ? wz_sparse_at(&queue->entries, number_of(key.ptr + 8)) : NULL;

    return entry != NULL ? &entry->place : NULL;
}

static int replay_head(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue;
    uint64_t head;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_HEAD, record);

    if (r < 0)
        return r;
    queue = queue_of(queues, record);
    wz_journal_drop(queues->options.journal, &queue->head_place);
    if (record->removed)
        return WZ_OK;
    head = number_of(record->value.ptr);
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
    struct wz_durable_queue *queue;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_SHIFTS, record);

    if (r < 0)
        return r;
    queue = queue_of(queues, record);
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

static uint16_t packet_id_at(struct wz_slice bytes)
{
    struct wz_cursor cur = wz_cursor(bytes);

    return wz_cursor_get_u16(&cur);
}

static int replay_received(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_cursor value = wz_cursor(record->value);
    struct wz_durable_queue *queue;
    struct wz_received_message *message;
    uint16_t packet_id;
    uint8_t lost;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_RECEIVED, record);

    if (r < 0)
        return r;
    queue = queue_of(queues, record);
    packet_id = packet_id_at(behind_queue(record->key));
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
    message->unrecorded = lost == WZ_RECEIVED_LOST_RECORD;
    message->unqueued = lost == WZ_RECEIVED_LOST_PLACE;
    if (message->offset >= queues->mark)
        queues->mark = message->offset + 1; // what comes before it on raw-stream is here, too
    return WZ_OK;
}

static struct wz_journal_place *find_received(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, wz_slice(key.ptr, 8));
    struct wz_received_message *message =
        queue != NULL ? wz_received_get(&queue->received, packet_id_at(behind_queue(key))) : NULL;

    return message != NULL ? &message->place : NULL;
}

static int replay_shared(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    struct wz_shared_body *shared;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_SHARED, record);

    if (r < 0)
        return r;
    shared = wz_shared_body_get(queues, record->key.ptr);
    wz_journal_drop(queues->options.journal, &shared->place);
    if (!record->removed)
        shared->place = record->place;
    return WZ_OK;
}

static struct wz_journal_place *find_shared(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;
    struct wz_shared_body *shared = wz_sparse_at(&queues->shared, number_of(key.ptr));

    return shared != NULL ? &shared->place : NULL;
}

static int replay_mark(void *arg, const struct wz_journal_record *record)
{
    struct wz_queues *queues = arg;
    int64_t mark;
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_MARK, record);

    if (r < 0)
        return r;
    wz_journal_drop(queues->options.journal, &queues->mark_place);
    if (record->removed)
        return WZ_OK;
    queues->mark_place = record->place;
    mark = (int64_t)number_of(record->value.ptr);
    queues->mark = mark > queues->mark ? mark : queues->mark;
    return WZ_OK;
}

static struct wz_journal_place *find_mark(void *arg, struct wz_slice key)
{
    struct wz_queues *queues = arg;

    (void)key; // there is one
    return &queues->mark_place;
}

void wz_queues_join(struct wz_queues *queues)
{
    const struct wz_journal_kind kinds[] = {
        {'Q', queues, replay_queue, find_queue},   {'B', queues, replay_binding, find_binding},
        {'E', queues, replay_entry, find_entry},   {'H', queues, replay_head, find_head},
        {'N', queues, replay_shifts, find_shifts}, {'I', queues, replay_received, find_received},
        {'M', queues, replay_shared, find_shared}, {'P', queues, replay_mark, find_mark},
    };

    _Static_assert(sizeof(kinds) == sizeof(queues->kinds), "all kinds are kept");
    memcpy(queues->kinds, kinds, sizeof(kinds));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        wz_journal_join(queues->options.journal, &queues->kinds[i]);
}

// Recovery.

// Behind a message that is never acked those that came last may be settled, and every record of
// them left behind by compaction: then sequences are used again from an earlier one on. What is
// known of identifiers from there on belonged to the settled ones.
static void cut_shifts(struct wz_durable_queue *queue)
{
    uint64_t last = queue->tail > 0 ? queue->tail - 1 : 0;

    queue->shifts_stale = wz_packet_shifts_forget(&queue->shifts, last, UINT64_MAX);
}

// The end of the messages that may have been sent before. They are sent in order, so these are the
// first MAX_INFLIGHT at the most of those that are there.
static uint64_t sent_end(const struct wz_durable_queue *queue, size_t max_inflight)
{
    uint64_t sequence = queue->head;

    for (size_t i = 0; i < max_inflight && sequence < queue->tail; i++)
        sequence = wz_sparse_next(&queue->entries, sequence + 1);
    return sequence < queue->tail ? sequence : queue->tail;
}

static int compare_left(const void *a, const void *b)
{
    const struct wz_durable_queue *const *first = a;
    const struct wz_durable_queue *const *second = b;

    return ((*first)->left_ms > (*second)->left_ms) - ((*first)->left_ms < (*second)->left_ms);
}

// When a queue that was read back was left: now, if it was in use, or if the clock has been set
// back since; and never so long ago that it would expire before its client has had the time to
// come.
static int64_t left_at(const struct wz_queues *queues, int64_t left_ms)
{
    int64_t now_ms = queues->options.loop->now_ms;
    int64_t expiry_ms = queues->options.limits.expiry_ms;
    int64_t earliest_ms = now_ms - expiry_ms + START_GRACE_MS;

    if (left_ms == 0 || left_ms > now_ms || earliest_ms >= now_ms)
        return now_ms;
    return left_ms < earliest_ms ? earliest_ms : left_ms;
}

// Puts all queues into the order in which they were left.
static void leave_all(struct wz_queues *queues)
{
    size_t count = 0;
    struct wz_durable_queue **sorted = wz_alloc((queues->by_id.count + 1) * sizeof(sorted[0]));
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &queues->all)
    {
        sorted[count] = WZ_CONTAINER(it, struct wz_durable_queue, link);
        sorted[count]->left_ms = left_at(queues, sorted[count]->left_ms);
        count++;
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_left);
    for (size_t i = 0; i < count; i++)
        wz_queues_leave(sorted[i], sorted[i]->left_ms);
    wz_free(sorted);
}

static void drop_unreferred(struct wz_queues *queues)
{
    struct wz_list *it;
    struct wz_list *tmp;
    uint64_t number = 0;
    int64_t lost = 0;

    WZ_LIST_EACH(it, tmp, &queues->all)
    {
        struct wz_durable_queue *queue = WZ_CONTAINER(it, struct wz_durable_queue, link);

        if (!queue->declared) {
            lost++;
            wz_queues_forget(queue);
            continue;
        }
        wz_durable_queue_advance(queue);
        cut_shifts(queue);
        wz_durable_queue_weigh(queue); // now that all shared bodies are known
        queue->next = queue->head;
        queue->ready_end = queue->head;
        queue->sent_end = sent_end(queue, queues->options.limits.max_inflight);
    }
    while ((number = wz_sparse_next(&queues->shared, number)) != UINT64_MAX) {
        struct wz_shared_body *shared = wz_sparse_at(&queues->shared, number++);

        if (shared->refs == 0)
            wz_shared_body_unref(queues, wz_shared_body_ref(shared));
    }
    leave_all(queues);
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

// Calls SEE for each QoS 2 message that is not released.
static void each_received(struct wz_queues *queues, int64_t last,
                          void (*see)(struct wz_durable_queue *queue,
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
            see(queue, message, last);
    }
}

// A message whose record was lost.
static void see_unrecorded(struct wz_durable_queue *queue, struct wz_received_message *message,
                           int64_t last)
{
    (void)queue;
    if (message->offset > last)
        message->unrecorded = true;
}

// What a crash has lost of a message is noted: at the next opening its offset may not tell it any
// more, for raw-stream and the mark will have gone on.
static void note_lost(struct wz_durable_queue *queue, struct wz_received_message *message,
                      int64_t last)
{
    (void)last;
    if (message->unrecorded || message->unqueued)
        wz_queues_put_received(queue, message);
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
