// SPDX-License-Identifier: Apache-2.0
// Owns the bodies of one queue that are in memory, and its fetcher.
//
//   head ............ next ............ ready_end ............ tail
//   given out, or     bodies in READY   bodies on disk only
//   settled
//
// While a consumer keeps up, ready_end is the tail and bodies never come from the disk. When READY
// is full, or nobody consumes, messages that come stay on disk and are fetched when their turn
// comes.
#include "broker/ready.h"

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/queues_inside.h"

// Bodies that wait in memory for a consumer.
#define READY_COUNT 1024
#define READY_BYTES ((size_t)256 * 1024)

// What one fetch reads at the most.
#define FETCH_COUNT 512
#define FETCH_BYTES ((size_t)128 * 1024)

// Bodies in memory, in the order of their sequences.
struct wz_ready {
    struct item {
        uint64_t sequence;
        struct wz_parcel *parcel;
    } items[READY_COUNT];
    size_t head;
    size_t count;
    size_t bytes;
    // Of the fetch under way: what is at the offsets asked for.
    uint64_t fetching[FETCH_COUNT];
    size_t fetch_count;
    uint64_t fetch_end; // where the next one begins
    size_t fetch_bytes; // counted for it
    struct wz_budget *budget;
};

static void ready_clear(struct wz_ready *ready)
{
    wz_budget_count(ready->budget, ready->fetch_bytes, 0);
    ready->fetch_bytes = 0;
    for (; ready->count > 0; ready->count--) {
        wz_parcel_let_go(ready->items[ready->head].parcel, ready->budget);
        wz_parcel_unref(ready->items[ready->head].parcel);
        ready->head = (ready->head + 1) % READY_COUNT;
    }
    ready->bytes = 0;
}

// When memory is short, what comes stays on disk alone.
static bool ready_has_room(const struct wz_ready *ready, const struct wz_budget *budget)
{
    size_t bytes = ready != NULL ? ready->bytes : 0;

    return (ready == NULL || ready->count < READY_COUNT) && bytes < READY_BYTES &&
           wz_budget_allows(budget, bytes);
}

static struct wz_budget *budget_of(const struct wz_durable_queue *queue)
{
    return &queue->queues->options.loop->budget;
}

static struct wz_ready *ready_of(struct wz_durable_queue *queue)
{
    if (queue->ready == NULL) {
        queue->ready = wz_zalloc(1, sizeof(*queue->ready));
        queue->ready->budget = budget_of(queue);
        wz_budget_count(queue->ready->budget, 0, sizeof(*queue->ready));
    }
    return queue->ready;
}

// Takes over the reference.
static void ready_push(struct wz_ready *ready, uint64_t sequence, struct wz_parcel *parcel)
{
    ready->items[(ready->head + ready->count) % READY_COUNT] =
        (struct item){.sequence = sequence, .parcel = parcel};
    wz_parcel_hold(parcel, ready->budget);
    ready->count++;
    ready->bytes += parcel->len;
}

static struct wz_parcel *ready_shift(struct wz_ready *ready)
{
    struct wz_parcel *parcel = ready->items[ready->head].parcel;

    ready->head = (ready->head + 1) % READY_COUNT;
    wz_parcel_let_go(parcel, ready->budget);
    ready->count--;
    ready->bytes -= parcel->len;
    return parcel;
}

void wz_ready_keep(struct wz_durable_queue *queue, const struct wz_message *msg,
                   struct wz_parcel **parcel)
{
    if (queue->ready_end != queue->tail || !ready_has_room(queue->ready, budget_of(queue)))
        return;
    if (*parcel == NULL)
        *parcel = wz_parcel_new(msg);
    ready_push(ready_of(queue), queue->tail, wz_parcel_ref(*parcel));
    queue->ready_end++;
}

// Where the body of an entry stands.
static int64_t body_offset(const struct wz_entry *entry)
{
    return entry->shared != NULL ? entry->shared->place.offset : entry->place.offset;
}

static int parse_body(const struct wz_entry *entry, struct wz_slice value,
                      struct wz_message *ret_msg)
{
    struct wz_cursor cur = wz_cursor(value);
    struct wz_message msg = {.offset = -1};
    uint8_t version = wz_cursor_get_u8(&cur);

    if (entry->shared == NULL) {
        msg.qos = wz_cursor_get_u8(&cur);
        msg.retain = (wz_cursor_get_u8(&cur) & WZ_QUEUED_RETAIN) != 0;
    }
    msg.topic = wz_cursor_get_bytes(&cur, wz_cursor_get_u16(&cur));
    msg.body = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    if (version != 1 || cur.failed || msg.topic.len == 0)
        return WZ_ERR_CORRUPT;
    *ret_msg = msg;
    return WZ_OK;
}

// Puts one body that was fetched into READY. WZ_AGAIN when it has moved since it was asked for.
static int take_fetched(struct wz_durable_queue *queue, uint64_t sequence, int64_t offset,
                        struct wz_slice value, int result)
{
    struct wz_entry *entry = wz_sparse_at(&queue->entries, sequence);
    struct wz_message msg;

    if (entry == NULL || (entry->place.mark & WZ_ENTRY_RELEASED) != 0)
        return WZ_OK;
    if (result != WZ_OK && result != WZ_ERR_NOT_FOUND)
        return result;
    if (result == WZ_OK && parse_body(entry, value, &msg) == WZ_OK)
        ready_push(queue->ready, sequence, wz_parcel_new(&msg));
    else if (body_offset(entry) != offset)
        return WZ_AGAIN;
    else
        wz_durable_queue_lose(queue, sequence);
    return WZ_OK;
}

