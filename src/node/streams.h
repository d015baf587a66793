// SPDX-License-Identifier: Apache-2.0
// The streams and the journal of a node, and who is told when they are durable.
#pragma once

#include "base/problem.h"

struct wz_node;

// Opens the streams. The node's problem says why it failed.
WZ_MUST int wz_node_streams_open(struct wz_node *node);

// Opens the journal, and what it remembers: queues and retained messages, scripts' accounts, how
// far commands were sent and what has passed through, and the inbox. The streams are open, the bus,
// the board and the desk are there. The node's problem says why it failed.
WZ_MUST int wz_node_journal_open(struct wz_node *node);

// Makes all of them durable and closes them, however far they were opened. Returns what kept the
// first from being durable.
WZ_MUST int wz_node_streams_close(struct wz_node *node);
