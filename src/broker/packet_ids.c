// SPDX-License-Identifier: Apache-2.0
// Owns a bit for each identifier, in pages: clients count upwards, so a session that has few in use
// has them close together and takes one page.
#include "broker/packet_ids.h"

#include "base/err.h"
#include "base/mem.h"

// So many are not looked at: those in use just now, and the ones before.
#define PAGES_FEW 2

void wz_packet_ids_release(struct wz_packet_ids *ids)
{
    for (size_t i = 0; ids->pages != NULL && i < WZ_PACKET_IDS_PAGES; i++)
        wz_free(ids->pages[i]);
    wz_free(ids->pages);
    ids->pages = NULL;
    ids->page_count = 0;
    ids->count = 0;
}

static bool is_empty(const uint64_t *page)
{
    for (size_t i = 0; i < WZ_PACKET_IDS_WORDS; i++) {
        if (page[i] != 0)
            return false;
    }
    return true;
}

void wz_packet_ids_trim(struct wz_packet_ids *ids)
{
    if (ids->count == 0)
        wz_packet_ids_release(ids);
    if (ids->page_count <= PAGES_FEW)
        return;
    for (size_t i = 0; i < WZ_PACKET_IDS_PAGES; i++) {
        if (ids->pages[i] == NULL || !is_empty(ids->pages[i]))
            continue;
        wz_free(ids->pages[i]);
        ids->pages[i] = NULL;
        ids->page_count--;
    }
}

// The word of an identifier, made when there is none.
static uint64_t *word_of(struct wz_packet_ids *ids, uint16_t id)
{
    size_t word = id / 64;
    uint64_t **page;

    if (ids->pages == NULL)
        ids->pages = wz_zalloc(WZ_PACKET_IDS_PAGES, sizeof(ids->pages[0]));
    page = &ids->pages[word / WZ_PACKET_IDS_WORDS];
    if (*page == NULL) {
        *page = wz_zalloc(WZ_PACKET_IDS_WORDS, sizeof(**page));
        ids->page_count++;
    }
    return *page + word % WZ_PACKET_IDS_WORDS;
}

bool wz_packet_ids_add(struct wz_packet_ids *ids, uint16_t id)
{
    uint64_t bit = (uint64_t)1 << (id & 63);
    uint64_t *word = word_of(ids, id);

    if ((*word & bit) != 0)
        return false;
    *word |= bit;
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
    if (!wz_packet_ids_has(ids, id))
        return false;
    *word_of(ids, id) &= ~((uint64_t)1 << (id & 63));
    ids->count--;
    return true;
}
