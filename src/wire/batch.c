// SPDX-License-Identifier: Apache-2.0
// Owns the bytes of Kafka's record batch: writing, checking and walking them. Pure.
#include "wire/batch.h"

#include "base/crc32c.h"
#include "base/mem.h"

// Of a record: the byte of attributes and the one-byte varint of a timestamp delta of 0.
#define RECORD_FIXED_LEN 2

static size_t varbytes_len(size_t len) { return wz_varint_len((int64_t)len) + len; }

static size_t value_bytes(const struct wz_record_parts *parts)
{
    size_t len = 0;

    for (int i = 0; i < parts->value_count; i++)
        len += parts->value[i].len;
    return len;
}

// The length of a record without its length field.
static size_t body_len(const struct wz_record_parts *parts, int32_t index)
{
    size_t len = RECORD_FIXED_LEN + wz_varint_len(index) + wz_varint_len(parts->header_count);

    len += parts->key.ptr == NULL ? 1 : varbytes_len(parts->key.len);
    len += parts->value_count == 0 ? 1 : varbytes_len(value_bytes(parts));
    for (int i = 0; i < parts->header_pieces; i++)
        len += parts->headers[i].len;
    return len;
}

size_t wz_record_len(const struct wz_record_parts *parts, int32_t index)
{
    return varbytes_len(body_len(parts, index));
}

void wz_batch_begin(struct wz_batch_builder *batch, void *bytes, size_t cap, int64_t base_offset)
{
    WZ_ASSERT(cap >= WZ_BATCH_HEADER_LEN);
    *batch = (struct wz_batch_builder){
        .bytes = bytes, .len = WZ_BATCH_HEADER_LEN, .cap = cap, .base_offset = base_offset};
}

bool wz_batch_fits(const struct wz_batch_builder *batch, size_t len)
{
    if (batch->cap - batch->len < len)
        return false;
    return batch->count == 0 ||
           (batch->count < WZ_BATCH_MAX_RECORDS && batch->len + len <= WZ_BATCH_MAX_BYTES);
}

// Writes a varint that is nearly always of one or two bytes.
static inline void put_varint(struct wz_pen *pen, int64_t value)
{
    if (value >= -64 && value < 64)
        wz_pen_put_u8(pen, (uint8_t)((uint64_t)value << 1 ^ (uint64_t)(value >> 63)));
    else
        wz_pen_put_varint(pen, value);
}

void wz_batch_add(struct wz_batch_builder *batch, const struct wz_record_parts *parts, size_t len)
{
    struct wz_pen pen = wz_pen(batch->bytes + batch->len, len);
    size_t body = len - wz_varint_len((int64_t)len);

    // Where the length's varint grows with itself, the shorter body is the right one.
    if (varbytes_len(body) != len)
        body++;
    put_varint(&pen, (int64_t)body);
    wz_pen_put_u8(&pen, 0); // attributes
    wz_pen_put_u8(&pen, 0); // timestamp delta
    put_varint(&pen, batch->count);
    put_varint(&pen, parts->key.ptr == NULL ? -1 : (int64_t)parts->key.len);
    wz_pen_put_slice(&pen, parts->key);
    put_varint(&pen, parts->value_count == 0 ? -1 : (int64_t)value_bytes(parts));
    for (int i = 0; i < parts->value_count; i++)
        wz_pen_put_slice(&pen, parts->value[i]);
    put_varint(&pen, parts->header_count);
    for (int i = 0; i < parts->header_pieces; i++)
        wz_pen_put_slice(&pen, parts->headers[i]);
    WZ_ASSERT(!pen.failed && pen.pos == batch->bytes + batch->len + len);
    batch->len += len;
    batch->count++;
}

static int32_t sequence_of(int64_t base_offset) { return (int32_t)(base_offset & INT32_MAX); }

