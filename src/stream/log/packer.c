// SPDX-License-Identifier: Apache-2.0
// Owns the copy of a segment while its batches are compressed, and the moment when it takes the
// segment's place. Whatever fails, the segment stays as it is, and is not tried again before the
// next start.
#include "stream/log/packer.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/log/eraser.h"
#include "wire/codec.h"

#define LEVEL 3

// Batches are split into such of about so many bytes: whoever wants one record decompresses no more
// than that.
#define PART_BYTES ((size_t)16 * 1024)

// So much is written at a time.
#define WRITE_BYTES ((size_t)256 * 1024)

// Between two pieces of work lies REST_FACTOR times what the last one took.
#define REST_FACTOR 4
#define REST_MAX_US 500000

// The part of a segment by which it must get shorter to be worth it; and the part of it after which
// half of that must be there.
#define SAVING_PART 10
#define TRIAL_PART 8

// How long it waits for room on the disk, and until what failed is tried again.
#define WAIT_US 5000000
#define RETRY_US 500000

#define NICE 19

struct wz_packer {
    const char *dir;
    struct wz_shelf *shelf;
    int keep_free;
    pthread_t thread;

    pthread_mutex_t lock; // guards the field below
    pthread_cond_t changed;
    bool stopping;
};

// A segment that is being compressed.
struct work {
    struct wz_packer *packer;
    struct wz_place place;
    struct wz_segment *seg; // what it becomes; owned
    struct wz_scan scan;
    struct wz_tail tail;
    struct wz_codec codec;
    int64_t batch_count; // how many were read
    struct wz_buf parts; // of the batch at hand
    struct wz_buf out;   // not written yet
    char path[WZ_SEGMENT_PATH_MAX];
    char beside[WZ_SEGMENT_PATH_MAX + 8];
    int from_fd;
    int to_fd;
    int64_t begun_us; // the piece at hand
};

// Waits so long, or until it is to stop. Returns whether it may go on.
static bool rest(struct wz_packer *packer, int64_t us)
{
    int64_t until_us = wz_clock_mono_us() + us;
    struct timespec at = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    bool stopping;

    WZ_ASSERT(pthread_mutex_lock(&packer->lock) == 0);
    while (!packer->stopping && wz_clock_mono_us() < until_us)
        // It fails for a time-out alone, which is what it is for.
        (void)pthread_cond_timedwait(&packer->changed, &packer->lock, &at);
    stopping = packer->stopping;
    WZ_ASSERT(pthread_mutex_unlock(&packer->lock) == 0);
    return !stopping;
}

// After a piece of work.
static bool take_rest(struct work *work)
{
    int64_t us = (wz_clock_mono_us() - work->begun_us) * REST_FACTOR;
    bool go_on = rest(work->packer, us < REST_MAX_US ? us : REST_MAX_US);

    work->begun_us = wz_clock_mono_us();
    return go_on;
}

static bool has_room(const struct wz_packer *packer, int64_t len)
{
    int64_t free_bytes;
    int64_t total_bytes;

    return wz_fs_space(packer->dir, &free_bytes, &total_bytes) == WZ_OK &&
           free_bytes - len >= total_bytes / 100 * packer->keep_free;
}

static int begin(struct work *work)
{
    const struct wz_seal *facts = &work->place.facts;
    uint64_t file_id;
    int r;

    wz_segment_path(work->packer->dir, facts->base_offset, WZ_SEGMENT_LOG, work->path);
    (void)snprintf(work->beside, sizeof(work->beside), "%s.new", work->path); // fits
    r = wz_fs_open(work->path, WZ_FS_WRITE, &work->from_fd);
    if (r == WZ_OK)
        r = wz_fs_identity(work->from_fd, &file_id);
    if (r == WZ_OK && file_id != work->place.file_id)
        r = WZ_ERR_NOT_FOUND;
    if (r == WZ_OK)
        r = wz_fs_open(work->beside, WZ_FS_CREATE, &work->to_fd);
    if (r == WZ_OK)
        r = wz_fs_truncate(work->to_fd, 0);
    if (r == WZ_OK)
        r = wz_tail_open(&work->tail, work->to_fd, 0);
    if (r == WZ_OK)
        r = wz_fs_identity(work->to_fd, &work->seg->file_id);
    if (r < 0)
        return r;
    wz_fs_no_readahead(work->from_fd);
    wz_scan_init(&work->scan, work->from_fd, facts->base_offset, 0, facts->log_len);
    work->scan.limit_offset = work->place.limit_offset;
    work->begun_us = wz_clock_mono_us();
    return WZ_OK;
}

// Writes what there is, some at a time. Returns WZ_END when it is to stop.
static int write_out(struct work *work)
{
    for (size_t pos = 0; pos < work->out.len; pos += WRITE_BYTES) {
        size_t left = work->out.len - pos;
        struct iovec piece = {.iov_base = work->out.ptr + pos,
                              .iov_len = left < WRITE_BYTES ? left : WRITE_BYTES};
        int r = wz_tail_write(&work->tail, &piece, 1);

        if (r < 0)
            return r;
        if (!take_rest(work))
            return WZ_END;
    }
    work->out.len = 0;
    return WZ_OK;
}

