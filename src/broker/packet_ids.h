// SPDX-License-Identifier: Apache-2.0
// A set of MQTT packet identifiers (3.1.1, 2.3.1): 1 to 65,535, 0 is none.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The identifiers in use. All zero is an empty set.
struct wz_packet_ids {
    uint64_t **pages; // a bit for each; NULL: none of them, and so a page
    uint32_t count;
    uint16_t last; // the one given last by wz_packet_ids_next
    uint8_t page_count;
};

// How many pages there may be, of 64-bit words.
#define WZ_PACKET_IDS_PAGES 16
#define WZ_PACKET_IDS_WORDS (65536 / 64 / WZ_PACKET_IDS_PAGES)

// The memory of the bits: at the most 8 KiB and the pages' addresses.
static inline size_t wz_packet_ids_bytes(const struct wz_packet_ids *ids)
{
    return ids->pages == NULL ? 0
                              : WZ_PACKET_IDS_PAGES * sizeof(uint64_t *) +
                                    ids->page_count * WZ_PACKET_IDS_WORDS * sizeof(uint64_t);
}

// Frees the bits; the set is empty then.
void wz_packet_ids_release(struct wz_packet_ids *ids);

// Frees memory in which nothing is. Called now and then, not after each message.
void wz_packet_ids_trim(struct wz_packet_ids *ids);

// Takes the next free identifier behind the last one given; at least one must be free.
uint16_t wz_packet_ids_next(struct wz_packet_ids *ids);

// Puts an identifier in; false when it is there already.
bool wz_packet_ids_add(struct wz_packet_ids *ids, uint16_t id);

// Whether an identifier is in the set.
static inline bool wz_packet_ids_has(const struct wz_packet_ids *ids, uint16_t id)
{
    const uint64_t *page = ids->pages != NULL ? ids->pages[id / 64 / WZ_PACKET_IDS_WORDS] : NULL;

    return page != NULL && (page[id / 64 % WZ_PACKET_IDS_WORDS] >> (id & 63) & 1) != 0;
}

// Takes an identifier out; false when it is not there.
bool wz_packet_ids_remove(struct wz_packet_ids *ids, uint16_t id);
