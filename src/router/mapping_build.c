// SPDX-License-Identifier: Apache-2.0
// Owns the rules between the mapping's documents: what is refused when they are saved. What holds
// for a name or a profile by itself is name_rules.c's and profile.c's, what devices may not be to
// one another mapping_overlaps.c's.
#include "router/mapping_build.h"

#include "base/codes.h"
#include "base/mem.h"
#include "router/mapping_overlaps.h"
#include "router/ready_templates.h"

// The most different shapes of one use: each is tried for a topic that was never seen.
#define SHAPES_MAX 1000

// The longest "collection/name".
#define WHERE_MAX (WZ_DOCUMENT_NAME_MAX + 32)

// A template and its profile; PROFILE 0: not made yet.
struct wz_mapping_template {
    const char *name; // borrowed
    json_t *body;     // a reference
    uint32_t profile;
};

static void write_where(struct wz_mapping_subject subject, char ret_where[WHERE_MAX])
{
    (void)snprintf(ret_where, WHERE_MAX, "%s/%s", wz_collection_name(subject.collection),
                   subject.name); // names have a limit
}

int wz_mapping_refuse(const struct wz_mapping_build *build, struct wz_mapping_subject subject,
                      int code, const char *fix, const char *what, ...)
{
    va_list args;
    char where[WHERE_MAX];
    char text[256];

    va_start(args, what);
    (void)vsnprintf(text, sizeof(text), what, args); // a text that is too long is cut
    va_end(args);
    write_where(subject, where);
    wz_problem_set(build->ret_problem, WZ_ERR_INVALID, code, "%s", text);
    wz_problem_where(build->ret_problem, "%s", where);
    wz_problem_fix(build->ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static struct wz_slice text_of(json_t *value)
{
    return wz_slice(json_string_value(value), json_string_length(value));
}

// Refuses a body with other members than KNOWN ones, and one whose MEMBER is no text.
static int check_members(const struct wz_mapping_build *build, struct wz_mapping_subject subject,
                         json_t *body, const char *const *known, const char *member)
{
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        size_t i = 0;

        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] == NULL)
            return wz_mapping_refuse(
                build, subject, WZ_CODE_MAPPING_MEMBER,
                "Take the member out; docs/formats/mapping.md lists those that are known.",
                "There is no member \"%s\".", key);
        if (strcmp(key, "description") == 0 && !json_is_string(value))
            member = key;
    }
    if (member == NULL || json_is_string(json_object_get(body, member)))
        return WZ_OK;
    return wz_mapping_refuse(build, subject, WZ_CODE_MAPPING_MEMBER,
                             "Give the member a text, as in docs/formats/mapping.md.",
                             "The member \"%s\" is missing or not a text.", member);
}

// Type words.

static int add_type(struct wz_mapping_build *build, const struct wz_document *document)
{
    static const char *const known[] = {"word", "description", NULL};
    struct wz_mapping_subject subject = {WZ_COLLECTION_TYPES, document->name};
    struct wz_buf *word;
    struct wz_slice text;
    const char *wrong;
    int r;

    if (strcmp(document->name, "input") == 0)
        word = &build->input;
    else if (strcmp(document->name, "output") == 0)
        word = &build->output;
    else
        return wz_mapping_refuse(
            build, subject, WZ_CODE_MAPPING_TYPE,
            "Name it \"input\", the word of readings, or \"output\", the word of commands.",
            "There is no type \"%s\".", document->name);
    r = check_members(build, subject, document->body, known, "word");
    if (r < 0)
        return r;
    text = text_of(json_object_get(document->body, "word"));
    wrong = wz_rule_level(text);
    if (wrong != NULL)
        return wz_mapping_refuse(build, subject, WZ_CODE_MAPPING_TYPE,
                                 "Give one level, as in \"status\".", "The type word %s.", wrong);
    word->len = 0;
    wz_buf_add_slice(word, text);
    return WZ_OK;
}

