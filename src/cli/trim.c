// SPDX-License-Identifier: Apache-2.0
// Owns `wyze log trim`: through the API when a server runs, else on the folder itself, by the same
// rules.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codes.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "gateway/streams.h"

// A stream that is trimmed here.
struct folder {
    struct wz_mailbox mail;
    struct wz_log *log;
    bool made; // the mailbox
};

static int refuse(struct wz_cli *cli, int err, int code, const char *what, const char *fix)
{
    (void)wz_problem_set(&cli->problem, err, code, "%s", what);
    wz_problem_fix(&cli->problem, "%s", fix);
    return err;
}

// The stream's whole name for WORD, which may lack "-stream".
static int find_name(struct wz_cli *cli, const char *word, const char **ret_name)
{
    static const char *const names[][2] = {
        {"raw", "raw-stream"}, {"processed", "processed-stream"}, {"script-log", "script-log"}};

    if (strcmp(word, "journal") == 0)
        return refuse(cli, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                      "The journal is not trimmed: sessions, retained messages and scripts' state "
                      "are in it.",
                      "It compacts itself. The streams can be trimmed.");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(word, names[i][0]) != 0 && strcmp(word, names[i][1]) != 0)
            continue;
        *ret_name = names[i][1];
        return WZ_OK;
    }
    return refuse(cli, WZ_ERR_NOT_FOUND, WZ_CODE_STREAM_NOT_FOUND,
                  "There is no stream of that name to be trimmed.",
                  "Streams: raw, processed, script-log.");
}

static json_t *read_offset(struct wz_cli *cli, const char *text)
{
    const char *digits = text[0] == '@' ? text + 1 : text;
    char *end;
    long long offset = strtoll(digits, &end, 10);

    if (digits[0] >= '0' && digits[0] <= '9' && *end == '\0')
        return json_integer(offset);
    (void)refuse(cli, WZ_ERR_INVALID, WZ_CODE_STREAM_POSITION, "The --offset is no offset.",
                 "Give a number from 0 on.");
    return NULL;
}

static json_t *read_size(struct wz_cli *cli, const char *text)
{
    const struct wz_value_rule rule = {.type = WZ_VALUE_SIZE};
    WZ_AUTO(wz_value_release) struct wz_value value = {0};

    if (wz_value_parse(&rule, "--keep", text, &value, &cli->problem) < 0)
        return NULL;
    return json_integer(value.number);
}

// The request's body as the options say it, which the caller owns; NULL with the problem filled.
static json_t *read_options(struct wz_cli *cli)
{
    const char *before = wz_args_value(&cli->args, "--before");
    const char *keep = wz_args_value(&cli->args, "--keep");
    const char *offset = wz_args_value(&cli->args, "--offset");
    const char *name = before != NULL ? "before" : keep != NULL ? "keep_bytes" : "offset";
    json_t *value = NULL;

    if ((before != NULL) + (keep != NULL) + (offset != NULL) != 1) {
        (void)refuse(cli, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                     "It is not said, or said twice, what is to go.",
                     "Give one of --before WHEN, --keep SIZE and --offset N.");
        return NULL;
    }
    if (before != NULL)
        value = json_string(before);
    else if (keep != NULL)
        value = read_size(cli, keep);
    else
        value = read_offset(cli, offset);
    return value != NULL ? json_pack("{s:o}", name, value) : NULL;
}

static int trim_remote(struct wz_cli *cli, const char *name, json_t *body, json_t **ret_answer)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    char *text;
    int r;

    if (wz_args_value(&cli->args, "--dry-run") != NULL)
        (void)json_object_set_new(body, "dry_run", json_true()); // an object takes it
    text = json_dumps(body, JSON_COMPACT);
    wz_buf_addf(&target, "/api/v1/streams/%s/trim", name);
    *ret_answer = wz_resource_ask(cli, "POST", wz_buf_str(&target), wz_slice_str(text), NULL, &r);
    free(text); // jansson's own
    return r;
}

static void folder_close(struct folder *folder)
{
    if (folder->log != NULL)
        wz_ignore(wz_log_close(folder->log)); // nothing was appended
    if (!folder->made)
        return;
    (void)wz_mailbox_run(&folder->mail); // a letter of a closed log frees itself
    wz_mailbox_release(&folder->mail);
}

