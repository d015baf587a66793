// SPDX-License-Identifier: Apache-2.0
// Owns the indexes of sealed segments in memory. Its lock is held while files are read: only
// readers that miss wait for one another, never the writer.
#include "stream/log/cache.h"

#include <pthread.h>

#include "base/mem.h"
#include "stream/log/recovery.h"

// What nobody holds is dropped, the longest unused first, when there is more than this.
#define CACHE_BYTES_MAX ((size_t)32 * 1024 * 1024)

struct wz_cache {
    struct wz_recovery_options opt;
    pthread_mutex_t lock; // guards all below
    struct wz_sealed **entries;
    size_t count;
    size_t cap;
    size_t bytes;
    uint64_t clock;
    int rebuilt;
};

struct wz_cache *wz_cache_new(const char *dir, const struct wz_log_options *options)
{
    struct wz_cache *cache = wz_zalloc(1, sizeof(*cache));

    cache->opt = (struct wz_recovery_options){
        .dir = dir, .read_only = options->read_only, .unindexed = options->keys_unindexed};
    WZ_ASSERT(pthread_mutex_init(&cache->lock, NULL) == 0);
    return cache;
}

static void sealed_free(struct wz_sealed *sealed)
{
    wz_index_release(&sealed->index);
    wz_buf_release(&sealed->topics);
    wz_free(sealed);
}

void wz_cache_free(struct wz_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < cache->count; i++) {
        WZ_ASSERT(cache->entries[i]->refs == 0);
        sealed_free(cache->entries[i]);
    }
    wz_free(cache->entries);
    (void)pthread_mutex_destroy(&cache->lock); // fails only while held, which is a bug
    wz_free(cache);
}

static void lock(struct wz_cache *cache) { WZ_ASSERT(pthread_mutex_lock(&cache->lock) == 0); }

static void unlock(struct wz_cache *cache) { WZ_ASSERT(pthread_mutex_unlock(&cache->lock) == 0); }

// Drops what was not used for the longest time; under the lock.
static void shrink(struct wz_cache *cache)
{
    while (cache->bytes > CACHE_BYTES_MAX) {
        size_t oldest = cache->count;

        for (size_t i = 0; i < cache->count; i++) {
            if (cache->entries[i]->refs == 0 &&
                (oldest == cache->count || cache->entries[i]->used < cache->entries[oldest]->used))
                oldest = i;
        }
        if (oldest == cache->count)
            return;
        cache->bytes -= cache->entries[oldest]->bytes;
        sealed_free(cache->entries[oldest]);
        cache->entries[oldest] = cache->entries[--cache->count];
    }
}

// Makes the indexes anew out of the batches, and mends the files if it may.
static int rebuild(struct wz_cache *cache, const struct wz_place *place, struct wz_sealed *sealed)
{
    struct wz_segment *seg;
    struct wz_seal mended;
    int r = wz_recover_indexes(&cache->opt, &place->facts, INT64_MAX, &seg);

    if (r < 0)
        return r;
    if (place->file_id != 0 && seg->file_id != place->file_id) {
        wz_segment_free(seg);
        return WZ_ERR_NOT_FOUND;
    }
    cache->rebuilt++;
    if (!cache->opt.read_only)
        // The next start checks the files again.
        wz_ignore(wz_segment_save(seg, cache->opt.dir, WZ_SEAL_SEALED, &mended));
    wz_topics_encode(seg->topics, seg->index.count, &sealed->topics);
    sealed->index = seg->index;
    seg->index = (struct wz_index){0};
    wz_segment_free(seg);
    return WZ_OK;
}

// Loads one into the cache; under the lock.
static int load(struct wz_cache *cache, const struct wz_place *place, struct wz_sealed **ret_sealed)
{
    struct wz_sealed *sealed = wz_zalloc(1, sizeof(*sealed));
    int r = wz_segment_load(cache->opt.dir, &place->facts, &sealed->index, &sealed->topics);

    if (r == WZ_ERR_CORRUPT)
        r = rebuild(cache, place, sealed);
    if (r < 0) {
        sealed_free(sealed);
        return r;
    }
    sealed->id = place->id;
    sealed->bytes = sealed->topics.cap + sealed->index.cap * sizeof(sealed->index.entries[0]) +
                    sealed->index.time_cap * sizeof(sealed->index.times[0]);
    if (cache->count == cache->cap) {
        cache->cap = cache->cap == 0 ? 16 : cache->cap * 2;
        cache->entries = wz_realloc(cache->entries, cache->cap * sizeof(cache->entries[0]));
    }
    cache->entries[cache->count++] = sealed;
    cache->bytes += sealed->bytes;
    *ret_sealed = sealed;
    return WZ_OK;
}

int wz_cache_get(struct wz_cache *cache, const struct wz_place *place,
                 struct wz_sealed **ret_sealed)
{
    struct wz_sealed *sealed = NULL;
    int r = WZ_OK;

    lock(cache);
    for (size_t i = 0; i < cache->count && sealed == NULL; i++) {
        if (cache->entries[i]->id == place->id)
            sealed = cache->entries[i];
    }
    if (sealed == NULL)
        r = load(cache, place, &sealed);
    if (r == WZ_OK) {
        sealed->used = ++cache->clock;
        sealed->refs++;
        shrink(cache);
        *ret_sealed = sealed;
    }
    unlock(cache);
    return r;
}

void wz_cache_unref(struct wz_cache *cache, struct wz_sealed *sealed)
{
    if (sealed == NULL)
        return;
    lock(cache);
    sealed->refs--;
    unlock(cache);
}

int wz_cache_rebuilt(struct wz_cache *cache)
{
    int rebuilt;

    lock(cache);
    rebuilt = cache->rebuilt;
    unlock(cache);
    return rebuilt;
}
