// SPDX-License-Identifier: Apache-2.0
// Owns `wyze sub` and `wyze script logs`: a range of records as lines, or live ones as server-sent
// events.
#include <stdlib.h>
#include <string.h>

#include "base/codes.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "gateway/uri.h"
#include "json/scan.h"
#include "json/text.h"

// The server sends a sign of life every 15 seconds.
#define WZ_SUB_TIMEOUT_S 60

// What is being shown.
struct view {
    struct wz_cli *cli;
    struct wz_buf lines;  // received, not whole lines yet
    struct wz_buf output; // to be printed after this piece
    int64_t left;         // messages that may still be shown; -1: any number
    void (*show)(struct wz_buf *output, struct wz_slice line); // for people; NULL: topic and body
    bool live;
    bool gap; // the event at hand tells of a gap
};

static void add_param(struct wz_buf *target, const char *name, const char *value)
{
    if (value == NULL)
        return;
    wz_buf_addf(target, "&%s=", name);
    wz_uri_encode(target, wz_slice_str(value));
}

// The value of the member NAME (with its quotes) of a record's line.
static struct wz_slice find_member(struct wz_slice line, struct wz_slice name)
{
    struct wz_json_scan scan;
    struct wz_json_members walk;
    struct wz_json_member member;

    wz_json_scan(line, &scan);
    walk = (struct wz_json_members){.rest = scan.members};
    while (scan.kind == WZ_JSON_OBJECT && wz_json_members_next(&walk, &member)) {
        if (wz_slice_eq(member.name, name))
            return member.value;
    }
    return wz_slice(NULL, 0);
}

// Adds a record: its line as it is, or topic and body for people.
static void show_record(struct view *view, struct wz_slice line)
{
    struct wz_slice topic;

    if (view->left == 0)
        return;
    if (view->left > 0)
        view->left--;
    if (view->cli->form == WZ_OUTPUT_JSON) {
        wz_buf_add_slice(&view->output, line);
    } else if (view->show != NULL) {
        view->show(&view->output, line);
        return;
    } else {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

        topic = find_member(line, WZ_SLICE_LIT("\"topic\""));
        if (topic.len >= 2 && topic.ptr[0] == '"')
            wz_json_add_unescaped(&text, topic);
        wz_output_add_safe(&view->output, wz_buf_slice(&text));
        wz_buf_add_byte(&view->output, ' ');
        wz_output_add_safe(&view->output, find_member(line, WZ_SLICE_LIT("\"body\"")));
    }
    wz_buf_add_byte(&view->output, '\n');
}

// Takes one line of server-sent events. The server puts all data of an event on one line.
static void take_event_line(struct view *view, struct wz_slice line)
{
    struct wz_slice data = WZ_SLICE_LIT("data: ");

    if (line.len == 0) {
        view->gap = false;
    } else if (wz_slice_eq(line, WZ_SLICE_LIT("event: gap"))) {
        view->gap = true;
    } else if (wz_slice_starts(line, data)) {
        line = wz_slice_sub(line, data.len, line.len - data.len);
        if (view->gap)
            (void)fprintf(stderr, "wyze: records were skipped: %.*s\n",
                          WZ_SLICE_FMT(line)); // nobody is left to be told
        else
            show_record(view, line);
    }
}

// Shows the whole lines that have come.
static int show_lines(struct view *view)
{
    size_t start = 0;
    int code;

    for (size_t i = 0; i < view->lines.len; i++) {
        struct wz_slice line;

        if (view->lines.ptr[i] != '\n')
            continue;
        line = wz_slice(view->lines.ptr + start, i - start);
        start = i + 1;
        if (view->live)
            take_event_line(view, line);
        else
            show_record(view, line);
    }
    wz_buf_consume(&view->lines, start);
    code = wz_output_write(wz_buf_slice(&view->output));
    view->output.len = 0;
    return code;
}

// An answer that is a refusal: reads the rest of it into the cli's problem.
static int read_refusal(struct wz_cli *cli, const char *target)
{
    struct wz_reply reply = {0};
    int r;

    wz_client_close(cli->client);
    cli->client = NULL;
    r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, target);
    wz_client_release_reply(&reply);
    return wz_cli_exit(r < 0 ? r : WZ_ERR_IO);
}

static int follow(struct view *view, const char *target)
{
    struct wz_cli *cli = view->cli;
    struct wz_ask ask = {.method = "GET", .target = target};
    struct wz_reply reply;
    int r = wz_client_begin(cli->client, &ask, &reply, &cli->problem);

    if (r == WZ_OK && reply.status >= 400)
        return read_refusal(cli, target);
    while (r == WZ_OK && view->left != 0) {
        r = wz_client_next(cli->client, &view->lines, &cli->problem);
        if (r >= 0 && show_lines(view) != WZ_EXIT_OK)
            return WZ_EXIT_FAILED;
    }
    return r < 0 ? wz_cli_exit(r) : WZ_EXIT_OK;
}

static int read_count(struct wz_cli *cli, int64_t *ret_count)
{
    const char *text = wz_args_value(&cli->args, "--count");
    char *end;

    *ret_count = -1;
    if (text == NULL)
        return WZ_OK;
    *ret_count = strtoll(text, &end, 10);
    if (*end == '\0' && *ret_count > 0)
        return WZ_OK;
    return wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0,
                          "--count takes a number from 1 on, not \"%.32s\".", text);
}

