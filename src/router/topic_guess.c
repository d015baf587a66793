// SPDX-License-Identifier: Apache-2.0
// Owns what makers' topics look like, and the search for what topics have in common.
#include "router/topic_guess.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "topic/pattern.h"

// So many levels of a topic's front are compared with others'.
#define FRONT_LEVELS 8

bool wz_guess_cut(struct wz_slice topic, struct wz_slice sample, struct wz_guess_topic *ret_topic)
{
    struct wz_words words = wz_words(topic, '/');
    struct wz_slice word;

    ret_topic->text = topic;
    ret_topic->sample = sample;
    ret_topic->count = 0;
    while (wz_words_next(&words, &word)) {
        if (word.len == 0 || ret_topic->count == WZ_GUESS_LEVELS_MAX)
            return false;
        ret_topic->levels[ret_topic->count++] = word;
    }
    return true;
}

static struct wz_slice span(const struct wz_guess_topic *topic, size_t from, size_t to)
{
    const uint8_t *start = topic->levels[from].ptr;
    const struct wz_slice *last = &topic->levels[to - 1];

    return wz_slice(start, (size_t)(last->ptr + last->len - start));
}

struct wz_slice wz_guess_id(const struct wz_guess_topic *topic, const struct wz_guess *guess)
{
    return span(topic, guess->from, guess->to);
}

// Makers.

static bool is(struct wz_slice level, const char *word)
{
    return wz_slice_eq(level, wz_slice_str(word));
}

// Whether a level is one of WORDS, which have a blank in front and behind each.
static bool is_one_of(struct wz_slice level, const char *words)
{
    for (const char *at = words + 1; *at != '\0'; at += strcspn(at, " ") + 1)
        if (wz_slice_eq(level, wz_slice(at, strcspn(at, " "))))
            return true;
    return false;
}

static struct wz_slice last_of(const struct wz_guess_topic *topic)
{
    return topic->levels[topic->count - 1];
}

static bool sample_is_object(const struct wz_guess_topic *topic)
{
    return topic->sample.len > 0 && topic->sample.ptr[0] == '{';
}

static struct wz_guess device(size_t from, size_t to, const char *template, const char *because)
{
    return (struct wz_guess){.from = from, .to = to, .template = template, .because = because};
}

static struct wz_guess ignore(struct wz_slice filter, const char *because)
{
    return (struct wz_guess){.ignore = filter, .because = because};
}

static struct wz_guess tasmota(const struct wz_guess_topic *topic)
{
    struct wz_slice last = last_of(topic);
    bool tele = is(topic->levels[0], "tele") &&
                is_one_of(last, " SENSOR STATE LWT INFO1 INFO2 INFO3 UPTIME RESULT MARGINS ");
    bool stat = is(topic->levels[0], "stat") && (wz_slice_starts(last, WZ_SLICE_LIT("POWER")) ||
                                                 wz_slice_starts(last, WZ_SLICE_LIT("STATUS")) ||
                                                 is_one_of(last, " RESULT LOGGING "));

    if (topic->count < 3 || (!tele && !stat))
        return (struct wz_guess){0};
    return device(1, topic->count - 1, "tasmota", "its topic is one of Tasmota's");
}

static struct wz_guess zigbee2mqtt(const struct wz_guess_topic *topic)
{
    if (topic->count < 2 || !is(topic->levels[0], "zigbee2mqtt"))
        return (struct wz_guess){0};
    if (is(topic->levels[1], "bridge"))
        return ignore(WZ_SLICE_LIT("zigbee2mqtt/bridge/#"),
                      "it tells of zigbee2mqtt itself, and of no device");
    if (topic->count > 2 && is(last_of(topic), "availability"))
        return device(0, topic->count - 1, "zigbee2mqtt", "its topic is one of zigbee2mqtt's");
    return device(0, topic->count, "zigbee2mqtt", "its topic is one of zigbee2mqtt's");
}

static struct wz_guess shelly(const struct wz_guess_topic *topic)
{
    struct wz_slice last = last_of(topic);
    size_t n = topic->count;

    if (is(topic->levels[0], "shellies"))
        return n > 2 ? device(0, 2, "shelly-gen1", "its topic is one of a Shelly, first generation")
                     : ignore(topic->text, "it tells of no single device");
    if (n > 2 && is_one_of(topic->levels[n - 2], " status events ") && sample_is_object(topic) &&
        (memchr(last.ptr, ':', last.len) != NULL ||
         is_one_of(last, " sys wifi rpc cloud mqtt ble ws eth ")))
        return device(0, n - 2, "shelly-gen2",
                      "its topic is one of a Shelly, second generation or later");
    if (n > 1 && is(last, "online") &&
        (wz_slice_eq(topic->sample, WZ_SLICE_LIT("true")) ||
         wz_slice_eq(topic->sample, WZ_SLICE_LIT("false"))))
        return device(0, n - 1, "shelly-gen2",
                      "its topic is one of a Shelly, second generation or later");
    return (struct wz_guess){0};
}

