// SPDX-License-Identifier: Apache-2.0
// The protocol between the engine and a worker: pure bytes, no I/O. One description for both sides;
// the layout of each frame, and who may send it when, is in docs/formats/worker.md.
#pragma once

#include "base/buf.h"
#include "base/cursor.h"

// In front of each frame: the payload's length (4 bytes) and the frame's type (1 byte).
#define WZ_FRAME_HEADER_LEN 5

// A longer payload is never written nor believed: 16 MiB of outputs and 16 MiB of state of one
// message, and their framing.
#define WZ_FRAME_LIMIT_BYTES (40 * 1024 * 1024)

// The fixed part of a record in a BATCH, of a result in a RESULT, of an item in a result, and of an
// entry of a script's state.
#define WZ_FRAME_RECORD_LEN 26
#define WZ_FRAME_RESULT_LEN 22
#define WZ_FRAME_ITEM_LEN 5
#define WZ_FRAME_ENTRY_LEN 7

// Topics are at most this long (AMQP 0-9-1: shortstr).
#define WZ_FRAME_TOPIC_MAX 255

// Topics hash to this many lanes. State that belongs to the script and not to a lane has the number
// behind the last one.
#define WZ_LANE_COUNT 64
#define WZ_LANE_SHARED WZ_LANE_COUNT

// The longest key of a script's state, and the longest value: JSON text.
#define WZ_STATE_KEY_MAX 1024
#define WZ_STATE_VALUE_MAX (1024 * 1024)

// An entry of the state counts for this much and the bytes of key and value: what the engine keeps
// of it in memory. The state of one worker may count for so much unless the worker is told
// otherwise.
#define WZ_STATE_ENTRY_COST ((size_t)100)
#define WZ_STATE_MAX_BYTES ((size_t)256 * 1024 * 1024)

// Exit codes with which a worker says that it could not even begin: it was started in a way it does
// not know; Python or the sandbox could not be set up. They differ in the lowest bit alone. The
// sandbox keeps a script from ending its process with either.
#define WZ_WORKER_EXIT_USAGE 96
#define WZ_WORKER_EXIT_PYTHON 97

enum wz_frame_type {
    // engine to worker
    WZ_FRAME_LOAD = 1,
    WZ_FRAME_START = 2,
    WZ_FRAME_BATCH = 3,
    WZ_FRAME_DRAIN = 4,
    WZ_FRAME_STATE = 5,
    WZ_FRAME_FOUND = 6,
    // worker to engine
    WZ_FRAME_READY = 65,
    WZ_FRAME_INVALID = 66,
    WZ_FRAME_STARTED = 67,
    WZ_FRAME_RESULT = 68,
    WZ_FRAME_LOG = 69,
    WZ_FRAME_DRAINED = 70,
    WZ_FRAME_QUERY = 71,
};

// A frame as it lies in the bytes read; the payload borrows them.
struct wz_frame {
    enum wz_frame_type type;
    struct wz_slice payload;
};

// LOAD: the script to be validated. CONFIG is a JSON object. LANED: state is kept by lane, for
// there are other workers of the same script.
struct wz_frame_load {
    bool laned;
    struct wz_slice name;
    struct wz_slice code;
    struct wz_slice config;
};

// INVALID: why the script may not run. LINE and COLUMN count from 1; 0 is "unknown".
struct wz_frame_invalid {
    uint32_t line;
    uint32_t column;
    struct wz_slice reason;
    struct wz_slice traceback;
};

// The longest line in a LOG; the longest reason and traceback of a fault: the beginning of the one,
// the end of the other, which says what happened.
#define WZ_FRAME_LOG_MAX 8192
#define WZ_FRAME_FAULT_MAX (64 * 1024)

enum wz_frame_log_source {
    WZ_FRAME_LOG_STDOUT,  // print
    WZ_FRAME_LOG_STDERR,  // sys.stderr
    WZ_FRAME_LOG_CONTEXT, // context.log
};

// Severities of context.log, by their word.
#define WZ_SEVERITY_TABLE(X)                                                                       \
    X(DEBUG, "debug")                                                                              \
    X(INFO, "info")                                                                                \
    X(WARNING, "warning")                                                                          \
    X(ERROR, "error")

enum wz_severity {
#define WZ_SEVERITY_ENUM(id, word) WZ_SEVERITY_##id,
    WZ_SEVERITY_TABLE(WZ_SEVERITY_ENUM)
#undef WZ_SEVERITY_ENUM
        WZ_SEVERITY_COUNT,
};

// LOG: a line that the script wrote while it worked on the record at OFFSET of STREAM; -1 when it
// worked on none.
struct wz_frame_log {
    enum wz_frame_log_source source;
    enum wz_severity severity;
    uint8_t stream;
    int64_t offset;
    struct wz_slice text;
};

