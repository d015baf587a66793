// SPDX-License-Identifier: Apache-2.0
// Owns opening: which segments there are, which of their bytes count, where offsets go on. It runs
// before the writer's thread. The rules are those of docs/formats/log.md, "Opening".
#include "stream/log/recovery.h"

#include <inttypes.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/log/topics_file.h"
#include "wire/codec.h"

#define BASE_DIGITS 20

// With no readable slot in stream.meta, a block is taken to have at least this many offsets.
#define LOST_BLOCK_MIN (1 << 20)

// Base offsets, ascending.
struct bases {
    int64_t *items;
    size_t count;
    size_t cap;
};

struct recovery {
    const struct wz_recovery_options *opt;
    struct wz_shelf *shelf;
    struct wz_log_recovery report;
    struct wz_problem *problem;
    struct bases logs;
    struct bases beside; // of the other files of segments
};

// Takes "<20 digits>.log" or the name of another file of a segment apart; false for any other name.
static bool base_of(const char *name, int64_t *ret_base, bool *ret_log)
{
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".topics", ".seal"};
    uint64_t base = 0;
    size_t k = 0;

    for (int i = 0; i < BASE_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || base > INT64_MAX / 10)
            return false;
        base = base * 10 + (uint64_t)(name[i] - '0');
    }
    while (k < sizeof(suffixes) / sizeof(suffixes[0]) &&
           strcmp(name + BASE_DIGITS, suffixes[k]) != 0)
        k++;
    if (k == sizeof(suffixes) / sizeof(suffixes[0]) || base > INT64_MAX)
        return false;
    *ret_base = (int64_t)base;
    *ret_log = k == 0;
    return true;
}

static void add_base(struct bases *bases, int64_t base)
{
    if (bases->count > 0 && bases->items[bases->count - 1] == base)
        return;
    if (bases->count == bases->cap) {
        bases->cap = bases->cap == 0 ? 64 : bases->cap * 2;
        bases->items = wz_realloc(bases->items, bases->cap * sizeof(bases->items[0]));
    }
    bases->items[bases->count++] = base;
}

static int see_name(const char *name, void *arg)
{
    struct recovery *rec = arg;
    size_t len = strlen(name);
    int64_t base;
    bool log;

    if (len > 4 && strcmp(name + len - 4, ".new") == 0 && !rec->opt->read_only) {
        char path[WZ_SEGMENT_PATH_MAX];

        if (snprintf(path, sizeof(path), "%s/%s", rec->opt->dir, name) < (int)sizeof(path))
            wz_ignore(wz_fs_remove(path)); // it is in nobody's way
        return WZ_OK;
    }
    if (base_of(name, &base, &log))
        add_base(log ? &rec->logs : &rec->beside, base); // the walk is in the order of names
    return WZ_OK;
}

// Removes files of segments that have no .log: a power cut has kept them when the segment was
// removed. They are in nobody's way, so a failure is only counted.
static void remove_orphans(struct recovery *rec)
{
    size_t k = 0;

    for (size_t i = 0; i < rec->beside.count; i++) {
        int64_t base = rec->beside.items[i];

        while (k < rec->logs.count && rec->logs.items[k] < base)
            k++;
        if (k < rec->logs.count && rec->logs.items[k] == base)
            continue;
        if (wz_segment_remove(rec->opt->dir, base) < 0)
            wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
        else
            rec->report.orphans++;
    }
}

static int fail(struct recovery *rec, int r, int64_t base, const char *what)
{
    char path[WZ_SEGMENT_PATH_MAX];
    int code = r == WZ_ERR_NOSPACE ? WZ_CODE_STREAM_FULL : WZ_CODE_STREAM_IO;

    wz_segment_path(rec->opt->dir, base, WZ_SEGMENT_LOG, path);
    (void)wz_problem_set(rec->problem, r, code, "%s: %s.", what, wz_err_text(r));
    wz_problem_where(rec->problem, "%s", path);
    return r;
}

static int file_len(const char *dir, int64_t base, enum wz_segment_file file, int64_t *ret_len)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    char path[WZ_SEGMENT_PATH_MAX];
    int r;

    wz_segment_path(dir, base, file, path);
    r = wz_fs_open(path, WZ_FS_READ, &fd);
    return r < 0 ? r : wz_fs_size(fd, ret_len);
}

// Notes which file the .log of SEG is.
static int identify(const char *dir, struct wz_segment *seg)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    char path[WZ_SEGMENT_PATH_MAX];
    int r;

    wz_segment_path(dir, seg->facts.base_offset, WZ_SEGMENT_LOG, path);
    r = wz_fs_open(path, WZ_FS_READ, &fd);
    return r < 0 ? r : wz_fs_identity(fd, &seg->file_id);
}

