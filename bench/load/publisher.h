// SPDX-License-Identifier: Apache-2.0
// A connection that publishes the messages of a ring as fast as the server takes them.

#ifndef WZ_BENCH_LOAD_PUBLISHER_H
#define WZ_BENCH_LOAD_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "protocol.h"

struct wz_histogram;
struct wz_ring;

// Messages are counted from the publisher's own start, bytes from the start of its ring.
// Released messages may be written; without a window that is all of them at once.
struct wz_publisher {
    struct wz_conn conn;
    const struct wz_ring *ring;
    struct wz_histogram *latencies;
    uint64_t first;      // The ring's message with which this publisher begins.
    uint64_t window;     // 0: no acks are waited for.
    uint64_t total;      // Messages to send; UINT64_MAX until a stop.
    uint64_t released;   // Messages.
    uint64_t acked;      // Messages.
    uint64_t sent_bytes; // Position in the endless repetition of the ring.
    uint64_t limit_bytes;
    uint64_t *released_ns; // By id, 0 when no such message is in flight.
    bool *received;        // By id: the server has it and was told to let it go.
    unsigned qos;
    bool pinged;
    bool done;
};

// Takes an open connection and the QoS of the ring's messages. The ring and the histogram, which
// may be shared, are borrowed until wz_publisher_close.
void wz_publisher_open(struct wz_publisher *publisher, const struct wz_conn *conn, unsigned qos,
                       const struct wz_ring *ring, struct wz_histogram *latencies);

// Says what to send: the first message's number in the ring, how many (UINT64_MAX: until
// wz_publisher_stop), and how many may be in flight (0: acks are not waited for). Nothing is
// written yet.
void wz_publisher_begin(struct wz_publisher *publisher, uint64_t first, uint64_t total,
                        uint64_t window);

// Writes what may be written, up to a few hundred KiB, so that each connection has its turn.
// Sets done at the end: every message acked, or the last ping answered.
void wz_publisher_write(struct wz_publisher *publisher, uint64_t now_ns);

// Reads acks and replies. An ack that does not fit what was sent ends the program.
void wz_publisher_read(struct wz_publisher *publisher, uint64_t now_ns);

// Lets nothing begin that has not begun.
void wz_publisher_stop(struct wz_publisher *publisher);

// True when there is something to write that the socket did not take.
bool wz_publisher_wants_out(const struct wz_publisher *publisher);

// Closes the connection and frees what the publisher owns; zero is fine.
void wz_publisher_close(struct wz_publisher *publisher);

#endif