// One input in a BATCH. STREAM is the engine's number for the stream of OFFSET; it comes back with
// the result. HOPS: how many scripts caused it, one after the other. OPENS: its lane, which waits
// since a call raised, goes on with it.
struct wz_frame_record {
    uint8_t stream;
    uint8_t hops;
    uint8_t lane;
    bool opens;
    int64_t offset;
    int64_t append_ms;
    struct wz_slice topic;
    struct wz_slice body;
};

// What became of an input. After an EXCEPTION or a REFUSED the worker answers all further inputs of
// that lane with DEFERRED, up to one that opens it.
enum wz_frame_status {
    WZ_FRAME_OK,
    WZ_FRAME_EXCEPTION, // its outputs and changes were dropped; a TRACE item tells why
    WZ_FRAME_REFUSED,   // the same, and trying again is no use: it went over a limit
    WZ_FRAME_DEFERRED,  // not called
};

// The outcome of one input, of init (in STARTED) or of stop (in DRAINED); in the latter two STREAM
// and OFFSET are 0 and -1. BEFORE: that many inputs in front of it, in the order in which they were
// given, are ok and have no items. ITEMS is for wz_frame_item_next.
struct wz_frame_result {
    enum wz_frame_status status;
    uint8_t stream;
    int64_t offset;
    uint32_t before;
    uint32_t item_count;
    struct wz_slice items;
};

enum wz_frame_item_kind {
    WZ_FRAME_ITEM_EMIT = 1,
    WZ_FRAME_ITEM_TRACE = 2,
    WZ_FRAME_ITEM_TERMINATE = 3,
    WZ_FRAME_ITEM_SEEN = 4,
};

// What the body of an output was in Python.
enum wz_frame_body {
    WZ_FRAME_BODY_OBJECT, // a dict, as JSON
    WZ_FRAME_BODY_TEXT,   // a str, as UTF-8
    WZ_FRAME_BODY_BYTES,  // bytes, as they are
    WZ_FRAME_BODY_NUMBER, // int, float or bool, as JSON
};

// One item of a result: an output (topic, body, body_kind, persistent), a traceback (body), the end
// of the script with its remark (body), or an entry of the state that the failed call looked at
// (topic: the key; body: its JSON before the call, empty when there was none).
struct wz_frame_item {
    enum wz_frame_item_kind kind;
    enum wz_frame_body body_kind;
    bool persistent;
    struct wz_slice topic;
    struct wz_slice body;
};

// An entry of a script's state in STATE, or a change of one behind the results of a RESULT, STARTED
// or DRAINED. LANE is WZ_LANE_SHARED, or the lane it belongs to.
struct wz_frame_entry {
    uint8_t lane;
    bool removed; // changes only
    struct wz_slice key;
    struct wz_slice value; // JSON text
};

// QUERY: records of STREAM below the offset BEFORE and of append times from SINCE_MS up to, not
// including, UNTIL_MS (0: no limit), whose topics match PATTERN; the newest LIMIT of them.
struct wz_frame_query {
    uint8_t stream;
    int64_t before;
    int64_t since_ms;
    int64_t until_ms;
    uint32_t limit;
    struct wz_slice pattern;
};

// FOUND: the answer to a QUERY. ERROR is empty, or says why there is none.
struct wz_frame_found {
    struct wz_slice error;
    struct wz_slice records; // for wz_frame_iter_init; oldest first
};

// Walks the records of a BATCH, the results of a RESULT, STARTED or DRAINED, or the changes behind
// them.
struct wz_frame_iter {
    struct wz_cursor cur;
    uint32_t left;
};

// Reads the frame at the front of S. WZ_AGAIN when S does not hold all of it; RET_LEN is set in
// both cases: how many bytes the frame takes (at least a header's). WZ_ERR_PROTOCOL for an unknown
// type or a length over the limit.
WZ_MUST int wz_frame_read(struct wz_slice s, struct wz_frame *ret_frame, size_t *ret_len);

// Adds the frame of TYPE that has an empty payload.
void wz_frame_put_empty(struct wz_buf *buf, enum wz_frame_type type);

// Adds a LOAD frame. The name must be of at most 65,535 bytes, the whole within the limit.
void wz_frame_put_load(struct wz_buf *buf, const struct wz_frame_load *load);

// Reads a LOAD payload.
WZ_MUST int wz_frame_get_load(struct wz_slice payload, struct wz_frame_load *ret_load);

// Adds an INVALID frame.
void wz_frame_put_invalid(struct wz_buf *buf, const struct wz_frame_invalid *invalid);

// Reads an INVALID payload.
WZ_MUST int wz_frame_get_invalid(struct wz_slice payload, struct wz_frame_invalid *ret_invalid);

// Adds a LOG frame.
void wz_frame_put_log(struct wz_buf *buf, const struct wz_frame_log *log);

// Reads a LOG payload.
WZ_MUST int wz_frame_get_log(struct wz_slice payload, struct wz_frame_log *ret_log);

// Adds a QUERY frame. The pattern must be of at most WZ_FRAME_TOPIC_MAX bytes.
void wz_frame_put_query(struct wz_buf *buf, const struct wz_frame_query *query);

