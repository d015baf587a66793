// SPDX-License-Identifier: Apache-2.0
// Owns the members of templates, and of devices beside their routes.
#include "router/profile.h"

#include "base/codes.h"
#include "base/mem.h"
#include "router/name_rules.h"

#define READING_PRESET "{device}/{subtopic}/{input}"
#define COMMAND_PRESET "{device}/{subtopic}/{output}"

// What is being made.
struct making {
    struct wz_profile *profile;
    const struct wz_profile_source *source;
    struct wz_problem *ret_problem;
};

static const char *const members[] = {"channels", "command", "ignore", "input",
                                      "output",   "reading", "send",   "type"};

__attribute__((format(printf, 5, 6))) static int refuse(const char *where,
                                                        struct wz_problem *ret_problem, int code,
                                                        const char *fix, const char *what, ...)
{
    va_list args;
    char text[256];

    va_start(args, what);
    (void)vsnprintf(text, sizeof(text), what, args); // a text that is too long is cut
    va_end(args);
    wz_problem_set(ret_problem, WZ_ERR_INVALID, code, "%s", text);
    wz_problem_where(ret_problem, "%s", where);
    wz_problem_fix(ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static struct wz_slice text_of(json_t *value)
{
    return wz_slice(json_string_value(value), json_string_length(value));
}

// A member of the highest layer that has it, or NULL.
static json_t *member_of(const struct making *making, const char *name)
{
    json_t *value = json_object_get(making->source->layers[1], name);

    return value != NULL ? value : json_object_get(making->source->layers[0], name);
}

bool wz_profile_differs(json_t *device)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (json_object_get(device, members[i]) != NULL)
            return true;
    return false;
}

// Type words.

static int read_word(const struct making *making, const char *name, struct wz_slice preset,
                     struct wz_buf *ret_word)
{
    json_t *value = member_of(making, name);
    struct wz_slice word = value != NULL ? text_of(value) : preset;
    const char *wrong =
        value != NULL && !json_is_string(value) ? "is not a text" : wz_rule_level(word);

    if (wrong != NULL)
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_TYPE,
                      "Give one level, as in \"status\".", "The type word \"%s\" %s.", name, wrong);
    wz_buf_add_slice(ret_word, word);
    return WZ_OK;
}

static int read_words(const struct making *making)
{
    struct wz_profile *profile = making->profile;
    int r = read_word(making, "input", making->source->input, &profile->input);

    if (r == WZ_OK)
        r = read_word(making, "output", making->source->output, &profile->output);
    return r;
}

// Shapes.

static int read_shape(const struct making *making, const char *member, json_t *value,
                      struct wz_shape *ret_shape)
{
    struct wz_shape_words words = {wz_buf_slice(&making->profile->input),
                                   wz_buf_slice(&making->profile->output)};
    const char *wrong =
        json_is_string(value) ? wz_shape_parse(text_of(value), &words, ret_shape) : "is not a text";

    if (wrong == NULL)
        return WZ_OK;
    return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                  "Write levels with '/' between them, as in \"tele/{device}/{subtopic}\".",
                  "The shape in \"%s\" %s.", member, wrong);
}

static int read_prefix(const struct making *making, json_t *value, struct wz_reading *reading)
{
    int code = WZ_CODE_MAPPING_SHAPE;
    const char *wrong;

    if (value == NULL)
        return WZ_OK;
    wrong = json_is_string(value) ? wz_rule_words(text_of(value), &code) : "is not a text";
    if (wrong != NULL)
        return refuse(making->source->where, making->ret_problem, code,
                      "Give words with dots between them, as in \"stat\".",
                      "The prefix of a reading's shape %s.", wrong);
    wz_buf_add_slice(&reading->prefix, text_of(value));
    return WZ_OK;
}

