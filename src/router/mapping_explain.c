// SPDX-License-Identifier: Apache-2.0
// Owns the words for what spot.c and mapping.c find.
#include "router/mapping_explain.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/ignores.h"
#include "router/name_rules.h"
#include "router/spot.h"

// Names have been through the mapping's rules, topics may be anything: what is no UTF-8 is left
// out.
static void set_text(json_t *steps, const char *name, struct wz_slice text)
{
    json_t *value = json_stringn(text.len > 0 ? (const char *)text.ptr : "", text.len);

    if (value != NULL)
        (void)json_object_set_new(steps, name, value);
}

__attribute__((format(printf, 3, 4))) static void set_words(json_t *steps, const char *name,
                                                            const char *format, ...)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    char words[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(words, sizeof(words), format, args); // a text that is too long is cut
    va_end(args);
    wz_buf_add_str(&text, words);
    set_text(steps, name, wz_utf8_head(wz_buf_slice(&text), sizeof(words) - 4));
}

static void set_device(json_t *steps, const struct wz_mapping *mapping, const struct wz_spot *spot)
{
    struct wz_slice id = wz_mapping_device_id(mapping, spot->device.number);
    json_t *captures = json_array();
    char route[WZ_TOPIC_MAX];
    size_t len =
        wz_device_write(&mapping->devices, &spot->device, WZ_SIDE_LOGICAL, route, sizeof(route));

    set_text(steps, "device", id);
    if (len > 0)
        set_text(steps, "route", wz_slice(route, len));
    if (spot->profile->template != NULL)
        set_text(steps, "template", wz_slice_str(spot->profile->template));
    for (uint8_t i = 0; i < spot->device.capture_count; i++) {
        struct wz_slice capture = spot->device.captures[i];

        (void)json_array_append_new(captures, json_stringn((const char *)capture.ptr, capture.len));
    }
    if (json_array_size(captures) > 0)
        (void)json_object_set(steps, "captures", captures);
    json_decref(captures);
}

// The channel, and what says that it is.
static void set_channel(json_t *steps, const struct wz_mapping *mapping, const struct wz_spot *spot)
{
    const struct wz_pairs *own = &spot->profile->channels.pairs;
    struct wz_channel_info info;
    struct wz_slice name;
    uint32_t index;

    if (spot->subtopic.ptr == NULL)
        return;
    set_text(steps, "subtopic", spot->subtopic);
    if (!wz_spot_channel(mapping, spot, &name, &info))
        return;
    set_text(steps, "channel", name);
    if (!wz_pairs_find(own, WZ_SIDE_PHYSICAL, spot->subtopic, &index))
        set_words(steps, "declared", "subtopics/%.*s", WZ_SLICE_FMT(spot->subtopic));
    else if (spot->profile->own)
        set_words(steps, "declared", "devices/%.*s",
                  WZ_SLICE_FMT(wz_mapping_device_id(mapping, spot->device.number)));
    else
        set_words(steps, "declared", "templates/%s", spot->profile->template);
}

// Stamps a body; RET_VALUE is the record's. Whether it is of its type.
static bool stamp(struct wz_slice topic, struct wz_slice body, enum wz_body_type type,
                  struct wz_buf *ret_value, enum wz_form *ret_form)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic_text = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf from = {0};
    struct wz_unstamped source = {.topic = topic, .body = body, .type = type};
    struct wz_preprocess pp;
    struct wz_record_parts parts;
    bool typed;

    wz_preprocess_init(&pp);
    wz_preprocess_add_topic_text(&topic_text, topic);
    wz_preprocess_add_from(&from, topic); // a header, which is not shown
    source.topic_text = wz_buf_slice(&topic_text);
    source.from = wz_buf_slice(&from);
    wz_preprocess_stamp(&pp, &source, wz_clock_wall_ms(), &parts);
    for (int i = 0; i < parts.value_count; i++)
        wz_buf_add_slice(ret_value, parts.value[i]);
    *ret_form = pp.form;
    typed = !pp.untyped;
    wz_preprocess_release(&pp);
    return typed;
}

