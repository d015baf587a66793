// SPDX-License-Identifier: Apache-2.0
// Which records of the stream of unmapped messages are done with: they have re-entered, or were
// forgotten. A bit for each offset, in the journal as keys 'W' 'm' of WZ_MARKS_CHUNK offsets each
// (docs/formats/journal.md).
#pragma once

#include "base/map.h"
#include "stream/journal.h"

#define WZ_MARKS_LETTER 'W'
#define WZ_MARKS_CHUNK 4096
#define WZ_MARKS_BYTES (WZ_MARKS_CHUNK / 8)

// The bits of WZ_MARKS_CHUNK offsets.
struct wz_marks_chunk {
    uint8_t key[9]; // 'm' and its number
    bool dirty;     // not as the journal has it
    struct wz_journal_place place;
    uint8_t bits[WZ_MARKS_BYTES];
};

// All zero is none.
struct wz_marks {
    struct wz_map chunks;
};

// Frees all.
void wz_marks_release(struct wz_marks *marks);

// Whether the record at OFFSET is done with. Any thread, as long as nobody sets one.
bool wz_marks_has(const struct wz_marks *marks, int64_t offset);

// Says that it is.
void wz_marks_set(struct wz_marks *marks, int64_t offset);

// Takes a record of the journal whose key, behind the letter, begins with 'm'.
WZ_MUST int wz_marks_replay(struct wz_marks *marks, struct wz_journal *journal,
                            const struct wz_journal_record *record);

// The place of such a key, or NULL.
struct wz_journal_place *wz_marks_find(const struct wz_marks *marks, struct wz_slice key);

// Puts what has changed into the journal, inside a group, and takes out what is of offsets below
// FIRST alone: these records are gone.
void wz_marks_put(struct wz_marks *marks, struct wz_journal *journal, int64_t first);
