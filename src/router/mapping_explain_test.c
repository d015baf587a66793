// SPDX-License-Identifier: Apache-2.0
#include "router/mapping_explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "router/documents_test.h"

static const struct wz_document_list none;

static struct wz_mapping *example(void)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping = NULL;

    add_device(lists, "mesh/b5/42", "bedroom.light");
    add_device(lists, "site/{n}", "site.{n}");
    add_subtopic(lists, "M", "brightness");
    add_device(lists, "plug", "plug");
    (void)json_object_set_new(lists[WZ_COLLECTION_DEVICES].items[2].body, "template",
                              json_string("tasmota"));
    add_document(&lists[WZ_COLLECTION_SUBTOPICS], "T", "channel", "temperature");
    (void)json_object_set_new(lists[WZ_COLLECTION_SUBTOPICS].items[1].body, "type",
                              json_string("number"));
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    release_documents(lists);
    return mapping;
}

// Each member of EXPECTED is one of the steps; a text begins with it.
static void assert_steps(json_t *steps, const char *expected)
{
    json_t *members = json_loads(expected, 0, NULL);
    char *text = json_dumps(steps, JSON_COMPACT);
    const char *name;
    json_t *member;

    print_message("%s\n", text);
    json_object_foreach(members, name, member)
    {
        json_t *step = json_object_get(steps, name);

        if (json_is_string(member) && json_is_string(step))
            assert_memory_equal(json_string_value(step), json_string_value(member),
                                json_string_length(member));
        else
            assert_true(json_equal(step, member) || (json_is_null(member) && step == NULL));
    }
    free(text);
    json_decref(members);
    json_decref(steps);
}

static void test_mapping_explain_tells_the_way_in(void **state)
{
    static const char *const vectors[][3] = {
        {"mesh/b5/42/M/status", "255",
         "{\"outcome\":\"mapped\",\"device\":\"mesh/b5/42\",\"route\":\"bedroom.light\","
         "\"shape\":\"{device}/{subtopic}/status\",\"subtopic\":\"M\",\"channel\":\"brightness\","
         "\"declared\":\"subtopics/M\",\"type\":\"text\",\"topic\":\"bedroom.light.brightness\","
         "\"record\":\"{\\\"_id\\\":\",\"form\":\"text\",\"why\":null,\"command\":{"
         "\"topic\":\"bedroom.light.brightness.output\",\"to\":\"mesh/b5/42/M/command\","
         "\"send\":\"body\"}}"},
        {"mesh/b5/42/T/status", "warm",
         "{\"outcome\":\"mapped\",\"type\":\"number\",\"form\":\"text\",\"note\":\"The body is no "
         "number\"}"},
        {"mesh/b5/42/T/status", "21.5", "{\"form\":\"typed\",\"note\":null}"},
        {"site/a/M/status", NULL,
         "{\"outcome\":\"mapped\",\"device\":\"site/{n}\",\"captures\":[\"a\"],"
         "\"topic\":\"site.a.brightness\",\"record\":null}"},
        {"tele/plug/SENSOR", NULL,
         "{\"outcome\":\"mapped\",\"template\":\"tasmota\",\"declared\":\"templates/tasmota\","
         "\"command\":{\"topic\":\"plug.sensor.output\",\"to\":\"cmnd/plug/SENSOR\","
         "\"send\":\"value\"}}"},
    };
    struct wz_mapping *mapping = example();
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_steps(wz_mapping_explain_in(mapping, &none, wz_slice_str(vectors[i][0]),
                                           vectors[i][1] != NULL ? wz_slice_str(vectors[i][1])
                                                                 : (struct wz_slice){0}),
                     vectors[i][2]);
    wz_mapping_unref(mapping);
}