// The record that BODY would become.
static void set_record(json_t *steps, const struct wz_translation *translation,
                       struct wz_slice body)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    enum wz_form form;

    if (!stamp(wz_slice(translation->topic, translation->topic_len), body, translation->type,
               &value, &form))
        set_words(steps, "note", "The body is no %s, so it stays text.",
                  wz_body_type_word(translation->type));
    set_text(steps, "record", wz_buf_slice(&value));
    set_text(steps, "form", wz_form_word(form));
}

// What the device gets of a record with BODY on egress.
static void set_sent(json_t *steps, struct wz_slice topic, struct wz_slice body, enum wz_send send)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf sent = {0};
    enum wz_form form;

    (void)stamp(topic, body, WZ_BODY_TEXT, &value, &form); // records on egress have no type
    if (wz_command_body(wz_buf_slice(&value), form, send, &sent) == WZ_OK)
        set_text(steps, "body", wz_buf_slice(&sent));
}

static void set_command(json_t *steps, const struct wz_mapping *mapping, struct wz_slice topic)
{
    struct wz_command_topic command;
    json_t *back = json_object();
    char text[WZ_TOPIC_MAX + 16];

    (void)snprintf(text, sizeof(text), "%.*s." WZ_MAPPING_COMMAND_WORD, WZ_SLICE_FMT(topic));
    set_text(back, "topic", wz_slice_str(text));
    if (wz_mapping_out(mapping, wz_slice_str(text), &command) == WZ_OK) {
        set_text(back, "to", wz_slice(command.topic, command.topic_len));
        set_text(back, "send", wz_slice_str(command.send == WZ_SEND_VALUE ? "value" : "body"));
    }
    (void)json_object_set_new(steps, "command", back);
}

// Misses.

// The shapes of a device's readings, one behind the other.
static void list_shapes(const struct wz_profile *profile, struct wz_buf *ret_text)
{
    for (uint8_t i = 0; i < profile->reading_count; i++)
        wz_buf_addf(ret_text, "%s\"%.*s\"",
                    i == 0                           ? ""
                    : i + 1 < profile->reading_count ? ", "
                                                     : " and ",
                    WZ_SLICE_FMT(wz_buf_slice(&profile->readings[i].shape.text)));
}

// How many levels two topics have in common in front.
static size_t common_levels(struct wz_slice a, struct wz_slice b)
{
    size_t levels = 0;

    for (size_t i = 0;; i++) {
        bool end_a = i == a.len || a.ptr[i] == '/';
        bool end_b = i == b.len || b.ptr[i] == '/';

        if (end_a != end_b || (!end_a && a.ptr[i] != b.ptr[i]))
            return levels;
        levels += end_a;
        if (i == a.len || i == b.len)
            return levels;
    }
}

// The device whose id is most like the front of a topic, or UINT32_MAX.
static uint32_t nearest_device(const struct wz_mapping *mapping, struct wz_slice physical)
{
    const struct wz_device_table *devices = &mapping->devices;
    uint32_t nearest = UINT32_MAX;
    size_t most = 0;

    for (uint32_t i = wz_device_next(devices, UINT32_MAX); i != UINT32_MAX;
         i = wz_device_next(devices, i)) {
        size_t levels = common_levels(wz_device_id(devices, i), physical);

        if (levels <= most)
            continue;
        most = levels;
        nearest = i;
    }
    return nearest;
}

// Whether messages can have this topic (MQTT 3.1.1 section 4.7).
static bool is_topic(struct wz_slice physical)
{
    return physical.len > 0 && memchr(physical.ptr, '+', physical.len) == NULL &&
           memchr(physical.ptr, '#', physical.len) == NULL;
}

// What to do for a topic whose device would be the levels in FRONT.
static void set_device_fix(json_t *steps, struct wz_slice front)
{
    const char *wrong = wz_rule_levels(front);

    if (wrong != NULL)
        set_words(steps, "fix",
                  "\"%.*s\" cannot be a device's id, for it %s: name the device by the levels "
                  "before that, or ignore the topic.",
                  WZ_SLICE_FMT(front), wrong);
    else
        set_words(steps, "fix", "Give the device a name: wyze device set \"%.*s\" ROUTE",
                  WZ_SLICE_FMT(front));
}