// Adds a shape of readings: a text, or an object with "shape" and maybe "prefix".
static int add_reading(const struct making *making, const char *name, json_t *value)
{
    struct wz_profile *profile = making->profile;
    struct wz_reading *reading = &profile->readings[profile->reading_count];
    bool is_object = json_is_object(value);
    int r;

    if (profile->reading_count == WZ_READINGS_MAX)
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                      "Leave some out.", "There are more than 8 shapes of readings.");
    if (is_object && json_object_size(value) != 1U + (json_object_get(value, "prefix") != NULL))
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                      "Give it \"shape\" and, if its channels are to be told apart, \"prefix\".",
                      "A reading has members that are unknown.");
    r = read_shape(making, "reading", is_object ? json_object_get(value, "shape") : value,
                   &reading->shape);
    if (r < 0)
        return r;
    profile->reading_count++;
    reading->name = name != NULL ? wz_strdup(name) : NULL;
    return read_prefix(making, is_object ? json_object_get(value, "prefix") : NULL, reading);
}

// "reading": a shape, a list of shapes, or an object of shapes by name.
static int read_readings(const struct making *making)
{
    json_auto_t *preset = json_string(READING_PRESET);
    json_t *value = member_of(making, "reading");
    const char *name;
    json_t *item;
    size_t i;
    int r = WZ_OK;

    if (value == NULL)
        return add_reading(making, NULL, preset);
    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            r = add_reading(making, NULL, item);
            if (r < 0)
                return r;
        }
    } else if (json_is_object(value) && json_object_get(value, "shape") == NULL) {
        json_object_foreach(value, name, item)
        {
            r = add_reading(making, name, item);
            if (r < 0)
                return r;
        }
    } else {
        return add_reading(making, NULL, value);
    }
    if (making->profile->reading_count > 0)
        return WZ_OK;
    return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                  "Give one, as in \"{device}/{subtopic}/{input}\".",
                  "There is no shape of readings.");
}

static int read_command(const struct making *making)
{
    json_auto_t *preset = json_string(COMMAND_PRESET);
    json_t *value = member_of(making, "command");

    return read_shape(making, "command", value != NULL ? value : preset, &making->profile->command);
}

static int read_ignored(const struct making *making)
{
    struct wz_profile *profile = making->profile;
    json_t *value = member_of(making, "ignore");
    json_t *item;
    size_t i;

    if (value != NULL && (!json_is_array(value) || json_array_size(value) > WZ_IGNORED_MAX))
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                      "Give a list of at most 8 shapes.", "\"ignore\" is no list, or too long.");
    json_array_foreach(value, i, item)
    {
        int r = read_shape(making, "ignore", item, &profile->ignored[profile->ignored_count]);

        if (r < 0)
            return r;
        profile->ignored_count++;
    }
    return WZ_OK;
}

// What is left alone would never be read, and what is sent would come back as a reading.
static int check_reading(const struct making *making, const struct wz_shape *shape)
{
    const struct wz_profile *profile = making->profile;

    if (wz_shape_covers(&profile->command, shape))
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                      "Give readings and commands different shapes.",
                      "Readings \"%.*s\" would be taken for commands, \"%.*s\".",
                      WZ_SLICE_FMT(wz_buf_slice(&shape->text)),
                      WZ_SLICE_FMT(wz_buf_slice(&profile->command.text)));
    for (uint8_t i = 0; i < profile->ignored_count; i++)
        if (wz_shape_covers(&profile->ignored[i], shape))
            return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                          "Take one of the two out, or give it more levels.",
                          "Readings \"%.*s\" would be ignored, as \"%.*s\" says.",
                          WZ_SLICE_FMT(wz_buf_slice(&shape->text)),
                          WZ_SLICE_FMT(wz_buf_slice(&profile->ignored[i].text)));
    return WZ_OK;
}

static int check_shapes(const struct making *making)
{
    const struct wz_profile *profile = making->profile;

    if (wz_slice_eq(wz_buf_slice(&profile->input), wz_buf_slice(&profile->output)))
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_TYPES_EQUAL,
                      "Give readings and commands different words.",
                      "Readings and commands would have the same type word, \"%.*s\".",
                      WZ_SLICE_FMT(wz_buf_slice(&profile->input)));
    for (uint8_t i = 0; i < profile->reading_count; i++) {
        int r = check_reading(making, &profile->readings[i].shape);

        if (r < 0)
            return r;
    }
    return WZ_OK;
}

