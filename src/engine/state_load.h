// SPDX-License-Identifier: Apache-2.0
// Reads a script's state back from the journal for a worker that starts, as STATE frames.
#pragma once

#include "engine/account.h"
#include "stream/fetch.h"

struct wz_state_load;

// Called on the loop thread with the next frames (borrowed for the call); call
// wz_state_load_next when there is room for more. DONE: these were the last. ERR: what could not be
// read; then nothing more comes.
typedef void (*wz_state_load_fn)(void *arg, struct wz_slice frames, bool done, int err);

// Makes a loader of the entries that belong to worker number WORKER of COUNT (its lanes and, if
// there is one only, what is the script's). They do not change while it runs. The journal has them
// on disk. Call wz_state_load_next.
struct wz_state_load *wz_state_load_new(struct wz_loop *loop, struct wz_account *account,
                                        int worker, int count, wz_state_load_fn got, void *arg);

// Reads the next entries.
void wz_state_load_next(struct wz_state_load *load);

// Frees it, whether or not it is done; from inside its function too. NULL is fine.
void wz_state_load_free(struct wz_state_load *load);
