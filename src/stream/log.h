// SPDX-License-Identifier: Apache-2.0
// The embedded log: one stream in one folder. The loop thread appends; the writer thread makes what
// was appended durable; any thread reads. Format and recovery: docs/formats/log.md.
#pragma once

#include <stdatomic.h>

#include "base/problem.h"
#include "wire/batch.h"

struct wz_log;
struct wz_mailbox;

enum wz_durability {
    WZ_DURABILITY_FSYNC, // durable = fdatasync covers it
    WZ_DURABILITY_OS,    // durable = written to the operating system
};

// What is told to the owner on the loop thread, once for a group: all offsets below
// DURABLE_END are durable. STATE_ERR is WZ_OK, or why nothing is being made durable at present
// (WZ_ERR_NOSPACE, WZ_ERR_IO); it is told once when it begins and once when it ends.
typedef void (*wz_log_durable_fn)(void *arg, int64_t durable_end, int state_err);

// How a log is opened; zero is the default of each.
struct wz_log_options {
    enum wz_durability durability;
    int64_t segment_bytes;        // 0: 256 MiB
    int64_t reserve_offsets;      // size of a block of reserved offsets; 0: 1 Mi
    size_t backlog_bytes;         // appended and not yet written at the most; 0: 32 MiB
    int64_t ahead_bytes;          // disk space taken ahead at the most; 0: 16 MiB
    bool keys_unindexed;          // keys are not topics: no reader asks for some of them
    bool compress;                // sealed segments, in the background,
    int compress_keep_free;       // as long as so many per cent of the disk stay free meanwhile
    bool read_only;               // no lock, no repair, no append: for looking at a folder
    struct wz_mailbox *loop_mail; // where the writer's answers go; needed unless read_only
    wz_log_durable_fn on_durable; // runs on the loop thread
    void *arg;
};

// What recovery found at opening.
struct wz_log_recovery {
    int64_t cut_bytes;       // torn tail that was cut off
    int64_t damaged_batches; // batches with a wrong checksum, skipped and kept out of reading
    int rebuilt_indexes;     // index files that were missing or damaged
    int orphans;             // segments whose .log was gone; their other files were removed
    bool clean;              // the last stop was orderly
};

// The state of a log as people ask for it.
struct wz_log_info {
    int64_t first_offset; // of the first record there is, or will be when there is none
    int64_t next_offset;  // the one that the next record gets
    int64_t first_ms;     // append times of the first and last record, 0 when empty
    int64_t last_ms;
    int64_t size_bytes;
    int segment_count;
    int64_t damaged_batches;
    int rebuilt_indexes; // of sealed segments, found damaged when a reader needed them
};

// What a stream may keep; zero is no limit of each.
struct wz_log_caps {
    int64_t max_bytes;
    int64_t max_age_ms;
};

// Why a segment was removed.
enum wz_log_reason {
    WZ_LOG_REASON_SIZE,  // the stream was larger than it may be
    WZ_LOG_REASON_AGE,   // its records had had their time
    WZ_LOG_REASON_DISK,  // room on the disk was short
    WZ_LOG_REASON_ASKED, // somebody has said so
    WZ_LOG_REASON_COUNT, // how many reasons there are; or none of them
};

// What is to go, in whole segments, oldest first; zero is no limit of each but the last. The
// segment that is written to stays, and so does one with a record at or above needed_offset.
struct wz_log_limits {
    int64_t max_bytes;     // of all segments together
    int64_t before_ms;     // segments whose records were all appended before, as time has gone by
    int64_t below_offset;  // segments whose records all stand below
    int64_t free_bytes;    // so many more, for the disk's sake
    int64_t needed_offset; // somebody has yet to read from here on; INT64_MAX: nobody
};

// What went, or would go.
struct wz_log_removed {
    int64_t segments;
    int64_t records;
    int64_t bytes;
};

// Opens, or makes, the log in the folder DIR and starts its writer thread. RET_PROBLEM may be NULL;
// it says what is wrong with the folder: WZ_ERR_LOCKED (by whom), or what the disk says. The caller
// owns RET_LOG and gives it to wz_log_close.
WZ_MUST int wz_log_open(const char *dir, const struct wz_log_options *options,
                        struct wz_log **ret_log, struct wz_log_recovery *ret_recovery,
                        struct wz_problem *ret_problem);

// Writes and syncs what was appended, marks the stop as orderly, stops the thread, frees. Readers
// must be closed before. Returns the first error that kept something from becoming durable.
int wz_log_close(struct wz_log *log);

