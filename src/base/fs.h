// SPDX-License-Identifier: Apache-2.0
// The only way to files. Each call retries EINTR, finishes short transfers, and turns errno into a
// wz_err; so a test that makes these calls fail reaches every fault the disk can have.
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/err.h"

enum wz_fs_mode {
    WZ_FS_READ,   // must be there
    WZ_FS_WRITE,  // must be there, for reading and writing
    WZ_FS_CREATE, // made if it is not there, 0600, for reading and writing
    WZ_FS_NEW,    // must not be there yet, made, 0600, for reading and writing
};

// Opens a file, close-on-exec. WZ_ERR_NOT_FOUND, WZ_ERR_EXISTS, or what the disk says.
WZ_MUST int wz_fs_open(const char *path, enum wz_fs_mode mode, int *ret_fd);

// Keeps the kernel from reading ahead: each read takes what it asks for from the disk and no more.
// Read-ahead may be set to megabytes, and a disk that is busy with those holds up everybody's
// syncs.
void wz_fs_no_readahead(int fd);

// Closes FD when it is not negative. An error of close tells nothing that a sync has not told.
void wz_fs_close(int fd);

// For WZ_AUTO(wz_fs_close_auto) on an int: closes it when it is not negative.
void wz_fs_close_auto(int *fd);

// Writes all of the COUNT pieces at byte POS; changes the pieces. On failure an unknown part of
// them has been written.
WZ_MUST int wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos);

// Reads up to LEN bytes at byte POS; fewer only at the end of the file.
WZ_MUST int wz_fs_read(int fd, void *ret_bytes, size_t len, int64_t pos, size_t *ret_len);

// Makes what was written durable, with the file's length. After a failure nothing that was not
// durable before may be believed to be, ever.
WZ_MUST int wz_fs_sync(int fd);

// Makes writes at FD go past the page cache, or through it again. From then on the bytes, their
// place and their number must be multiples of the device's block. WZ_ERR_INVALID where the file
// system cannot.
WZ_MUST int wz_fs_set_direct(int fd, bool direct);

// Takes disk space for LEN bytes from POS on, without changing the file's length. A file system
// that cannot is no error.
WZ_MUST int wz_fs_allocate(int fd, int64_t pos, int64_t len);

// Cuts or grows the file to LEN bytes.
WZ_MUST int wz_fs_truncate(int fd, int64_t len);

// The length of an open file in bytes.
WZ_MUST int wz_fs_size(int fd, int64_t *ret_len);

// A number that no other file in its folder has while this one is there.
WZ_MUST int wz_fs_identity(int fd, uint64_t *ret_identity);

// Lets go of what the page cache has of the file and is on the disk.
void wz_fs_uncache(int fd);

// The free bytes of the file system that holds PATH, for an ordinary user, and its whole size.
WZ_MUST int wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total);

// Makes the folder PATH, 0700; fine when it is there.
WZ_MUST int wz_fs_mkdir(const char *path);

// Makes the folder PATH and those above it that are missing, each 0700.
WZ_MUST int wz_fs_make_folders(const char *path);

// Makes the names in the folder PATH durable.
WZ_MUST int wz_fs_sync_dir(const char *path);

// Removes a file; fine when it is not there.
WZ_MUST int wz_fs_remove(const char *path);

// Gives a file another name, over one that may be there; not durable before wz_fs_sync_dir.
WZ_MUST int wz_fs_rename(const char *from, const char *to);

// Replaces the file NAME in the folder DIR by the bytes S: written beside it, synced, renamed, the
// folder synced. After a failure the old file stands; only when syncing the folder fails, the new
// one stands, and a power cut may bring the old one back.
WZ_MUST int wz_fs_replace(const char *dir, const char *name, struct wz_slice s);

// Reads a whole file of at most MAX bytes, or a pipe to its end, adding to RET_BUF;
// WZ_ERR_TOO_LARGE when it is larger.
WZ_MUST int wz_fs_load(const char *path, size_t max, struct wz_buf *ret_buf);

// Takes the lock file PATH for this process for as long as RET_FD stays open; WZ_ERR_LOCKED when
// another process, or this one, holds it. RET_OWNER_PID is then set to its holder, or 0. Waits up
// to 2 s for a process that a dead holder was about to start.
WZ_MUST int wz_fs_lock(const char *path, int *ret_fd, pid_t *ret_owner_pid);

// Whether PATH, absolute and of plain parts, is the root, or where the kernel shows processes,
// devices and its own settings as files.
bool wz_fs_is_system(const char *path);

// Called for each name in a folder, without "." and ".."; a negative result ends the walk.
typedef int (*wz_fs_name_fn)(const char *name, void *arg);

// Calls FN for each name in the folder PATH, in the order of bytes.
WZ_MUST int wz_fs_walk(const char *path, wz_fs_name_fn fn, void *arg);
