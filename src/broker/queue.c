// SPDX-License-Identifier: Apache-2.0
// Owns waiting messages: a ring of references that doubles when it is full.
#include "broker/queue.h"

#include "base/mem.h"

static size_t weight(const struct wz_parcel *parcel) { return sizeof(*parcel) + parcel->len; }

// Counts that the ring had BEFORE places and has AFTER.
static void count_ring(struct wz_queue *queue, size_t before, size_t after)
{
    if (queue->budget != NULL)
        wz_budget_count(queue->budget, before * sizeof(*queue->ring), after * sizeof(*queue->ring));
}

static void free_ring(struct wz_queue *queue)
{
    count_ring(queue, queue->size, 0);
    wz_free(queue->ring);
    queue->ring = NULL;
    queue->size = 0;
    queue->head = 0;
}

void wz_queue_release(struct wz_queue *queue)
{
    while (queue->count > 0)
        wz_queue_pop(queue);
    free_ring(queue);
}

static void grow(struct wz_queue *queue)
{
    size_t size = queue->size > 0 ? queue->size * 2 : 16;
    struct wz_queue_item *ring = wz_alloc(size * sizeof(*ring));

    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) & (queue->size - 1)];
    wz_free(queue->ring);
    count_ring(queue, queue->size, size);
    queue->ring = ring;
    queue->size = size;
    queue->head = 0;
}

int wz_queue_push(struct wz_queue *queue, struct wz_parcel *parcel, unsigned qos)
{
    if (queue->count >= queue->max_count || queue->bytes + weight(parcel) > queue->max_bytes)
        return WZ_ERR_LIMIT;
    if (queue->budget != NULL && !wz_budget_allows(queue->budget, queue->bytes))
        return WZ_ERR_LIMIT;
    if (queue->budget != NULL)
        wz_parcel_hold(parcel, queue->budget);
    if (queue->count == queue->size)
        grow(queue);
    queue->ring[(queue->head + queue->count) & (queue->size - 1)] =
        (struct wz_queue_item){.parcel = parcel, .qos = (uint8_t)qos};
    queue->count++;
    queue->bytes += weight(parcel);
    return WZ_OK;
}

struct wz_parcel *wz_queue_first(const struct wz_queue *queue, unsigned *ret_qos)
{
    if (queue->count == 0)
        return NULL;
    *ret_qos = queue->ring[queue->head].qos;
    return queue->ring[queue->head].parcel;
}

void wz_queue_pop(struct wz_queue *queue)
{
    struct wz_parcel *parcel = queue->ring[queue->head].parcel;

    queue->head = (queue->head + 1) & (queue->size - 1);
    queue->count--;
    queue->bytes -= weight(parcel);
    if (queue->budget != NULL)
        wz_parcel_let_go(parcel, queue->budget);
    wz_parcel_unref(parcel);
    if (queue->count == 0)
        free_ring(queue);
}
