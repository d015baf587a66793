// SPDX-License-Identifier: Apache-2.0
// Owns the rules of the mapping's documents: what is refused when they are saved.
#include "router/mapping.h"

#include "base/codes.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/mapping_parts.h"

// What is being built, and what it is checked with.
struct build {
    struct wz_mapping *mapping;
    struct wz_slice *channels; // all channels' names, in the order of bytes
    struct wz_problem *ret_problem;
};

// Where the problem is: a document.
struct subject {
    enum wz_collection collection;
    const char *name;
};

__attribute__((format(printf, 5, 6))) static int refuse(const struct build *build,
                                                        struct subject subject, int code,
                                                        const char *fix, const char *what, ...)
{
    va_list args;
    char text[256];

    va_start(args, what);
    (void)vsnprintf(text, sizeof(text), what, args); // a text that is too long is cut
    va_end(args);
    wz_problem_set(build->ret_problem, WZ_ERR_INVALID, code, "%s", text);
    wz_problem_where(build->ret_problem, "%s/%s", wz_collection_name(subject.collection),
                     subject.name);
    wz_problem_fix(build->ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

// The text of the one member that a document's body has.
static int get_member(const struct build *build, struct subject subject, json_t *body,
                      const char *member, struct wz_slice *ret_text)
{
    json_t *value = json_object_get(body, member);
    const char *key;
    json_t *other;

    if (json_object_size(body) == 1 && json_is_string(value)) {
        *ret_text = wz_slice(json_string_value(value), json_string_length(value));
        return WZ_OK;
    }
    json_object_foreach(body, key, other)
    {
        if (other != value)
            return refuse(
                build, subject, WZ_CODE_MAPPING_MEMBER,
                "Take the member out; docs/formats/mapping.md lists those that are known.",
                "There is no member \"%s\".", key);
    }
    return refuse(build, subject, WZ_CODE_MAPPING_MEMBER,
                  "Give the member a text, as in docs/formats/mapping.md.",
                  "The member \"%s\" is missing or not a text.", member);
}

// NULL when S can be an MQTT topic level, or several with '/' between them; else what is wrong.
static const char *wrong_levels(struct wz_slice s)
{
    if (s.len == 0)
        return "is empty";
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return "contains a control character";
        if (s.ptr[i] == '+' || s.ptr[i] == '#')
            return "contains a wildcard, '+' or '#'";
        if (s.ptr[i] == '/' && (i == 0 || i + 1 == s.len || s.ptr[i + 1] == '/'))
            return "contains an empty level";
    }
    return wz_utf8_valid(s) ? NULL : "is not UTF-8";
}

// NULL when S is a topic of words; else what is wrong. RET_CODE is that of the rule, if it is
// another one than CODE.
static const char *wrong_words(struct wz_slice s, int *code)
{
    size_t start = 0;

    if (s.len == 0)
        return "is empty";
    if (s.len > WZ_TOPIC_MAX)
        return "is longer than 255 bytes";
    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f))
            return "contains a control character";
        if (i < s.len && (s.ptr[i] == '/' || s.ptr[i] == '*' || s.ptr[i] == '#' || s.ptr[i] == '+'))
            return "contains one of '/', '*', '#' and '+'";
        if (i < s.len && s.ptr[i] != '.')
            continue;
        if (i == start)
            return "contains an empty word";
        if (wz_slice_eq(wz_slice_sub(s, start, i - start), WZ_SLICE_LIT(WZ_MAPPING_COMMAND_WORD))) {
            *code = WZ_CODE_MAPPING_OUTPUT_WORD;
            return "contains the word \"output\", which marks commands";
        }
        start = i + 1;
    }
    return wz_utf8_valid(s) ? NULL : "is not UTF-8";
}

static int add_type(struct build *build, const struct wz_document *document)
{
    struct subject subject = {WZ_COLLECTION_TYPES, document->name};
    struct wz_buf *word;
    struct wz_slice text;
    const char *wrong;
    int r;

    if (strcmp(document->name, "input") == 0)
        word = &build->mapping->input;
    else if (strcmp(document->name, "output") == 0)
        word = &build->mapping->output;
    else
        return refuse(
            build, subject, WZ_CODE_MAPPING_TYPE,
            "Name it \"input\", the word of readings, or \"output\", the word of commands.",
            "There is no type \"%s\".", document->name);
    r = get_member(build, subject, document->body, "word", &text);
    if (r < 0)
        return r;
    wrong = wrong_levels(text);
    if (wrong == NULL && memchr(text.ptr, '/', text.len) != NULL)
        wrong = "is more than one level";
    if (wrong == NULL && text.len > WZ_TOPIC_MAX)
        wrong = "is longer than 255 bytes";
    if (wrong != NULL)
        return refuse(build, subject, WZ_CODE_MAPPING_TYPE, "Give one level, as in \"status\".",
                      "The type word %s.", wrong);
    word->len = 0;
    wz_buf_add_slice(word, text);
    return WZ_OK;
}