static void explain_unknown_device(json_t *steps, const struct wz_mapping *mapping,
                                   struct wz_slice physical)
{
    uint32_t nearest = nearest_device(mapping, physical);
    const uint8_t *slash = physical.len > 0 ? memrchr(physical.ptr, '/', physical.len) : NULL;
    size_t front = slash != NULL ? (size_t)(slash - physical.ptr) : physical.len;

    if (!is_topic(physical)) {
        set_words(steps, "why", "No message has such a topic: it is empty, or a filter.");
        set_words(steps, "fix", "Give a topic as a device publishes on it, without '+' and '#'.");
        return;
    }
    if (nearest != UINT32_MAX)
        set_words(steps, "why", "No device id stands in it; the nearest is \"%.*s\".",
                  WZ_SLICE_FMT(wz_mapping_device_id(mapping, nearest)));
    else
        set_words(steps, "why", "No device id stands in it.");
    set_device_fix(steps, wz_slice_sub(physical, 0, front));
}

// Finds the device whose topic it would be, were its levels behind the device others.
static void explain_unknown_type(json_t *steps, const struct wz_mapping *mapping,
                                 struct wz_slice physical)
{
    WZ_AUTO(wz_buf_release) struct wz_buf shapes = {0};
    struct wz_spot spot;

    if (!wz_spot_near(mapping, physical, &spot))
        return;
    set_device(steps, mapping, &spot);
    list_shapes(spot.profile, &shapes);
    set_words(steps, "why", "The device is known, but its readings have topics of the form %s.",
              wz_buf_str(&shapes));
    set_words(steps, "fix",
              "Let it follow a template whose shapes fit, or set the word in types/input.");
}

static void explain_collision(json_t *steps, const struct wz_mapping *mapping,
                              struct wz_slice physical, const struct wz_translation *translation)
{
    struct wz_slice topic = wz_slice(translation->topic, translation->topic_len);
    char other[WZ_COMMAND_TOPIC_MAX];
    char levels[WZ_TOPIC_MAX];
    struct wz_spot spot;
    size_t len = 0;

    set_text(steps, "topic", topic);
    if (wz_spot_read(mapping, topic, levels, &spot))
        len = wz_spot_write(mapping, &spot, &spot.profile->readings[spot.reading].shape, other);
    if (len > 0 && wz_slice_eq(wz_slice(other, len), physical)) {
        set_words(steps, "why", "It would be \"%.*s\" in two ways, also as a reading of \"%.*s\".",
                  WZ_SLICE_FMT(topic),
                  WZ_SLICE_FMT(wz_mapping_device_id(mapping, spot.device.number)));
        set_words(steps, "fix", "Give one of the two devices other shapes, or another route.");
        return;
    }
    if (len > 0)
        set_words(steps, "why", "Its topic would be \"%.*s\", which is that of \"%.*s\".",
                  WZ_SLICE_FMT(topic), (int)len, other);
    else
        set_words(steps, "why", "Its topic would be that of a command, or of nobody.");
    set_words(steps, "fix", "Give its subtopic a channel of its own.");
}

static void explain_miss(json_t *steps, const struct wz_mapping *mapping, enum wz_outcome outcome,
                         struct wz_slice physical, const struct wz_translation *translation)
{
    switch (outcome) {
    case WZ_OUTCOME_COMMAND:
        set_words(steps, "why",
                  "It is a command on its way to a device: the broker delivers it, and "
                  "nothing is recorded.");
        break;
    case WZ_OUTCOME_IGNORED:
        set_words(steps, "why", "The device's template says to leave it alone.");
        break;
    case WZ_OUTCOME_HIDDEN:
        set_words(steps, "why", "Topics that begin with '$' are never recorded.");
        break;
    case WZ_OUTCOME_UNKNOWN_DEVICE:
        explain_unknown_device(steps, mapping, physical);
        break;
    case WZ_OUTCOME_UNKNOWN_TYPE:
        explain_unknown_type(steps, mapping, physical);
        break;
    case WZ_OUTCOME_UNSAFE_LEVEL:
        set_words(steps, "why",
                  "One of its levels is empty or contains '.', '*', '#', '+' or a control "
                  "character, and so cannot be a word.");
        set_words(steps, "fix", "Give the subtopic a channel.");
        break;
    case WZ_OUTCOME_COLLISION:
        explain_collision(steps, mapping, physical, translation);
        break;
    default:
        set_words(steps, "why", "Its topic would be longer than %d bytes.", WZ_TOPIC_MAX);
        set_words(steps, "fix", "Give the subtopic a channel with a shorter name.");
    }
}

