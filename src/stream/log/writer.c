// SPDX-License-Identifier: Apache-2.0
// Owns the writer's thread: it takes all batches that wait, writes them with one call, shows them
// to the readers, syncs, and answers; no timer says when. A batch stays in memory until it is
// durable, so that whatever the disk does it can be written anew. What it writes to is active.c's,
// what it removes remover.c's.
#include "stream/log/writer.h"

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/log/active.h"
#include "stream/log/remover.h"

// The most batches of one write: 1 MiB, so that checksum, copy and index find them in the cache.
#define GROUP_MAX 16

// As long as nobody waits, this much is written before it is synced. When nothing more is there to
// be written, it is synced at once.
#define UNSYNCED_MAX_BYTES (4ll * 1024 * 1024)

// As long as nobody waits, this much time lies between two syncs, or this much to write: at a few
// thousand messages a second a sync for each would cost more than all the rest. Who waits is not
// held up.
#define PACE_US 5000
#define PACE_BYTES (1024 * 1024)

// How long after a failure it is tried again.
#define RETRY_US 500000

struct wz_writer {
    pthread_t thread;
    struct wz_writer_options opt; // its meta is the writer's copy
    char *dir;

    // The thread's own.
    struct wz_list pending; // taken from the queue, not written
    struct wz_list written; // to the active segment, not durable
    int64_t written_bytes;
    bool wanted; // somebody waits for what is written
    struct wz_active active;
    struct wz_remover remover; // what it has removed any thread may ask
    int64_t last_ms;
    int64_t paced_until_us;

    // LOCK guards all below; CHANGED is signalled when the thread has something to do.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct wz_list queue;
    size_t queue_bytes;
    bool hurry; // somebody waits for what is in the queue, or for what comes behind it
    struct wz_news news;
    int64_t reserve_end;         // asked for
    int64_t trim_end;            // asked for: segments with nothing from here on are to go
    bool trims;                  // it has been asked since
    struct wz_log_limits limits; // asked for
    uint64_t retains;            // how often; news.retained: as far as it was dealt with
    int64_t jump_ms;             // by which the clock was set; 0: not since
    int64_t jump_end;
    bool letter_out; // the letter is in the mailbox
    bool stopping;
    int64_t next_offset;   // told by stop
    _Atomic int state_err; // the thread writes, any other reads
};

static void lock(struct wz_writer *w) { WZ_ASSERT(pthread_mutex_lock(&w->lock) == 0); }

static void unlock(struct wz_writer *w) { WZ_ASSERT(pthread_mutex_unlock(&w->lock) == 0); }

// Wakes the writer thread for what was changed under the lock. Outside of it: the thread that is
// woken would only find it taken, and whoever lost its core to that thread would hold it meanwhile.
static void unlock_and_wake(struct wz_writer *w)
{
    unlock(w);
    (void)pthread_cond_signal(&w->changed); // cannot fail for a valid condition
}

// Sends the letter unless it is on its way already; under the lock, which it gives up.
static void answer_and_unlock(struct wz_writer *w)
{
    bool send = !w->letter_out;

    w->letter_out = true;
    unlock(w);
    if (send)
        wz_mailbox_answer(w->opt.mailbox, w->opt.letter);
}

// Never writes, syncs or acks from the active segment again, and takes back what is not durable.
static void poison(struct wz_writer *w)
{
    while (!wz_list_empty(&w->pending)) // what was not written goes behind what was
        wz_list_push(&w->written, wz_list_shift(&w->pending));
    while (!wz_list_empty(&w->written))
        wz_list_push(&w->pending, wz_list_shift(&w->written));
    w->written_bytes = 0;
    wz_active_poison(&w->active);
}

