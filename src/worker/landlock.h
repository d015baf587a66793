// SPDX-License-Identifier: Apache-2.0
// The kernel's Landlock: which files the process can still reach, and which TCP ports. What a newer
// kernel can deny is denied where the kernel is new enough (docs/sandbox.md).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The kernel's names for rights, as of version 7 of its interface; older headers lack some.
enum wz_landlock_fs {
    WZ_LANDLOCK_EXECUTE = 1 << 0,
    WZ_LANDLOCK_WRITE_FILE = 1 << 1,
    WZ_LANDLOCK_READ_FILE = 1 << 2,
    WZ_LANDLOCK_READ_DIR = 1 << 3,
    WZ_LANDLOCK_REMOVE_DIR = 1 << 4,
    WZ_LANDLOCK_REMOVE_FILE = 1 << 5,
    WZ_LANDLOCK_MAKE_CHAR = 1 << 6,
    WZ_LANDLOCK_MAKE_DIR = 1 << 7,
    WZ_LANDLOCK_MAKE_REG = 1 << 8,
    WZ_LANDLOCK_MAKE_SOCK = 1 << 9,
    WZ_LANDLOCK_MAKE_FIFO = 1 << 10,
    WZ_LANDLOCK_MAKE_BLOCK = 1 << 11,
    WZ_LANDLOCK_MAKE_SYM = 1 << 12,
    WZ_LANDLOCK_REFER = 1 << 13,     // from version 2 on
    WZ_LANDLOCK_TRUNCATE = 1 << 14,  // 3
    WZ_LANDLOCK_IOCTL_DEV = 1 << 15, // 5
};

// What a script may do with all beneath a folder.
#define WZ_LANDLOCK_READING (WZ_LANDLOCK_READ_FILE | WZ_LANDLOCK_READ_DIR)

// As above, and make, change, move and remove plain files and folders; no links and devices.
#define WZ_LANDLOCK_WRITING                                                                        \
    (WZ_LANDLOCK_READING | WZ_LANDLOCK_WRITE_FILE | WZ_LANDLOCK_REMOVE_DIR |                       \
     WZ_LANDLOCK_REMOVE_FILE | WZ_LANDLOCK_MAKE_DIR | WZ_LANDLOCK_MAKE_REG | WZ_LANDLOCK_REFER |   \
     WZ_LANDLOCK_TRUNCATE)

// The TCP connections that are left.
enum wz_landlock_tcp {
    WZ_LANDLOCK_TCP_NONE,
    WZ_LANDLOCK_TCP_PORTS, // to ports that are allowed one by one; from version 4 on
    WZ_LANDLOCK_TCP_ALL,
};

// The rules in the making: wz_landlock_open, then allow what stays, then wz_landlock_enter. RULESET
// is a descriptor.
struct wz_landlock {
    int version;
    int ruleset;
};

// The kernel's version of Landlock; 0 when it has none, or it is switched off.
int wz_landlock_version(void);

// All rights to files that a kernel of VERSION can deny.
uint64_t wz_landlock_rights(int version);

// Begins rules that allow nothing but TCP. False, and errno, when the kernel refuses.
bool wz_landlock_open(enum wz_landlock_tcp tcp, struct wz_landlock *ret_landlock);

// Allows RIGHTS to PATH and what lies beneath it; those that only folders have are left out for a
// file. False, and errno: ENOENT when it is not there.
bool wz_landlock_allow(const struct wz_landlock *landlock, const char *path, uint64_t rights);

// Allows connecting to a port of any machine.
bool wz_landlock_allow_port(const struct wz_landlock *landlock, uint16_t port);

// Puts the rules in force on this thread, for good, and closes the ruleset. It needs
// PR_SET_NO_NEW_PRIVS. False, and errno, when the kernel refuses.
bool wz_landlock_enter(struct wz_landlock *landlock);
