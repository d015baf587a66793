// SPDX-License-Identifier: Apache-2.0
// The walls around a script: what the kernel lets this process do from now on. docs/sandbox.md says
// what that is.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/landlock.h"

// The most folders and ports that one script is granted.
#define WZ_SANDBOX_GRANTS_MAX 64

// A folder that the script may use, with these rights.
struct wz_sandbox_folder {
    const char *path;
    uint64_t rights;
};

// What is set for one script.
struct wz_sandbox {
    size_t memory_bytes;   // of address space
    size_t state_bytes;    // of the script's state: no wall, the worker itself keeps to it
    bool landlock_is_kept; // the script is refused on a kernel without Landlock
    bool threads;
    enum wz_landlock_tcp tcp;
    uint16_t ports[WZ_SANDBOX_GRANTS_MAX];
    size_t port_count;
    struct wz_sandbox_folder folders[WZ_SANDBOX_GRANTS_MAX]; // paths are borrowed
    size_t folder_count;
    bool write; // one of them is for writing
};

// Reads the COUNT words of docs/formats/worker.md that follow the name and the parent on the
// command line; without any, nothing is granted. WORDS outlive RET_SANDBOX. False when a word is
// none of them.
bool wz_sandbox_read(char *const *words, int count, struct wz_sandbox *ret_sandbox);

// Shuts the process in, for good; it has one thread, and Python is running. False when it cannot be
// done: then the process is shut in in part, must run nothing, and RET_REASON says why and what to
// do, for people.
bool wz_sandbox_enter(const struct wz_sandbox *sandbox, char *ret_reason, size_t cap);
