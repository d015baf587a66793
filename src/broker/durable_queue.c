// SPDX-License-Identifier: Apache-2.0
// Owns one queue: its entries from head to tail, its bindings, and its way to the consumer. The
// bodies that are in memory are ready.c's.
#include "broker/durable_queue.h"

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/queues_inside.h"
#include "broker/ready.h"

// From this distance on it is looked whether a packet identifier is still in use.
#define NEAR_WRAP (WZ_PACKET_ID_COUNT - WZ_PACKET_SHIFTS_MAX - 1)

// What stands in the value of a binding behind its QoS while there is a walk, and how long the two
// are; the topic follows.
#define BINDING_WALKING 1
#define BINDING_WALK_LEN 2

struct binding {
    struct wz_exchange_binding *at;
    struct wz_journal_place place;
    bool walking;        // over what is retained
    struct wz_buf after; // if so, the topic that it has come to
};

static void binding_free(struct binding *binding)
{
    wz_buf_release(&binding->after);
    wz_exchange_unbind(binding->at);
    wz_free(binding);
}

static int receive(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct wz_durable_queue *queue = arg;
    struct wz_queues *queues = queue->queues;
    const struct wz_message *msg = delivery->message;

    (void)slot; // the filter alone decides
    qos = msg->qos < qos ? msg->qos : qos;
    if (qos == 0) {
        if (queue->consumer != NULL)
            queue->consumer->direct(queue->consumer->arg, msg);
        return WZ_OK;
    }
    if (msg->queued)
        return WZ_OK; // it is here already
    if (queues->pending_count == queues->pending_cap) {
        queues->pending_cap = queues->pending_cap > 0 ? queues->pending_cap * 2 : 16;
        queues->pending =
            wz_realloc(queues->pending, queues->pending_cap * sizeof(queues->pending[0]));
    }
    queues->pending[queues->pending_count++] =
        (struct wz_pending_push){.queue = queue, .qos = (uint8_t)qos};
    return WZ_OK;
}

struct wz_durable_queue *wz_durable_queue_new(struct wz_queues *queues, const uint8_t id[8])
{
    struct wz_durable_queue *queue = wz_zalloc(1, sizeof(*queue));

    queue->queues = queues;
    memcpy(queue->id, id, sizeof(queue->id));
    queue->received.budget = &queues->options.loop->budget;
    queue->entries = WZ_SPARSE_OF(struct wz_entry);
    queue->place = WZ_JOURNAL_NOWHERE;
    queue->head_place = WZ_JOURNAL_NOWHERE;
    queue->shifts_place = WZ_JOURNAL_NOWHERE;
    queue->receiver = (struct wz_receiver){.receive = receive, .arg = queue};
    wz_list_init(&queue->link);
    wz_list_init(&queue->dirty);
    wz_list_init(&queue->waiting);
    wz_list_init(&queue->left);
    return queue;
}

// Forgets where the messages that came in stand.
static void drop_received(struct wz_durable_queue *queue)
{
    struct wz_received_message *message;
    uint32_t walk = 0;

    while ((message = wz_received_next(&queue->received, &walk)) != NULL)
        wz_journal_drop(queue->queues->options.journal, &message->place);
    wz_received_release(&queue->received);
}

void wz_durable_queue_drop_below(struct wz_durable_queue *queue, uint64_t end)
{
    uint64_t sequence = 0;

    while ((sequence = wz_sparse_next(&queue->entries, sequence)) < end)
        wz_durable_queue_drop(queue, sequence);
}

void wz_durable_queue_free(struct wz_durable_queue *queue)
{
    struct wz_journal *journal = queue->queues->options.journal;
    struct binding *binding;
    size_t walk = 0;

    while ((binding = wz_map_next(&queue->bindings, &walk)) != NULL) {
        wz_journal_drop(journal, &binding->place);
        binding_free(binding);
    }
    queue->queues->bindings -= queue->bindings.count;
    wz_map_release(&queue->bindings);
    wz_durable_queue_drop_below(queue, UINT64_MAX);
    wz_sparse_release(&queue->entries);
    drop_received(queue);
    wz_journal_drop(journal, &queue->place);
    wz_journal_drop(journal, &queue->head_place);
    wz_journal_drop(journal, &queue->shifts_place);
    wz_packet_shifts_release(&queue->shifts);
    wz_ready_release(queue);
    wz_parcel_unref(queue->given);
    wz_list_remove(&queue->link);
    wz_list_remove(&queue->dirty);
    wz_list_remove(&queue->waiting);
    wz_list_remove(&queue->left);
    wz_free((void *)(uintptr_t)queue->name.ptr);
    wz_free(queue);
}

