// SPDX-License-Identifier: Apache-2.0
// What a durable queue keeps in memory of its messages: for each a place in the journal, found by
// its sequence. Messages come at the end and go mostly at the front; a million take 24 MB. Some may
// stay for ever while those around them go: what is kept is what is there, in chunks of neighbours,
// however far they lie apart. Entries never move.
#pragma once

#include "stream/journal.h"

struct wz_shared_body;

// A message. Its place's mark holds enum wz_entry_mark.
struct wz_entry {
    struct wz_journal_place place;
    struct wz_shared_body *shared; // where its body is when others have it too; NULL: with it
};

enum wz_entry_mark {
    WZ_ENTRY_QOS2 = 1,     // else QoS 1
    WZ_ENTRY_RELEASED = 2, // QoS 2: the client has it, only its identifier is still in use
};

// How many sequences, neighbours of one another, share a piece of memory.
#define WZ_ENTRIES_CHUNK 64

// Entries by sequence. All zero is none. Fields are entries.c's.
struct wz_entries {
    struct wz_entries_chunk **chunks; // in the order of sequences, from BEGIN on
    uint32_t begin;
    uint32_t count;
    uint32_t cap;
};

// Frees them all.
void wz_entries_release(struct wz_entries *entries);

// The entry of SEQUENCE; NULL when it is not there.
struct wz_entry *wz_entries_at(const struct wz_entries *entries, uint64_t sequence);

// The same, made when it is not there: without a body that is shared, nowhere.
struct wz_entry *wz_entries_add(struct wz_entries *entries, uint64_t sequence);

// Takes the entry of SEQUENCE, which is there, out.
void wz_entries_remove(struct wz_entries *entries, uint64_t sequence);

// The lowest sequence, at or above SEQUENCE, of which an entry is there; UINT64_MAX: none.
uint64_t wz_entries_next(const struct wz_entries *entries, uint64_t sequence);
