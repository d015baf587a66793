// SPDX-License-Identifier: Apache-2.0
// Owns the layout of the frames between engine and worker (docs/formats/worker.md): each frame's
// encoder stands beside its decoder.
#include "wire/frames.h"

#include <assert.h>

static_assert(WZ_FRAME_RECORD_LEN == 1 + 1 + 1 + 1 + 2 + 4 + 8 + 8,
              "stream hops lane flags topic body offset time");
static_assert(WZ_FRAME_RESULT_LEN == 1 + 1 + 4 + 8 + 4 + 4,
              "stream status before offset count items");
static_assert(WZ_FRAME_ENTRY_LEN == 1 + 2 + 4, "lane key value");
static_assert(WZ_FRAME_ITEM_LEN == 1 + 4, "kind length");

// Body kind, flags, length of the topic: what an EMIT has in front of its topic.
#define WZ_FRAME_EMIT_LEN 3

#define WZ_FRAME_FLAG_PERSISTENT 0x01

// Flags of a record and of a LOAD.
#define WZ_FRAME_FLAG_OPENS 0x01
#define WZ_FRAME_FLAG_LANED 0x01

// A value's length in a change that removes its key.
#define WZ_FRAME_REMOVED UINT32_MAX

// A pen over LEN bytes that now count as part of BUF.
static struct wz_pen grow(struct wz_buf *buf, size_t len)
{
    wz_buf_reserve(buf, len);
    buf->len += len;
    return wz_pen(buf->ptr + buf->len - len, len);
}

static struct wz_pen grow_frame(struct wz_buf *buf, enum wz_frame_type type, size_t payload_len)
{
    struct wz_pen pen;

    WZ_ASSERT(payload_len <= WZ_FRAME_LIMIT_BYTES);
    pen = grow(buf, WZ_FRAME_HEADER_LEN + payload_len);
    wz_pen_put_u32(&pen, (uint32_t)payload_len);
    wz_pen_put_u8(&pen, (uint8_t)type);
    return pen;
}

static bool type_known(uint8_t type)
{
    return (type >= WZ_FRAME_LOAD && type <= WZ_FRAME_FOUND) ||
           (type >= WZ_FRAME_READY && type <= WZ_FRAME_QUERY);
}

int wz_frame_read(struct wz_slice s, struct wz_frame *ret_frame, size_t *ret_len)
{
    struct wz_cursor cur = wz_cursor(s);
    uint32_t len = wz_cursor_get_u32(&cur);
    uint8_t type = wz_cursor_get_u8(&cur);

    if (cur.failed) {
        *ret_len = WZ_FRAME_HEADER_LEN;
        return WZ_AGAIN;
    }
    if (len > WZ_FRAME_LIMIT_BYTES || !type_known(type))
        return WZ_ERR_PROTOCOL;
    *ret_len = WZ_FRAME_HEADER_LEN + (size_t)len;
    if (s.len < *ret_len)
        return WZ_AGAIN;
    ret_frame->type = (enum wz_frame_type)type;
    ret_frame->payload = wz_cursor_get_bytes(&cur, len);
    return WZ_OK;
}

void wz_frame_put_empty(struct wz_buf *buf, enum wz_frame_type type) { grow_frame(buf, type, 0); }

// A decoder is content when it has not run over the end and nothing is left.
static int ended(const struct wz_cursor *cur)
{
    return cur->failed || wz_cursor_left(cur) > 0 ? WZ_ERR_PROTOCOL : WZ_OK;
}

void wz_frame_put_load(struct wz_buf *buf, const struct wz_frame_load *load)
{
    size_t len = 1 + 2 + 4 + 4 + load->name.len + load->code.len + load->config.len;
    struct wz_pen pen = grow_frame(buf, WZ_FRAME_LOAD, len);

    WZ_ASSERT(load->name.len <= UINT16_MAX);
    wz_pen_put_u8(&pen, load->laned ? WZ_FRAME_FLAG_LANED : 0);
    wz_pen_put_u16(&pen, (uint16_t)load->name.len);
    wz_pen_put_u32(&pen, (uint32_t)load->code.len);
    wz_pen_put_u32(&pen, (uint32_t)load->config.len);
    wz_pen_put_slice(&pen, load->name);
    wz_pen_put_slice(&pen, load->code);
    wz_pen_put_slice(&pen, load->config);
}

