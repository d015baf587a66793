// SPDX-License-Identifier: Apache-2.0
// Owns a bit for each identifier: 8 KiB, only for a session that has some in use.
#include "broker/packet_ids.h"

#include "base/err.h"
#include "base/mem.h"

#define WORDS (65536 / 64)

void wz_packet_ids_release(struct wz_packet_ids *ids)
{
    wz_free(ids->bits);
    ids->bits = NULL;
    ids->count = 0;
}

void wz_packet_ids_trim(struct wz_packet_ids *ids)
{
    if (ids->count == 0)
        wz_packet_ids_release(ids);
}

bool wz_packet_ids_add(struct wz_packet_ids *ids, uint16_t id)
{
    uint64_t bit = (uint64_t)1 << (id & 63);

    if (ids->bits == NULL)
        ids->bits = wz_zalloc(WORDS, sizeof(uint64_t));
    if ((ids->bits[id >> 6] & bit) != 0)
        return false;
    ids->bits[id >> 6] |= bit;
    ids->count++;
    return true;
}

uint16_t wz_packet_ids_next(struct wz_packet_ids *ids)
{
    WZ_ASSERT(ids->count < UINT16_MAX);
    do
        ids->last = ids->last == UINT16_MAX ? 1 : (uint16_t)(ids->last + 1);
    while (!wz_packet_ids_add(ids, ids->last));
    return ids->last;
}

bool wz_packet_ids_remove(struct wz_packet_ids *ids, uint16_t id)
{
    uint64_t bit = (uint64_t)1 << (id & 63);

    if (ids->bits == NULL || (ids->bits[id >> 6] & bit) == 0)
        return false;
    ids->bits[id >> 6] &= ~bit;
    ids->count--;
    return true;
}
