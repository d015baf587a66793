// SPDX-License-Identifier: Apache-2.0
// Prints the result. Names are literals of this program, so nothing needs escaping.

#include "report.h"

#include <stdio.h>
#include <sys/resource.h>

#include "fail.h"
#include "histogram.h"

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double micros_at(const struct wz_histogram *latencies, double part)
{
    return (double)wz_histogram_quantile_ns(latencies, part) / 1000;
}

void wz_report_begin(const char *mode)
{
    (void)printf("{\"mode\":\"%s\"", mode); // wz_report_end checks the stream.
}

void wz_report_count(const char *name, uint64_t value)
{
    (void)printf(",\"%s\":%llu", name, (unsigned long long)value);
}

void wz_report_number(const char *name, double value) { (void)printf(",\"%s\":%.6f", name, value); }

void wz_report_latencies(const char *name, const struct wz_histogram *latencies)
{
    if (latencies->count == 0)
        return;
    (void)printf(",\"%s\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}", name,
                 micros_at(latencies, 0.5), micros_at(latencies, 0.99), micros_at(latencies, 0.999),
                 (double)latencies->max_ns / 1000);
}

void wz_report_end(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        wz_report_number("generator_cpu_seconds",
                         seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    (void)printf("}\n");
    if (fflush(stdout) != 0 || ferror(stdout))
        wz_fail_errno("write the result");
}
