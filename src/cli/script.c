// SPDX-License-Identifier: Apache-2.0
// Owns `wyze script` but for its check.
#include <string.h>
#include <unistd.h>

#include "base/codes.h"
#include "base/mem.h"
#include "cli/bindings.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "cli/verdict.h"

#define WZ_SCRIPT_CODE_MAX (1024 * 1024)

static const char *target_of(const char *name, struct wz_buf *buf)
{
    return wz_resource_target(buf, "scripts/", name, "");
}

// "raw:bedroom.#, processed:alarm.*" for people.
static json_t *bindings_text(const json_t *bindings)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    for (size_t i = 0; i < json_array_size(bindings); i++) {
        json_t *binding = json_array_get(bindings, i);
        const char *stream = json_string_value(json_object_get(binding, "stream"));
        const char *pattern = json_string_value(json_object_get(binding, "pattern"));

        wz_buf_addf(&text, "%s%s:%s", i > 0 ? ", " : "", stream != NULL ? stream : "",
                    pattern != NULL ? pattern : "");
    }
    return json_string(wz_buf_str(&text));
}

// A script's row: what the document says, and what is said of its run.
static json_t *make_row(const json_t *item)
{
    json_t *document = json_object_get(item, "document");
    json_t *live = json_object_get(item, "live");
    json_t *row = json_object();

    (void)json_object_set(row, "name", json_object_get(item, "name")); // parsed by jansson
    (void)json_object_set_new(row, "status",
                              json_string(json_is_false(json_object_get(document, "active"))
                                              ? "stopped"
                                              : "unknown")); // plain text
    (void)json_object_set_new(row, "bindings",
                              bindings_text(json_object_get(document, "bindings"))); // as above
    (void)json_object_update(row, live); // as above; fails when there is none
    return row;
}

int wz_cmd_script_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"SCRIPT", "name"}, {"STATUS", "status"}, {"LISTENS TO", "bindings"},
        {"IN", "in"},       {"OUT", "out"},       {"ERRORS", "errors"},
        {"LAG", "lag"},     {"REMARK", "remark"},
    };

    return wz_resource_list(cli, "/api/v1/scripts", make_row, columns,
                            sizeof(columns) / sizeof(columns[0]));
}

// The code goes into a file or a program as it is; a terminal shows it and does nothing else with
// it.
static int print_code(const char *code)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    if (!isatty(STDOUT_FILENO))
        return wz_output_write(wz_slice_str(code));
    wz_output_add_lines(&text, wz_slice_str(code));
    return wz_output_write(wz_buf_slice(&text));
}

int wz_cmd_script_get(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    const char *source;
    int code;
    int r;
    json_t *document = wz_resource_get(cli, target_of(cli->args.words[0], &target), &r);

    if (r < 0)
        return wz_cli_exit(r);
    source = json_string_value(json_object_get(document, "code"));
    if (wz_args_value(&cli->args, "--code") != NULL)
        code = print_code(source != NULL ? source : "");
    else
        code = wz_cli_print_object(cli, document);
    json_decref(document);
    return code;
}

int wz_cmd_script_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_remove(cli, target_of(cli->args.words[0], &target));
}

static int set_active(struct wz_cli *cli, struct wz_slice patch)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_cli_exit(wz_resource_do(cli, "PATCH", target_of(cli->args.words[0], &target), patch));
}

// Whether its document says that it runs, and yet it does not: it was parked, or has ended itself.
static bool is_halted(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    int r;
    json_t *document = wz_resource_get(cli, target_of(cli->args.words[0], &target), &r);
    const char *status =
        json_string_value(json_object_get(json_object_get(document, "live"), "status"));
    bool halted = status != NULL && !json_is_false(json_object_get(document, "active")) &&
                  (strcmp(status, "parked") == 0 || strcmp(status, "stopped") == 0);

    if (r < 0)
        cli->problem = (struct wz_problem){0}; // what comes next says it
    json_decref(document);
    return halted;
}

