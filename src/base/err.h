// SPDX-License-Identifier: Apache-2.0
// The one set of error codes. Zero is success, failures are negative; the two positive values are
// documented outcomes, not errors.
#pragma once

#include <stdio.h>
#include <stdlib.h>

// name, value, word (stable, for logs and answers), sentence
#define WZ_ERR_TABLE(X)                                                                            \
    X(WZ_OK, 0, "ok", "no error")                                                                  \
    X(WZ_AGAIN, 1, "again", "not complete yet")                                                    \
    X(WZ_END, 2, "end", "no more")                                                                 \
    X(WZ_ERR_INVALID, -1, "invalid", "the value is not valid")                                     \
    X(WZ_ERR_NOT_FOUND, -2, "not-found", "there is nothing of that name")                          \
    X(WZ_ERR_EXISTS, -3, "exists", "it is there already")                                          \
    X(WZ_ERR_CONFLICT, -4, "conflict", "it was changed by somebody else")                          \
    X(WZ_ERR_TOO_LARGE, -5, "too-large", "larger than the limit")                                  \
    X(WZ_ERR_LIMIT, -6, "limit", "a limit is reached")                                             \
    X(WZ_ERR_PROTOCOL, -7, "protocol", "the peer broke the protocol")                              \
    X(WZ_ERR_UNSUPPORTED, -8, "unsupported", "not supported")                                      \
    X(WZ_ERR_CORRUPT, -9, "corrupt", "stored bytes are damaged")                                   \
    X(WZ_ERR_IO, -10, "io", "input or output failed")                                              \
    X(WZ_ERR_NOSPACE, -11, "no-space", "no space left on the device")                              \
    X(WZ_ERR_LOCKED, -12, "locked", "another process holds it")                                    \
    X(WZ_ERR_BUSY, -13, "busy", "too much is under way")                                           \
    X(WZ_ERR_CLOSED, -14, "closed", "it is closed")                                                \
    X(WZ_ERR_UNREACHABLE, -15, "unreachable", "nobody answers there")                              \
    X(WZ_ERR_TIMEOUT, -16, "timeout", "it took too long")                                          \
    X(WZ_ERR_AUTH, -17, "auth", "not allowed")                                                     \
    X(WZ_ERR_SYSTEM, -18, "system", "the system refused")

enum wz_err {
#define WZ_ERR_ENUM(name, value, word, text) name = (value),
    WZ_ERR_TABLE(WZ_ERR_ENUM)
#undef WZ_ERR_ENUM
};

// A result that must not be ignored.
#define WZ_MUST __attribute__((warn_unused_result))

// Drops a result on purpose; the line that does it says why.
static inline void wz_ignore(int result) { (void)result; }

// Ends the process with a message when a promise of our own code is broken. Always on. Bytes that
// come from outside must never decide an assertion.
#define WZ_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            fprintf(stderr, "wyze: %s:%d: assertion failed: %s\n", __FILE__, __LINE__, #cond);     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

// The stable word of a code ("no-space"); "unknown" for a number that is not in the table.
const char *wz_err_word(int err);

// A plain sentence for a code, for people.
const char *wz_err_text(int err);

// The code for an errno value: ENOSPC and EDQUOT are WZ_ERR_NOSPACE, EIO is WZ_ERR_IO, and so on;
// WZ_ERR_SYSTEM for those without a word of their own. Call it in the file that made the call.
int wz_err_from_errno(int errnum);
