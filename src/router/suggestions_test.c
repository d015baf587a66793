// SPDX-License-Identifier: Apache-2.0
#include "router/suggestions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codes.h"
#include "router/documents_test.h"
#include "router/mapping.h"

static void add_item(json_t *items, const char *topic, const char *why, const char *sample)
{
    assert_int_equal(json_array_append_new(items, json_pack("{s:s, s:s, s:s}", "topic", topic,
                                                            "why", why, "sample", sample)),
                     0);
}

static json_t *suggestion(json_t *items, size_t i)
{
    return json_object_get(json_array_get(items, i), "suggestion");
}

static const char *of_document(json_t *items, size_t i, const char *member)
{
    return json_string_value(
        json_object_get(json_object_get(suggestion(items, i), "document"), member));
}

static void test_suggestions_are_documents_that_map_the_topic(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    json_t *items = json_array();

    (void)state;
    add_item(items, "mesh/b5/42/M/status", "unknown-device", "255");
    add_item(items, "tele/plug/SENSOR", "unknown-device", "{}");
    add_item(items, "zigbee2mqtt/bridge/state", "unknown-device", "{}");
    wz_suggest(lists, items);
    assert_string_equal(json_string_value(json_object_get(suggestion(items, 0), "topic")),
                        "mesh.b5.42.M");
    assert_string_equal(of_document(items, 1, "template"), "tasmota");
    assert_string_equal(of_document(items, 1, "route"), "plug");
    assert_string_equal(json_string_value(json_object_get(suggestion(items, 2), "ignore")),
                        "zigbee2mqtt/bridge/#");
    json_decref(items);
}

// Random topics, some of them hostile, with devices that are there already: all that is suggested
// can be saved together, and maps what it was suggested for.
static void test_suggestions_can_all_be_saved_together(void **state)
{
    static const char *const parts[] = {"a",           "b",        "status", "tele",    "SENSOR",
                                        "zigbee2mqtt", "x.y",      "output", "command", "{u}",
                                        " ",           "\xc3\xa9", "set",    "get",     "shellies",
                                        "switch:0",    "bridge",   "online", "_"};
    uint64_t seed = 11;
    int suggested = 0;

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
        json_t *items = json_array();
        struct wz_mapping *mapping;
        json_t *item;
        size_t i;

        add_device(lists, "a", "a");
        add_device(lists, "b/b", "b.b");
        add_subtopic(lists, "status", "b");
        for (int k = 0; k < 40; k++) {
            char topic[128] = "";

            for (uint64_t levels = 1 + next_random(&seed) % 4; levels > 0; levels--)
                (void)snprintf(topic + strlen(topic), sizeof(topic) - strlen(topic), "%s%s",
                               topic[0] != '\0' ? "/" : "",
                               parts[next_random(&seed) % (sizeof(parts) / sizeof(parts[0]))]);
            add_item(items, topic, k % 5 > 0 ? "unknown-device" : "unknown-type",
                     k % 2 > 0 ? "{\"a\":1}" : "true");
        }
        wz_suggest(lists, items);
        json_array_foreach(items, i, item)
        {
            const char *id = json_string_value(json_object_get(suggestion(items, i), "device"));
            struct wz_document_list *devices = &lists[WZ_COLLECTION_DEVICES];
            json_t *document = json_object_get(suggestion(items, i), "document");
            struct wz_store_change change = {
                .collection = WZ_COLLECTION_DEVICES, .name = id, .body = document};

            if (id != NULL)
                apply_changes(lists, &change, 1);
            assert_true(devices->count >= 2);
        }
        assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
        json_array_foreach(items, i, item)
        {
            const char *topic = json_string_value(json_object_get(suggestion(items, i), "topic"));
            struct wz_translation translation;

            if (topic == NULL)
                continue;
            suggested++;
            assert_int_equal(
                wz_mapping_in(mapping,
                              wz_slice_str(json_string_value(json_object_get(item, "topic"))),
                              &translation),
                WZ_OUTCOME_MAPPED);
            assert_true(wz_slice_eq(wz_slice(translation.topic, translation.topic_len),
                                    wz_slice_str(topic)));
        }
        wz_mapping_unref(mapping);
        release_documents(lists);
        json_decref(items);
    }
    print_message("%d suggestions\n", suggested);
    assert_true(suggested > 500);
}

static void test_suggestions_take_names_from_discovery(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    json_t *items = json_array();

    (void)state;
    add_item(items, "homeassistant/sensor/x/config", "unknown-device",
             "{\"~\":\"gw/7\",\"state_topic\":\"~/temp\",\"device\":{\"name\":\"Cellar.Temp\"}}");
    add_item(items, "gw/7/temp", "unknown-device", "21.5");
    wz_suggest(lists, items);
    assert_string_equal(of_document(items, 1, "route"), "Cellar_Temp");
    json_decref(items);
}

static void test_suggestions_choose_routes_that_are_free(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    json_t *items = json_array();

    (void)state;
    add_device(lists, "other", "plug");
    add_item(items, "tele/plug/SENSOR", "unknown-device", "{}");
    wz_suggest(lists, items);
    assert_string_equal(of_document(items, 0, "route"), "plug_2");
    json_decref(items);
    release_documents(lists);
}

