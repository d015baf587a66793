// SPDX-License-Identifier: Apache-2.0
// Owns the set of durable queues, the fan-out of one message into many of them, and when a queue
// that nobody uses goes. Keys and rules: docs/formats/journal.md; queues_replay.c reads them back.
#include "broker/queues.h"

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/queues_inside.h"

// A new mark is put when raw-stream has gone on by so many records.
#define MARK_RECORDS 100000

// The wall clock has been set when it has gone on by so much more, or less, than time.
#define CLOCK_JUMP_MS 10000

// How many queues one call of wz_queues_expire deletes, and how much it puts.
#define EXPIRE_STEP 1000
#define PUT_STEP_BYTES ((size_t)1024 * 1024)

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
    wz_sparse_remove(&queues->shared, number_of(shared->number));
}

struct wz_shared_body *wz_shared_body_get(struct wz_queues *queues, const uint8_t number[8])
{
    struct wz_shared_body *shared = wz_sparse_at(&queues->shared, number_of(number));

    if (shared != NULL)
        return shared;
    shared = wz_sparse_add(&queues->shared, number_of(number));
    shared->place = WZ_JOURNAL_NOWHERE;
    memcpy(shared->number, number, sizeof(shared->number));
    if (number_of(number) > queues->last_number)
        queues->last_number = number_of(number);
    return shared;
}

static void on_flush(void *arg);

struct wz_queues *wz_queues_new(const struct wz_queues_options *options)
{
    struct wz_queues *queues = wz_zalloc(1, sizeof(*queues));