// Collects the batches that go into the active segment with one write, seals them, and returns how
// many they are.
static int gather(struct wz_writer *w, struct wz_pending **group, struct iovec *pieces,
                  int64_t *ret_len)
{
    struct wz_list *it;
    struct wz_list *tmp;
    int64_t len = 0;
    int count = 0;

    WZ_LIST_EACH(it, tmp, &w->pending)
    {
        struct wz_pending *pending = WZ_CONTAINER(it, struct wz_pending, link);
        struct wz_batch_builder *batch = &pending->batch;

        if (count == GROUP_MAX || (count > 0 && wz_active_is_full(&w->active, len, batch)))
            break;
        if (!pending->sealed)
            wz_batch_seal(batch->bytes, batch->len);
        pending->sealed = true;
        group[count] = pending;
        pieces[count] = (struct iovec){.iov_base = batch->bytes, .iov_len = batch->len};
        len += (int64_t)batch->len;
        count++;
    }
    *ret_len = len;
    return count;
}

static void publish(struct wz_writer *w, struct wz_pending *const *group, int count)
{
    for (int i = 0; i < count; i++)
        wz_active_publish(&w->active, wz_slice(group[i]->batch.bytes, group[i]->batch.len));
    wz_shelf_notify(w->opt.shelf);
}

// Gives back the batches that were written, which are durable, and tells the loop.
static void retire(struct wz_writer *w)
{
    const struct wz_batch_builder *last =
        &WZ_CONTAINER(w->written.prev, struct wz_pending, link)->batch;
    int64_t end = last->base_offset + last->count;

    w->last_ms = wz_active_settle(&w->active);
    w->written_bytes = 0;
    w->paced_until_us = w->wanted ? 0 : wz_clock_mono_us() + PACE_US;
    w->wanted = false;
    lock(w);
    while (!wz_list_empty(&w->written))
        wz_list_push(&w->news.done, wz_list_shift(&w->written));
    w->news.durable_end = end;
    w->news.state_err = WZ_OK;
    atomic_store_explicit(&w->state_err, WZ_OK, memory_order_relaxed);
    answer_and_unlock(w);
}

// Makes what was written durable.
static int commit(struct wz_writer *w)
{
    int r;

    if (wz_list_empty(&w->written))
        return WZ_OK;
    r = wz_active_sync(&w->active);
    if (r < 0) {
        poison(w);
        return r;
    }
    retire(w);
    wz_active_checkpoint(&w->active);
    return WZ_OK;
}

// Puts the batches of a group among those that were written.
static void note_written(struct wz_writer *w, struct wz_pending *const *group, int count,
                         int64_t len)
{
    for (int i = 0; i < count; i++) {
        w->wanted = w->wanted || group[i]->wanted;
        wz_list_remove(&group[i]->link);
        wz_list_push(&w->written, &group[i]->link);
    }
    w->written_bytes += len;
}

// Writes the first group of the batches that wait.
static int write_group(struct wz_writer *w)
{
    struct wz_pending *group[GROUP_MAX];
    struct iovec pieces[GROUP_MAX];
    int64_t len;
    int count = gather(w, group, pieces, &len);
    int r = wz_active_write(&w->active, pieces, count, len);

    if (r == WZ_ERR_NOSPACE)
        return r; // nothing was shown: the same bytes go to the same place again
    if (r < 0) {
        poison(w);
        return r;
    }
    publish(w, group, count);
    note_written(w, group, count, len);
    return WZ_OK;
}

// Whether what was written is to be synced now: what was taken together is written first; if
// somebody waits for it, no more is taken before.
static bool is_due(struct wz_writer *w)
{
    bool more;

    if (w->written_bytes >= UNSYNCED_MAX_BYTES)
        return true;
    if (!wz_list_empty(&w->pending))
        return false;
    if (w->wanted)
        return true;
    lock(w);
    more = !wz_list_empty(&w->queue);
    unlock(w);
    return !more;
}

// Takes the first group of the batches that wait a step towards being durable.
static int commit_group(struct wz_writer *w)
{
    const struct wz_batch_builder *first =
        &WZ_CONTAINER(w->pending.next, struct wz_pending, link)->batch;
    int r = WZ_OK;

    if (wz_active_is_full(&w->active, 0, first))
        r = commit(w); // before the segment is left
    if (r == WZ_OK)
        r = wz_active_ready(&w->active, first);
    if (r == WZ_OK)
        r = write_group(w);
    if (r == WZ_ERR_NOSPACE && commit(w) < 0)
        return WZ_ERR_IO; // what had room before the disk was full
    if (r < 0)
        return r;
    return is_due(w) ? commit(w) : WZ_OK;
}

