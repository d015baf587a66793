// SPDX-License-Identifier: Apache-2.0
// Owns `wyze script run`: a script over recorded messages, with nothing that leaves this process
// but what is printed.
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "cli/bindings.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/output.h"
#include "cli/recorded.h"
#include "cli/trial_view.h"
#include "cli/worker_path.h"
#include "engine/script_document.h"
#include "engine/trial.h"
#include "topic/pattern.h"

#define WZ_RUN_FILE_MAX (1024 * 1024)

// A script's top level and its init may take this long.
#define WZ_RUN_LOAD_MS 30000

// A run. Everything is owned but CLI.
struct run {
    struct wz_cli *cli;
    struct wz_buf code;
    struct wz_buf config;
    char *name;
    json_t *patterns;
    enum wz_script_stream stream;
    struct wz_recorded recorded;
    struct wz_deployed deployed;
    struct wz_trial *trial;
    struct wz_trial_view view;
    const char *compare; // the deployed script's name, or NULL
    char state_word[32]; // of the worker's sandbox; and all words
    const char *words[3];
};

static int refuse(struct run *run, const char *what, const char *fix)
{
    (void)wz_problem_set(&run->cli->problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID, "%s", what);
    wz_problem_fix(&run->cli->problem, "%s", fix);
    return WZ_ERR_INVALID;
}

// What comes of the trial.

static void on_output(void *arg, const struct wz_frame_item *item)
{
    struct run *run = arg;

    wz_trial_view_output(&run->view, item);
}

static void on_log(void *arg, const struct wz_frame_log *line)
{
    struct run *run = arg;

    wz_trial_view_log(&run->view, line);
}

static void on_query(void *arg, const struct wz_frame_query *asked, struct wz_buf *ret_frame)
{
    struct run *run = arg;

    wz_recorded_look_back(&run->recorded, asked, ret_frame);
}

static void on_invalid(void *arg, const struct wz_frame_invalid *invalid)
{
    struct run *run = arg;
    struct wz_problem *problem = &run->cli->problem;

    (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID, "%.*s",
                         WZ_SLICE_FMT(invalid->reason));
    if (invalid->line > 0)
        wz_problem_where(problem, "%s:%u", run->cli->args.words[0], invalid->line);
    else
        wz_problem_where(problem, "%s", run->cli->args.words[0]);
    if (invalid->traceback.len > 0)
        wz_output_lines(invalid->traceback);
}

// What is asked for.

// "raw", "raw-stream" and so on as a number; NAME NULL: what the bindings say, raw if they can.
static int choose_stream(struct run *run, const char *name, const json_t *bindings)
{
    json_t *binding;
    size_t i;

    run->stream = json_array_size(bindings) > 0 ? WZ_SCRIPT_PROCESSED : WZ_SCRIPT_RAW;
    json_array_foreach(bindings, i, binding)
    {
        if (strcmp(json_string_value(json_object_get(binding, "stream")), "raw") == 0)
            run->stream = WZ_SCRIPT_RAW;
    }
    if (name == NULL)
        return WZ_OK;
    run->stream = WZ_SCRIPT_RAW;
    if (strcmp(name, "raw") == 0 || strcmp(name, "raw-stream") == 0)
        return WZ_OK;
    run->stream = WZ_SCRIPT_PROCESSED;
    if (strcmp(name, "processed") == 0 || strcmp(name, "processed-stream") == 0)
        return WZ_OK;
    return wz_problem_set(&run->cli->problem, WZ_ERR_INVALID, WZ_CODE_STREAM_NOT_FOUND,
                          "--stream is raw or processed, not \"%.32s\".", name);
}

// The patterns that the options give: of the stream, whatever it is.
static int add_given_patterns(struct run *run)
{
    const char *given;

    for (size_t i = 0; (given = wz_args_each(&run->cli->args, "--on", i)) != NULL; i++) {
        if (given[0] == '\0' || !wz_pattern_valid(&wz_topic_amqp, wz_slice_str(given)) ||
            json_array_append_new(run->patterns, json_string(given)) < 0)
            return refuse(run, "--on takes a pattern of topics.",
                          "Words are joined by '.', '*' stands for one word, '#' for any number.");
    }
    return WZ_OK;
}

