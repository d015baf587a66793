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
    WZ_ASSERT(pthread_cond_init(&shelf->sealed, NULL) == 0);
}

void wz_shelf_release(struct wz_shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        wz_segment_free(shelf->segments[i]);
    wz_free(shelf->segments);
    wz_free(shelf->marks);
    wz_jumps_release(&shelf->jumps);
    (void)pthread_mutex_destroy(&shelf->lock); // fails only while held, which is a bug
    (void)pthread_mutex_destroy(&shelf->watch_lock);
    (void)pthread_cond_destroy(&shelf->sealed);
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
    (void)pthread_cond_broadcast(
        &shelf->sealed); // the one before it may be, and is not the last now
    unlock(shelf);
}

// Whether segment number I can go when all before it have gone; under the lock. The last one never
// does, nor does the one before it if a crash has left the last one empty.
static bool can_go(const struct wz_shelf *shelf, size_t i)
{
    if (i + 1 >= shelf->count || shelf->segments[i]->topics != NULL || shelf->segments[i]->held)
        return false;
    return i + 2 < shelf->count || shelf->segments[i + 1]->facts.batch_count > 0;
}

int64_t wz_shelf_first_end(struct wz_shelf *shelf)
{
    int64_t end = -1;

    lock(shelf);
    if (can_go(shelf, 0))
        end = shelf->segments[0]->facts.last_offset + 1;
    unlock(shelf);
    return end;
}

// Takes the first segment out of the list; under the lock.
static struct wz_segment *shift(struct wz_shelf *shelf)
{
    struct wz_segment *seg = shelf->segments[0];

    shelf->count--;
    memmove(shelf->segments, shelf->segments + 1, shelf->count * sizeof(shelf->segments[0]));
    return seg;
}

bool wz_shelf_trim(struct wz_shelf *shelf, int64_t offset, int64_t *ret_base)
{
    struct wz_segment *seg = NULL;

    lock(shelf);
    if (can_go(shelf, 0) && shelf->segments[0]->facts.last_offset < offset)
        seg = shift(shelf);
    unlock(shelf);
    if (seg == NULL)
        return false;
    *ret_base = seg->facts.base_offset;
    wz_segment_free(seg);
    return true;
}

void wz_shelf_set_jumps(struct wz_shelf *shelf, struct wz_jumps jumps)
{
    lock(shelf);
    wz_jumps_release(&shelf->jumps);
    shelf->jumps = jumps;
    unlock(shelf);
}

void wz_shelf_jump(struct wz_shelf *shelf, int64_t jump_ms, int64_t end, struct wz_buf *ret_buf)
{
    lock(shelf);
    if (shelf->count > 0)
        wz_jumps_cut(&shelf->jumps, shelf->segments[0]->facts.base_offset);
    wz_jumps_add(&shelf->jumps, end, jump_ms);
    wz_jumps_encode(&shelf->jumps, ret_buf);
    unlock(shelf);
}

// The last offset of segment number I, and its append time as the clock has been set since; an
// empty one's are where the next one begins. Under the lock.
static void last_of(const struct wz_shelf *shelf, size_t i, int64_t *ret_offset, int64_t *ret_ms)
{
    const struct wz_seal *facts = &shelf->segments[i]->facts;
    const struct wz_seal *next = &shelf->segments[i + 1]->facts;
    bool empty = facts->batch_count == 0;

    *ret_offset = empty ? next->base_offset - 1 : facts->last_offset;
    *ret_ms = INT64_MAX;
    if (!empty || next->batch_count > 0)
        *ret_ms =
            (empty ? next->first_ms : facts->last_ms) + wz_jumps_ms(&shelf->jumps, *ret_offset);
}

// Why segment number I is to go, when all before it have gone and LEFT bytes are left; under the
// lock.
static enum wz_log_reason reason_of(const struct wz_shelf *shelf, size_t i,
                                    const struct wz_log_limits *limits, int64_t left)
{
    int64_t last_offset;
    int64_t last_ms;

    last_of(shelf, i, &last_offset, &last_ms);
    if (last_offset >= limits->needed_offset)
        return WZ_LOG_REASON_COUNT;
    if (limits->max_bytes > 0 && left > limits->max_bytes)
        return WZ_LOG_REASON_SIZE;
    if (last_ms < limits->before_ms)
        return WZ_LOG_REASON_AGE;
    if (last_offset < limits->below_offset)
        return WZ_LOG_REASON_ASKED;
    return limits->free_bytes > 0 ? WZ_LOG_REASON_DISK : WZ_LOG_REASON_COUNT;
}

// Under the lock.
static int64_t size_of(const struct wz_shelf *shelf)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < shelf->count; i++)
        bytes += shelf->segments[i]->facts.log_len;
    return bytes;
}

bool wz_shelf_retain(struct wz_shelf *shelf, struct wz_log_limits *limits,
                     struct wz_seal *ret_facts, enum wz_log_reason *ret_reason)
{
    enum wz_log_reason reason = WZ_LOG_REASON_COUNT;
    struct wz_segment *seg = NULL;

