// SPDX-License-Identifier: Apache-2.0
// Owns the shape of script documents.
#include "engine/script_document.h"

#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "topic/pattern.h"

static const char *const stream_words[WZ_SCRIPT_STREAM_COUNT] = {"raw", "processed"};

// A member: its name, the JSON type it must have, and how a person calls that.
struct member {
    const char *name;
    bool (*fits)(const json_t *value);
    const char *type;
};

static bool is_string(const json_t *value) { return json_is_string(value); }

static bool is_boolean(const json_t *value) { return json_is_boolean(value); }

static bool is_object(const json_t *value) { return json_is_object(value); }

static bool is_integer(const json_t *value) { return json_is_integer(value); }

static bool is_array(const json_t *value) { return json_is_array(value); }

static const struct member document_members[] = {
    {"description", is_string, "a text"},
    {"code", is_string, "a text"},
    {"bindings", is_array, "a list"},
    {"active", is_boolean, "true or false"},
    {"config", is_object, "an object"},
    {"workers", is_integer, "a number"},
    {"limits", is_object, "an object"},
    {"durable", is_boolean, "true or false"},
    {"grants", is_object, "an object"},
    {"start", is_string, "a text"},
    {NULL, NULL, NULL},
};

static const struct member binding_members[] = {
    {"stream", is_string, "a text"},
    {"pattern", is_string, "a text"},
    {NULL, NULL, NULL},
};

// Where in the document something is, for the problem.
struct place {
    const char *name;
    size_t binding; // from 1; 0: the document itself
};

static int refuse(struct wz_problem *problem, struct place at, const char *fix)
{
    if (at.binding > 0)
        wz_problem_where(problem, "scripts/%s, binding %zu", at.name, at.binding);
    else
        wz_problem_where(problem, "scripts/%s", at.name);
    wz_problem_fix(problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static int check_members(json_t *object, const struct member *members, struct place at,
                         struct wz_problem *problem)
{
    const struct member *member;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        for (member = members; member->name && strcmp(member->name, key) != 0;)
            member++;
        if (!member->name) {
            (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                                 "there is no member \"%s\"", key);
            return refuse(problem, at, "take it out, or look at its spelling");
        }
        if (!member->fits(value)) {
            (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                                 "\"%s\" must be %s", key, member->type);
            return refuse(problem, at, "give it a value of that type");
        }
    }
    return WZ_OK;
}

static enum wz_script_stream find_stream(const json_t *binding)
{
    const char *word = json_string_value(json_object_get(binding, "stream"));
    int i = 0;

    if (!word)
        return WZ_SCRIPT_RAW; // left out
    while (i < WZ_SCRIPT_STREAM_COUNT && strcmp(word, stream_words[i]) != 0)
        i++;
    return (enum wz_script_stream)i;
}

static struct wz_slice string_slice(const json_t *string)
{
    return wz_slice(json_string_value(string), json_string_length(string));
}

static int check_binding(json_t *binding, struct place at, struct wz_problem *problem)
{
    const json_t *pattern = json_object_get(binding, "pattern");
    int r;

    if (!json_is_object(binding)) {
        (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "a binding must be an object");
        return refuse(problem, at, "write {\"stream\": \"raw\", \"pattern\": \"bedroom.#\"}");
    }
    r = check_members(binding, binding_members, at, problem);
    if (r < 0)
        return r;
    if (find_stream(binding) == WZ_SCRIPT_STREAM_COUNT) {
        (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "there is no stream of that name");
        return refuse(problem, at, "a script reads \"raw\" or \"processed\"");
    }
    if (!pattern || json_string_length(pattern) == 0 ||
        !wz_pattern_valid(&wz_topic_amqp, string_slice(pattern))) {
        (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "a binding needs a pattern of topics");
        return refuse(problem, at,
                      "write words joined by '.', '*' for one word, '#' for any number of words");
    }
    return WZ_OK;
}

static int check_bindings(json_t *bindings, const char *name, struct wz_problem *problem)
{
    size_t count = json_array_size(bindings);

    if (count > WZ_SCRIPT_BINDINGS_MAX) {
        (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "a script may have at most %d bindings", WZ_SCRIPT_BINDINGS_MAX);
        return refuse(problem, (struct place){.name = name}, "join patterns with '*' and '#'");
    }
    for (size_t i = 0; i < count; i++) {
        struct place at = {.name = name, .binding = i + 1};
        int r = check_binding(json_array_get(bindings, i), at, problem);

        if (r < 0)
            return r;
    }
    return WZ_OK;
}

static int check_workers(const json_t *workers, const char *name, struct wz_problem *problem)
{
    if (!workers ||
        (json_integer_value(workers) >= 1 && json_integer_value(workers) <= WZ_SCRIPT_WORKERS_MAX))
        return WZ_OK;
    (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                         "\"workers\" must be a number from 1 to %d", WZ_SCRIPT_WORKERS_MAX);
    return refuse(problem, (struct place){.name = name},
                  "one worker keeps one state for all topics; more share the topics");
}

// "now" is what is meant when nothing is said; the rest is as people say it elsewhere.
static int read_start(const json_t *start, int64_t now_ms, struct wz_moment *ret_start)
{
    struct wz_slice text = start ? string_slice(start) : WZ_SLICE_LIT("now");

    if (!wz_slice_eq(text, WZ_SLICE_LIT("now")))
        return wz_moment_parse(text, now_ms, ret_start, NULL);
    *ret_start = (struct wz_moment){.kind = WZ_MOMENT_END};
    return WZ_OK;
}

static int check_start(const json_t *start, const char *name, struct wz_problem *problem)
{
    struct wz_moment moment;

    if (read_start(start, 0, &moment) == WZ_OK)
        return WZ_OK;
    (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                         "\"start\" does not say where the script begins: \"%.64s\"",
                         json_string_value(start));
    return refuse(
        problem, (struct place){.name = name},
        "give \"now\", \"first\", \"@OFFSET\", a time before now as \"-1h\", or a time as "
        "\"2026-01-02T03:04:05Z\"");
}

// What clients of HTTP take for a part of the path would never arrive.
static bool is_dots(struct wz_slice name)
{
    return wz_slice_eq(name, wz_slice_str(".")) || wz_slice_eq(name, wz_slice_str(".."));
}

static bool name_ok(struct wz_slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/')
            return false;
    return name.len > 0 && name.len <= WZ_SCRIPT_NAME_MAX && !is_dots(name) && wz_utf8_valid(name);
}

int wz_script_document_check(const char *name, json_t *body, struct wz_problem *ret_problem)
{
    struct place at = {.name = name};
    int r;

    if (!name_ok(wz_slice_str(name))) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_DOCUMENT_NAME,
                             "a script's name must be of 1 to %d bytes, without '/' and control "
                             "characters, and not '.' or '..'",
                             WZ_SCRIPT_NAME_MAX);
        return refuse(ret_problem, at, "give it another name");
    }
    if (!json_is_object(body)) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "a script's document must be an object");
        return refuse(ret_problem, at, "write {\"code\": \"...\", \"bindings\": [...]}");
    }
    r = check_members(body, document_members, at, ret_problem);
    if (r < 0)
        return r;
    if (!json_object_get(body, "code")) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                             "the script has no code");
        return refuse(ret_problem, at, "give the Python text as \"code\"");
    }
    r = check_workers(json_object_get(body, "workers"), name, ret_problem);
    if (r < 0)
        return r;
    r = check_start(json_object_get(body, "start"), name, ret_problem);
    if (r < 0)
        return r;
    r = wz_grants_check(json_object_get(body, "limits"), json_object_get(body, "grants"),
                        ret_problem);
    if (r < 0) {
        wz_problem_where(ret_problem, "scripts/%s", name);
        return r;
    }
    return check_bindings(json_object_get(body, "bindings"), name, ret_problem);
}

