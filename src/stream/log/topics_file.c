// SPDX-License-Identifier: Apache-2.0
// Owns the layout of .topics.
#include "stream/log/topics_file.h"

#include "base/crc32c.h"

#define FILE_MAGIC 0x57595a45544f5049ull // "WYZETOPI"
#define FILE_VERSION 1
#define FILE_HEADER_LEN 32
#define FILE_COUNT_POS 16
#define FILE_CRC_POS 28
#define FILE_ENTRY_LEN 16

static void put_u32(struct wz_buf *buf, size_t value)
{
    struct wz_pen pen;

    wz_buf_reserve(buf, 4);
    pen = wz_pen(buf->ptr + buf->len, 4);
    wz_pen_put_u32(&pen, (uint32_t)value);
    buf->len += 4;
}

static void put_varint(struct wz_buf *buf, int64_t value)
{
    struct wz_pen pen;

    wz_buf_reserve(buf, WZ_VARINT64_MAX);
    pen = wz_pen(buf->ptr + buf->len, WZ_VARINT64_MAX);
    wz_pen_put_varint(&pen, value);
    buf->len = (size_t)(pen.pos - buf->ptr);
}

void wz_topics_file_begin(struct wz_topics_file *file, uint32_t topic_count, uint32_t block_count)
{
    *file = (struct wz_topics_file){.topic_count = topic_count, .block_count = block_count};
}

void wz_topics_file_add(struct wz_topics_file *file, struct wz_slice name, const uint32_t *blocks,
                        uint32_t count)
{
    uint32_t last = 0;

    put_u32(&file->entries, file->names.len);
    put_u32(&file->entries, name.len);
    put_u32(&file->entries, file->lists.len);
    put_u32(&file->entries, count);
    wz_buf_add_slice(&file->names, name);
    for (uint32_t i = 0; i < count; i++) {
        put_varint(&file->lists, (int64_t)blocks[i] - last);
        last = blocks[i];
    }
}

static uint32_t checksum(struct wz_slice s)
{
    uint32_t crc = wz_crc32c(0, s.ptr, FILE_CRC_POS);

    return wz_crc32c(crc, s.ptr + FILE_HEADER_LEN, s.len - FILE_HEADER_LEN);
}

void wz_topics_file_end(struct wz_topics_file *file, struct wz_buf *ret_buf)
{
    size_t start = ret_buf->len;
    struct wz_pen pen;

    wz_buf_reserve(ret_buf, FILE_HEADER_LEN);
    ret_buf->len += FILE_HEADER_LEN;
    wz_buf_add_slice(ret_buf, wz_buf_slice(&file->entries));
    wz_buf_add_slice(ret_buf, wz_buf_slice(&file->names));
    wz_buf_add_slice(ret_buf, wz_buf_slice(&file->lists));
    pen = wz_pen(ret_buf->ptr + start, FILE_HEADER_LEN);
    wz_pen_put_u64(&pen, FILE_MAGIC);
    wz_pen_put_u16(&pen, FILE_VERSION);
    wz_pen_put_u16(&pen, 0);
    wz_pen_put_u32(&pen, file->block_count);
    wz_pen_put_u32(&pen, file->topic_count);
    wz_pen_put_u32(&pen, (uint32_t)file->names.len);
    wz_pen_put_u32(&pen, (uint32_t)file->lists.len);
    wz_pen_put_u32(&pen, checksum(wz_slice(ret_buf->ptr + start, ret_buf->len - start)));
    wz_buf_release(&file->entries);
    wz_buf_release(&file->names);
    wz_buf_release(&file->lists);
}

// The lengths that the header names.
struct layout {
    uint32_t block_count;
    uint32_t topic_count;
    uint32_t names_len;
    uint32_t lists_len;
};

static struct layout layout_of(struct wz_slice s)
{
    struct wz_cursor cur = wz_cursor(s);
    struct layout at;

    (void)wz_cursor_get_bytes(&cur, 12); // magic, version, zero: wz_topics_file_check
    at.block_count = wz_cursor_get_u32(&cur);
    at.topic_count = wz_cursor_get_u32(&cur);
    at.names_len = wz_cursor_get_u32(&cur);
    at.lists_len = wz_cursor_get_u32(&cur);
    return at;
}

