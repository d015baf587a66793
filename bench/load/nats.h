// SPDX-License-Identifier: Apache-2.0
// The client side of NATS's text protocol, with JetStream's acks.

#ifndef WZ_BENCH_LOAD_NATS_H
#define WZ_BENCH_LOAD_NATS_H

#include <stdint.h>

struct wz_bytes;
struct wz_protocol;

// Core NATS at qos 0; at qos 1 a message asks for JetStream's ack in the inbox of its
// connection, and what a consumer gets is acked. Static, never freed.
extern const struct wz_protocol wz_nats;

// Writes the subject on which the acks of this connection's messages come, as a filter.
void wz_nats_put_inbox(struct wz_bytes *out, unsigned conn);

// Encodes the request that makes a JetStream stream with file storage and the server's defaults
// for the subjects; the answer is a WZ_EVENT_ACK in the inbox of the connection.
void wz_nats_put_stream(struct wz_bytes *out, const char *subjects, unsigned conn);

// Writes the subject to which the consumer of wz_nats_put_consumer sends, for a subscription.
void wz_nats_put_deliver(struct wz_bytes *out, unsigned conn);

// Encodes the request that makes a durable push consumer of the whole stream, which wants an ack
// for every message and has at most `window` of them on their way; answered as
// wz_nats_put_stream is.
void wz_nats_put_consumer(struct wz_bytes *out, uint64_t window, unsigned conn);

#endif
