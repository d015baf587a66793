// SPDX-License-Identifier: Apache-2.0
// Owns the outputs of a deployed script, and the form in which outputs are compared: the members
// that a record has behind its stamps (docs/formats/record.md).
#include "cli/compare.h"

#include <string.h>

#include "base/codes.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/local.h"
#include "cli/recorded.h"
#include "engine/script_document.h"
#include "gateway/uri.h"
#include "stream/moment.h"
#include "json/text.h"

// More of a deployed script's outputs is not held beside each other.
#define DEPLOYED_BYTES_MAX ((size_t)256 * 1024 * 1024)

// Outputs of one record.
struct output_list {
    char *parent; // the record's _id
    json_t *items;
};

const char *wz_comparison_word(enum wz_comparison result)
{
    static const char *const words[WZ_COMPARISON_COUNT] = {"same", "changed", "new", "missing"};

    return words[result];
}

// Whether the topic is one on which context.log publishes.
static bool is_log(struct wz_slice topic)
{
    struct wz_slice front = WZ_SLICE_LIT("logs.");

    return wz_slice_starts(topic, front) &&
           wz_severity_find(wz_slice_sub(topic, front.len, topic.len - front.len)) !=
               WZ_SEVERITY_COUNT;
}

static json_t *make_output(struct wz_slice topic, json_t *body)
{
    return json_pack("{s:s%, s:o}", "topic", (const char *)topic.ptr, topic.len, "body", body);
}

// The text of a member of BODY; NULL when it is none.
static const char *text_of(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(body, name));
}

static void add(struct wz_deployed *deployed, const char *parent, json_t *output)
{
    struct output_list *list = wz_map_get(&deployed->outputs, wz_slice_str(parent));

    if (list == NULL) {
        list = wz_zalloc(1, sizeof(*list));
        list->parent = wz_strdup(parent);
        list->items = json_array();
        (void)wz_map_put(&deployed->outputs, wz_slice_str(list->parent), list); // it is new
    }
    (void)json_array_append_new(list->items, output); // refuses NULL: a topic that is no text
}

static void clear(struct wz_deployed *deployed)
{
    struct output_list *list;
    size_t walk = 0;

    while ((list = wz_map_next(&deployed->outputs, &walk)) != NULL) {
        json_decref(list->items);
        wz_free(list->parent);
        wz_free(list);
    }
    wz_map_release(&deployed->outputs);
    deployed->bytes = 0;
}

// An output of the account comes: those of another are of a script that was removed.
static void turn_to(struct wz_deployed *deployed, int64_t account)
{
    if (deployed->found && deployed->account != account)
        clear(deployed);
    deployed->found = true;
    deployed->account = account;
}

// Takes the record at hand of processed-stream if it is an output of the script NAME.
static void take_record(struct wz_deployed *deployed, const char *name,
                        const struct wz_recorded *recorded, const struct wz_frame_record *record)
{
    static const char *const stamps[] = {"_id", "_timestamp", "_topic", "_script", "_parent"};
    struct wz_slice stamp = WZ_SLICE_LIT("\"_script\"");
    const char *script;
    const char *parent;
    json_t *body;

    if (is_log(record->topic) ||
        memmem(record->body.ptr, record->body.len, stamp.ptr, stamp.len) == NULL)
        return;
    body = json_loadb((const char *)record->body.ptr, record->body.len, JSON_ALLOW_NUL, NULL);
    script = text_of(body, "_script");
    parent = text_of(body, "_parent");
    if (script != NULL && parent != NULL && strcmp(script, name) == 0) {
        WZ_AUTO(wz_free_ptr) char *cause = wz_strdup(parent);

        turn_to(deployed, wz_recorded_account(recorded));
        for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]); i++)
            (void)json_object_del(body, stamps[i]); // fine when it is not there
        add(deployed, cause, make_output(record->topic, json_incref(body)));
        deployed->bytes += record->topic.len + record->body.len;
    }
    json_decref(body);
}

