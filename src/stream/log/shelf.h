// SPDX-License-Identifier: Apache-2.0
// The segments of a stream in their order: what the writer has written, and readers may see. Any
// thread; the writer alone changes it, and its saver what is sealed.
#pragma once

#include <pthread.h>

#include "stream/log/jumps.h"
#include "stream/log/segment.h"
#include "stream/reader.h"

// LOCK guards the list, and of each segment on it facts, index and topics. Nobody reads or writes a
// file while holding it.
struct wz_shelf {
    pthread_mutex_t lock;
    struct wz_segment **segments; // ascending by base offset
    size_t count;
    size_t cap;
    bool unindexed;     // segments have no topic index; set before the first is added
    struct mark *marks; // damaged places that have been counted
    size_t mark_count;
    struct wz_jumps jumps;

    pthread_cond_t sealed; // a segment was; with LOCK
    bool unwaited;         // nobody is to wait for it any more

    pthread_mutex_t watch_lock; // guards the two fields below; held while the watcher runs
    wz_log_written_fn watch;
    void *watch_arg;
};

// A segment as a reader needs it.
struct wz_place {
    uint64_t id;
    uint64_t file_id; // of the .log that FACTS are of; 0: not known
    struct wz_seal facts;
    int64_t limit_offset; // the base of the segment behind it; INT64_MAX when there is none
    int64_t pos;          // wz_shelf_find_time, if live: the byte from which on to look
    bool live;            // its index is in memory, else in its files
    bool held;            // its file may be another one in a moment
};

// Makes an empty shelf.
void wz_shelf_init(struct wz_shelf *shelf);

// Frees it and its segments.
void wz_shelf_release(struct wz_shelf *shelf);

// Puts a segment, which becomes the shelf's, behind all others.
void wz_shelf_add(struct wz_shelf *shelf, struct wz_segment *seg);

// Takes a segment that holds nothing off the shelf and frees it.
void wz_shelf_drop(struct wz_shelf *shelf, struct wz_segment *seg);

// Takes the first segment, of at least two, off the shelf and frees it, if all its records have
// offsets below OFFSET and its indexes are in its files. Returns whether it did; RET_BASE is its
// base offset.
bool wz_shelf_trim(struct wz_shelf *shelf, int64_t offset, int64_t *ret_base);

// One past the last offset of the first segment if wz_shelf_trim could remove it; else -1.
int64_t wz_shelf_first_end(struct wz_shelf *shelf);

// Takes the first segment off the shelf and frees it, if wz_shelf_trim could and LIMITS say so, of
// whose free_bytes it then takes off what has become free. Returns whether it did, with its facts
// and why.
bool wz_shelf_retain(struct wz_shelf *shelf, struct wz_log_limits *limits,
                     struct wz_seal *ret_facts, enum wz_log_reason *ret_reason);

// What wz_shelf_retain would take off, called until there is no more; RET_OFFSET is the first
// offset behind.
void wz_shelf_plan(struct wz_shelf *shelf, const struct wz_log_limits *limits,
                   struct wz_log_removed *ret_removed, int64_t *ret_offset);

// Takes over how the clock was set.
void wz_shelf_set_jumps(struct wz_shelf *shelf, struct wz_jumps jumps);

// The clock was set by JUMP_MS when the next offset was END. Adds the bytes of the file that is to
// be kept of it.
void wz_shelf_jump(struct wz_shelf *shelf, int64_t jump_ms, int64_t end, struct wz_buf *ret_buf);

// Takes a batch that was written at the end of SEG into its facts and indexes.
void wz_shelf_publish(struct wz_shelf *shelf, struct wz_segment *seg, struct wz_slice batch,
                      const struct wz_batch_info *info);

// Takes back what was published of SEG and is not durable.
void wz_shelf_cut(struct wz_shelf *shelf, struct wz_segment *seg);

// Takes over the facts of a sealed segment as they were saved; its indexes leave the memory. By who
// has saved it.
void wz_shelf_seal(struct wz_shelf *shelf, struct wz_segment *seg, const struct wz_seal *seal);