static int add_types(struct wz_mapping_build *build, const struct wz_document_list *list)
{
    wz_buf_add_str(&build->input, WZ_MAPPING_INPUT_PRESET);
    wz_buf_add_str(&build->output, WZ_MAPPING_OUTPUT_PRESET);
    for (size_t i = 0; i < list->count; i++) {
        int r = add_type(build, &list->items[i]);

        if (r < 0)
            return r;
    }
    if (wz_slice_eq(wz_buf_slice(&build->input), wz_buf_slice(&build->output)))
        return wz_mapping_refuse(build, (struct wz_mapping_subject){WZ_COLLECTION_TYPES, "input"},
                                 WZ_CODE_MAPPING_TYPES_EQUAL,
                                 "Give readings and commands different words.",
                                 "Readings and commands would have the same type word, \"%.*s\".",
                                 WZ_SLICE_FMT(wz_buf_slice(&build->input)));
    return WZ_OK;
}

// Channels.

static int by_bytes(const void *a, const void *b)
{
    const struct wz_slice *left = a;
    const struct wz_slice *right = b;

    return wz_slice_cmp(*left, *right);
}

static int add_channels(struct wz_mapping_build *build, const struct wz_document_list *list)
{
    struct wz_channels *channels = &build->mapping->channels;
    struct wz_mapping_taken *all = &build->all;
    char where[WHERE_MAX];

    wz_channels_init(channels, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        int r;

        write_where((struct wz_mapping_subject){WZ_COLLECTION_SUBTOPICS, list->items[i].name},
                    where);
        r = wz_channels_add(channels, where, list->items[i].name, list->items[i].body,
                            build->ret_problem);
        if (r < 0)
            return r;
    }
    all->count = channels->pairs.count;
    all->names = wz_zalloc(all->count, sizeof(all->names[0]));
    for (uint32_t i = 0; i < all->count; i++)
        all->names[i] = wz_pairs_get(&channels->pairs, i, WZ_SIDE_LOGICAL);
    qsort(all->names, all->count, sizeof(all->names[0]), by_bytes);
    return WZ_OK;
}

// Profiles.

// Refuses a profile that gives a channel the name that another subtopic has on all devices.
static int check_channels(const struct wz_mapping_build *build, const struct wz_profile *profile,
                          struct wz_mapping_subject subject)
{
    const struct wz_pairs *own = &profile->channels.pairs;
    const struct wz_pairs *all = &build->mapping->channels.pairs;

    for (uint32_t i = 0; i < own->count; i++) {
        struct wz_slice name = wz_pairs_get(own, i, WZ_SIDE_LOGICAL);
        struct wz_slice subtopic;
        uint32_t index;

        if (!wz_pairs_find(all, WZ_SIDE_LOGICAL, name, &index))
            continue;
        subtopic = wz_pairs_get(all, index, WZ_SIDE_PHYSICAL);
        if (!wz_pairs_find(own, WZ_SIDE_PHYSICAL, subtopic, &index))
            return wz_mapping_refuse(
                build, subject, WZ_CODE_MAPPING_CHANNEL_TAKEN,
                "Give one of the two subtopics another channel.",
                "The channel \"%.*s\" is that of the subtopic \"%.*s\" of all devices.",
                WZ_SLICE_FMT(name), WZ_SLICE_FMT(subtopic));
    }
    return WZ_OK;
}

// Lists what takes words behind a route: the profile's own channels and prefixes.
static struct wz_mapping_taken list_own(const struct wz_profile *profile)
{
    const struct wz_pairs *own = &profile->channels.pairs;
    struct wz_mapping_taken taken = {
        .names = wz_zalloc(own->count + WZ_READINGS_MAX, sizeof(taken.names[0]))};

    for (uint32_t i = 0; i < own->count; i++)
        taken.names[taken.count++] = wz_pairs_get(own, i, WZ_SIDE_LOGICAL);
    for (uint8_t i = 0; i < profile->reading_count; i++)
        if (profile->readings[i].prefix.len > 0)
            taken.names[taken.count++] = wz_buf_slice(&profile->readings[i].prefix);
    qsort(taken.names, taken.count, sizeof(taken.names[0]), by_bytes);
    return taken;
}

