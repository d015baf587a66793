// SPDX-License-Identifier: Apache-2.0
// Owns `wyze map inbox`: messages that no rule maps.
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"

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

    // As JSON it is what the API says.
    return wz_resource_list(
        cli, wz_resource_target(&target, "inbox?limit=", limit != NULL ? limit : "100", ""),
        cli->form == WZ_OUTPUT_JSON ? NULL : row_of, columns, sizeof(columns) / sizeof(columns[0]));
}

int wz_cmd_inbox_show(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_show(cli,
                            wz_resource_target(&target, "inbox/topics/", cli->args.words[0], ""));
}

// Asks with WISH, which is taken over, and prints what was accepted.
static int accept(struct wz_cli *cli, json_t *wish)
{
    WZ_AUTO(wz_free_ptr) char *text = wish != NULL ? json_dumps(wish, JSON_COMPACT) : NULL;
    json_t *answer;
    int code;
    int r;

    json_decref(wish);
    if (text == NULL)
        return wz_cli_exit(
            wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "A word is not UTF-8."));
    answer = wz_resource_ask(cli, "POST", "/api/v1/inbox/accept", wz_slice_str(text), NULL, &r);
    code = r == WZ_OK ? wz_cli_print_object(cli, answer) : wz_cli_exit(r);
    json_decref(answer);
    return code;
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
    return accept(cli, wish);
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
    return wz_resource_send(cli, "POST", "/api/v1/inbox/forget",
                            json_pack("{s:o}", "topics", words_of(cli)));
}

int wz_cmd_inbox_reenter(struct wz_cli *cli)
{
    return wz_resource_send(cli, "POST", "/api/v1/inbox/reenter",
                            cli->args.word_count > 0 ? json_pack("{s:o}", "devices", words_of(cli))
                                                     : json_object());
}

int wz_cmd_inbox_ignore(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {{"FILTER", "name"}};
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    if (cli->args.word_count == 0)
        return wz_resource_list(cli, "/api/v1/ignores", NULL, columns, 1);
    (void)wz_resource_target(&target, "ignores/", cli->args.words[0], ""); // the buffer has it
    if (wz_args_value(&cli->args, "--rm") != NULL)
        return wz_resource_remove(cli, wz_buf_str(&target));
    return wz_resource_send(cli, "PUT", wz_buf_str(&target), json_object());
}
