// SPDX-License-Identifier: Apache-2.0
// Topics that nobody means well, against a mapping of all kinds of devices.
#include "router/mapping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "bus/bus.h"
#include "router/documents_test.h"

// The longest topic of MQTT.
#define LONGEST 65535

static int set_up(void **state)
{
    static const char *const devices[][3] = {
        {"mesh/b5/42", "bedroom.light", NULL},
        {"mesh/{node}/{unit}", "site.{unit}.{node}", NULL},
        {"plug", "plug", "tasmota"},
        {"a/{b}/{c}/{d}", "four.{d}.{c}.{b}", NULL},
        {"zigbee2mqtt/{name}", "home.{name}", "zigbee2mqtt"},
    };
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping = NULL;

    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        add_device(lists, devices[i][0], devices[i][1]);
        if (devices[i][2] != NULL)
            assert_int_equal(json_object_set_new(lists[WZ_COLLECTION_DEVICES].items[i].body,
                                                 "template", json_string(devices[i][2])),
                             0);
    }
    add_subtopic(lists, "M", "brightness");
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    release_documents(lists);
    *state = mapping;
    return 0;
}

static int tear_down(void **state)
{
    wz_mapping_unref(*state);
    return 0;
}

// Translates a topic; when it has a logical one, the way back must lead to its device.
static enum wz_outcome there_and_back(const struct wz_mapping *mapping, struct wz_slice physical,
                                      struct wz_translation *ret_translation)
{
    enum wz_outcome outcome = wz_mapping_in(mapping, physical, ret_translation);
    char topic[WZ_TOPIC_MAX + 8];
    struct wz_command_topic command;
    int len;

    if (outcome != WZ_OUTCOME_MAPPED)
        return outcome;
    assert_true(ret_translation->topic_len <= WZ_TOPIC_MAX);
    assert_true(ret_translation->route_len <= ret_translation->topic_len);
    assert_true(wz_bus_topic_valid(wz_slice(ret_translation->topic, ret_translation->topic_len)));
    len = snprintf(topic, sizeof(topic), "%.*s.output", (int)ret_translation->topic_len,
                   ret_translation->topic);
    if (len > WZ_TOPIC_MAX)
        return outcome;
    assert_int_equal(wz_mapping_out(mapping, wz_slice(topic, (size_t)len), &command), WZ_OK);
    assert_int_equal(command.device, ret_translation->device);
    return outcome;
}

static void assert_outcome(const struct wz_mapping *mapping, struct wz_slice physical,
                           enum wz_outcome expected)
{
    struct wz_translation translation;

    assert_int_equal(there_and_back(mapping, physical, &translation), expected);
}

static void test_mapping_takes_the_longest_topics(void **state)
{
    static const char *const fronts[] = {"mesh/b5/42/", "mesh/", "plug/",        "tele/plug/",
                                         "a/b/c/d/",    "zzz/",  "zigbee2mqtt/", ""};
    static const char *const ends[] = {"", "/status", "/command", "/set", "/"};
    static char topic[LONGEST];
    (void)state;

    for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++) {
        for (size_t j = 0; j < sizeof(ends) / sizeof(ends[0]); j++) {
            struct wz_translation translation;

            memset(topic, 'x', LONGEST);
            memcpy(topic, fronts[i], strlen(fronts[i]));
            memcpy(topic + LONGEST - strlen(ends[j]), ends[j], strlen(ends[j]));
            assert_int_not_equal(there_and_back(*state, wz_slice(topic, LONGEST), &translation),
                                 WZ_OUTCOME_MAPPED);
        }
    }
    memset(topic, 'x', LONGEST);
    memcpy(topic, "mesh/b5/42/", 11);
    memcpy(topic + LONGEST - 7, "/status", 7);
    assert_outcome(*state, wz_slice(topic, LONGEST), WZ_OUTCOME_TOO_LONG);
    memcpy(topic, "mesh/x/xxxx", 11);
    assert_outcome(*state, wz_slice(topic, LONGEST), WZ_OUTCOME_TOO_LONG);
}

static void test_mapping_takes_topics_of_many_levels(void **state)
{
    static const char *const fronts[] = {"", "mesh/b5/42/", "plug/", "tele/plug/", "zigbee2mqtt/"};
    static char topic[LONGEST];
    (void)state;

    for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++) {
        struct wz_translation translation;
        size_t front = strlen(fronts[i]);

        for (int empty = 0; empty < 2; empty++) {
            for (size_t at = 0; at < LONGEST; at++)
                topic[at] = empty || at % 2 != 0 ? '/' : 'a';
            memcpy(topic, fronts[i], front);
            assert_int_not_equal(there_and_back(*state, wz_slice(topic, LONGEST), &translation),
                                 WZ_OUTCOME_MAPPED);
            memcpy(topic + LONGEST - 7, "/status", 7);
            assert_int_not_equal(there_and_back(*state, wz_slice(topic, LONGEST), &translation),
                                 WZ_OUTCOME_MAPPED);
        }
    }
}

