// SPDX-License-Identifier: Apache-2.0
// Owns the runs of queued records, and with them references to their blocks. A record that is
// pushed by itself goes into a block that no other queue holds; these blocks double in size, so
// that a lane with one record takes little memory.
#include "engine/input_queue.h"

#include "base/mem.h"

#define RING_MIN 4
#define OWN_BLOCK_MIN_BYTES 512

static struct wz_block_run *run_at(const struct wz_input_runs *runs, size_t i)
{
    return &runs->ring[(runs->head + i) & (runs->cap - 1)];
}

static void make_room(struct wz_input_runs *runs)
{
    size_t cap = runs->cap > 0 ? runs->cap * 2 : RING_MIN;
    struct wz_block_run *ring;

    if (runs->count < runs->cap)
        return;
    ring = wz_alloc(cap * sizeof(*ring));
    for (size_t i = 0; i < runs->count; i++)
        ring[i] = *run_at(runs, i);
    wz_free(runs->ring);
    runs->ring = ring;
    runs->cap = cap;
    runs->head = 0;
}

// Adds a run at the end; its reference is taken over.
static void add_last(struct wz_input_runs *runs, struct wz_block_run run)
{
    struct wz_block_run *last = runs->count > 0 ? run_at(runs, runs->count - 1) : NULL;

    if (last && last->block == run.block && last->to == run.from) {
        last->to = run.to;
        wz_block_unref(run.block);
        return;
    }
    make_room(runs);
    *run_at(runs, runs->count++) = run;
}

// Adds a run in front; its reference is taken over.
static void add_first(struct wz_input_runs *runs, struct wz_block_run run)
{
    struct wz_block_run *first = runs->count > 0 ? run_at(runs, 0) : NULL;

    if (first && first->block == run.block && run.to == first->from) {
        first->from = run.from;
        wz_block_unref(run.block);
        return;
    }
    make_room(runs);
    runs->head = (runs->head - 1) & (runs->cap - 1);
    runs->count++;
    *run_at(runs, 0) = run;
}

static struct wz_block_run take_last(struct wz_input_runs *runs)
{
    return *run_at(runs, --runs->count);
}

// Drops the first COUNT records of the first run.
static void drop_first(struct wz_input_runs *runs, uint32_t count)
{
    struct wz_block_run *first = run_at(runs, 0);

    first->from += count;
    if (first->from < first->to)
        return;
    wz_block_unref(first->block);
    runs->head = (runs->head + 1) & (runs->cap - 1);
    runs->count--;
}

static void clear_runs(struct wz_input_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        wz_block_unref(run_at(runs, i)->block);
    runs->count = 0;
    runs->head = 0;
}

void wz_input_queue_release(struct wz_input_queue *queue)
{
    wz_input_queue_clear(queue);
    wz_free(queue->sent.ring);
    wz_free(queue->waiting.ring);
    *queue = (struct wz_input_queue){0};
}

// The last run if records may be added to its block: nobody else holds it.
static struct wz_block_run *own_last(const struct wz_input_queue *queue, uint8_t stream)
{
    const struct wz_input_runs *runs = &queue->waiting;
    struct wz_block_run *last = runs->count > 0 ? run_at(runs, runs->count - 1) : NULL;

    if (!last || last->block->refs > 1 || last->block->stream != stream ||
        last->to < last->block->count)
        return NULL;
    return last;
}

static size_t own_block_bytes(const struct wz_block_run *last, size_t len)
{
    size_t bytes = last ? (size_t)last->block->max_bytes * 2 : OWN_BLOCK_MIN_BYTES;

    if (bytes > WZ_BLOCK_BYTES)
        bytes = WZ_BLOCK_BYTES;
    return bytes < len ? len : bytes;
}

void wz_input_queue_push(struct wz_input_queue *queue, const struct wz_frame_record *record)
{
    struct wz_block_run *last = own_last(queue, record->stream);
    size_t len = wz_frame_record_len(record);
    struct wz_block *block;

    queue->count++;
    queue->bytes += len;
    if (last && wz_block_add(last->block, record)) {
        last->to++;
        return;
    }
    block = wz_block_new(record->stream, own_block_bytes(last, len));
    WZ_ASSERT(wz_block_add(block, record));
    add_last(&queue->waiting, (struct wz_block_run){.block = block, .to = 1});
}

