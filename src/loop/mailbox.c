// SPDX-License-Identifier: Apache-2.0
// Owns the queue of letters between two threads.
#include "loop/mailbox.h"

void wz_mailbox_init(struct wz_mailbox *mb, size_t cap, wz_mailbox_wake_fn wake, void *arg)
{
    *mb = (struct wz_mailbox){.wake = wake, .wake_arg = arg, .cap = cap};
    mb->last = &mb->first;
    WZ_ASSERT(pthread_mutex_init(&mb->lock, NULL) == 0);
    WZ_ASSERT(pthread_cond_init(&mb->filled, NULL) == 0);
}

void wz_mailbox_release(struct wz_mailbox *mb)
{
    WZ_ASSERT(mb->first == NULL);
    (void)pthread_cond_destroy(&mb->filled); // both fail only while in use, which is a bug
    (void)pthread_mutex_destroy(&mb->lock);
}

static void lock(struct wz_mailbox *mb) { WZ_ASSERT(pthread_mutex_lock(&mb->lock) == 0); }

static void unlock(struct wz_mailbox *mb) { WZ_ASSERT(pthread_mutex_unlock(&mb->lock) == 0); }

// Adds under the lock and wakes the receiver if it may be asleep, still under the lock: a receiver
// that has the letter may free the mailbox as soon as the lock is free.
static void add_and_unlock(struct wz_mailbox *mb, struct wz_mail *mail)
{
    bool was_empty = mb->first == NULL;

    mail->next = NULL;
    *mb->last = mail;
    mb->last = &mail->next;
    mb->count++;
    if (was_empty)
        (void)pthread_cond_signal(&mb->filled); // cannot fail for a valid condition
    if (was_empty && mb->wake != NULL)
        mb->wake(mb->wake_arg);
    unlock(mb);
}

int wz_mailbox_post(struct wz_mailbox *mb, struct wz_mail *mail)
{
    int r = WZ_OK;

    lock(mb);
    if (mb->closed)
        r = WZ_ERR_CLOSED;
    else if (mb->count >= mb->cap)
        r = WZ_ERR_BUSY;
    if (r < 0)
        unlock(mb);
    else
        add_and_unlock(mb, mail);
    return r;
}

void wz_mailbox_answer(struct wz_mailbox *mb, struct wz_mail *mail)
{
    lock(mb);
    add_and_unlock(mb, mail);
}

size_t wz_mailbox_run(struct wz_mailbox *mb)
{
    struct wz_mail *mail;
    size_t count = 0;

    lock(mb);
    mail = mb->first;
    mb->first = NULL;
    mb->last = &mb->first;
    mb->count = 0;
    unlock(mb);
    while (mail != NULL) {
        struct wz_mail *next = mail->next;

        mail->run(mail);
        mail = next;
        count++;
    }
    return count;
}

bool wz_mailbox_wait(struct wz_mailbox *mb)
{
    bool have;

    lock(mb);
    while (mb->first == NULL && !mb->closed)
        (void)pthread_cond_wait(&mb->filled, &mb->lock); // cannot fail while we hold the lock
    have = mb->first != NULL;
    unlock(mb);
    return have;
}

void wz_mailbox_close(struct wz_mailbox *mb)
{
    lock(mb);
    mb->closed = true;
    (void)pthread_cond_broadcast(&mb->filled); // cannot fail for a valid condition
    if (mb->wake != NULL)
        mb->wake(mb->wake_arg);
    unlock(mb);
}
