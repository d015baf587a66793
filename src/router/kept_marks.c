// SPDX-License-Identifier: Apache-2.0
// Owns the bits.
#include "router/kept_marks.h"

#include "base/cursor.h"
#include "base/mem.h"

static void write_key(uint8_t key[9], int64_t number)
{
    struct wz_pen pen = wz_pen(key, 9);

    wz_pen_put_u8(&pen, 'm');
    wz_pen_put_u64(&pen, (uint64_t)number);
}

static struct wz_slice key_of(const struct wz_marks_chunk *chunk)
{
    return wz_slice(chunk->key, sizeof(chunk->key));
}

static int64_t number_of(const struct wz_marks_chunk *chunk)
{
    struct wz_cursor cur = wz_cursor(wz_slice(chunk->key + 1, sizeof(chunk->key) - 1));

    return (int64_t)wz_cursor_get_u64(&cur);
}

static struct wz_marks_chunk *find(const struct wz_marks *marks, int64_t offset)
{
    uint8_t key[9];

    write_key(key, offset / WZ_MARKS_CHUNK);
    return wz_map_get(&marks->chunks, wz_slice(key, sizeof(key)));
}

static struct wz_marks_chunk *use(struct wz_marks *marks, int64_t number)
{
    uint8_t key[9];
    struct wz_marks_chunk *chunk;

    write_key(key, number);
    chunk = wz_map_get(&marks->chunks, wz_slice(key, sizeof(key)));
    if (chunk != NULL)
        return chunk;
    chunk = wz_zalloc(1, sizeof(*chunk));
    memcpy(chunk->key, key, sizeof(key));
    chunk->place = WZ_JOURNAL_NOWHERE;
    (void)wz_map_put(&marks->chunks, key_of(chunk), chunk);
    return chunk;
}

static void forget(struct wz_marks *marks, struct wz_marks_chunk *chunk)
{
    (void)wz_map_remove(&marks->chunks, key_of(chunk));
    wz_free(chunk);
}

void wz_marks_release(struct wz_marks *marks)
{
    size_t state = 0;
    struct wz_marks_chunk *chunk;

    while ((chunk = wz_map_next(&marks->chunks, &state)) != NULL)
        forget(marks, chunk);
    wz_map_release(&marks->chunks);
}

bool wz_marks_has(const struct wz_marks *marks, int64_t offset)
{
    const struct wz_marks_chunk *chunk = find(marks, offset);
    int64_t bit = offset % WZ_MARKS_CHUNK;

    return chunk != NULL && (chunk->bits[bit / 8] >> (bit % 8) & 1) != 0;
}

void wz_marks_set(struct wz_marks *marks, int64_t offset)
{
    struct wz_marks_chunk *chunk = use(marks, offset / WZ_MARKS_CHUNK);
    int64_t bit = offset % WZ_MARKS_CHUNK;

    chunk->bits[bit / 8] |= (uint8_t)(1u << (bit % 8));
    chunk->dirty = true;
}

int wz_marks_replay(struct wz_marks *marks, struct wz_journal *journal,
                    const struct wz_journal_record *record)
{
    struct wz_cursor cur = wz_cursor(record->key);
    struct wz_marks_chunk *chunk;
    int64_t number;

    (void)wz_cursor_get_u8(&cur); // the letter
    number = (int64_t)wz_cursor_get_u64(&cur);
    if (cur.failed || wz_cursor_left(&cur) > 0 || number < 0 ||
        (!record->removed && record->value.len != WZ_MARKS_BYTES))
        return WZ_ERR_CORRUPT;
    chunk = use(marks, number);
    wz_journal_drop(journal, &chunk->place);
    if (record->removed) {
        forget(marks, chunk);
        return WZ_OK;
    }
    chunk->place = record->place;
    memcpy(chunk->bits, record->value.ptr, WZ_MARKS_BYTES);
    return WZ_OK;
}

struct wz_journal_place *wz_marks_find(const struct wz_marks *marks, struct wz_slice key)
{
    struct wz_marks_chunk *chunk = wz_map_get(&marks->chunks, key);

    return chunk != NULL && chunk->place.offset >= 0 ? &chunk->place : NULL;
}

void wz_marks_put(struct wz_marks *marks, struct wz_journal *journal, int64_t first)
{
    size_t state = 0;
    struct wz_marks_chunk *chunk;

    while ((chunk = wz_map_next(&marks->chunks, &state)) != NULL) {
        struct wz_slice bits = wz_slice(chunk->bits, WZ_MARKS_BYTES);

        if ((number_of(chunk) + 1) * WZ_MARKS_CHUNK <= first) {
            if (chunk->place.offset >= 0)
                wz_journal_remove(journal, WZ_MARKS_LETTER, key_of(chunk), &chunk->place);
            forget(marks, chunk);
        } else if (chunk->dirty) {
            wz_journal_put(journal, WZ_MARKS_LETTER, key_of(chunk), &bits, 1, &chunk->place);
            chunk->dirty = false;
        }
    }
}