void wz_durable_queue_put(struct wz_durable_queue *queue)
{
    uint8_t bytes[9];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice pieces[] = {wz_slice(bytes, sizeof(bytes)), queue->name};

    wz_pen_put_u8(&pen, 1); // an MQTT session
    wz_pen_put_u64(&pen, (uint64_t)queue->left_ms);
    wz_journal_put(queue->queues->options.journal, 'Q', wz_slice(queue->id, sizeof(queue->id)),
                   pieces, 2, &queue->place);
    queue->declared = true;
}

// Fills BYTES with the front of a binding's key; the filter follows.
static void binding_key(const struct wz_durable_queue *queue, struct wz_slice filter,
                        struct wz_buf *ret_key)
{
    wz_buf_add_slice(ret_key, wz_slice(queue->id, sizeof(queue->id)));
    wz_buf_add_slice(ret_key, filter);
}

// Sets how far the walk for a binding has come; AFTER NULL: there is none.
static void set_walk(struct binding *binding, const struct wz_slice *after)
{
    binding->walking = after != NULL;
    binding->after.len = 0;
    if (after == NULL)
        wz_buf_release(&binding->after);
    else
        wz_buf_add_slice(&binding->after, *after);
}

// Makes a binding without writing.
static int binding_new(struct wz_durable_queue *queue, struct wz_slice filter, unsigned qos,
                       struct binding **ret_binding)
{
    struct binding *binding = wz_zalloc(1, sizeof(*binding));
    int r = wz_exchange_bind(queue->queues->options.exchange, &queue->receiver, filter, qos,
                             &binding->at);

    if (r < 0) {
        wz_free(binding);
        return r;
    }
    binding->place = WZ_JOURNAL_NOWHERE;
    (void)wz_map_put(&queue->bindings, wz_exchange_binding_pattern(binding->at),
                     binding); // it is new
    queue->queues->bindings++;
    *ret_binding = binding;
    return WZ_OK;
}

int wz_durable_queue_rebind(struct wz_durable_queue *queue, struct wz_slice filter,
                            struct wz_slice value, struct wz_journal_place place)
{
    struct binding *binding = wz_map_get(&queue->bindings, filter);
    struct wz_slice after = {0};
    unsigned qos = value.ptr[0];
    int r = WZ_OK;

    if (binding == NULL)
        r = binding_new(queue, filter, qos, &binding);
    else
        wz_exchange_rebind(binding->at, qos);
    if (r < 0)
        return r;
    wz_journal_drop(queue->queues->options.journal, &binding->place);
    binding->place = place;
    if (value.len > BINDING_WALK_LEN)
        after = wz_slice_sub(value, BINDING_WALK_LEN, value.len - BINDING_WALK_LEN);
    set_walk(binding, value.len >= BINDING_WALK_LEN ? &after : NULL);
    return WZ_OK;
}

void wz_durable_queue_unbound(struct wz_durable_queue *queue, struct wz_slice filter)
{
    struct binding *binding = wz_map_remove(&queue->bindings, filter);

    if (binding == NULL)
        return;
    wz_journal_drop(queue->queues->options.journal, &binding->place);
    binding_free(binding);
    queue->queues->bindings--;
}

struct wz_journal_place *wz_durable_queue_binding(const struct wz_durable_queue *queue,
                                                  struct wz_slice filter)
{
    struct binding *binding = wz_map_get(&queue->bindings, filter);

    return binding != NULL ? &binding->place : NULL;
}

static void put_binding(struct wz_durable_queue *queue, struct wz_slice filter,
                        struct binding *binding)
{
    WZ_AUTO(wz_buf_release) struct wz_buf key = {0};
    uint8_t head[BINDING_WALK_LEN] = {binding->at->qos, BINDING_WALKING};
    struct wz_slice pieces[] = {wz_slice(head, binding->walking ? BINDING_WALK_LEN : 1),
                                wz_buf_slice(&binding->after)};

