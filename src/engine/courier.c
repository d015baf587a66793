// SPDX-License-Identifier: Apache-2.0
// Owns the thread that writes to workers. It touches nothing but its jobs.
#include "engine/courier.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/mem.h"

// Each worker has one job at the most.
#define JOBS_MAX 4096

struct wz_courier {
    pthread_t thread;
    struct wz_mailbox jobs;
};

static void *run_thread(void *arg)
{
    struct wz_courier *courier = arg;

    (void)pthread_setname_np(pthread_self(), "wyze-courier"); // only a name
    while (wz_mailbox_wait(&courier->jobs))
        (void)wz_mailbox_run(&courier->jobs); // how many does not matter
    return NULL;
}

// On the thread. What the socket does not take now is the sender's to write.
static void do_job(struct wz_mail *mail)
{
    struct wz_courier_job *job = WZ_CONTAINER(mail, struct wz_courier_job, mail);
    struct iovec pieces[WZ_COURIER_PIECES_MAX];
    struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = job->count};
    ssize_t n;

    for (unsigned i = 0; i < job->count; i++)
        pieces[i] = (struct iovec){.iov_base = job->pieces[i].base, .iov_len = job->pieces[i].len};
    do
        n = sendmsg(job->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    job->written = n > 0 ? (size_t)n : 0; // who writes the rest sees the error
    job->mail.run = job->done;
    wz_mailbox_answer(job->reply_to, &job->mail);
}

struct wz_courier *wz_courier_new(void)
{
    struct wz_courier *courier = wz_zalloc(1, sizeof(*courier));
    sigset_t all;
    sigset_t old;
    int r;

    wz_mailbox_init(&courier->jobs, JOBS_MAX, NULL, NULL);
    (void)sigfillset(&all); // these three cannot fail
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&courier->thread, NULL, run_thread, courier);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r == 0)
        return courier;
    wz_mailbox_release(&courier->jobs);
    wz_free(courier);
    return NULL;
}

bool wz_courier_send(struct wz_courier *courier, struct wz_courier_job *job)
{
    job->mail.run = do_job;
    return wz_mailbox_post(&courier->jobs, &job->mail) == WZ_OK;
}

void wz_courier_free(struct wz_courier *courier)
{
    if (!courier)
        return;
    wz_mailbox_close(&courier->jobs);
    (void)pthread_join(courier->thread, NULL); // fails for no thread only
    wz_mailbox_release(&courier->jobs);
    wz_free(courier);
}
