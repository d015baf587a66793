// SPDX-License-Identifier: Apache-2.0
// The three ways the load generator ends early. Nothing is left to release: the process goes.

#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_message(const char *format, va_list args)
{
    (void)fputs("wyze-load: ", stderr); // Nowhere is left to say that stderr is closed.
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
}

void wz_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_message(format, args);
    va_end(args);
    exit(1);
}

void wz_fail_errno(const char *what) { wz_fail("%s: %s", what, strerror(errno)); }

void wz_fail_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_message(format, args);
    va_end(args);
    exit(2);
}
