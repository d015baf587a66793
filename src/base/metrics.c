// SPDX-License-Identifier: Apache-2.0
// Owns the values. The loop thread counts in locals and adds once a batch, so the atomics cost
// nothing that can be seen.
#include "base/metrics.h"

_Atomic int64_t wz_metrics[WZ_METRIC_COUNT];

void wz_metrics_print(struct wz_buf *ret_buf)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } rows[] = {
#define WZ_METRICS_ROW(id, name, type, help) {name, type, help},
        WZ_METRICS_TABLE(WZ_METRICS_ROW)
#undef WZ_METRICS_ROW
    };

    for (int i = 0; i < WZ_METRIC_COUNT; i++)
        wz_buf_addf(ret_buf, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", rows[i].name, rows[i].help,
                    rows[i].name, rows[i].type, rows[i].name,
                    (long long)wz_metric_get((enum wz_metric)i));
}