// Reads the seal of a segment; WZ_ERR_CORRUPT when there is none that can be believed. Counts a
// damaged seal, and index files whose lengths are not what it says.
static int read_seal(struct recovery *rec, int64_t base, int64_t limit_offset,
                     struct wz_seal *ret_seal)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    char path[WZ_SEGMENT_PATH_MAX];
    struct wz_seal seal;
    int64_t len;
    int wrong = 0;
    int r;

    wz_segment_path(rec->opt->dir, base, WZ_SEGMENT_SEAL, path);
    r = wz_fs_load(path, WZ_SEAL_LEN, &buf);
    if (r == WZ_ERR_NOT_FOUND)
        return WZ_ERR_CORRUPT;
    if (r < 0 || wz_seal_decode(wz_buf_slice(&buf), &seal) < 0 || seal.base_offset != base) {
        rec->report.rebuilt_indexes++;
        return WZ_ERR_CORRUPT;
    }
    if (file_len(rec->opt->dir, base, WZ_SEGMENT_LOG, &len) < 0 || len < seal.log_len ||
        (seal.packing == WZ_PACKING_ZSTD && len != seal.log_len) ||
        (seal.batch_count > 0 && seal.last_offset >= limit_offset))
        return WZ_ERR_CORRUPT;
    for (int i = 0; i < 3; i++)
        wrong += file_len(rec->opt->dir, base, (enum wz_segment_file)i, &len) < 0 ||
                 len != seal.file_len[i];
    rec->report.rebuilt_indexes += wrong;
    if (wrong > 0)
        return WZ_ERR_CORRUPT;
    *ret_seal = seal;
    return WZ_OK;
}

// Scans SEG from the end of its facts up to END_POS of the file open at FD.
static int scan_segment(struct wz_segment *seg, int fd, int64_t end_pos, int64_t limit_offset)
{
    WZ_AUTO(wz_scan_release) struct wz_scan scan = {0};
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf unpacked = {0};
    struct wz_batch_info info;
    struct wz_slice batch;
    int r;

    wz_scan_init(&scan, fd, seg->facts.base_offset, seg->facts.log_len, end_pos);
    scan.window = (size_t)1 << 20;
    scan.limit_offset = limit_offset;
    if (seg->facts.batch_count > 0)
        scan.next_offset = seg->facts.last_offset + 1;
    while ((r = wz_scan_next(&scan, &batch, &info)) == WZ_OK) {
        int64_t pos = scan.pos - (int64_t)batch.len;

        if (wz_codec_unpack(&codec, batch, &info, &unpacked, &batch, &info) < 0) {
            seg->facts.damaged++;
            continue;
        }
        seg->facts.log_len = pos; // bytes between are damaged
        wz_segment_add(seg, batch, &info);
        seg->facts.damaged += (uint32_t)scan.damaged;
        scan.damaged = 0;
    }
    return r < 0 ? r : WZ_OK;
}

int wz_recover_indexes(const struct wz_recovery_options *options, const struct wz_seal *facts,
                       int64_t limit_offset, struct wz_segment **ret_seg)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    char path[WZ_SEGMENT_PATH_MAX];
    struct wz_segment *seg;
    int r;

    wz_segment_path(options->dir, facts->base_offset, WZ_SEGMENT_LOG, path);
    r = wz_fs_open(path, WZ_FS_READ, &fd);
    if (r < 0)
        return r;
    seg = wz_segment_new(facts->base_offset);
    seg->unindexed = options->unindexed;
    r = wz_fs_identity(fd, &seg->file_id);
    if (r == WZ_OK)
        r = scan_segment(seg, fd, facts->log_len, limit_offset);
    if (r < 0) {
        wz_segment_free(seg);
        return r;
    }
    *ret_seg = seg;
    return WZ_OK;
}

// Saves SEG as sealed and lets go of its indexes; if they cannot be saved they stay in memory.
static void seal(struct recovery *rec, struct wz_segment *seg)
{
    struct wz_seal facts;

    if (rec->opt->read_only || wz_segment_save(seg, rec->opt->dir, WZ_SEAL_SEALED, &facts) < 0)
        return;
    seg->facts = facts;
    wz_segment_forget(seg);
}

// A segment that is not the last: as its seal says, or scanned.
static int take_sealed(struct recovery *rec, int64_t base, int64_t limit_offset)
{
    struct wz_seal facts = {.base_offset = base};
    struct wz_segment *seg;
    int r;

    if (read_seal(rec, base, limit_offset, &facts) == WZ_OK && facts.state == WZ_SEAL_SEALED) {
        seg = wz_segment_new(base);
        wz_segment_forget(seg);
        seg->facts = facts;
        r = identify(rec->opt->dir, seg);
        wz_shelf_add(rec->shelf, seg);
        return r < 0 ? fail(rec, r, base, "A segment cannot be read") : WZ_OK;
    }
    facts = (struct wz_seal){.base_offset = base};
    r = file_len(rec->opt->dir, base, WZ_SEGMENT_LOG, &facts.log_len);
    if (r == WZ_OK)
        r = wz_recover_indexes(rec->opt, &facts, limit_offset, &seg);
    if (r < 0)
        return fail(rec, r, base, "A segment cannot be read");
    seal(rec, seg);
    wz_shelf_add(rec->shelf, seg);
    return WZ_OK;
}

