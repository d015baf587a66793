// SPDX-License-Identifier: Apache-2.0
// The journal: keys and their newest values, on disk. The loop thread puts, the log's writer makes
// durable, compaction runs in the background. Format: docs/formats/journal.md.
//
// Who owns keys of a kind remembers for each where its newest record stands (wz_journal_place), and
// nothing else: the journal has no map of its own.
//
// Use:
//   1. wz_journal_open, wz_journal_join for each kind, wz_journal_replay, wz_journal_start;
//   2. for each event: wz_journal_ready, wz_journal_begin, any number of put, remove and drop,
//      wz_journal_end; what an ack has to wait for is the offset that wz_journal_end gives;
//   3. wz_journal_stop, the loop runs until its handles are closed, wz_journal_close.
#pragma once

#include "loop/loop.h"
#include "stream/log.h"

struct wz_journal;

// Where the newest record of a key stands; its owner's, who keeps it as long as there is the key.
struct wz_journal_place {
    int64_t offset; // -1: the key is not there
    uint32_t len;   // of the record, about
    uint32_t mark;  // the owner's own
};

// A place of a key that is not there.
#define WZ_JOURNAL_NOWHERE ((struct wz_journal_place){.offset = -1})

// A record that is read back. KEY is without the letter, VALUE without the version; they are
// borrowed for the call.
struct wz_journal_record {
    struct wz_slice key;
    struct wz_slice value;
    struct wz_journal_place place;
    bool removed; // the key is gone
};

// What is done with a kind of keys.
struct wz_journal_kind {
    char letter; // which the keys begin with
    void *arg;
    // At opening, for every record, oldest first: a later one of the same key replaces an earlier
    // one, which the owner gives to wz_journal_drop first. Not all of them need still be valid:
    // records of what has gone since come too. WZ_ERR_CORRUPT for one that cannot be read,
    // WZ_ERR_UNSUPPORTED for one of a newer version.
    int (*replay)(void *arg, const struct wz_journal_record *record);
    // The place of KEY, NULL when there is none. While compacting; needed.
    struct wz_journal_place *(*find)(void *arg, struct wz_slice key);
};

// Says on the loop thread that a compaction has met BATCHES damaged batches: what was alive in them
// is lost, and they go with their segment.
typedef void (*wz_journal_damaged_fn)(void *arg, int64_t batches);

// How a journal is opened; zero is the default of all but LOOP.
struct wz_journal_options {
    struct wz_loop *loop;
    enum wz_durability durability;
    int64_t segment_bytes; // 0, and at the most: 32 MiB
    int64_t compact_bytes; // smaller journals are not compacted; 0: two segments
    int64_t ahead_bytes;   // as in wz_log_options
    size_t backlog_bytes;  // 0: 64 MiB
    wz_log_durable_fn on_durable;
    wz_journal_damaged_fn on_damaged;
    void *arg;
};

// The most records and bytes of keys and values in one group; a larger one is written as several.
#define WZ_JOURNAL_GROUP_RECORDS 65536
#define WZ_JOURNAL_GROUP_BYTES ((size_t)(WZ_BATCH_LIMIT_BYTES - 64 * 1024))

// The most pieces of a value.
#define WZ_JOURNAL_PIECES 3

// Opens, or makes, the journal in the folder DIR. Errors are wz_log_open's. The caller owns
// RET_JOURNAL.
WZ_MUST int wz_journal_open(const char *dir, const struct wz_journal_options *options,
                            struct wz_journal **ret_journal, struct wz_log_recovery *ret_recovery,
                            struct wz_problem *ret_problem);

// Registers a kind, which stays the caller's and as it is.
void wz_journal_join(struct wz_journal *journal, const struct wz_journal_kind *kind);

// Reads all there is and calls the kinds. A record that nobody can read is refused: the journal
// stays as it was, RET_PROBLEM says what it is and how to go on.
WZ_MUST int wz_journal_replay(struct wz_journal *journal, struct wz_problem *ret_problem);

// No compaction begins any more; one that runs ends with its next step.
void wz_journal_stop(struct wz_journal *journal);

// Makes durable what was put and frees; returns what kept something from becoming durable.
int wz_journal_close(struct wz_journal *journal);

// Whether a group may be begun now; inside one it may. If not, on_durable is called when it may be
// again.
bool wz_journal_ready(struct wz_journal *journal);

// Waits until a group may be begun, for who puts much before the loop runs; outside of a group.
// What keeps the disk from taking what was put: WZ_ERR_*.
WZ_MUST int wz_journal_wait(struct wz_journal *journal);

// Begins a group. Groups nest: the outermost counts.
void wz_journal_begin(struct wz_journal *journal);

// Puts a value, of at most WZ_JOURNAL_PIECES pieces that are not empty, at the key LETTER KEY,
// inside a group. Key and value together are shorter than WZ_JOURNAL_GROUP_BYTES. PLACE is where it
// stood; it is told where it stands now.
void wz_journal_put(struct wz_journal *journal, char letter, struct wz_slice key,
                    const struct wz_slice *pieces, int count, struct wz_journal_place *place);

// Takes a key that is there out, inside a group; PLACE is nowhere then.
void wz_journal_remove(struct wz_journal *journal, char letter, struct wz_slice key,
                       struct wz_journal_place *place);

// Says that the record at PLACE counts no more: another one covers it, or has replaced it.
void wz_journal_drop(struct wz_journal *journal, struct wz_journal_place *place);

// Ends a group. The outermost one puts the offset of its last record into RET_OFFSET, if it has
// any; inner ones leave RET_OFFSET as it is.
void wz_journal_end(struct wz_journal *journal, int64_t *ret_offset);

// Takes part in the loop's turns from here on: what was put is handed to the writer at the end of
// each. Called when all who put have joined the loop, so that theirs of the same turn go too.
void wz_journal_start(struct wz_journal *journal);

// Says that room on the disk is short: what is dead is compacted away even where it is less than
// half. Called again as long as it is so.
void wz_journal_give_back(struct wz_journal *journal);

// The log underneath: for tickets and readers.
struct wz_log *wz_journal_log(struct wz_journal *journal);

// The state of a journal.
struct wz_journal_info {
    int64_t size_bytes;
    int64_t live_bytes; // of records that are the newest of their key, about
    int64_t compactions;
    bool looking; // whether to compact
    bool compacting;
};

// Fills RET_INFO.
void wz_journal_info(struct wz_journal *journal, struct wz_journal_info *ret_info);