static void on_fetched(void *arg, struct wz_fetch *fetch)
{
    struct wz_durable_queue *queue = arg;
    struct wz_ready *ready = queue->ready;
    struct wz_slice value;
    int64_t offset;
    size_t i = 0;
    int result;
    int r = WZ_OK;

    wz_budget_count(ready->budget, ready->fetch_bytes, 0);
    ready->fetch_bytes = 0;
    while (r == WZ_OK && wz_fetch_next(fetch, &offset, &value, &result) == WZ_OK) {
        r = take_fetched(queue, ready->fetching[i], offset, value, result);
        if (r == WZ_OK)
            queue->ready_end = ready->fetching[i++] + 1;
    }
    if (i == ready->fetch_count)
        queue->ready_end = ready->fetch_end;
    if (r < 0 && wz_log_allow(&queue->queues->log_us))
        WZ_LOG(WZ_LOG_ERROR, "queue.read", WZ_F_SLICE("queue", queue->name), WZ_F_ERR(r));
    if (r >= 0)
        queue->consumer->ready(queue->consumer->arg);
    else if (wz_list_empty(&queue->waiting)) // the next thing that becomes durable tries again
        wz_list_push(&queue->queues->waiting, &queue->waiting);
}

// Fetches bodies from ready_end on.
static void fetch_more(struct wz_durable_queue *queue)
{
    struct wz_ready *ready = ready_of(queue);
    int64_t offsets[FETCH_COUNT];
    uint64_t begin = queue->ready_end > queue->next ? queue->ready_end : queue->next;
    uint64_t sequence = wz_sparse_next(&queue->entries, begin);
    const struct wz_entry *first;
    size_t max_bytes;

    if (queue->fetcher != NULL && wz_fetcher_busy(queue->fetcher))
        return;
    ready->fetch_count = 0;
    for (; sequence < queue->tail && ready->fetch_count < FETCH_COUNT;
         sequence = wz_sparse_next(&queue->entries, sequence + 1)) {
        const struct wz_entry *entry = wz_sparse_at(&queue->entries, sequence);

        if ((entry->place.mark & WZ_ENTRY_RELEASED) != 0)
            continue;
        if (!wz_durable_queue_is_durable(queue, entry))
            break;
        offsets[ready->fetch_count] = body_offset(entry);
        ready->fetching[ready->fetch_count++] = sequence;
    }
    ready->fetch_end = sequence < queue->tail ? sequence : queue->tail;
    if (ready->fetch_count == 0) {
        queue->ready_end = ready->fetch_end;
        return;
    }
    if (queue->fetcher == NULL)
        queue->fetcher =
            wz_fetcher_new(queue->queues->options.loop,
                           wz_journal_log(queue->queues->options.journal), on_fetched, queue);
    // One body may come in any case, so that it goes on when memory is short.
    first = wz_sparse_at(&queue->entries, ready->fetching[0]);
    max_bytes = wz_budget_allows(ready->budget, FETCH_BYTES) ? FETCH_BYTES : 0;
    ready->fetch_bytes = max_bytes > wz_entry_weight(first) ? max_bytes : wz_entry_weight(first);
    wz_budget_count(ready->budget, 0, ready->fetch_bytes);
    wz_fetcher_start(queue->fetcher, offsets, ready->fetch_count, max_bytes);
}

// The body at queue->next, taken out of READY; NULL when it has to be fetched.
static struct wz_parcel *take_kept(struct wz_durable_queue *queue)
{
    struct wz_ready *ready = queue->ready;

    while (ready != NULL && ready->count > 0 && ready->items[ready->head].sequence < queue->next)
        wz_parcel_unref(ready_shift(ready)); // settled meanwhile
    if (ready == NULL || ready->count == 0)
        return NULL;
    if (ready->items[ready->head].sequence != queue->next) { // it comes before what is here
        ready_clear(ready);
        queue->ready_end = queue->next;
        return NULL;
    }
    return ready_shift(ready);
}

struct wz_parcel *wz_ready_take(struct wz_durable_queue *queue)
{
    struct wz_parcel *parcel = take_kept(queue);

    if (parcel == NULL)
        fetch_more(queue);
    return parcel;
}

void wz_ready_reset(struct wz_durable_queue *queue)
{
    queue->ready_end = queue->head;
    if (queue->ready != NULL)
        ready_clear(queue->ready);
    wz_fetcher_free(queue->fetcher);
    queue->fetcher = NULL;
}

void wz_ready_release(struct wz_durable_queue *queue)
{
    if (queue->ready != NULL) {
        ready_clear(queue->ready);
        wz_budget_count(queue->ready->budget, sizeof(*queue->ready), 0);
    }
    wz_free(queue->ready);
    queue->ready = NULL;
    wz_fetcher_free(queue->fetcher);
    queue->fetcher = NULL;
}

void wz_ready_trim(struct wz_durable_queue *queue)
{
    bool fetching = queue->fetcher != NULL && wz_fetcher_busy(queue->fetcher);

    if (!fetching && (queue->ready == NULL || queue->ready->count == 0))
        wz_ready_release(queue);
}
