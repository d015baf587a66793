// SPDX-License-Identifier: Apache-2.0
// The one line of JSON that a mode prints on stdout.

#ifndef WZ_BENCH_LOAD_REPORT_H
#define WZ_BENCH_LOAD_REPORT_H

#include <stdint.h>

struct wz_histogram;

// Begins the line with the mode's name.
void wz_report_begin(const char *mode);

// Adds a whole number.
void wz_report_count(const char *name, uint64_t value);

// Adds a number with its decimals.
void wz_report_number(const char *name, double value);

// Adds an object with the quantiles of the latencies in microseconds; nothing when there are
// none.
void wz_report_latencies(const char *name, const struct wz_histogram *latencies);

// Adds the processor time of the load generator itself, ends the line and flushes it.
void wz_report_end(void);

#endif
