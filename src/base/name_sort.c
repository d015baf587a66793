// SPDX-License-Identifier: Apache-2.0
// Owns nothing but what it needs while it sorts. Items get the next eight bytes of their names as
// a number, their front, and are put into the order of the fronts by counting; a run of items whose
// fronts are the same is sorted by the eight bytes behind, and so on. Names are looked at once in
// eight bytes, and one after the other, so that cache misses overlap: a comparing sort would miss
// twenty times a name, each time alone.
#include "base/name_sort.h"

#include <endian.h>

#include "base/err.h"
#include "base/mem.h"

// How many bytes of a name are a front.
#define FRONT_LEN sizeof(uint64_t)

// Fewer items than this are put into order by insertion.
#define FEW 64

// So many items ahead of the one at hand names are fetched into the cache, and at twice that the
// items.
#define AHEAD 16

struct sorter {
    wz_name_sort_name_fn name_of;
    const void *arg;
    struct wz_named *spare; // room for all items
};

static struct wz_slice name_of(const struct sorter *sorter, const struct wz_named *named)
{
    return sorter->name_of(sorter->arg, named->item);
}

// The bytes of NAME from DEPTH on, as a number that is in their order; missing ones are 0.
static uint64_t front_of(struct wz_slice name, size_t depth)
{
    uint64_t front = 0;
    size_t left = name.len > depth ? name.len - depth : 0;

    if (left >= FRONT_LEN)
        memcpy(&front, name.ptr + depth, FRONT_LEN);
    else if (left > 0)
        memcpy(&front, name.ptr + depth, left);
    return be64toh(front);
}

// Fills the fronts in. Returns how many names have no byte at DEPTH.
static size_t load(const struct sorter *sorter, struct wz_named *items, size_t count, size_t depth)
{
    size_t ended = 0;

    for (size_t i = 0; i < count; i++) {
        struct wz_slice name;

        if (i + 2 * AHEAD < count)
            __builtin_prefetch(items[i + 2 * AHEAD].item);
        if (i + AHEAD < count) {
            name = name_of(sorter, &items[i + AHEAD]);
            if (depth < name.len)
                __builtin_prefetch(name.ptr + depth);
        }
        name = name_of(sorter, &items[i]);
        items[i].front = front_of(name, depth);
        ended += name.len <= depth;
    }
    return ended;
}

static void insert_each(struct wz_named *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct wz_named named = items[i];
        size_t at = i;

        for (; at > 0 && items[at - 1].front > named.front; at--)
            items[at] = items[at - 1];
        items[at] = named;
    }
}

// One pass: moves the items from FROM to TO in the order of one byte of their fronts. COUNTS says
// how many have which.
static void deal(const struct wz_named *from, struct wz_named *to, size_t count, unsigned shift,
                 const uint32_t *counts)
{
    uint32_t places[256];
    uint32_t place = 0;

    for (size_t byte = 0; byte < 256; byte++) {
        places[byte] = place;
        place += counts[byte];
    }
    for (size_t i = 0; i < count; i++)
        to[places[from[i].front >> shift & 0xff]++] = from[i];
}

// Puts items into the order of their fronts, from the last byte to the first; a byte that is the
// same in all is passed over.
static void deal_each(struct wz_named *items, struct wz_named *spare, size_t count)
{
    uint32_t counts[FRONT_LEN][256] = {0};
    struct wz_named *from = items;
    struct wz_named *to = spare;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < FRONT_LEN; k++)
            counts[k][items[i].front >> 8 * k & 0xff]++;
    }
    for (size_t k = 0; k < FRONT_LEN; k++) {
        struct wz_named *done = from;

        if (counts[k][items[0].front >> 8 * k & 0xff] == count)
            continue;
        deal(from, to, count, (unsigned)(8 * k), counts[k]);
        from = to;
        to = done;
    }
    if (from != items)
        memcpy(items, from, count * sizeof(items[0]));
}

static void order(const struct sorter *sorter, struct wz_named *items, size_t count)
{
    if (count < FEW)
        insert_each(items, count);
    else
        deal_each(items, sorter->spare, count);
}

// Puts the names that end at DEPTH or before it in front of the others, the shorter first: they
// differ in nothing but zeros at their ends.
static void put_ended_first(const struct sorter *sorter, struct wz_named *items, size_t count,
                            size_t depth, size_t ended)
{
    size_t first = 0;
    size_t rest = ended;

    for (size_t i = 0; i < count; i++) {
        size_t len = name_of(sorter, &items[i]).len;

        if (len <= depth)
            sorter->spare[first++] = (struct wz_named){.item = items[i].item, .front = len};
        else
            sorter->spare[rest++] = items[i];
    }
    memcpy(items, sorter->spare, count * sizeof(items[0]));
    order(sorter, items, ended);
}

// Sorts items whose names have the same bytes before DEPTH. It calls itself for a part of them,
// which is at most as deep as a name has fronts.
static void sort(const struct sorter *sorter, struct wz_named *items, size_t count, size_t depth)
{
    for (bool same = true; same && count > 1; depth += FRONT_LEN) {
        size_t ended = load(sorter, items, count, depth);

        if (ended > 0)
            put_ended_first(sorter, items, count, depth, ended);
        items += ended;
        count -= ended;
        order(sorter, items, count);
        same = count > 0 && items[0].front == items[count - 1].front;
    }
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && items[end].front == items[start].front; end++)
            continue;
        if (end - start > 1)
            sort(sorter, items + start, end - start, depth);
    }
}

void wz_name_sort(struct wz_named *items, size_t count, wz_name_sort_name_fn name_of_item,
                  const void *arg)
{
    struct sorter sorter = {.name_of = name_of_item, .arg = arg};

    WZ_ASSERT(count <= UINT32_MAX);
    sorter.spare = wz_alloc(count * sizeof(items[0]));
    sort(&sorter, items, count, 0);
    wz_free(sorter.spare);
}
