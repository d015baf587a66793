// SPDX-License-Identifier: Apache-2.0
// Owns the waiting for what the engine says of a script.
#include "cli/verdict.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/codes.h"
#include "cli/output.h"
#include "cli/resource.h"

// How long it is waited for, and how often it is looked for.
#define WZ_VERDICT_US (30 * 1000000LL)
#define WZ_VERDICT_LOOK_NS (50 * 1000000L)

static int report_invalid(struct wz_cli *cli, const json_t *live)
{
    const char *remark = json_string_value(json_object_get(live, "remark"));
    const char *traceback = json_string_value(json_object_get(live, "traceback"));
    json_int_t line = json_integer_value(json_object_get(live, "line"));

    (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID, "%s",
                         remark != NULL ? remark : "The script is not valid.");
    if (line > 0)
        wz_problem_where(&cli->problem, "%s:%lld", cli->args.words[0], (long long)line);
    else
        wz_problem_where(&cli->problem, "%s", cli->args.words[0]);
    if (traceback != NULL)
        wz_output_lines(wz_slice_str(traceback));
    return WZ_ERR_INVALID;
}

static void describe(const json_t *document, const char *status, struct wz_buf *ret_words)
{
    const char *remark =
        json_string_value(json_object_get(json_object_get(document, "live"), "remark"));

    if (strcmp(status, "running") == 0)
        wz_buf_add_str(ret_words, "runs");
    else if (json_is_false(json_object_get(document, "active")))
        wz_buf_add_str(ret_words, "saved");
    else // by itself: init has called terminate
        wz_buf_addf(ret_words, remark != NULL ? "has ended: %s" : "has ended", remark);
}

// Whether the engine has come to an end with the REVISION; RET_R is then what came of it.
static bool decided(struct wz_cli *cli, const json_t *document, int64_t revision,
                    struct wz_buf *ret_words, int *ret_r)
{
    json_t *live = json_object_get(document, "live");
    const char *status = json_string_value(json_object_get(live, "status"));
    json_t *seen = json_object_get(live, "revision");

    if (status == NULL || (seen != NULL && json_integer_value(seen) < revision))
        return false;
    *ret_r = WZ_OK;
    if (strcmp(status, "invalid") == 0)
        *ret_r = report_invalid(cli, live);
    else if (strcmp(status, "parked") == 0)
        *ret_r = report_invalid(cli, live);
    else if (strcmp(status, "running") != 0 && strcmp(status, "stopped") != 0)
        return false;
    else
        describe(document, status, ret_words);
    return true;
}

int wz_verdict_await(struct wz_cli *cli, const char *target, int64_t revision,
                     struct wz_buf *ret_words)
{
    static const struct timespec pause = {.tv_nsec = WZ_VERDICT_LOOK_NS};
    int64_t end_us = wz_clock_mono_us() + WZ_VERDICT_US;

    do {
        int r;
        json_t *document = wz_resource_get(cli, target, &r);
        bool done = r < 0 || decided(cli, document, revision, ret_words, &r);

        json_decref(document);
        if (done)
            return r;
        (void)nanosleep(&pause, NULL); // shorter is fine
    } while (wz_clock_mono_us() < end_us);
    (void)wz_problem_set(&cli->problem, WZ_ERR_TIMEOUT, WZ_CODE_SCRIPT_WORKER,
                         "The script is saved, but the engine has not said yet whether it runs.");
    wz_problem_fix(&cli->problem, "Look with \"wyze script ls\".");
    return WZ_ERR_TIMEOUT;
}