// Channels.

void wz_channels_init(struct wz_channels *channels, uint32_t cap)
{
    wz_pairs_init(&channels->pairs, cap);
    channels->info = wz_zalloc(cap, sizeof(channels->info[0]));
}

void wz_channels_release(struct wz_channels *channels)
{
    wz_pairs_release(&channels->pairs);
    wz_free(channels->info);
    *channels = (struct wz_channels){0};
}

// Reads "type" and "send" of a body into INFO.
static const char *read_info(json_t *body, struct wz_channel_info *info)
{
    json_t *type = json_object_get(body, "type");
    json_t *send = json_object_get(body, "send");
    int found = -1;

    for (int i = 0; type != NULL && i < WZ_BODY_TYPE_COUNT; i++)
        if (json_is_string(type) &&
            strcmp(json_string_value(type), wz_body_type_word((enum wz_body_type)i)) == 0)
            found = i;
    if (type != NULL && found < 0)
        return "\"type\" is none of text, number, boolean and json";
    info->has_type = type != NULL;
    info->has_send = send != NULL;
    if (type != NULL)
        info->type = (enum wz_body_type)found;
    if (send == NULL)
        return NULL;
    if (!json_is_string(send) || (strcmp(json_string_value(send), "value") != 0 &&
                                  strcmp(json_string_value(send), "body") != 0))
        return "\"send\" is neither body nor value";
    info->send = strcmp(json_string_value(send), "value") == 0 ? WZ_SEND_VALUE : WZ_SEND_BODY;
    return NULL;
}

static const char *unknown_member(json_t *body)
{
    static const char *const known[] = {"channel", "type", "send", "reading", "description"};
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        bool found = false;

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found = found || strcmp(key, known[i]) == 0;
        if (!found)
            return key;
    }
    return NULL;
}

// Adds a channel with what is said of it beside its name.
static int add_channel(struct wz_channels *channels, const char *where, struct wz_slice subtopic,
                       json_t *body, const struct wz_channel_info *info,
                       struct wz_problem *ret_problem)
{
    json_t *value = json_is_object(body) ? json_object_get(body, "channel") : body;
    int code = WZ_CODE_MAPPING_CHANNEL;
    const char *wrong = wz_rule_levels(subtopic);
    struct wz_slice name;
    uint32_t index;

    if (wrong != NULL)
        return refuse(where, ret_problem, WZ_CODE_MAPPING_SUBTOPIC,
                      "Name the subtopic as it stands in the topic, as in \"M\" or \"a/b\".",
                      "The subtopic %s.", wrong);
    if (!json_is_string(value))
        return refuse(where, ret_problem, WZ_CODE_MAPPING_MEMBER,
                      "Give the member a text, as in docs/formats/mapping.md.",
                      "The member \"channel\" is missing or not a text.");
    name = text_of(value);
    wrong = wz_rule_words(name, &code);
    if (wrong != NULL)
        return refuse(where, ret_problem, code,
                      "Give words with dots between them, as in \"brightness\".",
                      "The channel \"%.*s\" %s.", WZ_SLICE_FMT(name), wrong);
    if (wz_pairs_add(&channels->pairs, subtopic, name, &index) == WZ_OK) {
        channels->info[index] = *info;
        return WZ_OK;
    }
    return refuse(where, ret_problem, WZ_CODE_MAPPING_CHANNEL_TAKEN,
                  "Give one of the two subtopics another channel.",
                  "The channel \"%.*s\" is that of the subtopic \"%.*s\" already.",
                  WZ_SLICE_FMT(name),
                  WZ_SLICE_FMT(wz_pairs_get(&channels->pairs, index, WZ_SIDE_PHYSICAL)));
}

