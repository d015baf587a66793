// SPDX-License-Identifier: Apache-2.0
// What a durable queue keeps in memory of its messages: for each a place in the journal, found by
// its sequence. Messages come at the end and go mostly at the front; a million take 24 MB, and
// neither coming nor going ever moves them.
#pragma once

#include "stream/journal.h"

struct wz_shared_body;

// A message. Its place's mark holds enum wz_entry_mark.
struct wz_entry {
    struct wz_journal_place place;
    struct wz_shared_body *shared; // where its body is when others have it too; NULL: with it
};

enum wz_entry_mark {
    WZ_ENTRY_THERE = 1,    // waits, or is on its way
    WZ_ENTRY_QOS2 = 2,     // else QoS 1
    WZ_ENTRY_RELEASED = 4, // QoS 2: the client has it, only its identifier is still in use
};

// Entries by sequence. All zero is none.
struct wz_entries {
    struct wz_entry **chunks; // of WZ_ENTRIES_CHUNK entries; NULL: none of them is there
    uint64_t first;           // number of the first chunk: its lowest sequence / WZ_ENTRIES_CHUNK
    size_t count;             // of chunks
    size_t cap;
};

#define WZ_ENTRIES_CHUNK 64

// The furthest that two entries of one queue may lie apart.
#define WZ_ENTRIES_SPAN ((uint64_t)1 << 24)

// The furthest that they get apart while a queue is used. When a journal is read back the head
// comes behind messages of the same turn, and they lie further apart for a moment.
#define WZ_ENTRIES_SPAN_MAX (WZ_ENTRIES_SPAN / 4)

// Frees them all.
void wz_entries_release(struct wz_entries *entries);

// The entry of SEQUENCE, there or not; NULL when there is none near it.
struct wz_entry *wz_entries_at(const struct wz_entries *entries, uint64_t sequence);

// The same, made when there is none; all zero then, nowhere. WZ_ERR_LIMIT when it lies further than
// WZ_ENTRIES_SPAN from another.
WZ_MUST int wz_entries_add(struct wz_entries *entries, uint64_t sequence,
                           struct wz_entry **ret_entry);

// Where entries may be: none below wz_entries_low, none from wz_entries_high on.
static inline uint64_t wz_entries_low(const struct wz_entries *entries)
{
    return entries->count > 0 ? entries->first * WZ_ENTRIES_CHUNK : UINT64_MAX;
}
static inline uint64_t wz_entries_high(const struct wz_entries *entries)
{
    return (entries->first + entries->count) * WZ_ENTRIES_CHUNK;
}

// Frees the memory of entries below SEQUENCE, which are gone.
void wz_entries_cut(struct wz_entries *entries, uint64_t sequence);