bool wz_topics_file_get(struct wz_slice s, uint32_t number, struct wz_topics_entry *ret_entry)
{
    struct layout at = layout_of(s);
    size_t names_pos = FILE_HEADER_LEN + (size_t)at.topic_count * FILE_ENTRY_LEN;
    struct wz_cursor cur;
    size_t name_pos;
    size_t name_len;
    size_t list_pos;

    if (number >= at.topic_count)
        return false;
    cur = wz_cursor(
        wz_slice_sub(s, FILE_HEADER_LEN + (size_t)number * FILE_ENTRY_LEN, FILE_ENTRY_LEN));
    name_pos = wz_cursor_get_u32(&cur);
    name_len = wz_cursor_get_u32(&cur);
    list_pos = wz_cursor_get_u32(&cur);
    *ret_entry = (struct wz_topics_entry){.count = wz_cursor_get_u32(&cur)};
    ret_entry->name = wz_slice_sub(s, names_pos + name_pos, name_len);
    ret_entry->list =
        wz_cursor(wz_slice_sub(s, names_pos + at.names_len + list_pos, at.lists_len - list_pos));
    return true;
}

uint32_t wz_topics_entry_next(struct wz_topics_entry *entry)
{
    entry->last += (uint32_t)wz_cursor_get_varint(&entry->list);
    return entry->last;
}

uint32_t wz_topics_file_blocks(struct wz_slice s) { return layout_of(s).block_count; }

uint32_t wz_topics_file_topics(struct wz_slice s) { return layout_of(s).topic_count; }

size_t wz_topics_file_names_len(struct wz_slice s) { return layout_of(s).names_len; }

// Whether every entry's places lie inside the file.
static bool entries_ok(struct wz_slice s, const struct layout *at)
{
    struct wz_cursor cur =
        wz_cursor(wz_slice_sub(s, FILE_HEADER_LEN, (size_t)at->topic_count * FILE_ENTRY_LEN));

    while (wz_cursor_left(&cur) > 0) {
        uint64_t name_pos = wz_cursor_get_u32(&cur);
        uint64_t name_len = wz_cursor_get_u32(&cur);
        uint64_t list_pos = wz_cursor_get_u32(&cur);
        uint64_t count = wz_cursor_get_u32(&cur);

        if (name_pos + name_len > at->names_len || list_pos > at->lists_len ||
            count > at->block_count)
            return false;
    }
    return true;
}

int wz_topics_file_check(struct wz_slice s)
{
    struct wz_cursor cur = wz_cursor(s);
    struct layout at;

    if (s.len < FILE_HEADER_LEN || wz_cursor_get_u64(&cur) != FILE_MAGIC ||
        wz_cursor_get_u16(&cur) != FILE_VERSION)
        return WZ_ERR_CORRUPT;
    at = layout_of(s);
    if (s.len !=
        FILE_HEADER_LEN + (uint64_t)at.topic_count * FILE_ENTRY_LEN + at.names_len + at.lists_len)
        return WZ_ERR_CORRUPT;
    cur = wz_cursor(wz_slice_sub(s, FILE_CRC_POS, 4));
    if (wz_cursor_get_u32(&cur) != checksum(s) || !entries_ok(s, &at))
        return WZ_ERR_CORRUPT;
    return WZ_OK;
}

static void select_entry(struct wz_topics_entry *entry, struct wz_blocks *ret_blocks)
{
    for (uint32_t i = 0; i < entry->count; i++)
        wz_blocks_add(ret_blocks, wz_topics_entry_next(entry));
}

// Finds one topic by halving.
static void select_literal(struct wz_slice s, struct wz_slice topic, struct wz_blocks *ret_blocks)
{
    struct wz_topics_entry entry;
    uint32_t low = 0;
    uint32_t high = layout_of(s).topic_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        wz_ignore(wz_topics_file_get(s, mid, &entry)); // mid is below the count
        if (wz_slice_cmp(entry.name, topic) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (wz_topics_file_get(s, low, &entry) && wz_slice_eq(entry.name, topic))
        select_entry(&entry, ret_blocks);
}

void wz_topics_file_select(struct wz_slice s, const struct wz_filter *filter,
                           struct wz_blocks *ret_blocks)
{
    struct wz_topics_entry entry;

    if (filter->literal) {
        select_literal(s, wz_buf_slice(&filter->pattern), ret_blocks);
        return;
    }
    for (uint32_t i = 0; wz_topics_file_get(s, i, &entry); i++) {
        if (wz_filter_match(filter, entry.name))
            select_entry(&entry, ret_blocks);
    }
}
