// SPDX-License-Identifier: Apache-2.0
// A load's packets, encoded once before the load begins and sent over and over: publishing a
// message then costs the generator its share of one large write and nothing else.

#ifndef WZ_BENCH_LOAD_RING_H
#define WZ_BENCH_LOAD_RING_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define WZ_RING_FIRST_SEQ 1000000000u

struct wz_options;
struct wz_protocol;

// Message number n is packet n % count, with the id 1 + n % id_count. The ring is immutable
// and can be shared by connections. Ids are used again only after id_count messages, at least
// twice the largest window.
struct wz_ring {
    struct wz_bytes packets;
    size_t *starts; // count + 1 of them.
    size_t count;
    uint32_t id_count;
};

// How many packets the ring of this many topics has.
size_t wz_ring_count(uint64_t topic_count);

// Encodes the messages that the options describe, each topic equally often, for the connection
// with this number. Ends the program when the topic pattern or the body does not fit.
struct wz_ring *wz_ring_new(const struct wz_protocol *protocol, const struct wz_options *options,
                            unsigned conn);

// Frees the ring; NULL is fine.
void wz_ring_free(struct wz_ring *ring);

// The number of bytes of the first n messages, for any n.
uint64_t wz_ring_bytes_before(const struct wz_ring *ring, uint64_t n);

// The number of messages that begin in the first `bytes` bytes: the last may not end in them.
uint64_t wz_ring_messages_begun(const struct wz_ring *ring, uint64_t bytes);

// Writes the topic of a pattern: device into its first %d, subtopic into its second.
void wz_ring_topic(const char *pattern, uint64_t device, uint64_t subtopic,
                   struct wz_bytes *ret_topic);

// Writes a JSON object of exactly len bytes whose member "seq" has the number behind
// WZ_RING_FIRST_SEQ, so that it has ten digits.
void wz_ring_body(uint64_t number, size_t len, struct wz_bytes *ret_body);

// Finds the number in a body of wz_ring_body, or in another object that has taken it over, and
// returns it as the number of the ring's packet: from 0. UINT64_MAX when there is none.
uint64_t wz_ring_find_seq(const uint8_t *body, size_t len);

#endif