int wz_frame_get_load(struct wz_slice payload, struct wz_frame_load *ret_load)
{
    struct wz_cursor cur = wz_cursor(payload);
    uint8_t flags = wz_cursor_get_u8(&cur);
    size_t name_len = wz_cursor_get_u16(&cur);
    size_t code_len = wz_cursor_get_u32(&cur);
    size_t config_len = wz_cursor_get_u32(&cur);
    struct wz_frame_load load = {.laned = flags & WZ_FRAME_FLAG_LANED};

    load.name = wz_cursor_get_bytes(&cur, name_len);
    load.code = wz_cursor_get_bytes(&cur, code_len);
    load.config = wz_cursor_get_bytes(&cur, config_len);
    if (ended(&cur) != WZ_OK || flags > WZ_FRAME_FLAG_LANED)
        return WZ_ERR_PROTOCOL;
    *ret_load = load;
    return WZ_OK;
}

void wz_frame_put_invalid(struct wz_buf *buf, const struct wz_frame_invalid *invalid)
{
    size_t len = 4 + 4 + 4 + invalid->reason.len + invalid->traceback.len;
    struct wz_pen pen = grow_frame(buf, WZ_FRAME_INVALID, len);

    wz_pen_put_u32(&pen, invalid->line);
    wz_pen_put_u32(&pen, invalid->column);
    wz_pen_put_u32(&pen, (uint32_t)invalid->reason.len);
    wz_pen_put_slice(&pen, invalid->reason);
    wz_pen_put_slice(&pen, invalid->traceback);
}

int wz_frame_get_invalid(struct wz_slice payload, struct wz_frame_invalid *ret_invalid)
{
    struct wz_cursor cur = wz_cursor(payload);
    struct wz_frame_invalid invalid;

    invalid.line = wz_cursor_get_u32(&cur);
    invalid.column = wz_cursor_get_u32(&cur);
    invalid.reason = wz_cursor_get_bytes(&cur, wz_cursor_get_u32(&cur));
    if (cur.failed)
        return WZ_ERR_PROTOCOL;
    invalid.traceback = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    *ret_invalid = invalid;
    return WZ_OK;
}

void wz_frame_put_log(struct wz_buf *buf, const struct wz_frame_log *log)
{
    struct wz_pen pen = grow_frame(buf, WZ_FRAME_LOG, 1 + 1 + 1 + 8 + log->text.len);

    wz_pen_put_u8(&pen, (uint8_t)log->source);
    wz_pen_put_u8(&pen, (uint8_t)log->severity);
    wz_pen_put_u8(&pen, log->stream);
    wz_pen_put_u64(&pen, (uint64_t)log->offset);
    wz_pen_put_slice(&pen, log->text);
}

int wz_frame_get_log(struct wz_slice payload, struct wz_frame_log *ret_log)
{
    struct wz_cursor cur = wz_cursor(payload);
    uint8_t source = wz_cursor_get_u8(&cur);
    uint8_t severity = wz_cursor_get_u8(&cur);
    uint8_t stream = wz_cursor_get_u8(&cur);
    int64_t offset = (int64_t)wz_cursor_get_u64(&cur);

    if (cur.failed || source > WZ_FRAME_LOG_CONTEXT || severity >= WZ_SEVERITY_COUNT ||
        wz_cursor_left(&cur) > WZ_FRAME_LOG_MAX)
        return WZ_ERR_PROTOCOL;
    ret_log->source = (enum wz_frame_log_source)source;
    ret_log->severity = (enum wz_severity)severity;
    ret_log->stream = stream;
    ret_log->offset = offset;
    ret_log->text = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    return WZ_OK;
}

