// SPDX-License-Identifier: Apache-2.0
// Owns the order in which entries are read: by their places, so the journal is read forward.
#include "engine/state_load.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/lane.h"

// What is read at a time.
#define LOAD_ENTRIES 4096
#define LOAD_BYTES ((size_t)1024 * 1024)

// An entry moves when its segment is compacted; so often in a row is not one that is there.
#define MOVES_MAX 100

struct wz_state_load {
    struct wz_fetcher *fetcher;
    wz_state_load_fn got;
    void *arg;
    struct wz_state_entry **entries;
    size_t count;
    size_t done;
    int moves;
    struct wz_buf frames;
    bool freed; // while GOT runs
    bool in_call;
};

static bool is_its_own(const struct wz_state_entry *entry, int worker, int count)
{
    if (entry->id[0] == WZ_LANE_SHARED)
        return count == 1;
    return count > 1 && wz_lane_worker(entry->id[0], count) == worker;
}

static int by_place(const void *a, const void *b)
{
    const struct wz_state_entry *const *one = a;
    const struct wz_state_entry *const *other = b;

    return ((*one)->place.offset > (*other)->place.offset) -
           ((*one)->place.offset < (*other)->place.offset);
}

static void put_entry(struct wz_state_load *load, const struct wz_state_entry *entry,
                      struct wz_slice value)
{
    const struct wz_frame_entry change = {
        .lane = entry->id[0],
        .key = wz_slice(entry->id + 1, entry->id_len - 1u),
        .value = value,
    };

    wz_frame_put_entry(&load->frames, &change);
}

static void tell(struct wz_state_load *load, bool done, int err)
{
    load->in_call = true;
    load->got(load->arg, wz_buf_slice(&load->frames), done, err);
    load->in_call = false;
    if (load->freed)
        wz_state_load_free(load);
}

// Adds what was fetched to a frame. WZ_AGAIN when an entry was not where it was to be.
static int take(struct wz_state_load *load, struct wz_fetch *fetch)
{
    struct wz_slice value;
    int64_t offset;
    uint32_t count = 0;
    size_t start;
    int result;
    int r;

    load->frames.len = 0;
    start = wz_frame_list_open(&load->frames, WZ_FRAME_STATE);
    while ((r = wz_fetch_next(fetch, &offset, &value, &result)) == WZ_OK) {
        struct wz_state_entry *entry = load->entries[load->done];

        if (result == WZ_ERR_NOT_FOUND && entry->place.offset != offset)
            r = WZ_AGAIN; // compaction has moved it
        else if (result == WZ_OK && value.len < 1)
            r = WZ_ERR_CORRUPT;
        else
            r = result;
        if (r != WZ_OK)
            break;
        put_entry(load, entry, wz_slice_sub(value, 1, value.len - 1)); // behind the version
        load->done++;
        count++;
    }
    wz_frame_list_close(&load->frames, start, count);
    return r == WZ_END ? WZ_OK : r;
}

static void on_fetched(void *arg, struct wz_fetch *fetch)
{
    struct wz_state_load *load = arg;
    int r = take(load, fetch);

    load->moves = r == WZ_AGAIN ? load->moves + 1 : 0;
    if (load->moves > MOVES_MAX)
        r = WZ_ERR_CORRUPT;
    tell(load, load->done == load->count, r == WZ_AGAIN ? WZ_OK : r);
}

struct wz_state_load *wz_state_load_new(struct wz_loop *loop, struct wz_account *account,
                                        int worker, int count, wz_state_load_fn got, void *arg)
{
    struct wz_state_load *load = wz_zalloc(1, sizeof(*load));
    struct wz_state_entry *entry;
    size_t walk = 0;

    load->fetcher = wz_fetcher_new(loop, wz_journal_log(account->journal), on_fetched, load);
    load->got = got;
    load->arg = arg;
    load->entries = wz_zalloc(account->state.count + 1, sizeof(struct wz_state_entry *));
    while ((entry = wz_map_next(&account->state, &walk)))
        if (is_its_own(entry, worker, count))
            load->entries[load->count++] = entry;
    qsort(load->entries, load->count, sizeof(struct wz_state_entry *), by_place);
    return load;
}

void wz_state_load_next(struct wz_state_load *load)
{
    int64_t offsets[LOAD_ENTRIES];
    size_t n = 0;

    while (n < LOAD_ENTRIES && load->done + n < load->count) {
        offsets[n] = load->entries[load->done + n]->place.offset;
        n++;
    }
    if (n > 0) {
        wz_fetcher_start(load->fetcher, offsets, n, LOAD_BYTES);
        return;
    }
    load->frames.len = 0;
    tell(load, true, WZ_OK);
}

void wz_state_load_free(struct wz_state_load *load)
{
    if (!load)
        return;
    if (load->in_call) {
        load->freed = true;
        return;
    }
    wz_fetcher_free(load->fetcher);
    wz_free(load->entries);
    wz_buf_release(&load->frames);
    wz_free(load);
}
