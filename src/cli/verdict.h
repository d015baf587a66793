// SPDX-License-Identifier: Apache-2.0
// What the engine makes of a script that was just saved.
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

// Waits until the engine runs, stops or refuses REVISION of the script whose document is at TARGET.
// WZ_ERR_INVALID with a problem that names the command's first word as the place, and the traceback
// on standard error, when it refuses; WZ_ERR_TIMEOUT after 30 seconds. RET_WORDS gets what it does,
// for people: "runs", "saved" (it is not to run), or "has ended: " and the remark.
WZ_MUST int wz_verdict_await(struct wz_cli *cli, const char *target, int64_t revision,
                             struct wz_buf *ret_words);
