// SPDX-License-Identifier: Apache-2.0
// Owns `wyze script check`: gives a script to a worker of its own, in this process's care, that
// goes no further than the verdict. Nothing is saved and no server is needed.
#include <string.h>
#include <uv.h>

#include "base/codes.h"
#include "base/mem.h"
#include "cli/bindings.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/worker_path.h"
#include "engine/worker_process.h"

#define WZ_CHECK_CODE_MAX (1024 * 1024)

// A script's top level may take this long.
#define WZ_CHECK_MS 30000

// A check that is under way.
struct check {
    struct wz_cli *cli;
    struct wz_worker_process *process;
    uv_loop_t uv;
    uv_timer_t timer;
    int result; // WZ_AGAIN until there is a verdict
};

static void take_invalid(struct check *check, struct wz_slice payload)
{
    struct wz_problem *problem = &check->cli->problem;
    struct wz_frame_invalid invalid;

    if (wz_frame_get_invalid(payload, &invalid) < 0)
        return;
    check->result = WZ_ERR_INVALID;
    (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID, "%.*s",
                         WZ_SLICE_FMT(invalid.reason));
    if (invalid.line > 0)
        wz_problem_where(problem, "%s:%u", check->cli->args.words[0], invalid.line);
    else
        wz_problem_where(problem, "%s", check->cli->args.words[0]);
    if (invalid.traceback.len > 0)
        wz_output_lines(invalid.traceback);
}

static void on_readable(void *arg)
{
    struct check *check = arg;
    struct wz_frame frame;

    while (wz_worker_process_next(check->process, &frame) == WZ_OK) {
        if (frame.type == WZ_FRAME_INVALID)
            take_invalid(check, frame.payload);
        else if (frame.type == WZ_FRAME_READY)
            check->result = WZ_OK;
    }
    if (check->result != WZ_AGAIN)
        wz_worker_process_kill(check->process);
}

static void on_writable(void *arg)
{
    (void)arg; // one frame is all there is to send
}

static void on_exited(void *arg, const struct wz_worker_end *end)
{
    struct check *check = arg;

    on_readable(check);
    if (check->result == WZ_AGAIN) {
        check->result = WZ_ERR_INVALID;
        (void)wz_problem_set(&check->cli->problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "The script ended its process (exit code %lld, signal %d).",
                             (long long)end->exit_code, end->signal);
        wz_problem_where(&check->cli->problem, "%s", check->cli->args.words[0]);
    }
    wz_worker_process_free(check->process);
    check->process = NULL;
    uv_close((uv_handle_t *)&check->timer, NULL);
}

static void on_late(uv_timer_t *timer)
{
    struct check *check = timer->data;

    check->result = WZ_ERR_TIMEOUT;
    (void)wz_problem_set(&check->cli->problem, WZ_ERR_TIMEOUT, WZ_CODE_SCRIPT_INVALID,
                         "The script's top level takes longer than %d seconds.",
                         WZ_CHECK_MS / 1000);
    wz_worker_process_kill(check->process);
}

static int start_worker(struct check *check, struct wz_slice code)
{
    const struct wz_worker_process_events events = {
        .readable = on_readable, .writable = on_writable, .exited = on_exited, .arg = check};
    static const char *const words[] = {"without-landlock", NULL};
    WZ_AUTO(wz_buf_release) struct wz_buf path = {0};
    struct wz_worker_program program = {.name = "check"};
    struct wz_frame_load load = {
        .name = WZ_SLICE_LIT("check"), .code = code, .config = WZ_SLICE_LIT("{}")};
    int r;

    wz_worker_path_add(&path);
    program.path = wz_buf_str(&path);
    if (wz_config_int(check->cli->config, WZ_CONFIG_SCRIPTS_SANDBOX) != 0)
        program.words = words;
    r = wz_worker_process_start(&check->uv, &program, &events, &check->process);
    if (r < 0) {
        (void)wz_problem_set(&check->cli->problem, WZ_ERR_SYSTEM, WZ_CODE_SCRIPT_WORKER,
                             "The program that runs scripts cannot be started: %s.",
                             wz_err_text(r));
        wz_problem_where(&check->cli->problem, "%s", wz_buf_str(&path));
        return WZ_ERR_SYSTEM;
    }
    wz_frame_put_load(wz_worker_process_out(check->process), &load);
    wz_worker_process_send(check->process);
    return WZ_OK;
}

static int check_code(struct wz_cli *cli, struct wz_slice code)
{
    struct check check = {.cli = cli, .result = WZ_AGAIN};
    int r;

    if (uv_loop_init(&check.uv) < 0)
        return WZ_ERR_SYSTEM;
    (void)uv_timer_init(&check.uv, &check.timer); // cannot fail on a new loop
    check.timer.data = &check;
    r = start_worker(&check, code);
    if (r == WZ_OK)
        (void)uv_timer_start(&check.timer, on_late, WZ_CHECK_MS, 0); // has a function: cannot fail
    else
        uv_close((uv_handle_t *)&check.timer, NULL);
    (void)uv_run(&check.uv, UV_RUN_DEFAULT); // ends when all handles are closed
    (void)uv_loop_close(&check.uv);          // nothing is left on it
    return r < 0 ? r : check.result;
}

int wz_cmd_script_check(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    json_t *bindings;
    int r = wz_cli_load(cli, cli->args.words[0], WZ_CHECK_CODE_MAX, &code);

    if (r < 0)
        return wz_cli_exit(r);
    bindings = wz_bindings_read(wz_buf_slice(&code), &cli->args, &cli->problem);
    if (bindings == NULL) {
        wz_problem_where(&cli->problem, "%s", cli->args.words[0]);
        return WZ_EXIT_INPUT;
    }
    json_decref(bindings);
    r = check_code(cli, wz_buf_slice(&code));
    if (r == WZ_OK)
        (void)fprintf(stderr, "%s is valid\n", cli->args.words[0]); // nobody is left to be told
    return wz_cli_exit(r);
}
