// SPDX-License-Identifier: Apache-2.0
// Owns `wyze map inbox`: messages that no rule maps.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "gateway/uri.h"

// A sample, as far as a row of a table has room for it.
#define SAMPLE_BYTES 40

// What is suggested, in a few words.
static json_t *suggestion_text(const json_t *item)
{
    json_t *suggestion = json_object_get(item, "suggestion");
    json_t *document = json_object_get(suggestion, "document");
    const char *ignore = json_string_value(json_object_get(suggestion, "ignore"));
    const char *template = json_string_value(json_object_get(document, "template"));

    if (ignore != NULL)
        return json_sprintf("ignore %s", ignore);
    if (document == NULL)
        return json_string("");
    return json_sprintf("%s = %s%s%s", json_string_value(json_object_get(suggestion, "device")),
                        json_string_value(json_object_get(document, "route")),
                        template != NULL ? " by " : "", template != NULL ? template : "");
}

// A row of the table: the entry with its suggestion as a text.
static json_t *row_of(const json_t *item)
{
    json_t *row = json_copy((json_t *)(uintptr_t)item); // it only reads
    const char *sample = json_string_value(json_object_get(item, "sample"));
    size_t len = sample != NULL ? strlen(sample) : 0;

    while (len > SAMPLE_BYTES)
        for (len--; len > 0 && ((unsigned char)sample[len] & 0xc0) == 0x80;)
            len--;
    if (sample != NULL)
        (void)json_object_set_new(row, "sample", json_stringn(sample, len)); // a part of UTF-8
    (void)json_object_set_new(row, "suggestion", suggestion_text(item));     // likewise
    return row;
}

int wz_cmd_inbox_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"TOPIC", "topic"},           {"WHY", "why"},   {"COUNT", "count"},
        {"PER MINUTE", "per_minute"}, {"LAST", "last"}, {"SAMPLE", "sample"},
        {"SUGGESTION", "suggestion"},
    };
    const char *limit = wz_args_value(&cli->args, "--limit");
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_reply reply = {0};
    json_t *answer;
    json_t *rows;
    json_t *item;
    size_t i;
    int code;

    wz_buf_add_str(&target, "/api/v1/inbox?limit=");
    wz_uri_encode(&target, wz_slice_str(limit != NULL ? limit : "100"));
    code = wz_cli_exit(wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, wz_buf_str(&target)));
    if (code != WZ_EXIT_OK)
        return code;
    answer = wz_client_json(&reply, &cli->problem);
    rows = json_array();
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        // As JSON it is what the API says.
        (void)json_array_append_new(rows,
                                    cli->form == WZ_OUTPUT_JSON ? json_incref(item) : row_of(item));
    }
    code = answer != NULL
               ? wz_cli_print_rows(cli, rows, columns, sizeof(columns) / sizeof(columns[0]))
               : WZ_EXIT_FAILED;
    json_decref(rows);
    json_decref(answer);
    wz_client_release_reply(&reply);
    return code;
}

// Prints an answer that is an object; BODY is taken over, NULL: there is none.
static int ask(struct wz_cli *cli, const char *method, const char *target, json_t *body, bool shown)
{
    struct wz_reply reply = {0};
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *answer;
    int code;

    json_decref(body);
    if (body != NULL && text == NULL) {
        (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "A word is not UTF-8.");
        return WZ_EXIT_INPUT;
    }
    code = wz_cli_exit(wz_cli_ask(
        cli, method, text != NULL ? wz_slice_str(text) : wz_slice(NULL, 0), &reply, target));
    free(text);
    if (code == WZ_EXIT_OK && shown) {
        answer = wz_client_json(&reply, &cli->problem);
        code = answer != NULL ? wz_cli_print_object(cli, answer) : WZ_EXIT_FAILED;
        json_decref(answer);
    }
    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_inbox_show(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    wz_buf_add_str(&target, "/api/v1/inbox/topics/");
    wz_uri_encode(&target, wz_slice_str(cli->args.words[0]));
    return ask(cli, "GET", wz_buf_str(&target), NULL, true);
}

int wz_cmd_inbox_accept(struct wz_cli *cli)
{
    static const struct {
        const char *option;
        const char *member;
    } texts[] = {{"--device", "device"}, {"--route", "route"}, {"--template", "template"}};
    json_t *wish = json_pack("{s:s, s:b, s:b}", "topic", cli->args.words[0], "alike",
                             wz_args_value(&cli->args, "--all-like") != NULL, "reenter",
                             wz_args_value(&cli->args, "--no-reenter") == NULL);

    for (size_t i = 0; wish != NULL && i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *value = wz_args_value(&cli->args, texts[i].option);

        if (value != NULL && json_object_set_new(wish, texts[i].member, json_string(value)) < 0) {
            json_decref(wish);
            wish = NULL;
        }
    }
    if (wish == NULL) {
        (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "A word is not UTF-8.");
        return WZ_EXIT_INPUT;
    }
    return ask(cli, "POST", "/api/v1/inbox/accept", wish, true);
}

// The words that were given, as a list.
static json_t *words_of(const struct wz_cli *cli)
{
    json_t *words = json_array();

    for (size_t i = 0; i < cli->args.word_count; i++)
        (void)json_array_append_new(words, json_string(cli->args.words[i])); // else it is left out
    return words;
}

int wz_cmd_inbox_forget(struct wz_cli *cli)
{
    return ask(cli, "POST", "/api/v1/inbox/forget", json_pack("{s:o}", "topics", words_of(cli)),
               false);
}

int wz_cmd_inbox_reenter(struct wz_cli *cli)
{
    return ask(cli, "POST", "/api/v1/inbox/reenter",
               cli->args.word_count > 0 ? json_pack("{s:o}", "devices", words_of(cli))
                                        : json_object(),
               false);
}

static int list_ignored(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {{"FILTER", "name"}};
    struct wz_reply reply = {0};
    json_t *answer;
    int code = wz_cli_exit(wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/ignores"));

    if (code != WZ_EXIT_OK)
        return code;
    answer = wz_client_json(&reply, &cli->problem);
    code = answer != NULL ? wz_cli_print_rows(cli, json_object_get(answer, "items"), columns, 1)
                          : WZ_EXIT_FAILED;
    json_decref(answer);
    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_inbox_ignore(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    bool removes = wz_args_value(&cli->args, "--rm") != NULL;

    if (cli->args.word_count == 0)
        return list_ignored(cli);
    wz_buf_add_str(&target, "/api/v1/ignores/");
    wz_uri_encode(&target, wz_slice_str(cli->args.words[0]));
    return ask(cli, removes ? "DELETE" : "PUT", wz_buf_str(&target), removes ? NULL : json_object(),
               false);
}
