// SPDX-License-Identifier: Apache-2.0
// The database file of the store: one connection to SQLite, used by one thread at a time. The
// file's format is in docs/formats/store.md. Every failure fills a problem that says what happened,
// to which file, and how to mend it.
//
// How it is used:
//   1. begin, for reading or writing: all calls up to the end see one state
//   2. get, list, revision; put and delete when writing
//   3. commit, or rollback; a failed commit has rolled back
#pragma once

#include "base/slice.h"
#include "store/store.h"

struct wz_sqlite;

enum wz_sqlite_access {
    WZ_SQLITE_READ,
    WZ_SQLITE_WRITE, // waits for other processes' writing, some seconds at most
};

// One row of the documents as it is stored; everything is borrowed.
struct wz_sqlite_row {
    enum wz_collection collection;
    const char *name;
    int64_t revision;
    struct wz_slice body; // JSON text
};

// A document's present state as a version that is kept. NAME is borrowed.
struct wz_sqlite_version {
    enum wz_collection collection;
    const char *name;
    int64_t revision; // of the document that is there
    int64_t time_ms;
};

// Opens the database PATH, or makes it (0600), or brings one of an older version up to date.
// WZ_ERR_CORRUPT when the file is not ours or damaged, in whole or in one document;
// WZ_ERR_UNSUPPORTED when it is newer: it is left as it is. The caller owns RET_DB.
WZ_MUST int wz_sqlite_open(const char *path, struct wz_sqlite **ret_db,
                           struct wz_problem *ret_problem);

// Closes and frees it; NULL is fine.
void wz_sqlite_close(struct wz_sqlite *db);

// Whether the file is not where it was any more: it was removed, or another put in its place.
bool wz_sqlite_moved(const struct wz_sqlite *db);

// Starts a transaction; WZ_ERR_LOCKED when another process keeps writing, WZ_ERR_SYSTEM for writing
// to a file that was moved.
WZ_MUST int wz_sqlite_begin(struct wz_sqlite *db, enum wz_sqlite_access access,
                            struct wz_problem *ret_problem);

// Ends the transaction; what it wrote is durable then.
WZ_MUST int wz_sqlite_commit(struct wz_sqlite *db, struct wz_problem *ret_problem);

// Ends the transaction without what it wrote; fine when there is none.
void wz_sqlite_rollback(struct wz_sqlite *db);

// Adds the document NAME to RET_LIST, which the caller releases, or all of the collection when NAME
// is NULL, ordered by name. A name that is not there adds nothing. WZ_ERR_CORRUPT, with some of
// them in the list, when one is not as it was written.
WZ_MUST int wz_sqlite_list(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                           struct wz_document_list *ret_list, struct wz_problem *ret_problem);

// The revision of a document, 0 when it is not there; WZ_ERR_CORRUPT when it is not as it was
// written.
WZ_MUST int wz_sqlite_revision(struct wz_sqlite *db, enum wz_collection collection,
                               const char *name, int64_t *ret_revision,
                               struct wz_problem *ret_problem);

// Writes a row with its checksum, new or in place of the one of its name.
WZ_MUST int wz_sqlite_put(struct wz_sqlite *db, const struct wz_sqlite_row *row,
                          struct wz_problem *ret_problem);

// Removes a document; fine when it is not there.
WZ_MUST int wz_sqlite_delete(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                             struct wz_problem *ret_problem);

// Keeps the document that is there as a version whose time is not known, unless that revision is
// kept already: another program may have written it. Fine when it is not there.
WZ_MUST int wz_sqlite_keep_version(struct wz_sqlite *db, enum wz_collection collection,
                                   const char *name, struct wz_problem *ret_problem);

// Keeps the document that is there, just written, as a version; lets go of those that are more than
// WZ_DOCUMENT_VERSIONS_MAX, and of those of a document of the same name that was removed.
WZ_MUST int wz_sqlite_put_version(struct wz_sqlite *db, const struct wz_sqlite_version *version,
                                  struct wz_problem *ret_problem);

// Adds the versions of a document that are kept, newest first, also those of one that was removed.
// Errors as in wz_sqlite_list.
WZ_MUST int wz_sqlite_versions(struct wz_sqlite *db, enum wz_collection collection,
                               const char *name, struct wz_document_list *ret_list,
                               struct wz_problem *ret_problem);

// Adds the names, in order, of documents of which there are versions only: those that were removed.
// Revision 0, an empty body. Errors as in wz_sqlite_list.
WZ_MUST int wz_sqlite_removed(struct wz_sqlite *db, enum wz_collection collection,
                              struct wz_document_list *ret_list, struct wz_problem *ret_problem);

// A number that changes when another connection, of any process, has changed the file.
WZ_MUST int wz_sqlite_data_version(struct wz_sqlite *db, int64_t *ret_version,
                                   struct wz_problem *ret_problem);