// Whether a message that is not mapped would be kept, were its topic not ignored.
static bool is_kept(enum wz_outcome outcome)
{
    return outcome != WZ_OUTCOME_COMMAND && outcome != WZ_OUTCOME_IGNORED &&
           outcome != WZ_OUTCOME_HIDDEN;
}

static void explain_ignored(json_t *steps, const struct wz_document_list *ignores,
                            struct wz_slice physical)
{
    const char *filter = wz_ignores_find(ignores, physical);

    if (filter == NULL)
        return;
    set_words(steps, "ignored_by", "ignores/%s", filter);
    set_words(steps, "note", "The inbox counts it and does not keep it.");
}

json_t *wz_mapping_explain_in(const struct wz_mapping *mapping,
                              const struct wz_document_list *ignores, struct wz_slice physical,
                              struct wz_slice body)
{
    struct wz_translation translation = {0};
    enum wz_outcome outcome = wz_mapping_in(mapping, physical, &translation);
    json_t *steps = json_object();
    struct wz_spot spot;

    set_text(steps, "outcome", wz_slice_str(wz_outcome_word(outcome)));
    if (outcome >= WZ_OUTCOME_MAPPED && physical.len > 0 && physical.ptr[0] != '$' &&
        wz_spot_find(mapping,
                     outcome == WZ_OUTCOME_COMMAND   ? WZ_SHAPE_COMMAND
                     : outcome == WZ_OUTCOME_IGNORED ? WZ_SHAPE_IGNORED
                                                     : WZ_SHAPE_READING,
                     physical, &spot)) {
        set_device(steps, mapping, &spot);
        if (outcome != WZ_OUTCOME_COMMAND && outcome != WZ_OUTCOME_IGNORED) {
            set_text(steps, "shape",
                     wz_buf_slice(&spot.profile->readings[spot.reading].shape.text));
            set_channel(steps, mapping, &spot);
        }
    }
    if (outcome != WZ_OUTCOME_MAPPED) {
        explain_miss(steps, mapping, outcome, physical, &translation);
        if (is_kept(outcome))
            explain_ignored(steps, ignores, physical);
        return steps;
    }
    set_text(steps, "type", wz_slice_str(wz_body_type_word(translation.type)));
    set_text(steps, "topic", wz_slice(translation.topic, translation.topic_len));
    if (body.ptr != NULL)
        set_record(steps, &translation, body);
    set_command(steps, mapping, wz_slice(translation.topic, translation.topic_len));
    return steps;
}

json_t *wz_mapping_explain_out(const struct wz_mapping *mapping, struct wz_slice topic,
                               struct wz_slice body)
{
    struct wz_slice end = WZ_SLICE_LIT("." WZ_MAPPING_COMMAND_WORD);
    json_t *steps = json_object();
    struct wz_command_topic command;
    char levels[WZ_TOPIC_MAX];
    struct wz_spot spot;

    if (topic.len > end.len &&
        wz_spot_read(mapping, wz_slice_sub(topic, 0, topic.len - end.len), levels, &spot)) {
        set_device(steps, mapping, &spot);
        set_channel(steps, mapping, &spot);
    }
    if (wz_mapping_out(mapping, topic, &command) < 0) {
        set_words(steps, "why", "No device has this topic.");
        set_words(steps, "fix",
                  "A command's topic is that of a device's readings with \".%s\" behind "
                  "it; wyze map test TOPIC shows it for one of the device's own topics.",
                  WZ_MAPPING_COMMAND_WORD);
        return steps;
    }
    set_text(steps, "to", wz_slice(command.topic, command.topic_len));
    set_text(steps, "send", wz_slice_str(command.send == WZ_SEND_VALUE ? "value" : "body"));
    if (body.ptr != NULL)
        set_sent(steps, topic, body, command.send);
    return steps;
}
