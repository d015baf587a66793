// SPDX-License-Identifier: Apache-2.0
// The kernel's seccomp: which system calls the process can still make. All others fail with EPERM
// (a few with ENOSYS, behind which the C library tries an older call).
#pragma once

#include <stdbool.h>

// How files may be opened.
enum wz_syscall_opens {
    WZ_SYSCALL_OPENS_CHECKED,   // Landlock decides
    WZ_SYSCALL_OPENS_READ_ONLY, // nothing else decides: for reading only
};

// What is allowed beside what every script may do.
struct wz_syscall_filter {
    enum wz_syscall_opens opens;
    bool write;   // changing files, where Landlock allows it
    bool network; // sockets of TCP and UDP, as a client
    bool threads;
};

// Puts the filter in force on this thread, for good; it sets PR_SET_NO_NEW_PRIVS. 0, or a negative
// errno.
int wz_syscall_filter_enter(const struct wz_syscall_filter *filter);