static int add_types(struct build *build, const struct wz_document_list *list)
{
    struct wz_mapping *mapping = build->mapping;

    wz_buf_add_str(&mapping->input, WZ_MAPPING_INPUT_PRESET);
    wz_buf_add_str(&mapping->output, WZ_MAPPING_OUTPUT_PRESET);
    for (size_t i = 0; i < list->count; i++) {
        int r = add_type(build, &list->items[i]);

        if (r < 0)
            return r;
    }
    if (wz_slice_eq(wz_buf_slice(&mapping->input), wz_buf_slice(&mapping->output)))
        return refuse(build, (struct subject){WZ_COLLECTION_TYPES, "input"},
                      WZ_CODE_MAPPING_TYPES_EQUAL, "Give readings and commands different words.",
                      "Readings and commands would have the same type word, \"%.*s\".",
                      WZ_SLICE_FMT(wz_buf_slice(&mapping->input)));
    return WZ_OK;
}

static int add_channel(struct build *build, const struct wz_document *document)
{
    struct subject subject = {WZ_COLLECTION_SUBTOPICS, document->name};
    struct wz_pairs *channels = &build->mapping->channels;
    struct wz_slice subtopic = wz_slice_str(document->name);
    const char *wrong = wrong_levels(subtopic);
    int code = WZ_CODE_MAPPING_CHANNEL;
    struct wz_slice channel;
    uint32_t index;
    int r;

    if (wrong != NULL)
        return refuse(build, subject, WZ_CODE_MAPPING_SUBTOPIC,
                      "Name the subtopic as it stands in the topic, as in \"M\" or \"a/b\".",
                      "The subtopic %s.", wrong);
    r = get_member(build, subject, document->body, "channel", &channel);
    if (r < 0)
        return r;
    wrong = wrong_words(channel, &code);
    if (wrong != NULL)
        return refuse(build, subject, code,
                      "Give words with dots between them, as in \"brightness\".",
                      "The channel \"%.*s\" %s.", WZ_SLICE_FMT(channel), wrong);
    if (wz_pairs_add(channels, subtopic, channel, &index) == WZ_OK)
        return WZ_OK;
    return refuse(build, subject, WZ_CODE_MAPPING_CHANNEL_TAKEN,
                  "Give one of the two subtopics another channel.",
                  "The channel \"%.*s\" is that of the subtopic \"%.*s\" already.",
                  WZ_SLICE_FMT(channel),
                  WZ_SLICE_FMT(wz_pairs_get(channels, index, WZ_SIDE_PHYSICAL)));
}

static int by_bytes(const void *a, const void *b)
{
    const struct wz_slice *left = a;
    const struct wz_slice *right = b;

    return wz_slice_cmp(*left, *right);
}

static int add_channels(struct build *build, const struct wz_document_list *list)
{
    struct wz_pairs *channels = &build->mapping->channels;

    wz_pairs_init(channels, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        int r = add_channel(build, &list->items[i]);

        if (r < 0)
            return r;
    }
    build->channels = wz_zalloc(list->count, sizeof(build->channels[0]));
    for (uint32_t i = 0; i < channels->count; i++)
        build->channels[i] = wz_pairs_get(channels, i, WZ_SIDE_LOGICAL);
    qsort(build->channels, channels->count, sizeof(build->channels[0]), by_bytes);
    return WZ_OK;
}

