// SPDX-License-Identifier: Apache-2.0
// Packet identifiers that follow from sequences, so that they need not be remembered one by one:
// (sequence + shift) mod 65535 + 1, with a shift that changes only where an identifier is still in
// use when its turn comes again (docs/formats/journal.md).
#pragma once

#include "base/buf.h"
#include "base/err.h"

// The shift of all sequences from FROM on.
struct wz_packet_shift {
    uint64_t from;
    uint16_t shift;
};

// The shifts in the order of FROM; below the first it is 0. All zero is none.
struct wz_packet_shifts {
    struct wz_packet_shift *items;
    size_t count;
};

// How many identifiers there are, and the most shifts that are kept.
#define WZ_PACKET_ID_COUNT 65535
#define WZ_PACKET_SHIFTS_MAX 4096

// Frees them.
void wz_packet_shifts_release(struct wz_packet_shifts *shifts);

// The identifier of a sequence.
uint16_t wz_packet_shifts_id(const struct wz_packet_shifts *shifts, uint64_t sequence);

// The next sequence at or above LOW and below HIGH whose identifier is PACKET_ID; false when there
// is none.
bool wz_packet_shifts_find(const struct wz_packet_shifts *shifts, uint16_t packet_id, uint64_t low,
                           uint64_t high, uint64_t *ret_sequence);

// Gives all sequences from FROM on, which is above the last, one more than they had. WZ_ERR_LIMIT
// when there are WZ_PACKET_SHIFTS_MAX.
WZ_MUST int wz_packet_shifts_add(struct wz_packet_shifts *shifts, uint64_t from);

// Forgets what no sequence from LOW on needs.
void wz_packet_shifts_cut(struct wz_packet_shifts *shifts, uint64_t low);

// Forgets what only sequences above LOW and below HIGH need. Whether there was anything.
bool wz_packet_shifts_forget(struct wz_packet_shifts *shifts, uint64_t low, uint64_t high);

// Adds them to BUF as the value of an 'N', and takes them from one; WZ_ERR_CORRUPT for what is
// none.
void wz_packet_shifts_encode(const struct wz_packet_shifts *shifts, struct wz_buf *buf);
WZ_MUST int wz_packet_shifts_decode(struct wz_packet_shifts *shifts, struct wz_slice value);
