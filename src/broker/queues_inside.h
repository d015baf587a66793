// SPDX-License-Identifier: Apache-2.0
// What durable_queue.c, ready.c, queues.c and queues_replay.c share of the set of queues.
#pragma once

#include "broker/queues.h"

// A message's topic and body that several queues wait to send.
struct wz_shared_body {
    struct wz_journal_place place;
    uint8_t number[8]; // as it stands in keys
    uint32_t refs;
};

// A queue that the publish at hand puts its message into.
struct wz_pending_push {
    struct wz_durable_queue *queue;
    uint8_t qos;
};

struct wz_queues {
    struct wz_queues_options options;
    struct wz_loop_part part;
    struct wz_list all;
    struct wz_list dirty;
    struct wz_list waiting;
    struct wz_list left; // the one that was left first is the first
    struct wz_map by_name;
    struct wz_map by_id;
    struct wz_sparse shared; // number -> struct wz_shared_body
    struct wz_journal_kind kinds[8];
    uint64_t last_id;
    uint64_t last_number;
    struct wz_journal_place mark_place;
    int64_t mark; // on raw-stream: of records below it, every 'I' is here
    bool marks;   // an 'I' was put since
    struct wz_pending_push *pending;
    size_t pending_count;
    size_t pending_cap;
    size_t messages;      // unsettled, in all queues
    size_t told_messages; // as the metric has them
    int64_t wall_ms;      // the clocks when they were looked at last; 0: never
    int64_t mono_ms;
    size_t to_put;       // so many of ALL may say on disk that they were left by another clock
    bool recovered;      // what there was has been read: new things may be put
    int64_t durable_end; // of the journal, when consumers were told last
    size_t shared_refs;  // of these, messages whose body is in SHARED
    size_t bindings;
    int64_t log_us;
};

// Flags of an 'E'.
#define WZ_QUEUED_RETAIN 1
#define WZ_QUEUED_SHARED 2

// The QoS of an 'E' whose message the client has received.
#define WZ_QUEUED_RELEASED 255

// What an 'I' says that a crash has lost of its message.
#define WZ_RECEIVED_LOST_RECORD 1
#define WZ_RECEIVED_LOST_PLACE 2

// Joins the kinds of keys to the journal.
void wz_queues_join(struct wz_queues *queues);

// The queue of that id; made when there is none, without a name.
struct wz_durable_queue *wz_queues_get(struct wz_queues *queues, const uint8_t id[8]);

// Names a queue that has no name yet; nothing happens when it has one.
void wz_queues_name(struct wz_durable_queue *queue, struct wz_slice name);

// Notes that nobody consumes the queue since NOW_MS, without writing.
void wz_queues_leave(struct wz_durable_queue *queue, int64_t now_ms);

// Takes a queue out of the set and frees it, without writing.
void wz_queues_forget(struct wz_durable_queue *queue);

// Puts the 'I' of a message as it is now, inside a group.
void wz_queues_put_received(struct wz_durable_queue *queue, struct wz_received_message *message);

// What an entry counts in its queue's bytes: its record, and the body that it shares.
static inline size_t wz_entry_weight(const struct wz_entry *entry)
{
    return entry->place.len + (entry->shared != NULL ? entry->shared->place.len : 0);
}

// Makes a queue with that id, which is not declared yet.
struct wz_durable_queue *wz_durable_queue_new(struct wz_queues *queues, const uint8_t id[8]);

// Frees it: bindings end, nothing is written.
void wz_durable_queue_free(struct wz_durable_queue *queue);

// Puts its 'Q'.
void wz_durable_queue_put(struct wz_durable_queue *queue);

// Adds a message, with its body in SHARED or, when that is NULL, with the entry. PARCEL is the
// message's, kept if its consumer is soon to have it; NULL: made when it is needed.
WZ_MUST int wz_durable_queue_add(struct wz_durable_queue *queue, const struct wz_message *msg,
                                 unsigned qos, struct wz_shared_body *shared,
                                 struct wz_parcel **parcel);

// Binds without writing, for a binding that was read back with VALUE at PLACE.
WZ_MUST int wz_durable_queue_rebind(struct wz_durable_queue *queue, struct wz_slice filter,
                                    struct wz_slice value, struct wz_journal_place place);

// Forgets a binding that was read back and has gone since.
void wz_durable_queue_unbound(struct wz_durable_queue *queue, struct wz_slice filter);

// The place of a binding, or NULL.
struct wz_journal_place *wz_durable_queue_binding(const struct wz_durable_queue *queue,
                                                  struct wz_slice filter);

// Takes an entry out of its queue's books, without writing; nothing happens when it is not there.
void wz_durable_queue_drop(struct wz_durable_queue *queue, uint64_t sequence);

// Counts its bytes anew, after its entries were read back.
void wz_durable_queue_weigh(struct wz_durable_queue *queue);

// Takes all entries below END out of the books.
void wz_durable_queue_drop_below(struct wz_durable_queue *queue, uint64_t end);

// Whether the entry, and the body that it shares, are durable.
bool wz_durable_queue_is_durable(const struct wz_durable_queue *queue,
                                 const struct wz_entry *entry);

// The body of a message that is there cannot be read any more: it is settled, for nobody can have
// it.
void wz_durable_queue_lose(struct wz_durable_queue *queue, uint64_t sequence);

// Moves the head over what is settled.
void wz_durable_queue_advance(struct wz_durable_queue *queue);

// One keeper of a shared body more, and less; the last one frees it.
struct wz_shared_body *wz_shared_body_ref(struct wz_shared_body *shared);
void wz_shared_body_unref(struct wz_queues *queues, struct wz_shared_body *shared);

// The shared body of that number; made when there is none.
struct wz_shared_body *wz_shared_body_get(struct wz_queues *queues, const uint8_t number[8]);