static int reserve(struct wz_writer *w, int64_t end)
{
    struct wz_meta meta = w->opt.meta;
    int r;

    if (end <= meta.reserved_end)
        return WZ_OK;
    meta.reserved_end = end;
    meta.last_ms = w->last_ms;
    r = wz_meta_save(w->opt.meta_fd, &meta);
    if (r < 0)
        return r;
    w->opt.meta = meta;
    lock(w);
    w->news.reserved_end = end;
    answer_and_unlock(w);
    return WZ_OK;
}

// Removes segments as LIMITS say, and tells the loop.
static void retain(struct wz_writer *w, struct wz_log_limits *limits, uint64_t number)
{
    wz_remover_retain(&w->remover, limits);
    lock(w);
    w->news.retained = number;
    answer_and_unlock(w);
}

// Keeps that the clock was set. If that fails it is known until the stop.
static void note_jump(struct wz_writer *w, int64_t jump_ms, int64_t end)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    wz_shelf_jump(w->opt.shelf, jump_ms, end, &buf);
    if (wz_fs_replace(w->dir, WZ_JUMPS_NAME, wz_buf_slice(&buf)) < 0)
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
}

static int work(struct wz_writer *w, int64_t reserve_end)
{
    int r = reserve(w, reserve_end);

    while (r == WZ_OK && !wz_list_empty(&w->pending)) {
        r = commit_group(w);
        if (r < 0 && r != WZ_ERR_NOSPACE)
            r = commit_group(w); // at once into a fresh segment; only if that fails too, wait
    }
    return r;
}

// Tells the loop once that nothing is being made durable.
static void note_failure(struct wz_writer *w, int r)
{
    wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
    lock(w);
    if (w->news.state_err == r) {
        unlock(w);
        return;
    }
    w->news.state_err = r;
    atomic_store_explicit(&w->state_err, r, memory_order_relaxed);
    answer_and_unlock(w);
}

// Tells it once that the trouble is over, where no batch that became durable has told it.
static void note_recovery(struct wz_writer *w)
{
    lock(w);
    if (w->news.state_err == WZ_OK) {
        unlock(w);
        return;
    }
    w->news.state_err = WZ_OK;
    atomic_store_explicit(&w->state_err, WZ_OK, memory_order_relaxed);
    answer_and_unlock(w);
}

static void wait_until(struct wz_writer *w, int64_t until_us)
{
    struct timespec at = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

    // It fails for a time-out alone, which is what it is for.
    (void)pthread_cond_timedwait(&w->changed, &w->lock, &at);
}

// Whether what is in the queue can wait for more to come. Under the lock.
static bool is_paced(const struct wz_writer *w)
{
    return !w->hurry && !wz_list_empty(&w->queue) && w->queue_bytes < PACE_BYTES &&
           wz_clock_mono_us() < w->paced_until_us;
}

// What is asked of the thread besides writing.
struct chores {
    int64_t trim_end; // 0: none
    struct wz_log_limits limits;
    uint64_t retains; // 0: none
    int64_t jump_ms;  // 0: none
    int64_t jump_end;
};

// Takes them; under the lock.
static void take_chores(struct wz_writer *w, struct chores *ret_chores)
{
    *ret_chores = (struct chores){
        .trim_end = w->trims ? w->trim_end : 0,
        .limits = w->limits,
        .retains = w->retains != w->news.retained ? w->retains : 0,
        .jump_ms = w->jump_ms,
        .jump_end = w->jump_end,
    };
    w->trims = false;
    w->limits = (struct wz_log_limits){0};
    w->jump_ms = 0;
}

static void do_chores(struct wz_writer *w, struct chores *chores)
{
    if (chores->jump_ms != 0)
        note_jump(w, chores->jump_ms, chores->jump_end);
    if (chores->trim_end > 0)
        wz_remover_trim(&w->remover, chores->trim_end);
    if (chores->retains > 0)
        retain(w, &chores->limits, chores->retains);
}