static void test_mapping_takes_every_plane_as_a_level(void **state)
{
    (void)state;
    for (uint32_t plane = 1; plane <= 16; plane++) {
        uint32_t c = plane << 16 | 0xfffd;
        struct wz_translation translation;
        char topic[64];

        (void)snprintf(topic, sizeof(topic), "mesh/n/%c%c%c%c/M/status", 0xf0 | c >> 18,
                       0x80 | (c >> 12 & 0x3f), 0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
        assert_int_equal(there_and_back(*state, wz_slice_str(topic), &translation),
                         WZ_OUTCOME_MAPPED);
        assert_memory_equal(translation.topic, "site.", 5);
        assert_memory_equal(translation.topic + 5, topic + 7, 4);
    }
}

static void test_mapping_makes_no_words_of_what_is_none(void **state)
{
    static const struct {
        struct wz_slice topic;
        enum wz_outcome outcome;
    } vectors[] = {
#define ROW(text, outcome) {{(const uint8_t *)(text), sizeof(text) - 1}, WZ_OUTCOME_##outcome}
        ROW("mesh/../../status", UNSAFE_LEVEL),
        ROW("mesh/./1/status", UNSAFE_LEVEL),
        ROW("mesh/*/1/status", UNSAFE_LEVEL),
        ROW("mesh/#/1/status", UNSAFE_LEVEL),
        ROW("mesh/+/+/status", UNSAFE_LEVEL),
        ROW("mesh/+/1/status", UNSAFE_LEVEL),
        ROW("mesh/a\0b/1/status", UNSAFE_LEVEL),
        ROW("mesh///status", UNSAFE_LEVEL),
        ROW("mesh/n/1//status", UNSAFE_LEVEL),
        ROW("mesh/n/1/\0/status", UNSAFE_LEVEL),
        ROW("mesh/output/1/status", COLLISION),
        ROW("mesh/n/1/output/status", COLLISION),
        ROW("mesh/n/1/brightness/status", COLLISION),
        ROW("mesh/^.*$/1/status", UNSAFE_LEVEL),
        ROW("mesh/^[a-z]$/(1|2)?/\\d{3}/status", MAPPED),
        ROW("mesh/%s%n/%00/status", MAPPED),
        ROW("mesh/{node}/{unit}/status", MAPPED),
        ROW("mesh/ /~/status", MAPPED),
        ROW("mesh/ /\t/status", UNSAFE_LEVEL),
        ROW("/mesh/n/1/status", UNKNOWN_DEVICE),
        ROW("$SYS/mesh/n/1/status", HIDDEN),
        ROW("tele//SENSOR", UNKNOWN_DEVICE),
        ROW("tele/plug/", UNSAFE_LEVEL),
        ROW("zigbee2mqtt//set", COMMAND),
        ROW("zigbee2mqtt/", UNSAFE_LEVEL),
#undef ROW
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        print_message("%.*s\n", WZ_SLICE_FMT(vectors[i].topic));
        assert_outcome(*state, vectors[i].topic, vectors[i].outcome);
    }
}

static void test_mapping_takes_random_topics(void **state)
{
    static const char *const pieces[] = {
        "mesh", "b5",  "42", "M",        "status", "command", "/",           "/",
        "/",    "/",   ".",  "+",        "#",      "plug",    "tele",        "set",
        "$",    "{x}", "*",  "\xc3\xa4", "output", "stat",    "zigbee2mqtt", "a"};
    uint64_t seed = wz_rand_u64();
    int mapped = 0;
    (void)state;

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 200000; i++) {
        struct wz_translation translation;
        char topic[256];
        size_t len = 0;

        for (uint64_t count = 1 + next_random(&seed) % 12; count > 0; count--)
            len +=
                (size_t)snprintf(topic + len, sizeof(topic) - len, "%s",
                                 pieces[next_random(&seed) % (sizeof(pieces) / sizeof(pieces[0]))]);
        mapped += there_and_back(*state, wz_slice(topic, len), &translation) == WZ_OUTCOME_MAPPED;
    }
    print_message("%d mapped\n", mapped);
    assert_true(mapped > 100);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_mapping_takes_the_longest_topics),
        TEST(test_mapping_takes_topics_of_many_levels),
        TEST(test_mapping_takes_every_plane_as_a_level),
        TEST(test_mapping_makes_no_words_of_what_is_none),
        TEST(test_mapping_takes_random_topics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
