// SPDX-License-Identifier: Apache-2.0
// Owns the table of a client's QoS 2 messages. Clients count upwards: their identifiers are spread
// over the table, so that one that is removed has few behind it that move up. In the largest table
// each has a place of its own, and 0's stays empty.
#include "broker/received.h"

#include "base/mem.h"

#define SIZE_FIRST 4
#define SIZE_LARGEST 65536

// So large the table of every client may be: that is 1 KiB.
#define SIZE_FREE 32

static size_t table_bytes(uint32_t size) { return size * sizeof(struct wz_received_message); }

// Makes room for SIZE places, which must be enough, in place of a table that is not there.
static void make(struct wz_received *received, uint32_t size)
{
    received->size = size;
    received->table = wz_zalloc(size, sizeof(received->table[0]));
    if (received->budget != NULL)
        wz_budget_keep(received->budget, 0, table_bytes(size));
}

static void drop_table(struct wz_received *received)
{
    if (received->budget != NULL)
        wz_budget_keep(received->budget, table_bytes(received->size), 0);
    wz_free(received->table);
    received->table = NULL;
    received->size = 0;
}

void wz_received_release(struct wz_received *received)
{
    drop_table(received);
    received->count = 0;
}

// Where an identifier belongs. The factor is odd, so no two of all share a place more than they
// must.
static uint32_t home_of(const struct wz_received *received, uint16_t packet_id)
{
    if (received->size == SIZE_LARGEST)
        return packet_id;
    return (packet_id * 40503u & UINT16_MAX) * received->size >> 16;
}

// The place of an identifier, or the empty one where it belongs. There is a table.
static struct wz_received_message *place_of(const struct wz_received *received, uint16_t packet_id)
{
    uint32_t mask = received->size - 1;
    uint32_t i = home_of(received, packet_id);

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

static void resize(struct wz_received *received, uint32_t size)
{
    struct wz_received old = *received;

    make(received, size);
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.table[i].packet_id != 0)
            *place_of(received, old.table[i].packet_id) = old.table[i];
    }
    drop_table(&old);
}

void wz_received_trim(struct wz_received *received)
{
    uint32_t size = received->size;

    if (received->count == 0) {
        drop_table(received);
        return;
    }
    while (size > SIZE_FIRST && received->count * 4 <= size)
        size /= 2;
    if (size * 2 < received->size) // not for one step, which the next messages would undo
        resize(received, size);
}

// The size that the next message needs.
static uint32_t next_size(const struct wz_received *received)
{
    if (received->size == SIZE_LARGEST || (received->count + 1) * 4 <= received->size * 3)
        return received->size;
    return received->size > 0 ? received->size * 2 : SIZE_FIRST;
}

size_t wz_received_growth(const struct wz_received *received)
{
    uint32_t size = next_size(received);

    return size == received->size || size <= SIZE_FREE ? 0 : table_bytes(size);
}

struct wz_received_message *wz_received_add(struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message *message = wz_received_get(received, packet_id);

    if (message != NULL)
        return message;
    WZ_ASSERT(packet_id != 0);
    if (next_size(received) != received->size)
        resize(received, next_size(received));
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
    for (uint32_t k = (i + 1) & mask;
         received->size < SIZE_LARGEST && received->table[k].packet_id != 0; k = (k + 1) & mask) {
        uint32_t home = home_of(received, received->table[k].packet_id);

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
