// SPDX-License-Identifier: Apache-2.0
// What the journal keeps of one script: its positions, its state, its outputs that are not yet on
// processed-stream, its quarantine. Keys and values: docs/formats/journal.md. Loop thread only.
//
// All functions that put or remove keys are called inside a group of the journal.
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "engine/progress.h"
#include "engine/script_document.h"
#include "stream/journal.h"

// Why a script does not run though its document says so.
enum wz_halt {
    WZ_HALT_NONE,
    WZ_HALT_TERMINATED, // it said so
    WZ_HALT_PARKED,     // it failed on most messages
};

// One entry of a script's state. Its value is in the journal.
struct wz_state_entry {
    struct wz_journal_place place;
    uint32_t value_len;
    uint16_t id_len;
    uint8_t id[]; // lane, key
};

// A part of a commit that is to be projected, or was staged, as it was read back.
struct wz_stored_part {
    struct wz_list link;
    struct wz_journal_place place;
    uint8_t id[12];      // commit, part
    struct wz_buf value; // of one that was read back
};

// A message in quarantine. What it is stands in the journal.
struct wz_quarantined {
    struct wz_list link;
    struct wz_journal_place place;
    uint8_t id[8]; // its number
    bool leaving;  // a step takes it out
    bool retrying; // it is with a worker again; then, of its value:
    uint8_t stream;
    int64_t offset;
    uint32_t attempts;
};

// One script's account. FIELDS are read by others of the engine, changed by this file.
struct wz_account {
    struct wz_journal *journal;
    struct wz_list link;
    uint8_t id[8];
    char *name; // NULL: not known (yet)
    bool used;  // by a script
    bool gone;  // so is its document: it has no name in the journal any more, or soon

    struct wz_journal_place place;        // of 'C'
    struct wz_journal_place ledger_place; // of 'L'
    enum wz_halt halt;
    int64_t halt_revision; // of the document that halted
    char *remark;          // why; NULL: none

    uint64_t commit;    // the last one
    uint64_t projected; // all up to this one are durable on processed-stream,
    int64_t mark;       // below this offset; later ones' outputs are at or behind it
    struct wz_position positions[WZ_SCRIPT_STREAM_COUNT];

    struct wz_map state; // of struct wz_state_entry
    size_t state_bytes;  // keys and values

    struct wz_list outputs;    // of struct wz_stored_part: not known to be projected, by commit
    struct wz_list staged;     // the same
    struct wz_list quarantine; // of struct wz_quarantined, by number
    struct wz_map by_number;   // the same
    uint64_t last_quarantined; // number
};

// Makes an account with that id; NAME is copied, may be NULL.
struct wz_account *wz_account_new(struct wz_journal *journal, uint64_t id, const char *name);

// Frees it; nothing is written.
void wz_account_free(struct wz_account *account);

// Its id as a number.
uint64_t wz_account_number(const struct wz_account *account);

// Puts 'C': name and halt; nothing when it is gone.
void wz_account_put(struct wz_account *account);

// Sets why it is halted (REMARK is copied, may be empty) and puts 'C'.
void wz_account_halt(struct wz_account *account, enum wz_halt halt, int64_t revision,
                     struct wz_slice remark);

// Puts 'L': COMMIT is the last one from now on, POSITIONS what wz_inputs_put_positions gave.
void wz_account_put_ledger(struct wz_account *account, uint64_t commit, struct wz_slice positions);

// Puts PART of a commit's outputs, which counts until wz_account_project.
void wz_account_put_outputs(struct wz_account *account, uint64_t commit, uint32_t part,
                            struct wz_slice outputs);

// Puts PART of a commit's changes aside, until the commit is durable: one or more entries as frames
// have them. Parts come in the order of their numbers.
void wz_account_put_staged(struct wz_account *account, uint64_t commit, uint32_t part,
                           struct wz_slice changes);

// Takes the first staged part out; false when there is none.
bool wz_account_remove_staged(struct wz_account *account);

// The same for one that was read back; its changes are made if its commit came to its end.
WZ_MUST int wz_account_apply_staged(struct wz_account *account);

// Takes a part of a commit's outputs out, which was never to be.
void wz_account_remove_outputs(struct wz_account *account, struct wz_stored_part *part);

// The commit and the part of a stored part.
uint64_t wz_stored_part_commit(const struct wz_stored_part *part);
uint32_t wz_stored_part_number(const struct wz_stored_part *part);

// Makes a change of the state.
void wz_account_change(struct wz_account *account, const struct wz_frame_entry *change);

// What the state counts for: each entry for WZ_STATE_ENTRY_COST, its key and its value.
static inline size_t wz_account_state_cost(const struct wz_account *account)
{
    return account->state_bytes + account->state.count * WZ_STATE_ENTRY_COST;
}

// Takes all of the state out.
void wz_account_clear_state(struct wz_account *account);

// Puts a message into quarantine; VALUE is wz_quarantine_put's. Returns it.
struct wz_quarantined *wz_account_quarantine(struct wz_account *account, struct wz_slice value);

// Puts a message that is in quarantine anew, with another VALUE.
void wz_account_quarantine_again(struct wz_account *account, struct wz_quarantined *message,
                                 struct wz_slice value);

// Takes a message out of quarantine and frees it.
void wz_account_release(struct wz_account *account, struct wz_quarantined *message);

// The message of that number, or NULL.
struct wz_quarantined *wz_account_find_quarantined(const struct wz_account *account,
                                                   uint64_t number);

// Outputs up to and with COMMIT are durable on processed-stream, below MARK: their parts count no
// more; the next 'L' will say so. Outside of a group too.
void wz_account_project(struct wz_account *account, uint64_t commit, int64_t mark);

// Takes 'C' out: what a crash leaves of the rest is nobody's. Call it once, when 'C' is there.
void wz_account_remove_name(struct wz_account *account);

// Takes all keys out: the script is gone. May take several groups: call it outside of one, again
// while it returns false.
WZ_MUST bool wz_account_remove(struct wz_account *account);

// Reading back, then putting in order; and looking for a key: for accounts.c.
void wz_account_settle(struct wz_account *account);
int wz_account_replay(struct wz_account *account, char letter, struct wz_cursor *key,
                      const struct wz_journal_record *record);
struct wz_journal_place *wz_account_find(struct wz_account *account, char letter,
                                         struct wz_cursor *key);