// Puts what a checkpoint knows into SEG; without one, SEG stays empty and is scanned from 0.
static void load_checkpoint(struct recovery *rec, struct wz_segment *seg)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    struct wz_index index = {0};
    struct wz_seal facts;

    if (read_seal(rec, seg->facts.base_offset, INT64_MAX, &facts) < 0)
        return;
    if (wz_segment_load(rec->opt->dir, &facts, &index, &topics) < 0) {
        rec->report.rebuilt_indexes++;
        return;
    }
    wz_segment_forget(seg);
    seg->index = index;
    seg->topics = wz_topics_load(wz_buf_slice(&topics));
    seg->facts = facts;
    seg->checkpoint_pos = facts.log_len;
}

// Whether only zeros stand behind the last valid batch: with them the writer fills the last block.
static int is_filling(const struct wz_segment *seg, int64_t len, bool *ret_filling)
{
    uint8_t bytes[WZ_TAIL_BLOCK];
    size_t got = 1;

    *ret_filling = true;
    for (int64_t pos = seg->facts.log_len; pos < len && got > 0; pos += (int64_t)got) {
        int r = wz_fs_read(seg->fd, bytes, sizeof(bytes), pos, &got);

        if (r < 0)
            return r;
        for (size_t i = 0; i < got; i++)
            *ret_filling = *ret_filling && bytes[i] == 0;
    }
    return WZ_OK;
}

// Cuts off what stands behind the last valid batch.
static int cut_tail(struct recovery *rec, struct wz_segment *seg, int64_t len)
{
    bool filling;
    int r;

    if (len == seg->facts.log_len)
        return WZ_OK;
    r = is_filling(seg, len, &filling);
    if (r < 0)
        return r;
    rec->report.cut_bytes = filling ? 0 : len - seg->facts.log_len;
    if (rec->opt->read_only)
        return WZ_OK;
    wz_metric_add(WZ_METRIC_STREAM_CUT_BYTES, rec->report.cut_bytes);
    r = wz_fs_truncate(seg->fd, seg->facts.log_len);
    return r < 0 ? r : wz_fs_sync(seg->fd);
}

// The last segment: from its checkpoint on it is scanned, and its torn tail cut.
static int take_last(struct recovery *rec, int64_t base, struct wz_segment **ret_seg)
{
    struct wz_segment *seg = wz_segment_new(base);
    char path[WZ_SEGMENT_PATH_MAX];
    int64_t len = 0;
    int r;

    wz_shelf_add(rec->shelf, seg);
    load_checkpoint(rec, seg);
    wz_segment_path(rec->opt->dir, base, WZ_SEGMENT_LOG, path);
    r = wz_fs_open(path, rec->opt->read_only ? WZ_FS_READ : WZ_FS_WRITE, &seg->fd);
    if (r == WZ_OK)
        r = wz_fs_size(seg->fd, &len);
    if (r == WZ_OK)
        r = wz_fs_identity(seg->fd, &seg->file_id);
    if (r == WZ_OK)
        r = scan_segment(seg, seg->fd, len, INT64_MAX);
    if (r < 0)
        return fail(rec, r, base, "A segment cannot be read");
    r = cut_tail(rec, seg, len);
    if (r < 0)
        return fail(rec, r, base, "A torn tail cannot be cut off");
    seg->durable = seg->facts;
    seg->allocated_pos = seg->facts.log_len;
    *ret_seg = seg;
    return WZ_OK;
}

// What a crash has left unsynced is made durable before anything refers to it.
static int sync_last(struct recovery *rec, struct wz_segment *seg)
{
    int r;

    if (rec->opt->read_only || rec->report.clean)
        return WZ_OK;
    r = wz_fs_sync(seg->fd);
    return r < 0 ? fail(rec, r, seg->facts.base_offset, "A segment cannot be made durable") : r;
}

static int take_segments(struct recovery *rec, struct wz_segment **ret_seg)
{
    for (size_t i = 0; i < rec->logs.count; i++) {
        int r = i + 1 < rec->logs.count
                    ? take_sealed(rec, rec->logs.items[i], rec->logs.items[i + 1])
                    : take_last(rec, rec->logs.items[i], ret_seg);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < rec->shelf->count; i++)
        rec->report.damaged_batches += rec->shelf->segments[i]->facts.damaged;
    return *ret_seg != NULL ? sync_last(rec, *ret_seg) : WZ_OK;
}

