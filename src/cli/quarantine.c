// SPDX-License-Identifier: Apache-2.0
// Owns `wyze script quarantine`, `wyze script state` and `wyze script restart`.
#include "base/codes.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "gateway/uri.h"

// What is asked for at a time.
#define PAGE 1000

// "/api/v1/scripts/NAME" and what follows it.
static const char *target_of(const struct wz_cli *cli, const char *rest, struct wz_buf *buf)
{
    return wz_resource_target(buf, "scripts/", cli->args.words[0], rest);
}

static bool has_more(const json_t *answer) { return json_is_true(json_object_get(answer, "more")); }

// Collects all pages; MEMBER of an answer says where the next one begins.
static json_t *ask_pages(struct wz_cli *cli, const char *rest, const char *member, int *ret_r)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    json_t *rows = json_array();
    json_int_t after = 0;
    bool more = true;

    while (more) {
        WZ_AUTO(wz_buf_release) struct wz_buf query = {0};
        json_t *answer;

        wz_buf_addf(&query, "%s?after=%lld&limit=%d", rest, (long long)after, PAGE);
        answer = wz_resource_get(cli, target_of(cli, wz_buf_str(&query), &target), ret_r);
        (void)json_array_extend(rows, json_object_get(answer, "items")); // fails for no answer
        more = *ret_r == WZ_OK && has_more(answer);
        after = json_integer_value(json_object_get(answer, member));
        json_decref(answer);
    }
    return rows;
}

static int print_pages(struct wz_cli *cli, const char *rest, const char *member,
                       const struct wz_column *columns, size_t count)
{
    int r;
    json_t *rows = ask_pages(cli, rest, member, &r);
    int code = r == WZ_OK ? wz_cli_print_rows(cli, rows, columns, count) : wz_cli_exit(r);

    json_decref(rows);
    return code;
}

int wz_cmd_quarantine_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"NUMBER", "number"}, {"TOPIC", "topic"},       {"STREAM", "stream"},
        {"OFFSET", "offset"}, {"ATTEMPTS", "attempts"}, {"REASON", "reason"},
    };

    return print_pages(cli, "/quarantine", "last", columns, sizeof(columns) / sizeof(columns[0]));
}

int wz_cmd_script_state(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"KEY", "key"},
        {"LANE", "lane"},
        {"VALUE", "value"},
    };

    return print_pages(cli, "/state", "next", columns, sizeof(columns) / sizeof(columns[0]));
}

// "/quarantine/NUMBER" and what follows.
static const char *message_target(const struct wz_cli *cli, const char *rest, struct wz_buf *buf)
{
    WZ_AUTO(wz_buf_release) struct wz_buf path = {0};

    wz_buf_add_str(&path, "/quarantine/");
    wz_uri_encode(&path, wz_slice_str(cli->args.words[1]));
    wz_buf_add_str(&path, rest);
    return target_of(cli, wz_buf_str(&path), buf);
}

int wz_cmd_quarantine_show(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_show(cli, message_target(cli, "", &target));
}

// Does it to the message that is named, or to all, a page at a time and in order.
static int do_to(struct wz_cli *cli, const char *method, const char *rest, const char *done)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    bool all = cli->args.word_count < 2;
    json_int_t after = 0;
    json_int_t count = 0;
    bool more = true;
    int r = WZ_OK;

    while (more && r == WZ_OK) {
        WZ_AUTO(wz_buf_release) struct wz_buf query = {0};
        json_t *answer;

        wz_buf_addf(&query, "/quarantine%s?after=%lld&limit=%d", rest, (long long)after, PAGE);
        answer = wz_resource_ask(cli, method,
                                 all ? target_of(cli, wz_buf_str(&query), &target)
                                     : message_target(cli, rest, &target),
                                 wz_slice(NULL, 0), NULL, &r);
        count += json_integer_value(json_object_get(answer, "count"));
        more = all && has_more(answer);
        if (json_object_get(answer, "last") != NULL)
            after = json_integer_value(json_object_get(answer, "last"));
        json_decref(answer);
    }
    if (count > 0)
        (void)fprintf(stderr, "%lld message%s %s\n", (long long)count, count == 1 ? "" : "s",
                      done); // nobody is left to be told
    return wz_cli_exit(r);
}

int wz_cmd_quarantine_retry(struct wz_cli *cli)
{
    return do_to(cli, "POST", "/retry", "given to the script again");
}

int wz_cmd_quarantine_drop(struct wz_cli *cli)
{
    if (cli->args.word_count < 2 && wz_args_value(&cli->args, "--all") == NULL) {
        (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "It is not said which message is to be dropped.");
        wz_problem_fix(&cli->problem, "Give its number, or --all.");
        return WZ_EXIT_USAGE;
    }
    return do_to(cli, "DELETE", "", "dropped");
}

int wz_cmd_script_restart(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    const char *address =
        cli->args.word_count > 0 ? target_of(cli, "/restart", &target) : "/api/v1/engine/restart";

    return wz_cli_exit(wz_resource_do(cli, "POST", address, wz_slice(NULL, 0)));
}
