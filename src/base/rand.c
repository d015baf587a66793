// SPDX-License-Identifier: Apache-2.0
// Owns the calls to getrandom.
#include "base/rand.h"

#include <errno.h>
#include <sys/random.h>

#include "base/err.h"

void wz_rand_bytes(void *ret_bytes, size_t len)
{
    uint8_t *pos = ret_bytes;

    while (len > 0) {
        ssize_t got = getrandom(pos, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        WZ_ASSERT(got > 0);
        pos += got;
        len -= (size_t)got;
    }
}

uint64_t wz_rand_u64(void)
{
    uint64_t value;

    wz_rand_bytes(&value, sizeof(value));
    return value;
}
