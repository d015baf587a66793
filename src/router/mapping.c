// SPDX-License-Identifier: Apache-2.0
// Owns the mapping's lookups: spot.c reads and writes topics, mapping_build.c makes a mapping from
// documents.
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
#include "router/spot.h"

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

enum wz_outcome wz_mapping_in(const struct wz_mapping *mapping, struct wz_slice physical,
                              struct wz_translation *ret_translation)
{
    char levels[WZ_TOPIC_MAX];
    struct wz_spot spot;
    struct wz_spot back;
    enum wz_outcome outcome;

    if (physical.len > 0 && physical.ptr[0] == '$')
        return WZ_OUTCOME_HIDDEN;
    if (physical.len == 0)
        return WZ_OUTCOME_UNKNOWN_DEVICE;
    if (wz_spot_find(mapping, WZ_SHAPE_COMMAND, physical, &spot))
        return WZ_OUTCOME_COMMAND;
    if (wz_spot_find(mapping, WZ_SHAPE_IGNORED, physical, &spot))
        return WZ_OUTCOME_IGNORED;
    if (!wz_spot_find(mapping, WZ_SHAPE_READING, physical, &spot))
        return wz_spot_near(mapping, physical, &spot) ? WZ_OUTCOME_UNKNOWN_TYPE
                                                      : WZ_OUTCOME_UNKNOWN_DEVICE;
    outcome = wz_spot_name(mapping, &spot, ret_translation);
    if (outcome != WZ_OUTCOME_MAPPED)
        return outcome;
    if (!wz_spot_read(mapping, wz_slice(ret_translation->topic, ret_translation->topic_len), levels,
                      &back) ||
        back.device.number != spot.device.number || back.reading != spot.reading ||
        !wz_spot_has_topic(mapping, &back, physical))
        return WZ_OUTCOME_COLLISION;
    return WZ_OUTCOME_MAPPED;
}

static struct wz_slice rest_of(struct wz_slice s, size_t front)
{
    return wz_slice_sub(s, front, s.len - front);
}

int wz_mapping_out(const struct wz_mapping *mapping, struct wz_slice topic,
                   struct wz_command_topic *ret_command)
{
    struct wz_slice end = WZ_SLICE_LIT("." WZ_MAPPING_COMMAND_WORD);
    char reading[WZ_COMMAND_TOPIC_MAX];
    struct wz_command_topic command;
    struct wz_translation again;
    char levels[WZ_TOPIC_MAX];
    struct wz_spot spot;
    size_t len;

    if (topic.len > WZ_TOPIC_MAX || topic.len < end.len ||
        !wz_slice_eq(rest_of(topic, topic.len - end.len), end) || !wz_utf8_valid(topic))
        return WZ_ERR_NOT_FOUND;
    topic.len -= end.len;
    if (!wz_spot_read(mapping, topic, levels, &spot))
        return WZ_ERR_NOT_FOUND;
    // The topic of its readings may be another channel's, or that of a device with a longer id.
    len = wz_spot_write(mapping, &spot, &spot.profile->readings[spot.reading].shape, reading);
    if (len == 0 || wz_mapping_in(mapping, wz_slice(reading, len), &again) != WZ_OUTCOME_MAPPED ||
        !wz_slice_eq(wz_slice(again.topic, again.topic_len), topic))
        return WZ_ERR_NOT_FOUND;
    command.device = spot.device.number;
    command.send = wz_spot_send(mapping, &spot);
    command.topic_len = wz_spot_write(mapping, &spot, &spot.profile->command, command.topic);
    if (command.topic_len == 0 || command.topic[0] == '$') // a capture's; those are the broker's
        return WZ_ERR_NOT_FOUND;
    *ret_command = command;
    return WZ_OK;
}