// Adds one batch, compressed if that makes it shorter.
static void add_part(struct work *work, struct wz_slice batch, struct wz_batch_info *info)
{
    size_t before = work->out.len;

    if (wz_codec_pack(&work->codec, batch, LEVEL, &work->out) == WZ_OK)
        info->packed_len = work->out.len - before;
    else
        wz_buf_add_slice(&work->out, batch);
    wz_segment_add(work->seg, batch, info);
}

// Adds the batch that was read, in parts of about the same length.
static void add_batch(struct work *work, struct wz_slice batch, struct wz_batch_info *info)
{
    size_t count = (batch.len + PART_BYTES / 2) / PART_BYTES;

    work->batch_count++;
    work->parts.len = 0;
    if (count < 2 || info->count < 2 ||
        wz_batch_split(batch, info, batch.len / count, &work->parts) < 0) {
        add_part(work, batch, info); // as it is, whatever is wrong with it
        return;
    }
    for (struct wz_slice left = wz_buf_slice(&work->parts); left.len > 0;) {
        WZ_ASSERT(wz_batch_read(left, info) == WZ_OK); // it was written above
        add_part(work, wz_slice_sub(left, 0, info->len), info);
        left = wz_slice_sub(left, info->len, left.len - info->len);
    }
}

// Whether it is worth it as far as it has got; at the end, at all.
static bool is_worth_it(const struct work *work, bool at_end)
{
    int64_t read = work->scan.pos;
    int64_t saved = read - work->seg->facts.log_len;

    if (at_end)
        return saved >= read / SAVING_PART;
    return read < work->place.facts.log_len / TRIAL_PART || saved >= read / (2 * SAVING_PART);
}

// Compresses all batches. WZ_END when it is to stop, WZ_ERR_UNSUPPORTED when it is not worth it,
// WZ_ERR_CORRUPT when something is not as the segment's facts say.
static int copy_all(struct work *work)
{
    const struct wz_seal *facts = &work->place.facts;
    const struct wz_seal *made = &work->seg->facts;
    int64_t rested_pos = 0;
    struct wz_batch_info info;
    struct wz_slice batch;
    int r;

    while ((r = wz_scan_next(&work->scan, &batch, &info)) == WZ_OK) {
        if ((info.attributes & WZ_BATCH_CODEC) != 0 || work->scan.damaged > 0)
            return WZ_ERR_CORRUPT;
        add_batch(work, batch, &info);
        if (!is_worth_it(work, false))
            return WZ_ERR_UNSUPPORTED;
        if (work->out.len >= WRITE_BYTES)
            r = write_out(work);
        else if (work->scan.pos - rested_pos >= (int64_t)WRITE_BYTES)
            r = take_rest(work) ? WZ_OK : WZ_END;
        else
            continue;
        if (r != WZ_OK)
            return r;
        rested_pos = work->scan.pos;
        wz_fs_uncache(work->from_fd);
    }
    if (r < 0)
        return r;
    if (work->scan.damaged > 0 || work->scan.pos != facts->log_len ||
        made->record_count != facts->record_count || work->batch_count != facts->batch_count ||
        made->first_offset != facts->first_offset || made->last_offset != facts->last_offset)
        return WZ_ERR_CORRUPT;
    return is_worth_it(work, true) ? write_out(work) : WZ_ERR_UNSUPPORTED;
}

// Makes the copy durable.
static int finish_copy(struct work *work)
{
    int r = wz_fs_truncate(work->to_fd, work->seg->facts.log_len);

    return r < 0 ? r : wz_fs_sync(work->to_fd);
}

// Saves the indexes and the seal of the segment whose file has taken its place. The folder must
// have the new name durably before there is a seal for it.
static int save(struct wz_packer *packer, const struct wz_segment *seg, struct wz_seal *ret_facts)
{
    int r = wz_fs_sync_dir(packer->dir);

    return r < 0 ? r : wz_segment_save(seg, packer->dir, WZ_SEAL_SEALED, ret_facts);
}

static void note_packed(const struct work *work, const struct wz_seal *facts)
{
    const char *name = strrchr(work->packer->dir, '/');
    int64_t before = work->place.facts.log_len;

    wz_metric_add(WZ_METRIC_STREAM_PACKED, 1);
    wz_metric_add(WZ_METRIC_STREAM_PACKED_SAVED, before - facts->log_len);
    WZ_LOG(WZ_LOG_INFO, "stream.packed",
           WZ_F_STR("stream", name != NULL ? name + 1 : work->packer->dir),
           WZ_F_INT("first_offset", facts->base_offset), WZ_F_INT("bytes_before", before),
           WZ_F_INT("bytes", facts->log_len));
}

