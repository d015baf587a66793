// SPDX-License-Identifier: Apache-2.0
// The embedded bus as the composition root and the doors see it: its exchanges are the broker's.
#pragma once

#include "bus/bus.h"
#include "loop/loop.h"

struct wz_queues;
struct wz_space;

// Makes the five exchanges on LOOP, which must outlive the bus.
struct wz_bus *wz_bus_new(struct wz_loop *loop);

// Frees it; all bindings must be gone and wz_bus_stop have been called. NULL is fine.
void wz_bus_free(struct wz_bus *bus);

// Makes messages that are published go to the durable QUEUES, too, which must outlive the bus's
// use.
void wz_bus_join_queues(struct wz_bus *bus, struct wz_queues *queues);

// Makes no message be taken in while SPACE says that room is short; it must outlive the bus's use.
void wz_bus_join_space(struct wz_bus *bus, const struct wz_space *space);

// The broker's exchange behind an exchange of the bus.
struct wz_exchange *wz_bus_exchange(struct wz_bus *bus, enum wz_bus_exchange id);

// Something has become durable, or there is room again: answers the posts that waited for it and
// calls the waiters.
void wz_bus_durable(struct wz_bus *bus);

// Answers all posts that still wait with WZ_ERR_CLOSED.
void wz_bus_stop(struct wz_bus *bus);
