// SPDX-License-Identifier: Apache-2.0
// Retained messages (MQTT 3.1.1, 3.3.1.3): the last one of each topic, in memory in the order of
// their topics, and in the journal under 'R' (docs/formats/journal.md). Loop thread only.
#pragma once

#include "base/buf.h"
#include "broker/message.h"
#include "stream/journal.h"

struct wz_retained;

// What may be retained, from the configuration.
struct wz_retained_limits {
    size_t max_count;
    size_t max_bytes; // of topics and bodies, with what they cost to keep
};

// Makes an empty set and joins it to the journal, which must outlive it and is replayed after this.
// LIMITS is copied; what is replayed may be above it. The caller frees it.
struct wz_retained *wz_retained_new(struct wz_journal *journal,
                                    const struct wz_retained_limits *limits);

// Called when the journal has been replayed: puts what was read into order, which else the first
// one who asks would wait for.
void wz_retained_settle(struct wz_retained *retained);

// Frees it, after wz_journal_stop and before the journal is closed; NULL is fine. What is retained
// stays in the journal.
void wz_retained_free(struct wz_retained *retained);

// Retains MSG, or clears its topic when the body is empty, inside a group of the journal. Its
// topic is a valid one. WZ_ERR_LIMIT when the set would be above a limit with it: then nothing is
// retained for the topic, for an older message must not stand for this one.
WZ_MUST int wz_retained_put(struct wz_retained *retained, const struct wz_message *msg,
                            int64_t now_ms);

// A walk over the retained messages that match a filter: in the order of topics, in as many steps
// as one likes, whatever is changed between them. One that is not there any more is not seen, a new
// one is if its topic lies ahead.
struct wz_retained_walk {
    char *filter; // owned
    size_t filter_len;
    struct wz_buf after; // the topic that was looked at last
    bool started;
};

// Starts a walk for a well-formed filter, which is copied.
void wz_retained_walk_init(struct wz_retained_walk *walk, struct wz_slice filter);

// Frees what it holds.
void wz_retained_walk_release(struct wz_retained_walk *walk);

// The next message that matches, as a view borrowed until the next change: topic, body, qos,
// retain. Looks at no more than *BUDGET topics, and takes what it looked at off it. WZ_AGAIN when
// the budget is used up and there is more to look at, WZ_END at the end. Topics that begin with '$'
// match no filter that begins with a wildcard (4.7.2). Only topics below the filter's own fixed
// beginning are looked at.
WZ_MUST int wz_retained_next(struct wz_retained *retained, struct wz_retained_walk *walk,
                             size_t *budget, struct wz_message *ret_msg);

// How many there are.
size_t wz_retained_count(struct wz_retained *retained);
