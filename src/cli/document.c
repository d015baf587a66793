// SPDX-License-Identifier: Apache-2.0
// Owns `wyze document`: the documents of every collection, with their revisions.
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "store/store.h"

// Refuses a word that names no collection, and says which there are.
static bool is_collection(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf names = {0};

    if (wz_collection_find(cli->args.words[0]) != WZ_COLLECTION_COUNT)
        return true;
    for (int i = 0; i < WZ_COLLECTION_COUNT; i++) {
        wz_buf_add_str(&names, i > 0 ? ", " : "");
        wz_buf_add_str(&names, wz_collection_name((enum wz_collection)i));
    }
    (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "There is no collection \"%.64s\".",
                         cli->args.words[0]);
    wz_problem_fix(&cli->problem, "There are %s.", wz_buf_str(&names));
    return false;
}

// Makes a header field of --revision, an empty text without it.
static bool read_condition(struct wz_cli *cli, char *ret_fields, size_t size)
{
    const char *text = wz_args_value(&cli->args, "--revision");
    char *end = NULL;
    long long revision = text != NULL ? strtoll(text, &end, 10) : -1;

    ret_fields[0] = '\0';
    if (text == NULL)
        return true;
    if (end == text || *end != '\0' || revision < 0) {
        (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "\"%.32s\" is no revision.", text);
        wz_problem_fix(&cli->problem, "Give the number that \"wyze document ls\" shows, or 0 for a "
                                      "document that is not there.");
        return false;
    }
    (void)snprintf(ret_fields, size,
                   revision > 0 ? "If-Match: \"%lld\"\r\n" : "If-None-Match: *\r\n", revision);
    return true;
}

// Asks for the document that the command names. BODY may be empty.
static int ask(struct wz_cli *cli, const char *method, struct wz_slice body,
               struct wz_reply *ret_reply)
{
    WZ_AUTO(wz_buf_release) struct wz_buf front = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    char fields[64];
    struct wz_ask request = {.method = method, .fields = fields, .body = body};
    int r;

    if (!is_collection(cli) || !read_condition(cli, fields, sizeof(fields)))
        return WZ_ERR_INVALID;
    wz_buf_addf(&front, "%s/", cli->args.words[0]);
    request.target = wz_resource_target(&target, wz_buf_str(&front), cli->args.words[1], "");
    r = wz_cli_connect(cli, 0);
    return r < 0 ? r : wz_client_ask(cli->client, &request, ret_reply, &cli->problem);
}

int wz_cmd_document_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {{"NAME", "name"}, {"REVISION", "revision"}};
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    if (!is_collection(cli))
        return wz_cli_exit(WZ_ERR_INVALID);
    return wz_resource_list(cli, wz_resource_target(&target, cli->args.words[0], NULL, ""), NULL,
                            columns, 2);
}

int wz_cmd_document_get(struct wz_cli *cli)
{
    struct wz_reply reply = {0};
    json_t *document;
    json_t *shown;
    int code = wz_cli_exit(ask(cli, "GET", wz_slice(NULL, 0), &reply));

    if (code != WZ_EXIT_OK)
        return code;
    document = wz_client_json(&reply, &cli->problem);
    shown = document != NULL ? json_pack("{s:s, s:I, s:o}", "name", cli->args.words[1], "revision",
                                         (json_int_t)reply.revision, "document", document)
                             : NULL;
    code = shown != NULL ? wz_cli_print_object(cli, shown) : WZ_EXIT_FAILED;
    json_decref(shown);
    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_document_set(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_reply reply = {0};
    int r = wz_resource_read_body(cli, cli->args.words[2], WZ_DOCUMENT_BODY_MAX, &text);

    if (r == WZ_OK)
        r = ask(cli, "PUT", wz_buf_slice(&text), &reply);
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}

int wz_cmd_document_rm(struct wz_cli *cli)
{
    struct wz_reply reply = {0};
    int r = ask(cli, "DELETE", wz_slice(NULL, 0), &reply);

    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