// "raw" and "raw-stream" are the same.
static int read_stream(struct wz_cli *cli, const char **ret_stream)
{
    const char *name = wz_args_value(&cli->args, "--stream");

    *ret_stream = "raw-stream";
    if (name == NULL || strcmp(name, "raw") == 0 || strcmp(name, *ret_stream) == 0)
        return WZ_OK;
    *ret_stream = "processed-stream";
    if (strcmp(name, "processed") == 0 || strcmp(name, *ret_stream) == 0)
        return WZ_OK;
    return wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_STREAM_NOT_FOUND,
                          "--stream is raw or processed, not \"%.32s\".", name);
}

// Shows the records of a stream from FROM (NULL: now) on, up to TO, or live when that is NULL.
static int show_stream(struct view *view, const char *stream, const char *from, const char *to)
{
    struct wz_cli *cli = view->cli;
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    int code;
    int r = wz_cli_connect(cli, view->live ? WZ_SUB_TIMEOUT_S : 0);

    if (r < 0)
        return wz_cli_exit(r);
    if (view->live && !wz_client_remote(cli->client)) {
        (void)wz_problem_set(&cli->problem, WZ_ERR_UNREACHABLE, WZ_CODE_API_UNREACHABLE,
                             "No wyze runs with this data folder, so nothing new will come.");
        wz_problem_fix(&cli->problem, "To read what is there give --from and --to end.");
        return WZ_EXIT_UNREACHABLE;
    }
    wz_buf_addf(&target, "/api/v1/streams/%s/%s?pattern=", stream, view->live ? "live" : "records");
    wz_uri_encode(&target, wz_slice_str(cli->args.words[0]));
    add_param(&target, "from", from);
    add_param(&target, "to", to);
    if (!view->live)
        add_param(&target, "limit", wz_args_value(&cli->args, "--count"));
    code = follow(view, wz_buf_str(&target));
    wz_buf_release(&view->lines);
    wz_buf_release(&view->output);
    return code;
}

int wz_cmd_sub(struct wz_cli *cli)
{
    const char *to = wz_args_value(&cli->args, "--to");
    struct view view = {.cli = cli, .live = to == NULL};
    const char *stream = NULL;
    int r = read_count(cli, &view.left);

    if (r == WZ_OK)
        r = read_stream(cli, &stream);
    if (r < 0)
        return wz_cli_exit(r);
    return show_stream(&view, stream, wz_args_value(&cli->args, "--from"), to);
}

// Adds the text of a string in a record of script-log, for a terminal.
static void add_text(struct wz_buf *output, struct wz_slice object, struct wz_slice name)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_slice value = find_member(object, name);

    if (value.len >= 2 && value.ptr[0] == '"')
        wz_json_add_unescaped(&text, value);
    for (size_t start = 0; start < text.len;) {
        struct wz_slice rest = wz_slice(text.ptr + start, text.len - start);
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;

        wz_output_add_safe(output, wz_slice(rest.ptr, len));
        start += len + 1;
        if (start < text.len)
            wz_buf_add_str(output, "\n    ");
    }
}

static void show_log_line(struct wz_buf *output, struct wz_slice line)
{
    struct wz_slice body = find_member(line, WZ_SLICE_LIT("\"body\""));

    add_text(output, line, WZ_SLICE_LIT("\"append_time\""));
    wz_buf_add_byte(output, ' ');
    add_text(output, body, WZ_SLICE_LIT("\"severity\""));
    wz_buf_add_byte(output, ' ');
    add_text(output, body, WZ_SLICE_LIT("\"message\""));
    wz_buf_add_byte(output, '\n');
}

// Whether there is such a script, or was one, and it has said something.
static int find_script(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf script = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf said = {0};
    struct wz_reply reply = {0};
    bool found;
    int r;

    wz_buf_add_str(&script, "/api/v1/scripts/");
    wz_uri_encode(&script, wz_slice_str(cli->args.words[0]));
    r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, wz_buf_str(&script));
    wz_client_release_reply(&reply);
    if (r != WZ_ERR_NOT_FOUND)
        return r;
    cli->problem = (struct wz_problem){0};
    wz_buf_add_str(&said, "/api/v1/streams/script-log/records?limit=1&pattern=");
    wz_uri_encode(&said, wz_slice_str(cli->args.words[0]));
    reply = (struct wz_reply){0};
    r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, wz_buf_str(&said));
    found = r == WZ_OK && reply.content.len > 0;
    wz_client_release_reply(&reply);
    // A name that is none is nobody's.
    if (found || (r < 0 && r != WZ_ERR_INVALID))
        return r;
    (void)wz_problem_set(
        &cli->problem, WZ_ERR_NOT_FOUND, WZ_CODE_DOCUMENT_NOT_FOUND,
        "There is no script \"%.64s\", and nothing that one of that name has said.",
        cli->args.words[0]);
    wz_problem_fix(&cli->problem, "wyze script ls tells which there are.");
    return WZ_ERR_NOT_FOUND;
}

int wz_cmd_script_logs(struct wz_cli *cli)
{
    bool live =
        wz_args_value(&cli->args, "--follow") != NULL || wz_args_value(&cli->args, "-f") != NULL;
    const char *from = wz_args_value(&cli->args, "--from");
    struct view view = {.cli = cli, .live = live, .show = show_log_line};
    int r = read_count(cli, &view.left);

    if (r == WZ_OK)
        r = wz_cli_connect(cli, live ? WZ_SUB_TIMEOUT_S : 0);
    if (r == WZ_OK)
        r = find_script(cli);
    if (r < 0)
        return wz_cli_exit(r);
    return show_stream(&view, "script-log", from != NULL ? from : "first", live ? NULL : "end");
}
