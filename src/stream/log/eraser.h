// SPDX-License-Identifier: Apache-2.0
// Gives the blocks of long files that have no name any more back to the disk, some at a time. When
// the last descriptor of such a file is closed, all of them go at once, and every sync of the file
// system waits for it: some 60 ms for 256 MiB on ext4 that is mounted with discard.
#pragma once

#include <stdint.h>

// Closes FD, or does nothing if it is negative. If it is open for writing and its file is long and
// has no name, it is closed later: a thread, which is there for as long as it has something to do,
// waits until nobody else has the file open, and shortens it piece by piece. Any thread.
void wz_eraser_close(int fd);

// How many bytes are still to be given back. Any thread.
int64_t wz_eraser_pending(void);
