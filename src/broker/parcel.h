// SPDX-License-Identifier: Apache-2.0
// A message that is kept: one copy, however many keep it.
#pragma once

#include "broker/message.h"
#include "broker/ticket.h"
#include "loop/budget.h"

// An owned, immutable message with a count of those who keep it. Loop thread only.
struct wz_parcel {
    struct wz_message message; // its slices lie in BYTES
    uint32_t refs;
    uint32_t queues; // that hold it, see wz_parcel_hold
    uint32_t len;    // of the bytes
    uint8_t bytes[];
};

// Copies a message; the caller has the first reference.
struct wz_parcel *wz_parcel_new(const struct wz_message *msg);

// One more keeper.
struct wz_parcel *wz_parcel_ref(struct wz_parcel *parcel);

// One keeper less; the last one frees it. NULL is fine.
void wz_parcel_unref(struct wz_parcel *parcel);

// One queue more, and less, holds it: BUDGET counts its memory once for all of them.
void wz_parcel_hold(struct wz_parcel *parcel, struct wz_budget *budget);
void wz_parcel_let_go(struct wz_parcel *parcel, struct wz_budget *budget);

// A message while it is handed around: the first who keeps it makes the copy that all share; who
// takes on a duty for it leaves the ticket that the publisher's ack waits for.
struct wz_delivery {
    const struct wz_message *message;
    struct wz_parcel *parcel;
    struct wz_ticket ticket;
};

// A reference to the delivery's parcel, made when there is none yet.
struct wz_parcel *wz_delivery_keep(struct wz_delivery *delivery);
