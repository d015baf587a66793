// SPDX-License-Identifier: Apache-2.0
// The QoS 2 messages that the client of a durable queue has published and not yet released (MQTT
// 3.1.1, 4.3.3), by their packet identifiers. A clean session's are a wz_packet_ids: there is
// nothing else to remember of them.
#pragma once

#include "loop/budget.h"
#include "stream/journal.h"

// One message.
struct wz_received_message {
    struct wz_journal_place place; // of its 'I'
    int64_t offset;                // of its record on raw-stream; -1: none
    uint16_t packet_id;            // 0: no message
    bool unrecorded;               // its record was lost in a crash: it is wanted again
    bool unqueued;                 // its place in queues was
};

// All of them. All zero is none.
struct wz_received {
    struct wz_received_message *table; // open addressing by identifier
    uint32_t size;                     // a power of two, or 0
    uint32_t count;
    struct wz_budget *budget; // which the table is kept under; NULL: under none
};

// How many bytes the table has with the next message that is added, when it has to grow for it and
// is larger than every client may have it; else 0.
size_t wz_received_growth(const struct wz_received *received);

// Frees the memory that is not needed any more. Called now and then, not after each message.
void wz_received_trim(struct wz_received *received);

// Frees them.
void wz_received_release(struct wz_received *received);

// The message of an identifier, or NULL. It stays where it is until one is added or removed.
struct wz_received_message *wz_received_get(const struct wz_received *received, uint16_t packet_id);

// Makes, or gives, the message of an identifier, which is not 0.
struct wz_received_message *wz_received_add(struct wz_received *received, uint16_t packet_id);

// Forgets the message of an identifier; false when there is none.
bool wz_received_remove(struct wz_received *received, uint16_t packet_id);

// The next message of a walk, or NULL; start with *STATE zero. None may be added or removed
// between.
struct wz_received_message *wz_received_next(const struct wz_received *received, uint32_t *state);
