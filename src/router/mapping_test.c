// SPDX-License-Identifier: Apache-2.0
#include "router/mapping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/rand.h"
#include "router/documents_test.h"

static struct wz_mapping *compile(struct wz_document_list *lists)
{
    struct wz_problem problem = {0};
    struct wz_mapping *mapping = NULL;

    assert_int_equal(wz_mapping_compile(lists, &mapping, &problem), WZ_OK);
    release_documents(lists);
    return mapping;
}

// The mapping of the original description, and devices whose ids and routes begin with others'.
static struct wz_mapping *example(void)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};

    add_device(lists, "mesh/b5ea3f/42", "bedroom.light");
    add_device(lists, "mesh/b5ea3f", "mesh");
    add_device(lists, "a", "a");
    add_device(lists, "b", "a.b");
    add_device(lists, "x.y", "dotted");
    add_subtopic(lists, "M", "brightness");
    add_subtopic(lists, "S/1", "socket.first");
    add_subtopic(lists, "od.d", "odd");
    add_type(lists, "input", "status");
    add_type(lists, "output", "command");
    return compile(lists);
}

static void assert_in(const struct wz_mapping *mapping, const char *physical,
                      enum wz_outcome expected, const char *topic)
{
    struct wz_translation translation;
    enum wz_outcome outcome = wz_mapping_in(mapping, wz_slice_str(physical), &translation);

    print_message("%s: %s\n", physical, wz_outcome_word(outcome));
    assert_int_equal(outcome, expected);
    if (expected == WZ_OUTCOME_MAPPED)
        assert_true(
            wz_slice_eq(wz_slice(translation.topic, translation.topic_len), wz_slice_str(topic)));
}

// TOPIC NULL: no device has it.
static void assert_out(const struct wz_mapping *mapping, const char *logical, const char *topic)
{
    struct wz_command_topic command;
    int r = wz_mapping_out(mapping, wz_slice_str(logical), &command);

    print_message("%s\n", logical);
    assert_int_equal(r, topic == NULL ? WZ_ERR_NOT_FOUND : WZ_OK);
    if (topic != NULL)
        assert_true(wz_slice_eq(wz_slice(command.topic, command.topic_len), wz_slice_str(topic)));
}

static void test_mapping_translates_the_original_example(void **state)
{
    struct wz_mapping *mapping = example();
    (void)state;

    assert_in(mapping, "mesh/b5ea3f/42/M/status", WZ_OUTCOME_MAPPED, "bedroom.light.brightness");
    assert_out(mapping, "bedroom.light.brightness.output", "mesh/b5ea3f/42/M/command");
    wz_mapping_unref(mapping);
}

