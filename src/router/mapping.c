// SPDX-License-Identifier: Apache-2.0
// Owns the mapping's lookups. mapping_build.c makes one from documents.
//
// A physical topic is (device, shape, subtopic) in one way: the first shape and device in the order
// of trial. A logical topic is (device, shape, subtopic) in one way: the first device in the order
// of trial, then the declared channel, else the words as levels. Each lookup makes its answer by
// one of these readings and accepts it only if the other one gives back what it came from, so the
// mapping is one to one without looking at all pairs of devices.
#include "router/mapping.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "router/mapping_parts.h"

// A device, one of the shapes of its readings, and a subtopic.
struct place {
    struct wz_device_match device;
    const struct wz_profile *profile;
    uint8_t reading;
    struct wz_slice subtopic; // its pointer is NULL when there is none
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

struct wz_mapping *wz_mapping_empty(void)
{
    struct wz_mapping *mapping = wz_zalloc(1, sizeof(*mapping));

    mapping->refs = 1;
    return mapping;
}

struct wz_mapping *wz_mapping_ref(struct wz_mapping *mapping)
{
    atomic_fetch_add_explicit(&mapping->refs, 1, memory_order_relaxed);
    return mapping;
}

void wz_mapping_unref(struct wz_mapping *mapping)
{
    if (mapping == NULL || atomic_fetch_sub_explicit(&mapping->refs, 1, memory_order_acq_rel) > 1)
        return;
    wz_device_table_release(&mapping->devices);
    wz_channels_release(&mapping->channels);
    for (int use = 0; use < WZ_SHAPE_USE_COUNT; use++) {
        for (uint32_t i = 0; i < mapping->shapes[use].count; i++)
            wz_free(mapping->shapes[use].items[i].users);
        wz_free(mapping->shapes[use].items);
    }
    for (uint32_t i = 0; i < mapping->profile_count; i++)
        wz_profile_release(&mapping->profiles[i]);
    wz_free(mapping->profiles);
    wz_free(mapping);
}

struct wz_slice wz_mapping_device_id(const struct wz_mapping *mapping, uint32_t device)
{
    return wz_device_id(&mapping->devices, device);
}

static struct wz_slice rest_of(struct wz_slice s, size_t front)
{
    return wz_slice_sub(s, front, s.len - front);
}

// Physical topics.

static const struct wz_shape_user *find_user(const struct wz_used_shape *used, uint32_t profile)
{
    uint32_t low = 0;
    uint32_t high = used->user_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (used->users[middle].profile < profile)
            low = middle + 1;
        else
            high = middle;
    }
    return low < used->user_count && used->users[low].profile == profile ? &used->users[low] : NULL;
}

// Reads a physical topic by one shape.
static bool try_shape(const struct wz_mapping *mapping, const struct wz_used_shape *used,
                      struct wz_slice physical, struct place *ret_place)
{
    struct wz_device_walk walk;
    struct wz_slice middle;

    if (!wz_shape_strip(&used->shape, physical, &middle))
        return false;
    walk = wz_device_walk(&mapping->devices, WZ_SIDE_PHYSICAL, middle);
    while (wz_device_walk_next(&walk, &ret_place->device)) {
        uint32_t profile = mapping->devices.profiles[ret_place->device.number];
        const struct wz_shape_user *user = find_user(used, profile);

        if (user == NULL ||
            !wz_shape_split(&used->shape, middle, ret_place->device.len, &ret_place->subtopic))
            continue;
        ret_place->profile = &mapping->profiles[profile];
        ret_place->reading = user->reading;
        return true;
    }
    return false;
}

// Whether A comes before B in the order of trial; SHAPE_A and SHAPE_B are how they were found.
static bool is_before(const struct wz_device_match *a, const struct wz_shape *shape_a,
                      const struct wz_device_match *b, const struct wz_shape *shape_b)
{
    if ((a->capture_count == 0) != (b->capture_count == 0))
        return a->capture_count == 0;
    if (a->levels != b->levels)
        return a->levels > b->levels;
    return a->literal_levels + shape_a->fixed_levels > b->literal_levels + shape_b->fixed_levels;
}

