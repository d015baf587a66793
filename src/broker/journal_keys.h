// SPDX-License-Identifier: Apache-2.0
// The keys of the journal as docs/formats/journal.md lists them, for who reads a journal back or
// looks at one from outside: the one table of their letters, names and forms. Pure.
#pragma once

#include "stream/journal.h"

// letter, name, plural name
#define WZ_JOURNAL_KEYS_TABLE(X)                                                                   \
    X(QUEUE, 'Q', "sessions")                                                                      \
    X(BINDING, 'B', "subscriptions")                                                               \
    X(ENTRY, 'E', "messages")                                                                      \
    X(SHARED, 'M', "shared bodies")                                                                \
    X(HEAD, 'H', "heads")                                                                          \
    X(SHIFTS, 'N', "identifier shifts")                                                            \
    X(RECEIVED, 'I', "QoS 2 identifiers")                                                          \
    X(RETAINED, 'R', "retained")                                                                   \
    X(MARK, 'P', "marks")                                                                          \
    X(COMMANDS, 'D', "command positions")                                                          \
    X(SCRIPT, 'C', "scripts")                                                                      \
    X(LEDGER, 'L', "script positions")                                                             \
    X(STATE, 'S', "state entries")                                                                 \
    X(OUTPUTS, 'O', "script outputs")                                                              \
    X(STAGED, 'Z', "staged changes")                                                               \
    X(QUARANTINED, 'X', "quarantined messages")                                                    \
    X(PASS_POSITION, 'T', "passthrough positions")                                                 \
    X(PASS_RULE, 'U', "passthrough rules")                                                         \
    X(PASS_STATE, 'V', "passthrough states")                                                       \
    X(REENTRY, 'W', "re-entry marks")

enum wz_journal_key {
#define WZ_JOURNAL_KEYS_ENUM(id, letter, name) WZ_JOURNAL_KEY_##id,
    WZ_JOURNAL_KEYS_TABLE(WZ_JOURNAL_KEYS_ENUM)
#undef WZ_JOURNAL_KEYS_ENUM
        WZ_JOURNAL_KEY_COUNT,
};

// The name of what the keys of a kind are, in the plural.
const char *wz_journal_key_name(enum wz_journal_key kind);

// Whether keys of the kind belong to the queue whose number follows their letter, and go with it.
bool wz_journal_key_of_queue(enum wz_journal_key kind);

// Looks at a whole record, with letter and version; VALUE's pointer is NULL for a key that was
// removed. RET_KIND is its kind. WZ_ERR_UNSUPPORTED for a letter or version that is not known,
// WZ_ERR_CORRUPT for what does not have the form.
WZ_MUST int wz_journal_key_check(struct wz_slice key, struct wz_slice value,
                                 enum wz_journal_key *ret_kind);

// The same for a record as the journal replays it to the owner of KIND, who then reads key and
// value without looking at their form again. WZ_ERR_UNSUPPORTED for a value that a newer version
// has made.
WZ_MUST int wz_journal_key_check_record(enum wz_journal_key kind,
                                        const struct wz_journal_record *record);
