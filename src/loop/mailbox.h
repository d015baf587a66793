// SPDX-License-Identifier: Apache-2.0
// How threads meet: letters that carry the work to be done on the receiving thread.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct wz_mail;

// Does a letter's work, on the receiving thread. The letter is the callee's from then on.
typedef void (*wz_mail_fn)(struct wz_mail *mail);

// A letter, embedded in a struct of the sender's. It must stay where it is until it has run.
struct wz_mail {
    struct wz_mail *next;
    wz_mail_fn run;
};

// Wakes the receiving thread; called on the sender's thread with the lock held: it must not wait,
// nor touch the mailbox.
typedef void (*wz_mailbox_wake_fn)(void *arg);

// Letters on their way to one thread. LOCK guards all the fields below it; whoever holds it does
// nothing but move pointers and wake.
struct wz_mailbox {
    wz_mailbox_wake_fn wake;
    void *wake_arg;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct wz_mail *first;
    struct wz_mail **last;
    size_t count;
    size_t cap;
    bool closed;
};

// Makes an empty mailbox for at most CAP letters. WAKE may be NULL for a thread that only waits in
// wz_mailbox_wait.
void wz_mailbox_init(struct wz_mailbox *mb, size_t cap, wz_mailbox_wake_fn wake, void *arg);

// Frees what it holds; no letters may be left.
void wz_mailbox_release(struct wz_mailbox *mb);

// Puts a letter in, from any thread. WZ_ERR_BUSY when it is full, WZ_ERR_CLOSED after close: then
// the letter stays the caller's.
WZ_MUST int wz_mailbox_post(struct wz_mailbox *mb, struct wz_mail *mail);

// Puts a letter in even when the mailbox is full: for answers, whose number is bounded by that of
// the questions. Works after close too.
void wz_mailbox_answer(struct wz_mailbox *mb, struct wz_mail *mail);

// Takes all letters and runs them in order, on the receiving thread; returns how many.
size_t wz_mailbox_run(struct wz_mailbox *mb);

// Waits until there is a letter or the mailbox is closed; false when it is closed and empty. For
// threads without a loop of their own.
bool wz_mailbox_wait(struct wz_mailbox *mb);

// Refuses new letters (not answers) and wakes who waits.
void wz_mailbox_close(struct wz_mailbox *mb);