// Reads a physical topic by all shapes of a use.
static bool find_physical(const struct wz_mapping *mapping, enum wz_shape_use use,
                          struct wz_slice physical, struct place *ret_place)
{
    const struct wz_shape_list *list = &mapping->shapes[use];
    const struct wz_shape *best = NULL;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct wz_shape *shape = &list->items[i].shape;
        struct place place;

        if (!try_shape(mapping, &list->items[i], physical, &place) ||
            (best != NULL && !is_before(&place.device, shape, &ret_place->device, best)))
            continue;
        *ret_place = place;
        best = shape;
        if (use != WZ_SHAPE_READING)
            break; // which of them it is does not matter
    }
    return best != NULL;
}

// Whether a topic would be a device's, were its levels behind that others.
static bool is_of_device(const struct wz_mapping *mapping, struct wz_slice physical)
{
    const struct wz_shape_list *list = &mapping->shapes[WZ_SHAPE_READING];

    for (uint32_t i = 0; i < list->count; i++) {
        struct wz_shape front = list->items[i].shape;
        struct wz_device_match match;
        struct wz_device_walk walk;
        struct wz_slice middle;

        front.after = (struct wz_slice){0};
        if (!wz_shape_strip(&front, physical, &middle))
            continue;
        walk = wz_device_walk(&mapping->devices, WZ_SIDE_PHYSICAL, middle);
        while (wz_device_walk_next(&walk, &match))
            if (match.len < middle.len &&
                find_user(&list->items[i], mapping->devices.profiles[match.number]) != NULL)
                return true;
    }
    return false;
}

// Channels.

// Whether channels that are not of one shape in particular stand in topics of this one.
static bool has_channels(const struct wz_profile *profile, uint8_t reading)
{
    if (!profile->readings[reading].shape.has_subtopic)
        return false;
    if (profile->readings[reading].prefix.len > 0)
        return true;
    for (uint8_t i = 0; i < reading; i++)
        if (profile->readings[i].prefix.len == 0 && profile->readings[i].shape.has_subtopic)
            return false;
    return true;
}

// The channel that a subtopic is declared to be. Whether there is one.
static bool find_channel(const struct wz_mapping *mapping, const struct place *place,
                         struct wz_slice *ret_name, struct wz_channel_info *ret_info)
{
    const struct wz_channels *own = &place->profile->channels;
    const struct wz_channels *channels = own;
    const struct wz_channel_info *info;
    uint32_t index;

    if (!wz_pairs_find(&own->pairs, WZ_SIDE_PHYSICAL, place->subtopic, &index)) {
        channels = &mapping->channels;
        if (!wz_pairs_find(&channels->pairs, WZ_SIDE_PHYSICAL, place->subtopic, &index))
            return false;
    }
    info = &channels->info[index];
    if (info->reading != WZ_READING_ANY ? info->reading != place->reading
                                        : !has_channels(place->profile, place->reading))
        return false;
    *ret_name = wz_pairs_get(&channels->pairs, index, WZ_SIDE_LOGICAL);
    *ret_info = *info;
    return true;
}

// The subtopic that is declared to be a channel of that name. Whether there is one.
static bool find_subtopic(const struct wz_mapping *mapping, const struct wz_profile *profile,
                          struct wz_slice name, struct wz_slice *ret_subtopic, uint8_t *ret_reading)
{
    const struct wz_channels *channels = &profile->channels;
    uint32_t index;
    uint32_t unused;

    if (!wz_pairs_find(&channels->pairs, WZ_SIDE_LOGICAL, name, &index)) {
        channels = &mapping->channels;
        if (!wz_pairs_find(&channels->pairs, WZ_SIDE_LOGICAL, name, &index) ||
            wz_pairs_find(&profile->channels.pairs, WZ_SIDE_PHYSICAL,
                          wz_pairs_get(&channels->pairs, index, WZ_SIDE_PHYSICAL), &unused))
            return false;
    }
    *ret_subtopic = wz_pairs_get(&channels->pairs, index, WZ_SIDE_PHYSICAL);
    *ret_reading = channels->info[index].reading;
    return true;
}