    lock(shelf);
    if (can_go(shelf, 0))
        reason = reason_of(shelf, 0, limits, size_of(shelf));
    if (reason != WZ_LOG_REASON_COUNT)
        seg = shift(shelf);
    unlock(shelf);
    if (seg == NULL)
        return false;
    limits->free_bytes -= seg->facts.log_len;
    *ret_facts = seg->facts;
    *ret_reason = reason;
    wz_segment_free(seg);
    return true;
}

void wz_shelf_plan(struct wz_shelf *shelf, const struct wz_log_limits *limits,
                   struct wz_log_removed *ret_removed, int64_t *ret_offset)
{
    struct wz_log_removed removed = {0};
    struct wz_log_limits left = *limits;
    int64_t bytes;
    size_t i = 0;

    lock(shelf);
    bytes = size_of(shelf);
    while (can_go(shelf, i) && reason_of(shelf, i, &left, bytes) != WZ_LOG_REASON_COUNT) {
        const struct wz_seal *facts = &shelf->segments[i++]->facts;

        removed.segments++;
        removed.records += facts->record_count;
        removed.bytes += facts->log_len;
        bytes -= facts->log_len;
        left.free_bytes -= facts->log_len;
    }
    *ret_offset = i < shelf->count ? shelf->segments[i]->facts.base_offset : 0;
    unlock(shelf);
    *ret_removed = removed;
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
    (void)pthread_cond_broadcast(&shelf->sealed); // cannot fail for a valid condition
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

    *ret_place = (struct wz_place){.id = seg->id,
                                   .file_id = seg->file_id,
                                   .facts = seg->facts,
                                   .limit_offset = INT64_MAX,
                                   .live = seg->topics != NULL,
                                   .held = seg->held};
    if (i + 1 < shelf->count)
        ret_place->limit_offset = shelf->segments[i + 1]->facts.base_offset;
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

bool wz_shelf_is_unsaved(struct wz_shelf *shelf, const struct wz_segment *seg)
{
    bool unsaved;

    lock(shelf);
    unsaved = seg->topics != NULL && !seg->held;
    unlock(shelf);
    return unsaved;
}

// Whether the batches of SEG could be compressed, and were not tried; under the lock.
static bool is_unpacked(const struct wz_segment *seg)
{
    return seg->topics == NULL && !seg->held && seg->facts.packing == WZ_PACKING_NONE &&
           seg->facts.damaged == 0 && seg->facts.batch_count > 0;
}

bool wz_shelf_wait_unpacked(struct wz_shelf *shelf, struct wz_place *ret_place)
{
    bool found = false;

    lock(shelf);
    for (;;) {
        size_t i = shelf->count > 0 ? shelf->count - 1 : 0; // the last one is not sealed

        while (i > 0 && !is_unpacked(shelf->segments[i - 1]))
            i--;
        found = i > 0 && !shelf->unwaited;
        if (found)
            place_of(shelf, i - 1, ret_place);
        if (found || shelf->unwaited)
            break;
        (void)pthread_cond_wait(&shelf->sealed, &shelf->lock); // cannot fail under the lock
    }
    unlock(shelf);
    return found;
}

void wz_shelf_unwait(struct wz_shelf *shelf)
{
    lock(shelf);
    shelf->unwaited = true;
    (void)pthread_cond_broadcast(&shelf->sealed); // cannot fail for a valid condition
    unlock(shelf);
}

bool wz_shelf_hold(struct wz_shelf *shelf, uint64_t id)
{
    size_t i;

    lock(shelf);
    i = number_of(shelf, id);
    if (i < shelf->count)
        shelf->segments[i]->held = true;
    unlock(shelf);
    return i < shelf->count;
}

void wz_shelf_unhold(struct wz_shelf *shelf, uint64_t id, enum wz_packing packing)
{
    size_t i;

    lock(shelf);
    i = number_of(shelf, id);
    if (i < shelf->count) {
        shelf->segments[i]->held = false;
        shelf->segments[i]->facts.packing = packing;
    }
    unlock(shelf);
}

struct wz_segment *wz_shelf_replace(struct wz_shelf *shelf, uint64_t id, struct wz_segment *seg)
{
    struct wz_segment *there = NULL;
    size_t i;

    lock(shelf);
    i = number_of(shelf, id);
    if (i < shelf->count) {
        struct wz_segment old;

        there = shelf->segments[i];
        old = *there;
        there->id = seg->id;
        there->file_id = seg->file_id;
        there->facts = seg->facts;
        there->durable = seg->facts;
        there->index = seg->index;
        there->topics = seg->topics;
        seg->index = old.index;
        seg->topics = old.topics;
    }
    unlock(shelf);
    wz_segment_free(seg); // with what was there
    return there;
}

void wz_shelf_forget(struct wz_shelf *shelf, uint64_t id)
{
    struct wz_segment *seg = NULL;
    size_t i;

    lock(shelf);
    i = number_of(shelf, id);
    if (i < shelf->count) {
        seg = shelf->segments[i];
        shelf->count--;
        memmove(shelf->segments + i, shelf->segments + i + 1,
                (shelf->count - i) * sizeof(shelf->segments[0]));
    }
    unlock(shelf);
    wz_segment_free(seg);
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
