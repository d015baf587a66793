// SPDX-License-Identifier: Apache-2.0
// The exit codes of all commands (docs/cli.md).
#pragma once

enum wz_exit {
    WZ_EXIT_OK = 0,
    WZ_EXIT_FAILED = 1,
    WZ_EXIT_USAGE = 2,
    WZ_EXIT_INPUT = 3,
    WZ_EXIT_NOT_FOUND = 4,
    WZ_EXIT_CONFLICT = 5,
    WZ_EXIT_AUTH = 6,
    WZ_EXIT_UNREACHABLE = 7,
    WZ_EXIT_TIMEOUT = 8,
};
