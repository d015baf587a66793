// SPDX-License-Identifier: Apache-2.0
// Whatever mapping is accepted must be one to one: two physical topics never have one logical
// topic, and a command to a topic goes to the device that its readings come from, as a command.
//
// An input that begins with '=' is lines: "t NAME BODY", "d ID BODY", "s SUBTOPIC BODY" are
// documents (BODY is JSON, or a text: the route, the channel), all others are topics. In any other
// input each byte chooses one of a few pieces, so that most mappings are accepted and everything
// meets.
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/documents_test.h"
#include "router/mapping.h"
#include "topic/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define TOPICS_MAX 256

// A topic that was translated: both sides, one behind the other.
struct seen {
    struct wz_buf text;
    size_t physical_len;
};

struct trial {
    struct wz_document_list lists[WZ_COLLECTION_COUNT];
    struct wz_mapping *mapping;
    struct seen seen[TOPICS_MAX];
    size_t count;
    struct wz_map by_topic;
};

static void put(struct trial *trial, enum wz_collection collection, const char *name, json_t *body)
{
    struct wz_store_change change = {.collection = collection, .name = name, .body = body};

    if (name[0] != '\0' && strlen(name) <= WZ_DOCUMENT_NAME_MAX && json_is_object(body))
        apply_changes(trial->lists, &change, 1);
    json_decref(body);
}

static void check_command(const struct trial *trial, const struct wz_translation *translation)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    struct wz_translation again;
    struct wz_command_topic command;

    wz_buf_add(&topic, translation->topic, translation->topic_len);
    wz_buf_add_str(&topic, ".output");
    if (wz_mapping_out(trial->mapping, wz_buf_slice(&topic), &command) < 0)
        return; // too long, or its shape has no place for it
    WZ_ASSERT(command.device == translation->device);
    WZ_ASSERT(command.topic_len <= sizeof(command.topic) && command.topic[0] != '$');
    WZ_ASSERT(wz_mapping_in(trial->mapping, wz_slice(command.topic, command.topic_len), &again) ==
              WZ_OUTCOME_COMMAND);
}

static void check_topic(struct trial *trial, struct wz_slice physical)
{
    struct wz_translation translation;
    struct wz_slice topic;
    struct seen *seen;

    if (trial->count == TOPICS_MAX || !wz_utf8_valid(physical) || // the door takes no others
        wz_mapping_in(trial->mapping, physical, &translation) != WZ_OUTCOME_MAPPED)
        return;
    WZ_ASSERT(translation.topic_len <= WZ_TOPIC_MAX &&
              translation.route_len <= translation.topic_len);
    topic = wz_slice(translation.topic, translation.topic_len);
    WZ_ASSERT(wz_utf8_valid(topic));
    check_command(trial, &translation);
    seen = wz_map_get(&trial->by_topic, topic);
    if (seen != NULL) {
        WZ_ASSERT(
            wz_slice_eq(wz_slice_sub(wz_buf_slice(&seen->text), 0, seen->physical_len), physical));
        return;
    }
    seen = &trial->seen[trial->count++];
    seen->physical_len = physical.len;
    wz_buf_add_slice(&seen->text, physical);
    wz_buf_add_slice(&seen->text, topic);
    (void)wz_map_put(&trial->by_topic,
                     wz_slice_sub(wz_buf_slice(&seen->text), physical.len, topic.len), seen);
}

// Texts.

static void add_line(struct trial *trial, struct wz_slice line)
{
    static const struct {
        char letter;
        enum wz_collection collection;
        const char *member;
    } kinds[] = {{'t', WZ_COLLECTION_TEMPLATES, "description"},
                 {'d', WZ_COLLECTION_DEVICES, "route"},
                 {'s', WZ_COLLECTION_SUBTOPICS, "channel"}};
    struct wz_words words = wz_words(line, ' ');
    struct wz_slice letter;
    struct wz_slice name;
    char *text;

    if (!wz_words_next(&words, &letter) || letter.len != 1 || !wz_words_next(&words, &name) ||
        letter.len + name.len + 2 >= line.len)
        return;
    text = wz_strndup((const char *)name.ptr, name.len);
    line = wz_slice_sub(line, name.len + 3, line.len - name.len - 3);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        json_t *body;

        if (kinds[i].letter != (char)letter.ptr[0])
            continue;
        body = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
        if (body == NULL)
            body = json_pack("{s:s%}", kinds[i].member, (const char *)line.ptr, line.len);
        put(trial, kinds[i].collection, text, body);
    }
    wz_free(text);
}

static void run_lines(struct trial *trial, struct wz_slice text)
{
    struct wz_words lines = wz_words(text, '\n');
    struct wz_slice line;

    while (wz_words_next(&lines, &line))
        add_line(trial, line);
    if (wz_mapping_compile(trial->lists, &trial->mapping, NULL) < 0)
        return;
    lines = wz_words(text, '\n');
    while (wz_words_next(&lines, &line))
        check_topic(trial, line);
}