    binding_key(queue, filter, &key);
    wz_journal_put(queue->queues->options.journal, 'B', wz_buf_slice(&key), pieces,
                   binding->after.len > 0 ? 2 : 1, &binding->place);
}

int wz_durable_queue_bind(struct wz_durable_queue *queue, struct wz_slice filter, unsigned qos)
{
    struct binding *binding = wz_map_get(&queue->bindings, filter);
    int r;

    if (binding == NULL) {
        if (queue->bindings.count >= queue->queues->options.limits.max_bindings)
            return WZ_ERR_LIMIT;
        r = binding_new(queue, filter, qos, &binding);
        if (r < 0)
            return r;
    } else {
        wz_exchange_rebind(binding->at, qos);
    }
    set_walk(binding, NULL);
    put_binding(queue, filter, binding);
    return WZ_OK;
}

void wz_durable_queue_note_walk(struct wz_durable_queue *queue, struct wz_slice filter,
                                const struct wz_slice *after)
{
    struct binding *binding = wz_map_get(&queue->bindings, filter);

    if (binding == NULL || (after == NULL && !binding->walking))
        return;
    set_walk(binding, after);
    put_binding(queue, filter, binding);
}

bool wz_durable_queue_next_walk(const struct wz_durable_queue *queue, size_t *state,
                                struct wz_queue_walk *ret_walk)
{
    const struct binding *binding;

    do {
        binding = wz_map_next(&queue->bindings, state);
        if (binding == NULL)
            return false;
    } while (!binding->walking);
    *ret_walk = (struct wz_queue_walk){
        .filter = wz_exchange_binding_pattern(binding->at),
        .after = wz_buf_slice(&binding->after),
        .qos = binding->at->qos,
    };
    return true;
}

void wz_durable_queue_unbind(struct wz_durable_queue *queue, struct wz_slice filter)
{
    WZ_AUTO(wz_buf_release) struct wz_buf key = {0};
    struct binding *binding = wz_map_get(&queue->bindings, filter);

    if (binding == NULL)
        return;
    binding_key(queue, filter, &key);
    wz_journal_remove(queue->queues->options.journal, 'B', wz_buf_slice(&key), &binding->place);
    wz_durable_queue_unbound(queue, filter);
}

// Messages.

static void entry_key(const struct wz_durable_queue *queue, uint64_t sequence, uint8_t ret_key[16])
{
    struct wz_pen pen = wz_pen(ret_key, 16);

    wz_pen_put_slice(&pen, wz_slice(queue->id, sizeof(queue->id)));
    wz_pen_put_u64(&pen, sequence);
}

static void mark_dirty(struct wz_durable_queue *queue)
{
    if (wz_list_empty(&queue->dirty))
        wz_list_push(&queue->queues->dirty, &queue->dirty);
}

void wz_durable_queue_weigh(struct wz_durable_queue *queue)
{
    uint64_t sequence = 0;

    queue->bytes = 0;
    while ((sequence = wz_sparse_next(&queue->entries, sequence)) != UINT64_MAX)
        queue->bytes += wz_entry_weight(wz_sparse_at(&queue->entries, sequence++));
}

void wz_durable_queue_drop(struct wz_durable_queue *queue, uint64_t sequence)
{
    struct wz_entry *entry = wz_sparse_at(&queue->entries, sequence);

    if (entry == NULL)
        return;
    queue->count--;
    queue->queues->messages--;
    queue->queues->shared_refs -= entry->shared != NULL;
    queue->bytes -= wz_entry_weight(entry);
    wz_journal_drop(queue->queues->options.journal, &entry->place);
    if (entry->shared != NULL)
        wz_shared_body_unref(queue->queues, entry->shared);
    wz_sparse_remove(&queue->entries, sequence);
}

void wz_durable_queue_advance(struct wz_durable_queue *queue)
{
    uint64_t head = wz_sparse_next(&queue->entries, queue->head);

    if (head > queue->tail)
        head = queue->tail;
    if (head == queue->head)
        return;
    queue->head = head;
    if (queue->next < queue->head)
        queue->next = queue->head;
    wz_packet_shifts_cut(&queue->shifts, queue->head);
}