// Whether the indexes of SEG are in memory, and nobody is about to save them but who asks.
bool wz_shelf_is_unsaved(struct wz_shelf *shelf, const struct wz_segment *seg);

// Waits for a sealed segment that could be compressed, and was not tried; the newest. False when
// wz_shelf_unwait was called.
bool wz_shelf_wait_unpacked(struct wz_shelf *shelf, struct wz_place *ret_place);

// Nobody waits any more.
void wz_shelf_unwait(struct wz_shelf *shelf);

// Keeps the segment ID from being removed until wz_shelf_unhold; false when it is not there.
bool wz_shelf_hold(struct wz_shelf *shelf, uint64_t id);

// Ends that; the segment may be tried to be compressed again, or not, as PACKING says.
void wz_shelf_unhold(struct wz_shelf *shelf, uint64_t id, enum wz_packing packing);

// Puts facts and indexes of SEG, which is freed and whose file has taken the old one's place, in
// the place of those of the segment ID, which gets another id. Readers that know the old one look
// again. Returns the segment on the shelf; NULL when it is not there.
struct wz_segment *wz_shelf_replace(struct wz_shelf *shelf, uint64_t id, struct wz_segment *seg);

// Takes the segment ID, whose file is gone, off the shelf and frees it. For a shelf without a
// writer.
void wz_shelf_forget(struct wz_shelf *shelf, uint64_t id);

// Copies some more of the topics of SEG, which is on the shelf with its indexes in memory. Returns
// whether there is more.
bool wz_shelf_copy_topics(struct wz_shelf *shelf, const struct wz_segment *seg,
                          struct wz_topics_copy *copy);

// Sets the watcher, or none with NULL; when it returns, the one before runs no more.
void wz_shelf_watch(struct wz_shelf *shelf, wz_log_written_fn fn, void *arg);

// Tells the watcher that more can be read.
void wz_shelf_notify(struct wz_shelf *shelf);

// The first segment with a record at or above OFFSET; WZ_END when there is none.
WZ_MUST int wz_shelf_find(struct wz_shelf *shelf, int64_t offset, struct wz_place *ret_place);

// The last segment with a record below OFFSET; WZ_END when there is none.
WZ_MUST int wz_shelf_find_below(struct wz_shelf *shelf, int64_t offset, struct wz_place *ret_place);

// The first segment with a record of time MS or later; WZ_END when there is none.
WZ_MUST int wz_shelf_find_time(struct wz_shelf *shelf, int64_t ms, struct wz_place *ret_place);

// The place as it is now; WZ_ERR_NOT_FOUND when the segment is no longer there.
WZ_MUST int wz_shelf_refresh(struct wz_shelf *shelf, struct wz_place *place);

// Of a live segment: the number of its blocks, and the byte at which a block begins and ends.
// WZ_ERR_NOT_FOUND when the segment is not live any more.
WZ_MUST int wz_shelf_block(struct wz_shelf *shelf, uint64_t id, uint32_t block, int64_t *ret_pos,
                           int64_t *ret_end_pos);

// Of a live segment: the block from which on to look for OFFSET, and how many blocks there are.
WZ_MUST int wz_shelf_block_of(struct wz_shelf *shelf, uint64_t id, int64_t offset,
                              uint32_t *ret_block, uint32_t *ret_count);

// Of a live segment: the blocks that hold what FILTER wants. The caller releases RET_BLOCKS.
WZ_MUST int wz_shelf_select(struct wz_shelf *shelf, uint64_t id, const struct wz_filter *filter,
                            struct wz_blocks *ret_blocks);

// Counts a damaged place once, however many readers meet it.
void wz_shelf_damage(struct wz_shelf *shelf, int64_t base_offset, int64_t pos);

// Fills what segments tell of RET_INFO: all but next_offset, and first_offset only if there are
// records.
void wz_shelf_info(struct wz_shelf *shelf, struct wz_log_info *ret_info);
