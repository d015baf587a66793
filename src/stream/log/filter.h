// SPDX-License-Identifier: Apache-2.0
// Which topics a reader wants.
#pragma once

#include "base/buf.h"
#include "topic/pattern.h"

// Plain data, but for the bytes of the pattern, which wz_filter_release frees.
struct wz_filter {
    struct wz_buf pattern; // empty: every record
    size_t prefix_len;     // so many bytes of it every topic that matches begins with
    bool literal;          // no wildcard in it: one topic
};

// Takes over a copy of PATTERN; an empty one and "#" mean every record. WZ_ERR_INVALID for a
// pattern that is none.
WZ_MUST int wz_filter_init(struct wz_filter *filter, struct wz_slice pattern);

// Frees the copy.
void wz_filter_release(struct wz_filter *filter);

// Whether every record is wanted, also one without a topic.
static inline bool wz_filter_all(const struct wz_filter *filter)
{
    return filter->pattern.len == 0;
}

// Whether a topic is wanted.
bool wz_filter_match(const struct wz_filter *filter, struct wz_slice topic);
