// SPDX-License-Identifier: Apache-2.0
// The documents that configure wyze, in collections. SQLite holds them; every call runs on the
// store thread, never on a message's way. Format: docs/formats/store.md.
#pragma once

#include <jansson.h>

#include "base/problem.h"
#include "loop/mailbox.h"

struct wz_store;

// Collections, in the order in which an export writes them.
#define WZ_COLLECTION_TABLE(X)                                                                     \
    X(TYPES, "types")                                                                              \
    X(SUBTOPICS, "subtopics")                                                                      \
    X(TEMPLATES, "templates")                                                                      \
    X(DEVICES, "devices")                                                                          \
    X(IGNORES, "ignores")                                                                          \
    X(SCRIPTS, "scripts")                                                                          \
    X(PASSTHROUGH, "passthrough")                                                                  \
    X(SETTINGS, "settings")

enum wz_collection {
#define WZ_COLLECTION_ENUM(id, name) WZ_COLLECTION_##id,
    WZ_COLLECTION_TABLE(WZ_COLLECTION_ENUM)
#undef WZ_COLLECTION_ENUM
        WZ_COLLECTION_COUNT,
};

// A bit for each collection.
#define WZ_STORE_ALL ((1U << WZ_COLLECTION_COUNT) - 1)

// The name of a collection ("devices").
const char *wz_collection_name(enum wz_collection collection);

// The collection NAME, or WZ_COLLECTION_COUNT.
enum wz_collection wz_collection_find(const char *name);

// Longest name of a document and largest body as compact JSON text, in bytes.
#define WZ_DOCUMENT_NAME_MAX 1024
#define WZ_DOCUMENT_BODY_MAX (1024 * 1024)

// How many versions of a script's document are kept, the present one among them.
#define WZ_DOCUMENT_VERSIONS_MAX 50

// A document: BODY is a JSON object; REVISION is 1 when new and grows by one with each change.
struct wz_document {
    char *name;
    int64_t revision;
    int64_t time_ms; // of a version: when it was written; 0: that is not known
    json_t *body;
};

// Documents as a call returns them, ordered by name (bytes).
struct wz_document_list {
    struct wz_document *items;
    size_t count;
};

// The document NAME of a list, borrowed, or NULL.
const struct wz_document *wz_document_list_find(const struct wz_document_list *list,
                                                const char *name);

// Frees what the list holds.
void wz_document_list_release(struct wz_document_list *list);

// A look at all documents, in one state, from inside the store thread.
struct wz_store_view;

// Lists a collection in the state of VIEW; the caller releases RET_LIST.
WZ_MUST int wz_store_view_list(struct wz_store_view *view, enum wz_collection collection,
                               struct wz_document_list *ret_list);

// Lists, in the state of VIEW, the names of scripts that were removed and whose versions are still
// there, with empty bodies; the caller releases RET_LIST.
WZ_MUST int wz_store_view_removed(struct wz_store_view *view, struct wz_document_list *ret_list);

// The collections that the call at hand has changed, bit 1 << enum wz_collection each, so that a
// check reads only what concerns it; all bits for changes of another process and at the start.
unsigned wz_store_view_changed(const struct wz_store_view *view);

// Gets one document in the state of VIEW: RET_LIST has it, or is empty when there is none; the
// caller releases it.
WZ_MUST int wz_store_view_get(struct wz_store_view *view, enum wz_collection collection,
                              const char *name, struct wz_document_list *ret_list);

struct wz_store_change;

// The changes of the call at hand, in their order, borrowed as long as VIEW is valid; NULL when
// they are not known, or not all that there are since the last time: at the start, and when another
// process has changed something.
const struct wz_store_change *wz_store_view_changes(const struct wz_store_view *view,
                                                    size_t *ret_count);

