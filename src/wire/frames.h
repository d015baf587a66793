// SPDX-License-Identifier: Apache-2.0
// The protocol between the engine and a worker: pure bytes, no I/O. One description for both sides;
// the layout of each frame, and who may send it when, is in docs/formats/worker.md.
#pragma once

#include "base/buf.h"
#include "base/cursor.h"

// In front of each frame: the payload's length (4 bytes) and the frame's type (1 byte).
#define WZ_FRAME_HEADER_LEN 5

// A longer payload is never written nor believed: 16 MiB of outputs of one message and their
// framing.
#define WZ_FRAME_LIMIT_BYTES (24 * 1024 * 1024)

// The fixed part of a record in a BATCH, of a result in a RESULT, and of an item in a result.
#define WZ_FRAME_RECORD_LEN 24
#define WZ_FRAME_RESULT_LEN 18
#define WZ_FRAME_ITEM_LEN 5

// Topics are at most this long (AMQP 0-9-1: shortstr).
#define WZ_FRAME_TOPIC_MAX 255

enum wz_frame_type {
    // engine to worker
    WZ_FRAME_LOAD = 1,
    WZ_FRAME_START = 2,
    WZ_FRAME_BATCH = 3,
    WZ_FRAME_DRAIN = 4,
    // worker to engine
    WZ_FRAME_READY = 65,
    WZ_FRAME_INVALID = 66,
    WZ_FRAME_STARTED = 67,
    WZ_FRAME_RESULT = 68,
    WZ_FRAME_LOG = 69,
    WZ_FRAME_DRAINED = 70,
};

// A frame as it lies in the bytes read; the payload borrows them.
struct wz_frame {
    enum wz_frame_type type;
    struct wz_slice payload;
};

// LOAD: the script to be validated. CONFIG is a JSON object.
struct wz_frame_load {
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
// the result. HOPS is for the engine, the worker does not read it.
struct wz_frame_record {
    uint8_t stream;
    uint8_t hops;
    int64_t offset;
    int64_t append_ms;
    struct wz_slice topic;
    struct wz_slice body;
};

enum wz_frame_status {
    WZ_FRAME_OK,
    WZ_FRAME_EXCEPTION, // its outputs were dropped; a TRACE item tells why
};

// The outcome of one input, of init (in STARTED) or of stop (in DRAINED); in the latter two STREAM
// and OFFSET are 0 and -1. ITEMS is for wz_frame_item_next.
struct wz_frame_result {
    enum wz_frame_status status;
    uint8_t stream;
    int64_t offset;
    uint32_t item_count;
    struct wz_slice items;
};

enum wz_frame_item_kind {
    WZ_FRAME_ITEM_EMIT = 1,
    WZ_FRAME_ITEM_TRACE = 2,
};

// What the body of an output was in Python.
enum wz_frame_body {
    WZ_FRAME_BODY_OBJECT, // a dict, as JSON
    WZ_FRAME_BODY_TEXT,   // a str, as UTF-8
    WZ_FRAME_BODY_BYTES,  // bytes, as they are
    WZ_FRAME_BODY_NUMBER, // int, float or bool, as JSON
};

// One item of a result: an output (topic, body, body_kind, persistent) or a traceback (body).
struct wz_frame_item {
    enum wz_frame_item_kind kind;
    enum wz_frame_body body_kind;
    bool persistent;
    struct wz_slice topic;
    struct wz_slice body;
};

// Walks the records of a BATCH or the results of a RESULT, STARTED or DRAINED.
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

// Opens a frame of TYPE that holds a list: writes its header with no length and no count yet.
// Returns its place in BUF for wz_frame_list_close.
size_t wz_frame_list_open(struct wz_buf *buf, enum wz_frame_type type);

// Completes the list that began at START and holds COUNT members, all that lies behind it in BUF.
void wz_frame_list_close(struct wz_buf *buf, size_t start, uint32_t count);

// How many bytes the record takes in a BATCH.
static inline size_t wz_frame_record_len(const struct wz_frame_record *record)
{
    return WZ_FRAME_RECORD_LEN + record->topic.len + record->body.len;
}

// Adds a record to a BATCH; its topic must be of at most 65,535 bytes.
void wz_frame_put_record(struct wz_buf *buf, const struct wz_frame_record *record);

// Reads one record off the front of CUR; a cursor that fails holds no whole record.
void wz_frame_get_record(struct wz_cursor *cur, struct wz_frame_record *ret_record);

// Opens a result behind what BUF holds; returns its place.
size_t wz_frame_result_open(struct wz_buf *buf, uint8_t stream, int64_t offset);

// Completes the result that began at START with the ITEM_COUNT items behind it.
void wz_frame_result_close(struct wz_buf *buf, size_t start, enum wz_frame_status status,
                           uint32_t item_count);

// Adds an item to an open result; its topic must be of at most WZ_FRAME_TOPIC_MAX bytes.
void wz_frame_put_item(struct wz_buf *buf, const struct wz_frame_item *item);

// Starts a walk over the payload of a list frame. WZ_ERR_PROTOCOL when it has not even a count.
WZ_MUST int wz_frame_iter_init(struct wz_frame_iter *it, struct wz_slice payload);

// The next record of a BATCH; WZ_END after the last, WZ_ERR_PROTOCOL when the bytes do not add up
// (also when some are left behind the last one).
WZ_MUST int wz_frame_next_record(struct wz_frame_iter *it, struct wz_frame_record *ret_record);

// The next result of a RESULT, STARTED or DRAINED; as above.
WZ_MUST int wz_frame_next_result(struct wz_frame_iter *it, struct wz_frame_result *ret_result);

// Starts a walk over the items of a result.
static inline struct wz_frame_iter wz_frame_items(const struct wz_frame_result *result)
{
    return (struct wz_frame_iter){.cur = wz_cursor(result->items), .left = result->item_count};
}

// The next item of a result; as above.
WZ_MUST int wz_frame_next_item(struct wz_frame_iter *it, struct wz_frame_item *ret_item);

// The word of a severity ("info").
const char *wz_severity_word(enum wz_severity severity);

// The severity WORD, or WZ_SEVERITY_COUNT.
enum wz_severity wz_severity_find(struct wz_slice word);
