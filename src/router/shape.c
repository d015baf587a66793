// SPDX-License-Identifier: Apache-2.0
// Owns the form of shapes: levels, each of which is fixed or one of {device}, {subtopic}, {input}
// and {output}; the device once, the subtopic at most once and behind it.
#include "router/shape.h"

#include "base/utf8.h"

#define DEVICE WZ_SLICE_LIT("{device}")

// What a level is.
enum level {
    LEVEL_FIXED,
    LEVEL_DEVICE,
    LEVEL_SUBTOPIC,
};

static const char *wrong_fixed(struct wz_slice level)
{
    if (level.len == 0)
        return "has an empty level";
    for (size_t i = 0; i < level.len; i++) {
        if (level.ptr[i] < 0x20 || level.ptr[i] == 0x7f)
            return "contains a control character";
        if (level.ptr[i] == '+' || level.ptr[i] == '#')
            return "contains a wildcard, '+' or '#'";
        if (level.ptr[i] == '{' || level.ptr[i] == '}')
            return "has a level in braces that is none of {device}, {subtopic}, {input}, {output}";
    }
    return NULL;
}

// Puts LEVEL, or the word it stands for, at the end of the text.
static const char *add_level(struct wz_buf *text, struct wz_slice level,
                             const struct wz_shape_words *words, enum level *ret_level)
{
    const char *wrong;

    *ret_level = LEVEL_FIXED;
    if (wz_slice_eq(level, DEVICE))
        *ret_level = LEVEL_DEVICE;
    else if (wz_slice_eq(level, WZ_SLICE_LIT("{subtopic}")))
        *ret_level = LEVEL_SUBTOPIC;
    else if (wz_slice_eq(level, WZ_SLICE_LIT("{input}")))
        level = words->input;
    else if (wz_slice_eq(level, WZ_SLICE_LIT("{output}")))
        level = words->output;
    if (*ret_level == LEVEL_FIXED) {
        wrong = wrong_fixed(level);
        if (wrong != NULL)
            return wrong;
    }
    if (text->len > 0)
        wz_buf_add_byte(text, '/');
    wz_buf_add_slice(text, level);
    return NULL;
}

// Where the parts of a text are, while it is read.
struct places {
    size_t device; // where the level begins
    size_t device_end;
    size_t subtopic;
    size_t subtopic_end;
    bool has_device;
    bool has_subtopic;
    uint32_t fixed_levels;
};

static const char *note_level(struct places *places, enum level level, size_t start, size_t end)
{
    switch (level) {
    case LEVEL_FIXED:
        places->fixed_levels++;
        return NULL;
    case LEVEL_DEVICE:
        if (places->has_device)
            return "has {device} twice";
        places->has_device = true;
        places->device = start;
        places->device_end = end;
        return NULL;
    case LEVEL_SUBTOPIC:
        if (places->has_subtopic)
            return "has {subtopic} twice";
        if (!places->has_device)
            return "has {subtopic} in front of {device}";
        places->has_subtopic = true;
        places->subtopic = start;
        places->subtopic_end = end;
        return NULL;
    }
    return NULL;
}

static const char *read_levels(struct wz_slice text, const struct wz_shape_words *words,
                               struct wz_buf *ret_text, struct places *ret_places)
{
    size_t start = 0;

    for (size_t i = 0; i <= text.len; i++) {
        enum level level;
        size_t from;
        const char *wrong;

        if (i < text.len && text.ptr[i] != '/')
            continue;
        from = ret_text->len > 0 ? ret_text->len + 1 : 0;
        wrong = add_level(ret_text, wz_slice_sub(text, start, i - start), words, &level);
        if (wrong == NULL)
            wrong = note_level(ret_places, level, from, ret_text->len);
        if (wrong != NULL)
            return wrong;
        start = i + 1;
    }
    return ret_places->has_device ? NULL : "has no {device}";
}

// The levels of the text between two places, without the '/' around them.
static struct wz_slice part(const struct wz_buf *text, size_t start, size_t end)
{
    if (start < end && text->ptr[start] == '/')
        start++;
    if (end > start && text->ptr[end - 1] == '/')
        end--;
    return end > start ? wz_slice(text->ptr + start, end - start) : (struct wz_slice){0};
}

const char *wz_shape_parse(struct wz_slice text, const struct wz_shape_words *words,
                           struct wz_shape *ret_shape)
{
    struct wz_shape shape = {0};
    struct places places = {0};
    const char *wrong;

