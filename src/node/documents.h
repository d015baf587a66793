// SPDX-License-Identifier: Apache-2.0
// The way of the documents from the store thread to the parts on the loop thread: mapping, scripts,
// rules of the passthrough, topics to ignore.
#pragma once

#include "base/problem.h"

struct wz_node;

// Opens the store, which sends what it holds to router, engine and passthrough, at once and after
// each change. They are there. The node's problem says why it failed.
WZ_MUST int wz_node_store_open(struct wz_node *node);

// Waits until what the store says is in force: nobody may be acked by another mapping, for what no
// rule maps is not kept. The node's problem says why a mapping cannot be.
WZ_MUST int wz_node_documents_wait(struct wz_node *node);
