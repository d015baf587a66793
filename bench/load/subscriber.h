// SPDX-License-Identifier: Apache-2.0
// A connection that counts the messages it gets, and can be slow on purpose.

#ifndef WZ_BENCH_LOAD_SUBSCRIBER_H
#define WZ_BENCH_LOAD_SUBSCRIBER_H

#include <stdint.h>

#include "conn.h"

struct wz_subscriber {
    struct wz_conn conn;
    uint64_t received;
    uint64_t first_ns; // When the first message came; 0 before.
    uint64_t last_ns;
    uint64_t slow_us; // A pause after every read, for a reader that cannot keep up.
};

// Reads once, counts the messages and acks those that ask for it.
void wz_subscriber_read(struct wz_subscriber *subscriber, uint64_t now_ns);

#endif