void wz_frame_put_query(struct wz_buf *buf, const struct wz_frame_query *query)
{
    struct wz_pen pen = grow_frame(buf, WZ_FRAME_QUERY, 1 + 8 + 8 + 8 + 4 + query->pattern.len);

    WZ_ASSERT(query->pattern.len <= WZ_FRAME_TOPIC_MAX);
    wz_pen_put_u8(&pen, query->stream);
    wz_pen_put_u64(&pen, (uint64_t)query->before);
    wz_pen_put_u64(&pen, (uint64_t)query->since_ms);
    wz_pen_put_u64(&pen, (uint64_t)query->until_ms);
    wz_pen_put_u32(&pen, query->limit);
    wz_pen_put_slice(&pen, query->pattern);
}

int wz_frame_get_query(struct wz_slice payload, struct wz_frame_query *ret_query)
{
    struct wz_cursor cur = wz_cursor(payload);
    struct wz_frame_query query;

    query.stream = wz_cursor_get_u8(&cur);
    query.before = (int64_t)wz_cursor_get_u64(&cur);
    query.since_ms = (int64_t)wz_cursor_get_u64(&cur);
    query.until_ms = (int64_t)wz_cursor_get_u64(&cur);
    query.limit = wz_cursor_get_u32(&cur);
    if (cur.failed || wz_cursor_left(&cur) > WZ_FRAME_TOPIC_MAX)
        return WZ_ERR_PROTOCOL;
    query.pattern = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    *ret_query = query;
    return WZ_OK;
}

void wz_frame_put_not_found(struct wz_buf *buf, struct wz_slice error)
{
    struct wz_pen pen = grow_frame(buf, WZ_FRAME_FOUND, 4 + error.len);

    WZ_ASSERT(error.len > 0);
    wz_pen_put_u32(&pen, (uint32_t)error.len);
    wz_pen_put_slice(&pen, error);
}

size_t wz_frame_found_open(struct wz_buf *buf)
{
    size_t start = buf->len;
    struct wz_pen pen = grow_frame(buf, WZ_FRAME_FOUND, 4 + 4);

    wz_pen_put_u32(&pen, 0);
    wz_pen_put_u32(&pen, 0);
    return start;
}

void wz_frame_found_close(struct wz_buf *buf, size_t start, uint32_t count)
{
    size_t payload_len = buf->len - start - WZ_FRAME_HEADER_LEN;
    struct wz_pen pen = wz_pen(buf->ptr + start, WZ_FRAME_HEADER_LEN + 4 + 4);

    WZ_ASSERT(payload_len <= WZ_FRAME_LIMIT_BYTES);
    wz_pen_put_u32(&pen, (uint32_t)payload_len);
    wz_pen_put_u8(&pen, WZ_FRAME_FOUND);
    wz_pen_put_u32(&pen, 0);
    wz_pen_put_u32(&pen, count);
}

int wz_frame_get_found(struct wz_slice payload, struct wz_frame_found *ret_found)
{
    struct wz_cursor cur = wz_cursor(payload);
    struct wz_slice error = wz_cursor_get_bytes(&cur, wz_cursor_get_u32(&cur));

    if (cur.failed || (error.len > 0 && wz_cursor_left(&cur) > 0))
        return WZ_ERR_PROTOCOL;
    ret_found->error = error;
    ret_found->records = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    return WZ_OK;
}

size_t wz_frame_list_open(struct wz_buf *buf, enum wz_frame_type type)
{
    size_t start = buf->len;
    struct wz_pen pen = grow_frame(buf, type, 4);

    wz_pen_put_u32(&pen, 0);
    return start;
}

void wz_frame_list_close(struct wz_buf *buf, size_t start, uint32_t count)
{
    wz_frame_list_close_apart(buf, start, count, buf->len - start - WZ_FRAME_HEADER_LEN - 4);
}

void wz_frame_list_close_apart(struct wz_buf *buf, size_t start, uint32_t count, size_t len)
{
    size_t payload_len = 4 + len;
    uint8_t type = buf->ptr[start + WZ_FRAME_HEADER_LEN - 1];
    struct wz_pen pen = wz_pen(buf->ptr + start, WZ_FRAME_HEADER_LEN + 4);

    WZ_ASSERT(payload_len <= WZ_FRAME_LIMIT_BYTES);
    wz_pen_put_u32(&pen, (uint32_t)payload_len);
    wz_pen_put_u8(&pen, type);
    wz_pen_put_u32(&pen, count);
}

