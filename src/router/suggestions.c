// SPDX-License-Identifier: Apache-2.0
// Owns the way from guesses to documents: each topic is guessed at, devices get routes that are
// free, and all of them are compiled together with what is there, until they are accepted.
#include "router/suggestions.h"

#include "base/codes.h"
#include "base/mem.h"
#include "router/device_table.h"
#include "router/mapping.h"
#include "router/topic_guess.h"

// So often all is compiled together, to find out which suggestions do not go with the others; with
// what is left then nobody is bothered.
#define TRIES 24

// A longer id is not suggested: nobody would take it.
#define ID_BYTES 200

// Names that are tried for a route that is taken.
#define ROUTES 9

// What is known while suggestions are made.
struct work {
    const struct wz_document_list *lists;
    json_t *items;
    struct wz_guess_crowd crowd;
    struct wz_slice input;
    json_t *devices;  // suggested: documents by id
    json_t *ids;      // of devices that are there
    json_t *routes;   // that are taken
    json_t *channels; // of all devices
    json_t *told;     // by Home Assistant's discovery: names by the topic of the state
};

static struct wz_slice text_of(const json_t *value)
{
    return json_is_string(value) ? wz_slice(json_string_value(value), json_string_length(value))
                                 : (struct wz_slice){0};
}

static bool cut(const json_t *item, struct wz_guess_topic *ret_topic)
{
    struct wz_slice sample = text_of(json_object_get(item, "sample"));

    if (json_object_get(item, "sample_encoding") != NULL)
        sample.len = 0;
    return wz_guess_cut(text_of(json_object_get(item, "topic")), sample, ret_topic);
}

// Discovery.

// The member of a configuration by its name or its abbreviation.
static json_t *get(const json_t *config, const char *name, const char *abbreviation)
{
    json_t *value = json_object_get(config, name);

    return value != NULL ? value : json_object_get(config, abbreviation);
}

// A topic in which "~" at an end stands for the base.
static void add_topic(struct wz_buf *buf, const json_t *config, struct wz_slice topic)
{
    struct wz_slice base = text_of(json_object_get(config, "~"));
    bool front = base.len > 0 && topic.len > 0 && topic.ptr[0] == '~';
    bool back = base.len > 0 && topic.len > 1 && topic.ptr[topic.len - 1] == '~';

    if (front)
        wz_buf_add_slice(buf, base);
    wz_buf_add_slice(buf, wz_slice_sub(topic, front, topic.len - front - back));
    if (back)
        wz_buf_add_slice(buf, base);
}

static void read_config(struct work *work, struct wz_slice text)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    json_t *config = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    json_t *state = get(config, "state_topic", "stat_t");
    json_t *name = json_object_get(get(config, "device", "dev"), "name");

    if (!json_is_string(name))
        name = json_object_get(config, "name");
    if (json_is_string(state) && json_is_string(name)) {
        add_topic(&topic, config, text_of(state));
        (void)json_object_setn(work->told, (const char *)topic.ptr, topic.len,
                               name); // both are UTF-8: jansson has read them
    }
    json_decref(config);
}

static void read_discovery(struct work *work)
{
    struct wz_guess_topic topic;
    json_t *item;
    size_t i;

    json_array_foreach(work->items, i, item)
    {
        if (cut(item, &topic) && topic.count > 3 &&
            wz_slice_eq(topic.levels[0], WZ_SLICE_LIT("homeassistant")) &&
            wz_slice_eq(topic.levels[topic.count - 1], WZ_SLICE_LIT("config")))
            read_config(work, topic.sample);
    }
}

// Routes.

// Adds a level, or a name, as words: what cannot stand in one becomes '_'.
static void add_words(struct wz_buf *buf, struct wz_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        wz_buf_add_byte(buf, c <= ' ' || c == 127 || strchr(".*#+{}\"", c) != NULL ? '_'
                             : c == '/'                                            ? '.'
                                                                                   : c);
    }
}

// Whether a route is another's and one of its channels.
static bool is_channel(const struct work *work, const struct wz_buf *route)
{
    for (size_t i = 1; i + 1 < route->len; i++) {
        const char *rest = (const char *)route->ptr + i + 1;

        if (route->ptr[i] == '.' &&
            json_object_getn(work->routes, (const char *)route->ptr, i) != NULL &&
            json_object_getn(work->channels, rest, route->len - i - 1) != NULL)
            return true;
    }
    return false;
}

