// SPDX-License-Identifier: Apache-2.0
// Latencies as counts in logarithmic buckets: 128 to each power of two, so that a quantile is
// off by less than one part in a hundred and recording one value costs a shift and an add.

#ifndef WZ_BENCH_LOAD_HISTOGRAM_H
#define WZ_BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

#define WZ_HISTOGRAM_SUB_BITS 7
#define WZ_HISTOGRAM_BUCKETS ((64 - WZ_HISTOGRAM_SUB_BITS + 1) << WZ_HISTOGRAM_SUB_BITS)

// Zero is an empty histogram. Large (60 KiB): not for the stack.
struct wz_histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[WZ_HISTOGRAM_BUCKETS];
};

// Counts one latency.
void wz_histogram_add(struct wz_histogram *histogram, uint64_t latency_ns);

// The latency, in nanoseconds, that the given part (0 to 1) of all values does not exceed,
// within the width of a bucket. 0 for an empty histogram.
uint64_t wz_histogram_quantile_ns(const struct wz_histogram *histogram, double part);

#endif
