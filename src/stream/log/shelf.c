// SPDX-License-Identifier: Apache-2.0
// Owns the list of segments that the writer shares with the readers.
#include "stream/log/shelf.h"

#include "base/mem.h"
#include "base/metrics.h"

// No more places than this are remembered as counted.
#define MARKS_MAX 1024

struct mark {
    int64_t base_offset;
    int64_t pos;
};

void wz_shelf_init(struct wz_shelf *shelf)
{
    *shelf = (struct wz_shelf){0};
    WZ_ASSERT(pthread_mutex_init(&shelf->lock, NULL) == 0);
    WZ_ASSERT(pthread_mutex_init(&shelf->watch_lock, NULL) == 0);
}

void wz_shelf_release(struct wz_shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        wz_segment_free(shelf->segments[i]);
    wz_free(shelf->segments);
    wz_free(shelf->marks);
    (void)pthread_mutex_destroy(&shelf->lock); // fails only while held, which is a bug
    (void)pthread_mutex_destroy(&shelf->watch_lock);
}

static void lock(struct wz_shelf *shelf) { WZ_ASSERT(pthread_mutex_lock(&shelf->lock) == 0); }

static void unlock(struct wz_shelf *shelf) { WZ_ASSERT(pthread_mutex_unlock(&shelf->lock) == 0); }

void wz_shelf_add(struct wz_shelf *shelf, struct wz_segment *seg)
{
    lock(shelf);
    if (shelf->count == shelf->cap) {
        shelf->cap = shelf->cap == 0 ? 16 : shelf->cap * 2;
        shelf->segments = wz_realloc(shelf->segments, shelf->cap * sizeof(shelf->segments[0]));
    }
    seg->unindexed = shelf->unindexed;
    shelf->segments[shelf->count++] = seg;
    unlock(shelf);
}

// Whether the first segment can go; under the lock.
static bool can_trim(const struct wz_shelf *shelf)
{
    return shelf->count > 1 && shelf->segments[0]->topics == NULL;
}

int64_t wz_shelf_first_end(struct wz_shelf *shelf)
{
    int64_t end = -1;

    lock(shelf);
    if (can_trim(shelf))
        end = shelf->segments[0]->facts.last_offset + 1;
    unlock(shelf);
    return end;
}

bool wz_shelf_trim(struct wz_shelf *shelf, int64_t offset, int64_t *ret_base)
{
    struct wz_segment *seg = NULL;

    lock(shelf);
    if (can_trim(shelf) && shelf->segments[0]->facts.last_offset < offset) {
        seg = shelf->segments[0];
        shelf->count--;
        memmove(shelf->segments, shelf->segments + 1, shelf->count * sizeof(shelf->segments[0]));
    }
    unlock(shelf);
    if (seg == NULL)
        return false;
    *ret_base = seg->facts.base_offset;
    wz_segment_free(seg);
    return true;
}

void wz_shelf_drop(struct wz_shelf *shelf, struct wz_segment *seg)
{
    lock(shelf);
    WZ_ASSERT(shelf->count > 0 && shelf->segments[shelf->count - 1] == seg);
    shelf->count--;
    unlock(shelf);
    wz_segment_free(seg);
}

void wz_shelf_publish(struct wz_shelf *shelf, struct wz_segment *seg, struct wz_slice batch,
                      const struct wz_batch_info *info)
{
    lock(shelf);
    wz_segment_add(seg, batch, info);
    unlock(shelf);
}

void wz_shelf_cut(struct wz_shelf *shelf, struct wz_segment *seg)
{
    lock(shelf);
    wz_segment_cut(seg);
    unlock(shelf);
}

void wz_shelf_seal(struct wz_shelf *shelf, struct wz_segment *seg, const struct wz_seal *seal)
{
    struct wz_index index;
    struct wz_topics *topics;

    lock(shelf);
    seg->facts = *seal;
    index = seg->index;
    topics = seg->topics;
    seg->index = (struct wz_index){0};
    seg->topics = NULL;
    unlock(shelf);
    wz_index_release(&index); // may be large, so nobody waits for it
    wz_topics_free(topics);
}