static bool is_free(const struct work *work, struct wz_buf *route)
{
    int code = 0;

    return route->len <= WZ_TOPIC_MAX && wz_rule_words(wz_buf_slice(route), &code) == NULL &&
           json_object_getn(work->routes, (const char *)route->ptr, route->len) == NULL &&
           !is_channel(work, route);
}

// Makes the route of a device. False when there is none.
static bool make_route(struct work *work, struct wz_slice name, struct wz_buf *route)
{
    size_t len;

    add_words(route, name);
    len = route->len;
    for (int i = 2; !is_free(work, route); i++) {
        if (i > ROUTES)
            return false;
        route->len = len;
        wz_buf_addf(route, "_%d", i);
    }
    return true;
}

// The name that a device's route is made of: what the discovery calls it, or its id without the
// level in front that is the same for all of a maker.
static struct wz_slice name_of(const struct work *work, const struct wz_guess_topic *topic,
                               const struct wz_guess *guess)
{
    struct wz_slice id = wz_guess_id(topic, guess);
    struct wz_slice told =
        text_of(json_object_getn(work->told, (const char *)topic->text.ptr, topic->text.len));
    bool maker = guess->from == 0 && guess->to > 1 &&
                 (wz_slice_eq(topic->levels[0], WZ_SLICE_LIT("zigbee2mqtt")) ||
                  wz_slice_eq(topic->levels[0], WZ_SLICE_LIT("shellies")));

    if (told.len > 0)
        return told;
    if (maker)
        return wz_slice_sub(id, topic->levels[0].len + 1, id.len - topic->levels[0].len - 1);
    return id;
}

// Suggestions.

static void set_suggestion(json_t *item, json_t *suggestion)
{
    if (suggestion != NULL)
        (void)json_object_set_new(item, "suggestion", suggestion); // our own name
}

static json_t *string_of(struct wz_slice s) { return json_stringn((const char *)s.ptr, s.len); }

// The document of a suggested device: a new one, or that of another topic of the same.
static json_t *use_device(struct work *work, const struct wz_guess_topic *topic,
                          const struct wz_guess *guess)
{
    WZ_AUTO(wz_buf_release) struct wz_buf route = {0};
    struct wz_slice id = wz_guess_id(topic, guess);
    json_t *document = json_object_getn(work->devices, (const char *)id.ptr, id.len);

    if (document != NULL)
        return document;
    if (id.len > ID_BYTES || json_object_getn(work->ids, (const char *)id.ptr, id.len) != NULL ||
        wz_device_captures(id, (struct wz_slice){0}) ||
        !make_route(work, name_of(work, topic, guess), &route))
        return NULL;
    document = json_pack("{s:o, s:s*}", "route", string_of(wz_buf_slice(&route)), "template",
                         guess->template);
    if (document == NULL) // cannot be: the topic is UTF-8
        return NULL;
    (void)json_object_setn_new(work->devices, (const char *)id.ptr, id.len, document);
    (void)json_object_setn_new(work->routes, (const char *)route.ptr, route.len, json_true());
    return document; // both were set: their names are UTF-8
}

static void suggest_one(struct work *work, json_t *item)
{
    const char *why = json_string_value(json_object_get(item, "why"));
    struct wz_guess_topic topic;
    struct wz_guess guess;
    json_t *document;
    bool new;

    if (!cut(item, &topic))
        return;
    new = why != NULL &&strcmp(why, wz_outcome_word(WZ_OUTCOME_UNKNOWN_DEVICE)) == 0;
    guess = wz_guess_known(&topic);
    if (guess.because == NULL && new)
        guess = wz_guess_common(&work->crowd, &topic, work->input);
    if (guess.because == NULL)
        return;
    if (guess.to == 0) {
        set_suggestion(item, json_pack("{s:o, s:s}", "ignore", string_of(guess.ignore), "because",
                                       guess.because));
        return;
    }
    document = use_device(work, &topic, &guess);
    if (document != NULL)
        set_suggestion(item, json_pack("{s:o, s:O, s:s}", "device",
                                       string_of(wz_guess_id(&topic, &guess)), "document", document,
                                       "because", guess.because));
}

