// SPDX-License-Identifier: Apache-2.0
// Acks that a publisher is owed, in the order of its messages (MQTT 3.1.1, 4.6): each leaves when
// its message, and so every message before it, is durable.
#pragma once

#include "broker/ticket.h"

// An ack that is owed. LEN is that of a packet which is kept elsewhere, in the same order; 0: it is
// TYPE and PACKET_ID alone.
struct wz_ack {
    struct wz_ticket ticket;
    uint32_t len;
    uint16_t packet_id;
    uint8_t type; // enum wz_mqtt_type
};

// The acks that one connection is owed. All zero is none.
struct wz_acks {
    struct wz_ack *ring;
    uint32_t size; // a power of two, or 0
    uint32_t head;
    uint32_t count;
};

// The most acks one connection can be owed: every packet identifier once.
#define WZ_ACKS_MAX 65535

// As many always find a place, however short memory is.
#define WZ_ACKS_FEW 64

// Drops them and frees.
void wz_acks_release(struct wz_acks *acks);

// Frees the memory if none is owed; else does nothing. Called now and then, not after each ack.
void wz_acks_trim(struct wz_acks *acks);

// The memory of the ring.
static inline size_t wz_acks_bytes(const struct wz_acks *acks)
{
    return acks->size * sizeof(struct wz_ack);
}

// How much more memory the next one takes; 0 while there is a place, and while there are few.
static inline size_t wz_acks_growth(const struct wz_acks *acks)
{
    return acks->count == acks->size && acks->size >= WZ_ACKS_FEW ? 2 * wz_acks_bytes(acks) : 0;
}

// Adds one behind the others. WZ_ERR_LIMIT when WZ_ACKS_MAX are owed.
WZ_MUST int wz_acks_push(struct wz_acks *acks, const struct wz_ack *ack);

// Takes the first one if it may leave now; false when there is none or it has to wait.
bool wz_acks_take(struct wz_acks *acks, struct wz_ack *ret_ack);