// Waits for work and takes it. After a failure, work waits for RETRY_US at most. False when the
// thread is to end.
static bool take_work(struct wz_writer *w, int failed, int64_t *ret_reserve_end)
{
    int64_t until_us = wz_clock_mono_us() + RETRY_US;
    struct chores chores;
    bool stopping;

    lock(w);
    if (failed < 0) {
        while (!w->stopping && wz_clock_mono_us() < until_us)
            wait_until(w, until_us);
    }
    while (!w->stopping && !w->trims && w->retains == w->news.retained && w->jump_ms == 0 &&
           wz_list_empty(&w->pending) && w->reserve_end <= w->opt.meta.reserved_end) {
        if (is_paced(w))
            wait_until(w, w->paced_until_us);
        else if (wz_list_empty(&w->queue))
            (void)pthread_cond_wait(&w->changed, &w->lock); // cannot fail while we hold the lock
        else
            break;
    }
    w->queue_bytes = 0;
    w->hurry = false;
    while (!wz_list_empty(&w->queue))
        wz_list_push(&w->pending, wz_list_shift(&w->queue));
    *ret_reserve_end = w->reserve_end;
    stopping = w->stopping;
    take_chores(w, &chores);
    unlock(w);
    do_chores(w, &chores);
    return !stopping;
}

// The orderly stop. Returns what kept it from being one.
static int finish(struct wz_writer *w)
{
    struct wz_meta meta = w->opt.meta;
    int r = wz_active_finish(&w->active);

    if (r < 0)
        return r;
    meta.clean = true;
    meta.next_offset = w->next_offset;
    meta.last_ms = w->last_ms;
    return wz_meta_save(w->opt.meta_fd, &meta);
}

static void *run(void *arg)
{
    struct wz_writer *w = arg;
    int64_t reserve_end = 0;
    bool go_on = true;
    int r = WZ_OK;

    while (go_on) {
        go_on = take_work(w, r, &reserve_end);
        r = work(w, reserve_end);
        if (r < 0)
            note_failure(w, r);
        else
            note_recovery(w);
    }
    if (r == WZ_OK)
        r = commit(w);
    if (r == WZ_OK)
        r = finish(w);
    return (void *)(intptr_t)r;
}

// Starts the thread with all signals blocked: they are the loop's.
static int start_thread(struct wz_writer *w)
{
    sigset_t all;
    sigset_t old;
    int err;

    (void)sigfillset(&all); // cannot fail, nor can the mask calls with these arguments
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&w->thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err == 0 ? WZ_OK : wz_err_from_errno(err);
}

static void writer_free(struct wz_writer *w)
{
    WZ_ASSERT(wz_list_empty(&w->pending) && wz_list_empty(&w->queue));
    wz_active_release(&w->active);
    wz_fs_close(w->opt.meta_fd);
    (void)pthread_mutex_destroy(&w->lock); // fails only while in use, which is a bug
    (void)pthread_cond_destroy(&w->changed);
    wz_free(w->dir);
    wz_free(w);
}

// Makes what the thread works with.
static void parts_init(struct wz_writer *w)
{
    struct wz_active_options active = {
        .dir = w->dir,
        .shelf = w->opt.shelf,
        .seg = w->opt.seg,
        .durability = w->opt.durability,
        .segment_bytes = w->opt.segment_bytes,
        .ahead_bytes = w->opt.ahead_bytes,
    };

    wz_active_init(&w->active, &active);
    wz_remover_init(&w->remover, w->dir, w->opt.shelf);
}

