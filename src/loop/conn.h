// SPDX-License-Identifier: Apache-2.0
// A stream connection of a peer: collects input for the turn, gathers output and writes it once a
// turn. What the bytes mean is its owner's.
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

// A connection reads at most this much in a turn, so that others get theirs.
#define WZ_CONN_READ_BYTES (64 * 1024)

// A partial packet up to this length is copied in front of the next read; a longer one is read into
// a buffer of its own.
#define WZ_CONN_HELD_COPY 4096

struct wz_conn;

// Decodes INPUT: returns how many bytes it has used up (the rest comes again with what follows it),
// or a negative wz_err after which the connection is closed. It may call wz_conn_pause and
// wz_conn_close; the connection stays valid until on_closed.
typedef ssize_t (*wz_conn_input_fn)(struct wz_conn *conn, struct wz_slice input);

// The peer has gone, or wz_conn_close was called: ERR says why (WZ_OK for an orderly end). Called
// once, before on_closed; no more input comes.
typedef void (*wz_conn_end_fn)(struct wz_conn *conn, int err);

// Nothing refers to the connection any more: its owner frees it.
typedef void (*wz_conn_closed_fn)(struct wz_conn *conn);

// How a kind of owner treats its connections.
struct wz_conn_ops {
    wz_conn_input_fn input;
    wz_conn_end_fn end;
    wz_conn_closed_fn closed;
};

// A run of output.
struct wz_conn_chunk {
    struct wz_conn_chunk *next;
    size_t pos; // written up to here
    size_t len;
    size_t cap;
    uint8_t bytes[];
};

// What the connections that share it have read from the system and given to it.
struct wz_conn_traffic {
    int64_t read_bytes;
    int64_t written_bytes;
};

// A connection, embedded in its owner's struct. Fields are conn.c's but TRAFFIC.
struct wz_conn {
    uv_tcp_t tcp;
    struct wz_loop *loop;
    const struct wz_conn_ops *ops;
    struct wz_conn_traffic *traffic; // set before wz_conn_accept; NULL: nobody counts
    struct wz_list ready;
    struct wz_list dirty;
    struct wz_list late;
    struct wz_list all;     // in the budget's list
    struct wz_list stopped; // in one of its lines while memory is short; else in none
    struct wz_buf held;     // input that is not decoded yet, from turn to turn
    struct wz_slice fresh;  // input of this turn, in the loop's input area
    struct wz_conn_chunk *out_first;
    struct wz_conn_chunk *out_last;
    uv_write_t *write; // under way while the peer does not take more
    size_t out_bytes;  // gathered and not yet taken by the system
    size_t own_bytes;  // what the owner holds
    size_t bytes;      // of the memory of held, output and the owner's
    int end_err;
    bool ended; // the peer's end has been seen; what came before it is still decoded
    bool paused;
    bool closing;
    bool draining; // closes once the output is out
};

// Takes the connection that LISTENER offers and starts to read. On failure the connection is closed
// again and ops->closed called.
void wz_conn_accept(struct wz_conn *conn, struct wz_loop *loop, uv_stream_t *listener,
                    const struct wz_conn_ops *ops);

// Room for LEN bytes of output in one piece; wz_conn_commit must follow before anything else.
uint8_t *wz_conn_reserve(struct wz_conn *conn, size_t len);

// Takes the first LEN bytes of the room as output; they leave at the end of the turn, in order.
void wz_conn_commit(struct wz_conn *conn, size_t len);

// Bytes of output that the peer has not taken yet.
static inline size_t wz_conn_out_bytes(const struct wz_conn *conn) { return conn->out_bytes; }

// Whether there is memory for a message to the peer. When it is short, what has been gathered is
// offered to the system before the turn ends, and those who do not read get no more first.
bool wz_conn_may_send(struct wz_conn *conn);

// Counts what the owner holds for the peer beside input and output: BYTES in all. Whether it may
// grow the owner asks by wz_conn_may_hold.
static inline void wz_conn_hold(struct wz_conn *conn, size_t bytes)
{
    if (bytes == conn->own_bytes)
        return;
    conn->bytes += bytes - conn->own_bytes; // may wrap on its way
    wz_budget_count(&conn->loop->budget, conn->own_bytes, bytes);
    conn->own_bytes = bytes;
}

// Whether the owner may hold BYTES more for the peer.
static inline bool wz_conn_may_hold(const struct wz_conn *conn, size_t bytes)
{
    return wz_budget_allows(&conn->loop->budget, conn->bytes + bytes);
}

// Stops reading. What input() has not used up is kept.
void wz_conn_pause(struct wz_conn *conn);

// Reads on; input that was kept is decoded first, in this turn.
void wz_conn_resume(struct wz_conn *conn);

// Closes: at once, or with DRAIN after the output of this turn has been offered to the system once.
enum wz_conn_how {
    WZ_CONN_NOW,
    WZ_CONN_DRAIN,
};

// Ends the connection for ERR; ops->end is called at once, ops->closed later. Fine when it is
// closing already.
void wz_conn_close(struct wz_conn *conn, enum wz_conn_how how, int err);

// The loop's: decodes what has come in this turn.
void wz_conn_decode(struct wz_conn *conn);

// The loop's: reads for a connection that found the turn's input area used up. False, and nothing
// is done, when it is used up again.
bool wz_conn_read_late(struct wz_conn *conn);

// The loop's: writes what has been gathered.
void wz_conn_flush(struct wz_conn *conn);

// The budget's: the memory that the connection holds.
static inline size_t wz_conn_bytes(const struct wz_conn *conn) { return conn->bytes; }

// The budget's: how much there is of a partial packet that has a buffer of its own; else 0.
static inline size_t wz_conn_partial(const struct wz_conn *conn)
{
    return conn->held.len > WZ_CONN_HELD_COPY ? conn->held.len : 0;
}

// Whether it is not read from because memory is short: its peer may have much to say.
static inline bool wz_conn_is_stopped(const struct wz_conn *conn)
{
    return !wz_list_empty(&conn->stopped);
}

// The budget's: reads on, if it was stopped for want of memory and may read now.
void wz_conn_ease(struct wz_conn *conn);

// The peer's address as text ("127.0.0.1:4711"), or "" when it is gone.
void wz_conn_peer(const struct wz_conn *conn, char ret_text[64]);
