// SPDX-License-Identifier: Apache-2.0
// Owns a queue's entries: chunks in an array that is sorted by their numbers, with room at both
// ends. A chunk goes when nothing in it is there any more, but for the last one: that is used again
// for what comes next, so a queue that is always emptied at once allocates nothing.
#include "broker/entries.h"

#include "base/mem.h"

// Arrays of so many chunks are not made smaller.
#define CAP_SMALL 64

struct wz_entries_chunk {
    uint64_t number; // sequence / WZ_ENTRIES_CHUNK
    uint64_t there;  // a bit of each entry
    struct wz_entry entries[WZ_ENTRIES_CHUNK];
};

_Static_assert(WZ_ENTRIES_CHUNK == 64, "a chunk has a bit for each entry");

static uint64_t number_of(uint64_t sequence) { return sequence / WZ_ENTRIES_CHUNK; }

static uint64_t bit_of(uint64_t sequence) { return (uint64_t)1 << sequence % WZ_ENTRIES_CHUNK; }

static struct wz_entries_chunk *chunk_at(const struct wz_entries *entries, uint32_t pos)
{
    return entries->chunks[entries->begin + pos];
}

void wz_entries_release(struct wz_entries *entries)
{
    for (uint32_t i = 0; i < entries->count; i++)
        wz_free(chunk_at(entries, i));
    wz_free(entries->chunks);
    *entries = (struct wz_entries){0};
}

// The position of the first chunk whose number is not below NUMBER; the count when there is none.
// Where chunks follow one another without a gap from the first on, or up to the last, the limits of
// the search are the answer already.
static uint32_t seek(const struct wz_entries *entries, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = entries->count;
    uint64_t behind;

    if (high == 0 || number > chunk_at(entries, high - 1)->number)
        return high;
    behind = chunk_at(entries, high - 1)->number - number;
    if (behind < high - 1)
        low = high - 1 - (uint32_t)behind;
    if (chunk_at(entries, low)->number >= number)
        return low;
    if (number - chunk_at(entries, 0)->number < high)
        high = (uint32_t)(number - chunk_at(entries, 0)->number);
    // The one at LOW is below, the one at HIGH is not.
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (chunk_at(entries, middle)->number < number)
            low = middle;
        else
            high = middle;
    }
    return high;
}

struct wz_entry *wz_entries_at(const struct wz_entries *entries, uint64_t sequence)
{
    uint32_t pos = seek(entries, number_of(sequence));
    struct wz_entries_chunk *chunk;

    if (pos == entries->count)
        return NULL;
    chunk = chunk_at(entries, pos);
    if (chunk->number != number_of(sequence) || (chunk->there & bit_of(sequence)) == 0)
        return NULL;
    return &chunk->entries[sequence % WZ_ENTRIES_CHUNK];
}

// Moves the chunks within their array, which grows if it is nearly full: to its front, or to its
// middle when the room is wanted in front of them.
static void rearrange(struct wz_entries *entries, bool in_front)
{
    uint32_t begin = 0;

    if (entries->cap - entries->count <= entries->count / 4) {
        entries->cap = entries->count + entries->count / 2 + 4;
        entries->chunks = wz_realloc(entries->chunks, entries->cap * sizeof(entries->chunks[0]));
    }
    if (in_front)
        begin = (entries->cap - entries->count + 1) / 2;
    memmove(entries->chunks + begin, entries->chunks + entries->begin,
            entries->count * sizeof(entries->chunks[0]));
    entries->begin = begin;
}

// Makes room for one more chunk at POS, on the side where fewer have to move.
static struct wz_entries_chunk **insert(struct wz_entries *entries, uint32_t pos)
{
    bool in_front = pos < entries->count / 2;
    struct wz_entries_chunk **at;

    if (in_front ? entries->begin == 0 : entries->begin + entries->count == entries->cap)
        rearrange(entries, in_front);
    if (in_front) {
        entries->begin--;
        at = entries->chunks + entries->begin;
        memmove(at, at + 1, pos * sizeof(*at));
        at += pos;
    } else {
        at = entries->chunks + entries->begin + pos;
        memmove(at + 1, at, (entries->count - pos) * sizeof(*at));
    }
    entries->count++;
    return at;
}

struct wz_entry *wz_entries_add(struct wz_entries *entries, uint64_t sequence)
{
    uint64_t number = number_of(sequence);
    uint32_t pos = seek(entries, number);
    struct wz_entries_chunk *chunk = NULL;
    struct wz_entry *entry;

    if (pos < entries->count)
        chunk = chunk_at(entries, pos);
    else if (pos > 0 && chunk_at(entries, pos - 1)->there == 0)
        chunk = chunk_at(entries, pos - 1); // the last one, which is empty
    if (chunk != NULL && chunk->there == 0 && chunk->number < number)
        chunk->number = number;
    if (chunk == NULL || chunk->number != number) {
        chunk = wz_alloc(sizeof(*chunk)); // of the entries only those that are there are looked at
        chunk->number = number;
        chunk->there = 0;
        *insert(entries, pos) = chunk;
    }
    entry = &chunk->entries[sequence % WZ_ENTRIES_CHUNK];
    if ((chunk->there & bit_of(sequence)) == 0)
        *entry = (struct wz_entry){.place = WZ_JOURNAL_NOWHERE};
    chunk->there |= bit_of(sequence);
    return entry;
}

void wz_entries_remove(struct wz_entries *entries, uint64_t sequence)
{
    uint32_t pos = seek(entries, number_of(sequence));
    struct wz_entries_chunk **at = entries->chunks + entries->begin + pos;
    struct wz_entries_chunk *chunk;

    WZ_ASSERT(pos < entries->count && (*at)->number == number_of(sequence) &&
              ((*at)->there & bit_of(sequence)) != 0);
    chunk = *at;
    chunk->there &= ~bit_of(sequence);
    if (chunk->there != 0 || pos == entries->count - 1)
        return;
    wz_free(chunk);
    entries->count--;
    if (pos < entries->count / 2) {
        at = entries->chunks + entries->begin;
        memmove(at + 1, at, pos * sizeof(*at));
        entries->begin++;
    } else {
        memmove(at, at + 1, (entries->count - pos) * sizeof(*at));
    }
    if (entries->cap > CAP_SMALL && entries->count < entries->cap / 8) {
        memmove(entries->chunks, entries->chunks + entries->begin, entries->count * sizeof(*at));
        entries->begin = 0;
        entries->cap /= 4;
        entries->chunks = wz_realloc(entries->chunks, entries->cap * sizeof(*at));
    }
}

uint64_t wz_entries_next(const struct wz_entries *entries, uint64_t sequence)
{
    uint64_t number = number_of(sequence);

    for (uint32_t pos = seek(entries, number); pos < entries->count; pos++) {
        const struct wz_entries_chunk *chunk = chunk_at(entries, pos);
        uint64_t there = chunk->there;

        if (chunk->number == number)
            there &= UINT64_MAX << sequence % WZ_ENTRIES_CHUNK;
        if (there != 0)
            return chunk->number * WZ_ENTRIES_CHUNK + (uint64_t)__builtin_ctzll(there);
    }
    return UINT64_MAX;
}