void wz_batch_finish(struct wz_batch_builder *batch, int64_t append_ms)
{
    struct wz_pen pen = wz_pen(batch->bytes, WZ_BATCH_HEADER_LEN);

    WZ_ASSERT(batch->count > 0);
    wz_pen_put_u64(&pen, (uint64_t)batch->base_offset);
    wz_pen_put_u32(&pen, (uint32_t)(batch->len - WZ_BATCH_PREFIX_LEN));
    wz_pen_put_u32(&pen, UINT32_MAX); // no partition leader epoch
    wz_pen_put_u8(&pen, 2);           // magic
    wz_pen_put_u32(&pen, 0);          // checksum: wz_batch_seal
    wz_pen_put_u16(&pen, WZ_BATCH_LOG_APPEND_TIME);
    wz_pen_put_u32(&pen, (uint32_t)(batch->count - 1));
    wz_pen_put_u64(&pen, (uint64_t)append_ms);
    wz_pen_put_u64(&pen, (uint64_t)append_ms);
    wz_pen_put_u64(&pen, UINT64_MAX); // no producer
    wz_pen_put_u16(&pen, UINT16_MAX);
    wz_pen_put_u32(&pen, (uint32_t)sequence_of(batch->base_offset));
    wz_pen_put_u32(&pen, (uint32_t)batch->count);
    WZ_ASSERT(!pen.failed && pen.pos == pen.end);
}

static uint32_t checksum(struct wz_slice s)
{
    return wz_crc32c(0, s.ptr + WZ_BATCH_ATTRIBUTES_POS, s.len - WZ_BATCH_ATTRIBUTES_POS);
}

void wz_batch_seal(void *bytes, size_t len)
{
    struct wz_pen pen = wz_pen((uint8_t *)bytes + WZ_BATCH_CRC_POS, 4);

    WZ_ASSERT(len >= WZ_BATCH_HEADER_LEN);
    wz_pen_put_u32(&pen, checksum(wz_slice(bytes, len)));
}

void wz_batch_rebase(void *bytes, int64_t base_offset)
{
    struct wz_pen pen = wz_pen((uint8_t *)bytes + WZ_BATCH_OFFSET_POS, 8);

    wz_pen_put_u64(&pen, (uint64_t)base_offset);
    pen = wz_pen((uint8_t *)bytes + WZ_BATCH_SEQUENCE_POS, 4);
    wz_pen_put_u32(&pen, (uint32_t)sequence_of(base_offset));
}

// Reads the fields behind the length; CUR stands at the leader epoch.
static int header_read(struct wz_cursor *cur, struct wz_batch_info *info)
{
    uint8_t magic;
    uint32_t last_delta;

    info->epoch = (int32_t)wz_cursor_get_u32(cur);
    magic = wz_cursor_get_u8(cur);
    info->crc = wz_cursor_get_u32(cur);
    info->attributes = wz_cursor_get_u16(cur);
    last_delta = wz_cursor_get_u32(cur);
    info->base_ms = (int64_t)wz_cursor_get_u64(cur);
    info->max_ms = (int64_t)wz_cursor_get_u64(cur);
    (void)wz_cursor_get_bytes(cur, 10); // producer id and epoch: not ours to judge
    info->sequence = (int32_t)wz_cursor_get_u32(cur);
    info->count = (int32_t)wz_cursor_get_u32(cur);
    // The offset behind the last one is a number too: all that read or write on from here count it.
    if (magic != 2 || info->count < 1 || last_delta > INT32_MAX ||
        info->base_offset >= INT64_MAX - (int64_t)last_delta)
        return WZ_ERR_CORRUPT;
    info->last_offset = info->base_offset + (int64_t)last_delta;
    return WZ_OK;
}

