// SPDX-License-Identifier: Apache-2.0
// Owns a queue's entries: an array of chunks, of which the front goes and the end grows.
#include "broker/entries.h"

#include "base/mem.h"

void wz_entries_release(struct wz_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        wz_free(entries->chunks[i]);
    wz_free(entries->chunks);
    *entries = (struct wz_entries){0};
}

struct wz_entry *wz_entries_at(const struct wz_entries *entries, uint64_t sequence)
{
    uint64_t chunk = sequence / WZ_ENTRIES_CHUNK;

    if (chunk < entries->first || chunk - entries->first >= entries->count ||
        entries->chunks[chunk - entries->first] == NULL)
        return NULL;
    return &entries->chunks[chunk - entries->first][sequence % WZ_ENTRIES_CHUNK];
}

// Makes COUNT more places, in front of the chunks or behind them.
static void widen(struct wz_entries *entries, size_t front, size_t back)
{
    size_t count = entries->count + front + back;

    if (count > entries->cap) {
        entries->cap = count + count / 2;
        entries->chunks = wz_realloc(entries->chunks, entries->cap * sizeof(entries->chunks[0]));
    }
    memmove(entries->chunks + front, entries->chunks, entries->count * sizeof(entries->chunks[0]));
    for (size_t i = 0; i < front; i++)
        entries->chunks[i] = NULL;
    for (size_t i = entries->count + front; i < count; i++)
        entries->chunks[i] = NULL;
    entries->first -= front;
    entries->count = count;
}

int wz_entries_add(struct wz_entries *entries, uint64_t sequence, struct wz_entry **ret_entry)
{
    uint64_t chunk = sequence / WZ_ENTRIES_CHUNK;
    struct wz_entry **place;

    if (entries->count == 0)
        entries->first = chunk;
    if (chunk + WZ_ENTRIES_SPAN / WZ_ENTRIES_CHUNK < entries->first + entries->count ||
        chunk > entries->first + WZ_ENTRIES_SPAN / WZ_ENTRIES_CHUNK)
        return WZ_ERR_LIMIT;
    if (chunk < entries->first)
        widen(entries, (size_t)(entries->first - chunk), 0);
    else if (chunk - entries->first >= entries->count)
        widen(entries, 0, (size_t)(chunk - entries->first - entries->count + 1));
    place = &entries->chunks[chunk - entries->first];
    if (*place == NULL) {
        *place = wz_alloc(WZ_ENTRIES_CHUNK * sizeof(struct wz_entry));
        for (int i = 0; i < WZ_ENTRIES_CHUNK; i++)
            (*place)[i] = (struct wz_entry){.place = WZ_JOURNAL_NOWHERE};
    }
    *ret_entry = &(*place)[sequence % WZ_ENTRIES_CHUNK];
    return WZ_OK;
}

void wz_entries_cut(struct wz_entries *entries, uint64_t sequence)
{
    uint64_t chunk = sequence / WZ_ENTRIES_CHUNK;
    size_t gone = 0;

    if (chunk <= entries->first || entries->count == 0)
        return;
    gone =
        chunk - entries->first < entries->count ? (size_t)(chunk - entries->first) : entries->count;
    // Most calls find nothing to do; the array is moved only when a good part of it has gone.
    for (size_t i = 0; i < gone; i++) {
        wz_free(entries->chunks[i]);
        entries->chunks[i] = NULL;
    }
    if (gone < entries->count && gone * 2 < entries->count && gone < 64)
        return;
    entries->count -= gone;
    entries->first += gone;
    memmove(entries->chunks, entries->chunks + gone, entries->count * sizeof(entries->chunks[0]));
    if (entries->count == 0)
        wz_entries_release(entries);
}
