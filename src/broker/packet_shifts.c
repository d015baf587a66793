// SPDX-License-Identifier: Apache-2.0
// Owns the shifts of one queue's packet identifiers.
#include "broker/packet_shifts.h"

#include "base/cursor.h"
#include "base/mem.h"

#define PAIR_BYTES 10

void wz_packet_shifts_release(struct wz_packet_shifts *shifts)
{
    wz_free(shifts->items);
    *shifts = (struct wz_packet_shifts){0};
}

// The number of the shift that holds for SEQUENCE, from 1; 0: none.
static size_t number_of(const struct wz_packet_shifts *shifts, uint64_t sequence)
{
    size_t count = shifts->count;

    while (count > 0 && shifts->items[count - 1].from > sequence)
        count--;
    return count;
}

static uint64_t shift_of(const struct wz_packet_shifts *shifts, size_t number)
{
    return number > 0 ? shifts->items[number - 1].shift : 0;
}

uint16_t wz_packet_shifts_id(const struct wz_packet_shifts *shifts, uint64_t sequence)
{
    uint64_t shift = shift_of(shifts, number_of(shifts, sequence));

    return (uint16_t)((sequence + shift) % WZ_PACKET_ID_COUNT + 1);
}

bool wz_packet_shifts_find(const struct wz_packet_shifts *shifts, uint16_t packet_id, uint64_t low,
                           uint64_t high, uint64_t *ret_sequence)
{
    if (packet_id == 0)
        return false;
    for (size_t i = number_of(shifts, low); i <= shifts->count && low < high; i++) {
        uint64_t end =
            i < shifts->count && shifts->items[i].from < high ? shifts->items[i].from : high;
        uint64_t wanted = packet_id - 1u + WZ_PACKET_ID_COUNT;
        uint64_t present = (low + shift_of(shifts, i)) % WZ_PACKET_ID_COUNT;
        uint64_t found = low + (wanted - present) % WZ_PACKET_ID_COUNT;

        if (found < end) {
            *ret_sequence = found;
            return true;
        }
        low = end;
    }
    return false;
}

int wz_packet_shifts_add(struct wz_packet_shifts *shifts, uint64_t from)
{
    uint64_t shift = shift_of(shifts, shifts->count) + 1;

    if (shifts->count > 0 && shifts->items[shifts->count - 1].from == from) {
        shifts->items[shifts->count - 1].shift = (uint16_t)(shift % WZ_PACKET_ID_COUNT);
        return WZ_OK;
    }
    if (shifts->count >= WZ_PACKET_SHIFTS_MAX)
        return WZ_ERR_LIMIT;
    shifts->items = wz_realloc(shifts->items, (shifts->count + 1) * sizeof(shifts->items[0]));
    shifts->items[shifts->count++] =
        (struct wz_packet_shift){.from = from, .shift = (uint16_t)(shift % WZ_PACKET_ID_COUNT)};
    return WZ_OK;
}

void wz_packet_shifts_cut(struct wz_packet_shifts *shifts, uint64_t low)
{
    size_t number = number_of(shifts, low);

    if (number < 2)
        return;
    shifts->count -= number - 1;
    memmove(shifts->items, shifts->items + number - 1, shifts->count * sizeof(shifts->items[0]));
}

bool wz_packet_shifts_forget(struct wz_packet_shifts *shifts, uint64_t low, uint64_t high)
{
    size_t kept = 0;
    bool any;

    for (size_t i = 0; i < shifts->count; i++) {
        uint64_t end = i + 1 < shifts->count ? shifts->items[i + 1].from : UINT64_MAX;

        if (shifts->items[i].from <= low || end > high)
            shifts->items[kept++] = shifts->items[i];
    }
    any = kept < shifts->count;
    shifts->count = kept;
    return any;
}

void wz_packet_shifts_encode(const struct wz_packet_shifts *shifts, struct wz_buf *buf)
{
    for (size_t i = 0; i < shifts->count; i++) {
        uint8_t bytes[PAIR_BYTES];
        struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

        wz_pen_put_u64(&pen, shifts->items[i].from);
        wz_pen_put_u16(&pen, shifts->items[i].shift);
        wz_buf_add_slice(buf, wz_slice(bytes, sizeof(bytes)));
    }
}

int wz_packet_shifts_decode(struct wz_packet_shifts *shifts, struct wz_slice value)
{
    struct wz_cursor cur = wz_cursor(value);
    size_t count = value.len / PAIR_BYTES;

    if (value.len % PAIR_BYTES != 0 || count > WZ_PACKET_SHIFTS_MAX)
        return WZ_ERR_CORRUPT;
    wz_packet_shifts_release(shifts);
    if (count == 0)
        return WZ_OK;
    shifts->items = wz_alloc(count * sizeof(shifts->items[0]));
    for (size_t i = 0; i < count; i++) {
        struct wz_packet_shift *item = &shifts->items[i];

        item->from = wz_cursor_get_u64(&cur);
        item->shift = wz_cursor_get_u16(&cur);
        if (item->shift >= WZ_PACKET_ID_COUNT || (i > 0 && item->from <= item[-1].from))
            return WZ_ERR_CORRUPT;
        shifts->count++;
    }
    return WZ_OK;
}