// Checking.

// Compiles what is there with what is suggested. Documents that are suggested are borrowed.
static int compile(const struct work *work, struct wz_mapping **ret_mapping,
                   struct wz_problem *ret_problem)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT];
    struct wz_document_list *devices = &lists[WZ_COLLECTION_DEVICES];
    const struct wz_document_list *before = &work->lists[WZ_COLLECTION_DEVICES];
    const char *id;
    json_t *document;
    int r;

    memcpy(lists, work->lists, sizeof(lists));
    devices->items =
        wz_zalloc(before->count + json_object_size(work->devices) + 1, sizeof(devices->items[0]));
    if (before->count > 0)
        memcpy(devices->items, before->items, before->count * sizeof(devices->items[0]));
    json_object_foreach(work->devices, id, document)
    {
        devices->items[devices->count++] =
            (struct wz_document){.name = (char *)(uintptr_t)id, .revision = 1, .body = document};
    }
    r = wz_mapping_compile(lists, ret_mapping, ret_problem);
    wz_free(devices->items);
    return r;
}

// Adds the suggested devices number FROM up to TO to those that were accepted, if they go with
// them; else each half by itself. MAPPING is that of all that are accepted.
static void accept_range(struct work *work, json_t *const suggested[2], size_t from, size_t to,
                         struct wz_mapping **mapping, int *tries)
{
    json_t *ids = suggested[0];
    struct wz_mapping *made = NULL;

    if (from == to || (*tries)-- <= 0)
        return;
    for (size_t i = from; i < to; i++) {
        const char *id = json_string_value(json_array_get(ids, i));

        (void)json_object_set(work->devices, id, json_object_get(suggested[1], id)); // it is UTF-8
    }
    if (compile(work, &made, NULL) == WZ_OK) {
        wz_mapping_unref(*mapping);
        *mapping = made;
        return;
    }
    for (size_t i = from; i < to; i++)
        (void)json_object_del(work->devices, json_string_value(json_array_get(ids, i)));
    if (to - from == 1)
        return;
    accept_range(work, suggested, from, from + (to - from) / 2, mapping, tries);
    accept_range(work, suggested, from + (to - from) / 2, to, mapping, tries);
}

// Leaves those of the suggested devices that can be saved together with what is there.
static void check(struct work *work, struct wz_mapping **ret_mapping)
{
    json_t *all = work->devices;
    json_t *ids = json_array();
    int tries = TRIES;
    const char *id;
    json_t *document;

    json_object_foreach(all, id, document)
    {
        (void)json_array_append_new(ids, json_string(id)); // it is UTF-8
    }
    work->devices = json_object();
    accept_range(work, (json_t *const[2]){ids, all}, 0, json_array_size(ids), ret_mapping, &tries);
    json_decref(all);
    json_decref(ids);
}

// Tells the topic that a message would have; a suggestion that does not give it one is taken back.
static void tell_topic(const struct work *work, const struct wz_mapping *mapping, json_t *item)
{
    json_t *suggestion = json_object_get(item, "suggestion");
    json_t *id = json_object_get(suggestion, "device");
    struct wz_translation translation;

    if (id == NULL)
        return;
    if (mapping != NULL && json_object_get(work->devices, json_string_value(id)) != NULL &&
        wz_mapping_in(mapping, text_of(json_object_get(item, "topic")), &translation) ==
            WZ_OUTCOME_MAPPED)
        (void)json_object_set_new(suggestion, "topic",
                                  json_stringn(translation.topic, translation.topic_len));
    else
        (void)json_object_del(item, "suggestion"); // it is there
}

static struct wz_slice input_word(const struct wz_document_list *types)
{
    const struct wz_document *input = wz_document_list_find(types, "input");

    return input != NULL ? text_of(json_object_get(input->body, "word"))
                         : WZ_SLICE_LIT(WZ_MAPPING_INPUT_PRESET);
}

// Notes the text that is MEMBER of each document as a name.
static void note_texts(const struct wz_document_list *list, const char *member, json_t *names)
{
    for (size_t i = 0; i < list->count; i++) {
        struct wz_slice text = text_of(json_object_get(list->items[i].body, member));

        if (text.len > 0)
            (void)json_object_setn_new(names, (const char *)text.ptr, text.len,
                                       json_true()); // it is UTF-8
    }
}