int wz_batch_read(struct wz_slice s, struct wz_batch_info *ret_info)
{
    struct wz_cursor cur = wz_cursor(s);
    struct wz_batch_info info = {0};
    uint32_t length;
    int r;

    *ret_info = info;
    info.base_offset = (int64_t)wz_cursor_get_u64(&cur);
    length = wz_cursor_get_u32(&cur);
    if (cur.failed)
        return WZ_AGAIN;
    if (info.base_offset < 0 || length < WZ_BATCH_HEADER_LEN - WZ_BATCH_PREFIX_LEN ||
        length > WZ_BATCH_LIMIT_BYTES - WZ_BATCH_PREFIX_LEN)
        return WZ_ERR_CORRUPT;
    info.len = (size_t)length + WZ_BATCH_PREFIX_LEN;
    if (s.len < info.len) {
        ret_info->len = info.len;
        return WZ_AGAIN;
    }
    r = header_read(&cur, &info);
    if (r < 0)
        return r;
    *ret_info = info;
    return WZ_OK;
}

bool wz_batch_crc_ok(struct wz_slice s)
{
    struct wz_cursor cur;

    if (s.len < WZ_BATCH_HEADER_LEN)
        return false;
    cur = wz_cursor(wz_slice_sub(s, WZ_BATCH_CRC_POS, 4));
    return wz_cursor_get_u32(&cur) == checksum(s);
}

void wz_record_iter_init(struct wz_record_iter *it, struct wz_slice s,
                         const struct wz_batch_info *info)
{
    WZ_ASSERT(s.len == info->len);
    *it = (struct wz_record_iter){.info = *info};
    it->cur = wz_cursor(wz_slice_sub(s, WZ_BATCH_HEADER_LEN, s.len - (size_t)WZ_BATCH_HEADER_LEN));
}

// The next varint, quick for one byte.
static inline int64_t get_varint(struct wz_cursor *cur)
{
    if (cur->pos < cur->end && *cur->pos < 0x80) {
        uint8_t byte = *cur->pos++;

        return (int64_t)(byte >> 1) ^ -(int64_t)(byte & 1);
    }
    return wz_cursor_get_varint(cur);
}

// The next length and as many bytes; a length of -1 is null.
static struct wz_slice get_varbytes(struct wz_cursor *cur, bool *ret_null)
{
    int64_t len = get_varint(cur);

    *ret_null = len == -1;
    if (len < -1)
        cur->failed = true;
    return wz_cursor_get_bytes(cur, len > 0 ? (size_t)len : 0);
}

// Reads a record's fields out of its own bytes; its headers are all that is left behind them.
static int record_read(struct wz_record_iter *it, struct wz_cursor *cur, struct wz_record *record)
{
    int64_t time_delta;
    int64_t offset_delta;
    int64_t count;

    (void)wz_cursor_get_u8(cur); // the record's attributes are not used by Kafka
    time_delta = get_varint(cur);
    offset_delta = get_varint(cur);
    record->key = get_varbytes(cur, &record->key_null);
    record->value = get_varbytes(cur, &record->value_null);
    count = get_varint(cur);
    if (cur->failed || count < 0 || count > INT32_MAX || offset_delta < 0 ||
        offset_delta > it->info.last_offset - it->info.base_offset)
        return WZ_ERR_CORRUPT;
    record->header_count = (int)count;
    record->headers = wz_slice(cur->pos, wz_cursor_left(cur));
    record->offset = it->info.base_offset + offset_delta;
    if (it->info.attributes & WZ_BATCH_LOG_APPEND_TIME)
        record->append_ms = it->info.max_ms;
    else if (__builtin_add_overflow(it->info.base_ms, time_delta, &record->append_ms))
        return WZ_ERR_CORRUPT;
    return WZ_OK;
}

int wz_record_next(struct wz_record_iter *it, struct wz_record *ret_record)
{
    struct wz_cursor cur;
    int64_t len;
    int r;

    if (it->index >= it->info.count)
        return wz_cursor_left(&it->cur) == 0 ? WZ_END : WZ_ERR_CORRUPT;
    len = get_varint(&it->cur);
    if (it->cur.failed || len < 0)
        return WZ_ERR_CORRUPT;
    cur = wz_cursor(wz_cursor_get_bytes(&it->cur, (size_t)len));
    if (it->cur.failed)
        return WZ_ERR_CORRUPT;
    r = record_read(it, &cur, ret_record);
    if (r < 0)
        return r;
    it->index++;
    return WZ_OK;
}

