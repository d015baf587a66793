// SPDX-License-Identifier: Apache-2.0
// A durable queue: messages that wait in the journal for one consumer, and the bindings that bring
// them. A persistent MQTT session is one. Bodies are on disk; in memory are an entry a message, and
// the next bodies while somebody consumes. Loop thread only.
//
// A message is pushed by a publish (wz_queues_publish), given out by wz_durable_queue_next when it
// is durable, and settled by its consumer. When the consumer goes, what it has not settled is given
// out again.
#pragma once

#include "base/map.h"
#include "broker/exchange.h"
#include "broker/packet_shifts.h"
#include "broker/received.h"
#include "broker/sparse.h"
#include "stream/fetch.h"

struct wz_queues;
struct wz_shared_body;

// A message in a queue. Its place's mark holds enum wz_entry_mark.
struct wz_entry {
    struct wz_journal_place place;
    struct wz_shared_body *shared; // where its body is when others have it too; NULL: with it
};

enum wz_entry_mark {
    WZ_ENTRY_QOS2 = 1,     // else QoS 1
    WZ_ENTRY_RELEASED = 2, // QoS 2: the client has it, only its identifier is still in use
};

// Who takes messages out of a queue.
struct wz_consumer {
    // A message at QoS 0: sent now, or never.
    void (*direct)(void *arg, const struct wz_message *msg);
    // wz_durable_queue_next is worth calling again.
    void (*ready)(void *arg);
    void *arg;
};

// A message that is given out.
struct wz_queued {
    uint64_t sequence;
    uint16_t packet_id;
    uint8_t qos;
    bool dup;    // it may have been given out before
    bool retain; // it was retained when its consumer subscribed
    struct wz_parcel
        *parcel; // borrowed until the next call; NULL: the client has it, PUBREL is due
};

// A queue. Fields are for queues.c and durable_queue.c.
struct wz_durable_queue {
    struct wz_queues *queues;
    struct wz_list link;    // among all
    struct wz_list dirty;   // among those whose head is to be put
    struct wz_list waiting; // among those whose consumer is told when something is durable
    struct wz_list left;    // among those that nobody consumes, in the order of LEFT_MS
    uint8_t id[8];          // as it stands in keys
    struct wz_slice name;   // owned bytes
    struct wz_journal_place place;
    struct wz_journal_place head_place;
    struct wz_journal_place shifts_place;
    struct wz_receiver receiver;
    struct wz_map bindings;   // filter -> struct binding
    struct wz_sparse entries; // sequence -> struct wz_entry
    uint64_t head;            // all below are settled
    uint64_t next;            // to be given out
    uint64_t ready_end;       // bodies of [next, ready_end) are in READY
    uint64_t tail;            // of the next message that comes
    uint64_t sent_end;        // all below may have been given out before
    size_t count;             // unsettled
    size_t inflight;          // of these, given out
    size_t bytes;             // of these
    struct wz_ready *ready;   // made when it is needed, as is the fetcher
    struct wz_parcel *given;  // lent to the consumer until the next call
    struct wz_fetcher *fetcher;
    struct wz_packet_shifts shifts;
    struct wz_received received;
    const struct wz_consumer *consumer; // NULL: nobody
    int64_t left_ms;                    // when the last consumer went; 0: one is there
    uint32_t dropped;                   // messages since it was last said
    bool declared;                      // its 'Q' is there
    bool shifts_stale;                  // its 'N' says more than SHIFTS
};

// Binds to messages whose topics match FILTER, a well-formed one, inside a group of the journal;
// the QoS of a binding that is there is changed. WZ_ERR_LIMIT when there are too many.
WZ_MUST int wz_durable_queue_bind(struct wz_durable_queue *queue, struct wz_slice filter,
                                  unsigned qos);

// Ends a binding, inside a group of the journal; nothing happens when there is none.
void wz_durable_queue_unbind(struct wz_durable_queue *queue, struct wz_slice filter);

// A walk over what is retained, for one binding, that has not ended: everything up to a topic is in
// the queue.
struct wz_queue_walk {
    struct wz_slice filter; // all is borrowed
    struct wz_slice after;  // that topic; empty: nothing is in the queue
    uint8_t qos;
};

// Notes in the journal, inside a group, how far the walk for FILTER has come, so that it goes on
// from there whatever happens; AFTER NULL: it has ended. Binding anew forgets it. Nothing happens
// when there is no such binding.
void wz_durable_queue_note_walk(struct wz_durable_queue *queue, struct wz_slice filter,
                                const struct wz_slice *after);

// The next of the walks that were noted, in no order; start with *STATE zero. False at the end.
bool wz_durable_queue_next_walk(const struct wz_durable_queue *queue, size_t *state,
                                struct wz_queue_walk *ret_walk);

// Adds a message for this queue alone, inside a group of the journal: a retained one. WZ_ERR_LIMIT
// when the queue is full.
WZ_MUST int wz_durable_queue_push(struct wz_durable_queue *queue, const struct wz_message *msg,
                                  unsigned qos);

// Whether there is room for another message.
bool wz_durable_queue_has_room(const struct wz_durable_queue *queue);

// Makes CONSUMER, which is borrowed, the queue's; there is none before. Inside a group.
void wz_durable_queue_attach(struct wz_durable_queue *queue, const struct wz_consumer *consumer);

// The consumer has gone at NOW_MS. Inside a group.
void wz_durable_queue_detach(struct wz_durable_queue *queue, int64_t now_ms);

// The next message to be given out. WZ_AGAIN when there is none yet: the consumer is told.
WZ_MUST int wz_durable_queue_next(struct wz_durable_queue *queue, struct wz_queued *ret_queued);

// What the consumer says of a message that it was given.
enum wz_settlement {
    WZ_SETTLED,  // it is done with: PUBACK, PUBCOMP
    WZ_RELEASED, // QoS 2: it has it, PUBCOMP is to come
};

// Settles the message on its way under PACKET_ID, inside a group of the journal. WZ_ERR_NOT_FOUND
// when there is none, WZ_ERR_PROTOCOL when it is of another QoS.
WZ_MUST int wz_durable_queue_settle(struct wz_durable_queue *queue, uint16_t packet_id,
                                    enum wz_settlement settlement);

// How many messages are with the consumer and not settled.
size_t wz_durable_queue_inflight(const struct wz_durable_queue *queue);

// Frees memory that is not in use just now. Called now and then, not after each message.
void wz_durable_queue_trim(struct wz_durable_queue *queue);
