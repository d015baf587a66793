// SPDX-License-Identifier: Apache-2.0
// The router tier: takes messages from devices, ingress and egress, makes records of them, and
// gives those that are commands to who sends them. Loop thread only.
#pragma once

#include "bus/bus.h"
#include "loop/loop.h"
#include "router/commands.h"
#include "router/inbox.h"

struct wz_router;

// What it works between; all of it must outlive it.
struct wz_router_options {
    struct wz_loop *loop;
    struct wz_bus *bus;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_commands *commands; // gets the mapping and what is a command
    struct wz_inbox *inbox;       // gets the mapping and what is not mapped; NULL: it is dropped
};

// Binds the router to the bus, with a mapping that maps nothing. The caller owns RET_ROUTER.
WZ_MUST int wz_router_open(const struct wz_router_options *options, struct wz_router **ret_router);

// Takes a new mapping, which it owns from now on; the next message is mapped by it. What was cached
// is forgotten. Returns the mapping that was in force; the caller frees it, off the loop if it is
// large.
struct wz_mapping *wz_router_set_mapping(struct wz_router *router, struct wz_mapping *mapping);

// Takes filters of topics that are not to be kept when they are unmapped; the trie is its own.
void wz_router_set_ignores(struct wz_router *router, struct wz_trie *ignores);

// Unbinds and frees it; NULL is fine.
void wz_router_close(struct wz_router *router);
