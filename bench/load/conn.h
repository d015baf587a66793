// SPDX-License-Identifier: Apache-2.0
// One connection to the server under test: a socket that never blocks, what came in and is not
// decoded yet, and small packets that wait to go out.

#ifndef WZ_BENCH_LOAD_CONN_H
#define WZ_BENCH_LOAD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct wz_event;
struct wz_protocol;

// How a connection is opened. Zero but for port and rx_cap: a session that ends with it.
struct wz_conn_options {
    uint64_t port;   // Of 127.0.0.1.
    unsigned number; // Makes the client's name unique in the process.
    size_t rx_cap;   // The size of a read in bytes; it must hold a whole packet.
    // The client's name of a persistent session, borrowed for the call; NULL: the session is
    // clean and its name new.
    const char *persistent;
};

// Zero is no connection. Use:
// 1. wz_conn_open, then wz_conn_subscribe as often as wanted; both wait for the server.
// 2. wz_conn_watch puts it into an epoll set.
// 3. wz_conn_events until it returns 0: a session that was there may have sent messages already.
//    Then, when readable, wz_conn_fill and the same.
// 4. append packets to tx and call wz_conn_flush.
struct wz_conn {
    int fd;
    unsigned number;
    const struct wz_protocol *protocol;
    struct wz_bytes tx;
    size_t tx_pos;
    uint8_t *rx;
    size_t rx_pos;
    size_t rx_len;
    size_t rx_cap;
    bool found; // The server had the session already.
    bool watched;
    bool wants_out;
};

// Connects and opens the session.
void wz_conn_open(struct wz_conn *conn, const struct wz_protocol *protocol,
                  const struct wz_conn_options *options);

// Closes the socket and frees what belongs to the connection; zero is fine.
void wz_conn_close(struct wz_conn *conn);

// Subscribes and waits for the reply. Messages that come before it are dropped.
void wz_conn_subscribe(struct wz_conn *conn, const char *filter, unsigned qos, uint16_t id);

// Sends what is in tx and waits for the event of the kind; those before it are dropped, those
// behind it are kept. Returns the event's id.
uint32_t wz_conn_await(struct wz_conn *conn, unsigned kind);

// Reads once. False when nothing was there; a connection that the server closed ends the program.
bool wz_conn_fill(struct wz_conn *conn);

// Decodes the next events and puts into tx what they want to be answered with. 0: all that is
// whole is decoded.
// A refusal ends the program.
size_t wz_conn_events(struct wz_conn *conn, struct wz_event *events, size_t cap);

// Writes as much of tx as the socket takes. True when all of it is gone.
bool wz_conn_flush(struct wz_conn *conn);

// Writes as much as the socket takes and returns how much that was.
size_t wz_conn_send(struct wz_conn *conn, const void *data, size_t len);

// Tells the epoll set to report the connection under watch_id when it can be read and, if
// wants_out, when it can be written. Calls the kernel only when something changes.
void wz_conn_watch(struct wz_conn *conn, int epoll_fd, uint64_t watch_id, bool wants_out);

#endif
