// SPDX-License-Identifier: Apache-2.0
// Owns `wyze script log` and `wyze script rollback`: what a script's document was before.
#include <stdlib.h>
#include <string.h>

#include "base/codes.h"
#include "base/mem.h"
#include "cli/code_diff.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "cli/verdict.h"

// "/api/v1/scripts/NAME" and what follows it.
static const char *target_of(const struct wz_cli *cli, const char *rest, struct wz_buf *buf)
{
    return wz_resource_target(buf, "scripts/", cli->args.words[0], rest);
}

// What is at REST below the script, which the caller owns; NULL when RET_R says why not.
static json_t *ask(struct wz_cli *cli, const char *rest, int64_t *ret_revision, int *ret_r)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_ask(cli, "GET", target_of(cli, rest, &target), wz_slice(NULL, 0),
                           ret_revision, ret_r);
}

static json_t *ask_version(struct wz_cli *cli, int64_t revision, int *ret_r)
{
    WZ_AUTO(wz_buf_release) struct wz_buf rest = {0};

    wz_buf_addf(&rest, "/versions/%lld", (long long)revision);
    return ask(cli, wz_buf_str(&rest), &revision, ret_r);
}

static int64_t revision_of(const json_t *item)
{
    return json_integer_value(json_object_get(item, "revision"));
}

static bool code_changed(const json_t *item)
{
    json_t *name;
    size_t i;

    json_array_foreach(json_object_get(item, "changed"), i, name)
    {
        if (strcmp(json_string_value(name), "code") == 0)
            return true;
    }
    return false;
}

// What changed in the code from the version BEFORE to ITEM's.
static int add_diff(struct wz_cli *cli, const json_t *before, json_t *item)
{
    WZ_AUTO(wz_buf_release) struct wz_buf diff = {0};
    const json_t *versions[2] = {before, item};
    struct wz_code_text codes[2] = {{.text = ""}, {.text = ""}};
    char labels[2][32];
    json_t *documents[2] = {NULL, NULL};
    int r = WZ_OK;

    for (int i = 0; i < 2 && r == WZ_OK; i++) {
        const char *text;

        (void)snprintf(labels[i], sizeof(labels[i]), "revision %lld",
                       (long long)revision_of(versions[i]));
        documents[i] = ask_version(cli, revision_of(versions[i]), &r);
        text = json_string_value(json_object_get(documents[i], "code"));
        codes[i] = (struct wz_code_text){.label = labels[i], .text = text != NULL ? text : ""};
    }
    if (r == WZ_OK) {
        wz_code_diff_add(&diff, &codes[0], &codes[1]);
        (void)json_object_set_new(item, "diff",
                                  json_string(wz_buf_str(&diff))); // of two texts in UTF-8
    }
    json_decref(documents[0]);
    json_decref(documents[1]);
    return r;
}

static int add_diffs(struct wz_cli *cli, json_t *items)
{
    int r = WZ_OK;

    for (size_t i = 0; i + 1 < json_array_size(items) && r == WZ_OK; i++) {
        json_t *item = json_array_get(items, i);

        if (code_changed(item))
            r = add_diff(cli, json_array_get(items, i + 1), item);
    }
    return r;
}

// The versions for people, each with its diff below.
static int print_diffs(const json_t *items)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    json_t *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        const char *time = json_string_value(json_object_get(item, "time"));
        const char *diff = json_string_value(json_object_get(item, "diff"));
        json_t *name;
        size_t k;

        wz_buf_addf(&text, "%srevision %lld  %s ", i > 0 ? "\n" : "", (long long)revision_of(item),
                    time != NULL ? time : "");
        json_array_foreach(json_object_get(item, "changed"), k, name)
        {
            wz_buf_add_byte(&text, ' ');
            wz_output_add_safe(&text, wz_slice_str(json_string_value(name)));
        }
        wz_buf_add_byte(&text, '\n');
        if (diff != NULL)
            wz_output_add_lines(&text, wz_slice_str(diff));
    }
    return wz_output_write(wz_buf_slice(&text));
}

int wz_cmd_script_log(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"REVISION", "revision"}, {"TIME", "time"}, {"CHANGED", "changed"}};
    bool diff = wz_args_value(&cli->args, "--diff") != NULL;
    int64_t revision;
    json_t *items;
    int code;
    int r;
    json_t *answer = ask(cli, "/versions", &revision, &r);

    items = json_object_get(answer, "items");
    if (r == WZ_OK && diff)
        r = add_diffs(cli, items);
    if (r < 0)
        code = wz_cli_exit(r);
    else if (diff && cli->form == WZ_OUTPUT_TABLE)
        code = print_diffs(items);
    else
        code = wz_cli_print_rows(cli, items, columns, sizeof(columns) / sizeof(columns[0]));
    json_decref(answer);
    return code;
}

// The revision to go back to: the one that is named, or the one before the present.
static int choose_revision(struct wz_cli *cli, int64_t *ret_revision)
{
    int64_t present = INT64_MAX;
    int64_t ignored;
    json_t *answer;
    json_t *item;
    size_t i;
    int r;

    if (cli->args.word_count > 1) {
        char *end;

        *ret_revision = strtoll(cli->args.words[1], &end, 10);
        if (*end == '\0' && *ret_revision > 0)
            return WZ_OK;
        return wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                              "A revision is a number, not \"%.32s\".", cli->args.words[1]);
    }
    json_decref(ask(cli, "", &present, &r));
    if (r < 0 && r != WZ_ERR_NOT_FOUND)
        return r;
    cli->problem = (struct wz_problem){0}; // of one that was removed, the last is taken
    answer = ask(cli, "/versions", &ignored, &r);
    if (r < 0)
        return r;
    r = WZ_ERR_NOT_FOUND;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        if (revision_of(item) >= present)
            continue;
        *ret_revision = revision_of(item);
        r = WZ_OK;
        break;
    }
    json_decref(answer);
    if (r < 0)
        (void)wz_problem_set(&cli->problem, r, WZ_CODE_DOCUMENT_NOT_FOUND,
                             "No version before the present one is kept.");
    return r;
}

int wz_cmd_script_rollback(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf words = {0};
    WZ_AUTO(wz_free_ptr) char *text = NULL;
    struct wz_reply reply = {0};
    int64_t revision = 0;
    json_t *document = NULL;
    int r = choose_revision(cli, &revision);

    if (r == WZ_OK)
        document = ask_version(cli, revision, &r);
    if (r < 0)
        return wz_cli_exit(r);
    text = json_dumps(document, JSON_COMPACT);
    r = wz_cli_ask(cli, "PUT", wz_slice_str(text), &reply, target_of(cli, "", &target));
    if (r == WZ_OK)
        r = wz_verdict_await(cli, wz_buf_str(&target), reply.revision, &words);
    if (r == WZ_OK)
        (void)fprintf(stderr, "script %s, revision %lld, as revision %lld was: %s\n",
                      cli->args.words[0], (long long)reply.revision, (long long)revision,
                      wz_buf_str(&words)); // nobody is left to be told
    json_decref(document);
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
