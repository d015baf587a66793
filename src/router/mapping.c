// SPDX-License-Identifier: Apache-2.0
// Owns the mapping's lookups. mapping_build.c makes one from documents.
//
// A physical topic is (device, subtopic) in one way: the longest device id that is a prefix. A
// logical topic is (device, subtopic) in one way: the longest route that is a prefix, then the
// declared channel, else the words as levels. Each lookup makes its answer by one of these readings
// and accepts it only if the other reading takes it back, so the mapping is one to one without
// looking at all pairs of devices.
#include "router/mapping.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "router/mapping_parts.h"

// A device and one of its subtopics. SUBTOPIC is that without levels when there is none.
struct place {
    uint32_t device;
    bool has_subtopic;
    struct wz_slice subtopic;
};

const char *wz_outcome_word(enum wz_outcome outcome)
{
    static const char *const words[] = {
#define WZ_OUTCOME_WORD(id, word) word,
        WZ_OUTCOME_TABLE(WZ_OUTCOME_WORD)
#undef WZ_OUTCOME_WORD
    };

    return words[outcome];
}

struct wz_mapping *wz_mapping_empty(void) { return wz_zalloc(1, sizeof(struct wz_mapping)); }

void wz_mapping_free(struct wz_mapping *mapping)
{
    if (mapping == NULL)
        return;
    wz_pairs_release(&mapping->devices);
    wz_pairs_release(&mapping->channels);
    wz_buf_release(&mapping->input);
    wz_buf_release(&mapping->output);
    wz_free(mapping);
}

struct wz_slice wz_mapping_device_id(const struct wz_mapping *mapping, uint32_t device)
{
    return wz_pairs_get(&mapping->devices, device, WZ_SIDE_PHYSICAL);
}

static struct wz_slice rest_of(struct wz_slice s, size_t front)
{
    return wz_slice_sub(s, front, s.len - front);
}

// Reads a physical topic without its type word.
static bool find_physical(const struct wz_mapping *mapping, struct wz_slice physical,
                          struct place *ret_place)
{
    struct place place = {0};
    size_t len;

    if (!wz_pairs_find_longest(&mapping->devices, WZ_SIDE_PHYSICAL, physical, '/', &place.device))
        return false;
    len = wz_mapping_device_id(mapping, place.device).len;
    place.has_subtopic = len < physical.len;
    if (place.has_subtopic)
        place.subtopic = rest_of(physical, len + 1);
    *ret_place = place;
    return true;
}

// Whether S can be both a word and a level.
static bool is_safe(struct wz_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\0' || strchr("./*#+", s.ptr[i]) != NULL)
            return false;
    return s.len > 0;
}

// Copies levels as words or words as levels: FROM and TO are the separators. WZ_OUTCOME_MAPPED when
// each can be both; the room must suffice.
static enum wz_outcome copy_levels(struct wz_slice s, uint8_t from, uint8_t to, char *ret_text)
{
    for (size_t start = 0, end = 0; end <= s.len; end++) {
        struct wz_slice part = wz_slice_sub(s, start, end - start);

        if (end < s.len && s.ptr[end] != from)
            continue;
        if (!is_safe(part))
            return WZ_OUTCOME_UNSAFE_LEVEL;
        if (wz_slice_eq(part, WZ_SLICE_LIT(WZ_MAPPING_COMMAND_WORD)))
            return WZ_OUTCOME_COLLISION;
        memcpy(ret_text + start, part.ptr, part.len);
        if (end < s.len)
            ret_text[end] = (char)to;
        start = end + 1;
    }
    return WZ_OUTCOME_MAPPED;
}

// Reads a logical topic, without the word of commands. LEVELS is room for a subtopic that is made
// of the topic's words.
static bool find_logical(const struct wz_mapping *mapping, struct wz_slice topic,
                         char levels[WZ_TOPIC_MAX], struct place *ret_place)
{
    struct place place = {0};
    struct wz_slice channel;
    uint32_t declared;
    size_t len;

    if (!wz_pairs_find_longest(&mapping->devices, WZ_SIDE_LOGICAL, topic, '.', &place.device))
        return false;
    len = wz_pairs_get(&mapping->devices, place.device, WZ_SIDE_LOGICAL).len;
    place.has_subtopic = len < topic.len;
    if (place.has_subtopic) {
        channel = rest_of(topic, len + 1);
        if (wz_pairs_find(&mapping->channels, WZ_SIDE_LOGICAL, channel, &declared))
            place.subtopic = wz_pairs_get(&mapping->channels, declared, WZ_SIDE_PHYSICAL);
        else if (copy_levels(channel, '.', '/', levels) == WZ_OUTCOME_MAPPED)
            place.subtopic = wz_slice(levels, channel.len);
        else
            return false;
    }
    *ret_place = place;
    return true;
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->device == b->device && a->has_subtopic == b->has_subtopic &&
           wz_slice_eq(a->subtopic, b->subtopic);
}

