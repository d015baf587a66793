// SPDX-License-Identifier: Apache-2.0
// The indexes of sealed segments, as far as readers have used them lately. Any thread.
#pragma once

#include "stream/log/shelf.h"

struct wz_cache;
struct wz_log_options;

// The indexes of one sealed segment. They do not change while somebody holds them.
struct wz_sealed {
    struct wz_index index;
    struct wz_buf topics; // the bytes of a .topics file
    uint64_t id;          // of the segment
    size_t bytes;
    uint64_t used; // when last, as a count
    int refs;
};

// Makes an empty cache for the segments in the folder DIR, which is borrowed, of a log with
// OPTIONS. With read_only, index files that are damaged are not mended on disk.
struct wz_cache *wz_cache_new(const char *dir, const struct wz_log_options *options);

// Frees it; nothing may be held. NULL is fine.
void wz_cache_free(struct wz_cache *cache);

// The indexes of the segment at PLACE, out of its files, or made anew out of its batches when the
// files are damaged. WZ_ERR_NOT_FOUND when it is not there any more, or another file has taken its
// place. The caller holds RET_SEALED until wz_cache_unref.
WZ_MUST int wz_cache_get(struct wz_cache *cache, const struct wz_place *place,
                         struct wz_sealed **ret_sealed);

// Lets go of it; NULL is fine.
void wz_cache_unref(struct wz_cache *cache, struct wz_sealed *sealed);

// How many damaged index files were made anew.
int wz_cache_rebuilt(struct wz_cache *cache);