static void test_mapping_explain_tells_what_is_missing(void **state)
{
    static const char *const vectors[][2] = {
        {"mesh/b5/43/M/status",
         "{\"outcome\":\"unknown-device\",\"why\":\"No device id stands in it; the nearest is "
         "\\\"mesh/b5/42\\\".\",\"fix\":\"Give the device a name: wyze device set "
         "\\\"mesh/b5/43/M\\\" ROUTE\"}"},
        {"x", "{\"outcome\":\"unknown-device\",\"why\":\"No device id stands in it.\"}"},
        {"",
         "{\"outcome\":\"unknown-device\",\"why\":\"No message has such a topic: it is empty, or "
         "a filter.\"}"},
        {"mesh/+/x",
         "{\"fix\":\"Give a topic as a device publishes on it, without '+' and '#'.\"}"},
        {"a//b/c", "{\"fix\":\"\\\"a//b\\\" cannot be a device's id, for it contains an empty "
                   "level: name the device by the levels before that, or ignore the topic.\"}"},
        {"mesh/b5/42/M/state",
         "{\"outcome\":\"unknown-type\",\"device\":\"mesh/b5/42\",\"why\":\"The device is known, "
         "but "
         "its readings have topics of the form \\\"{device}/{subtopic}/status\\\"\"}"},
        {"mesh/b5/42/a.b/status", "{\"outcome\":\"unsafe-level\",\"device\":\"mesh/b5/42\"}"},
        {"mesh/b5/42/brightness/status", "{\"outcome\":\"collision\",\"why\":\"Its topic would be "
                                         "\\\"bedroom.light.brightness\\\", "
                                         "which is that of \\\"mesh/b5/42/M/status\\\".\"}"},
        {"mesh/b5/42/M/command",
         "{\"outcome\":\"command\",\"device\":\"mesh/b5/42\",\"fix\":null}"},
        {"$SYS/x", "{\"outcome\":\"hidden\",\"fix\":null}"},
        {"\xff/status", "{\"outcome\":\"unknown-device\"}"},
    };
    struct wz_mapping *mapping = example();
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_steps(wz_mapping_explain_in(mapping, &none, wz_slice_str(vectors[i][0]),
                                           (struct wz_slice){0}),
                     vectors[i][1]);
    wz_mapping_unref(mapping);
}

static void test_mapping_explain_tells_the_way_out(void **state)
{
    static const char *const vectors[][3] = {
        {"bedroom.light.brightness.output", "{\"value\": 0}",
         "{\"device\":\"mesh/b5/42\",\"subtopic\":\"M\",\"to\":\"mesh/b5/42/M/command\","
         "\"send\":\"body\",\"body\":\"{\\\"value\\\":0}\"}"},
        {"plug.power.output", "{\"value\": \"ON\"}",
         "{\"to\":\"cmnd/plug/POWER\",\"send\":\"value\",\"body\":\"ON\"}"},
        {"plug.power.output", "toggle", "{\"body\":\"toggle\"}"},
        {"site.a.output", NULL, "{\"to\":\"site/a/command\",\"body\":null}"},
        {"nobody.output", NULL, "{\"to\":null,\"why\":\"No device has this topic.\"}"},
        {"output", NULL, "{\"to\":null}"},
        {"", NULL, "{\"to\":null}"},
    };
    struct wz_mapping *mapping = example();
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_steps(wz_mapping_explain_out(mapping, wz_slice_str(vectors[i][0]),
                                            vectors[i][1] != NULL ? wz_slice_str(vectors[i][1])
                                                                  : (struct wz_slice){0}),
                     vectors[i][2]);
    wz_mapping_unref(mapping);
}