bool wz_shelf_copy_topics(struct wz_shelf *shelf, const struct wz_segment *seg,
                          struct wz_topics_copy *copy)
{
    bool more;

    lock(shelf);
    more = wz_topics_copy_step(copy, seg->topics);
    unlock(shelf);
    return more;
}

void wz_shelf_watch(struct wz_shelf *shelf, wz_log_written_fn fn, void *arg)
{
    WZ_ASSERT(pthread_mutex_lock(&shelf->watch_lock) == 0);
    shelf->watch = fn;
    shelf->watch_arg = arg;
    WZ_ASSERT(pthread_mutex_unlock(&shelf->watch_lock) == 0);
}

void wz_shelf_notify(struct wz_shelf *shelf)
{
    WZ_ASSERT(pthread_mutex_lock(&shelf->watch_lock) == 0);
    if (shelf->watch != NULL)
        shelf->watch(shelf->watch_arg);
    WZ_ASSERT(pthread_mutex_unlock(&shelf->watch_lock) == 0);
}

// Fills RET_PLACE for segment number I; under the lock.
static void place_of(const struct wz_shelf *shelf, size_t i, struct wz_place *ret_place)
{
    const struct wz_segment *seg = shelf->segments[i];

    *ret_place = (struct wz_place){
        .id = seg->id, .facts = seg->facts, .limit_offset = INT64_MAX, .live = seg->topics != NULL};
    if (i + 1 < shelf->count)
        ret_place->limit_offset = shelf->segments[i + 1]->facts.base_offset;
}