static void test_mapping_in_tells_what_becomes_of_a_topic(void **state)
{
    static const struct {
        const char *physical;
        enum wz_outcome outcome;
        const char *topic;
    } vectors[] = {
        {"mesh/b5ea3f/42/status", WZ_OUTCOME_MAPPED, "bedroom.light"},
        {"mesh/b5ea3f/42/power/now/status", WZ_OUTCOME_MAPPED, "bedroom.light.power.now"},
        {"mesh/b5ea3f/42/S/1/status", WZ_OUTCOME_MAPPED, "bedroom.light.socket.first"},
        {"mesh/b5ea3f/42/S/status", WZ_OUTCOME_MAPPED, "bedroom.light.S"},
        {"mesh/b5ea3f/42/od.d/status", WZ_OUTCOME_MAPPED, "bedroom.light.odd"},
        {"mesh/b5ea3f/43/status", WZ_OUTCOME_MAPPED, "mesh.43"},
        {"mesh/b5ea3f/421/M/status", WZ_OUTCOME_MAPPED, "mesh.421.M"},
        {"mesh/b5ea3f/42/status/status", WZ_OUTCOME_MAPPED, "bedroom.light.status"},
        {"mesh/b5ea3f/42/command/status", WZ_OUTCOME_MAPPED, "bedroom.light.command"},
        {"x.y/M/status", WZ_OUTCOME_MAPPED, "dotted.brightness"},
        {"b/c/status", WZ_OUTCOME_MAPPED, "a.b.c"},
        {"mesh/b5ea3f/42/M/command", WZ_OUTCOME_COMMAND, NULL},
        {"mesh/b5ea3f/42/command", WZ_OUTCOME_COMMAND, NULL},
        {"mesh/b5ea3f/42/a.b/command", WZ_OUTCOME_COMMAND, NULL},
        {"mesh/b5ea3f/42/M/Status", WZ_OUTCOME_UNKNOWN_TYPE, NULL},
        {"mesh/b5ea3f/42/M/", WZ_OUTCOME_UNKNOWN_TYPE, NULL},
        {"mesh/b5ea3f/42", WZ_OUTCOME_UNKNOWN_TYPE, NULL},
        {"mesh/b5ea3f", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"mesh/b5ea3/42/M/status", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"/mesh/b5ea3f/42/M/status", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"other/M/command", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"status", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"/status", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"", WZ_OUTCOME_UNKNOWN_DEVICE, NULL},
        {"mesh/b5ea3f/42/a.b/status", WZ_OUTCOME_UNSAFE_LEVEL, NULL},
        {"mesh/b5ea3f/42/*/status", WZ_OUTCOME_UNSAFE_LEVEL, NULL},
        {"mesh/b5ea3f/42/#/status", WZ_OUTCOME_UNSAFE_LEVEL, NULL},
        {"mesh/b5ea3f/42/a+/status", WZ_OUTCOME_UNSAFE_LEVEL, NULL},
        {"mesh/b5ea3f/42//status", WZ_OUTCOME_UNSAFE_LEVEL, NULL},
        {"mesh/b5ea3f/42/M//status", WZ_OUTCOME_UNSAFE_LEVEL, NULL},
        {"mesh/b5ea3f/42/brightness/status", WZ_OUTCOME_COLLISION, NULL},
        {"mesh/b5ea3f/42/socket/first/status", WZ_OUTCOME_COLLISION, NULL},
        {"mesh/b5ea3f/42/output/status", WZ_OUTCOME_COLLISION, NULL},
        {"mesh/b5ea3f/42/x/output/status", WZ_OUTCOME_COLLISION, NULL},
        {"a/b/status", WZ_OUTCOME_COLLISION, NULL},
        {"a/b/c/status", WZ_OUTCOME_COLLISION, NULL},
        {"$SYS/broker/status", WZ_OUTCOME_HIDDEN, NULL},
        {"$", WZ_OUTCOME_HIDDEN, NULL},
    };
    struct wz_mapping *mapping = example();
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_in(mapping, vectors[i].physical, vectors[i].outcome, vectors[i].topic);
    wz_mapping_unref(mapping);
}

static void test_mapping_out_finds_the_one_device_of_a_topic(void **state)
{
    static const char *const vectors[][2] = {
        {"bedroom.light.output", "mesh/b5ea3f/42/command"},
        {"bedroom.light.power.now.output", "mesh/b5ea3f/42/power/now/command"},
        {"bedroom.light.socket.first.output", "mesh/b5ea3f/42/S/1/command"},
        {"bedroom.light.odd.output", "mesh/b5ea3f/42/od.d/command"},
        {"a.b.output", "b/command"},
        {"a.b.c.output", "b/c/command"},
        {"a.c.output", "a/c/command"},
        {"mesh.43.output", "mesh/b5ea3f/43/command"},
        {"dotted.output", "x.y/command"},
        {"bedroom.light.M.output", NULL},   // M has another name
        {"bedroom.light.S.1.output", NULL}, // so has S/1
        {"mesh.42.output", NULL},           // the device mesh/b5ea3f/42 has another name
        {"mesh.42.M.output", NULL},
        {"bedroom.light.brightness", NULL}, // no command
        {"bedroom.light.output.output", NULL},
        {"bedroom.output", NULL},
        {"bedroom.lights.output", NULL},
        {"nobody.output", NULL},
        {"output", NULL},
        {".output", NULL},
        {"", NULL},
        {"bedroom.light..output", NULL},
        {"bedroom.light.a/b.output", NULL}, // would be a.b's too
        {"bedroom.light.+.output", NULL},
        {"bedroom.light.#.output", NULL},
        {"bedroom.light.*.output", NULL},
        {"bedroom.light.\xff.output", NULL},
    };
    struct wz_mapping *mapping = example();
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_out(mapping, vectors[i][0], vectors[i][1]);
    wz_mapping_unref(mapping);
}