// Makes a profile of a template and a device's body, each of which may be NULL.
static int add_profile(struct wz_mapping_build *build, struct wz_mapping_subject subject,
                       const struct wz_mapping_template *template, json_t *device,
                       uint32_t *ret_profile)
{
    struct wz_mapping *mapping = build->mapping;
    char where[WHERE_MAX];
    struct wz_profile_source source = {.where = where,
                                       .layers = {template != NULL ? template->body : NULL, device},
                                       .input = wz_buf_slice(&build->input),
                                       .output = wz_buf_slice(&build->output)};
    struct wz_profile *profile;
    int r;

    write_where(subject, where);
    if (mapping->profile_count == build->profile_cap) {
        build->profile_cap = 2 * build->profile_cap + 4;
        mapping->profiles =
            wz_realloc(mapping->profiles, build->profile_cap * sizeof(mapping->profiles[0]));
        build->own = wz_realloc(build->own, build->profile_cap * sizeof(build->own[0]));
    }
    profile = &mapping->profiles[mapping->profile_count];
    r = wz_profile_init(profile, &source, build->ret_problem);
    if (r < 0)
        return r;
    profile->template = template != NULL ? wz_strdup(template->name) : NULL;
    profile->own = device != NULL;
    *ret_profile = mapping->profile_count++;
    build->own[*ret_profile] = list_own(profile);
    return check_channels(build, profile, subject);
}

static int add_template(struct wz_mapping_build *build, const struct wz_document *document)
{
    static const char *const known[] = {"channels", "command", "description", "ignore", "input",
                                        "output",   "reading", "send",        "type",   NULL};
    struct wz_mapping_subject subject = {WZ_COLLECTION_TEMPLATES, document->name};
    struct wz_mapping_template *template = &build->templates[build->template_count];
    int r = check_members(build, subject, document->body, known, NULL);

    if (r < 0)
        return r;
    build->template_count++;
    *template =
        (struct wz_mapping_template){.name = document->name, .body = json_incref(document->body)};
    (void)wz_map_put(&build->by_name, wz_slice_str(template->name), template);
    return add_profile(build, subject, template, NULL, &template->profile);
}

static int add_templates(struct wz_mapping_build *build, const struct wz_document_list *list)
{
    uint32_t profile;
    int r =
        add_profile(build, (struct wz_mapping_subject){WZ_COLLECTION_TYPES, "input"}, NULL, NULL,
                    &profile); // the first: that of devices without a template

    build->templates =
        wz_zalloc(list->count + WZ_READY_TEMPLATE_COUNT, sizeof(struct wz_mapping_template));
    for (size_t i = 0; i < list->count && r == WZ_OK; i++)
        r = add_template(build, &list->items[i]);
    return r;
}

// The template NAME: one of the documents, or a ready one. NULL: there is none.
static struct wz_mapping_template *find_template(struct wz_mapping_build *build, const char *name)
{
    struct wz_mapping_template *template = wz_map_get(&build->by_name, wz_slice_str(name));
    json_t *body = template == NULL ? wz_ready_template(name) : NULL;

    if (body == NULL)
        return template;
    name = wz_ready_template_find(name); // that of a device's document goes with it
    template = &build->templates[build->template_count++];
    *template = (struct wz_mapping_template){.name = name, .body = body};
    (void)wz_map_put(&build->by_name, wz_slice_str(name), template);
    return template;
}

static int refuse_template(const struct wz_mapping_build *build, struct wz_mapping_subject subject,
                           const char *name)
{
    return wz_mapping_refuse(build, subject, WZ_CODE_MAPPING_TEMPLATE,
                             "Name one that `wyze template ls` shows, or save it first.",
                             "There is no template \"%.100s\".", name != NULL ? name : "");
}

