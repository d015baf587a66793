// SPDX-License-Identifier: Apache-2.0
// Owns the meeting of mapping file and API, and of all who have a say in what becomes of a message.
#include "cli/mapping_text.h"

#include "engine/pass_explain.h"
#include "router/mapfile.h"
#include "router/mapping_explain.h"
#include "router/ready_templates.h"
#include "router/suggestions.h"
#include "topic/pattern.h"

int wz_mapping_text_import(void *arg, struct wz_slice text,
                           const struct wz_api_documents *documents,
                           struct wz_api_changes *ret_changes, struct wz_problem *ret_problem)
{
    struct wz_mapfile_changes changes;
    struct wz_mapfile *file;
    int r = wz_mapfile_parse(text, &file, ret_problem);

    (void)arg; // text and documents are all there is to it
    if (r < 0)
        return r;
    wz_mapfile_changes(file, documents->lists, &changes);
    wz_mapfile_free(file);
    *ret_changes = (struct wz_api_changes){.items = changes.items, .count = changes.count};
    return WZ_OK;
}

int wz_mapping_text_export(void *arg, const struct wz_api_documents *documents,
                           struct wz_buf *ret_text, struct wz_problem *ret_problem)
{
    (void)arg; // likewise
    return wz_mapfile_export(documents->lists, ret_text, ret_problem);
}

json_t *wz_mapping_text_ready(enum wz_collection collection, size_t index, const char **ret_name)
{
    if (collection != WZ_COLLECTION_TEMPLATES || index >= WZ_READY_TEMPLATE_COUNT)
        return NULL;
    *ret_name = wz_ready_template_name((int)index);
    return wz_ready_template(*ret_name);
}

void wz_mapping_text_suggest(void *arg, const struct wz_api_documents *documents, json_t *items)
{
    (void)arg; // likewise
    wz_suggest(documents->lists, items);
}

int wz_mapping_text_accept(void *arg, const struct wz_api_documents *documents, const json_t *items,
                           const json_t *wish, json_t **ret_devices, struct wz_problem *ret_problem)
{
    (void)arg; // likewise
    return wz_suggestions_accept(documents->lists, items, wish, ret_devices, ret_problem);
}

// Whether a script has a binding on STREAM whose pattern matches.
static bool is_bound(json_t *script, const char *stream, struct wz_slice topic)
{
    json_t *binding;
    size_t i;

    json_array_foreach(json_object_get(script, "bindings"), i, binding)
    {
        const char *of = json_string_value(json_object_get(binding, "stream"));
        const char *pattern = json_string_value(json_object_get(binding, "pattern"));

        if (pattern != NULL && strcmp(of != NULL ? of : "raw", stream) == 0 &&
            wz_pattern_match(&wz_topic_amqp, wz_slice_str(pattern), topic))
            return true;
    }
    return false;
}

// Names the scripts that would see a record.
static void add_scripts(json_t *steps, const struct wz_document_list *scripts, const char *stream,
                        struct wz_slice topic)
{
    json_t *names = json_array();

    for (size_t i = 0; i < scripts->count; i++)
        if (is_bound(scripts->items[i].body, stream, topic))
            (void)json_array_append_new(names, json_string(scripts->items[i].name));
    (void)json_object_set_new(steps, "scripts", names);
}

// Says which rules of the passthrough a record meets, and who sees it on processed-stream.
static void add_passthrough(json_t *steps, const struct wz_api_documents *documents,
                            struct wz_slice topic)
{
    json_t *rules = wz_pass_explain(&documents->lists[WZ_COLLECTION_PASSTHROUGH], topic);
    json_t *rule;
    size_t i;

    json_array_foreach(rules, i, rule)
    {
        const char *passed = json_string_value(json_object_get(rule, "topic"));

        if (passed != NULL)
            add_scripts(rule, &documents->lists[WZ_COLLECTION_SCRIPTS], "processed",
                        wz_slice_str(passed));
    }
    (void)json_object_set_new(steps, "passthrough", rules); // our own name
}

int wz_mapping_text_explain(void *arg, const struct wz_api_documents *documents,
                            struct wz_slice topic, struct wz_slice body, json_t **ret_steps,
                            struct wz_problem *ret_problem)
{
    const struct wz_document_list *scripts = &documents->lists[WZ_COLLECTION_SCRIPTS];
    struct wz_slice end = WZ_SLICE_LIT("." WZ_MAPPING_COMMAND_WORD);
    struct wz_mapping *mapping;
    json_t *steps = json_object();
    json_t *in;
    const char *logical;
    int r = wz_mapping_compile(documents->lists, &mapping, ret_problem);

    (void)arg; // likewise
    if (r < 0) {
        json_decref(steps);
        return r;
    }
    in = wz_mapping_explain_in(mapping, &documents->lists[WZ_COLLECTION_IGNORES], topic, body);
    logical = json_string_value(json_object_get(in, "topic"));
    if (logical != NULL &&
        strcmp(json_string_value(json_object_get(in, "outcome")), "mapped") == 0) {
        add_scripts(in, scripts, "raw", wz_slice_str(logical));
        add_passthrough(in, documents, wz_slice_str(logical));
    }
    (void)json_object_set_new(steps, "in", in);
    if (topic.len > end.len &&
        wz_slice_eq(wz_slice_sub(topic, topic.len - end.len, end.len), end)) {
        json_t *out = wz_mapping_explain_out(mapping, topic, body);

        add_scripts(out, scripts, "processed", topic);
        (void)json_object_set_new(steps, "out", out);
    }
    wz_mapping_unref(mapping);
    *ret_steps = steps;
    return WZ_OK;
}