// The patterns that the file has for the stream.
static void add_file_patterns(struct run *run, const json_t *bindings)
{
    const char *word = wz_script_stream_word(run->stream);
    json_t *binding;
    size_t i;

    json_array_foreach(bindings, i, binding)
    {
        if (strcmp(json_string_value(json_object_get(binding, "stream")), word) == 0)
            (void)json_array_append(run->patterns,
                                    json_object_get(binding, "pattern")); // it is there
    }
}

static int choose_patterns(struct run *run)
{
    static const struct wz_args no_args;
    json_t *bindings = wz_bindings_read(wz_buf_slice(&run->code), &no_args, &run->cli->problem);
    int r;

    if (bindings == NULL)
        return WZ_ERR_INVALID;
    run->patterns = json_array();
    r = add_given_patterns(run);
    if (r == WZ_OK)
        r = choose_stream(run, wz_args_value(&run->cli->args, "--stream"),
                          json_array_size(run->patterns) > 0 ? NULL : bindings);
    if (r == WZ_OK && json_array_size(run->patterns) == 0)
        add_file_patterns(run, bindings);
    json_decref(bindings);
    if (r == WZ_OK && json_array_size(run->patterns) == 0)
        r = refuse(run, "It is not said what the script listens to.",
                   "Give --on PATTERN, or write a line \"# wyze: on raw:PATTERN\" in the file.");
    return r;
}

// Reads the script's config, a JSON object, if there is one.
static int load_config(struct run *run)
{
    const char *path = wz_args_value(&run->cli->args, "--script-config");
    json_t *config;
    char *text;
    int r;

    if (path == NULL) {
        wz_buf_add_str(&run->config, "{}");
        return WZ_OK;
    }
    r = wz_cli_load(run->cli, path, WZ_RUN_FILE_MAX, &run->config);
    if (r < 0)
        return r;
    config = json_loadb((const char *)run->config.ptr, run->config.len, 0, NULL);
    if (!json_is_object(config)) {
        json_decref(config);
        r = refuse(run, "The config is not a JSON object.", "Give a file such as {\"limit\": 30}.");
        wz_problem_where(&run->cli->problem, "%s", path);
        return r;
    }
    text = json_dumps(config, JSON_COMPACT);
    run->config.len = 0;
    wz_buf_add_str(&run->config, text);
    free(text);
    json_decref(config);
    return WZ_OK;
}

static int prepare(struct run *run)
{
    const struct wz_args *args = &run->cli->args;
    const char *from = wz_args_value(args, "--from");
    const char *to = wz_args_value(args, "--to");
    struct wz_recorded_options options = {
        .cli = run->cli, .from = from != NULL ? from : "-1h", .to = to != NULL ? to : "end"};
    int r = wz_cli_load(run->cli, args->words[0], WZ_RUN_FILE_MAX, &run->code);

    run->compare = wz_args_value(args, "--compare");
    run->name = run->compare != NULL ? wz_strdup(run->compare) : wz_bindings_name(args->words[0]);
    if (r == WZ_OK)
        r = choose_patterns(run);
    if (r == WZ_OK)
        r = load_config(run);
    if (r < 0)
        return r;
    options.stream = (uint8_t)run->stream;
    options.patterns = run->patterns;
    return wz_recorded_open(&run->recorded, &options);
}

static int open_trial(struct run *run)
{
    WZ_AUTO(wz_buf_release) struct wz_buf path = {0};
    struct wz_trial_options options = {
        .words = run->words,
        .load = {.laned = wz_args_value(&run->cli->args, "--lanes") != NULL,
                 .name = wz_slice_str(run->name),
                 .code = wz_buf_slice(&run->code),
                 .config = wz_buf_slice(&run->config)},
        .load_ms = WZ_RUN_LOAD_MS,
        .max_message_ms = wz_config_int(run->cli->config, WZ_CONFIG_SCRIPTS_MAX_MESSAGE_TIME),
        .signal = SIGINT,
        .events = {.output = on_output,
                   .log = on_log,
                   .query = on_query,
                   .invalid = on_invalid,
                   .arg = run},
    };
    struct wz_problem *problem = &run->cli->problem;
    int r;

    (void)snprintf(run->state_word, sizeof(run->state_word), "state=%lld",
                   (long long)wz_config_int(run->cli->config, WZ_CONFIG_SCRIPTS_MAX_STATE));
    run->words[0] = run->state_word;
    if (wz_config_int(run->cli->config, WZ_CONFIG_SCRIPTS_SANDBOX) != 0)
        run->words[1] = "without-landlock";
    wz_worker_path_add(&path);
    options.path = wz_buf_str(&path);
    r = wz_trial_open(&options, &run->trial);
    if (r == WZ_ERR_INVALID && problem->what[0] == '\0') {
        (void)wz_problem_set(problem, r, WZ_CODE_SCRIPT_INVALID,
                             "The script ended its process before the first message, or took "
                             "longer than %d seconds.",
                             WZ_RUN_LOAD_MS / 1000);
        wz_problem_where(problem, "%s", run->cli->args.words[0]);
    } else if (r < 0 && problem->what[0] == '\0' && r != WZ_ERR_CLOSED) {
        (void)wz_problem_set(problem, r, WZ_CODE_SCRIPT_WORKER,
                             "The program that runs scripts cannot be started: %s.",
                             wz_err_text(r));
        wz_problem_where(problem, "%s", wz_buf_str(&path));
    }
    return r;
}

