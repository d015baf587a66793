// SPDX-License-Identifier: Apache-2.0
// Owns waiting messages: a ring of references that doubles when it is full.
#include "broker/queue.h"

#include "base/mem.h"

static size_t weight(const struct wz_parcel *parcel) { return sizeof(*parcel) + parcel->len; }

void wz_queue_release(struct wz_queue *queue)
{
    while (queue->count > 0)
        wz_queue_pop(queue);
    wz_free(queue->ring);
    queue->ring = NULL;
    queue->size = 0;
}

static void grow(struct wz_queue *queue)
{
    size_t size = queue->size > 0 ? queue->size * 2 : 16;
    struct wz_parcel **ring = wz_alloc(size * sizeof(struct wz_parcel *));

    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) & (queue->size - 1)];
    wz_free(queue->ring);
    queue->ring = ring;
    queue->size = size;
    queue->head = 0;
}

int wz_queue_push(struct wz_queue *queue, struct wz_parcel *parcel)
{
    if (queue->count >= queue->max_count || queue->bytes + weight(parcel) > queue->max_bytes)
        return WZ_ERR_LIMIT;
    if (queue->count == queue->size)
        grow(queue);
    queue->ring[(queue->head + queue->count) & (queue->size - 1)] = parcel;
    queue->count++;
    queue->bytes += weight(parcel);
    return WZ_OK;
}

struct wz_parcel *wz_queue_first(const struct wz_queue *queue)
{
    return queue->count > 0 ? queue->ring[queue->head] : NULL;
}

void wz_queue_pop(struct wz_queue *queue)
{
    struct wz_parcel *parcel = queue->ring[queue->head];

    queue->head = (queue->head + 1) & (queue->size - 1);
    queue->count--;
    queue->bytes -= weight(parcel);
    wz_parcel_unref(parcel);
    if (queue->count == 0) {
        wz_free(queue->ring);
        queue->ring = NULL;
        queue->size = 0;
        queue->head = 0;
    }
}
