// SPDX-License-Identifier: Apache-2.0
// Owns the two readings of topics, each of which finds one spot or none, and the writing of a
// spot's topics.
#include "router/spot.h"

#include "base/mem.h"
#include "router/mapping_parts.h"

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
                      struct wz_slice physical, struct wz_spot *ret_spot)
{
    struct wz_device_walk walk;
    struct wz_slice middle;

    if (!wz_shape_strip(&used->shape, physical, &middle))
        return false;
    walk = wz_device_walk(&mapping->devices, WZ_SIDE_PHYSICAL, middle);
    while (wz_device_walk_next(&walk, &ret_spot->device)) {
        uint32_t profile = mapping->devices.profiles[ret_spot->device.number];
        const struct wz_shape_user *user = find_user(used, profile);

        if (user == NULL ||
            !wz_shape_split(&used->shape, middle, ret_spot->device.len, &ret_spot->subtopic))
            continue;
        ret_spot->profile = &mapping->profiles[profile];
        ret_spot->reading = user->reading;
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
bool wz_spot_find(const struct wz_mapping *mapping, enum wz_shape_use use, struct wz_slice physical,
                  struct wz_spot *ret_spot)
{
    const struct wz_shape_list *list = &mapping->shapes[use];
    const struct wz_shape *best = NULL;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct wz_shape *shape = &list->items[i].shape;
        struct wz_spot spot;

        if (!try_shape(mapping, &list->items[i], physical, &spot) ||
            (best != NULL && !is_before(&spot.device, shape, &ret_spot->device, best)))
            continue;
        *ret_spot = spot;
        best = shape;
        if (use != WZ_SHAPE_READING)
            break; // which of them it is does not matter
    }
    return best != NULL;
}

// Whether a topic would be a device's, were its levels behind that others.
bool wz_spot_near(const struct wz_mapping *mapping, struct wz_slice physical,
                  struct wz_spot *ret_spot)
{
    const struct wz_shape_list *list = &mapping->shapes[WZ_SHAPE_READING];