// Where offsets and times go on.
static void go_on_at(const struct recovery *rec, const struct wz_meta *meta,
                     enum wz_meta_state state, struct wz_recovered *ret)
{
    int64_t end = 0; // one past the last record, or the name of an empty last segment

    ret->last_ms = meta->last_ms;
    for (size_t i = 0; i < rec->shelf->count; i++) {
        const struct wz_seal *facts = &rec->shelf->segments[i]->facts;

        if (facts->base_offset > end)
            end = facts->base_offset;
        if (facts->batch_count == 0)
            continue;
        end = facts->last_offset + 1;
        if (facts->last_ms > ret->last_ms)
            ret->last_ms = facts->last_ms;
    }
    ret->next_offset = end;
    if (state == WZ_META_WHOLE) {
        ret->next_offset = meta->clean ? meta->next_offset : meta->reserved_end;
    } else if (state == WZ_META_DAMAGED) {
        ret->next_offset = meta->reserved_end + meta->block;
    } else if (state == WZ_META_LOST || rec->logs.count > 0) {
        int64_t block = rec->opt->block > LOST_BLOCK_MIN ? rec->opt->block : LOST_BLOCK_MIN;

        ret->next_offset = end + WZ_META_AHEAD_BLOCKS * block;
    }
    if (ret->next_offset < end)
        ret->next_offset = end;
    ret->found_end = end;
}

// Reserves the first block. Both slots are written when the old ones cannot bound what follows.
static int reserve_first(struct recovery *rec, const char *path, enum wz_meta_state state,
                         struct wz_recovered *ret)
{
    int64_t end = ret->next_offset + rec->opt->block;
    bool twice = state != WZ_META_WHOLE || end - ret->meta.reserved_end > ret->meta.block;
    int r = wz_fs_open(path, WZ_FS_CREATE, &ret->meta_fd);

    if (end < ret->meta.reserved_end)
        end = ret->meta.reserved_end;
    ret->meta.reserved_end = end;
    ret->meta.next_offset = ret->next_offset;
    ret->meta.last_ms = ret->last_ms;
    ret->meta.block = rec->opt->block;
    ret->meta.clean = false;
    for (int i = 0; r == WZ_OK && i < (twice ? 2 : 1); i++)
        r = wz_meta_save(ret->meta_fd, &ret->meta);
    if (r == WZ_OK)
        r = wz_fs_sync_dir(rec->opt->dir);
    if (r < 0) {
        int code = r == WZ_ERR_NOSPACE ? WZ_CODE_STREAM_FULL : WZ_CODE_STREAM_IO;

        (void)wz_problem_set(rec->problem, r, code, "Offsets cannot be reserved: %s.",
                             wz_err_text(r));
        wz_problem_where(rec->problem, "%s", path);
    }
    return r;
}

int wz_recover(const struct wz_recovery_options *options, struct wz_shelf *shelf,
               struct wz_recovered *ret_recovered, struct wz_problem *ret_problem)
{
    struct recovery rec = {.opt = options, .shelf = shelf, .problem = ret_problem};
    struct wz_recovered ret = {.meta_fd = -1};
    char path[WZ_SEGMENT_PATH_MAX];
    enum wz_meta_state state;
    int r;

    if (snprintf(path, sizeof(path), "%s/stream.meta", options->dir) >= (int)sizeof(path) - 64)
        return wz_problem_set(ret_problem, WZ_ERR_TOO_LARGE, WZ_CODE_STREAM_IO,
                              "The name of the stream's folder is too long.");
    r = wz_meta_load(path, &ret.meta, &state);
    if (r == WZ_OK)
        r = wz_fs_walk(options->dir, see_name, &rec);
    if (r < 0) {
        (void)wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                             "The stream's folder cannot be read: %s.", wz_err_text(r));
        wz_problem_where(ret_problem, "%s", options->dir);
    } else {
        rec.report.clean = (state == WZ_META_WHOLE && ret.meta.clean) ||
                           (state == WZ_META_NONE && rec.logs.count == 0);
        if (!options->read_only)
            remove_orphans(&rec);
        r = take_segments(&rec, &ret.seg);
    }
    wz_free(rec.logs.items);
    wz_free(rec.beside.items);
    if (r < 0)
        return r;
    go_on_at(&rec, &ret.meta, state, &ret);
    if (!options->read_only)
        r = reserve_first(&rec, path, state, &ret);
    if (r < 0) {
        wz_fs_close(ret.meta_fd);
        return r;
    }
    ret.report = rec.report;
    *ret_recovered = ret;
    return WZ_OK;
}