// A channel that is WORDS or begins with WORDS and a dot; an empty slice when there is none.
static struct wz_slice find_channel(const struct build *build, struct wz_slice words)
{
    size_t low = 0;
    size_t high = build->mapping->channels.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (wz_slice_cmp(build->channels[middle], words) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    // From here on come all that begin with the bytes of WORDS, with a dot behind them or not.
    for (; low < build->mapping->channels.count; low++) {
        struct wz_slice channel = build->channels[low];

        if (!wz_slice_starts(channel, words))
            break;
        if (channel.len == words.len || channel.ptr[words.len] == '.')
            return channel;
    }
    return (struct wz_slice){0};
}

static int add_device(struct build *build, const struct wz_document *document)
{
    struct subject subject = {WZ_COLLECTION_DEVICES, document->name};
    struct wz_pairs *devices = &build->mapping->devices;
    struct wz_slice id = wz_slice_str(document->name);
    const char *wrong = id.len > 0 && id.ptr[0] == '$' ? "begins with '$'" : wrong_levels(id);
    int code = WZ_CODE_MAPPING_ROUTE;
    struct wz_slice route;
    uint32_t index;
    int r;

    if (wrong != NULL)
        return refuse(
            build, subject, WZ_CODE_MAPPING_DEVICE,
            "Name the device as it stands in front of its topics, as in \"mesh/b5ea3f/42\".",
            "The device id %s.", wrong);
    r = get_member(build, subject, document->body, "route", &route);
    if (r < 0)
        return r;
    wrong = wrong_words(route, &code);
    if (wrong != NULL)
        return refuse(build, subject, code,
                      "Give words with dots between them, as in \"bedroom.light\".",
                      "The route \"%.*s\" %s.", WZ_SLICE_FMT(route), wrong);
    if (wz_pairs_add(devices, id, route, &index) == WZ_OK)
        return WZ_OK;
    return refuse(build, subject, WZ_CODE_MAPPING_ROUTE_TAKEN,
                  "Give one of the two devices another route.",
                  "The route \"%.*s\" is that of the device \"%.*s\" already.", WZ_SLICE_FMT(route),
                  WZ_SLICE_FMT(wz_pairs_get(devices, index, WZ_SIDE_PHYSICAL)));
}

// Refuses a route that is another's route plus one of its channels, or plus the front of one: that
// channel's topic would be taken for one of this device.
static int check_overlap(const struct build *build, uint32_t device)
{
    const struct wz_pairs *devices = &build->mapping->devices;
    struct wz_slice route = wz_pairs_get(devices, device, WZ_SIDE_LOGICAL);
    struct wz_slice id = wz_pairs_get(devices, device, WZ_SIDE_PHYSICAL);

    for (size_t i = 1; i < route.len; i++) {
        struct wz_slice channel;
        struct wz_slice other;
        char name[WZ_DOCUMENT_NAME_MAX + 1];
        uint32_t index;

        if (build->mapping->channels.count == 0 || route.ptr[i] != '.' ||
            !wz_pairs_find(devices, WZ_SIDE_LOGICAL, wz_slice(route.ptr, i), &index))
            continue;
        channel = find_channel(build, wz_slice_sub(route, i + 1, route.len - i - 1));
        if (channel.len == 0)
            continue;
        other = wz_pairs_get(devices, index, WZ_SIDE_PHYSICAL);
        (void)snprintf(name, sizeof(name), "%.*s", WZ_SLICE_FMT(id)); // an id is a document's name
        return refuse(
            build, (struct subject){WZ_COLLECTION_DEVICES, name}, WZ_CODE_MAPPING_OVERLAP,
            "Give one of the two devices, or the channel, another name.",
            "The route \"%.*s\" takes the topics of channel \"%.*s\" of the device \"%.*s\".",
            WZ_SLICE_FMT(route), WZ_SLICE_FMT(channel), WZ_SLICE_FMT(other));
    }
    return WZ_OK;
}

static int add_devices(struct build *build, const struct wz_document_list *list)
{
    wz_pairs_init(&build->mapping->devices, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        int r = add_device(build, &list->items[i]);

        if (r < 0)
            return r;
    }
    for (uint32_t i = 0; i < build->mapping->devices.count; i++) {
        int r = check_overlap(build, i);

        if (r < 0)
            return r;
    }
    return WZ_OK;
}

int wz_mapping_compile(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                       struct wz_mapping **ret_mapping, struct wz_problem *ret_problem)
{
    struct build build = {.mapping = wz_mapping_empty(), .ret_problem = ret_problem};
    int r = add_types(&build, &lists[WZ_COLLECTION_TYPES]);

    if (r == WZ_OK)
        r = add_channels(&build, &lists[WZ_COLLECTION_SUBTOPICS]);
    if (r == WZ_OK)
        r = add_devices(&build, &lists[WZ_COLLECTION_DEVICES]);
    wz_free(build.channels);
    if (r < 0)
        wz_mapping_free(build.mapping);
    else
        *ret_mapping = build.mapping;
    return r;
}

int wz_mapping_build(struct wz_store_view *view, struct wz_mapping **ret_mapping,
                     struct wz_problem *ret_problem)
{
    static const enum wz_collection read[] = {WZ_COLLECTION_TYPES, WZ_COLLECTION_SUBTOPICS,
                                              WZ_COLLECTION_DEVICES};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    int r = WZ_OK;

    for (size_t i = 0; i < 3 && r == WZ_OK; i++) {
        r = wz_store_view_list(view, read[i], &lists[read[i]]);
        if (r == WZ_OK)
            continue;
        wz_problem_set(ret_problem, r, WZ_CODE_STORE_IO, "The documents cannot be read: %s.",
                       wz_err_text(r));
        wz_problem_where(ret_problem, "%s", wz_collection_name(read[i]));
        wz_problem_fix(ret_problem, "Look at the disk and the program's log; then try again.");
    }
    if (r == WZ_OK)
        r = wz_mapping_compile(lists, ret_mapping, ret_problem);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
    return r;
}
