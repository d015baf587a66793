// SPDX-License-Identifier: Apache-2.0
// Saves the index files of segments with many topics on a thread of its own, so that no ack waits
// for topics to be put into order. The writer's thread; the shelf's readers find what they need in
// memory until the files are there.
#pragma once

#include "stream/log/shelf.h"

struct wz_saver;

// Makes one for the segments on SHELF, whose files are in the folder DIR; both are borrowed. Its
// thread begins when there is something to save. The caller owns it.
struct wz_saver *wz_saver_new(const char *dir, struct wz_shelf *shelf);

// Saves SEG, which is left: nothing of it changes any more. When it is saved its indexes leave the
// memory, and the shelf may give it away. Does nothing when it has been saved, or is about to be.
void wz_saver_seal(struct wz_saver *saver, struct wz_segment *seg);

// Saves SEG as it is now, all of which is durable, and which may grow meanwhile.
void wz_saver_checkpoint(struct wz_saver *saver, struct wz_segment *seg);

// Waits until all is saved, or has failed.
void wz_saver_wait(struct wz_saver *saver);

// Waits until all is saved, and frees. NULL is fine.
void wz_saver_free(struct wz_saver *saver);
