// SPDX-License-Identifier: Apache-2.0
// Owns a queue of segments to be saved, and the thread that saves them one after the other. Few
// topics are saved at once, by the thread that asks: they cost less than a sync.
//
// A failure is no harm: the indexes stay in memory and are offered again when the next segment is
// left, and the next start makes files anew that are not there.
#include "stream/log/saver.h"

#include <signal.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"

// An index that is no larger than this (wz_topics_size) is small.
#define SMALL 4096

// When so many wait, who has one more waits too: each holds the indexes of a segment in memory.
#define WAITING_MAX 3

// One segment to be saved.
struct job {
    struct wz_list link;
    struct wz_segment *seg;        // sealing: to be saved; checkpoint: to be copied from
    uint64_t id;                   // of SEG, which may be freed as soon as it is saved
    struct wz_segment *copy;       // owned; checkpoint: SEG as it was; NULL: sealing
    struct wz_topics_copy *topics; // owned; of those of COPY, as far as they are copied
};

struct wz_saver {
    const char *dir;
    struct wz_shelf *shelf;
    pthread_t thread;
    bool started;

    // LOCK guards all below; CHANGED is signalled when a job comes, or is done, and at the end.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct wz_list queue; // of jobs; the first one is being done
    size_t count;         // of jobs
    bool stopping;
};

static void lock(struct wz_saver *saver) { WZ_ASSERT(pthread_mutex_lock(&saver->lock) == 0); }

static void unlock(struct wz_saver *saver) { WZ_ASSERT(pthread_mutex_unlock(&saver->lock) == 0); }

struct wz_saver *wz_saver_new(const char *dir, struct wz_shelf *shelf)
{
    struct wz_saver *saver = wz_zalloc(1, sizeof(*saver));

    saver->dir = dir;
    saver->shelf = shelf;
    WZ_ASSERT(pthread_mutex_init(&saver->lock, NULL) == 0);
    WZ_ASSERT(pthread_cond_init(&saver->changed, NULL) == 0);
    wz_list_init(&saver->queue);
    return saver;
}

static void seal(struct wz_saver *saver, struct wz_segment *seg)
{
    struct wz_seal facts;

    if (wz_segment_save(seg, saver->dir, WZ_SEAL_SEALED, &facts) < 0)
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
    else
        wz_shelf_seal(saver->shelf, seg, &facts);
}

static void save_checkpoint(struct wz_saver *saver, const struct wz_segment *seg)
{
    struct wz_seal facts; // nobody asks a segment that grows for the lengths of its files

    if (wz_segment_save(seg, saver->dir, WZ_SEAL_CHECKPOINT, &facts) < 0)
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
}

static void run_job(struct wz_saver *saver, struct job *job)
{
    if (job->copy == NULL) {
        seal(saver, job->seg);
        return;
    }
    while (wz_shelf_copy_topics(saver->shelf, job->seg, job->topics))
        continue;
    job->copy->topics = wz_topics_copy_end(job->topics);
    save_checkpoint(saver, job->copy);
    wz_segment_free(job->copy);
}

static void *run(void *arg)
{
    struct wz_saver *saver = arg;

    lock(saver);
    for (;;) {
        struct job *job;

        while (wz_list_empty(&saver->queue) && !saver->stopping)
            (void)pthread_cond_wait(&saver->changed, &saver->lock); // cannot fail under the lock
        if (wz_list_empty(&saver->queue))
            break;
        job = WZ_CONTAINER(saver->queue.next, struct job, link);
        unlock(saver);
        run_job(saver, job);
        lock(saver);
        wz_list_remove(&job->link);
        saver->count--;
        wz_free(job);
        (void)pthread_cond_broadcast(&saver->changed); // cannot fail for a valid condition
    }
    unlock(saver);
    return NULL;
}

// Starts the thread unless it runs, with all signals blocked: they are the loop's.
static bool start(struct wz_saver *saver)
{
    sigset_t all;
    sigset_t old;

    if (saver->started)
        return true;
    (void)sigfillset(&all); // cannot fail, nor can the mask calls with these arguments
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    saver->started = pthread_create(&saver->thread, NULL, run, saver) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return saver->started;
}

// Waits until no more than COUNT jobs are left. Under the lock.
static void wait_for(struct wz_saver *saver, size_t count)
{
    while (saver->count > count)
        (void)pthread_cond_wait(&saver->changed, &saver->lock); // cannot fail under the lock
}

static void post(struct wz_saver *saver, struct job *job)
{
    lock(saver);
    wait_for(saver, WAITING_MAX);
    saver->count++;
    wz_list_push(&saver->queue, &job->link);
    (void)pthread_cond_broadcast(&saver->changed); // cannot fail for a valid condition
    unlock(saver);
}

// Whether SEG is to be sealed already.
static bool is_posted(struct wz_saver *saver, const struct wz_segment *seg)
{
    struct wz_list *it;
    struct wz_list *tmp;
    bool posted = false;

    lock(saver);
    WZ_LIST_EACH(it, tmp, &saver->queue)
    {
        const struct job *job = WZ_CONTAINER(it, struct job, link);

        posted = posted || (job->copy == NULL && job->id == seg->id);
    }
    unlock(saver);
    return posted;
}

void wz_saver_seal(struct wz_saver *saver, struct wz_segment *seg)
{
    struct job *job;

    // What is not posted is nobody else's now, so its topics may be looked at.
    if (is_posted(saver, seg) || seg->topics == NULL)
        return;
    if (wz_topics_size(seg->topics) <= SMALL || !start(saver)) {
        seal(saver, seg);
        return;
    }
    job = wz_zalloc(1, sizeof(*job));
    job->seg = seg;
    job->id = seg->id;
    post(saver, job);
}

void wz_saver_checkpoint(struct wz_saver *saver, struct wz_segment *seg)
{
    struct job *job;

    if (wz_topics_size(seg->topics) <= SMALL || !start(saver)) {
        save_checkpoint(saver, seg);
        return;
    }
    job = wz_zalloc(1, sizeof(*job));
    job->seg = seg;
    job->id = seg->id;
    job->copy = wz_segment_new(seg->facts.base_offset);
    wz_segment_forget(job->copy);
    job->copy->facts = seg->facts;
    wz_index_copy(&seg->index, &job->copy->index);
    job->topics = wz_topics_copy_begin(seg->topics);
    post(saver, job);
}

void wz_saver_wait(struct wz_saver *saver)
{
    lock(saver);
    wait_for(saver, 0);
    unlock(saver);
}

void wz_saver_free(struct wz_saver *saver)
{
    if (saver == NULL)
        return;
    lock(saver);
    saver->stopping = true;
    (void)pthread_cond_broadcast(&saver->changed); // cannot fail for a valid condition
    unlock(saver);
    if (saver->started)
        WZ_ASSERT(pthread_join(saver->thread, NULL) == 0);
    (void)pthread_mutex_destroy(&saver->lock); // fails only while in use, which is a bug
    (void)pthread_cond_destroy(&saver->changed);
    wz_free(saver);
}