int wz_cmd_script_start(struct wz_cli *cli)
{
    if (is_halted(cli))
        return wz_cmd_script_restart(cli);
    return set_active(cli, WZ_SLICE_LIT("{\"active\":true}"));
}

int wz_cmd_script_stop(struct wz_cli *cli)
{
    return set_active(cli, WZ_SLICE_LIT("{\"active\":false}"));
}

// The script's name: as given, else the file's.
static char *choose_name(const struct wz_cli *cli)
{
    const char *name = wz_args_value(&cli->args, "--name");

    return name != NULL ? wz_strdup(name) : wz_bindings_name(cli->args.words[0]);
}

// Where it begins, if that is said.
static int add_start(struct wz_cli *cli, json_t *document)
{
    const char *from = wz_args_value(&cli->args, "--from");

    if (from == NULL || json_object_set_new(document, "start", json_string(from)) == 0)
        return WZ_OK;
    return wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                          "What --from says is not UTF-8.");
}

// The document's members that the file and the options give.
static json_t *make_document(struct wz_cli *cli, struct wz_slice code)
{
    json_t *text = json_stringn((const char *)code.ptr, code.len);
    json_t *bindings;
    json_t *document;

    if (text == NULL) {
        (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "The script is not UTF-8.");
        wz_problem_where(&cli->problem, "%s", cli->args.words[0]);
        return NULL;
    }
    bindings = wz_bindings_read(code, &cli->args, &cli->problem);
    if (bindings == NULL) {
        json_decref(text);
        return NULL;
    }
    document = json_pack("{s:o, s:b}", "code", text, "active",
                         wz_args_value(&cli->args, "--stopped") == NULL);
    if (json_array_size(bindings) > 0)
        (void)json_object_set_new(document, "bindings", bindings); // the object is ours
    else
        json_decref(bindings);
    if (add_start(cli, document) == WZ_OK)
        return document;
    json_decref(document);
    return NULL;
}

// Saves the document: over the members of one that is there, else as a new one.
static int save(struct wz_cli *cli, const char *target, const json_t *document,
                int64_t *ret_revision)
{
    struct wz_reply reply = {0};
    char *text = json_dumps(document, JSON_COMPACT);
    int r = wz_cli_ask(cli, "PATCH", wz_slice_str(text), &reply, target);

    if (r == WZ_ERR_NOT_FOUND) {
        cli->problem = (struct wz_problem){0};
        if (json_object_get(document, "bindings") == NULL) {
            (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                                 "It is not said what the script listens to.");
            wz_problem_fix(&cli->problem, "Give --on raw:PATTERN, or write a line \"# wyze: on "
                                          "raw:PATTERN\" in the file.");
            r = WZ_ERR_INVALID;
        } else {
            r = wz_cli_ask(cli, "PUT", wz_slice_str(text), &reply, target);
        }
    }
    *ret_revision = reply.revision;
    free(text);
    wz_client_release_reply(&reply);
    return r;
}

int wz_cmd_script_deploy(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf words = {0};
    WZ_AUTO(wz_free_ptr) char *name = choose_name(cli);
    json_t *document;
    int64_t revision;
    int r = wz_cli_load(cli, cli->args.words[0], WZ_SCRIPT_CODE_MAX, &code);

    if (r < 0)
        return wz_cli_exit(r);
    document = make_document(cli, wz_buf_slice(&code));
    if (document == NULL)
        return WZ_EXIT_INPUT;
    r = save(cli, target_of(name, &target), document, &revision);
    json_decref(document);
    if (r == WZ_OK)
        r = wz_verdict_await(cli, wz_buf_str(&target), revision, &words);
    if (r == WZ_OK)
        (void)fprintf(stderr, "script %s, revision %lld: %s\n", name, (long long)revision,
                      wz_buf_str(&words)); // as above
    if (r == WZ_OK && revision > 1 && wz_args_value(&cli->args, "--from") != NULL)
        (void)fprintf(stderr,
                      "script %s was there: it goes on where it is, --from is for streams "
                      "that are new to it\n",
                      name); // as above
    return wz_cli_exit(r);
}
