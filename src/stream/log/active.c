// SPDX-License-Identifier: Apache-2.0
// Owns the file of the segment that is written to, from its name in the folder to the cut at its
// end. States of a segment and what is synced before what: docs/formats/log.md.
#include "stream/log/active.h"

#include "base/fs.h"
#include "base/metrics.h"

// A segment's indexes are saved each time it has grown by this much.
#define CHECKPOINT_BYTES (128ll * 1024 * 1024)

// Disk space is taken ahead in steps as large as the segment is, from this on.
#define AHEAD_MIN_BYTES (1024ll * 1024)

void wz_active_init(struct wz_active *active, const struct wz_active_options *options)
{
    *active = (struct wz_active){
        .opt = *options,
        .saver = wz_saver_new(options->dir, options->shelf),
        .seg = options->seg,
    };
}

void wz_active_release(struct wz_active *active) { wz_saver_free(active->saver); }

// Saves the indexes of the last segment at the end.
static int save_last(struct wz_active *active)
{
    struct wz_seal seal;
    int r = wz_segment_save(active->seg, active->opt.dir, WZ_SEAL_CHECKPOINT, &seal);

    if (r < 0)
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
    return r;
}

// Has every segment before the last saved that still has its indexes in memory.
static void seal_old(struct wz_active *active)
{
    struct wz_shelf *shelf = active->opt.shelf;

    for (size_t i = 0; i < shelf->count; i++) {
        struct wz_segment *seg = shelf->segments[i];

        if (seg != active->seg && wz_shelf_is_unsaved(shelf, seg))
            wz_saver_seal(active->saver, seg); // a failure is counted; tried again with the next
    }
}

void wz_active_poison(struct wz_active *active)
{
    struct wz_segment *seg = active->seg;

    seg->poisoned = true;
    wz_shelf_cut(active->opt.shelf, seg);
    // If the cut fails, the next segment's base keeps the tail out.
    wz_ignore(wz_fs_truncate(seg->fd, seg->facts.log_len));
    if (seg->facts.log_len == 0) {
        active->seg = NULL;
        wz_shelf_drop(active->opt.shelf, seg);
    }
}

// Leaves the segment: what is in it is durable, or it is poisoned.
static void leave(struct wz_active *active)
{
    struct wz_segment *seg = active->seg;

    if (!seg->poisoned) {
        // With durability = os this is the first sync; a failure cannot be told to anybody any
        // more.
        if (active->opt.durability == WZ_DURABILITY_OS && wz_fs_sync(seg->fd) < 0)
            wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
        wz_ignore(wz_fs_truncate(seg->fd, seg->facts.log_len)); // gives back what was taken ahead
    }
    wz_tail_release(&seg->tail);
    wz_fs_close(seg->fd);
    seg->fd = -1;
    active->seg = NULL;
    seal_old(active);
}

// Makes the file of a segment named BASE_OFFSET. One that is there holds nothing that is durable:
// all records from BASE_OFFSET on are still in memory.
static int make_file(const char *dir, int64_t base_offset, int *ret_fd)
{
    char path[WZ_SEGMENT_PATH_MAX];
    int r;

    wz_segment_path(dir, base_offset, WZ_SEGMENT_LOG, path);
    r = wz_fs_open(path, WZ_FS_NEW, ret_fd);
    if (r != WZ_ERR_EXISTS)
        return r;
    r = wz_fs_remove(path);
    if (r < 0)
        return r;
    return wz_fs_open(path, WZ_FS_NEW, ret_fd);
}

static int begin(struct wz_active *active, int64_t base_offset)
{
    struct wz_segment *seg;
    uint64_t file_id;
    int fd = -1;
    int r = make_file(active->opt.dir, base_offset, &fd);

    if (r < 0)
        return r;
    r = wz_fs_sync_dir(active->opt.dir);
    if (r == WZ_OK)
        r = wz_fs_identity(fd, &file_id);
    if (r < 0) {
        wz_fs_close(fd);
        return r;
    }
    seg = wz_segment_new(base_offset);
    seg->file_id = file_id;
    seg->fd = fd;
    active->seg = seg;
    wz_shelf_add(active->opt.shelf, seg);
    return WZ_OK;
}