int wz_frame_iter_init(struct wz_frame_iter *it, struct wz_slice payload)
{
    it->cur = wz_cursor(payload);
    it->left = wz_cursor_get_u32(&it->cur);
    return it->cur.failed ? WZ_ERR_PROTOCOL : WZ_OK;
}

void wz_frame_put_record(struct wz_buf *buf, const struct wz_frame_record *record)
{
    struct wz_pen pen = grow(buf, wz_frame_record_len(record));

    WZ_ASSERT(record->topic.len <= UINT16_MAX && record->body.len <= WZ_FRAME_LIMIT_BYTES);
    wz_pen_put_u8(&pen, record->stream);
    wz_pen_put_u8(&pen, record->hops);
    wz_pen_put_u8(&pen, record->lane);
    wz_pen_put_u8(&pen, record->opens ? WZ_FRAME_FLAG_OPENS : 0);
    wz_pen_put_u16(&pen, (uint16_t)record->topic.len);
    wz_pen_put_u32(&pen, (uint32_t)record->body.len);
    wz_pen_put_u64(&pen, (uint64_t)record->offset);
    wz_pen_put_u64(&pen, (uint64_t)record->append_ms);
    wz_pen_put_slice(&pen, record->topic);
    wz_pen_put_slice(&pen, record->body);
}

void wz_frame_record_set_opens(uint8_t *bytes) { bytes[3] |= WZ_FRAME_FLAG_OPENS; }

void wz_frame_get_record(struct wz_cursor *cur, struct wz_frame_record *ret_record)
{
    size_t topic_len;
    size_t body_len;
    uint8_t flags;

    ret_record->stream = wz_cursor_get_u8(cur);
    ret_record->hops = wz_cursor_get_u8(cur);
    ret_record->lane = wz_cursor_get_u8(cur);
    flags = wz_cursor_get_u8(cur);
    ret_record->opens = flags & WZ_FRAME_FLAG_OPENS;
    topic_len = wz_cursor_get_u16(cur);
    body_len = wz_cursor_get_u32(cur);
    ret_record->offset = (int64_t)wz_cursor_get_u64(cur);
    ret_record->append_ms = (int64_t)wz_cursor_get_u64(cur);
    ret_record->topic = wz_cursor_get_bytes(cur, topic_len);
    ret_record->body = wz_cursor_get_bytes(cur, body_len);
    if (ret_record->lane >= WZ_LANE_COUNT || flags > WZ_FRAME_FLAG_OPENS)
        cur->failed = true;
}

int wz_frame_next_record(struct wz_frame_iter *it, struct wz_frame_record *ret_record)
{
    struct wz_frame_record record;

    if (it->left == 0)
        return ended(&it->cur) == WZ_OK ? WZ_END : WZ_ERR_PROTOCOL;
    wz_frame_get_record(&it->cur, &record);
    if (it->cur.failed)
        return WZ_ERR_PROTOCOL;
    it->left--;
    *ret_record = record;
    return WZ_OK;
}

size_t wz_frame_result_open(struct wz_buf *buf, uint8_t stream, int64_t offset, uint32_t before)
{
    size_t start = buf->len;
    struct wz_pen pen = grow(buf, WZ_FRAME_RESULT_LEN);

    wz_pen_put_u8(&pen, stream);
    wz_pen_put_u8(&pen, WZ_FRAME_OK);
    wz_pen_put_u32(&pen, before);
    wz_pen_put_u64(&pen, (uint64_t)offset);
    wz_pen_put_u64(&pen, 0); // count and length come at the close
    return start;
}