void wz_input_queue_push_run(struct wz_input_queue *queue, const struct wz_block_run *run)
{
    queue->count += wz_block_run_count(run);
    queue->bytes += wz_block_run_bytes(run).len;
    (void)wz_block_ref(run->block); // the queue's
    add_last(&queue->waiting, *run);
}

// OTHER has given away its runs.
static void move_counts(struct wz_input_queue *queue, struct wz_input_queue *other)
{
    queue->count += other->count;
    queue->bytes += other->bytes;
    other->waiting.count = 0;
    wz_input_queue_clear(other);
}

void wz_input_queue_append(struct wz_input_queue *queue, struct wz_input_queue *other)
{
    WZ_ASSERT(other->sent_count == 0);
    for (size_t i = 0; i < other->waiting.count; i++)
        add_last(&queue->waiting, *run_at(&other->waiting, i));
    move_counts(queue, other);
}

void wz_input_queue_insert(struct wz_input_queue *queue, struct wz_input_queue *other)
{
    WZ_ASSERT(other->sent_count == 0);
    while (other->waiting.count > 0)
        add_first(&queue->waiting, take_last(&other->waiting));
    move_counts(queue, other);
}

bool wz_input_queue_front(const struct wz_input_queue *queue, struct wz_block_run *ret_run)
{
    if (queue->count == 0)
        return false;
    *ret_run = *run_at(queue->sent_count > 0 ? &queue->sent : &queue->waiting, 0);
    return true;
}

bool wz_input_queue_first(const struct wz_input_queue *queue, struct wz_frame_record *ret_record)
{
    struct wz_block_run run;

    if (!wz_input_queue_front(queue, &run))
        return false;
    wz_block_get(run.block, run.from, ret_record);
    return true;
}

bool wz_input_queue_find(const struct wz_input_queue *queue, uint8_t stream, int64_t offset,
                         struct wz_frame_record *ret_record)
{
    for (size_t i = 0; i < queue->sent.count; i++) {
        const struct wz_block_run *run = run_at(&queue->sent, i);
        uint32_t at = run->from + wz_block_run_below(run, offset);

        if (run->block->stream != stream || at == run->to ||
            run->block->entries[at].offset != offset)
            continue;
        wz_block_get(run->block, at, ret_record);
        return true;
    }
    return false;
}

bool wz_input_queue_pass(const struct wz_input_queue *queue, uint32_t count,
                         struct wz_input_walk *walk)
{
    for (; walk->run < queue->sent.count; walk->run++) {
        const struct wz_block_run *run = run_at(&queue->sent, walk->run);
        uint32_t left = wz_block_run_count(run) - walk->at;

        if (count < left) {
            const struct wz_block_entry *entry = &run->block->entries[run->from + walk->at + count];

            walk->at += count + 1;
            walk->stream = run->block->stream;
            walk->lane = entry->lane;
            walk->offset = entry->offset;
            return true;
        }
        count -= left;
        walk->at = 0;
    }
    return false;
}

static bool has_lane(const struct wz_block_run *run, uint8_t lane)
{
    for (uint32_t i = run->from; i < run->to; i++)
        if (run->block->entries[i].lane == lane)
            return true;
    return false;
}

bool wz_input_queue_has_sent(const struct wz_input_queue *queue, uint8_t lane)
{
    for (size_t i = 0; i < queue->sent.count; i++)
        if (has_lane(run_at(&queue->sent, i), lane))
            return true;
    return false;
}

// Gives the first record a block that nobody else holds.
static void own_first(struct wz_input_runs *runs)
{
    struct wz_block_run first = *run_at(runs, 0);
    struct wz_frame_record record;
    struct wz_block *block;

    wz_block_get(first.block, first.from, &record);
    block = wz_block_new(record.stream, wz_frame_record_len(&record));
    WZ_ASSERT(wz_block_add(block, &record));
    drop_first(runs, 1);
    add_first(runs, (struct wz_block_run){.block = block, .to = 1});
}

