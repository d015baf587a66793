// SPDX-License-Identifier: Apache-2.0
// Owns the table of a client's QoS 2 messages. An identifier's place is the identifier itself,
// modulo the size: clients count upwards, and of all 65,535 no more than a few can share a place by
// the time the table is large.
#include "broker/received.h"

#include "base/mem.h"

#define SIZE_FIRST 4

void wz_received_release(struct wz_received *received)
{
    wz_free(received->table);
    *received = (struct wz_received){0};
}

void wz_received_trim(struct wz_received *received)
{
    if (received->count == 0)
        wz_received_release(received);
}

// The place of an identifier, or the empty one where it belongs. There is a table.
static struct wz_received_message *place_of(const struct wz_received *received, uint16_t packet_id)
{
    uint32_t mask = received->size - 1;
    uint32_t i = packet_id & mask;

    while (received->table[i].packet_id != 0 && received->table[i].packet_id != packet_id)
        i = (i + 1) & mask;
    return &received->table[i];
}

struct wz_received_message *wz_received_get(const struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message *message;

    if (received->table == NULL || packet_id == 0)
        return NULL;
    message = place_of(received, packet_id);
    return message->packet_id != 0 ? message : NULL;
}

static void grow(struct wz_received *received)
{
    struct wz_received old = *received;

    received->size = old.size > 0 ? old.size * 2 : SIZE_FIRST;
    received->table = wz_zalloc(received->size, sizeof(received->table[0]));
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.table[i].packet_id != 0)
            *place_of(received, old.table[i].packet_id) = old.table[i];
    }
    wz_free(old.table);
}

struct wz_received_message *wz_received_add(struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message *message = wz_received_get(received, packet_id);

    if (message != NULL)
        return message;
    WZ_ASSERT(packet_id != 0);
    if ((received->count + 1) * 4 > received->size * 3)
        grow(received);
    message = place_of(received, packet_id);
    *message = (struct wz_received_message){
        .place = WZ_JOURNAL_NOWHERE, .offset = -1, .packet_id = packet_id};
    received->count++;
    return message;
}

bool wz_received_remove(struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message *message = wz_received_get(received, packet_id);
    uint32_t mask = received->size - 1;
    uint32_t i;

    if (message == NULL)
        return false;
    i = (uint32_t)(message - received->table);
    // Those behind it that would not be found any more move up.
    for (uint32_t k = (i + 1) & mask; received->table[k].packet_id != 0; k = (k + 1) & mask) {
        uint32_t home = received->table[k].packet_id & mask;

        if (((k - home) & mask) < ((k - i) & mask))
            continue;
        received->table[i] = received->table[k];
        i = k;
    }
    received->table[i] = (struct wz_received_message){0};
    received->count--;
    return true;
}

struct wz_received_message *wz_received_next(const struct wz_received *received, uint32_t *state)
{
    while (*state < received->size) {
        struct wz_received_message *message = &received->table[(*state)++];

        if (message->packet_id != 0)
            return message;
    }
    return NULL;
}
