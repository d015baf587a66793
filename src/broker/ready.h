// SPDX-License-Identifier: Apache-2.0
// The bodies of a durable queue's next messages that are in memory, and the fetching of those that
// are on disk only. Loop thread only.
#pragma once

#include "broker/durable_queue.h"

// Keeps the body of the message that comes at the queue's tail, if those of all before it are kept
// too and there is room. PARCEL is the message's; made when it is needed and NULL.
void wz_ready_keep(struct wz_durable_queue *queue, const struct wz_message *msg,
                   struct wz_parcel **parcel);

// The body of the message at the queue's next, whose reference is the caller's then. NULL when it
// is on disk: it is being fetched, and the consumer is told.
struct wz_parcel *wz_ready_take(struct wz_durable_queue *queue);

// Gives up all bodies, and what is being fetched: the queue's next is its head again.
void wz_ready_reset(struct wz_durable_queue *queue);

// Frees memory that is not in use just now.
void wz_ready_trim(struct wz_durable_queue *queue);

// Frees everything.
void wz_ready_release(struct wz_durable_queue *queue);