// Whether S can be both a word and a level, and marks no command.
static enum wz_outcome judge_part(struct wz_slice s)
{
    if (!wz_device_safe(s))
        return WZ_OUTCOME_UNSAFE_LEVEL;
    return wz_slice_eq(s, WZ_SLICE_LIT(WZ_MAPPING_COMMAND_WORD)) ? WZ_OUTCOME_COLLISION
                                                                 : WZ_OUTCOME_MAPPED;
}

static enum wz_outcome judge_captures(const struct wz_device_match *match)
{
    for (uint32_t i = 0; i < match->capture_count; i++) {
        enum wz_outcome outcome = judge_part(match->captures[i]);

        if (outcome != WZ_OUTCOME_MAPPED)
            return outcome;
    }
    return WZ_OUTCOME_MAPPED;
}

// Copies levels as words or words as levels: FROM and TO are the separators. WZ_OUTCOME_MAPPED when
// each can be both; the room must suffice.
static enum wz_outcome copy_levels(struct wz_slice s, uint8_t from, uint8_t to, char *ret_text)
{
    for (size_t start = 0, end = 0; end <= s.len; end++) {
        struct wz_slice part = wz_slice_sub(s, start, end - start);
        enum wz_outcome outcome;

        if (end < s.len && s.ptr[end] != from)
            continue;
        outcome = judge_part(part);
        if (outcome != WZ_OUTCOME_MAPPED)
            return outcome;
        memcpy(ret_text + start, part.ptr, part.len);
        if (end < s.len)
            ret_text[end] = (char)to;
        start = end + 1;
    }
    return WZ_OUTCOME_MAPPED;
}

// Logical topics.

// The shape of readings without a prefix for topics with, or without, a subtopic; WZ_READING_ANY
// when there is none.
static uint8_t plain_reading(const struct wz_profile *profile, bool has_subtopic)
{
    for (uint8_t i = 0; i < profile->reading_count; i++)
        if (profile->readings[i].prefix.len == 0 &&
            (!has_subtopic || profile->readings[i].shape.has_subtopic))
            return i;
    return WZ_READING_ANY;
}

// The shape of readings with the longest prefix that WORDS begin with; RET_REST is what is left.
static uint8_t prefixed_reading(const struct wz_profile *profile, struct wz_slice words,
                                struct wz_slice *ret_rest)
{
    uint8_t found = WZ_READING_ANY;
    size_t longest = 0;

    for (uint8_t i = 0; i < profile->reading_count; i++) {
        struct wz_slice prefix = wz_buf_slice(&profile->readings[i].prefix);

        if (prefix.len <= longest || !wz_slice_starts(words, prefix) ||
            (words.len > prefix.len && words.ptr[prefix.len] != '.'))
            continue;
        longest = prefix.len;
        found = i;
        *ret_rest = words.len > prefix.len ? rest_of(words, prefix.len + 1) : (struct wz_slice){0};
    }
    return found;
}

// Reads the words behind a route. LEVELS is room for a subtopic that is made of words.
static bool read_words(const struct wz_mapping *mapping, struct wz_slice words,
                       char levels[WZ_TOPIC_MAX], struct place *place)
{
    uint8_t pin;

    place->subtopic = (struct wz_slice){0};
    if (words.len == 0) {
        place->reading = plain_reading(place->profile, false);
        return place->reading != WZ_READING_ANY;
    }
    if (find_subtopic(mapping, place->profile, words, &place->subtopic, &pin)) {
        place->reading = pin != WZ_READING_ANY ? pin : plain_reading(place->profile, true);
        return place->reading != WZ_READING_ANY;
    }
    place->reading = prefixed_reading(place->profile, words, &words);
    if (place->reading != WZ_READING_ANY && words.len == 0)
        return true;
    if (place->reading != WZ_READING_ANY &&
        find_subtopic(mapping, place->profile, words, &place->subtopic, &pin))
        return true;
    if (place->reading == WZ_READING_ANY)
        place->reading = plain_reading(place->profile, true);
    if (place->reading == WZ_READING_ANY ||
        copy_levels(words, '.', '/', levels) != WZ_OUTCOME_MAPPED)
        return false;
    place->subtopic = wz_slice(levels, words.len);
    return true;
}