// Writes the topic of a place.
static enum wz_outcome name_place(const struct wz_mapping *mapping, const struct place *place,
                                  struct wz_translation *ret_translation)
{
    struct wz_slice route = wz_pairs_get(&mapping->devices, place->device, WZ_SIDE_LOGICAL);
    struct wz_slice channel = place->subtopic;
    enum wz_outcome outcome = WZ_OUTCOME_MAPPED;
    char *end = ret_translation->topic + route.len;
    uint32_t declared;
    bool is_declared = place->has_subtopic && wz_pairs_find(&mapping->channels, WZ_SIDE_PHYSICAL,
                                                            place->subtopic, &declared);

    if (is_declared)
        channel = wz_pairs_get(&mapping->channels, declared, WZ_SIDE_LOGICAL);
    ret_translation->device = place->device;
    ret_translation->topic_len = route.len + (place->has_subtopic ? 1 + channel.len : 0);
    if (ret_translation->topic_len > WZ_TOPIC_MAX)
        return WZ_OUTCOME_TOO_LONG;
    memcpy(ret_translation->topic, route.ptr, route.len);
    if (!place->has_subtopic)
        return WZ_OUTCOME_MAPPED;
    *end = '.';
    if (is_declared)
        memcpy(end + 1, channel.ptr, channel.len);
    else
        outcome = copy_levels(channel, '/', '.', end + 1);
    return outcome;
}

enum wz_outcome wz_mapping_in(const struct wz_mapping *mapping, struct wz_slice physical,
                              struct wz_translation *ret_translation)
{
    const uint8_t *slash = NULL;
    char levels[WZ_TOPIC_MAX];
    struct wz_slice word;
    struct place place;
    struct place back;
    size_t front;
    enum wz_outcome outcome;

    if (physical.len > 0 && physical.ptr[0] == '$')
        return WZ_OUTCOME_HIDDEN;
    if (physical.len > 0)
        slash = memrchr(physical.ptr, '/', physical.len);
    if (slash == NULL)
        return WZ_OUTCOME_UNKNOWN_DEVICE;
    front = (size_t)(slash - physical.ptr);
    word = rest_of(physical, front + 1);
    if (!find_physical(mapping, wz_slice_sub(physical, 0, front), &place))
        return WZ_OUTCOME_UNKNOWN_DEVICE;
    if (wz_slice_eq(word, wz_buf_slice(&mapping->output)))
        return WZ_OUTCOME_COMMAND;
    if (!wz_slice_eq(word, wz_buf_slice(&mapping->input)))
        return WZ_OUTCOME_UNKNOWN_TYPE;
    outcome = name_place(mapping, &place, ret_translation);
    if (outcome != WZ_OUTCOME_MAPPED)
        return outcome;
    if (!find_logical(mapping, wz_slice(ret_translation->topic, ret_translation->topic_len), levels,
                      &back) ||
        !same_place(&place, &back))
        return WZ_OUTCOME_COLLISION;
    return WZ_OUTCOME_MAPPED;
}

static void add_text(struct wz_command_topic *command, struct wz_slice s)
{
    memcpy(command->topic + command->topic_len, s.ptr, s.len);
    command->topic_len += s.len;
}

int wz_mapping_out(const struct wz_mapping *mapping, struct wz_slice topic,
                   struct wz_command_topic *ret_command)
{
    struct wz_slice end = WZ_SLICE_LIT("." WZ_MAPPING_COMMAND_WORD);
    struct wz_command_topic command = {0};
    struct wz_translation again;
    char levels[WZ_TOPIC_MAX];
    struct place place;
    struct place back;

    if (topic.len > WZ_TOPIC_MAX || topic.len < end.len ||
        !wz_slice_eq(rest_of(topic, topic.len - end.len), end) || !wz_utf8_valid(topic))
        return WZ_ERR_NOT_FOUND;
    topic.len -= end.len;
    if (!find_logical(mapping, topic, levels, &place))
        return WZ_ERR_NOT_FOUND;
    command.device = place.device;
    add_text(&command, wz_mapping_device_id(mapping, place.device));
    if (place.has_subtopic) {
        add_text(&command, WZ_SLICE_LIT("/"));
        add_text(&command, place.subtopic);
    }
    // The subtopic may be that of another channel, or of a device with a longer id.
    if (!find_physical(mapping, wz_slice(command.topic, command.topic_len), &back) ||
        !same_place(&place, &back) || name_place(mapping, &place, &again) != WZ_OUTCOME_MAPPED ||
        !wz_slice_eq(wz_slice(again.topic, again.topic_len), topic))
        return WZ_ERR_NOT_FOUND;
    add_text(&command, WZ_SLICE_LIT("/"));
    add_text(&command, wz_buf_slice(&mapping->output));
    *ret_command = command;
    return WZ_OK;
}
