// SPDX-License-Identifier: Apache-2.0
// Owns the round of reading, changing and saving a document.
#include "cli/edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// How often a document is read again when somebody else was faster.
#define TRIES 8

static int save(struct wz_cli *cli, const char *target, json_t *body, int64_t revision)
{
    WZ_AUTO(wz_free_ptr) char *text = json_dumps(body, JSON_COMPACT);
    struct wz_reply reply = {0};
    char fields[64] = "If-None-Match: *\r\n";
    struct wz_ask ask = {.method = "PUT", .target = target, .fields = fields};
    int r;

    WZ_ASSERT(text != NULL); // its parts are UTF-8
    ask.body = wz_slice_str(text);
    if (revision > 0)
        (void)snprintf(fields, sizeof(fields), "If-Match: \"%lld\"\r\n", (long long)revision);
    r = wz_client_ask(cli->client, &ask, &reply, &cli->problem);
    wz_client_release_reply(&reply);
    return r;
}

static int try_edit(struct wz_cli *cli, const char *target, wz_edit_fn edit)
{
    struct wz_reply reply = {0};
    json_t *body = NULL;
    int r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, target);

    if (r == WZ_ERR_NOT_FOUND) {
        cli->problem = (struct wz_problem){0};
        body = json_object();
    } else if (r == WZ_OK) {
        body = wz_client_json(&reply, &cli->problem);
    }
    if (body != NULL)
        r = edit(cli, body);
    else if (r == WZ_OK)
        r = WZ_ERR_PROTOCOL;
    if (r == WZ_OK)
        r = save(cli, target, body, reply.revision);
    json_decref(body);
    wz_client_release_reply(&reply);
    return r;
}

int wz_edit_document(struct wz_cli *cli, const char *target, wz_edit_fn edit)
{
    int r = WZ_ERR_CONFLICT;

    for (int i = 0; i < TRIES && r == WZ_ERR_CONFLICT; i++) {
        cli->problem = (struct wz_problem){0};
        r = try_edit(cli, target, edit);
    }
    return r;
}

int wz_edit_set_text(struct wz_cli *cli, json_t *body, const char *member, const char *text)
{
    if (json_object_set_new(body, member, json_string(text)) == 0)
        return WZ_OK;
    return wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "The %s is not UTF-8.", member);
}

static int refuse_option(struct wz_cli *cli, const char *option, const char *value)
{
    (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "%s %.100s cannot be read.", option,
                         value);
    wz_problem_fix(&cli->problem, "Write --set send=value, --set channels.M=brightness, or "
                                  "--unset channels.M.");
    return WZ_ERR_INVALID;
}

// The object that NAME is a member of, made if it is not there; RET_LAST is the member's name.
static json_t *parent_of(json_t *body, const char *name, const char **ret_last)
{
    const char *dot = strchr(name, '.');
    WZ_AUTO(wz_free_ptr) char *first = NULL;
    json_t *parent;

    *ret_last = name;
    if (dot == NULL || dot == name)
        return body;
    *ret_last = dot + 1;
    first = wz_strndup(name, (size_t)(dot - name));
    parent = json_object_get(body, first);
    if (!json_is_object(parent)) {
        parent = json_object();
        if (json_object_set_new(body, first, parent) < 0)
            return NULL;
    }
    return parent;
}

static int set_option(struct wz_cli *cli, json_t *body, const char *option)
{
    const char *equals = strchr(option, '=');
    WZ_AUTO(wz_free_ptr) char *name = NULL;
    const char *last = NULL;
    json_t *value;
    json_t *parent;

    if (equals == NULL || equals == option)
        return refuse_option(cli, "--set", option);
    name = wz_strndup(option, (size_t)(equals - option));
    value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value == NULL)
        value = json_string(equals + 1);
    parent = parent_of(body, name, &last);
    if (parent != NULL && json_object_set_new(parent, last, value) == 0)
        return WZ_OK;
    if (parent == NULL)
        json_decref(value);
    return refuse_option(cli, "--set", option); // not UTF-8
}

int wz_edit_by_options(struct wz_cli *cli, json_t *body)
{
    const char *option;
    int r = WZ_OK;

    for (size_t i = 0; (option = wz_args_each(&cli->args, "--unset", i)) != NULL; i++) {
        const char *last = NULL;
        json_t *parent = parent_of(body, option, &last);

        if (parent != NULL)
            (void)json_object_del(parent, last); // fine when it is not there
    }
    for (size_t i = 0; r == WZ_OK && (option = wz_args_each(&cli->args, "--set", i)) != NULL; i++)
        r = set_option(cli, body, option);
    return r;
}
