// SPDX-License-Identifier: Apache-2.0
// Owns the filling of refusals; texts that are too long are cut.
#include "base/problem.h"

#include <stdarg.h>

int wz_problem_set(struct wz_problem *ret_problem, int err, int code, const char *what, ...)
{
    va_list args;

    if (ret_problem == NULL)
        return err;
    *ret_problem = (struct wz_problem){.err = err, .code = code};
    va_start(args, what);
    (void)vsnprintf(ret_problem->what, sizeof(ret_problem->what), what, args);
    va_end(args);
    return err;
}

void wz_problem_where(struct wz_problem *problem, const char *where, ...)
{
    va_list args;

    if (problem == NULL)
        return;
    va_start(args, where);
    (void)vsnprintf(problem->where, sizeof(problem->where), where, args);
    va_end(args);
}

void wz_problem_fix(struct wz_problem *problem, const char *fix, ...)
{
    va_list args;

    if (problem == NULL)
        return;
    va_start(args, fix);
    (void)vsnprintf(problem->fix, sizeof(problem->fix), fix, args);
    va_end(args);
}