int wz_channels_add(struct wz_channels *channels, const char *where, const char *subtopic,
                    json_t *body, struct wz_problem *ret_problem)
{
    struct wz_channel_info info = {.reading = WZ_READING_ANY};
    const char *unknown = json_is_object(body) ? unknown_member(body) : NULL;
    const char *wrong;

    if (unknown == NULL && json_object_get(body, "reading") != NULL)
        unknown = "reading"; // shapes are a template's
    if (unknown != NULL)
        return refuse(where, ret_problem, WZ_CODE_MAPPING_MEMBER,
                      "Take the member out; docs/formats/mapping.md lists those that are known.",
                      "There is no member \"%s\".", unknown);
    wrong = json_is_object(body) ? read_info(body, &info) : NULL;
    if (wrong != NULL)
        return refuse(where, ret_problem, WZ_CODE_MAPPING_MEMBER,
                      "docs/formats/mapping.md lists what it may be.", "The member %s.", wrong);
    return add_channel(channels, where, wz_slice_str(subtopic), body, &info, ret_problem);
}

static const char *read_pin(const struct wz_profile *profile, json_t *body, uint8_t *ret_reading)
{
    json_t *pin = json_object_get(body, "reading");

    *ret_reading = WZ_READING_ANY;
    if (pin == NULL)
        return NULL;
    for (uint8_t i = 0; json_is_string(pin) && i < profile->reading_count; i++)
        if (profile->readings[i].name != NULL &&
            strcmp(profile->readings[i].name, json_string_value(pin)) == 0)
            *ret_reading = i;
    if (*ret_reading == WZ_READING_ANY)
        return "\"reading\" is none of the names of the shapes of readings";
    if (!profile->readings[*ret_reading].shape.has_subtopic)
        return "\"reading\" names a shape without {subtopic}";
    return NULL;
}

static int add_own(const struct making *making, const char *subtopic, json_t *body)
{
    struct wz_profile *profile = making->profile;
    struct wz_channel_info info = profile->preset;
    const char *where = making->source->where;
    const char *unknown = json_is_object(body) ? unknown_member(body) : NULL;
    const char *wrong = NULL;

    if (unknown != NULL)
        return refuse(where, making->ret_problem, WZ_CODE_MAPPING_MEMBER,
                      "Take the member out; docs/formats/mapping.md lists those that are known.",
                      "The channel \"%.100s\" has a member \"%.100s\".", subtopic, unknown);
    if (json_is_object(body)) {
        wrong = read_info(body, &info);
        if (wrong == NULL)
            wrong = read_pin(profile, body, &info.reading);
    }
    if (wrong != NULL)
        return refuse(where, making->ret_problem, WZ_CODE_MAPPING_MEMBER,
                      "docs/formats/mapping.md lists what it may be.",
                      "In the channel \"%.100s\", %s.", subtopic, wrong);
    return add_channel(&profile->channels, where, wz_slice_str(subtopic), body, &info,
                       making->ret_problem);
}

