// SPDX-License-Identifier: Apache-2.0
// Which of a ring's messages should come how often, and which came: a lost message and a doubled
// one do not make up for each other.

#ifndef WZ_BENCH_LOAD_TALLY_H
#define WZ_BENCH_LOAD_TALLY_H

#include <stddef.h>
#include <stdint.h>

// What is counted of a ring with this many packets.
struct wz_tally {
    int32_t *balances; // By packet: how often it came minus how often it should.
    size_t count;
    uint64_t strange; // Messages that are none of the ring's.
};

// A tally of nothing. Ends the program when memory is out.
struct wz_tally *wz_tally_new(size_t count);

// Frees the tally; NULL is fine.
void wz_tally_free(struct wz_tally *tally);

// Counts messages as published: total of them, from the ring's message number first on.
void wz_tally_publish(struct wz_tally *tally, uint64_t first, uint64_t total);

// Counts one message as received. The number is that of its packet.
void wz_tally_receive(struct wz_tally *tally, uint64_t number);

// How many messages did not come, and how many came more often than they were published.
uint64_t wz_tally_lost(const struct wz_tally *tally);
uint64_t wz_tally_doubled(const struct wz_tally *tally);

#endif
