// SPDX-License-Identifier: Apache-2.0
// Owns a segment's facts and files. The writer's thread, and opening before it.
#include "stream/log/segment.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/crc32c.h"
#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/eraser.h"
#include "stream/log/topics_file.h"

// How many keys of a batch are collected before they go into the topic index.
#define KEYS_AHEAD 128

// No index file of a segment is larger.
#define FILE_MAX_BYTES ((size_t)1 << 30)

static _Atomic uint64_t last_id;

struct wz_segment *wz_segment_new(int64_t base_offset)
{
    struct wz_segment *seg = wz_zalloc(1, sizeof(*seg));

    seg->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    seg->facts.base_offset = base_offset;
    seg->durable.base_offset = base_offset;
    seg->topics = wz_topics_new();
    seg->fd = -1;
    return seg;
}

void wz_segment_free(struct wz_segment *seg)
{
    if (seg == NULL)
        return;
    wz_tail_release(&seg->tail);
    wz_fs_close(seg->fd);
    wz_segment_forget(seg);
    wz_free(seg);
}

void wz_segment_path(const char *dir, int64_t base_offset, enum wz_segment_file file,
                     char ret_path[static WZ_SEGMENT_PATH_MAX])
{
    static const char *const ends[] = {
        [WZ_SEGMENT_INDEX] = "index",   [WZ_SEGMENT_TIMEINDEX] = "timeindex",
        [WZ_SEGMENT_TOPICS] = "topics", [WZ_SEGMENT_LOG] = "log",
        [WZ_SEGMENT_SEAL] = "seal",
    };
    int len = snprintf(ret_path, WZ_SEGMENT_PATH_MAX, "%s%s%020" PRId64 ".%s", dir,
                       dir[0] != 0 ? "/" : "", base_offset, ends[file]);

    WZ_ASSERT(len > 0 && len < WZ_SEGMENT_PATH_MAX); // opening has refused longer folders
}

static void add_topics(struct wz_segment *seg, uint32_t block, struct wz_slice batch,
                       const struct wz_batch_info *info)
{
    struct wz_slice keys[KEYS_AHEAD];
    struct wz_record_iter it;
    struct wz_record record;
    size_t count = 0;

    wz_record_iter_init(&it, batch, info);
    while (wz_record_next(&it, &record) == WZ_OK) {
        if (record.key_null || (count > 0 && wz_slice_eq(record.key, keys[count - 1])))
            continue;
        keys[count++] = record.key;
        if (count == KEYS_AHEAD) {
            wz_topics_add(seg->topics, block, keys, count);
            count = 0;
        }
    }
    wz_topics_add(seg->topics, block, keys, count);
}

void wz_segment_add(struct wz_segment *seg, struct wz_slice batch, const struct wz_batch_info *info)
{
    struct wz_seal *facts = &seg->facts;
    uint32_t last_rel = (uint32_t)(info->last_offset - facts->base_offset);
    uint32_t block = wz_index_add(&seg->index, (uint32_t)facts->log_len, (uint32_t)batch.len,
                                  last_rel, info->max_ms);

    if (!seg->unindexed)
        add_topics(seg, block, batch, info);
    if (facts->batch_count == 0) {
        facts->first_offset = info->base_offset;
        facts->first_ms = info->max_ms;
    }
    facts->last_offset = info->last_offset;
    facts->last_ms = info->max_ms;
    facts->record_count += info->count;
    facts->batch_count++;
    facts->log_len += (int64_t)(info->packed_len > 0 ? info->packed_len : batch.len);
    if (info->packed_len > 0)
        facts->packing = WZ_PACKING_ZSTD;
}

void wz_segment_cut(struct wz_segment *seg)
{
    seg->facts = seg->durable;
    wz_index_cut(&seg->index, seg->facts.log_len);
    wz_topics_cut(seg->topics, seg->index.count);
}

void wz_segment_forget(struct wz_segment *seg)
{
    wz_index_release(&seg->index);
    wz_topics_free(seg->topics);
    seg->topics = NULL;
}

int wz_segment_remove(const char *dir, int64_t base_offset)
{
    static const enum wz_segment_file files[] = {
        WZ_SEGMENT_SEAL, WZ_SEGMENT_INDEX, WZ_SEGMENT_TIMEINDEX, WZ_SEGMENT_TOPICS, WZ_SEGMENT_LOG};
    char path[WZ_SEGMENT_PATH_MAX];
    int fd = -1;
    int r = WZ_OK;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r == WZ_OK; i++) {
        wz_segment_path(dir, base_offset, files[i], path);
        if (files[i] == WZ_SEGMENT_LOG)
            wz_ignore(wz_fs_open(path, WZ_FS_WRITE, &fd)); // else it goes all at once
        r = wz_fs_remove(path);
        if (r == WZ_ERR_NOT_FOUND)
            r = WZ_OK;
    }
    if (r == WZ_OK)
        r = wz_fs_sync_dir(dir);
    wz_eraser_close(fd);
    return r;
}

