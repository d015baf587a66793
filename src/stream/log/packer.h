// SPDX-License-Identifier: Apache-2.0
// Compresses the batches of sealed segments, one segment after the other, on a thread of its own
// that leaves processor and disk to all others: it rests for longer than it works, and reads and
// writes little at a time. Order of its steps: docs/formats/log.md.
#pragma once

#include "stream/log/shelf.h"

struct wz_packer;

// Starts the thread for the segments on SHELF, whose files are in the folder DIR; both are
// borrowed. A segment is left alone when less than KEEP_FREE per cent of the disk would be free
// while its copy is there. NULL when the system gives no thread: then nothing is compressed.
struct wz_packer *wz_packer_start(const char *dir, struct wz_shelf *shelf, int keep_free);

// Ends the thread, in the middle of a segment if need be, and frees it; NULL is fine. Before the
// writer is stopped.
void wz_packer_stop(struct wz_packer *packer);