// The number of the profile of devices that follow a template, which may be NULL, and have nothing
// of their own.
static int profile_of_template(struct wz_mapping_build *build, struct wz_mapping_subject subject,
                               struct wz_mapping_template *template, uint32_t *ret_profile)
{
    if (template == NULL) {
        *ret_profile = 0;
        return WZ_OK;
    }
    if (template->profile == 0) {
        int r = add_profile(build, subject, template, NULL, &template->profile);

        if (r < 0)
            return r;
    }
    *ret_profile = template->profile;
    return WZ_OK;
}

int wz_mapping_build_profile(struct wz_mapping_build *build, struct wz_mapping_subject subject,
                             const char *name, uint32_t *ret_profile)
{
    struct wz_mapping_template *template = name != NULL ? find_template(build, name) : NULL;

    if (name != NULL && template == NULL)
        return refuse_template(build, subject, name);
    return profile_of_template(build, subject, template, ret_profile);
}

// The number of a device's profile.
static int profile_of(struct wz_mapping_build *build, const struct wz_document *document,
                      uint32_t *ret_profile)
{
    struct wz_mapping_subject subject = {WZ_COLLECTION_DEVICES, document->name};
    json_t *member = json_object_get(document->body, "template");
    const char *name = json_string_value(member);
    struct wz_mapping_template *template = name != NULL ? find_template(build, name) : NULL;

    if (member != NULL && template == NULL)
        return refuse_template(build, subject, name);
    if (wz_profile_differs(document->body))
        return add_profile(build, subject, template, document->body, ret_profile);
    return profile_of_template(build, subject, template, ret_profile);
}

// Devices.

int wz_mapping_refuse_taken(const struct wz_mapping_build *build, struct wz_mapping_subject subject,
                            struct wz_slice id, struct wz_slice route, uint32_t other)
{
    const struct wz_device_table *devices = &build->mapping->devices;
    struct wz_slice other_id = wz_device_id(devices, other);

    if (wz_device_captures(id, route))
        return wz_mapping_refuse(
            build, subject, WZ_CODE_MAPPING_CAPTURE,
            "Take one of the two out, or give it other levels and words.",
            "The device differs from \"%.*s\" in the names of its captures only.",
            WZ_SLICE_FMT(other_id));
    return wz_mapping_refuse(build, subject, WZ_CODE_MAPPING_ROUTE_TAKEN,
                             "Give one of the two devices another route.",
                             "The route \"%.*s\" is that of the device \"%.*s\" already.",
                             WZ_SLICE_FMT(route), WZ_SLICE_FMT(other_id));
}

int wz_mapping_build_add(struct wz_mapping_build *build, const struct wz_document *document)
{
    static const char *const known[] = {"channels", "command",  "description", "ignore",
                                        "input",    "output",   "reading",     "route",
                                        "send",     "template", "type",        NULL};
    struct wz_mapping_subject subject = {WZ_COLLECTION_DEVICES, document->name};
    struct wz_slice id = wz_slice_str(document->name);
    const char *wrong = id.len > 0 && id.ptr[0] == '$' ? "begins with '$'" : wz_rule_levels(id);
    int code = WZ_CODE_MAPPING_ROUTE;
    struct wz_slice route;
    uint32_t profile;
    uint32_t number;
    int r;

    if (wrong != NULL)
        return wz_mapping_refuse(
            build, subject, WZ_CODE_MAPPING_DEVICE,
            "Name the device as it stands in front of its topics, as in \"mesh/b5ea3f/42\".",
            "The device id %s.", wrong);
    r = check_members(build, subject, document->body, known, "route");
    if (r < 0)
        return r;
    route = text_of(json_object_get(document->body, "route"));
    wrong = wz_rule_words(route, &code);
    if (wrong != NULL)
        return wz_mapping_refuse(build, subject, code,
                                 "Give words with dots between them, as in \"bedroom.light\".",
                                 "The route \"%.*s\" %s.", WZ_SLICE_FMT(route), wrong);
    r = profile_of(build, document, &profile);
    if (r < 0)
        return r;
    r = wz_device_table_add(&build->mapping->devices, id, route, profile, &number, &wrong);
    if (r == WZ_ERR_EXISTS)
        return wz_mapping_refuse_taken(build, subject, id, route, number);
    if (r < 0)
        return wz_mapping_refuse(build, subject, WZ_CODE_MAPPING_CAPTURE,
                                 "Give each capture once in the id and once in the route, as in "
                                 "\"mesh/{node}\" = \"site.{node}\".",
                                 "The device %s.", wrong);
    return WZ_OK;
}