int wz_writer_start(const struct wz_writer_options *options, struct wz_writer **ret_writer)
{
    struct wz_writer *w = wz_zalloc(1, sizeof(*w));
    pthread_condattr_t attr;
    int r;

    w->opt = *options;
    w->dir = wz_strdup(options->dir);
    parts_init(w);
    w->last_ms = options->last_ms;
    w->reserve_end = options->meta.reserved_end;
    w->news = (struct wz_news){.durable_end = options->durable_end,
                               .reserved_end = options->meta.reserved_end};
    wz_list_init(&w->pending);
    wz_list_init(&w->written);
    wz_list_init(&w->queue);
    wz_list_init(&w->news.done);
    WZ_ASSERT(pthread_mutex_init(&w->lock, NULL) == 0);
    WZ_ASSERT(pthread_condattr_init(&attr) == 0);
    WZ_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    WZ_ASSERT(pthread_cond_init(&w->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); // cannot fail for one that was made
    r = start_thread(w);
    if (r < 0) {
        writer_free(w);
        return r;
    }
    *ret_writer = w;
    return WZ_OK;
}

void wz_writer_post(struct wz_writer *w, struct wz_pending *pending)
{
    lock(w);
    wz_list_push(&w->queue, &pending->link);
    w->queue_bytes += pending->batch.len;
    w->hurry = w->hurry || pending->wanted;
    unlock_and_wake(w);
}

void wz_writer_hurry(struct wz_writer *w)
{
    lock(w);
    w->hurry = true;
    unlock_and_wake(w);
}

void wz_writer_reserve(struct wz_writer *w, int64_t end)
{
    lock(w);
    if (end > w->reserve_end)
        w->reserve_end = end;
    unlock_and_wake(w);
}

void wz_writer_trim(struct wz_writer *w, int64_t offset)
{
    lock(w);
    if (offset > w->trim_end)
        w->trim_end = offset;
    w->trims = true;
    unlock_and_wake(w);
}

// What both ask for together.
static void join_limits(struct wz_log_limits *into, const struct wz_log_limits *more)
{
    if (more->max_bytes > 0 && (into->max_bytes == 0 || more->max_bytes < into->max_bytes))
        into->max_bytes = more->max_bytes;
    if (more->before_ms > into->before_ms)
        into->before_ms = more->before_ms;
    if (more->below_offset > into->below_offset)
        into->below_offset = more->below_offset;
    if (more->free_bytes > into->free_bytes)
        into->free_bytes = more->free_bytes;
    into->needed_offset = more->needed_offset; // it only rises
}

uint64_t wz_writer_retain(struct wz_writer *w, const struct wz_log_limits *limits)
{
    uint64_t number;

    lock(w);
    join_limits(&w->limits, limits);
    number = ++w->retains;
    unlock_and_wake(w);
    return number;
}

void wz_writer_removed(const struct wz_writer *w, enum wz_log_reason reason,
                       struct wz_log_removed *ret_removed)
{
    wz_remover_removed(&w->remover, reason, ret_removed);
}

void wz_writer_clock_set(struct wz_writer *w, int64_t jump_ms, int64_t end)
{
    lock(w);
    w->jump_ms += jump_ms;
    w->jump_end = end;
    unlock_and_wake(w);
}

// Moves the news out; under the lock.
static void move_news(struct wz_writer *w, struct wz_news *ret_news)
{
    *ret_news = w->news;
    wz_list_init(&ret_news->done);
    while (!wz_list_empty(&w->news.done))
        wz_list_push(&ret_news->done, wz_list_shift(&w->news.done));
}

void wz_writer_take(struct wz_writer *w, struct wz_news *ret_news)
{
    lock(w);
    w->letter_out = false;
    move_news(w, ret_news);
    unlock(w);
}

int wz_writer_state(const struct wz_writer *w)
{
    return atomic_load_explicit(&w->state_err, memory_order_relaxed);
}

int wz_writer_stop(struct wz_writer *w, int64_t next_offset, struct wz_news *ret_news,
                   bool *ret_letter_out)
{
    void *result = NULL;

    lock(w);
    w->stopping = true;
    w->next_offset = next_offset;
    unlock_and_wake(w);
    WZ_ASSERT(pthread_join(w->thread, &result) == 0);
    move_news(w, ret_news);
    *ret_letter_out = w->letter_out;
    while (!wz_list_empty(&w->written))
        wz_list_push(&w->pending, wz_list_shift(&w->written));
    while (!wz_list_empty(&w->pending)) // given up: not durable, and told so
        wz_free(WZ_CONTAINER(wz_list_shift(&w->pending), struct wz_pending, link));
    writer_free(w);
    return (int)(intptr_t)result;
}