bool wz_active_is_full(const struct wz_active *active, int64_t more_bytes,
                       const struct wz_batch_builder *batch)
{
    const struct wz_segment *seg = active->seg;
    int64_t pos;

    if (seg == NULL || seg->poisoned)
        return false;
    pos = seg->facts.log_len + more_bytes;
    return (pos > 0 && pos + (int64_t)batch->len > active->opt.segment_bytes) ||
           batch->base_offset + batch->count - 1 - seg->facts.base_offset > INT32_MAX;
}

int wz_active_ready(struct wz_active *active, const struct wz_batch_builder *batch)
{
    if (active->seg != NULL && (active->seg->poisoned || wz_active_is_full(active, 0, batch)))
        leave(active);
    return active->seg != NULL ? WZ_OK : begin(active, batch->base_offset);
}

// Takes disk space so that the next LEN bytes, and some more, find it mapped. That it cannot be had
// is for the write itself to find out.
static void allocate_ahead(struct wz_active *active, int64_t len)
{
    struct wz_segment *seg = active->seg;
    int64_t segment_bytes = active->opt.segment_bytes;
    int64_t end = seg->facts.log_len + len;
    int64_t step = seg->facts.log_len;

    if (end <= seg->allocated_pos)
        return;
    if (step < AHEAD_MIN_BYTES)
        step = AHEAD_MIN_BYTES;
    if (step > active->opt.ahead_bytes)
        step = active->opt.ahead_bytes;
    if (end + step > segment_bytes)
        step = end < segment_bytes ? segment_bytes - end : 0;
    wz_ignore(wz_fs_allocate(seg->fd, seg->facts.log_len, len + step)); // see above
    seg->allocated_pos = end + step;
}

int wz_active_write(struct wz_active *active, const struct iovec *pieces, int count, int64_t len)
{
    struct wz_segment *seg = active->seg;
    int r = WZ_OK;

    allocate_ahead(active, len);
    if (!seg->tail.open)
        r = wz_tail_open(&seg->tail, seg->fd, seg->facts.log_len);
    if (r == WZ_OK)
        r = wz_tail_write(&seg->tail, pieces, count);
    return r;
}

void wz_active_publish(struct wz_active *active, struct wz_slice batch)
{
    struct wz_batch_info info;

    WZ_ASSERT(wz_batch_read(batch, &info) == WZ_OK); // it is our own
    wz_shelf_publish(active->opt.shelf, active->seg, batch, &info);
}

int wz_active_sync(struct wz_active *active)
{
    int r;

    if (active->opt.durability == WZ_DURABILITY_OS)
        return WZ_OK;
    r = wz_fs_sync(active->seg->fd);
    wz_metric_add(WZ_METRIC_STREAM_SYNCS, 1);
    return r;
}

int64_t wz_active_settle(struct wz_active *active)
{
    active->seg->durable = active->seg->facts;
    return active->seg->facts.last_ms;
}

void wz_active_checkpoint(struct wz_active *active)
{
    struct wz_segment *seg = active->seg;

    if (seg->facts.log_len - seg->checkpoint_pos < CHECKPOINT_BYTES)
        return;
    seg->checkpoint_pos = seg->facts.log_len; // not tried again at once if it fails
    if (active->opt.durability == WZ_DURABILITY_OS && wz_fs_sync(seg->fd) < 0)
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
    else
        wz_saver_checkpoint(active->saver, seg);
}

int wz_active_finish(struct wz_active *active)
{
    struct wz_segment *seg = active->seg;
    int r = WZ_OK;

    wz_saver_wait(active->saver); // for a checkpoint of the same segment
    if (seg != NULL && !seg->poisoned) {
        if (active->opt.durability == WZ_DURABILITY_OS)
            r = wz_fs_sync(seg->fd);
        if (r == WZ_OK)
            r = wz_fs_truncate(seg->fd, seg->facts.log_len);
        if (r == WZ_OK)
            r = save_last(active);
    }
    seal_old(active);
    wz_saver_wait(active->saver);
    return r;
}