bool wz_mapping_has_captures(const char *name, json_t *body)
{
    return wz_device_captures(wz_slice_str(name), text_of(json_object_get(body, "route")));
}

static int add_devices(struct wz_mapping_build *build, const struct wz_document_list *list)
{
    uint32_t captured = 0;
    int r = WZ_OK;

    for (size_t i = 0; i < list->count; i++)
        captured += wz_mapping_has_captures(list->items[i].name, list->items[i].body);
    wz_device_table_init(&build->mapping->devices, (uint32_t)list->count - captured, captured);
    for (size_t i = 0; i < list->count && r == WZ_OK; i++)
        r = wz_mapping_build_add(build, &list->items[i]);
    return r;
}

// Shapes.

// Adds that a profile has a shape. Profiles come in their order.
static void use_shape(struct wz_shape_list *list, struct wz_map *by_text,
                      const struct wz_shape *shape, struct wz_shape_user user)
{
    struct wz_used_shape *used;
    uintptr_t number = (uintptr_t)wz_map_get(by_text, wz_buf_slice(&shape->text)); // from 1

    if (number == 0) {
        if ((list->count & (list->count - 1)) == 0) // grows at each power of two
            list->items = wz_realloc(list->items, (list->count > 0 ? 2 * list->count : 1) *
                                                      sizeof(list->items[0]));
        list->items[list->count] = (struct wz_used_shape){.shape = *shape};
        number = ++list->count;
        (void)wz_map_put(by_text, wz_buf_slice(&shape->text), (void *)number);
    }
    used = &list->items[number - 1];
    if (used->user_count > 0 && used->users[used->user_count - 1].profile == user.profile)
        return; // two shapes to leave alone may be one
    if ((used->user_count & (used->user_count - 1)) == 0)
        used->users = wz_realloc(used->users, (used->user_count > 0 ? 2 * used->user_count : 1) *
                                                  sizeof(used->users[0]));
    used->users[used->user_count++] = user;
}

static int use_shapes(struct wz_mapping_build *build)
{
    struct wz_mapping *mapping = build->mapping;
    struct wz_map by_text[WZ_SHAPE_USE_COUNT] = {0};
    bool fits = true;

    for (uint32_t i = 0; i < mapping->profile_count; i++) {
        struct wz_profile *profile = &mapping->profiles[i];

        use_shape(&mapping->shapes[WZ_SHAPE_COMMAND], &by_text[WZ_SHAPE_COMMAND], &profile->command,
                  (struct wz_shape_user){.profile = i});
        for (uint8_t j = 0; j < profile->ignored_count; j++)
            use_shape(&mapping->shapes[WZ_SHAPE_IGNORED], &by_text[WZ_SHAPE_IGNORED],
                      &profile->ignored[j], (struct wz_shape_user){.profile = i});
        for (uint8_t j = 0; j < profile->reading_count; j++)
            use_shape(&mapping->shapes[WZ_SHAPE_READING], &by_text[WZ_SHAPE_READING],
                      &profile->readings[j].shape, (struct wz_shape_user){i, j});
    }
    for (int use = 0; use < WZ_SHAPE_USE_COUNT; use++) {
        wz_map_release(&by_text[use]);
        fits = fits && mapping->shapes[use].count <= SHAPES_MAX;
    }
    if (fits)
        return WZ_OK;
    return wz_mapping_refuse(build, (struct wz_mapping_subject){WZ_COLLECTION_TEMPLATES, ""},
                             WZ_CODE_MAPPING_SHAPE, "Let devices share templates.",
                             "There are more than 1,000 different shapes.");
}

