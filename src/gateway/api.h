// SPDX-License-Identifier: Apache-2.0
// The one API, without a server: the parts it speaks to, and the answering of a request.
#pragma once

#include "base/list.h"
#include "bus/board.h"
#include "bus/bus.h"
#include "bus/desk.h"
#include "config/config.h"
#include "gateway/request.h"
#include "store/store.h"
#include "stream/log.h"

struct wz_budget;

// The most streams.
#define WZ_API_STREAMS_MAX 8

// A stream by its name ("raw-stream").
struct wz_api_stream {
    const char *name;
    struct wz_log *log;
    struct wz_log_caps caps;
};

// The documents of one moment, by collection.
struct wz_api_documents {
    struct wz_document_list lists[WZ_COLLECTION_COUNT];
};

// Changes that a mapping's text asks for. The names and bodies are owned by the list.
struct wz_api_changes {
    struct wz_store_change *items;
    size_t count;
};

// Works out the changes that turn the mapping in DOCUMENTS into that of TEXT. On failure the
// problem says which line is wrong. RET_CHANGES is released with wz_api_changes_release.
typedef int (*wz_api_import_fn)(void *arg, struct wz_slice text,
                                const struct wz_api_documents *documents,
                                struct wz_api_changes *ret_changes, struct wz_problem *ret_problem);

// Adds the mapping in DOCUMENTS as text.
typedef int (*wz_api_export_fn)(void *arg, const struct wz_api_documents *documents,
                                struct wz_buf *ret_text, struct wz_problem *ret_problem);

// Says step by step what the mapping in DOCUMENTS, and the rules of the passthrough and scripts
// there, make of a topic and a body (NULL pointer: none). RET_STEPS is the caller's.
typedef int (*wz_api_explain_fn)(void *arg, const struct wz_api_documents *documents,
                                 struct wz_slice topic, struct wz_slice body, json_t **ret_steps,
                                 struct wz_problem *ret_problem);

// Document number INDEX of those of a collection that are there without being stored, a new
// reference, and its name; NULL behind the last. In the order of names.
typedef json_t *(*wz_api_ready_fn)(enum wz_collection collection, size_t index,
                                   const char **ret_name);

// Adds what is suggested for topics of the inbox to its list ITEMS.
typedef void (*wz_api_suggest_fn)(void *arg, const struct wz_api_documents *documents,
                                  json_t *items);

// Makes the devices that the body WISH of a request accepts, with suggestions in ITEMS: documents
// by id, the caller's.
typedef int (*wz_api_accept_fn)(void *arg, const struct wz_api_documents *documents,
                                const json_t *items, const json_t *wish, json_t **ret_devices,
                                struct wz_problem *ret_problem);

// What the API speaks to. Each may be missing (NULL, or no streams): what needs it is then refused.
// All of it must outlive the API.
struct wz_api_parts {
    struct wz_store *store;
    struct wz_bus *bus;
    struct wz_board *board;
    struct wz_desk *desk;
    const struct wz_config *config;
    struct wz_api_stream streams[WZ_API_STREAMS_MAX];
    size_t stream_count;
    struct wz_log *journal;   // NULL: there is none
    struct wz_budget *budget; // lends the memory of requests and answers; NULL: it is not counted
    const struct wz_space *space;
    wz_api_import_fn import;
    wz_api_export_fn export;
    wz_api_explain_fn explain;
    wz_api_suggest_fn suggest;
    wz_api_accept_fn accept;
    void *mapping_arg;
    wz_api_ready_fn ready;
    int64_t started_ms; // of the wall clock
    int64_t started_us; // the same moment, of the monotonic clock
};

// The API of one thread.
struct wz_api {
    struct wz_api_parts parts;
    struct wz_mailbox mail; // where answers of other threads come; its thread runs it
    struct wz_list live;    // requests that wait for new records
    size_t under_way;       // questions to other threads that are not answered yet
};

// Makes an API over PARTS; WAKE wakes its thread when mail has come, NULL for a thread that waits
// in wz_mailbox_wait.
void wz_api_init(struct wz_api *api, const struct wz_api_parts *parts, wz_mailbox_wake_fn wake,
                 void *arg);

// Frees what it holds; nothing may be under way and no request left.
void wz_api_release(struct wz_api *api);

// Answers a request whose body is complete, or refuses it: at once, or later on this thread.
void wz_api_handle(struct wz_api *api, struct wz_request *req);

// Refuses a request that could not be read: ERR is what wz_http_read_request said, or
// WZ_ERR_TOO_LARGE for its body, WZ_ERR_BUSY when too many are under way, WZ_ERR_NOSPACE for want
// of memory.
void wz_api_refuse(struct wz_request *req, int err);

// Tells the live requests that more can be read, or that it is time for a sign of life.
void wz_api_wake_live(struct wz_api *api);

// The stream NAME, or NULL.
const struct wz_api_stream *wz_api_stream_find(const struct wz_api *api, const char *name);

// Frees changes with their names and bodies.
void wz_api_changes_release(struct wz_api_changes *changes);
