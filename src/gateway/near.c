// SPDX-License-Identifier: Apache-2.0
// Owns the edit distance (optimal string alignment), row by row.
#include "gateway/near.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

size_t wz_near_distance(struct wz_slice a, struct wz_slice b)
{
    size_t rows[3][WZ_NEAR_MAX + 1];

    if (a.len > WZ_NEAR_MAX || b.len > WZ_NEAR_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t cost = a.ptr[i - 1] != b.ptr[j - 1];

            row[j] = least(above[j - 1] + cost, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

bool wz_near_enough(struct wz_slice a, struct wz_slice b)
{
    size_t longer = a.len > b.len ? a.len : b.len;
    size_t distance = wz_near_distance(a, b);

    return distance != SIZE_MAX && distance * 3 <= longer;
}