    queues->options = *options;
    queues->mark_place = WZ_JOURNAL_NOWHERE;
    queues->shared = WZ_SPARSE_OF(struct wz_shared_body);
    wz_list_init(&queues->all);
    wz_list_init(&queues->dirty);
    wz_list_init(&queues->waiting);
    wz_list_init(&queues->left);
    wz_queues_join(queues);
    queues->part = (struct wz_loop_part){.flush = on_flush, .arg = queues};
    wz_loop_join(options->loop, &queues->part);
    return queues;
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

bool wz_queues_records(const struct wz_queues *queues, const struct wz_log *stream)
{
    return stream != NULL && stream == queues->options.raw;
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

static void tell_messages(struct wz_queues *queues)
{
    if (queues->messages == queues->told_messages)
        return;
    wz_metric_add(WZ_METRIC_QUEUES_MESSAGES,
                  (int64_t)queues->messages - (int64_t)queues->told_messages);
    queues->told_messages = queues->messages;
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

    tell_messages(queues);
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
    wz_sparse_release(&queues->shared);
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

struct wz_durable_queue *wz_queues_get(struct wz_queues *queues, const uint8_t id[8])
{
    struct wz_durable_queue *queue = wz_map_get(&queues->by_id, id_slice(id));

    if (queue != NULL)
        return queue;
    queue = wz_durable_queue_new(queues, id);
    (void)wz_map_put(&queues->by_id, id_slice(queue->id), queue); // it is new
    wz_list_push(&queues->all, &queue->link);
    if (number_of(id) > queues->last_id)
        queues->last_id = number_of(id);
    return queue;
}

void wz_queues_leave(struct wz_durable_queue *queue, int64_t now_ms)
{
    struct wz_list *left = &queue->queues->left;
    const struct wz_durable_queue *last =
        wz_list_empty(left) ? NULL : WZ_CONTAINER(left->prev, struct wz_durable_queue, left);

    // A clock that was set back a little does not change the order.
    queue->left_ms = last != NULL && last->left_ms > now_ms ? last->left_ms : now_ms;
    wz_list_push(left, &queue->left);
}

void wz_queues_forget(struct wz_durable_queue *queue)
{
    struct wz_queues *queues = queue->queues;

    (void)wz_map_remove(&queues->by_id, id_slice(queue->id)); // it is there
    if (queue->name.ptr != NULL && wz_map_get(&queues->by_name, queue->name) == queue)
        (void)wz_map_remove(&queues->by_name, queue->name); // it is itself
    wz_durable_queue_free(queue);
}

void wz_queues_name(struct wz_durable_queue *queue, struct wz_slice name)
{
    if (queue->name.ptr != NULL)
        return;
    queue->name = wz_slice(wz_strndup(name.ptr, name.len), name.len);
    (void)wz_map_put(&queue->queues->by_name, queue->name, queue); // one name, one queue
}

struct wz_durable_queue *wz_queues_find(const struct wz_queues *queues, struct wz_slice name)
{
    return wz_map_get(&queues->by_name, name);
}

int wz_queues_declare(struct wz_queues *queues, struct wz_slice name,
                      struct wz_durable_queue **ret_queue)
{
    struct wz_durable_queue *queue;
    uint8_t id[8];

    if (queues->by_name.count >= queues->options.limits.max_queues)
        return WZ_ERR_LIMIT;
    id_write(id, queues->last_id + 1);
    queue = wz_queues_get(queues, id);
    wz_queues_name(queue, name);
    wz_queues_leave(queue, queues->options.loop->now_ms);
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
    wz_queues_forget(queue);
}

static void received_key(const struct wz_durable_queue *queue, uint16_t packet_id,
                         uint8_t ret_key[10])
{
    struct wz_pen pen = wz_pen(ret_key, 10);

    wz_pen_put_slice(&pen, id_slice(queue->id));
    wz_pen_put_u16(&pen, packet_id);
}

void wz_queues_put_received(struct wz_durable_queue *queue, struct wz_received_message *message)
{
    uint8_t key[10];
    uint8_t bytes[9];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice value = wz_slice(bytes, sizeof(bytes));

    received_key(queue, message->packet_id, key);
    wz_pen_put_u64(&pen, (uint64_t)message->offset);
    wz_pen_put_u8(&pen, message->unrecorded ? WZ_RECEIVED_LOST_RECORD
                        : message->unqueued ? WZ_RECEIVED_LOST_PLACE
                                            : 0);
    wz_journal_put(queue->queues->options.journal, 'I', wz_slice(key, sizeof(key)), &value, 1,
                   &message->place);
}

void wz_queues_received(struct wz_durable_queue *queue, uint16_t packet_id, int64_t offset)
{
    struct wz_received_message *message = wz_received_add(&queue->received, packet_id);

    message->offset = offset;
    message->unrecorded = false;
    message->unqueued = false;
    wz_queues_put_received(queue, message);
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
    WZ_LIST_EACH(it, tmp, &queues->left)
    {
        WZ_CONTAINER(it, struct wz_durable_queue, left)->left_ms += jump_ms;
    }
    queues->to_put = queues->by_id.count;
}

// After the clock was set: puts when queues were left, some at a time, for the next start.
static void put_left(struct wz_queues *queues)
{
    size_t bytes = 0;

    for (; queues->to_put > 0 && bytes < PUT_STEP_BYTES; queues->to_put--) {
        struct wz_list *it = wz_list_shift(&queues->all);
        struct wz_durable_queue *queue;

        if (it == NULL)
            continue; // all were deleted meanwhile
        queue = WZ_CONTAINER(it, struct wz_durable_queue, link);
        wz_list_push(&queues->all, it); // the next call comes to others
        if (queue->consumer != NULL)
            continue;
        wz_durable_queue_put(queue);
        bytes += queue->place.len;
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
    put_left(queues);
    for (int i = 0; i < EXPIRE_STEP && !wz_list_empty(&queues->left); i++) {
        struct wz_durable_queue *queue =
            WZ_CONTAINER(queues->left.next, struct wz_durable_queue, left);

        if (now_ms - queue->left_ms <= expiry_ms)
            break; // those behind it were left later
        WZ_LOG(WZ_LOG_INFO, "queue.expired", WZ_F_SLICE("queue", queue->name),
               WZ_F_INT("messages", (int64_t)queue->count));
        wz_queues_delete(queue);
        wz_metric_add(WZ_METRIC_QUEUES_EXPIRED, 1);
    }
    wz_queues_end(queues, &ticket);
}

size_t wz_queues_count(const struct wz_queues *queues) { return queues->by_name.count; }

size_t wz_queues_bindings(const struct wz_queues *queues) { return queues->bindings; }

size_t wz_queues_stored(const struct wz_queues *queues)
{
    return queues->messages - queues->shared_refs + queues->shared.count;
}
