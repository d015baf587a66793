// SPDX-License-Identifier: Apache-2.0
// The QoS 2 messages that one client has published and not yet released (MQTT 3.1.1, 4.3.3), by
// their packet identifiers.
#pragma once

#include "stream/journal.h"

// One message. THERE is false for an identifier that is not in use.
struct wz_received_message {
    struct wz_journal_place place; // of its 'I', nowhere when the session is not a durable one
    int64_t offset;                // of its record on raw-stream; -1: none
    bool there;
    bool unrecorded; // its record was lost in a crash: it is wanted again
    bool unqueued;   // its place in queues was
};

// All of them. All zero is none.
struct wz_received {
    struct wz_received_message **pages; // 256 of 256 identifiers each, made when they are needed
    uint32_t count;
};

// Frees the memory if there are none; else does nothing. Called now and then, not after each
// message.
void wz_received_trim(struct wz_received *received);

// Frees them.
void wz_received_release(struct wz_received *received);

// The message of an identifier, or NULL.
struct wz_received_message *wz_received_get(const struct wz_received *received, uint16_t packet_id);

// Makes, or gives, the message of an identifier.
struct wz_received_message *wz_received_add(struct wz_received *received, uint16_t packet_id);

// Forgets the message of an identifier; false when there is none.
bool wz_received_remove(struct wz_received *received, uint16_t packet_id);
