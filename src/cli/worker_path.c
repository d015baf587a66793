// SPDX-License-Identifier: Apache-2.0
// Owns the looking for wyze-python.
#include "cli/worker_path.h"

#include <string.h>
#include <unistd.h>

void wz_worker_path_add(struct wz_buf *buf)
{
    static const char *const places[] = {"wyze-python", "worker/wyze-python",
                                         "../libexec/wyze/wyze-python"};
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;
    size_t start = buf->len;

    self[len > 0 ? len : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash != NULL)
        *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        buf->len = start;
        wz_buf_addf(buf, "%s/%s", self, places[i]);
        if (access(wz_buf_str(buf) + start, X_OK) == 0)
            return;
    }
}
