// SPDX-License-Identifier: Apache-2.0
#include "router/spot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/documents_test.h"

static int set_up(void **state)
{
    static const char documents[] =
        "{\"templates\":{\"t\":{\"reading\":{\"tele\":\"tele/{device}/{subtopic}\","
        "\"stat\":{\"shape\":\"stat/{device}/{subtopic}\",\"prefix\":\"stat\"}},"
        "\"command\":\"cmnd/{device}\",\"ignore\":[\"debug/{device}/{subtopic}\"],"
        "\"type\":\"number\",\"send\":\"value\","
        "\"channels\":{\"P\":{\"channel\":\"power\",\"reading\":\"stat\",\"type\":\"text\"},"
        "\"S\":\"sensor\"}}},\"subtopics\":{\"M\":\"level\"},"
        "\"devices\":{\"plug\":{\"route\":\"kitchen\",\"template\":\"t\"},"
        "\"mesh/{n}\":\"site.{n}\",\"mesh/b5\":\"bed\"}}";
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping = NULL;

    add_documents(documents, lists);
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

// A spot as "ID reading subtopic", with "-" for no subtopic.
static const char *describe(const struct wz_mapping *mapping, const struct wz_spot *spot)
{
    static char text[256];

    (void)snprintf(text, sizeof(text), "%.*s %d %.*s",
                   WZ_SLICE_FMT(wz_mapping_device_id(mapping, spot->device.number)), spot->reading,
                   spot->subtopic.ptr != NULL ? (int)spot->subtopic.len : 1,
                   spot->subtopic.ptr != NULL ? (const char *)spot->subtopic.ptr : "-");
    return text;
}

static void test_spot_of_a_physical_topic(void **state)
{
    static const struct {
        const char *physical;
        const char *spot; // NULL: none
    } vectors[] = {
        {"tele/plug/S", "plug 0 S"},
        {"tele/plug", "plug 0 -"},
        {"stat/plug/R/1", "plug 1 R/1"},
        {"mesh/7/M/status", "mesh/{n} 0 M"},
        {"mesh/b5/M/status", "mesh/b5 0 M"},
        {"mesh/status", NULL},
        {"plug/S/status", NULL},
    };
    const struct wz_mapping *mapping = *state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_slice physical = wz_slice_str(vectors[i].physical);
        struct wz_spot spot;
        bool found = wz_spot_find(mapping, WZ_SHAPE_READING, physical, &spot);

        assert_int_equal(found, vectors[i].spot != NULL);
        if (!found)
            continue;
        assert_string_equal(describe(mapping, &spot), vectors[i].spot);
        assert_true(wz_spot_has_topic(mapping, &spot, physical));
        assert_false(wz_spot_has_topic(mapping, &spot, WZ_SLICE_LIT("tele/plug/T")));
    }
}

static void test_spot_of_other_uses(void **state)
{
    struct wz_spot spot;

    assert_true(wz_spot_find(*state, WZ_SHAPE_COMMAND, WZ_SLICE_LIT("cmnd/plug"), &spot));
    assert_true(wz_spot_find(*state, WZ_SHAPE_COMMAND, WZ_SLICE_LIT("mesh/7/M/command"), &spot));
    assert_false(wz_spot_find(*state, WZ_SHAPE_COMMAND, WZ_SLICE_LIT("cmnd/plug/S"), &spot));
    assert_true(wz_spot_find(*state, WZ_SHAPE_IGNORED, WZ_SLICE_LIT("debug/plug/1"), &spot));
    assert_false(wz_spot_find(*state, WZ_SHAPE_IGNORED, WZ_SLICE_LIT("debug/mesh/7"), &spot));
}

static void test_spot_near_a_topic_that_has_none(void **state)
{
    struct wz_spot spot;

    assert_true(wz_spot_near(*state, WZ_SLICE_LIT("mesh/7/M/state"), &spot));
    assert_true(wz_slice_eq(wz_buf_slice(&spot.profile->input), WZ_SLICE_LIT("status")));
    assert_false(wz_spot_near(*state, WZ_SLICE_LIT("other/7/M/state"), &spot));
    assert_false(wz_spot_near(*state, WZ_SLICE_LIT("plug/state"), &spot));
}

