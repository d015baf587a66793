// SPDX-License-Identifier: Apache-2.0
// Which blocks of a growing segment hold which topic;
// see topics_file.h for its sealed form.
#pragma once

#include "stream/log/blocks.h"
#include "stream/log/filter.h"

struct wz_topics;

// Makes an empty index.
struct wz_topics *wz_topics_new(void);

// Frees it; NULL is fine.
void wz_topics_free(struct wz_topics *topics);

// Notes that BLOCK, not below any before, holds the COUNT topics at KEYS. A topic may come again.
void wz_topics_add(struct wz_topics *topics, uint32_t block, const struct wz_slice *keys,
                   size_t count);

// Forgets BLOCK and all above it.
void wz_topics_cut(struct wz_topics *topics, uint32_t block);

// Adds the blocks that hold a topic which FILTER wants to RET_BLOCKS.
void wz_topics_select(const struct wz_topics *topics, const struct wz_filter *filter,
                      struct wz_blocks *ret_blocks);

// How much there is to encode: topics, and blocks that hold one.
size_t wz_topics_size(const struct wz_topics *topics);

// Adds the bytes of a .topics file for BLOCK_COUNT blocks to RET_BUF.
void wz_topics_encode(const struct wz_topics *topics, uint32_t block_count, struct wz_buf *ret_buf);

// A growing index as it was, copied step by step.
//   1. wz_topics_copy_begin: what there is by then is copied
//   2. wz_topics_copy_step until it returns false; the index may grow between two steps, and be cut
//      behind what is copied
//   3. wz_topics_copy_end
struct wz_topics_copy;

// Begins a copy of TOPICS. The caller owns it until wz_topics_copy_end.
struct wz_topics_copy *wz_topics_copy_begin(const struct wz_topics *topics);

// Copies some more, 256 KiB at the most. Returns whether there is more to be copied.
bool wz_topics_copy_step(struct wz_topics_copy *copy, const struct wz_topics *topics);

// Ends a copy and frees what it needed. The caller owns the result, which can be encoded, measured
// and freed, and nothing else.
struct wz_topics *wz_topics_copy_end(struct wz_topics_copy *copy);

// Makes a growing index out of the bytes of a .topics file that wz_topics_file_check has found
// good.
struct wz_topics *wz_topics_load(struct wz_slice s);