int wz_mapping_build_begin(struct wz_mapping_build *build,
                           const struct wz_document_list lists[WZ_COLLECTION_COUNT])
{
    int r = add_types(build, &lists[WZ_COLLECTION_TYPES]);

    if (r == WZ_OK)
        r = add_channels(build, &lists[WZ_COLLECTION_SUBTOPICS]);
    if (r == WZ_OK)
        r = add_templates(build, &lists[WZ_COLLECTION_TEMPLATES]);
    return r;
}

int wz_mapping_build_end(struct wz_mapping_build *build, int r, struct wz_mapping **ret_mapping)
{
    if (r == WZ_OK) {
        wz_device_table_seal(&build->mapping->devices);
        r = wz_mapping_overlaps_check(build);
    }
    if (r == WZ_OK)
        r = use_shapes(build);
    wz_buf_release(&build->input);
    wz_buf_release(&build->output);
    wz_map_release(&build->by_name);
    for (size_t i = 0; i < build->template_count; i++)
        json_decref(build->templates[i].body);
    wz_free(build->templates);
    wz_free(build->all.names);
    for (uint32_t i = 0; i < build->mapping->profile_count; i++)
        wz_free(build->own[i].names);
    wz_free(build->own);
    if (r < 0)
        wz_mapping_unref(build->mapping);
    else
        *ret_mapping = build->mapping;
    return r;
}

int wz_mapping_compile(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                       struct wz_mapping **ret_mapping, struct wz_problem *ret_problem)
{
    struct wz_mapping_build build = {.mapping = wz_mapping_empty(), .ret_problem = ret_problem};
    int r = wz_mapping_build_begin(&build, lists);

    if (r == WZ_OK)
        r = add_devices(&build, &lists[WZ_COLLECTION_DEVICES]);
    return wz_mapping_build_end(&build, r, ret_mapping);
}

static int read_list(struct wz_store_view *view, enum wz_collection collection,
                     struct wz_document_list *ret_list, struct wz_problem *ret_problem)
{
    int r = wz_store_view_list(view, collection, ret_list);

    if (r == WZ_OK)
        return r;
    wz_problem_set(ret_problem, r, WZ_CODE_STORE_IO, "The documents cannot be read: %s.",
                   wz_err_text(r));
    wz_problem_where(ret_problem, "%s", wz_collection_name(collection));
    wz_problem_fix(ret_problem, "Look at the disk and the program's log; then try again.");
    return r;
}

int wz_mapping_read_shared(struct wz_store_view *view,
                           struct wz_document_list lists[WZ_COLLECTION_COUNT],
                           struct wz_problem *ret_problem)
{
    int r = read_list(view, WZ_COLLECTION_TYPES, &lists[WZ_COLLECTION_TYPES], ret_problem);

    if (r == WZ_OK)
        r = read_list(view, WZ_COLLECTION_SUBTOPICS, &lists[WZ_COLLECTION_SUBTOPICS], ret_problem);
    if (r == WZ_OK)
        r = read_list(view, WZ_COLLECTION_TEMPLATES, &lists[WZ_COLLECTION_TEMPLATES], ret_problem);
    return r;
}

int wz_mapping_build(struct wz_store_view *view, struct wz_mapping **ret_mapping,
                     struct wz_problem *ret_problem)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    int r = wz_mapping_read_shared(view, lists, ret_problem);

    if (r == WZ_OK)
        r = read_list(view, WZ_COLLECTION_DEVICES, &lists[WZ_COLLECTION_DEVICES], ret_problem);
    if (r == WZ_OK)
        r = wz_mapping_compile(lists, ret_mapping, ret_problem);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
    return r;
}
