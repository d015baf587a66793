// SPDX-License-Identifier: Apache-2.0
// The room that streams may take: what each may keep, how much of the disk stays free, and what
// follows from that for the sizes of files.
#pragma once

#include "node/parts.h"
#include "stream/log.h"

// What a stream may keep, as it is configured; for any but the journal.
struct wz_log_caps wz_node_caps(const struct wz_node *node, enum wz_stream stream);

// How many bytes a stream takes ahead. They are free for it alone: on a small disk little.
int64_t wz_node_ahead_bytes(const struct wz_node *node);

// The size of the journal's segments: so large that the copies of its compaction have room below
// the floor of free space, and some of what is settled meanwhile, too.
int64_t wz_node_journal_segment_bytes(const struct wz_node *node);

// Begins to look at the disks, and to remove what is over. The streams and the journal are open,
// the bus is there; no door is.
void wz_node_disk_open(struct wz_node *node);
