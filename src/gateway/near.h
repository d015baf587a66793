// SPDX-License-Identifier: Apache-2.0
// How alike two names are, to guess at what a misspelt one meant.
#pragma once

#include "base/slice.h"

// Longer names are alike to nothing.
#define WZ_NEAR_MAX 128

// How many single letters have to be put in, taken out, changed or swapped with their neighbour to
// get from A to B; SIZE_MAX when one is longer than WZ_NEAR_MAX.
size_t wz_near_distance(struct wz_slice a, struct wz_slice b);

// Whether B is close enough to A to be meant: at most a third of its letters are wrong.
bool wz_near_enough(struct wz_slice a, struct wz_slice b);