// Choices.

static const char *choose(struct wz_slice *bytes, const char *const *from, size_t count)
{
    uint8_t byte = bytes->len > 0 ? bytes->ptr[0] : 0;

    if (bytes->len > 0)
        *bytes = wz_slice_sub(*bytes, 1, bytes->len - 1);
    return from[byte % count];
}

#define CHOOSE(bytes, list) choose(bytes, list, sizeof(list) / sizeof((list)[0]))

static const char *const shapes[] = {"{device}",
                                     "{device}/{subtopic}",
                                     "a/{device}/{subtopic}",
                                     "{device}/{subtopic}/{input}",
                                     "{device}/b/{subtopic}",
                                     "{device}/{input}",
                                     "b/{device}/{subtopic}/a",
                                     "b/{device}/a/{subtopic}/{input}/a"};
static const char *const names[] = {"a", "b", "a.b", "b.a", "c", "b.b"};

static json_t *choose_template(struct wz_slice *bytes)
{
    static const char *const commands[] = {"{device}/{subtopic}/{output}", "c/{device}/{subtopic}",
                                           "{device}/c/{subtopic}", "c/{device}", "{device}/a/c"};
    static const char *const subtopics[] = {"a", "b", "a/b", "c", "a.b"};
    static const char *const pins[] = {NULL, "x", "y", NULL};
    static const char *const prefixes[] = {NULL, "a", "b", "c", "a.b"};
    json_t *readings = json_object();
    json_t *channels = json_object();

    for (const char *const *name = (const char *const[]){"x", "y", "z", NULL}; *name != NULL;
         name++)
        (void)json_object_set_new(readings, *name,
                                  json_pack("{s:s, s:s*}", "shape", CHOOSE(bytes, shapes), "prefix",
                                            CHOOSE(bytes, prefixes))); // fails only without memory
    if (CHOOSE(bytes, pins) == NULL)
        (void)json_object_del(readings, "z");
    for (int i = 0; i < 2; i++) {
        const char *subtopic = CHOOSE(bytes, subtopics);

        (void)json_object_set_new(channels, subtopic,
                                  json_pack("{s:s, s:s*}", "channel", CHOOSE(bytes, names),
                                            "reading", CHOOSE(bytes, pins)));
    }
    return json_pack("{s:o, s:s, s:o}", "reading", readings, "command", CHOOSE(bytes, commands),
                     "channels", channels);
}

static void run_choices(struct trial *trial, struct wz_slice bytes)
{
    static const char *const ids[] = {"a",   "b",       "a/b",     "a/{x}",   "{x}",
                                      "a/a", "{x}/{y}", "b/{x}/a", "{y}/{x}", "b/b"};
    static const char *const routes[] = {"a",         "b",     "a.b", "a.{x}",   "{x}", "{y}.{x}",
                                         "{x}.b.{y}", "b.{x}", "a.a", "{x}.{y}", "c"};
    static const char *const templates[] = {NULL, "t", "u", "plain", "zigbee2mqtt", "t"};
    static const char *const levels[] = {"/a",   "/b",   "/c",      "/status", "/command", "/",
                                         "/a.b", "/set", "/output", "$",       NULL,       NULL};

    put(trial, WZ_COLLECTION_TEMPLATES, "t", choose_template(&bytes));
    put(trial, WZ_COLLECTION_TEMPLATES, "u", choose_template(&bytes));
    put(trial, WZ_COLLECTION_SUBTOPICS, "a", json_pack("{s:s}", "channel", CHOOSE(&bytes, names)));
    for (int i = 0; i < 4; i++) {
        const char *id = CHOOSE(&bytes, ids);

        put(trial, WZ_COLLECTION_DEVICES, id,
            json_pack("{s:s, s:s*}", "route", CHOOSE(&bytes, routes), "template",
                      CHOOSE(&bytes, templates)));
    }
    if (wz_mapping_compile(trial->lists, &trial->mapping, NULL) < 0)
        return;
    while (bytes.len > 0) {
        WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
        const char *level;

        while (bytes.len > 0 && (level = CHOOSE(&bytes, levels)) != NULL)
            wz_buf_add_str(&topic, level);
        if (topic.len > 0)
            check_topic(trial, wz_slice_sub(wz_buf_slice(&topic), topic.ptr[0] == '/',
                                            topic.len - (topic.ptr[0] == '/')));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct trial *trial = wz_zalloc(1, sizeof(*trial));

    if (len > 0 && bytes[0] == '=')
        run_lines(trial, wz_slice(bytes + 1, len - 1));
    else
        run_choices(trial, wz_slice(bytes, len));
    wz_map_release(&trial->by_topic);
    for (size_t i = 0; i < trial->count; i++)
        wz_buf_release(&trial->seen[i].text);
    wz_mapping_unref(trial->mapping);
    release_documents(trial->lists);
    wz_free(trial);
    return 0;
}