void wz_frame_result_close(struct wz_buf *buf, size_t start, enum wz_frame_status status,
                           uint32_t item_count)
{
    size_t len = buf->len - start - WZ_FRAME_RESULT_LEN;
    struct wz_pen pen = wz_pen(buf->ptr + start, WZ_FRAME_RESULT_LEN);

    WZ_ASSERT(len <= WZ_FRAME_LIMIT_BYTES);
    pen.pos += 1;
    wz_pen_put_u8(&pen, (uint8_t)status);
    pen.pos += 4 + 8;
    wz_pen_put_u32(&pen, item_count);
    wz_pen_put_u32(&pen, (uint32_t)len);
}

int wz_frame_next_result(struct wz_frame_iter *it, struct wz_frame_result *ret_result)
{
    struct wz_frame_result result;
    uint8_t status;

    if (it->left == 0)
        return WZ_END; // the changes follow
    result.stream = wz_cursor_get_u8(&it->cur);
    status = wz_cursor_get_u8(&it->cur);
    result.status = (enum wz_frame_status)status;
    result.before = wz_cursor_get_u32(&it->cur);
    result.offset = (int64_t)wz_cursor_get_u64(&it->cur);
    result.item_count = wz_cursor_get_u32(&it->cur);
    result.items = wz_cursor_get_bytes(&it->cur, wz_cursor_get_u32(&it->cur));
    if (it->cur.failed || status > WZ_FRAME_DEFERRED)
        return WZ_ERR_PROTOCOL;
    it->left--;
    *ret_result = result;
    return WZ_OK;
}

void wz_frame_put_change_count(struct wz_buf *buf, uint32_t count)
{
    struct wz_pen pen = grow(buf, 4);

    wz_pen_put_u32(&pen, count);
}

void wz_frame_put_entry(struct wz_buf *buf, const struct wz_frame_entry *entry)
{
    size_t value_len = entry->removed ? 0 : entry->value.len;
    struct wz_pen pen = grow(buf, WZ_FRAME_ENTRY_LEN + entry->key.len + value_len);

    WZ_ASSERT(entry->key.len <= WZ_STATE_KEY_MAX && value_len <= WZ_STATE_VALUE_MAX);
    wz_pen_put_u8(&pen, entry->lane);
    wz_pen_put_u16(&pen, (uint16_t)entry->key.len);
    wz_pen_put_u32(&pen, entry->removed ? WZ_FRAME_REMOVED : (uint32_t)value_len);
    wz_pen_put_slice(&pen, entry->key);
    if (!entry->removed)
        wz_pen_put_slice(&pen, entry->value);
}

int wz_frame_changes(struct wz_frame_iter *it)
{
    it->left = wz_cursor_get_u32(&it->cur);
    return it->cur.failed ? WZ_ERR_PROTOCOL : WZ_OK;
}

int wz_frame_next_entry(struct wz_frame_iter *it, struct wz_frame_entry *ret_entry)
{
    struct wz_frame_entry entry;
    size_t key_len;
    uint32_t value_len;

    if (it->left == 0)
        return ended(&it->cur) == WZ_OK ? WZ_END : WZ_ERR_PROTOCOL;
    entry.lane = wz_cursor_get_u8(&it->cur);
    key_len = wz_cursor_get_u16(&it->cur);
    value_len = wz_cursor_get_u32(&it->cur);
    entry.removed = value_len == WZ_FRAME_REMOVED;
    if (entry.removed)
        value_len = 0;
    entry.key = wz_cursor_get_bytes(&it->cur, key_len);
    entry.value = wz_cursor_get_bytes(&it->cur, value_len);
    if (it->cur.failed || entry.lane > WZ_LANE_SHARED || key_len == 0 ||
        key_len > WZ_STATE_KEY_MAX || value_len > WZ_STATE_VALUE_MAX)
        return WZ_ERR_PROTOCOL;
    it->left--;
    *ret_entry = entry;
    return WZ_OK;
}

static bool has_topic(enum wz_frame_item_kind kind)
{
    return kind == WZ_FRAME_ITEM_EMIT || kind == WZ_FRAME_ITEM_SEEN;
}