// Reads a QUERY payload.
WZ_MUST int wz_frame_get_query(struct wz_slice payload, struct wz_frame_query *ret_query);

// Adds a FOUND frame that says why there is no answer.
void wz_frame_put_not_found(struct wz_buf *buf, struct wz_slice error);

// Opens a FOUND frame; close it with wz_frame_found_close when the records are in it.
size_t wz_frame_found_open(struct wz_buf *buf);
void wz_frame_found_close(struct wz_buf *buf, size_t start, uint32_t count);

// Reads a FOUND payload.
WZ_MUST int wz_frame_get_found(struct wz_slice payload, struct wz_frame_found *ret_found);

// Opens a frame of TYPE that holds a list: writes its header with no length and no count yet.
// Returns its place in BUF for wz_frame_list_close.
size_t wz_frame_list_open(struct wz_buf *buf, enum wz_frame_type type);

// Completes the list that began at START and holds COUNT members, all that lies behind it in BUF.
void wz_frame_list_close(struct wz_buf *buf, size_t start, uint32_t count);

// The same for members of LEN bytes together that may lie elsewhere: they are to be sent behind the
// header.
void wz_frame_list_close_apart(struct wz_buf *buf, size_t start, uint32_t count, size_t len);

// How many bytes the record takes in a BATCH.
static inline size_t wz_frame_record_len(const struct wz_frame_record *record)
{
    return WZ_FRAME_RECORD_LEN + record->topic.len + record->body.len;
}

// Adds a record to a BATCH; its topic must be of at most 65,535 bytes.
void wz_frame_put_record(struct wz_buf *buf, const struct wz_frame_record *record);

// Sets the OPENS of the record that begins at BYTES.
void wz_frame_record_set_opens(uint8_t *bytes);

// Reads one record off the front of CUR; a cursor that fails holds none that is whole and valid.
void wz_frame_get_record(struct wz_cursor *cur, struct wz_frame_record *ret_record);

// Opens a result behind what BUF holds; returns its place.
size_t wz_frame_result_open(struct wz_buf *buf, uint8_t stream, int64_t offset, uint32_t before);

// Completes the result that began at START with the ITEM_COUNT items behind it.
void wz_frame_result_close(struct wz_buf *buf, size_t start, enum wz_frame_status status,
                           uint32_t item_count);

// Adds an item to an open result; its topic must be of at most WZ_FRAME_TOPIC_MAX bytes.
void wz_frame_put_item(struct wz_buf *buf, const struct wz_frame_item *item);

// Adds the count of changes that follow the results of a list, each by wz_frame_put_entry; needed
// also when there is none.
void wz_frame_put_change_count(struct wz_buf *buf, uint32_t count);

// How many bytes the entry takes.
static inline size_t wz_frame_entry_len(const struct wz_frame_entry *entry)
{
    return WZ_FRAME_ENTRY_LEN + entry->key.len + entry->value.len;
}

// Adds an entry to a STATE list or a change behind results. Key (1 at the least) and value are of
// at most WZ_STATE_KEY_MAX and WZ_STATE_VALUE_MAX bytes.
void wz_frame_put_entry(struct wz_buf *buf, const struct wz_frame_entry *entry);

// Starts a walk over the payload of a list frame. WZ_ERR_PROTOCOL when it has not even a count.
WZ_MUST int wz_frame_iter_init(struct wz_frame_iter *it, struct wz_slice payload);

// The next record of a BATCH; WZ_END after the last, WZ_ERR_PROTOCOL when the bytes do not add up
// (also when some are left behind the last one).
WZ_MUST int wz_frame_next_record(struct wz_frame_iter *it, struct wz_frame_record *ret_record);

// The next result of a RESULT, STARTED or DRAINED; WZ_END after the last: then wz_frame_changes.
WZ_MUST int wz_frame_next_result(struct wz_frame_iter *it, struct wz_frame_result *ret_result);

// Starts a walk over the items of a result.
static inline struct wz_frame_iter wz_frame_items(const struct wz_frame_result *result)
{
    return (struct wz_frame_iter){.cur = wz_cursor(result->items), .left = result->item_count};
}

// Behind the last result: starts a walk over the changes. WZ_ERR_PROTOCOL when there is not even a
// count.
WZ_MUST int wz_frame_changes(struct wz_frame_iter *it);

// The next entry of a STATE or the next change; WZ_END after the last, WZ_ERR_PROTOCOL when the
// bytes do not add up.
WZ_MUST int wz_frame_next_entry(struct wz_frame_iter *it, struct wz_frame_entry *ret_entry);

// The next item of a result; as above.
WZ_MUST int wz_frame_next_item(struct wz_frame_iter *it, struct wz_frame_item *ret_item);

// The word of a severity ("info").
const char *wz_severity_word(enum wz_severity severity);

// The severity WORD, or WZ_SEVERITY_COUNT.
enum wz_severity wz_severity_find(struct wz_slice word);