static void test_mapping_in_keeps_the_longest_topic(void **state)
{
    struct wz_mapping *mapping = example();
    char physical[WZ_TOPIC_MAX + 64];
    char topic[WZ_TOPIC_MAX + 32];
    size_t room = WZ_TOPIC_MAX - strlen("bedroom.light.");
    (void)state;

    memset(topic, 'x', sizeof(topic));
    topic[room] = '\0';
    (void)snprintf(physical, sizeof(physical), "mesh/b5ea3f/42/%.*s/status", (int)room, topic);
    memmove(topic + strlen("bedroom.light."), topic, room + 1);
    memcpy(topic, "bedroom.light.", strlen("bedroom.light."));
    assert_in(mapping, physical, WZ_OUTCOME_MAPPED, topic);
    (void)snprintf(physical, sizeof(physical), "mesh/b5ea3f/42/x%s/status",
                   topic + strlen("bedroom.light."));
    assert_in(mapping, physical, WZ_OUTCOME_TOO_LONG, NULL);
    wz_mapping_unref(mapping);
}

static void test_mapping_in_takes_topics_of_any_length(void **state)
{
    static char physical[65536];
    struct wz_mapping *mapping = example();
    (void)state;

    memset(physical, '/', sizeof(physical) - 1);
    assert_in(mapping, physical, WZ_OUTCOME_UNKNOWN_DEVICE, NULL);
    memset(physical, 'a', sizeof(physical) - 1);
    physical[1] = '/';
    memcpy(physical + sizeof(physical) - 8, "/status", 7);
    assert_in(mapping, physical, WZ_OUTCOME_TOO_LONG, NULL);
    wz_mapping_unref(mapping);
}

static void test_mapping_has_type_words_without_documents(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping;
    (void)state;

    add_device(lists, "a", "r");
    mapping = compile(lists);
    assert_in(mapping, "a/status", WZ_OUTCOME_MAPPED, "r");
    assert_in(mapping, "a/command", WZ_OUTCOME_COMMAND, NULL);
    wz_mapping_unref(mapping);
}

static void test_mapping_empty_maps_nothing(void **state)
{
    struct wz_mapping *mapping = wz_mapping_empty();
    (void)state;

    assert_in(mapping, "a/status", WZ_OUTCOME_UNKNOWN_DEVICE, NULL);
    assert_in(mapping, "/", WZ_OUTCOME_UNKNOWN_DEVICE, NULL);
    assert_in(mapping, "$a", WZ_OUTCOME_HIDDEN, NULL);
    assert_out(mapping, "a.output", NULL);
    wz_mapping_unref(mapping);
}

// One to MAX parts of an alphabet so small that everything meets everything.
static void random_text(uint64_t *seed, char separator, size_t max, bool wild, char ret_text[64])
{
    static const char *const parts[] = {"a", "b", "c", "output", "status", "a.b", "", "+"};
    size_t count = 1 + next_random(seed) % max;

    ret_text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t part = next_random(seed) % (wild ? 8 : 3);

        if (i > 0)
            strncat(ret_text, &separator, 1);
        strncat(ret_text, parts[part], 8);
    }
}

static struct wz_mapping *random_mapping(uint64_t *seed)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping = NULL;
    size_t devices = 1 + next_random(seed) % 5;
    size_t subtopics = next_random(seed) % 4;
    char left[64];
    char right[64];

    for (size_t i = 0; i < devices; i++) {
        random_text(seed, '/', 3, false, left);
        random_text(seed, '.', 3, false, right);
        add_device(lists, left, right);
    }
    for (size_t i = 0; i < subtopics; i++) {
        random_text(seed, '/', 2, false, left);
        random_text(seed, '.', 2, false, right);
        add_subtopic(lists, left, right);
    }
    if (wz_mapping_compile(lists, &mapping, NULL) != WZ_OK)
        mapping = NULL;
    release_documents(lists);
    return mapping;
}