void wz_frame_put_item(struct wz_buf *buf, const struct wz_frame_item *item)
{
    bool emit = item->kind == WZ_FRAME_ITEM_EMIT;
    bool seen = item->kind == WZ_FRAME_ITEM_SEEN;
    size_t front = emit ? WZ_FRAME_EMIT_LEN : seen ? 2 : 0;
    size_t len = front + item->body.len + (has_topic(item->kind) ? item->topic.len : 0);
    struct wz_pen pen = grow(buf, WZ_FRAME_ITEM_LEN + len);

    WZ_ASSERT(item->topic.len <= (seen ? WZ_STATE_KEY_MAX : WZ_FRAME_TOPIC_MAX) &&
              item->body.len <= WZ_FRAME_LIMIT_BYTES);
    wz_pen_put_u8(&pen, (uint8_t)item->kind);
    wz_pen_put_u32(&pen, (uint32_t)len);
    if (emit) {
        wz_pen_put_u8(&pen, (uint8_t)item->body_kind);
        wz_pen_put_u8(&pen, item->persistent ? WZ_FRAME_FLAG_PERSISTENT : 0);
        wz_pen_put_u8(&pen, (uint8_t)item->topic.len);
        wz_pen_put_slice(&pen, item->topic);
    } else if (seen) {
        wz_pen_put_u16(&pen, (uint16_t)item->topic.len);
        wz_pen_put_slice(&pen, item->topic);
    }
    wz_pen_put_slice(&pen, item->body);
}

static int get_emit(struct wz_cursor *cur, struct wz_frame_item *item)
{
    uint8_t body_kind = wz_cursor_get_u8(cur);
    uint8_t flags = wz_cursor_get_u8(cur);

    item->topic = wz_cursor_get_bytes(cur, wz_cursor_get_u8(cur));
    if (cur->failed || body_kind > WZ_FRAME_BODY_NUMBER || flags > WZ_FRAME_FLAG_PERSISTENT)
        return WZ_ERR_PROTOCOL;
    item->body_kind = (enum wz_frame_body)body_kind;
    item->persistent = flags & WZ_FRAME_FLAG_PERSISTENT;
    return WZ_OK;
}

int wz_frame_next_item(struct wz_frame_iter *it, struct wz_frame_item *ret_item)
{
    struct wz_frame_item item = {0};
    struct wz_cursor inner;
    uint8_t kind;

    if (it->left == 0)
        return ended(&it->cur) == WZ_OK ? WZ_END : WZ_ERR_PROTOCOL;
    kind = wz_cursor_get_u8(&it->cur);
    inner = wz_cursor(wz_cursor_get_bytes(&it->cur, wz_cursor_get_u32(&it->cur)));
    if (it->cur.failed || kind < WZ_FRAME_ITEM_EMIT || kind > WZ_FRAME_ITEM_SEEN)
        return WZ_ERR_PROTOCOL;
    item.kind = (enum wz_frame_item_kind)kind;
    if (item.kind == WZ_FRAME_ITEM_EMIT && get_emit(&inner, &item) != WZ_OK)
        return WZ_ERR_PROTOCOL;
    if (item.kind == WZ_FRAME_ITEM_SEEN)
        item.topic = wz_cursor_get_bytes(&inner, wz_cursor_get_u16(&inner));
    if (inner.failed || item.topic.len > WZ_STATE_KEY_MAX)
        return WZ_ERR_PROTOCOL;
    item.body = wz_cursor_get_bytes(&inner, wz_cursor_left(&inner));
    it->left--;
    *ret_item = item;
    return WZ_OK;
}

static const char *const severity_words[] = {
#define WZ_SEVERITY_WORD(id, word) word,
    WZ_SEVERITY_TABLE(WZ_SEVERITY_WORD)
#undef WZ_SEVERITY_WORD
};

const char *wz_severity_word(enum wz_severity severity) { return severity_words[severity]; }

enum wz_severity wz_severity_find(struct wz_slice word)
{
    int i = 0;

    while (i < WZ_SEVERITY_COUNT && !wz_slice_eq(wz_slice_str(severity_words[i]), word))
        i++;
    return (enum wz_severity)i;
}