// WZ_ERR_NOT_FOUND when there is no script NAME. Over a connection of its own: without a server the
// command's own has the logs only.
static int look_for(struct wz_cli *cli, const char *name)
{
    struct wz_client_options options = {.url = cli->url,
                                        .data = wz_config_str(cli->config, WZ_CONFIG_DATA),
                                        .needs = WZ_LOCAL_STORE};
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_ask ask = {.method = "GET"};
    struct wz_reply reply = {0};
    struct wz_client *client = NULL;
    int r = wz_client_open(&options, &client, &cli->problem);

    wz_buf_add_str(&target, "/api/v1/scripts/");
    wz_uri_encode(&target, wz_slice_str(name));
    ask.target = wz_buf_str(&target);
    if (r == WZ_OK)
        r = wz_client_ask(client, &ask, &reply, &cli->problem);
    wz_client_release_reply(&reply);
    wz_client_close(client);
    return r;
}

int wz_deployed_load(struct wz_deployed *deployed, struct wz_cli *cli, const char *name,
                     int64_t since_ms)
{
    WZ_AUTO(wz_buf_release) struct wz_buf since = {0};
    json_t *all = json_pack("[s]", "#");
    struct wz_recorded_options options = {
        .cli = cli, .stream = WZ_SCRIPT_PROCESSED, .to = "end", .patterns = all};
    struct wz_recorded recorded;
    struct wz_frame_record record;
    int r;

    wz_moment_add_time(&since, since_ms);
    options.from = wz_buf_str(&since);
    r = wz_recorded_open(&recorded, &options);
    while (r == WZ_OK && (r = wz_recorded_next(&recorded, &record)) == WZ_OK) {
        take_record(deployed, name, &recorded, &record);
        if (deployed->bytes > DEPLOYED_BYTES_MAX)
            r = wz_problem_set(&cli->problem, WZ_ERR_TOO_LARGE, WZ_CODE_API_REQUEST,
                               "The deployed script has emitted too much to be compared at once: "
                               "take a shorter range.");
    }
    wz_recorded_release(&recorded);
    json_decref(all);
    if (r == WZ_END)
        r = deployed->found ? WZ_OK : look_for(cli, name);
    return r;
}

json_t *wz_deployed_find(const struct wz_deployed *deployed, const struct wz_frame_record *input)
{
    json_t *body = json_loadb((const char *)input->body.ptr, input->body.len, JSON_ALLOW_NUL, NULL);
    const char *id = text_of(body, "_id");
    const struct output_list *list =
        id != NULL ? wz_map_get(&deployed->outputs, wz_slice_str(id)) : NULL;

    json_decref(body);
    return list != NULL ? list->items : NULL;
}

void wz_deployed_release(struct wz_deployed *deployed) { clear(deployed); }

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct wz_slice trim(struct wz_slice s)
{
    while (s.len > 0 && is_space(s.ptr[0]))
        s = wz_slice_sub(s, 1, s.len - 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

// The members that a record of the body would have behind its stamps.
static json_t *kept_form(struct wz_slice body)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    json_t *object = json_loadb((const char *)body.ptr, body.len, JSON_ALLOW_NUL, NULL);

    if (json_is_object(object))
        return object;
    json_decref(object);
    if (wz_utf8_valid(body)) {
        body = trim(body);
        return json_pack("{s:o}", "value",
                         json_stringn(body.len > 0 ? (const char *)body.ptr : "", body.len));
    }
    wz_json_add_base64(&text, body);
    return json_pack("{s:s%, s:s}", "value", (const char *)text.ptr + 1, text.len - 2, "_encoding",
                     "base64"); // without its quotes
}

void wz_comparison_add(json_t *outputs, const struct wz_frame_item *item)
{
    if (!is_log(item->topic))
        (void)json_array_append_new(outputs,
                                    make_output(item->topic, kept_form(item->body))); // as above
}

enum wz_comparison wz_comparison_of(const json_t *outputs, const json_t *deployed)
{
    bool emits = json_array_size(outputs) > 0;
    bool emitted = json_array_size(deployed) > 0;

    if (emits && emitted)
        return json_equal(outputs, deployed) ? WZ_COMPARISON_SAME : WZ_COMPARISON_CHANGED;
    if (emits == emitted)
        return WZ_COMPARISON_SAME;
    return emits ? WZ_COMPARISON_NEW : WZ_COMPARISON_MISSING;
}