static void look_at_documents(struct work *work)
{
    const struct wz_document_list *devices = &work->lists[WZ_COLLECTION_DEVICES];

    work->input = input_word(&work->lists[WZ_COLLECTION_TYPES]);
    note_texts(devices, "route", work->routes);
    note_texts(&work->lists[WZ_COLLECTION_SUBTOPICS], "channel", work->channels);
    for (size_t i = 0; i < devices->count; i++)
        (void)json_object_set_new(work->ids, devices->items[i].name, json_true()); // likewise
}

void wz_suggest(const struct wz_document_list lists[WZ_COLLECTION_COUNT], json_t *items)
{
    struct work work = {.lists = lists,
                        .items = items,
                        .devices = json_object(),
                        .ids = json_object(),
                        .routes = json_object(),
                        .channels = json_object(),
                        .told = json_object()};
    struct wz_mapping *mapping = NULL;
    struct wz_guess_topic topic;
    json_t *item;
    size_t i;

    look_at_documents(&work);
    read_discovery(&work);
    json_array_foreach(items, i, item)
    {
        if (cut(item, &topic))
            wz_guess_crowd_add(&work.crowd, &topic);
    }
    wz_guess_crowd_sort(&work.crowd);
    json_array_foreach(items, i, item) { suggest_one(&work, item); }
    if (json_object_size(work.devices) > 0)
        check(&work, &mapping);
    json_array_foreach(items, i, item) { tell_topic(&work, mapping, item); }
    wz_mapping_unref(mapping);
    wz_guess_crowd_release(&work.crowd);
    json_decref(work.devices);
    json_decref(work.ids);
    json_decref(work.routes);
    json_decref(work.channels);
    json_decref(work.told);
}

// Accepting.

static json_t *find(const json_t *items, struct wz_slice topic)
{
    json_t *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        if (wz_slice_eq(text_of(json_object_get(item, "topic")), topic))
            return item;
    }
    return NULL;
}

static int refuse_topic(struct wz_slice topic, struct wz_problem *ret_problem)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_NOT_FOUND, WZ_CODE_INBOX_TOPIC,
                         "The inbox has no topic \"%.*s\".", topic.len < 128 ? (int)topic.len : 128,
                         topic.len > 0 ? (const char *)topic.ptr : "");
    wz_problem_fix(ret_problem, "wyze map inbox ls lists them.");
    return WZ_ERR_NOT_FOUND;
}

static int refuse_suggestion(const json_t *suggestion, struct wz_problem *ret_problem)
{
    const char *ignore = json_string_value(json_object_get(suggestion, "ignore"));

    if (ignore != NULL)
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_INBOX_SUGGESTION,
                             "The suggestion for the topic is to ignore it.");
    else
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_INBOX_SUGGESTION,
                             "There is no suggestion for the topic.");
    if (ignore != NULL)
        wz_problem_fix(ret_problem,
                       "wyze map inbox ignore \"%.128s\"; or give the device and its route.",
                       ignore);
    else
        wz_problem_fix(ret_problem, "Give the device (--device) and its route (--route); wyze map "
                                    "test says what the mapping lacks.");
    return WZ_ERR_INVALID;
}

// An id without its last level.
static struct wz_slice front_of(struct wz_slice id)
{
    while (id.len > 0 && id.ptr[id.len - 1] != '/')
        id.len--;
    return id;
}

// Whether two suggestions are of devices that are alike: one template, and ids that differ in their
// last level.
static bool are_alike(const json_t *a, const json_t *b)
{
    const json_t *template_a = json_object_get(json_object_get(a, "document"), "template");
    const json_t *template_b = json_object_get(json_object_get(b, "document"), "template");

    return json_object_get(a, "device") != NULL && json_object_get(b, "device") != NULL &&
           wz_slice_eq(text_of(template_a), text_of(template_b)) &&
           wz_slice_eq(front_of(text_of(json_object_get(a, "device"))),
                       front_of(text_of(json_object_get(b, "device"))));
}

static void add_alike(const json_t *items, const json_t *suggestion, json_t *devices)
{
    json_t *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        json_t *other = json_object_get(item, "suggestion");
        const char *id = json_string_value(json_object_get(other, "device"));

        if (are_alike(suggestion, other) && json_object_get(devices, id) == NULL)
            (void)json_object_set(devices, id, json_object_get(other, "document")); // it is UTF-8
    }
}