static void test_mapping_explain_tells_that_a_topic_is_ignored(void **state)
{
    static const char *const vectors[][2] = {
        {"x/y/status", "{\"outcome\":\"unknown-device\",\"ignored_by\":\"ignores/+/y/#\","
                       "\"note\":\"The inbox counts it\",\"fix\":\"Give the device a name\"}"},
        {"mesh/b5/42/M/state", "{\"outcome\":\"unknown-type\",\"ignored_by\":\"ignores/mesh/#\"}"},
        {"x/z/status", "{\"outcome\":\"unknown-device\",\"ignored_by\":null,\"note\":null}"},
        // What is mapped, and what would not be kept anyway, does not meet the filters.
        {"mesh/b5/42/M/status", "{\"outcome\":\"mapped\",\"ignored_by\":null}"},
        {"mesh/b5/42/M/command", "{\"outcome\":\"command\",\"ignored_by\":null}"},
        {"$SYS/y/x", "{\"outcome\":\"hidden\",\"ignored_by\":null}"},
    };
    struct wz_mapping *mapping = example();
    struct wz_document_list ignores = {0};
    (void)state;

    add_document(&ignores, "$SYS/#", NULL, NULL);
    add_document(&ignores, "+/y/#", NULL, NULL);
    add_document(&ignores, "mesh/#", NULL, NULL);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_steps(wz_mapping_explain_in(mapping, &ignores, wz_slice_str(vectors[i][0]),
                                           (struct wz_slice){0}),
                     vectors[i][1]);
    wz_document_list_release(&ignores);
    wz_mapping_unref(mapping);
}

// A long topic is cut in what is said of it, between two characters.
static void test_mapping_explain_says_why_of_long_topics(void **state)
{
    struct wz_mapping *mapping = example();
    char topic[4096];
    (void)state;

    for (size_t front = 0; front < 3; front++) {
        memset(topic, 'x', front);
        for (size_t i = 0; i < 1000; i++)
            memcpy(topic + front + 3 * i, "\xe2\x82\xac", 3);
        memcpy(topic + front + 3000, "/status", 8);
        assert_steps(
            wz_mapping_explain_in(mapping, &none, wz_slice_str(topic), (struct wz_slice){0}),
            "{\"why\":\"No device id stands in it.\",\"fix\":\"Give the device a name: \"}");
    }
    wz_mapping_unref(mapping);
}

// Whoever asks may ask about any text.
static void test_mapping_explain_takes_a_topic_that_is_too_long(void **state)
{
    static const char device[] = "bedroom.light.";
    static const char end[] = ".output";
    struct wz_mapping *mapping = example();
    char topic[2000];
    (void)state;

    memset(topic, 'a', sizeof(topic));
    memcpy(topic, device, sizeof(device) - 1);
    memcpy(topic + sizeof(topic) - sizeof(end) + 1, end, sizeof(end) - 1);
    assert_steps(
        wz_mapping_explain_out(mapping, wz_slice(topic, sizeof(topic)), (struct wz_slice){0}),
        "{\"device\":null,\"to\":null,\"why\":\"No device has this topic.\"}");
    wz_mapping_unref(mapping);
}

static void test_mapping_explain_names_both_devices_of_one_topic(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping = NULL;
    (void)state;

    add_documents("{\"devices\":{\"a\":{\"route\":\"r.c\",\"reading\":\"{device}/b/c\"},"
                  "\"a/b\":{\"route\":\"r\",\"reading\":\"{device}/{subtopic}\"}}}",
                  lists);
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    assert_steps(wz_mapping_explain_in(mapping, &none, WZ_SLICE_LIT("a/b/c"), (struct wz_slice){0}),
                 "{\"outcome\":\"collision\",\"device\":\"a/b\",\"topic\":\"r.c\","
                 "\"why\":\"It would be \\\"r.c\\\" in two ways, also as a reading of \\\"a\\\".\","
                 "\"fix\":\"Give one of the two devices\"}");
    release_documents(lists);
    wz_mapping_unref(mapping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_explain_tells_that_a_topic_is_ignored),
        cmocka_unit_test(test_mapping_explain_says_why_of_long_topics),
        cmocka_unit_test(test_mapping_explain_names_both_devices_of_one_topic),
        cmocka_unit_test(test_mapping_explain_tells_the_way_in),
        cmocka_unit_test(test_mapping_explain_tells_what_is_missing),
        cmocka_unit_test(test_mapping_explain_tells_the_way_out),
        cmocka_unit_test(test_mapping_explain_takes_a_topic_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
