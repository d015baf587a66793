// SPDX-License-Identifier: Apache-2.0
// Owns the rules between the mapping's documents: what is refused when they are saved. What holds
// for a name or a profile by itself is name_rules.c's and profile.c's.
#include "router/mapping.h"

#include "base/codes.h"
#include "base/map.h"
#include "base/mem.h"
#include "router/mapping_parts.h"
#include "router/ready_templates.h"

// The most different shapes of one use: each is tried for a topic that was never seen.
#define SHAPES_MAX 1000

// The longest "collection/name".
#define WHERE_MAX (WZ_DOCUMENT_NAME_MAX + 32)

// A template and its profile; PROFILE 0: not made yet.
struct template
{
    const char *name; // borrowed
    json_t *body;     // a reference
    uint32_t profile;
};

// Names that take words behind a route, in the order of bytes.
struct taken {
    struct wz_slice *names;
    uint32_t count;
};

// What is being built, and what it is checked with.
struct build {
    struct wz_mapping *mapping;
    struct wz_buf input; // the type words of all devices
    struct wz_buf output;
    struct template *templates;
    size_t template_count;
    struct wz_map by_name; // templates
    uint32_t profile_cap;
    struct taken all;  // channels of all devices
    struct taken *own; // those of each profile, and prefixes
    struct wz_problem *ret_problem;
};

// Where the problem is: a document.
struct subject {
    enum wz_collection collection;
    const char *name;
};

static void write_where(struct subject subject, char ret_where[WHERE_MAX])
{
    (void)snprintf(ret_where, WHERE_MAX, "%s/%s", wz_collection_name(subject.collection),
                   subject.name); // names have a limit
}

__attribute__((format(printf, 5, 6))) static int refuse(const struct build *build,
                                                        struct subject subject, int code,
                                                        const char *fix, const char *what, ...)
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
static int check_members(const struct build *build, struct subject subject, json_t *body,
                         const char *const *known, const char *member)
{
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        size_t i = 0;

        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] == NULL)
            return refuse(
                build, subject, WZ_CODE_MAPPING_MEMBER,
                "Take the member out; docs/formats/mapping.md lists those that are known.",
                "There is no member \"%s\".", key);
        if (strcmp(key, "description") == 0 && !json_is_string(value))
            member = key;
    }
    if (member == NULL || json_is_string(json_object_get(body, member)))
        return WZ_OK;
    return refuse(build, subject, WZ_CODE_MAPPING_MEMBER,
                  "Give the member a text, as in docs/formats/mapping.md.",
                  "The member \"%s\" is missing or not a text.", member);
}

// Type words.

static int add_type(struct build *build, const struct wz_document *document)
{
    static const char *const known[] = {"word", "description", NULL};
    struct subject subject = {WZ_COLLECTION_TYPES, document->name};
    struct wz_buf *word;
    struct wz_slice text;
    const char *wrong;
    int r;

    if (strcmp(document->name, "input") == 0)
        word = &build->input;
    else if (strcmp(document->name, "output") == 0)
        word = &build->output;
    else
        return refuse(
            build, subject, WZ_CODE_MAPPING_TYPE,
            "Name it \"input\", the word of readings, or \"output\", the word of commands.",
            "There is no type \"%s\".", document->name);
    r = check_members(build, subject, document->body, known, "word");
    if (r < 0)
        return r;
    text = text_of(json_object_get(document->body, "word"));
    wrong = wz_rule_level(text);
    if (wrong != NULL)
        return refuse(build, subject, WZ_CODE_MAPPING_TYPE, "Give one level, as in \"status\".",
                      "The type word %s.", wrong);
    word->len = 0;
    wz_buf_add_slice(word, text);
    return WZ_OK;
}