// The document as the person wants it, made of the one that is there or suggested; the caller owns
// it.
static json_t *make_document(const json_t *base, const json_t *wish)
{
    json_t *document = json_deep_copy(base);
    json_t *route = json_object_get(wish, "route");
    json_t *template = json_object_get(wish, "template");

    if (document == NULL)
        document = json_object();
    if (route != NULL)
        (void)json_object_set(document, "route", route); // our own names
    if (template != NULL && text_of(template).len == 0)
        (void)json_object_del(document, "template"); // if it was there
    else if (template != NULL)
        (void)json_object_set(document, "template", template); // likewise
    return document;
}

// Compiles LISTS with DEVICES in the place of those of the same ids.
static int compile_with(const struct wz_document_list lists[WZ_COLLECTION_COUNT], json_t *devices,
                        struct wz_mapping **ret_mapping, struct wz_problem *ret_problem)
{
    const struct wz_document_list *before = &lists[WZ_COLLECTION_DEVICES];
    struct wz_document_list others[WZ_COLLECTION_COUNT];
    struct wz_document_list *kept = &others[WZ_COLLECTION_DEVICES];
    struct work work = {.lists = others, .devices = devices};
    int r;

    memcpy(others, lists, sizeof(others));
    *kept = (struct wz_document_list){
        .items = wz_zalloc(before->count + 1, sizeof(before->items[0]))}; // bodies are borrowed
    for (size_t i = 0; i < before->count; i++)
        if (json_object_get(devices, before->items[i].name) == NULL)
            kept->items[kept->count++] = before->items[i];
    r = compile(&work, ret_mapping, ret_problem);
    wz_free(kept->items);
    return r;
}

// Whether TOPIC is mapped once DEVICES, which the person wants, are saved.
static int check_wished(const struct wz_document_list lists[WZ_COLLECTION_COUNT], json_t *devices,
                        struct wz_slice topic, const char *id, struct wz_problem *ret_problem)
{
    struct wz_mapping *mapping = NULL;
    struct wz_translation translation;
    enum wz_outcome outcome;
    int r = compile_with(lists, devices, &mapping, ret_problem);

    if (r < 0)
        return r;
    outcome = wz_mapping_in(mapping, topic, &translation);
    wz_mapping_unref(mapping);
    if (outcome == WZ_OUTCOME_MAPPED)
        return WZ_OK;
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_INBOX_SUGGESTION,
                         "The device \"%.128s\" would not map the topic (%s).", id,
                         wz_outcome_word(outcome));
    wz_problem_fix(ret_problem, "Give another --device or --template: a device's id is the front "
                                "of its topics, and its template has their form.");
    return WZ_ERR_INVALID;
}

int wz_suggestions_accept(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                          const json_t *items, const json_t *wish, json_t **ret_devices,
                          struct wz_problem *ret_problem)
{
    struct wz_slice topic = text_of(json_object_get(wish, "topic"));
    json_t *item = find(items, topic);
    json_t *suggestion = json_object_get(item, "suggestion");
    json_t *id = json_object_get(wish, "device");
    const struct wz_document *there = NULL;
    json_t *document;
    int r;

    if (item == NULL)
        return refuse_topic(topic, ret_problem);
    if (id == NULL)
        id = json_object_get(suggestion, "device");
    if (json_is_string(id))
        there = wz_document_list_find(&lists[WZ_COLLECTION_DEVICES], json_string_value(id));
    document =
        make_document(there != NULL ? there->body : json_object_get(suggestion, "document"), wish);
    if (!json_is_string(id) || json_object_get(document, "route") == NULL) {
        json_decref(document);
        return refuse_suggestion(suggestion, ret_problem);
    }
    *ret_devices = json_object();
    (void)json_object_set_new(*ret_devices, json_string_value(id), document); // it is UTF-8
    if (json_is_true(json_object_get(wish, "alike")))
        add_alike(items, suggestion, *ret_devices);
    r = check_wished(lists, *ret_devices, topic, json_string_value(id), ret_problem);
    if (r < 0) {
        json_decref(*ret_devices);
        *ret_devices = NULL;
    }
    return r;
}
