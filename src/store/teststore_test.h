// SPDX-License-Identifier: Apache-2.0
// For the store's tests: a store in a file of its own, a listener that notes what it was told, and
// devices that hold a number.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"

// What the store told its listener, and what the listener asks of the checks.
struct teststore_listener {
    pthread_mutex_t lock; // guards all below
    pthread_cond_t told;
    int calls;
    unsigned changed;   // of the last call
    size_t devices;     // seen in the last call
    bool refuse;        // the check refuses
    unsigned concerned; // collections that the check was asked about
    size_t checked;     // devices that the check saw
    bool hold;          // the check waits
    bool holding;
};

// For cmocka: the folder, around all tests of a program; the store's files in it, after each.
int teststore_make_folder(void **state);
int teststore_drop_files(void **state);
int teststore_drop_folder(void **state);

// The store's file.
const char *teststore_path(void);

// A listener that refuses nothing.
void teststore_listener_init(struct teststore_listener *listener);

// Waits, for a minute at most, until the listener was called COUNT times.
void teststore_wait_for_calls(struct teststore_listener *listener, int count);

// Opens the store; LISTENER may be NULL. The test fails if that fails; the caller closes it.
struct wz_store *teststore_open(struct teststore_listener *listener);

// Puts the device NAME, {"n": NUMBER}, and gives the call's result; the call is kept in RET_CALL.
WZ_MUST int teststore_put(struct wz_store *store, const char *name, int number, int64_t expected,
                          struct wz_store_call *ret_call);
