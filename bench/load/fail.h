// SPDX-License-Identifier: Apache-2.0
// A benchmark that went wrong has no result: every error ends the program.

#ifndef WZ_BENCH_LOAD_FAIL_H
#define WZ_BENCH_LOAD_FAIL_H

// Writes the message to stderr after the program's name and exits with 1. For the world's
// faults: a refused connection, a server that closes, an answer that cannot be understood.
_Noreturn void wz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// As wz_fail, with the text of errno at the end.
_Noreturn void wz_fail_errno(const char *what);

// Writes the message to stderr and exits with 2: the command line asks for what cannot be.
_Noreturn void wz_fail_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