// Puts the copy in the segment's place, for the disk and for the readers. Then the indexes are
// saved, however long that takes; until they are they stay in memory, and the segment stays held.
static int swap(struct work *work)
{
    struct wz_packer *packer = work->packer;
    struct wz_segment *there;
    struct wz_seal facts;
    uint64_t id = work->seg->id;
    int r;

    if (!wz_shelf_hold(packer->shelf, work->place.id))
        return WZ_ERR_NOT_FOUND; // it was removed meanwhile
    r = wz_fs_rename(work->beside, work->path);
    if (r < 0)
        return r;
    there = wz_shelf_replace(packer->shelf, work->place.id, work->seg);
    work->seg = NULL;
    WZ_ASSERT(there != NULL); // it is held
    while (save(packer, there, &facts) < 0) {
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
        if (!rest(packer, RETRY_US))
            return WZ_OK; // the next start makes them anew
    }
    wz_shelf_seal(packer->shelf, there, &facts);
    wz_shelf_unhold(packer->shelf, id, WZ_PACKING_ZSTD);
    note_packed(work, &facts);
    return WZ_OK;
}

// Leaves the segment as it is, for this time or, if it is not worth it, for ever.
static void leave(struct work *work, int why)
{
    struct wz_packer *packer = work->packer;
    struct wz_seal facts = work->place.facts;

    wz_ignore(wz_fs_remove(work->beside)); // what is left of it, opening removes
    if (why == WZ_END)
        return;
    if (why != WZ_ERR_UNSUPPORTED && why != WZ_ERR_NOT_FOUND)
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
    facts.packing = WZ_PACKING_VAIN;
    if (why == WZ_ERR_UNSUPPORTED && wz_shelf_hold(packer->shelf, work->place.id))
        wz_ignore(wz_segment_save_seal(packer->dir, &facts)); // else it is tried again
    wz_shelf_unhold(packer->shelf, work->place.id, WZ_PACKING_VAIN);
}

static void pack(struct wz_packer *packer, const struct wz_place *place)
{
    struct work work = {.packer = packer, .place = *place, .from_fd = -1, .to_fd = -1};
    int r;

    work.seg = wz_segment_new(place->facts.base_offset);
    work.seg->unindexed = packer->shelf->unindexed;
    r = begin(&work);
    if (r == WZ_OK)
        r = copy_all(&work);
    wz_tail_release(&work.tail);
    if (r == WZ_OK)
        r = finish_copy(&work);
    if (r == WZ_OK)
        r = swap(&work);
    if (r != WZ_OK)
        leave(&work, r);
    wz_eraser_close(work.from_fd); // one of them has no name any more
    wz_eraser_close(work.to_fd);
    wz_scan_release(&work.scan);
    wz_codec_release(&work.codec);
    wz_buf_release(&work.parts);
    wz_buf_release(&work.out);
    wz_segment_free(work.seg);
}

static void *run(void *arg)
{
    struct wz_packer *packer = arg;
    struct wz_place place;

    // Linux knows it for a thread; without it, it rests all the same.
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    while (wz_shelf_wait_unpacked(packer->shelf, &place)) {
        if (has_room(packer, place.facts.log_len))
            pack(packer, &place);
        else if (!rest(packer, WAIT_US))
            break;
    }
    return NULL;
}

static void packer_free(struct wz_packer *packer)
{
    (void)pthread_mutex_destroy(&packer->lock); // fails only while in use, which is a bug
    (void)pthread_cond_destroy(&packer->changed);
    wz_free(packer);
}

// Starts the thread with all signals blocked: they are the loop's.
static bool start_thread(struct wz_packer *packer)
{
    sigset_t all;
    sigset_t old;
    bool started;

    (void)sigfillset(&all); // cannot fail, nor can the mask calls with these arguments
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    started = pthread_create(&packer->thread, NULL, run, packer) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

struct wz_packer *wz_packer_start(const char *dir, struct wz_shelf *shelf, int keep_free)
{
    struct wz_packer *packer = wz_zalloc(1, sizeof(*packer));
    pthread_condattr_t attr;

    packer->dir = dir;
    packer->shelf = shelf;
    packer->keep_free = keep_free;
    WZ_ASSERT(pthread_mutex_init(&packer->lock, NULL) == 0);
    WZ_ASSERT(pthread_condattr_init(&attr) == 0);
    WZ_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    WZ_ASSERT(pthread_cond_init(&packer->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); // cannot fail for one that was made
    if (start_thread(packer))
        return packer;
    packer_free(packer);
    return NULL;
}

void wz_packer_stop(struct wz_packer *packer)
{
    if (packer == NULL)
        return;
    WZ_ASSERT(pthread_mutex_lock(&packer->lock) == 0);
    packer->stopping = true;
    (void)pthread_cond_broadcast(&packer->changed); // cannot fail for a valid condition
    WZ_ASSERT(pthread_mutex_unlock(&packer->lock) == 0);
    wz_shelf_unwait(packer->shelf);
    WZ_ASSERT(pthread_join(packer->thread, NULL) == 0);
    packer_free(packer);
}