// Translates one random topic in, and its topic out again; remembers which physical topic has which
// logical one.
static void check_in(const struct wz_mapping *mapping, uint64_t *seed, struct wz_map *seen)
{
    struct wz_translation translation;
    struct wz_command_topic command;
    char physical[80];
    char topic[WZ_TOPIC_MAX + 8];
    char *before;
    int len;

    random_text(seed, '/', 5, next_random(seed) % 4 == 0, physical);
    len = (int)strlen(physical);
    (void)snprintf(physical + len, sizeof(physical) - (size_t)len, "/status");
    if (wz_mapping_in(mapping, wz_slice_str(physical), &translation) != WZ_OUTCOME_MAPPED)
        return;
    (void)snprintf(topic, sizeof(topic), "%.*s.output", (int)translation.topic_len,
                   translation.topic);
    assert_int_equal(wz_mapping_out(mapping, wz_slice_str(topic), &command), WZ_OK);
    assert_int_equal(command.device, translation.device);
    assert_int_equal(command.topic_len, len + (int)strlen("/command"));
    assert_memory_equal(command.topic, physical, (size_t)len + 1);
    before = wz_map_get(seen, wz_slice_str(topic));
    if (before != NULL) {
        assert_string_equal(before, physical);
        return;
    }
    // The key and the value live in one allocation: the value first.
    before = wz_alloc(strlen(physical) + 1 + strlen(topic) + 1);
    memcpy(before, physical, strlen(physical) + 1);
    memcpy(before + strlen(physical) + 1, topic, strlen(topic) + 1);
    (void)wz_map_put(seen, wz_slice_str(before + strlen(physical) + 1), before);
}

// Translates one random command out, and the reading of the same place in again.
static void check_out(const struct wz_mapping *mapping, uint64_t *seed)
{
    struct wz_translation translation;
    struct wz_command_topic command;
    char topic[80];
    char physical[WZ_COMMAND_TOPIC_MAX + 8];
    int len;

    random_text(seed, '.', 5, next_random(seed) % 4 == 0, topic);
    len = (int)strlen(topic);
    (void)snprintf(topic + len, sizeof(topic) - (size_t)len, ".output");
    if (wz_mapping_out(mapping, wz_slice_str(topic), &command) < 0)
        return;
    (void)snprintf(physical, sizeof(physical), "%.*sstatus",
                   (int)(command.topic_len - strlen("command")), command.topic);
    assert_int_equal(wz_mapping_in(mapping, wz_slice_str(physical), &translation),
                     WZ_OUTCOME_MAPPED);
    assert_int_equal(translation.device, command.device);
    assert_int_equal(translation.topic_len, len);
    assert_memory_equal(translation.topic, topic, (size_t)len);
}

static void test_mapping_is_one_to_one_whatever_it_is_made_of(void **state)
{
    uint64_t seed = wz_rand_u64();
    int accepted = 0;
    (void)state;

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 2000; i++) {
        struct wz_mapping *mapping = random_mapping(&seed);
        struct wz_map seen = {0};
        size_t walk = 0;
        void *value;

        if (mapping == NULL)
            continue;
        accepted++;
        for (int j = 0; j < 200; j++) {
            check_in(mapping, &seed, &seen);
            check_out(mapping, &seed);
        }
        while ((value = wz_map_next(&seen, &walk)) != NULL)
            wz_free(value);
        wz_map_release(&seen);
        wz_mapping_unref(mapping);
    }
    assert_true(accepted > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_translates_the_original_example),
        cmocka_unit_test(test_mapping_in_tells_what_becomes_of_a_topic),
        cmocka_unit_test(test_mapping_out_finds_the_one_device_of_a_topic),
        cmocka_unit_test(test_mapping_in_keeps_the_longest_topic),
        cmocka_unit_test(test_mapping_in_takes_topics_of_any_length),
        cmocka_unit_test(test_mapping_has_type_words_without_documents),
        cmocka_unit_test(test_mapping_empty_maps_nothing),
        cmocka_unit_test(test_mapping_is_one_to_one_whatever_it_is_made_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