// Appends a record, on the loop thread: no system call, no lock, no allocation but one of a batch
// now and then. RET_OFFSET is the record's. WZ_ERR_BUSY when the backlog is full (nothing was
// appended: try again after on_durable), WZ_ERR_TOO_LARGE for a record no batch can hold,
// WZ_ERR_CLOSED.
WZ_MUST int wz_log_append(struct wz_log *log, const struct wz_record_parts *parts,
                          int64_t *ret_offset);

// Appends COUNT records, at least one, in one batch: after any crash all of them are there, or
// none. RET_OFFSET is the first one's; the others follow without a gap. Errors as for
// wz_log_append; WZ_ERR_TOO_LARGE when they do not fit one batch of WZ_BATCH_LIMIT_BYTES together.
WZ_MUST int wz_log_append_group(struct wz_log *log, const struct wz_record_parts *parts,
                                size_t count, int64_t *ret_offset);

// Whether COUNT records that take LEN bytes of batches could be appended now. If not, on_durable is
// called when it is worth asking again.
bool wz_log_ready(struct wz_log *log, int64_t count, size_t len);

// One past the last offset of the first segment; -1 when there is only the one that is written to.
// Any thread.
int64_t wz_log_first_segment_end(struct wz_log *log);

// Asks the writer to remove, oldest first, every segment whose records all have offsets below
// OFFSET, but never the one that is written to. It is done some time later and not promised: a
// failure is counted, and the next call tries again. Readers skip to what is left.
void wz_log_trim(struct wz_log *log, int64_t offset);

// Asks the writer to remove what LIMITS say, each segment durably before the next. It is done some
// time later, once; a failure is counted. What goes stands in the program's log.
void wz_log_retain(struct wz_log *log, const struct wz_log_limits *limits);

// Whether all is done that wz_log_retain has asked for; on_durable is called when it is. Loop
// thread.
bool wz_log_retained(const struct wz_log *log);

// What LIMITS would remove now; RET_OFFSET is the first offset behind. Any thread.
void wz_log_plan(struct wz_log *log, const struct wz_log_limits *limits,
                 struct wz_log_removed *ret_removed, int64_t *ret_offset);

// What wz_log_retain has removed for REASON since the log was opened. Any thread.
void wz_log_removed(const struct wz_log *log, enum wz_log_reason reason,
                    struct wz_log_removed *ret_removed);

// A reason as one word ("size").
const char *wz_log_reason_word(enum wz_log_reason reason);

// The wall clock was set by JUMP_MS: what was appended before is no older than it was a moment ago.
// Kept durably, some time later.
void wz_log_clock_set(struct wz_log *log, int64_t jump_ms);

// Hands what was appended to the writer, if the writer is idle or a batch is full; else it goes on
// collecting. The loop calls it once before it sleeps.
void wz_log_flush(struct wz_log *log);

// Says that somebody waits for what was appended so far to be durable. Without it the writer may
// write a little more before it syncs, as long as there is more to write.
void wz_log_want(struct wz_log *log);

// Sets the wall clock's time for the records to come; the loop calls it once when it wakes. The
// append time never goes back, whatever NOW_MS does. A batch that was begun a second ago, as the
// writer has been busy for so long, takes no more records.
void wz_log_set_time(struct wz_log *log, int64_t now_ms);

// The append time of the record appended last: that of its whole batch, which is the time set when
// its first record was appended.
int64_t wz_log_last_time(const struct wz_log *log);

// All offsets below it are durable. Loop thread.
int64_t wz_log_durable_end(const struct wz_log *log);

// The offset that the next record gets. Loop thread.
int64_t wz_log_next_offset(const struct wz_log *log);

// How many records there may be from OFFSET, which is not above the next one, on: offsets that were
// skipped when the log was opened, after a crash, have none. Loop thread.
int64_t wz_log_count_from(const struct wz_log *log, int64_t offset);

// Bytes appended and not yet written. Loop thread.
size_t wz_log_backlog(const struct wz_log *log);

// Bytes appended since it was opened. Loop thread.
int64_t wz_log_appended(const struct wz_log *log);

// Why nothing is being made durable at present, or WZ_OK. Any thread.
int wz_log_state(const struct wz_log *log);

// Fills RET_INFO. Any thread.
void wz_log_info(struct wz_log *log, struct wz_log_info *ret_info);