// The device's channels, then those of the template that it does not name; null: it has none.
static int read_channels(const struct making *making)
{
    json_t *own = json_object_get(making->source->layers[1], "channels");
    json_t *shared = json_object_get(making->source->layers[0], "channels");
    const char *subtopic;
    json_t *body;
    int r;

    if ((own != NULL && !json_is_object(own)) || (shared != NULL && !json_is_object(shared)))
        return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_MEMBER,
                      "Give subtopics and their channels, as in {\"M\": \"brightness\"}.",
                      "The member \"channels\" is no object.");
    wz_channels_init(&making->profile->channels,
                     (uint32_t)(json_object_size(own) + json_object_size(shared)));
    json_object_foreach(own, subtopic, body)
    {
        r = json_is_null(body) ? WZ_OK : add_own(making, subtopic, body);
        if (r < 0)
            return r;
    }
    json_object_foreach(shared, subtopic, body)
    {
        r = json_object_get(own, subtopic) != NULL ? WZ_OK : add_own(making, subtopic, body);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

// Whether a channel is one of the shape READING alone.
static bool is_pinned(const struct wz_profile *profile, uint8_t reading)
{
    for (uint32_t i = 0; i < profile->channels.pairs.count; i++)
        if (profile->channels.info[i].reading == reading)
            return true;
    return false;
}

// Whether no topic of the shape READING could have a name, for those of the shape BEFORE have them.
static bool is_hidden_by(const struct wz_profile *profile, uint8_t reading, uint8_t before)
{
    const struct wz_reading *first = &profile->readings[before];
    const struct wz_reading *second = &profile->readings[reading];

    if (!wz_slice_eq(wz_buf_slice(&first->prefix), wz_buf_slice(&second->prefix)))
        return false;
    if (first->prefix.len == 0 && !first->shape.has_subtopic && second->shape.has_subtopic)
        return false; // the one has the device's own topic, the other those of its channels
    return !second->shape.has_subtopic || !is_pinned(profile, reading);
}

// Refuses shapes of readings that cannot be told apart, and a channel that is called as all of a
// shape.
static int check_names(const struct making *making)
{
    const struct wz_profile *profile = making->profile;

    for (uint8_t i = 0; i < profile->reading_count; i++) {
        const struct wz_reading *reading = &profile->readings[i];
        uint32_t index;

        for (uint8_t j = 0; j < i; j++)
            if (is_hidden_by(profile, i, j))
                return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_SHAPE,
                              "Give one of the two another prefix, or take it out.",
                              "Readings \"%.*s\" would have the names of readings \"%.*s\".",
                              WZ_SLICE_FMT(wz_buf_slice(&reading->shape.text)),
                              WZ_SLICE_FMT(wz_buf_slice(&profile->readings[j].shape.text)));
        if (reading->prefix.len > 0 && wz_pairs_find(&profile->channels.pairs, WZ_SIDE_LOGICAL,
                                                     wz_buf_slice(&reading->prefix), &index))
            return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_CHANNEL_TAKEN,
                          "Give the channel another name, or the shape another prefix.",
                          "The channel \"%.*s\" is the prefix of a shape of readings.",
                          WZ_SLICE_FMT(wz_buf_slice(&reading->prefix)));
    }
    return WZ_OK;
}

static int read_preset(const struct making *making)
{
    struct wz_channel_info *preset = &making->profile->preset;
    const char *wrong = NULL;

    preset->reading = WZ_READING_ANY;
    for (int i = 0; i < 2 && wrong == NULL; i++)
        wrong = read_info(making->source->layers[i], preset);
    if (wrong == NULL)
        return WZ_OK;
    return refuse(making->source->where, making->ret_problem, WZ_CODE_MAPPING_MEMBER,
                  "docs/formats/mapping.md lists what it may be.", "The member %s.", wrong);
}

int wz_profile_init(struct wz_profile *ret_profile, const struct wz_profile_source *source,
                    struct wz_problem *ret_problem)
{
    static int (*const steps[])(const struct making *making) = {
        read_words,   read_readings, read_command,  read_ignored,
        check_shapes, read_preset,   read_channels, check_names,
    };
    struct making making = {.profile = ret_profile, .source = source, .ret_problem = ret_problem};

    *ret_profile = (struct wz_profile){0};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i](&making);

        if (r == WZ_OK)
            continue;
        wz_profile_release(ret_profile);
        return r;
    }
    return WZ_OK;
}

void wz_profile_release(struct wz_profile *profile)
{
    wz_free(profile->template);
    wz_buf_release(&profile->input);
    wz_buf_release(&profile->output);
    for (size_t i = 0; i < WZ_READINGS_MAX; i++) {
        wz_free(profile->readings[i].name);
        wz_shape_release(&profile->readings[i].shape);
        wz_buf_release(&profile->readings[i].prefix);
    }
    wz_shape_release(&profile->command);
    for (size_t i = 0; i < WZ_IGNORED_MAX; i++)
        wz_shape_release(&profile->ignored[i]);
    wz_channels_release(&profile->channels);
    *profile = (struct wz_profile){0};
}
