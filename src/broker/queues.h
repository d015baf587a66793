// SPDX-License-Identifier: Apache-2.0
// All durable queues at one exchange, their keys in the journal, and the way of a message into
// them. Loop thread only.
#pragma once

#include "broker/durable_queue.h"

// Limits, from the configuration.
struct wz_queues_limits {
    size_t max_queues;
    size_t max_count; // messages in one queue
    size_t max_bytes; // of their topics and bodies
    size_t max_bindings;
    size_t max_inflight; // of a queue's messages are with its consumer, which keeps to that itself
    int64_t expiry_ms;   // a queue that nobody has used for so long is deleted; 0: never
};

// How the queues are made; all of it is needed but RAW, and borrowed.
struct wz_queues_options {
    struct wz_loop *loop;
    struct wz_journal *journal;
    struct wz_exchange *exchange;
    struct wz_log *raw; // raw-stream, which QoS 2 messages are looked for on
    struct wz_queues_limits limits;
};

// Makes an empty set and joins its kinds to the journal, which is replayed after this. The caller
// frees it.
struct wz_queues *wz_queues_new(const struct wz_queues_options *options);

// After the journal was replayed: drops what belongs to no queue, binds, and finds out which QoS 2
// messages a crash has left half done. WZ_ERR_IO and the like when raw-stream cannot be read.
WZ_MUST int wz_queues_recover(struct wz_queues *queues, struct wz_problem *ret_problem);

// Puts what is still to be put, for an orderly stop.
void wz_queues_stop(struct wz_queues *queues);

// Frees it after the loop has returned, the exchange being there still; the queues stay in the
// journal. NULL is fine.
void wz_queues_free(struct wz_queues *queues);

// Whether an event that may change queues can be dealt with now. If not: when the journal tells
// that something has become durable.
bool wz_queues_ready(struct wz_queues *queues);

// What the PUBREC of a message that came in has to wait for: it may have come before and not be
// durable yet.
void wz_queues_received_ticket(struct wz_queues *queues, const struct wz_received_message *message,
                               struct wz_ticket *ret_ticket);

// Begins a group of the journal; groups nest.
void wz_queues_begin(struct wz_queues *queues);

// Ends it, and puts what an ack has to wait for into TICKET, whose other half is left as it is.
void wz_queues_end(struct wz_queues *queues, struct wz_ticket *ticket);

// Publishes to EXCHANGE as wz_exchange_publish does, and puts the message into the durable queues
// whose bindings match, in a group of the journal.
WZ_MUST int wz_queues_publish(struct wz_queues *queues, struct wz_exchange *exchange,
                              const struct wz_message *msg, wz_topic_valid_fn valid,
                              struct wz_ticket *ret_ticket);

// The queue of that name, or NULL.
struct wz_durable_queue *wz_queues_find(const struct wz_queues *queues, struct wz_slice name);

// Makes a queue, inside a group; there is none of that name. WZ_ERR_LIMIT when there are too many.
WZ_MUST int wz_queues_declare(struct wz_queues *queues, struct wz_slice name,
                              struct wz_durable_queue **ret_queue);

// Deletes a queue that nobody consumes, with its bindings and messages, inside a group. Not from
// inside a publish.
void wz_queues_delete(struct wz_durable_queue *queue);

// Notes that a QoS 2 message came in under PACKET_ID, inside a group; OFFSET is its record's on
// raw-stream, or -1.
void wz_queues_received(struct wz_durable_queue *queue, uint16_t packet_id, int64_t offset);

// Whether records of STREAM are what QoS 2 messages are looked for in after a crash.
bool wz_queues_records(const struct wz_queues *queues, const struct wz_log *stream);

// Notes its release, inside a group.
void wz_queues_forget_received(struct wz_durable_queue *queue, uint16_t packet_id);

// Something of the journal has become durable: consumers that waited for it are told.
void wz_queues_durable(struct wz_queues *queues);

// Called now and then: deletes queues that nobody has used for too long, some at a time, and tells
// consumers again whose reading failed.
// NOW_MS is the wall clock's time, MONO_MS one that nobody sets: when the wall clock is, nothing
// expires for it.
void wz_queues_expire(struct wz_queues *queues, int64_t now_ms, int64_t mono_ms);

// How many queues there are, and bindings of all of them.
size_t wz_queues_count(const struct wz_queues *queues);
size_t wz_queues_bindings(const struct wz_queues *queues);

// How many messages are stored: one that waits in several queues is one.
size_t wz_queues_stored(const struct wz_queues *queues);