static int give(struct run *run, const struct wz_frame_record *record, bool *ret_ended)
{
    struct wz_trial_result result = {0};
    int code = WZ_EXIT_OK;
    int r;

    wz_trial_view_begin(&run->view, record);
    r = wz_trial_give(run->trial, record, &result);
    if (r == WZ_OK) {
        code = wz_trial_view_end(&run->view, &result,
                                 run->compare != NULL ? wz_deployed_find(&run->deployed, record)
                                                      : NULL);
        *ret_ended = result.ended;
    }
    wz_trial_result_release(&result);
    return code == WZ_EXIT_OK ? r : WZ_ERR_IO;
}

// Gives all records of the range; then the script's stop is called, as when a server stops.
static int give_all(struct run *run)
{
    struct wz_frame_record record;
    struct wz_trial_result result = {0};
    bool ended = false;
    int r = wz_recorded_next(&run->recorded, &record);

    if (r >= 0 && run->compare != NULL) {
        int loaded = wz_deployed_load(&run->deployed, run->cli, run->compare,
                                      r == WZ_OK ? record.append_ms : wz_clock_wall_ms());

        r = loaded < 0 ? loaded : r;
    }
    while (r == WZ_OK) {
        r = give(run, &record, &ended);
        if (r == WZ_OK)
            r = ended ? WZ_END : wz_recorded_next(&run->recorded, &record);
    }
    if (r != WZ_END)
        return r;
    wz_trial_view_begin(&run->view, NULL);
    r = wz_trial_stop(run->trial, &result);
    if (r == WZ_OK && wz_trial_view_end(&run->view, &result, NULL) != WZ_EXIT_OK)
        r = WZ_ERR_IO;
    wz_trial_result_release(&result);
    return r;
}

static void release(struct run *run)
{
    wz_trial_close(run->trial);
    wz_recorded_release(&run->recorded);
    wz_deployed_release(&run->deployed);
    wz_trial_view_release(&run->view);
    wz_buf_release(&run->code);
    wz_buf_release(&run->config);
    json_decref(run->patterns);
    wz_free(run->name);
}

int wz_cmd_script_run(struct wz_cli *cli)
{
    struct run run = {.cli = cli};
    int code;
    int r = prepare(&run);

    wz_trial_view_init(&run.view, cli->form, run.compare);
    if (r == WZ_OK) {
        wz_trial_view_begin(&run.view, NULL);
        r = open_trial(&run);
        if (wz_trial_view_flush(&run.view) != WZ_EXIT_OK && r == WZ_OK) // of init
            r = WZ_ERR_IO;
    }
    if (r == WZ_OK) {
        r = give_all(&run);
        wz_trial_view_summary(&run.view, wz_trial_state_count(run.trial));
        if (r == WZ_ERR_CLOSED) // Ctrl-C: what was done until then is told
            r = WZ_OK;
    }
    if (r < 0 && cli->problem.what[0] == '\0')
        (void)wz_problem_set(&cli->problem, r, WZ_CODE_SCRIPT_FAILED, "The run has ended: %s.",
                             wz_err_text(r));
    code = r == WZ_OK && wz_trial_view_failed(&run.view) ? WZ_EXIT_FAILED : wz_cli_exit(r);
    release(&run);
    return code;
}