static int accept(const struct wz_document_list *lists, json_t *items, const char *wish_text,
                  json_t **ret_devices, struct wz_problem *ret_problem)
{
    json_t *wish = json_loads(wish_text, 0, NULL);
    int r = wz_suggestions_accept(lists, items, wish, ret_devices, ret_problem);

    assert_non_null(wish);
    json_decref(wish);
    return r;
}

static void test_suggestions_are_accepted_as_wished(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_problem problem = {0};
    json_t *items = json_array();
    json_t *devices;

    (void)state;
    add_item(items, "tele/one/SENSOR", "unknown-device", "{}");
    add_item(items, "tele/two/SENSOR", "unknown-device", "{}");
    add_item(items, "home/x/temp", "unknown-device", "1");
    add_item(items, "a//b", "unknown-device", "1");
    add_item(items, "homeassistant/status", "unknown-device", "1");
    wz_suggest(lists, items);
    assert_int_equal(
        accept(lists, items, "{\"topic\":\"tele/one/SENSOR\",\"alike\":true}", &devices, NULL),
        WZ_OK);
    assert_int_equal(json_object_size(devices), 2);
    assert_non_null(json_object_get(devices, "two"));
    json_decref(devices);
    assert_int_equal(accept(lists, items, "{\"topic\":\"no\"}", &devices, &problem),
                     WZ_ERR_NOT_FOUND);
    assert_int_equal(problem.code, WZ_CODE_INBOX_TOPIC);
    assert_int_equal(accept(lists, items, "{\"topic\":\"a//b\"}", &devices, &problem),
                     WZ_ERR_INVALID);
    assert_int_equal(problem.code, WZ_CODE_INBOX_SUGGESTION);
    assert_int_equal(
        accept(lists, items, "{\"topic\":\"homeassistant/status\"}", &devices, &problem),
        WZ_ERR_INVALID);
    assert_non_null(strstr(problem.fix, "homeassistant/#"));
    json_decref(items);
}

static void test_suggestions_are_accepted_only_if_they_map_the_topic(void **state)
{
    static const struct {
        const char *wish;
        const char *message; // NULL: it is accepted
    } cases[] = {
        {"{\"device\":\"tele/one\",\"route\":\"r\",\"template\":\"\"}", "(unknown-type)"},
        {"{\"device\":\"tele/two\",\"route\":\"r\"}", "\"tele/two\" would not map the topic"},
        {"{\"template\":\"\"}", "would not map the topic"},
        {"{\"template\":\"none\"}", "none"},
        {"{\"route\":\"taken\"}", "taken"},
        {"{\"device\":\"tele/one\",\"route\":\"r\",\"template\":\"plain\"}", NULL},
        {"{\"route\":\"r\"}", NULL},
    };
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    json_t *items = json_array();

    (void)state;
    add_device(lists, "other", "taken");
    add_item(items, "tele/one/SENSOR", "unknown-device", "{}");
    wz_suggest(lists, items);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *wish = json_loads(cases[i].wish, 0, NULL);
        struct wz_problem problem = {0};
        json_t *devices = NULL;
        int r;

        assert_int_equal(json_object_set_new(wish, "topic", json_string("tele/one/SENSOR")), 0);
        r = wz_suggestions_accept(lists, items, wish, &devices, &problem);
        assert_int_equal(r, cases[i].message != NULL ? WZ_ERR_INVALID : WZ_OK);
        if (cases[i].message != NULL)
            assert_non_null(strstr(problem.what, cases[i].message));
        json_decref(devices);
        json_decref(wish);
    }
    json_decref(items);
    release_documents(lists);
}

static void test_suggestions_leave_a_device_what_it_has(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    json_t *items = json_array();
    json_t *devices = NULL;
    json_t *document;

    (void)state;
    add_device(lists, "lamp", "l");
    assert_int_equal(json_object_set_new(lists[WZ_COLLECTION_DEVICES].items[0].body, "channels",
                                         json_pack("{s:s}", "S", "sensor")),
                     0);
    add_item(items, "lamp/S", "unknown-type", "1");
    assert_int_equal(accept(lists, items,
                            "{\"topic\":\"lamp/S\",\"device\":\"lamp\",\"template\":\"plain\"}",
                            &devices, NULL),
                     WZ_OK);
    document = json_object_get(devices, "lamp");
    assert_string_equal(json_string_value(json_object_get(document, "route")), "l");
    assert_string_equal(json_string_value(json_object_get(document, "template")), "plain");
    assert_non_null(json_object_get(document, "channels"));
    json_decref(devices);
    json_decref(items);
    release_documents(lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggestions_are_documents_that_map_the_topic),
        cmocka_unit_test(test_suggestions_can_all_be_saved_together),
        cmocka_unit_test(test_suggestions_take_names_from_discovery),
        cmocka_unit_test(test_suggestions_choose_routes_that_are_free),
        cmocka_unit_test(test_suggestions_are_accepted_as_wished),
        cmocka_unit_test(test_suggestions_are_accepted_only_if_they_map_the_topic),
        cmocka_unit_test(test_suggestions_leave_a_device_what_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