int wz_shelf_find(struct wz_shelf *shelf, int64_t offset, struct wz_place *ret_place)
{
    size_t low = 0;
    int r = WZ_END;

    lock(shelf);
    for (size_t high = shelf->count; low < high;) { // the last whose base is not above OFFSET
        size_t mid = low + (high - low) / 2;

        if (shelf->segments[mid]->facts.base_offset <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    for (size_t i = low > 0 ? low - 1 : 0; i < shelf->count && r == WZ_END; i++) {
        const struct wz_segment *seg = shelf->segments[i];

        if (seg->facts.batch_count == 0 || seg->facts.last_offset < offset)
            continue;
        place_of(shelf, i, ret_place);
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

int wz_shelf_find_below(struct wz_shelf *shelf, int64_t offset, struct wz_place *ret_place)
{
    int r = WZ_END;

    lock(shelf);
    for (size_t i = shelf->count; i-- > 0 && r == WZ_END;) {
        const struct wz_seal *facts = &shelf->segments[i]->facts;

        if (facts->batch_count == 0 || facts->first_offset >= offset)
            continue;
        place_of(shelf, i, ret_place);
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

int wz_shelf_find_time(struct wz_shelf *shelf, int64_t ms, struct wz_place *ret_place)
{
    int r = WZ_END;

    lock(shelf);
    for (size_t i = 0; i < shelf->count && r == WZ_END; i++) {
        const struct wz_segment *seg = shelf->segments[i];

        if (seg->facts.batch_count == 0 || seg->facts.last_ms < ms)
            continue;
        place_of(shelf, i, ret_place);
        if (ret_place->live)
            ret_place->pos =
                wz_index_pos(&seg->index, wz_index_find_time(&seg->index, ms), seg->facts.log_len);
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

// The number of the segment ID, which is most often the last; count when it is gone. Under the
// lock.
static size_t number_of(const struct wz_shelf *shelf, uint64_t id)
{
    for (size_t i = shelf->count; i-- > 0;) {
        if (shelf->segments[i]->id == id)
            return i;
    }
    return shelf->count;
}

int wz_shelf_refresh(struct wz_shelf *shelf, struct wz_place *place)
{
    int r = WZ_ERR_NOT_FOUND;
    size_t i;

    lock(shelf);
    i = number_of(shelf, place->id);
    if (i < shelf->count) {
        place_of(shelf, i, place);
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

// The segment ID if it is live, else NULL. Under the lock.
static const struct wz_segment *live_of(const struct wz_shelf *shelf, uint64_t id)
{
    size_t i = number_of(shelf, id);

    return i < shelf->count && shelf->segments[i]->topics != NULL ? shelf->segments[i] : NULL;
}

int wz_shelf_block(struct wz_shelf *shelf, uint64_t id, uint32_t block, int64_t *ret_pos,
                   int64_t *ret_end_pos)
{
    const struct wz_segment *seg;
    int r = WZ_ERR_NOT_FOUND;

    lock(shelf);
    seg = live_of(shelf, id);
    if (seg != NULL) {
        *ret_pos = wz_index_pos(&seg->index, block, seg->facts.log_len);
        *ret_end_pos = wz_index_pos(&seg->index, block + 1, seg->facts.log_len);
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

int wz_shelf_block_of(struct wz_shelf *shelf, uint64_t id, int64_t offset, uint32_t *ret_block,
                      uint32_t *ret_count)
{
    const struct wz_segment *seg;
    int r = WZ_ERR_NOT_FOUND;

    lock(shelf);
    seg = live_of(shelf, id);
    if (seg != NULL) {
        *ret_block = wz_index_find_offset(&seg->index, offset - seg->facts.base_offset);
        *ret_count = seg->index.count;
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

int wz_shelf_select(struct wz_shelf *shelf, uint64_t id, const struct wz_filter *filter,
                    struct wz_blocks *ret_blocks)
{
    const struct wz_segment *seg;
    int r = WZ_ERR_NOT_FOUND;

    lock(shelf);
    seg = live_of(shelf, id);
    if (seg != NULL) {
        wz_blocks_init(ret_blocks, seg->index.count);
        wz_topics_select(seg->topics, filter, ret_blocks);
        r = WZ_OK;
    }
    unlock(shelf);
    return r;
}

void wz_shelf_damage(struct wz_shelf *shelf, int64_t base_offset, int64_t pos)
{
    bool known = false;

    lock(shelf);
    for (size_t i = 0; i < shelf->mark_count && !known; i++)
        known = shelf->marks[i].base_offset == base_offset && shelf->marks[i].pos == pos;
    if (!known && shelf->mark_count < MARKS_MAX) {
        if (shelf->marks == NULL)
            shelf->marks = wz_alloc(MARKS_MAX * sizeof(shelf->marks[0]));
        shelf->marks[shelf->mark_count++] = (struct mark){.base_offset = base_offset, .pos = pos};
        wz_metric_add(WZ_METRIC_STREAM_DAMAGED, 1);
    }
    unlock(shelf);
}

// How many damaged batches are known of a segment, from its seal or from readers. Under the lock.
static int64_t damage_of(const struct wz_shelf *shelf, const struct wz_seal *facts)
{
    int64_t count = 0;

    for (size_t i = 0; i < shelf->mark_count; i++)
        count += shelf->marks[i].base_offset == facts->base_offset;
    return count > facts->damaged ? count : facts->damaged;
}

void wz_shelf_info(struct wz_shelf *shelf, struct wz_log_info *ret_info)
{
    bool empty = true;

    lock(shelf);
    ret_info->segment_count = (int)shelf->count;
    for (size_t i = 0; i < shelf->count; i++) {
        const struct wz_seal *facts = &shelf->segments[i]->facts;

        ret_info->size_bytes += facts->log_len;
        ret_info->damaged_batches += damage_of(shelf, facts);
        if (facts->batch_count == 0)
            continue;
        if (empty) {
            ret_info->first_offset = facts->first_offset;
            ret_info->first_ms = facts->first_ms;
        }
        ret_info->last_ms = facts->last_ms;
        empty = false;
    }
    unlock(shelf);
}