// Asked on the store thread inside the transaction, after the changes of a call and before they
// count: a negative result, with RET_PROBLEM filled, undoes them and becomes the call's result.
typedef int (*wz_store_check_fn)(void *arg, struct wz_store_view *view,
                                 struct wz_problem *ret_problem);

// Told on the store thread when documents have changed, by us or by another process, and once after
// the start. CHANGED has bit 1 << enum wz_collection set for each collection concerned (all bits
// when it was another process). VIEW is valid during the call.
typedef void (*wz_store_changed_fn)(void *arg, struct wz_store_view *view, unsigned changed);

struct wz_store_options {
    wz_store_check_fn check;     // may be NULL
    wz_store_changed_fn changed; // may be NULL
    void *arg;
    int64_t poll_ms; // how often to look for other processes' changes; 0: 250
};

// Opens, or makes, the database file PATH (0600) and starts the store thread, which calls CHANGED
// first of all. WZ_ERR_CORRUPT, with a problem, for a file that is damaged or not ours: it is left
// untouched. The caller owns RET_STORE.
WZ_MUST int wz_store_open(const char *path, const struct wz_store_options *options,
                          struct wz_store **ret_store, struct wz_problem *ret_problem);

// Finishes the calls under way, ends the thread, frees.
void wz_store_close(struct wz_store *store);

enum wz_store_op {
    WZ_STORE_LIST,     // a collection
    WZ_STORE_GET,      // one document
    WZ_STORE_SNAPSHOT, // all collections, in one state
    WZ_STORE_VERSIONS, // those of one script that are kept, newest first; also of a removed one
    WZ_STORE_PUT,      // make or replace one
    WZ_STORE_DELETE,   // remove one
    WZ_STORE_APPLY,    // several puts and deletes, all or nothing
};

// One change of WZ_STORE_APPLY: BODY NULL deletes. NEW: it must not be there yet.
struct wz_store_change {
    enum wz_collection collection;
    const char *name;
    json_t *body;
    bool new;
};

// A state of all documents: another one after each change. All 0: no state in particular.
struct wz_store_state {
    int64_t own;    // changes that we have made
    int64_t others; // the database's number for those of other processes
};

// What revision a change expects to find.
#define WZ_REVISION_ANY (-1)
#define WZ_REVISION_NONE 0 // the document must not be there yet

// A call. The caller fills the first part, and owns all it points to, until DONE has run on the
// thread of REPLY_TO; DONE's caller owns the second part then (release LIST).
struct wz_store_call {
    struct wz_mail mail;
    enum wz_store_op op;
    enum wz_collection collection;
    const char *name;
    json_t *body;                          // PUT
    int64_t expected_revision;             // PUT, DELETE
    const struct wz_store_change *changes; // APPLY
    size_t change_count;
    struct wz_store_state expected; // APPLY: CONFLICT in another one
    struct wz_document_list *lists; // SNAPSHOT: WZ_COLLECTION_COUNT empty ones, filled by it
    struct wz_mailbox *reply_to;
    wz_mail_fn done; // gets &mail

    int result; // WZ_OK, NOT_FOUND, CONFLICT, INVALID, TOO_LARGE, or what CHECK or the disk said
    struct wz_problem problem;
    int64_t revision;             // PUT: the new one; CONFLICT: the one that is there, 0 for none
    struct wz_document_list list; // LIST, GET, VERSIONS
    struct wz_store_state state;  // SNAPSHOT: the one that was read
    struct wz_store *store;       // set by wz_store_send, for its own use
};

// Sends a call; DONE runs later on REPLY_TO's thread. WZ_ERR_BUSY when too much is under way,
// WZ_ERR_CLOSED at the end: then DONE does not run.
WZ_MUST int wz_store_send(struct wz_store *store, struct wz_store_call *call);

// Sends a call and waits for its answer: for programs without a loop (the command line). REPLY_TO
// and DONE are ignored. Returns the call's result.
WZ_MUST int wz_store_do(struct wz_store *store, struct wz_store_call *call);
