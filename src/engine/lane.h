// SPDX-License-Identifier: Apache-2.0
// A lane is a script's unit of order, of position and of state: topics hash to 64 of them. The hash
// stands in journals, so it stays as it is (docs/formats/journal.md).
#pragma once

#include "base/crc32c.h"
#include "wire/frames.h"

// The lane of a topic.
static inline uint8_t wz_lane_of(struct wz_slice topic)
{
    return (uint8_t)(wz_crc32c(0, topic.ptr, topic.len) % WZ_LANE_COUNT);
}

// The worker, of COUNT ones, that has the lane.
static inline int wz_lane_worker(uint8_t lane, int count) { return lane % count; }
