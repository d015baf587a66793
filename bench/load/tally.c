// SPDX-License-Identifier: Apache-2.0
// One balance a packet of the ring; whole turns of the ring are added to all at once.

#include "tally.h"

#include <stdlib.h>

#include "fail.h"

struct wz_tally *wz_tally_new(size_t count)
{
    struct wz_tally *tally = calloc(1, sizeof(*tally));

    if (tally == NULL)
        wz_fail("out of memory");
    tally->count = count;
    tally->balances = calloc(count, sizeof(*tally->balances));
    if (tally->balances == NULL)
        wz_fail("out of memory");
    return tally;
}

void wz_tally_free(struct wz_tally *tally)
{
    if (tally == NULL)
        return;
    free(tally->balances);
    free(tally);
}

void wz_tally_publish(struct wz_tally *tally, uint64_t first, uint64_t total)
{
    int32_t turns = (int32_t)(total / tally->count);

    for (size_t i = 0; i < tally->count; i++)
        tally->balances[i] -= turns;
    for (uint64_t n = 0; n < total % tally->count; n++)
        tally->balances[(first + n) % tally->count]--;
}

void wz_tally_receive(struct wz_tally *tally, uint64_t number)
{
    if (number < tally->count)
        tally->balances[number]++;
    else
        tally->strange++;
}

uint64_t wz_tally_lost(const struct wz_tally *tally)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < tally->count; i++)
        lost += tally->balances[i] < 0 ? (uint64_t)-tally->balances[i] : 0;
    return lost;
}

uint64_t wz_tally_doubled(const struct wz_tally *tally)
{
    uint64_t doubled = 0;

    for (size_t i = 0; i < tally->count; i++)
        doubled += tally->balances[i] > 0 ? (uint64_t)tally->balances[i] : 0;
    return doubled;
}
