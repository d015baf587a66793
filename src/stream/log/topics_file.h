// SPDX-License-Identifier: Apache-2.0
// The bytes of a .topics file: made entry by entry, and read where they lie.
#pragma once

#include "base/buf.h"
#include "base/cursor.h"
#include "stream/log/blocks.h"
#include "stream/log/filter.h"

// A file that is being made.
//   1. wz_topics_file_begin
//   2. wz_topics_file_add for each topic, in the order of the topics' bytes
//   3. wz_topics_file_end
struct wz_topics_file {
    struct wz_buf entries;
    struct wz_buf names;
    struct wz_buf lists;
    uint32_t topic_count;
    uint32_t block_count;
};

// Starts a file of TOPIC_COUNT topics in a segment of BLOCK_COUNT blocks.
void wz_topics_file_begin(struct wz_topics_file *file, uint32_t topic_count, uint32_t block_count);

// Adds a topic with its COUNT blocks, ascending.
void wz_topics_file_add(struct wz_topics_file *file, struct wz_slice name, const uint32_t *blocks,
                        uint32_t count);

// Adds the whole of the file to RET_BUF and frees what was collected.
void wz_topics_file_end(struct wz_topics_file *file, struct wz_buf *ret_buf);

// Whether S is a whole and undamaged .topics file, each of its places inside it: WZ_OK or
// WZ_ERR_CORRUPT. The functions below demand one.
WZ_MUST int wz_topics_file_check(struct wz_slice s);

// How many blocks the file covers, how many topics it names, and the bytes of their names.
uint32_t wz_topics_file_blocks(struct wz_slice s);
uint32_t wz_topics_file_topics(struct wz_slice s);
size_t wz_topics_file_names_len(struct wz_slice s);

// Adds the blocks that hold a topic which FILTER wants.
void wz_topics_file_select(struct wz_slice s, const struct wz_filter *filter,
                           struct wz_blocks *ret_blocks);

// One topic of a file that wz_topics_file_check has found good.
struct wz_topics_entry {
    struct wz_slice name;
    uint32_t count; // of its blocks
    struct wz_cursor list;
    uint32_t last; // block read last
};

// The entry NUMBER of file S; false when there is none.
bool wz_topics_file_get(struct wz_slice s, uint32_t number, struct wz_topics_entry *ret_entry);

// The next block of an entry; at most count times.
uint32_t wz_topics_entry_next(struct wz_topics_entry *entry);