void wz_input_queue_mark_opens(struct wz_input_queue *queue)
{
    const struct wz_block_run *first;

    WZ_ASSERT(queue->sent_count == 0);
    if (queue->count == 0)
        return;
    if (run_at(&queue->waiting, 0)->block->refs > 1)
        own_first(&queue->waiting);
    first = run_at(&queue->waiting, 0);
    wz_frame_record_set_opens(first->block->bytes + wz_block_start(first->block, first->from));
}

uint32_t wz_input_queue_take(struct wz_input_queue *queue, size_t max_bytes, uint32_t max_count,
                             struct wz_pieces *out)
{
    size_t bytes = 0;
    uint32_t count = 0;

    while (queue->waiting.count > 0 && count < max_count) {
        struct wz_block_run run = *run_at(&queue->waiting, 0);
        uint32_t whole = wz_block_run_count(&run);
        uint32_t fit = bytes < max_bytes ? wz_block_run_fit(&run, max_bytes - bytes) : 0;

        if (fit == 0 && count == 0)
            fit = 1;
        if (fit > max_count - count)
            fit = max_count - count;
        if (fit == 0)
            break;
        run.to = run.from + fit;
        wz_pieces_add_run(out, &run);
        bytes += wz_block_run_bytes(&run).len;
        count += fit;
        (void)wz_block_ref(run.block); // the sent run's
        add_last(&queue->sent, run);
        drop_first(&queue->waiting, fit);
        if (fit < whole)
            break;
    }
    queue->sent_count += count;
    queue->sent_bytes += bytes;
    return count;
}

// Moves those of LANE out of a run to OTHER; the others stay, at the end of KEPT.
static void sift_run(const struct wz_block_run *run, uint8_t lane, struct wz_input_runs *kept,
                     struct wz_input_queue *other)
{
    struct wz_frame_record record;

    for (uint32_t i = run->from; i < run->to; i++) {
        if (run->block->entries[i].lane == lane) {
            wz_block_get(run->block, i, &record);
            wz_input_queue_push(other, &record);
        } else {
            add_last(kept, (struct wz_block_run){wz_block_ref(run->block), i, i + 1});
        }
    }
}

void wz_input_queue_sift(struct wz_input_queue *queue, uint8_t lane, struct wz_input_queue *other)
{
    struct wz_input_runs kept = {0};
    size_t count = other->count;
    size_t bytes = other->bytes;

    for (size_t i = 0; i < queue->waiting.count; i++) {
        const struct wz_block_run *run = run_at(&queue->waiting, i);

        if (has_lane(run, lane))
            sift_run(run, lane, &kept, other);
        else
            add_last(&kept, (struct wz_block_run){wz_block_ref(run->block), run->from, run->to});
    }
    clear_runs(&queue->waiting);
    wz_free(queue->waiting.ring);
    queue->waiting = kept;
    queue->count -= other->count - count;
    queue->bytes -= other->bytes - bytes;
}

void wz_input_queue_drop(struct wz_input_queue *queue, uint32_t count)
{
    bool sent = queue->sent_count > 0;
    struct wz_block_run run;
    size_t len;

    WZ_ASSERT(wz_input_queue_front(queue, &run) && count <= wz_block_run_count(&run));
    run.to = run.from + count;
    len = wz_block_run_bytes(&run).len;
    queue->count -= count;
    queue->bytes -= len;
    if (sent) {
        queue->sent_count -= count;
        queue->sent_bytes -= len;
    }
    drop_first(sent ? &queue->sent : &queue->waiting, count);
}

void wz_input_queue_shift(struct wz_input_queue *queue) { wz_input_queue_drop(queue, 1); }

void wz_input_queue_rewind(struct wz_input_queue *queue)
{
    while (queue->sent.count > 0)
        add_first(&queue->waiting, take_last(&queue->sent));
    queue->sent_count = 0;
    queue->sent_bytes = 0;
}

void wz_input_queue_clear(struct wz_input_queue *queue)
{
    clear_runs(&queue->sent);
    clear_runs(&queue->waiting);
    queue->count = 0;
    queue->sent_count = 0;
    queue->bytes = 0;
    queue->sent_bytes = 0;
}
