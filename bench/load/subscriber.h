// SPDX-License-Identifier: Apache-2.0
// A connection that counts the messages it gets, each QoS 2 message once, and can be slow on
// purpose.

#ifndef WZ_BENCH_LOAD_SUBSCRIBER_H
#define WZ_BENCH_LOAD_SUBSCRIBER_H

#include <stdint.h>

#include "conn.h"
#include "protocol.h"

struct wz_tally;

struct wz_subscriber {
    struct wz_conn conn;
    unsigned qos;           // Of all messages: another one ends the program.
    struct wz_tally *tally; // NULL: which messages come is not looked at.
    uint64_t received;
    uint64_t repeated;   // Of those received: the server said it may have sent them before.
    uint64_t unreleased; // QoS 2 messages received whose PUBREL did not come.
    uint64_t begin_ns;   // When the connection began to open.
    uint64_t first_ns;   // When the first message came; 0 before.
    uint64_t last_ns;
    uint64_t slow_us; // A pause after every read, for a reader that cannot keep up.
    uint8_t held[WZ_PROTOCOL_MAX_ID / 8 + 1]; // A bit an id of an unreleased message.
};

// Reads once, then does as wz_subscriber_take.
void wz_subscriber_read(struct wz_subscriber *subscriber, uint64_t now_ns);

// Counts the messages that were read; what answers them is in the connection's tx.
void wz_subscriber_take(struct wz_subscriber *subscriber, uint64_t now_ns);

#endif
