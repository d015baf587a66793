// SPDX-License-Identifier: Apache-2.0
// Owns the rules between devices: a route that is another's with a channel behind it, and devices
// with captures that never get a topic.
#include "router/mapping_overlaps.h"

#include "base/codes.h"
#include "router/mapping_build.h"

// The first name at or behind WORDS in the order of bytes.
static uint32_t lower_bound(const struct wz_mapping_taken *taken, struct wz_slice words)
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
static struct wz_slice find_taken(const struct wz_mapping_build *build,
                                  const struct wz_mapping_taken *taken, struct wz_slice words,
                                  const struct wz_pairs *own)
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
static int check_overlap(const struct wz_mapping_build *build, uint32_t number)
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
        return wz_mapping_refuse(
            build, (struct wz_mapping_subject){WZ_COLLECTION_DEVICES, text},
            WZ_CODE_MAPPING_OVERLAP, "Give one of the two devices, or the channel, another name.",
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
static int check_hidden(const struct wz_mapping_build *build, uint32_t number)
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
            return wz_mapping_refuse(
                build, (struct wz_mapping_subject){WZ_COLLECTION_DEVICES, text},
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

int wz_mapping_overlaps_check(const struct wz_mapping_build *build)
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