// Reads a logical topic, without the word of commands.
static bool find_logical(const struct wz_mapping *mapping, struct wz_slice topic,
                         char levels[WZ_TOPIC_MAX], struct place *ret_place)
{
    struct wz_device_walk walk = wz_device_walk(&mapping->devices, WZ_SIDE_LOGICAL, topic);
    struct wz_slice words;

    if (!wz_device_walk_next(&walk, &ret_place->device) ||
        judge_captures(&ret_place->device) != WZ_OUTCOME_MAPPED)
        return false;
    ret_place->profile = &mapping->profiles[mapping->devices.profiles[ret_place->device.number]];
    words = ret_place->device.len < topic.len ? rest_of(topic, ret_place->device.len + 1)
                                              : (struct wz_slice){0};
    if (ret_place->device.len < topic.len && words.len == 0)
        return false;
    return read_words(mapping, words, levels, ret_place);
}

// Adds words, with a dot in front if there are words before. Whether there was room.
static bool add_words(struct wz_translation *translation, size_t len)
{
    bool dot = translation->topic_len > 0;

    if (translation->topic_len + dot + len > WZ_TOPIC_MAX)
        return false;
    if (dot)
        translation->topic[translation->topic_len++] = '.';
    translation->topic_len += len; // the caller has still to write them
    return true;
}

static enum wz_outcome add_channel(const struct wz_mapping *mapping, const struct place *place,
                                   struct wz_translation *translation)
{
    struct wz_slice name = {0};
    struct wz_channel_info info;
    char *end;

    if (find_channel(mapping, place, &name, &info)) {
        translation->type = info.type;
        if (info.reading != WZ_READING_ANY)
            translation->topic_len = translation->route_len; // its name is whole
    }
    if (!add_words(translation, name.len > 0 ? name.len : place->subtopic.len))
        return WZ_OUTCOME_TOO_LONG;
    end = translation->topic + translation->topic_len;
    if (name.len == 0)
        return copy_levels(place->subtopic, '/', '.', end - place->subtopic.len);
    memcpy(end - name.len, name.ptr, name.len);
    return WZ_OUTCOME_MAPPED;
}

// Writes the topic of a place.
static enum wz_outcome name_place(const struct wz_mapping *mapping, const struct place *place,
                                  struct wz_translation *ret_translation)
{
    struct wz_slice prefix = wz_buf_slice(&place->profile->readings[place->reading].prefix);
    enum wz_outcome outcome = judge_captures(&place->device);
    struct wz_translation *translation = ret_translation;

    if (outcome != WZ_OUTCOME_MAPPED)
        return outcome;
    translation->device = place->device.number;
    translation->type = place->profile->preset.type;
    translation->topic_len = wz_device_write(&mapping->devices, &place->device, WZ_SIDE_LOGICAL,
                                             translation->topic, WZ_TOPIC_MAX);
    translation->route_len = translation->topic_len;
    if (translation->topic_len == 0)
        return WZ_OUTCOME_TOO_LONG;
    if (prefix.len > 0) {
        if (!add_words(translation, prefix.len))
            return WZ_OUTCOME_TOO_LONG;
        memcpy(translation->topic + translation->topic_len - prefix.len, prefix.ptr, prefix.len);
    }
    return place->subtopic.ptr != NULL ? add_channel(mapping, place, translation)
                                       : WZ_OUTCOME_MAPPED;
}

// Whether the topic of readings from a place is PHYSICAL. ID is its device's.
static bool is_reading_of(const struct wz_mapping *mapping, const struct place *place,
                          struct wz_slice physical)
{
    char id[WZ_COMMAND_TOPIC_MAX];
    size_t len =
        wz_device_write(&mapping->devices, &place->device, WZ_SIDE_PHYSICAL, id, sizeof(id));

    return len > 0 && wz_shape_makes(&place->profile->readings[place->reading].shape,
                                     wz_slice(id, len), place->subtopic, physical);
}

