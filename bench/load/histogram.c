// SPDX-License-Identifier: Apache-2.0
// A bucket's number is the value's exponent followed by its next seven bits.

#include "histogram.h"

#include <stddef.h>

#define SUB_COUNT (1u << WZ_HISTOGRAM_SUB_BITS)

static size_t bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < SUB_COUNT)
        return (size_t)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - WZ_HISTOGRAM_SUB_BITS;
    return ((size_t)(shift + 1) << WZ_HISTOGRAM_SUB_BITS) + (size_t)((value >> shift) - SUB_COUNT);
}

// The largest value that falls into the bucket.
static uint64_t bucket_top(size_t bucket)
{
    uint64_t sub = bucket & (SUB_COUNT - 1);
    size_t shift = bucket >> WZ_HISTOGRAM_SUB_BITS;

    if (shift == 0)
        return sub;
    return ((SUB_COUNT + sub + 1) << (shift - 1)) - 1;
}

void wz_histogram_add(struct wz_histogram *histogram, uint64_t latency_ns)
{
    histogram->buckets[bucket_of(latency_ns)]++;
    histogram->count++;
    if (latency_ns > histogram->max_ns)
        histogram->max_ns = latency_ns;
}

uint64_t wz_histogram_quantile_ns(const struct wz_histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)histogram->count + 0.5);
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    if (wanted == 0)
        wanted = 1;
    for (size_t bucket = 0; bucket < WZ_HISTOGRAM_BUCKETS; bucket++) {
        uint64_t top = bucket_top(bucket);

        seen += histogram->buckets[bucket];
        if (seen >= wanted)
            return top < histogram->max_ns ? top : histogram->max_ns;
    }
    return histogram->max_ns;
}
