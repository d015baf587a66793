// SPDX-License-Identifier: Apache-2.0
// A set of MQTT packet identifiers (3.1.1, 2.3.1): 1 to 65,535, 0 is none.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The identifiers in use. All zero is an empty set.
struct wz_packet_ids {
    uint64_t *bits;
    uint32_t count;
    uint16_t last; // the one given last by wz_packet_ids_next
};

// Frees the bits; the set is empty then.
void wz_packet_ids_release(struct wz_packet_ids *ids);

// Frees the bits of an empty set; else does nothing. Called now and then, not after each message.
void wz_packet_ids_trim(struct wz_packet_ids *ids);

// Takes the next free identifier behind the last one given; at least one must be free.
uint16_t wz_packet_ids_next(struct wz_packet_ids *ids);

// Puts an identifier in; false when it is there already.
bool wz_packet_ids_add(struct wz_packet_ids *ids, uint16_t id);

// Whether an identifier is in the set.
static inline bool wz_packet_ids_has(const struct wz_packet_ids *ids, uint16_t id)
{
    return ids->bits != NULL && (ids->bits[id >> 6] >> (id & 63) & 1) != 0;
}

// Takes an identifier out; false when it is not there.
bool wz_packet_ids_remove(struct wz_packet_ids *ids, uint16_t id);
