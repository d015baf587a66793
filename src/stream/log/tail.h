// SPDX-License-Identifier: Apache-2.0
// The end of a segment's file, as it is written: past the page cache, in whole blocks, where the
// file system can; else through it. Writing past it costs a third of the processor time, and a
// stream that grows fast does not push everything else out of memory.
#pragma once

#include "base/fs.h"

// The unit in which a file is written past the page cache. No file system we know needs more.
#define WZ_TAIL_BLOCK 4096

// What is written in one call at the most.
#define WZ_TAIL_BYTES (1024 * 1024)

// The end of one file. All zero is one that is not open.
struct wz_tail {
    int fd; // borrowed
    bool open;
    bool direct;
    uint8_t *bytes; // the file from POS on, as far as it is known
    int64_t pos;    // a whole number of blocks
    size_t len;     // less than a block between two writes
};

// Begins to write to the file at FD, open for reading and writing, whose bytes end at END_POS; what
// stands behind does not count. The writer's alone from now on: its flags are changed.
WZ_MUST int wz_tail_open(struct wz_tail *tail, int fd, int64_t end_pos);

// Adds the COUNT pieces. After a failure nothing counts as added, and the same may be tried again.
// The file's length is then somewhere behind the end, filled with zeros: who closes it cuts it.
WZ_MUST int wz_tail_write(struct wz_tail *tail, const struct iovec *pieces, int count);

// Frees what it holds; the file stays open.
void wz_tail_release(struct wz_tail *tail);