// Writes a file beside and renames it, without syncing: its checksum is in the seal.
static int save_quick(const char *dir, int64_t base_offset, enum wz_segment_file file,
                      struct wz_slice s)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)s.ptr, .iov_len = s.len};
    char path[WZ_SEGMENT_PATH_MAX];
    char beside[WZ_SEGMENT_PATH_MAX + 8];
    int r;

    wz_segment_path(dir, base_offset, file, path);
    (void)snprintf(beside, sizeof(beside), "%s.new", path); // fits
    r = wz_fs_open(beside, WZ_FS_CREATE, &fd);
    if (r < 0)
        return r;
    r = wz_fs_truncate(fd, 0);
    if (r < 0)
        return r;
    r = wz_fs_write(fd, &piece, s.len > 0, 0);
    if (r < 0)
        return r;
    return wz_fs_rename(beside, path);
}

static int save_durable(const char *dir, int64_t base_offset, enum wz_segment_file file,
                        struct wz_slice s)
{
    char name[WZ_SEGMENT_PATH_MAX];

    wz_segment_path("", base_offset, file, name);
    return wz_fs_replace(dir, name, s);
}

int wz_segment_save_seal(const char *dir, const struct wz_seal *facts)
{
    uint8_t bytes[WZ_SEAL_LEN];

    wz_seal_encode(facts, bytes);
    return save_durable(dir, facts->base_offset, WZ_SEGMENT_SEAL, wz_slice(bytes, sizeof(bytes)));
}

int wz_segment_save(const struct wz_segment *seg, const char *dir, enum wz_seal_state state,
                    struct wz_seal *ret_seal)
{
    WZ_AUTO(wz_buf_release) struct wz_buf index = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf times = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    const struct wz_buf *files[] = {&index, &times, &topics};
    struct wz_seal seal = seg->facts;
    uint8_t bytes[WZ_SEAL_LEN];
    int r;

    wz_index_encode(&seg->index, &index, &times);
    wz_topics_encode(seg->topics, seg->index.count, &topics);
    seal.state = state;
    for (int i = 0; i < 3; i++) {
        struct wz_slice s = wz_buf_slice(files[i]);

        seal.file_len[i] = (int64_t)s.len;
        seal.file_crc[i] = wz_crc32c(0, s.ptr, s.len);
        r = save_quick(dir, seal.base_offset, (enum wz_segment_file)i, s);
        if (r < 0)
            return r;
    }
    if (state == WZ_SEAL_SEALED) {
        r = wz_segment_save_seal(dir, &seal);
    } else {
        wz_seal_encode(&seal, bytes);
        r = save_quick(dir, seal.base_offset, WZ_SEGMENT_SEAL, wz_slice(bytes, sizeof(bytes)));
    }
    if (r == WZ_OK)
        *ret_seal = seal;
    return r;
}

static int load_file(const char *dir, const struct wz_seal *facts, enum wz_segment_file file,
                     struct wz_buf *ret_buf)
{
    char path[WZ_SEGMENT_PATH_MAX];
    int r;

    wz_segment_path(dir, facts->base_offset, file, path);
    r = wz_fs_load(path, FILE_MAX_BYTES, ret_buf);
    if (r == WZ_ERR_NOT_FOUND || r == WZ_ERR_TOO_LARGE)
        return WZ_ERR_CORRUPT;
    if (r < 0)
        return r;
    if (ret_buf->len != (size_t)facts->file_len[file] ||
        wz_crc32c(0, ret_buf->ptr, ret_buf->len) != facts->file_crc[file])
        return WZ_ERR_CORRUPT;
    return WZ_OK;
}

int wz_segment_load(const char *dir, const struct wz_seal *facts, struct wz_index *ret_index,
                    struct wz_buf *ret_topics)
{
    WZ_AUTO(wz_buf_release) struct wz_buf index = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf times = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    int r;

    r = load_file(dir, facts, WZ_SEGMENT_INDEX, &index);
    if (r < 0)
        return r;
    r = load_file(dir, facts, WZ_SEGMENT_TIMEINDEX, &times);
    if (r < 0)
        return r;
    r = load_file(dir, facts, WZ_SEGMENT_TOPICS, &topics);
    if (r < 0)
        return r;
    r = wz_topics_file_check(wz_buf_slice(&topics));
    if (r < 0)
        return r;
    r = wz_index_decode(wz_buf_slice(&index), wz_buf_slice(&times), ret_index);
    if (r < 0)
        return r;
    *ret_topics = topics;
    topics = (struct wz_buf){0};
    return WZ_OK;
}