static int add_types(struct build *build, const struct wz_document_list *list)
{
    wz_buf_add_str(&build->input, WZ_MAPPING_INPUT_PRESET);
    wz_buf_add_str(&build->output, WZ_MAPPING_OUTPUT_PRESET);
    for (size_t i = 0; i < list->count; i++) {
        int r = add_type(build, &list->items[i]);

        if (r < 0)
            return r;
    }
    if (wz_slice_eq(wz_buf_slice(&build->input), wz_buf_slice(&build->output)))
        return refuse(build, (struct subject){WZ_COLLECTION_TYPES, "input"},
                      WZ_CODE_MAPPING_TYPES_EQUAL, "Give readings and commands different words.",
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

static int add_channels(struct build *build, const struct wz_document_list *list)
{
    struct wz_channels *channels = &build->mapping->channels;
    struct taken *all = &build->all;
    char where[WHERE_MAX];

    wz_channels_init(channels, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        int r;

        write_where((struct subject){WZ_COLLECTION_SUBTOPICS, list->items[i].name}, where);
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
static int check_channels(const struct build *build, const struct wz_profile *profile,
                          struct subject subject)
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
            return refuse(build, subject, WZ_CODE_MAPPING_CHANNEL_TAKEN,
                          "Give one of the two subtopics another channel.",
                          "The channel \"%.*s\" is that of the subtopic \"%.*s\" of all devices.",
                          WZ_SLICE_FMT(name), WZ_SLICE_FMT(subtopic));
    }
    return WZ_OK;
}

// Lists what takes words behind a route: the profile's own channels and prefixes.
static struct taken list_own(const struct wz_profile *profile)
{
    const struct wz_pairs *own = &profile->channels.pairs;
    struct taken taken = {.names = wz_zalloc(own->count + WZ_READINGS_MAX, sizeof(taken.names[0]))};

    for (uint32_t i = 0; i < own->count; i++)
        taken.names[taken.count++] = wz_pairs_get(own, i, WZ_SIDE_LOGICAL);
    for (uint8_t i = 0; i < profile->reading_count; i++)
        if (profile->readings[i].prefix.len > 0)
            taken.names[taken.count++] = wz_buf_slice(&profile->readings[i].prefix);
    qsort(taken.names, taken.count, sizeof(taken.names[0]), by_bytes);
    return taken;
}

// Makes a profile of a template and a device's body, each of which may be NULL.
static int add_profile(struct build *build, struct subject subject, const struct template *template,
                       json_t *device, uint32_t *ret_profile)
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

static int add_template(struct build *build, const struct wz_document *document)
{
    static const char *const known[] = {"channels", "command", "description", "ignore", "input",
                                        "output",   "reading", "send",        "type",   NULL};
    struct subject subject = {WZ_COLLECTION_TEMPLATES, document->name};
    struct template *template = &build->templates[build->template_count];
    int r = check_members(build, subject, document->body, known, NULL);

    if (r < 0)
        return r;
    build->template_count++;
    *template = (struct template){.name = document->name, .body = json_incref(document->body)};
    (void)wz_map_put(&build->by_name, wz_slice_str(template->name), template);
    return add_profile(build, subject, template, NULL, &template->profile);
}

static int add_templates(struct build *build, const struct wz_document_list *list)
{
    uint32_t profile;
    int r = add_profile(build, (struct subject){WZ_COLLECTION_TYPES, "input"}, NULL, NULL,
                        &profile); // the first: that of devices without a template

    build->templates = wz_zalloc(list->count + WZ_READY_TEMPLATE_COUNT, sizeof(struct template));
    for (size_t i = 0; i < list->count && r == WZ_OK; i++)
        r = add_template(build, &list->items[i]);
    return r;
}

// The template NAME: one of the documents, or a ready one. NULL: there is none.
static struct template *find_template(struct build *build, const char *name)
{
    struct template *template = wz_map_get(&build->by_name, wz_slice_str(name));
    json_t *body = template == NULL ? wz_ready_template(name) : NULL;

    if (body == NULL)
        return template;
    template = &build->templates[build->template_count++];
    *template = (struct template){.name = name, .body = body};
    (void)wz_map_put(&build->by_name, wz_slice_str(name), template);
    return template;
}

static int refuse_template(const struct build *build, struct subject subject, const char *name)
{
    return refuse(build, subject, WZ_CODE_MAPPING_TEMPLATE,
                  "Name one that `wyze template ls` shows, or save it first.",
                  "There is no template \"%.100s\".", name != NULL ? name : "");
}

// The number of the profile of devices that follow a template and have nothing of their own.
static int profile_of_template(struct build *build, struct subject subject,
                               struct template *template, uint32_t *ret_profile)
{
    if (template->profile == 0) {
        int r = add_profile(build, subject, template, NULL, &template->profile);

        if (r < 0)
            return r;
    }
    *ret_profile = template->profile;
    return WZ_OK;
}

// The number of a device's profile.
static int profile_of(struct build *build, const struct wz_document *document,
                      uint32_t *ret_profile)
{
    struct subject subject = {WZ_COLLECTION_DEVICES, document->name};
    json_t *member = json_object_get(document->body, "template");
    const char *name = json_string_value(member);
    struct template *template = name != NULL ? find_template(build, name) : NULL;

    if (member != NULL && template == NULL)
        return refuse_template(build, subject, name);
    if (wz_profile_differs(document->body))
        return add_profile(build, subject, template, document->body, ret_profile);
    if (template != NULL)
        return profile_of_template(build, subject, template, ret_profile);
    *ret_profile = 0;
    return WZ_OK;
}

// Devices.

static int refuse_taken(const struct build *build, struct subject subject, struct wz_slice id,
                        struct wz_slice route, uint32_t other)
{
    const struct wz_device_table *devices = &build->mapping->devices;
    struct wz_slice other_id = wz_device_id(devices, other);

    if (wz_device_captures(id, route))
        return refuse(build, subject, WZ_CODE_MAPPING_CAPTURE,
                      "Take one of the two out, or give it other levels and words.",
                      "The device differs from \"%.*s\" in the names of its captures only.",
                      WZ_SLICE_FMT(other_id));
    return refuse(build, subject, WZ_CODE_MAPPING_ROUTE_TAKEN,
                  "Give one of the two devices another route.",
                  "The route \"%.*s\" is that of the device \"%.*s\" already.", WZ_SLICE_FMT(route),
                  WZ_SLICE_FMT(other_id));
}

static int add_device(struct build *build, const struct wz_document *document)
{
    static const char *const known[] = {"channels", "command",  "description", "ignore",
                                        "input",    "output",   "reading",     "route",
                                        "send",     "template", "type",        NULL};
    struct subject subject = {WZ_COLLECTION_DEVICES, document->name};
    struct wz_slice id = wz_slice_str(document->name);
    const char *wrong = id.len > 0 && id.ptr[0] == '$' ? "begins with '$'" : wz_rule_levels(id);
    int code = WZ_CODE_MAPPING_ROUTE;
    struct wz_slice route;
    uint32_t profile;
    uint32_t number;
    int r;

    if (wrong != NULL)
        return refuse(
            build, subject, WZ_CODE_MAPPING_DEVICE,
            "Name the device as it stands in front of its topics, as in \"mesh/b5ea3f/42\".",
            "The device id %s.", wrong);
    r = check_members(build, subject, document->body, known, "route");
    if (r < 0)
        return r;
    route = text_of(json_object_get(document->body, "route"));
    wrong = wz_rule_words(route, &code);
    if (wrong != NULL)
        return refuse(build, subject, code,
                      "Give words with dots between them, as in \"bedroom.light\".",
                      "The route \"%.*s\" %s.", WZ_SLICE_FMT(route), wrong);
    r = profile_of(build, document, &profile);
    if (r < 0)
        return r;
    r = wz_device_table_add(&build->mapping->devices, id, route, profile, &number, &wrong);
    if (r == WZ_ERR_EXISTS)
        return refuse_taken(build, subject, id, route, number);
    if (r < 0)
        return refuse(build, subject, WZ_CODE_MAPPING_CAPTURE,
                      "Give each capture once in the id and once in the route, as in "
                      "\"mesh/{node}\" = \"site.{node}\".",
                      "The device %s.", wrong);
    return WZ_OK;
}

// The first name at or behind WORDS in the order of bytes.
static uint32_t lower_bound(const struct taken *taken, struct wz_slice words)
{
    uint32_t low = 0;
    uint32_t high = taken->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (wz_slice_cmp(taken->names[middle], words) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// A name that is WORDS or begins with WORDS and a dot; an empty slice when there is none. OWN are
// the channels whose subtopics are another channel on this device.
static struct wz_slice find_taken(const struct build *build, const struct taken *taken,
                                  struct wz_slice words, const struct wz_pairs *own)
{
    const struct wz_pairs *all = &build->mapping->channels.pairs;

    // From here on come all that begin with the bytes of WORDS, with a dot behind them or not.
    for (uint32_t i = lower_bound(taken, words); i < taken->count; i++) {
        struct wz_slice name = taken->names[i];
        uint32_t index;

        if (!wz_slice_starts(name, words))
            break;
        if (name.len > words.len && name.ptr[words.len] != '.')
            continue;
        if (own == NULL || !wz_pairs_find(all, WZ_SIDE_LOGICAL, name, &index) ||
            !wz_pairs_find(own, WZ_SIDE_PHYSICAL, wz_pairs_get(all, index, WZ_SIDE_PHYSICAL),
                           &index))
            return name;
    }
    return (struct wz_slice){0};
}

// Refuses a route that is another's route plus one of its channels, or plus the front of one: that
// channel's topic would be taken for one of this device.
static int check_overlap(const struct build *build, uint32_t number)
{
    const struct wz_mapping *mapping = build->mapping;
    const struct wz_device_table *devices = &mapping->devices;
    struct wz_slice route = wz_device_key(devices, number, WZ_SIDE_LOGICAL);
    struct wz_slice id = wz_device_id(devices, number);
    bool captured = number >= devices->exact.cap;

    for (size_t i = 1; i < route.len; i++) {
        struct wz_slice words;
        struct wz_slice name;
        char text[WZ_DOCUMENT_NAME_MAX + 1];
        uint32_t other;
        uint32_t profile;

        if (route.ptr[i] != '.' ||
            !wz_device_find_key(devices, WZ_SIDE_LOGICAL, wz_slice(route.ptr, i), captured, &other))
            continue;
        words = wz_slice_sub(route, i + 1, route.len - i - 1);
        profile = devices->profiles[other];
        name = find_taken(build, &build->own[profile], words, NULL);
        if (name.len == 0)
            name =
                find_taken(build, &build->all, words, &mapping->profiles[profile].channels.pairs);
        if (name.len == 0)
            continue;
        (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(id)); // an id is a document's name
        return refuse(
            build, (struct subject){WZ_COLLECTION_DEVICES, text}, WZ_CODE_MAPPING_OVERLAP,
            "Give one of the two devices, or the channel, another name.",
            "The route \"%.*s\" takes the topics of channel \"%.*s\" of the device \"%.*s\".",
            WZ_SLICE_FMT(route), WZ_SLICE_FMT(name), WZ_SLICE_FMT(wz_device_id(devices, other)));
    }
    return WZ_OK;
}

// Whether each topic of a device's readings is one of a device whose id it begins with, too.
static bool takes_all(const struct wz_profile *profile)
{
    for (uint8_t i = 0; i < profile->reading_count; i++)
        if (!profile->readings[i].shape.has_subtopic || profile->readings[i].shape.between.len > 0)
            return false;
    return true;
}

// Refuses a device with captures whose topics all go to a device without, which is tried first: its
// route, or its id, begins with the other's.
static int check_hidden(const struct build *build, uint32_t number)
{
    const struct wz_device_table *devices = &build->mapping->devices;
    const struct wz_profile *profile = &build->mapping->profiles[devices->profiles[number]];
    struct wz_slice id = wz_device_id(devices, number);

    for (int side = 0; side < WZ_SIDE_COUNT; side++) {
        struct wz_slice key = wz_device_key(devices, number, (enum wz_side)side);

        for (size_t i = 1; i < key.len && key.ptr[i] != '+'; i++) {
            bool physical = side == WZ_SIDE_PHYSICAL;
            char text[WZ_DOCUMENT_NAME_MAX + 1];
            uint32_t other;

            if (key.ptr[i] != (physical ? '/' : '.') ||
                !wz_device_find_key(devices, (enum wz_side)side, wz_slice(key.ptr, i), false,
                                    &other) ||
                (physical &&
                 (devices->profiles[other] != devices->profiles[number] || !takes_all(profile))))
                continue;
            (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(id)); // as above
            return refuse(build, (struct subject){WZ_COLLECTION_DEVICES, text},
                          WZ_CODE_MAPPING_CAPTURE,
                          physical ? "Take the other device out, or give it a template whose "
                                     "shapes have no {subtopic}."
                                   : "Give one of the two devices another route.",
                          "All its topics would be taken for those of the device \"%.*s\".",
                          WZ_SLICE_FMT(wz_device_id(devices, other)));
        }
    }
    return WZ_OK;
}

static int check_overlaps(const struct build *build)
{
    const struct wz_device_table *devices = &build->mapping->devices;

    for (uint32_t i = wz_device_next(devices, UINT32_MAX); i != UINT32_MAX;
         i = wz_device_next(devices, i)) {
        int r = check_overlap(build, i);

        if (r == WZ_OK && i >= devices->exact.cap)
            r = check_hidden(build, i);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

static bool has_captures(const char *name, json_t *body)
{
    return wz_device_captures(wz_slice_str(name), text_of(json_object_get(body, "route")));
}

static int add_devices(struct build *build, const struct wz_document_list *list)
{
    uint32_t captured = 0;
    int r = WZ_OK;

    for (size_t i = 0; i < list->count; i++)
        captured += has_captures(list->items[i].name, list->items[i].body);
    wz_device_table_init(&build->mapping->devices, (uint32_t)list->count - captured, captured);
    for (size_t i = 0; i < list->count && r == WZ_OK; i++)
        r = add_device(build, &list->items[i]);
    return r;
}

// Devices again, of which some have changed.

struct again {
    struct build *build;
    const struct wz_mapping *before;
    struct wz_store_view *view;
    const struct wz_store_change *changes;
    size_t count;
    struct wz_map by_name; // the last change of each device
    uint32_t *profiles;    // by number of a profile before: the present number + 1
};

// The present profile of a device that had profile BEFORE, which has nothing of a device's own.
static int profile_again(struct again *again, struct subject subject, uint32_t before,
                         uint32_t *ret_profile)
{
    const char *name = again->before->profiles[before].template;
    struct template *template = name != NULL ? find_template(again->build, name) : NULL;
    int r = WZ_OK;

    *ret_profile = 0;
    if (again->profiles[before] == 0) {
        if (name != NULL && template == NULL)
            return refuse_template(again->build, subject, name);
        if (template != NULL)
            r = profile_of_template(again->build, subject, template, ret_profile);
        if (r < 0)
            return r;
        again->profiles[before] = *ret_profile + 1;
    }
    *ret_profile = again->profiles[before] - 1;
    return WZ_OK;
}

static int read_again(struct again *again, const char *name)
{
    struct wz_document_list list = {0};
    int r = wz_store_view_get(again->view, WZ_COLLECTION_DEVICES, name, &list);

    if (r == WZ_OK && list.count > 0)
        r = add_device(again->build, &list.items[0]);
    wz_document_list_release(&list);
    return r;
}

// Adds a device that has not changed.
static int keep_device(struct again *again, uint32_t number, const char *name)
{
    const struct wz_device_table *before = &again->before->devices;
    struct subject subject = {WZ_COLLECTION_DEVICES, name};
    uint32_t profile;
    uint32_t present;
    int r;

    if (again->before->profiles[before->profiles[number]].own)
        return read_again(again, name);
    r = profile_again(again, subject, before->profiles[number], &profile);
    if (r < 0)
        return r;
    r = wz_device_table_copy(&again->build->mapping->devices, before, number, profile, &present);
    if (r == WZ_ERR_EXISTS) // as a changed one has its route now
        return refuse_taken(again->build, subject, wz_device_id(before, number),
                            wz_device_key(before, number, WZ_SIDE_LOGICAL), present);
    return r;
}

static int keep_devices(struct again *again)
{
    const struct wz_device_table *before = &again->before->devices;
    char name[WZ_DOCUMENT_NAME_MAX + 1];

    for (uint32_t i = wz_device_next(before, UINT32_MAX); i != UINT32_MAX;
         i = wz_device_next(before, i)) {
        struct wz_slice id = wz_device_id(before, i);
        int r;

        if (wz_map_get(&again->by_name, id) != NULL)
            continue;
        memcpy(name, id.ptr, id.len); // an id is a document's name
        name[id.len] = '\0';
        r = keep_device(again, i, name);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

static int change_devices(struct again *again)
{
    for (size_t i = 0; i < again->count; i++) {
        const struct wz_store_change *change = &again->changes[i];
        struct wz_document document = {.name = (char *)(uintptr_t)change->name,
                                       .body = change->body};
        int r;

        if (change->collection != WZ_COLLECTION_DEVICES || change->body == NULL ||
            wz_map_get(&again->by_name, wz_slice_str(change->name)) != change)
            continue;
        r = add_device(again->build, &document);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

// The devices of the mapping before, but for those that have changed. These come last, so that a
// problem is told of them.
static int add_devices_again(struct again *again)
{
    const struct wz_device_table *before = &again->before->devices;
    uint32_t captured = 0;
    uint32_t exact = 0;
    int r;

    for (size_t i = 0; i < again->count; i++) {
        const struct wz_store_change *change = &again->changes[i];

        if (change->collection != WZ_COLLECTION_DEVICES)
            continue;
        (void)wz_map_put(&again->by_name, wz_slice_str(change->name), (void *)(uintptr_t)change);
        if (change->body != NULL && has_captures(change->name, change->body))
            captured++;
        else if (change->body != NULL)
            exact++;
    }
    wz_device_table_init(&again->build->mapping->devices, before->exact.count + exact,
                         before->captured.count + captured);
    again->profiles = wz_zalloc(again->before->profile_count, sizeof(again->profiles[0]));
    r = keep_devices(again);
    if (r == WZ_OK)
        r = change_devices(again);
    wz_map_release(&again->by_name);
    wz_free(again->profiles);
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

static int use_shapes(struct build *build)
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
    return refuse(build, (struct subject){WZ_COLLECTION_TEMPLATES, ""}, WZ_CODE_MAPPING_SHAPE,
                  "Let devices share templates.", "There are more than 1,000 different shapes.");
}

// Reads what is the same for many devices.
static int begin(struct build *build, const struct wz_document_list lists[WZ_COLLECTION_COUNT])
{
    int r = add_types(build, &lists[WZ_COLLECTION_TYPES]);

    if (r == WZ_OK)
        r = add_channels(build, &lists[WZ_COLLECTION_SUBTOPICS]);
    if (r == WZ_OK)
        r = add_templates(build, &lists[WZ_COLLECTION_TEMPLATES]);
    return r;
}

// Makes the mapping ready when all devices are there, unless R says that something was refused.
static int end(struct build *build, int r, struct wz_mapping **ret_mapping)
{
    if (r == WZ_OK) {
        wz_device_table_seal(&build->mapping->devices);
        r = check_overlaps(build);
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
    struct build build = {.mapping = wz_mapping_empty(), .ret_problem = ret_problem};
    int r = begin(&build, lists);

    if (r == WZ_OK)
        r = add_devices(&build, &lists[WZ_COLLECTION_DEVICES]);
    return end(&build, r, ret_mapping);
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

// Reads all but the devices.
static int read_shared(struct wz_store_view *view, struct wz_document_list *lists,
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
    int r = read_shared(view, lists, ret_problem);

    if (r == WZ_OK)
        r = read_list(view, WZ_COLLECTION_DEVICES, &lists[WZ_COLLECTION_DEVICES], ret_problem);
    if (r == WZ_OK)
        r = wz_mapping_compile(lists, ret_mapping, ret_problem);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
    return r;
}

int wz_mapping_rebuild(struct wz_mapping *before, struct wz_store_view *view,
                       struct wz_mapping **ret_mapping, struct wz_problem *ret_problem)
{
    struct build build = {.mapping = wz_mapping_empty(), .ret_problem = ret_problem};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct again again = {.build = &build, .before = before, .view = view};
    int r = read_shared(view, lists, ret_problem);

    again.changes = wz_store_view_changes(view, &again.count);
    if (r == WZ_OK)
        r = begin(&build, lists);
    if (r == WZ_OK)
        r = add_devices_again(&again);
    r = end(&build, r, ret_mapping);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
    return r;
}