// Opens the stream in DIR; to be looked at, or to be changed.
static int folder_open(struct wz_cli *cli, const char *dir, bool changes, struct folder *ret_folder)
{
    struct wz_log_options options = {.read_only = !changes, .loop_mail = &ret_folder->mail};
    struct wz_log_recovery recovery;
    int r;

    *ret_folder = (struct folder){.made = changes};
    if (changes)
        wz_mailbox_init(&ret_folder->mail, 64, NULL, NULL);
    r = wz_log_open(dir, &options, &ret_folder->log, &recovery, &cli->problem);
    if (r < 0)
        ret_folder->log = NULL;
    if (r == WZ_OK && !recovery.clean)
        r = refuse(cli, WZ_ERR_CONFLICT, WZ_CODE_STREAM_LOCKED,
                   "wyze was not stopped in order, so it may need what is in the stream.",
                   "Start it once, or trim the stream while it runs.");
    if (r < 0)
        folder_close(ret_folder);
    return r;
}

// Removes what the plan says, which closing waits for.
static int remove_below(struct wz_cli *cli, const char *dir, int64_t below_offset,
                        struct wz_log_removed *ret_removed)
{
    struct wz_log_limits limits = {.below_offset = below_offset, .needed_offset = INT64_MAX};
    struct folder folder;
    int r = folder_open(cli, dir, true, &folder);

    if (r < 0)
        return r;
    wz_log_retain(folder.log, &limits);
    while (!wz_log_retained(folder.log) && wz_mailbox_wait(&folder.mail))
        (void)wz_mailbox_run(&folder.mail); // the count is of no interest
    wz_log_removed(folder.log, WZ_LOG_REASON_ASKED, ret_removed);
    folder_close(&folder);
    return WZ_OK;
}

static json_t *describe(const char *name, bool dry_run, const struct wz_log_removed *removed,
                        int64_t first_offset)
{
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "stream", name, "dry_run", dry_run,
                     "segments", (json_int_t)removed->segments, "records",
                     (json_int_t)removed->records, "bytes", (json_int_t)removed->bytes,
                     "first_offset", (json_int_t)first_offset);
}

// On the data folder; no server runs.
static int trim_local(struct wz_cli *cli, const char *name, const json_t *body, json_t **ret_answer)
{
    WZ_AUTO(wz_buf_release) struct wz_buf dir = {0};
    bool dry_run = wz_args_value(&cli->args, "--dry-run") != NULL;
    struct wz_log_limits limits = {.needed_offset = INT64_MAX};
    struct wz_log_removed removed;
    struct folder folder;
    int64_t first;
    int r;

    wz_buf_addf(&dir, "%s/%s", wz_config_str(cli->config, WZ_CONFIG_DATA), name);
    if (access(wz_buf_str(&dir), F_OK) < 0)
        return refuse(cli, WZ_ERR_NOT_FOUND, WZ_CODE_STREAM_NOT_FOUND,
                      "The stream is not in the data folder.", "Nothing was ever recorded there.");
    r = folder_open(cli, wz_buf_str(&dir), false, &folder);
    if (r < 0)
        return r;
    r = wz_streams_trim_offset(body, folder.log, &limits.below_offset, &cli->problem);
    if (r == WZ_OK)
        wz_log_plan(folder.log, &limits, &removed, &first);
    folder_close(&folder);
    if (r == WZ_OK && !dry_run)
        r = remove_below(cli, wz_buf_str(&dir), limits.below_offset, &removed);
    if (r == WZ_OK)
        *ret_answer = describe(name, dry_run, &removed, first);
    return r;
}

int wz_cmd_log_trim(struct wz_cli *cli)
{
    json_t *body = NULL;
    json_t *answer = NULL;
    const char *name;
    int code;
    int r = find_name(cli, cli->args.words[0], &name);

    if (r < 0)
        return wz_cli_exit(r);
    body = read_options(cli);
    if (body == NULL)
        return wz_cli_exit(WZ_ERR_INVALID);
    r = wz_cli_connect(cli, 0);
    if (r == WZ_OK && wz_client_remote(cli->client))
        r = trim_remote(cli, name, body, &answer);
    else if (r == WZ_OK)
        r = trim_local(cli, name, body, &answer);
    code = r == WZ_OK ? wz_cli_print_object(cli, answer) : wz_cli_exit(r);
    json_decref(answer);
    json_decref(body);
    return code;
}