static void test_spot_of_a_logical_topic(void **state)
{
    static const struct {
        const char *topic;
        const char *spot; // NULL: none
    } vectors[] = {
        {"kitchen", "plug 0 -"},
        {"kitchen.sensor", "plug 0 S"},
        {"kitchen.power", "plug 1 P"},
        {"kitchen.stat", "plug 1 -"},
        {"kitchen.stat.sensor", "plug 1 S"},
        {"kitchen.stat.a.b", "plug 1 a/b"},
        {"kitchen.a.b", "plug 0 a/b"},
        {"site.7.level", "mesh/{n} 0 M"},
        {"bed.level", "mesh/b5 0 M"},
        {"kitchen.", NULL},
        {"kitchen.a/b", NULL},
        {"kitchens", NULL},
        {"site", NULL},
        {"site.output.level", NULL},
    };
    const struct wz_mapping *mapping = *state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char levels[WZ_TOPIC_MAX];
        struct wz_spot spot;
        struct wz_translation translation;
        bool found = wz_spot_read(mapping, wz_slice_str(vectors[i].topic), levels, &spot);

        print_message("%s\n", vectors[i].topic);
        assert_int_equal(found, vectors[i].spot != NULL);
        if (!found)
            continue;
        assert_string_equal(describe(mapping, &spot), vectors[i].spot);
        assert_int_equal(wz_spot_name(mapping, &spot, &translation), WZ_OUTCOME_MAPPED);
        assert_true(wz_slice_eq(wz_slice(translation.topic, translation.topic_len),
                                wz_slice_str(vectors[i].topic)));
    }
}

static void test_spot_writes_its_topics(void **state)
{
    const struct wz_mapping *mapping = *state;
    char text[WZ_COMMAND_TOPIC_MAX];
    char levels[WZ_TOPIC_MAX];
    struct wz_spot spot;
    size_t len;

    assert_true(wz_spot_read(mapping, WZ_SLICE_LIT("site.7.level"), levels, &spot));
    len = wz_spot_write(mapping, &spot, &spot.profile->command, text);
    assert_true(wz_slice_eq(wz_slice(text, len), WZ_SLICE_LIT("mesh/7/M/command")));
    assert_true(wz_spot_read(mapping, WZ_SLICE_LIT("kitchen.sensor"), levels, &spot));
    assert_int_equal(wz_spot_write(mapping, &spot, &spot.profile->command, text), 0);
    assert_true(wz_spot_read(mapping, WZ_SLICE_LIT("kitchen"), levels, &spot));
    len = wz_spot_write(mapping, &spot, &spot.profile->command, text);
    assert_true(wz_slice_eq(wz_slice(text, len), WZ_SLICE_LIT("cmnd/plug")));
}

static void test_spot_has_type_and_send_of_its_channel_or_its_template(void **state)
{
    static const struct {
        const char *topic;
        enum wz_body_type type;
        enum wz_send send;
    } vectors[] = {
        {"kitchen.sensor", WZ_BODY_NUMBER, WZ_SEND_VALUE},
        {"kitchen.power", WZ_BODY_TEXT, WZ_SEND_VALUE},
        {"kitchen.level", WZ_BODY_NUMBER, WZ_SEND_VALUE},
        {"kitchen.x", WZ_BODY_NUMBER, WZ_SEND_VALUE},
        {"kitchen", WZ_BODY_NUMBER, WZ_SEND_VALUE},
        {"bed.level", WZ_BODY_TEXT, WZ_SEND_BODY},
    };
    const struct wz_mapping *mapping = *state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char levels[WZ_TOPIC_MAX];
        struct wz_translation translation;
        struct wz_spot spot;

        assert_true(wz_spot_read(mapping, wz_slice_str(vectors[i].topic), levels, &spot));
        assert_int_equal(wz_spot_name(mapping, &spot, &translation), WZ_OUTCOME_MAPPED);
        assert_int_equal(translation.type, vectors[i].type);
        assert_int_equal(wz_spot_send(mapping, &spot), vectors[i].send);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_spot_of_a_physical_topic),
        TEST(test_spot_of_other_uses),
        TEST(test_spot_near_a_topic_that_has_none),
        TEST(test_spot_of_a_logical_topic),
        TEST(test_spot_writes_its_topics),
        TEST(test_spot_has_type_and_send_of_its_channel_or_its_template),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