    if (text.len > WZ_SHAPE_TEXT_MAX)
        return "is longer than 255 bytes";
    if (!wz_utf8_valid(text))
        return "is not UTF-8";
    wrong = read_levels(text, words, &shape.text, &places);
    if (wrong == NULL && shape.text.len > 2 * WZ_SHAPE_TEXT_MAX)
        wrong = "is too long with its type words";
    if (wrong == NULL && shape.text.ptr[0] == '$')
        wrong = "begins with '$'";
    if (wrong != NULL) {
        wz_buf_release(&shape.text);
        return wrong;
    }
    shape.has_subtopic = places.has_subtopic;
    shape.fixed_levels = places.fixed_levels;
    shape.before = part(&shape.text, 0, places.device);
    if (places.has_subtopic) {
        shape.between = part(&shape.text, places.device_end, places.subtopic);
        shape.after = part(&shape.text, places.subtopic_end, shape.text.len);
    } else {
        shape.after = part(&shape.text, places.device_end, shape.text.len);
    }
    *ret_shape = shape;
    return NULL;
}

void wz_shape_release(struct wz_shape *shape)
{
    wz_buf_release(&shape->text);
    *shape = (struct wz_shape){0};
}

bool wz_shape_strip(const struct wz_shape *shape, struct wz_slice topic,
                    struct wz_slice *ret_middle)
{
    struct wz_slice before = shape->before;
    struct wz_slice after = shape->after;

    if (before.len > 0) {
        if (topic.len <= before.len || topic.ptr[before.len] != '/' ||
            !wz_slice_starts(topic, before))
            return false;
        topic = wz_slice_sub(topic, before.len + 1, topic.len - before.len - 1);
    }
    if (after.len > 0) {
        size_t rest;

        if (topic.len <= after.len)
            return false;
        rest = topic.len - after.len - 1;
        if (topic.ptr[rest] != '/' || !wz_slice_eq(wz_slice_sub(topic, rest + 1, after.len), after))
            return false;
        topic.len = rest;
    }
    *ret_middle = topic;
    return topic.len > 0;
}

// Takes LEVELS and the '/' in front of them from the front of S.
static bool take_levels(struct wz_slice *s, struct wz_slice levels)
{
    if (s->len <= levels.len || s->ptr[0] != '/' ||
        !wz_slice_eq(wz_slice_sub(*s, 1, levels.len), levels) ||
        (s->len > levels.len + 1 && s->ptr[levels.len + 1] != '/'))
        return false;
    *s = wz_slice_sub(*s, levels.len + 1, s->len - levels.len - 1);
    return true;
}

bool wz_shape_split(const struct wz_shape *shape, struct wz_slice middle, size_t device_len,
                    struct wz_slice *ret_subtopic)
{
    struct wz_slice rest = wz_slice_sub(middle, device_len, middle.len - device_len);

    if (shape->between.len > 0 && !take_levels(&rest, shape->between))
        return false;
    if (rest.len == 0) {
        *ret_subtopic = (struct wz_slice){0};
        return true;
    }
    if (!shape->has_subtopic)
        return false;
    *ret_subtopic = wz_slice_sub(rest, 1, rest.len - 1);
    return true;
}

static void add_levels(struct wz_buf *topic, size_t start, struct wz_slice levels)
{
    if (topic->len > start)
        wz_buf_add_byte(topic, '/');
    wz_buf_add_slice(topic, levels);
}

bool wz_shape_write(const struct wz_shape *shape, struct wz_slice device, struct wz_slice subtopic,
                    struct wz_buf *ret_topic)
{
    size_t start = ret_topic->len;

    if (subtopic.ptr != NULL && !shape->has_subtopic)
        return false;
    if (shape->before.len > 0)
        add_levels(ret_topic, start, shape->before);
    add_levels(ret_topic, start, device);
    if (shape->between.len > 0)
        add_levels(ret_topic, start, shape->between);
    if (subtopic.ptr != NULL)
        add_levels(ret_topic, start, subtopic);
    if (shape->after.len > 0)
        add_levels(ret_topic, start, shape->after);
    return true;
}

bool wz_shape_covers(const struct wz_shape *shape, const struct wz_shape *other)
{
    struct wz_slice middle;
    struct wz_slice found;

    // Fixed levels have no braces, so OTHER's text is a topic that stands for all of its topics.
    return wz_shape_strip(shape, wz_buf_slice(&other->text), &middle) &&
           wz_slice_starts(middle, DEVICE) &&
           (middle.len == DEVICE.len || middle.ptr[DEVICE.len] == '/') &&
           wz_shape_split(shape, middle, DEVICE.len, &found);
}

bool wz_shape_makes(const struct wz_shape *shape, struct wz_slice device, struct wz_slice subtopic,
                    struct wz_slice topic)
{
    struct wz_slice middle;
    struct wz_slice found;

    return wz_shape_strip(shape, topic, &middle) && wz_slice_starts(middle, device) &&
           (middle.len == device.len || middle.ptr[device.len] == '/') &&
           wz_shape_split(shape, middle, device.len, &found) &&
           (found.ptr == NULL) == (subtopic.ptr == NULL) && wz_slice_eq(found, subtopic);
}
