// SPDX-License-Identifier: Apache-2.0
// The composition root: makes the parts, wires them, starts and stops them in order.
#pragma once

#include "base/problem.h"
#include "config/config.h"

// Runs all tiers in this process until SIGINT or SIGTERM. RET_PROBLEM says why it could not start.
// The calling thread becomes the loop thread.
WZ_MUST int wz_node_run(const struct wz_config *config, struct wz_problem *ret_problem);