bool wz_durable_queue_has_room(const struct wz_durable_queue *queue)
{
    const struct wz_queues_limits *limits = &queue->queues->options.limits;

    return queue->count < limits->max_count && queue->bytes < limits->max_bytes;
}

// Has the consumer told when what was put is durable.
static void tell_later(struct wz_durable_queue *queue)
{
    if (wz_list_empty(&queue->waiting))
        wz_list_push(&queue->queues->waiting, &queue->waiting);
    wz_log_want(wz_journal_log(queue->queues->options.journal));
}

int wz_durable_queue_add(struct wz_durable_queue *queue, const struct wz_message *msg, unsigned qos,
                         struct wz_shared_body *shared, struct wz_parcel **parcel)
{
    uint8_t key[16];
    uint8_t front[10];
    struct wz_pen pen = wz_pen(front, sizeof(front));
    unsigned flags =
        (msg->retain ? WZ_QUEUED_RETAIN : 0u) | (shared != NULL ? WZ_QUEUED_SHARED : 0u);
    struct wz_slice pieces[3];
    struct wz_entry *entry;

    if (!wz_durable_queue_has_room(queue))
        return WZ_ERR_LIMIT;
    entry = wz_sparse_add(&queue->entries, queue->tail);
    entry->place = WZ_JOURNAL_NOWHERE;
    wz_pen_put_u8(&pen, (uint8_t)qos);
    wz_pen_put_u8(&pen, (uint8_t)flags);
    if (shared != NULL)
        wz_pen_put_slice(&pen, wz_slice(shared->number, sizeof(shared->number)));
    else
        wz_pen_put_u16(&pen, (uint16_t)msg->topic.len);
    pieces[0] = wz_slice(front, (size_t)(pen.pos - front));
    pieces[1] = msg->topic;
    pieces[2] = msg->body;
    entry_key(queue, queue->tail, key);
    wz_journal_put(queue->queues->options.journal, 'E', wz_slice(key, sizeof(key)), pieces,
                   shared != NULL ? 1 : 3, &entry->place);
    entry->place.mark = qos == 2 ? WZ_ENTRY_QOS2 : 0u;
    entry->shared = shared != NULL ? wz_shared_body_ref(shared) : NULL;
    queue->count++;
    queue->queues->messages++;
    queue->queues->shared_refs += shared != NULL;
    queue->bytes += wz_entry_weight(entry);
    if (queue->consumer != NULL) {
        tell_later(queue);
        wz_ready_keep(queue, msg, parcel);
    }
    queue->tail++;
    return WZ_OK;
}

int wz_durable_queue_push(struct wz_durable_queue *queue, const struct wz_message *msg,
                          unsigned qos)
{
    struct wz_parcel *parcel = NULL;
    int r = wz_durable_queue_add(queue, msg, qos, NULL, &parcel);

    wz_parcel_unref(parcel);
    return r;
}

// Consuming.

void wz_durable_queue_attach(struct wz_durable_queue *queue, const struct wz_consumer *consumer)
{
    WZ_ASSERT(queue->consumer == NULL);
    queue->consumer = consumer;
    queue->left_ms = 0;
    wz_list_remove(&queue->left);
    queue->next = queue->head;
    queue->ready_end = queue->head;
    queue->inflight = 0;
    wz_durable_queue_put(queue);
    if (wz_list_empty(&queue->waiting))
        wz_list_push(&queue->queues->waiting, &queue->waiting);
}

void wz_durable_queue_detach(struct wz_durable_queue *queue, int64_t now_ms)
{
    WZ_ASSERT(queue->consumer != NULL);
    queue->consumer = NULL;
    wz_queues_leave(queue, now_ms);
    queue->next = queue->head;
    queue->inflight = 0;
    wz_ready_reset(queue);
    wz_durable_queue_trim(queue);
    wz_list_remove(&queue->waiting);
    // When there is no room, the next start takes the queue for one that was left then.
    if (wz_log_ready(wz_journal_log(queue->queues->options.journal), 1, 0))
        wz_durable_queue_put(queue);
}

void wz_durable_queue_trim(struct wz_durable_queue *queue)
{
    wz_received_trim(&queue->received);
    wz_parcel_unref(queue->given);
    queue->given = NULL;
    if (queue->count == 0)
        wz_sparse_release(&queue->entries);
    wz_ready_trim(queue);
}