    for (uint32_t i = 0; i < list->count; i++) {
        struct wz_shape front = list->items[i].shape;
        struct wz_spot spot = {0};
        struct wz_device_walk walk;
        struct wz_slice middle;

        front.after = (struct wz_slice){0};
        if (!wz_shape_strip(&front, physical, &middle))
            continue;
        walk = wz_device_walk(&mapping->devices, WZ_SIDE_PHYSICAL, middle);
        while (wz_device_walk_next(&walk, &spot.device)) {
            uint32_t profile = mapping->devices.profiles[spot.device.number];

            if (spot.device.len == middle.len || find_user(&list->items[i], profile) == NULL)
                continue;
            spot.profile = &mapping->profiles[profile];
            *ret_spot = spot;
            return true;
        }
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
bool wz_spot_channel(const struct wz_mapping *mapping, const struct wz_spot *spot,
                     struct wz_slice *ret_name, struct wz_channel_info *ret_info)
{
    const struct wz_channels *own = &spot->profile->channels;
    const struct wz_channels *channels = own;
    const struct wz_channel_info *info;
    uint32_t index;

    if (!wz_pairs_find(&own->pairs, WZ_SIDE_PHYSICAL, spot->subtopic, &index)) {
        channels = &mapping->channels;
        if (!wz_pairs_find(&channels->pairs, WZ_SIDE_PHYSICAL, spot->subtopic, &index))
            return false;
    }
    info = &channels->info[index];
    if (info->reading != WZ_READING_ANY ? info->reading != spot->reading
                                        : !has_channels(spot->profile, spot->reading))
        return false;
    *ret_name = wz_pairs_get(&channels->pairs, index, WZ_SIDE_LOGICAL);
    *ret_info = *info;
    if (!info->has_type)
        ret_info->type = spot->profile->preset.type;
    if (!info->has_send)
        ret_info->send = spot->profile->preset.send;
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

// Whether WORDS are the prefix of a shape, and so no channel.
static bool is_prefix(const struct wz_profile *profile, struct wz_slice words)
{
    for (uint8_t i = 0; i < profile->reading_count; i++)
        if (wz_slice_eq(wz_buf_slice(&profile->readings[i].prefix), words))
            return true;
    return false;
}

// Reads the words behind a route. LEVELS is room for a subtopic that is made of words.
static bool read_words(const struct wz_mapping *mapping, struct wz_slice words,
                       char levels[WZ_TOPIC_MAX], struct wz_spot *spot)
{
    uint8_t pin;

    spot->subtopic = (struct wz_slice){0};
    if (words.len == 0) {
        spot->reading = plain_reading(spot->profile, false);
        return spot->reading != WZ_READING_ANY;
    }
    if (!is_prefix(spot->profile, words) &&
        find_subtopic(mapping, spot->profile, words, &spot->subtopic, &pin)) {
        spot->reading = pin != WZ_READING_ANY ? pin : plain_reading(spot->profile, true);
        return spot->reading != WZ_READING_ANY;
    }
    spot->reading = prefixed_reading(spot->profile, words, &words);
    if (spot->reading != WZ_READING_ANY && words.len == 0)
        return true;
    if (spot->reading != WZ_READING_ANY &&
        find_subtopic(mapping, spot->profile, words, &spot->subtopic, &pin))
        return true;
    if (spot->reading == WZ_READING_ANY)
        spot->reading = plain_reading(spot->profile, true);
    if (spot->reading == WZ_READING_ANY ||
        copy_levels(words, '.', '/', levels) != WZ_OUTCOME_MAPPED)
        return false;
    spot->subtopic = wz_slice(levels, words.len);
    return true;
}

// Reads a logical topic, without the word of commands.
bool wz_spot_read(const struct wz_mapping *mapping, struct wz_slice topic,
                  char levels[WZ_TOPIC_MAX], struct wz_spot *ret_spot)
{
    struct wz_device_walk walk = wz_device_walk(&mapping->devices, WZ_SIDE_LOGICAL, topic);
    struct wz_slice words;

    if (topic.len > WZ_TOPIC_MAX || !wz_device_walk_next(&walk, &ret_spot->device) ||
        judge_captures(&ret_spot->device) != WZ_OUTCOME_MAPPED)
        return false;
    ret_spot->profile = &mapping->profiles[mapping->devices.profiles[ret_spot->device.number]];
    words = ret_spot->device.len < topic.len ? rest_of(topic, ret_spot->device.len + 1)
                                             : (struct wz_slice){0};
    if (ret_spot->device.len < topic.len && words.len == 0)
        return false;
    return read_words(mapping, words, levels, ret_spot);
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

static enum wz_outcome add_channel(const struct wz_mapping *mapping, const struct wz_spot *spot,
                                   struct wz_translation *translation)
{
    struct wz_slice name = {0};
    struct wz_channel_info info;
    char *end;

    if (wz_spot_channel(mapping, spot, &name, &info)) {
        translation->type = info.type;
        if (info.reading != WZ_READING_ANY)
            translation->topic_len = translation->route_len; // its name is whole
    }
    if (!add_words(translation, name.len > 0 ? name.len : spot->subtopic.len))
        return WZ_OUTCOME_TOO_LONG;
    end = translation->topic + translation->topic_len;
    if (name.len == 0)
        return copy_levels(spot->subtopic, '/', '.', end - spot->subtopic.len);
    memcpy(end - name.len, name.ptr, name.len);
    return WZ_OUTCOME_MAPPED;
}

// Writes the topic of a spot.
enum wz_outcome wz_spot_name(const struct wz_mapping *mapping, const struct wz_spot *spot,
                             struct wz_translation *ret_translation)
{
    struct wz_slice prefix = wz_buf_slice(&spot->profile->readings[spot->reading].prefix);
    enum wz_outcome outcome = judge_captures(&spot->device);
    struct wz_translation *translation = ret_translation;

    if (outcome != WZ_OUTCOME_MAPPED)
        return outcome;
    translation->device = spot->device.number;
    translation->type = spot->profile->preset.type;
    translation->topic_len = wz_device_write(&mapping->devices, &spot->device, WZ_SIDE_LOGICAL,
                                             translation->topic, WZ_TOPIC_MAX);
    translation->route_len = translation->topic_len;
    if (translation->topic_len == 0)
        return WZ_OUTCOME_TOO_LONG;
    if (prefix.len > 0) {
        if (!add_words(translation, prefix.len))
            return WZ_OUTCOME_TOO_LONG;
        memcpy(translation->topic + translation->topic_len - prefix.len, prefix.ptr, prefix.len);
    }
    return spot->subtopic.ptr != NULL ? add_channel(mapping, spot, translation) : WZ_OUTCOME_MAPPED;
}

// Whether the topic of readings from a spot is PHYSICAL. ID is its device's.
bool wz_spot_has_topic(const struct wz_mapping *mapping, const struct wz_spot *spot,
                       struct wz_slice physical)
{
    char id[WZ_COMMAND_TOPIC_MAX];
    size_t len =
        wz_device_write(&mapping->devices, &spot->device, WZ_SIDE_PHYSICAL, id, sizeof(id));

    return len > 0 && wz_shape_makes(&spot->profile->readings[spot->reading].shape,
                                     wz_slice(id, len), spot->subtopic, physical);
}

// Writes the topic of a spot in a shape; its length, or 0 when it has none or is too long.
size_t wz_spot_write(const struct wz_mapping *mapping, const struct wz_spot *spot,
                     const struct wz_shape *shape, char ret_text[WZ_COMMAND_TOPIC_MAX])
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    char id[WZ_COMMAND_TOPIC_MAX];
    size_t len =
        wz_device_write(&mapping->devices, &spot->device, WZ_SIDE_PHYSICAL, id, sizeof(id));

    if (len == 0 || !wz_shape_write(shape, wz_slice(id, len), spot->subtopic, &topic) ||
        topic.len > WZ_COMMAND_TOPIC_MAX)
        return 0;
    memcpy(ret_text, topic.ptr, topic.len);
    return topic.len;
}

enum wz_send wz_spot_send(const struct wz_mapping *mapping, const struct wz_spot *spot)
{
    struct wz_channel_info info = spot->profile->preset;
    struct wz_slice name;

    if (spot->subtopic.ptr != NULL)
        (void)wz_spot_channel(mapping, spot, &name, &info); // else what the profile says
    return info.send;
}