void wz_script_document_init(struct wz_script_document *ret_document, json_t *body)
{
    json_t *bindings = json_object_get(body, "bindings");
    json_t *config = json_object_get(body, "config");
    json_t *workers = json_object_get(body, "workers");
    size_t count = json_array_size(bindings);

    *ret_document = (struct wz_script_document){
        .body = json_incref(body),
        .code = string_slice(json_object_get(body, "code")),
        .active = !json_is_false(json_object_get(body, "active")),
        .durable = !json_is_false(json_object_get(body, "durable")),
        .workers = workers ? (int)json_integer_value(workers) : 1,
        .bindings = wz_zalloc(count + 1, sizeof(struct wz_script_binding)),
        .binding_count = count,
    };
    for (size_t i = 0; i < count; i++) {
        json_t *binding = json_array_get(bindings, i);

        ret_document->bindings[i].stream = find_stream(binding);
        ret_document->bindings[i].pattern = string_slice(json_object_get(binding, "pattern"));
    }
    WZ_ASSERT(read_start(json_object_get(body, "start"), wz_clock_wall_ms(),
                         &ret_document->start) == WZ_OK);
    wz_grants_init(&ret_document->grants, json_object_get(body, "limits"),
                   json_object_get(body, "grants"));
    if (config) {
        char *text = json_dumps(config, JSON_COMPACT);

        WZ_ASSERT(text);
        wz_buf_add_str(&ret_document->config, text);
        free(text);
    }
}

void wz_script_document_release(struct wz_script_document *document)
{
    json_decref(document->body);
    wz_buf_release(&document->config);
    wz_grants_release(&document->grants);
    wz_free(document->bindings);
    *document = (struct wz_script_document){0};
}

const char *wz_script_stream_word(enum wz_script_stream stream) { return stream_words[stream]; }
