// SPDX-License-Identifier: Apache-2.0
// Owns the acks that wait for the disk.
#include "broker/acks.h"

#include "base/mem.h"

// Most connections are owed one ack, that of their SUBSCRIBE, and no more.
#define RING_FIRST 1

// An empty ring up to this size is kept until it is trimmed, so a steady publisher does not
// allocate.
#define RING_KEPT 1024

void wz_acks_release(struct wz_acks *acks)
{
    wz_free(acks->ring);
    *acks = (struct wz_acks){0};
}

void wz_acks_trim(struct wz_acks *acks)
{
    if (acks->count == 0)
        wz_acks_release(acks);
}

static void grow(struct wz_acks *acks)
{
    uint32_t size = acks->size > 0 ? acks->size * 2 : RING_FIRST;
    struct wz_ack *ring = wz_alloc(size * sizeof(*ring));

    for (uint32_t i = 0; i < acks->count; i++)
        ring[i] = acks->ring[(acks->head + i) & (acks->size - 1)];
    wz_free(acks->ring);
    acks->ring = ring;
    acks->size = size;
    acks->head = 0;
}

int wz_acks_push(struct wz_acks *acks, const struct wz_ack *ack)
{
    if (acks->count >= WZ_ACKS_MAX)
        return WZ_ERR_LIMIT;
    if (acks->count == acks->size)
        grow(acks);
    acks->ring[(acks->head + acks->count) & (acks->size - 1)] = *ack;
    acks->count++;
    return WZ_OK;
}

bool wz_acks_take(struct wz_acks *acks, struct wz_ack *ret_ack)
{
    if (acks->count == 0 || !wz_ticket_safe(&acks->ring[acks->head].ticket))
        return false;
    *ret_ack = acks->ring[acks->head];
    acks->head = (acks->head + 1) & (acks->size - 1);
    acks->count--;
    if (acks->count == 0 && acks->size > RING_KEPT)
        wz_acks_release(acks);
    return true;
}
