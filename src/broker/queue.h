// SPDX-License-Identifier: Apache-2.0
// Messages that wait, in order, under two caps.
#pragma once

#include "broker/parcel.h"
#include "loop/budget.h"

// A parcel that waits, and the QoS at which its reader is to have it.
struct wz_queue_item {
    struct wz_parcel *parcel;
    uint8_t qos;
};

// A queue of parcels. All zero with caps set is an empty one.
struct wz_queue {
    struct wz_queue_item *ring;
    size_t size; // of the ring, a power of two, or 0
    size_t head;
    size_t count;
    size_t bytes; // of topics and bodies
    size_t max_count;
    size_t max_bytes;
    struct wz_budget *budget; // counts what waits, a parcel of several queues once; NULL: nobody
};

// Drops all that wait and frees.
void wz_queue_release(struct wz_queue *queue);

// Adds a parcel behind the others; the queue takes over the reference. WZ_ERR_LIMIT when a cap is
// reached or memory is short: then the reference stays the caller's.
WZ_MUST int wz_queue_push(struct wz_queue *queue, struct wz_parcel *parcel, unsigned qos);

// The first parcel, borrowed, and its QoS; or NULL.
struct wz_parcel *wz_queue_first(const struct wz_queue *queue, unsigned *ret_qos);

// Drops the first parcel, which must be there.
void wz_queue_pop(struct wz_queue *queue);
