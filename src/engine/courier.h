// SPDX-License-Identifier: Apache-2.0
// A thread that writes long frames to workers' pipes, so that the loop thread does not spend its
// time on copying them into the kernel. Shorter ones cost less than the way to the thread.
#pragma once

#include <uv.h>

#include "loop/mailbox.h"

// From so many bytes on it is worth it.
#define WZ_COURIER_MIN_BYTES ((size_t)16 * 1024)

// So many pieces at a time.
#define WZ_COURIER_PIECES_MAX 32

struct wz_courier;

// What is to be written: fill all but MAIL and WRITTEN. It stays the sender's, with all that the
// pieces borrow, and is the thread's from wz_courier_send until DONE runs.
struct wz_courier_job {
    struct wz_mail mail;
    struct wz_mailbox *reply_to;
    wz_mail_fn done; // gets MAIL, on the thread of REPLY_TO
    int fd;          // a socket that does not block; not to be closed before
    uv_buf_t pieces[WZ_COURIER_PIECES_MAX];
    unsigned count;
    size_t written; // bytes; fewer than there are when the socket is full or the worker gone
};

// Starts the thread; NULL when there can be none: then who sends writes by himself.
struct wz_courier *wz_courier_new(void);

// Gives the thread a job. False when it takes none: nothing was done.
WZ_MUST bool wz_courier_send(struct wz_courier *courier, struct wz_courier_job *job);

// Ends the thread when all it was given is done, and frees it. NULL is fine.
void wz_courier_free(struct wz_courier *courier);
