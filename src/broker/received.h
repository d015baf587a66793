// SPDX-License-Identifier: Apache-2.0
// The QoS 2 messages that one client has published and not yet released (MQTT 3.1.1, 4.3.3), by
// their packet identifiers.
#pragma once

#include "stream/journal.h"

// One message.
struct wz_received_message {
    struct wz_journal_place place; // of its 'I', nowhere when the session is not a durable one
    int64_t offset;                // of its record on raw-stream; -1: none
    uint16_t packet_id;            // 0: no message
    bool unrecorded;               // its record was lost in a crash: it is wanted again
    bool unqueued;                 // its place in queues was
};

// All of them, in a table of as many bytes as there are messages. All zero is none.
struct wz_received {
    struct wz_received_message *table; // open addressing by identifier
    uint32_t size;                     // a power of two, or 0; at most three quarters full
    uint32_t count;
};

// Frees the memory if there are none; else does nothing. Called now and then, not after each
// message.
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