bool wz_durable_queue_is_durable(const struct wz_durable_queue *queue, const struct wz_entry *entry)
{
    int64_t end = wz_log_durable_end(wz_journal_log(queue->queues->options.journal));

    return entry->place.offset < end &&
           (entry->shared == NULL || entry->shared->place.offset < end);
}

// Says in the journal that a message which is not the head's is settled, inside a group.
static void remove_entry(struct wz_durable_queue *queue, uint64_t sequence)
{
    struct wz_journal_place place = WZ_JOURNAL_NOWHERE; // the entry is dropped by itself
    uint8_t key[16];

    if (sequence == queue->head)
        return;
    entry_key(queue, sequence, key);
    wz_journal_remove(queue->queues->options.journal, 'E', wz_slice(key, sizeof(key)), &place);
}

void wz_durable_queue_lose(struct wz_durable_queue *queue, uint64_t sequence)
{
    struct wz_ticket ticket;

    if (wz_queues_ready(queue->queues)) { // else it is there at the next opening, and lost again
        wz_queues_begin(queue->queues);
        remove_entry(queue, sequence);
        wz_queues_end(queue->queues, &ticket);
    }
    if (wz_log_allow(&queue->queues->log_us))
        WZ_LOG(WZ_LOG_ERROR, "queue.lost", WZ_F_SLICE("queue", queue->name),
               WZ_F_STR("what", "a message that waited is damaged on the disk"));
    wz_durable_queue_drop(queue, sequence);
    wz_durable_queue_advance(queue);
    mark_dirty(queue);
}

// Finds the message at or above LOW and below HIGH that has the identifier and is there; false when
// there is none. Those that had it and are settled are stepped over, many at a time.
static bool find_id(const struct wz_durable_queue *queue, uint16_t packet_id, uint64_t low,
                    uint64_t high, uint64_t *ret_sequence)
{
    while (wz_packet_shifts_find(&queue->shifts, packet_id, low, high, &low)) {
        uint64_t there = wz_sparse_next(&queue->entries, low);

        if (there == low) {
            *ret_sequence = low;
            return true;
        }
        low = there;
    }
    return false;
}

// Whether the identifier that a sequence would have is another's still.
static bool is_in_use(const struct wz_durable_queue *queue, uint64_t sequence)
{
    uint64_t other;

    return find_id(queue, wz_packet_shifts_id(&queue->shifts, sequence), queue->head, sequence,
                   &other);
}

// Forgets the shifts that only messages which are settled had, below SEQUENCE.
static void thin_shifts(struct wz_durable_queue *queue, uint64_t sequence)
{
    uint64_t low = queue->head;

    while (low < sequence) {
        uint64_t there = wz_sparse_next(&queue->entries, low + 1);
        uint64_t high = there < sequence ? there : sequence;

        if (high - low > 1)
            (void)wz_packet_shifts_forget(&queue->shifts, low, high); // there may be none
        low = high;
    }
}

// Sees to it that a sequence that is given out for the first time has an identifier of its own.
// WZ_AGAIN until that is durable; WZ_ERR_LIMIT when too many are in use for ever.
static int ready_id(struct wz_durable_queue *queue, uint64_t sequence)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    struct wz_journal *journal = queue->queues->options.journal;
    struct wz_slice piece;
    int64_t offset;
    int r = WZ_OK;

    if (queue->shifts_stale ||
        (sequence - queue->head >= NEAR_WRAP && is_in_use(queue, sequence))) {
        if (!wz_journal_ready(journal))
            return WZ_AGAIN;
        thin_shifts(queue, sequence);
        while (r == WZ_OK && is_in_use(queue, sequence))
            r = wz_packet_shifts_add(&queue->shifts, sequence);
        if (r < 0)
            return r;
        wz_packet_shifts_encode(&queue->shifts, &value);
        piece = wz_buf_slice(&value);
        wz_journal_begin(journal);
        wz_journal_put(journal, 'N', wz_slice(queue->id, sizeof(queue->id)), &piece, 1,
                       &queue->shifts_place);
        wz_journal_end(journal, &offset);
        queue->shifts_stale = false;
        wz_log_want(wz_journal_log(journal));
    }
    return queue->shifts_place.offset < wz_log_durable_end(wz_journal_log(journal)) ? WZ_OK
                                                                                    : WZ_AGAIN;
}