// Writes one more record of another batch. WZ_ERR_CORRUPT when it does not stand at the offset that
// comes next, or there is no room.
static int copy_record(struct wz_batch_builder *batch, const struct wz_record *record)
{
    struct wz_record_parts parts = {.key = record->key,
                                    .value = {record->value},
                                    .value_count = record->value_null ? 0 : 1,
                                    .headers = {record->headers},
                                    .header_pieces = 1,
                                    .header_count = record->header_count};
    size_t len;

    if (record->offset != batch->base_offset + batch->count)
        return WZ_ERR_CORRUPT;
    if (record->key_null)
        parts.key = wz_slice(NULL, 0);
    len = wz_record_len(&parts, batch->count);
    if (batch->cap - batch->len < len)
        return WZ_ERR_CORRUPT;
    wz_batch_add(batch, &parts, len);
    return WZ_OK;
}

// Fills BATCH with the next records of IT. WZ_END when there is none.
static int copy_records(struct wz_batch_builder *batch, struct wz_record_iter *it, size_t least)
{
    struct wz_record record;
    int r = WZ_OK;

    while (r == WZ_OK && (batch->count == 0 || batch->len < least)) {
        r = wz_record_next(it, &record);
        if (r == WZ_OK)
            r = copy_record(batch, &record);
    }
    return r == WZ_END && batch->count > 0 ? WZ_OK : r;
}

int wz_batch_split(struct wz_slice s, const struct wz_batch_info *info, size_t least,
                   struct wz_buf *ret_buf)
{
    size_t before = ret_buf->len;
    struct wz_record_iter it;
    int r = WZ_OK;

    if (info->attributes != WZ_BATCH_LOG_APPEND_TIME || info->base_ms != info->max_ms)
        return WZ_ERR_CORRUPT;
    wz_record_iter_init(&it, s, info);
    while (r == WZ_OK) {
        // A record gets no longer: its offset counts from a later one, all else is as it was.
        size_t cap = WZ_BATCH_HEADER_LEN + wz_cursor_left(&it.cur);
        struct wz_batch_builder batch;

        wz_buf_reserve(ret_buf, cap);
        wz_batch_begin(&batch, ret_buf->ptr + ret_buf->len, cap, info->base_offset + it.index);
        r = copy_records(&batch, &it, least);
        if (r != WZ_OK)
            break;
        wz_batch_finish(&batch, info->max_ms);
        wz_batch_seal(batch.bytes, batch.len);
        ret_buf->len += batch.len;
    }
    if (r == WZ_END)
        return WZ_OK;
    ret_buf->len = before;
    return r;
}

int wz_record_header_next(struct wz_slice *headers, struct wz_record_header *ret_header)
{
    struct wz_cursor cur = wz_cursor(*headers);
    struct wz_record_header header;
    bool name_null;
    bool value_null;

    if (headers->len == 0)
        return WZ_END;
    header.key = get_varbytes(&cur, &name_null);
    header.value = get_varbytes(&cur, &value_null);
    if (cur.failed || name_null)
        return WZ_ERR_CORRUPT;
    *headers = wz_slice(cur.pos, wz_cursor_left(&cur));
    *ret_header = header;
    return WZ_OK;
}

struct wz_slice wz_record_header_find(const struct wz_record *record, const char *name)
{
    struct wz_slice headers = record->headers;
    struct wz_slice wanted = wz_slice_str(name);
    struct wz_record_header header;

    while (wz_record_header_next(&headers, &header) == WZ_OK) {
        if (wz_slice_eq(header.key, wanted))
            return header.value;
    }
    return wz_slice(NULL, 0);
}

void wz_record_header_put(struct wz_pen *pen, struct wz_slice key, struct wz_slice value)
{
    put_varint(pen, (int64_t)key.len);
    wz_pen_put_slice(pen, key);
    put_varint(pen, (int64_t)value.len);
    wz_pen_put_slice(pen, value);
}