enum wz_outcome wz_mapping_in(const struct wz_mapping *mapping, struct wz_slice physical,
                              struct wz_translation *ret_translation)
{
    char levels[WZ_TOPIC_MAX];
    struct place place;
    struct place back;
    enum wz_outcome outcome;

    if (physical.len > 0 && physical.ptr[0] == '$')
        return WZ_OUTCOME_HIDDEN;
    if (physical.len == 0)
        return WZ_OUTCOME_UNKNOWN_DEVICE;
    if (find_physical(mapping, WZ_SHAPE_COMMAND, physical, &place))
        return WZ_OUTCOME_COMMAND;
    if (find_physical(mapping, WZ_SHAPE_IGNORED, physical, &place))
        return WZ_OUTCOME_IGNORED;
    if (!find_physical(mapping, WZ_SHAPE_READING, physical, &place))
        return is_of_device(mapping, physical) ? WZ_OUTCOME_UNKNOWN_TYPE
                                               : WZ_OUTCOME_UNKNOWN_DEVICE;
    outcome = name_place(mapping, &place, ret_translation);
    if (outcome != WZ_OUTCOME_MAPPED)
        return outcome;
    if (!find_logical(mapping, wz_slice(ret_translation->topic, ret_translation->topic_len), levels,
                      &back) ||
        !is_reading_of(mapping, &back, physical))
        return WZ_OUTCOME_COLLISION;
    return WZ_OUTCOME_MAPPED;
}

// Writes the topic of a place in a shape; its length, or 0 when it has none or is too long.
static size_t write_topic(const struct wz_mapping *mapping, const struct place *place,
                          const struct wz_shape *shape, char ret_text[WZ_COMMAND_TOPIC_MAX])
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    char id[WZ_COMMAND_TOPIC_MAX];
    size_t len =
        wz_device_write(&mapping->devices, &place->device, WZ_SIDE_PHYSICAL, id, sizeof(id));

    if (len == 0 || !wz_shape_write(shape, wz_slice(id, len), place->subtopic, &topic) ||
        topic.len > WZ_COMMAND_TOPIC_MAX)
        return 0;
    memcpy(ret_text, topic.ptr, topic.len);
    return topic.len;
}

static enum wz_send send_of(const struct wz_mapping *mapping, const struct place *place)
{
    struct wz_channel_info info = place->profile->preset;
    struct wz_slice name;

    if (place->subtopic.ptr != NULL)
        (void)find_channel(mapping, place, &name, &info); // else what the profile says
    return info.send;
}

int wz_mapping_out(const struct wz_mapping *mapping, struct wz_slice topic,
                   struct wz_command_topic *ret_command)
{
    struct wz_slice end = WZ_SLICE_LIT("." WZ_MAPPING_COMMAND_WORD);
    char reading[WZ_COMMAND_TOPIC_MAX];
    struct wz_command_topic command;
    struct wz_translation again;
    char levels[WZ_TOPIC_MAX];
    struct place place;
    size_t len;

    if (topic.len > WZ_TOPIC_MAX || topic.len < end.len ||
        !wz_slice_eq(rest_of(topic, topic.len - end.len), end) || !wz_utf8_valid(topic))
        return WZ_ERR_NOT_FOUND;
    topic.len -= end.len;
    if (!find_logical(mapping, topic, levels, &place))
        return WZ_ERR_NOT_FOUND;
    // The topic of its readings may be another channel's, or that of a device with a longer id.
    len = write_topic(mapping, &place, &place.profile->readings[place.reading].shape, reading);
    if (len == 0 || wz_mapping_in(mapping, wz_slice(reading, len), &again) != WZ_OUTCOME_MAPPED ||
        !wz_slice_eq(wz_slice(again.topic, again.topic_len), topic))
        return WZ_ERR_NOT_FOUND;
    command.device = place.device.number;
    command.send = send_of(mapping, &place);
    command.topic_len = write_topic(mapping, &place, &place.profile->command, command.topic);
    if (command.topic_len == 0)
        return WZ_ERR_NOT_FOUND;
    *ret_command = command;
    return WZ_OK;
}