static struct wz_guess rtl_433(const struct wz_guess_topic *topic)
{
    if (topic->count < 5 || !is(topic->levels[0], "rtl_433") || !is(topic->levels[2], "devices"))
        return (struct wz_guess){0};
    return device(0, topic->count - 1, "rtl_433", "its topic is one of rtl_433's");
}

static struct wz_guess esphome(const struct wz_guess_topic *topic)
{
    size_t n = topic->count;

    if (n > 3 && is(last_of(topic), "state") &&
        is_one_of(topic->levels[n - 3],
                  " sensor binary_sensor switch light fan cover climate number "
                  "select text_sensor button lock valve "))
        return device(0, n - 3, "esphome", "its topic is one of ESPHome's");
    if (n > 1 && is(last_of(topic), "debug") && topic->sample.len > 1 &&
        topic->sample.ptr[0] == '\033')
        return device(0, n - 1, "esphome", "its body is a line of ESPHome's log");
    return (struct wz_guess){0};
}

static struct wz_guess home_assistant(const struct wz_guess_topic *topic)
{
    if (!is(topic->levels[0], "homeassistant"))
        return (struct wz_guess){0};
    return ignore(WZ_SLICE_LIT("homeassistant/#"),
                  "it tells Home Assistant of devices; wyze reads it for suggestions");
}

struct wz_guess wz_guess_known(const struct wz_guess_topic *topic)
{
    static struct wz_guess (*const makers[])(const struct wz_guess_topic *topic) = {
        home_assistant, tasmota, zigbee2mqtt, shelly, rtl_433, esphome,
    };

    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        struct wz_guess guess = makers[i](topic);

        if (guess.because != NULL)
            return guess;
    }
    return (struct wz_guess){0};
}

// What topics have in common. A number for each front, which all topics with it share, and for each
// front, any level, and rest.

static uint64_t hash_of_front(const struct wz_guess_topic *topic, size_t to)
{
    return wz_hash(span(topic, 0, to), to);
}

static uint64_t hash_without(const struct wz_guess_topic *topic, size_t level)
{
    uint64_t front = level > 0 ? hash_of_front(topic, level) : 0;

    return wz_hash(span(topic, level + 1, topic->count), front + 1000 + level);
}

static size_t compared(const struct wz_guess_topic *topic)
{
    return topic->count - 1 < FRONT_LEVELS ? topic->count - 1 : FRONT_LEVELS;
}

void wz_guess_crowd_add(struct wz_guess_crowd *crowd, const struct wz_guess_topic *topic)
{
    size_t levels = compared(topic);

    if (crowd->count + 2 * levels > crowd->cap) {
        crowd->cap = 2 * crowd->cap + 2 * FRONT_LEVELS;
        crowd->hashes = wz_realloc(crowd->hashes, crowd->cap * sizeof(crowd->hashes[0]));
    }
    for (size_t i = 0; i < levels; i++) {
        crowd->hashes[crowd->count++] = hash_of_front(topic, i + 1);
        crowd->hashes[crowd->count++] = hash_without(topic, i);
    }
}

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

void wz_guess_crowd_sort(struct wz_guess_crowd *crowd)
{
    if (crowd->count > 0)
        qsort(crowd->hashes, crowd->count, sizeof(crowd->hashes[0]), by_value);
}

void wz_guess_crowd_release(struct wz_guess_crowd *crowd)
{
    wz_free(crowd->hashes);
    *crowd = (struct wz_guess_crowd){0};
}

// Whether more than one topic has it.
static bool is_shared(const struct wz_guess_crowd *crowd, uint64_t hash)
{
    size_t low = 0;
    size_t high = crowd->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (crowd->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low + 1 < crowd->count && crowd->hashes[low] == hash && crowd->hashes[low + 1] == hash;
}

struct wz_guess wz_guess_common(const struct wz_guess_crowd *crowd,
                                const struct wz_guess_topic *topic, struct wz_slice input)
{
    bool typed = topic->count > 1 && wz_slice_eq(last_of(topic), input);
    const char *template = typed ? NULL : "plain";
    size_t most = typed && topic->count > 2 ? topic->count - 2 : topic->count - 1;

    if (topic->count == 1)
        return device(0, 1, template, "its topic is one level");
    for (size_t to = most < FRONT_LEVELS ? most : FRONT_LEVELS; to > 0; to--)
        if (is_shared(crowd, hash_without(topic, to - 1)))
            return device(0, to, template, "other topics differ from it in one level alone");
    for (size_t to = most < FRONT_LEVELS ? most : FRONT_LEVELS; to > 0; to--)
        if (is_shared(crowd, hash_of_front(topic, to)))
            return device(0, to, template, "other topics begin like it");
    return device(0, most, template,
                  typed ? "it ends in the type word of readings" : "its last level is a subtopic");
}