// Finds the next entry to be given out; NULL when there is none.
static struct wz_entry *next_entry(struct wz_durable_queue *queue)
{
    queue->next = wz_sparse_next(&queue->entries, queue->next);
    if (queue->next > queue->tail)
        queue->next = queue->tail;
    return queue->next < queue->tail ? wz_sparse_at(&queue->entries, queue->next) : NULL;
}

static int wait_more(struct wz_durable_queue *queue)
{
    if (wz_list_empty(&queue->waiting))
        wz_list_push(&queue->queues->waiting, &queue->waiting);
    return WZ_AGAIN;
}

int wz_durable_queue_next(struct wz_durable_queue *queue, struct wz_queued *ret_queued)
{
    struct wz_entry *entry = next_entry(queue);
    struct wz_queued queued = {.sequence = queue->next, .dup = queue->next < queue->sent_end};
    int r;

    if (entry == NULL)
        return WZ_AGAIN; // the next one that comes tells
    if (!wz_durable_queue_is_durable(queue, entry))
        return wait_more(queue);
    if (!queued.dup) {
        r = ready_id(queue, queued.sequence);
        if (r != WZ_OK)
            return wait_more(queue);
    }
    queued.packet_id = wz_packet_shifts_id(&queue->shifts, queued.sequence);
    queued.qos = (entry->place.mark & WZ_ENTRY_QOS2) != 0 ? 2 : 1;
    if ((entry->place.mark & WZ_ENTRY_RELEASED) == 0) {
        queued.parcel = wz_ready_take(queue);
        if (queued.parcel == NULL)
            return WZ_AGAIN;
        queued.retain = queued.parcel->message.retain;
    }
    wz_parcel_unref(queue->given);
    queue->given = queued.parcel;
    queue->inflight++;
    queue->next++;
    if (queue->ready_end < queue->next)
        queue->ready_end = queue->next;
    if (queue->sent_end < queue->next)
        queue->sent_end = queue->next;
    *ret_queued = queued;
    return WZ_OK;
}

size_t wz_durable_queue_inflight(const struct wz_durable_queue *queue) { return queue->inflight; }

static void release(struct wz_durable_queue *queue, uint64_t sequence, struct wz_entry *entry)
{
    const uint8_t byte = WZ_QUEUED_RELEASED;
    struct wz_slice value = wz_slice(&byte, 1);
    uint8_t key[16];

    if ((entry->place.mark & WZ_ENTRY_RELEASED) != 0)
        return;
    entry_key(queue, sequence, key);
    queue->bytes -= wz_entry_weight(entry);
    wz_journal_put(queue->queues->options.journal, 'E', wz_slice(key, sizeof(key)), &value, 1,
                   &entry->place);
    entry->place.mark |= WZ_ENTRY_RELEASED;
    queue->queues->shared_refs -= entry->shared != NULL;
    if (entry->shared != NULL)
        wz_shared_body_unref(queue->queues, entry->shared);
    entry->shared = NULL;
    queue->bytes += wz_entry_weight(entry);
}

int wz_durable_queue_settle(struct wz_durable_queue *queue, uint16_t packet_id,
                            enum wz_settlement settlement)
{
    struct wz_entry *entry;
    uint64_t sequence;
    bool qos2;

    if (!find_id(queue, packet_id, queue->head, queue->next, &sequence))
        return WZ_ERR_NOT_FOUND;
    entry = wz_sparse_at(&queue->entries, sequence);
    qos2 = (entry->place.mark & WZ_ENTRY_QOS2) != 0;
    if (settlement == WZ_RELEASED) {
        if (!qos2)
            return WZ_ERR_PROTOCOL;
        release(queue, sequence, entry);
        return WZ_OK;
    }
    if (qos2 && (entry->place.mark & WZ_ENTRY_RELEASED) == 0)
        return WZ_ERR_PROTOCOL;
    remove_entry(queue, sequence);
    wz_durable_queue_drop(queue, sequence);
    queue->inflight--;
    if (sequence == queue->head) {
        wz_durable_queue_advance(queue);
        mark_dirty(queue);
    }
    return WZ_OK;
}
