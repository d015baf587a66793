// SPDX-License-Identifier: Apache-2.0
// One segment: its files, and what is known of them.
#pragma once

#include "stream/log/index.h"
#include "stream/log/scan.h"
#include "stream/log/seal.h"
#include "stream/log/tail.h"
#include "stream/log/topics.h"

// The longest path of a file of a stream.
#define WZ_SEGMENT_PATH_MAX 4096

enum wz_segment_file {
    WZ_SEGMENT_INDEX,
    WZ_SEGMENT_TIMEINDEX,
    WZ_SEGMENT_TOPICS,
    WZ_SEGMENT_LOG,
    WZ_SEGMENT_SEAL,
};

// A segment. While it is on a shelf, the shelf's lock guards facts, index and topics; the writer,
// who alone changes them, reads them without, and once the segment is left the saver does so. The
// rest is the writer's.
struct wz_segment {
    uint64_t id;              // never given to another segment of this process
    uint64_t file_id;         // of its .log (wz_fs_identity); 0: not known
    struct wz_seal facts;     // log_len is where the bytes that readers may see end
    struct wz_index index;    // of a segment that grows, or could not be sealed
    bool unindexed;           // its keys are not topics and stay out of TOPICS
    struct wz_topics *topics; // NULL: index and topics are in their files
    bool held;                // the packer's for a moment: it is neither removed nor saved

    int fd; // for writing; -1 when it is not written
    struct wz_tail tail;
    bool poisoned;
    struct wz_seal durable; // the facts as they were when last made durable
    int64_t allocated_pos;
    int64_t checkpoint_pos;
};

// Makes a segment that knows of no batch yet and has no file.
struct wz_segment *wz_segment_new(int64_t base_offset);

// Closes its file and frees it; NULL is fine.
void wz_segment_free(struct wz_segment *seg);

// Fills RET_PATH with the name of one of the files of the segment of BASE_OFFSET in the folder DIR;
// with an empty DIR, the name alone.
void wz_segment_path(const char *dir, int64_t base_offset, enum wz_segment_file file,
                     char ret_path[static WZ_SEGMENT_PATH_MAX]);

// Takes a batch that stands at the end of the segment into its facts and indexes; as it is without
// compression, INFO saying how long it stands there.
void wz_segment_add(struct wz_segment *seg, struct wz_slice batch,
                    const struct wz_batch_info *info);

// Goes back to the facts in DURABLE: forgets what was added since.
void wz_segment_cut(struct wz_segment *seg);

// Writes the index files and the seal. SEALED ones are made durable; for a checkpoint it is enough
// that they are whole or missing when the process dies. The .log must have been synced. RET_SEAL is
// what the facts of SEG are then to be.
WZ_MUST int wz_segment_save(const struct wz_segment *seg, const char *dir, enum wz_seal_state state,
                            struct wz_seal *ret_seal);

// Replaces the seal by FACTS, durably.
WZ_MUST int wz_segment_save_seal(const char *dir, const struct wz_seal *facts);

// Removes the files of the segment of BASE_OFFSET, the .log last, and makes that durable. What is
// missing already is fine.
WZ_MUST int wz_segment_remove(const char *dir, int64_t base_offset);

// Frees the index and topics in memory, after they were saved.
void wz_segment_forget(struct wz_segment *seg);

// Reads the three index files of the segment that FACTS describe and checks them against it.
// WZ_ERR_CORRUPT when one is missing or damaged. The caller releases both results.
WZ_MUST int wz_segment_load(const char *dir, const struct wz_seal *facts,
                            struct wz_index *ret_index, struct wz_buf *ret_topics);
