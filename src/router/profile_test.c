// SPDX-License-Identifier: Apache-2.0
#include "router/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/mem.h"

static int make(const char *template, const char *device, struct wz_profile *ret_profile,
                struct wz_problem *ret_problem)
{
    struct wz_profile_source source = {
        .where = "templates/t",
        .layers = {template != NULL ? json_loads(template, 0, NULL) : NULL,
                   device != NULL ? json_loads(device, 0, NULL) : NULL},
        .input = WZ_SLICE_LIT("status"),
        .output = WZ_SLICE_LIT("command"),
    };
    int r = wz_profile_init(ret_profile, &source, ret_problem);

    json_decref(source.layers[0]);
    json_decref(source.layers[1]);
    return r;
}

static struct wz_profile profile_of(const char *template, const char *device)
{
    struct wz_problem problem = {0};
    struct wz_profile profile;

    if (make(template, device, &profile, &problem) != WZ_OK)
        fail_msg("%s", problem.what);
    return profile;
}

// A channel's "name type send reading", or "".
static const char *channel_of(const struct wz_profile *profile, const char *subtopic)
{
    static char text[128];
    const struct wz_channel_info *info;
    uint32_t index;

    text[0] = '\0';
    if (!wz_pairs_find(&profile->channels.pairs, WZ_SIDE_PHYSICAL, wz_slice_str(subtopic), &index))
        return text;
    info = &profile->channels.info[index];
    (void)snprintf(text, sizeof(text), "%.*s %s %s %d",
                   WZ_SLICE_FMT(wz_pairs_get(&profile->channels.pairs, index, WZ_SIDE_LOGICAL)),
                   wz_body_type_word(info->type), info->send == WZ_SEND_VALUE ? "value" : "body",
                   info->reading == WZ_READING_ANY ? -1 : info->reading);
    return text;
}

static void test_profile_without_members_is_the_preset(void **state)
{
    struct wz_profile profile = profile_of(NULL, NULL);
    (void)state;

    assert_int_equal(profile.reading_count, 1);
    assert_string_equal(wz_buf_str(&profile.readings[0].shape.text), "{device}/{subtopic}/status");
    assert_string_equal(wz_buf_str(&profile.command.text), "{device}/{subtopic}/command");
    assert_int_equal(profile.readings[0].prefix.len, 0);
    assert_int_equal(profile.ignored_count, 0);
    assert_int_equal(profile.preset.type, WZ_BODY_TEXT);
    assert_int_equal(profile.preset.send, WZ_SEND_BODY);
    assert_int_equal(profile.preset.reading, WZ_READING_ANY);
    wz_profile_release(&profile);
}

static void test_profile_takes_a_devices_members_before_its_templates(void **state)
{
    struct wz_profile profile = profile_of(
        "{\"input\":\"in\",\"output\":\"out\",\"type\":\"json\",\"send\":\"value\","
        "\"channels\":{\"M\":\"m\",\"N\":{\"channel\":\"n\",\"type\":\"number\"},\"X\":\"x\"}}",
        "{\"route\":\"r\",\"input\":\"state\",\"send\":\"body\","
        "\"channels\":{\"M\":{\"channel\":\"mine\",\"send\":\"value\"},\"X\":null,\"O\":\"o\"}}");
    (void)state;

    assert_string_equal(wz_buf_str(&profile.readings[0].shape.text), "{device}/{subtopic}/state");
    assert_string_equal(wz_buf_str(&profile.command.text), "{device}/{subtopic}/out");
    assert_int_equal(profile.preset.type, WZ_BODY_JSON);
    assert_int_equal(profile.preset.send, WZ_SEND_BODY);
    assert_string_equal(channel_of(&profile, "M"), "mine json value -1");
    assert_string_equal(channel_of(&profile, "N"), "n number body -1");
    assert_string_equal(channel_of(&profile, "O"), "o json body -1");
    assert_string_equal(channel_of(&profile, "X"), "");
    wz_profile_release(&profile);
}

static void test_profile_reads_all_forms_of_readings(void **state)
{
    static const struct {
        const char *reading;
        const char *readings; // "name shape prefix;" of each
    } vectors[] = {
        {"\"a/{device}\"", "- a/{device} ;"},
        {"{\"shape\":\"a/{device}\",\"prefix\":\"p.q\"}", "- a/{device} p.q;"},
        {"[\"a/{device}\",\"{device}/{subtopic}\"]", "- a/{device} ;- {device}/{subtopic} ;"},
        {"{\"y\":\"a/{device}\",\"x\":{\"shape\":\"b/{device}\",\"prefix\":\"p\"}}",
         "y a/{device} ;x b/{device} p;"},
        {"\"{output}/{device}/{input}\"", "- command/{device}/status ;"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf readings = {0};
        struct wz_profile profile;
        char body[256];

        (void)snprintf(body, sizeof(body), "{\"reading\":%s}", vectors[i].reading);
        profile = profile_of(body, NULL);
        for (uint8_t j = 0; j < profile.reading_count; j++)
            wz_buf_addf(&readings, "%s %s %s;",
                        profile.readings[j].name != NULL ? profile.readings[j].name : "-",
                        wz_buf_str(&profile.readings[j].shape.text),
                        wz_buf_str(&profile.readings[j].prefix));
        assert_string_equal(wz_buf_str(&readings), vectors[i].readings);
        wz_profile_release(&profile);
    }
}

static void test_profile_pins_channels_to_a_shape(void **state)
{
    struct wz_profile profile =
        profile_of("{\"reading\":{\"tele\":\"tele/{device}/{subtopic}\","
                   "\"stat\":\"stat/{device}/{subtopic}\"},"
                   "\"channels\":{\"P\":{\"channel\":\"power\",\"reading\":\"stat\"}}}",
                   NULL);
    (void)state;

    assert_string_equal(channel_of(&profile, "P"), "power text body 1");
    wz_profile_release(&profile);
}

static void test_profile_refuses_wrong_members(void **state)
{
    static const struct {
        const char *body;
        int code;
    } vectors[] = {
        {"{\"input\":1}", WZ_CODE_MAPPING_TYPE},
        {"{\"input\":\"a/b\"}", WZ_CODE_MAPPING_TYPE},
        {"{\"output\":\"\"}", WZ_CODE_MAPPING_TYPE},
        {"{\"output\":\"status\"}", WZ_CODE_MAPPING_TYPES_EQUAL},
        {"{\"reading\":1}", WZ_CODE_MAPPING_SHAPE},
        {"{\"reading\":{}}", WZ_CODE_MAPPING_SHAPE},
        {"{\"reading\":{\"a\":{\"prefix\":\"p\"}}}", WZ_CODE_MAPPING_SHAPE},
        {"{\"reading\":{\"shape\":\"{device}\",\"x\":1}}", WZ_CODE_MAPPING_SHAPE},
        {"{\"reading\":{\"shape\":\"{device}\",\"prefix\":1}}", WZ_CODE_MAPPING_SHAPE},
        {"{\"reading\":{\"shape\":\"{device}\",\"prefix\":\"a.output\"}}",
         WZ_CODE_MAPPING_OUTPUT_WORD},
        {"{\"reading\":[\"1/{device}\",\"2/{device}\",\"3/{device}\",\"4/{device}\",\"5/{device}\","
         "\"6/{device}\",\"7/{device}\",\"8/{device}\",\"9/{device}\"]}",
         WZ_CODE_MAPPING_SHAPE},
        {"{\"command\":[]}", WZ_CODE_MAPPING_SHAPE},
        {"{\"command\":\"x\"}", WZ_CODE_MAPPING_SHAPE},
        {"{\"ignore\":\"{device}/x\"}", WZ_CODE_MAPPING_SHAPE},
        {"{\"ignore\":[1]}", WZ_CODE_MAPPING_SHAPE},
        {"{\"channels\":[]}", WZ_CODE_MAPPING_MEMBER},
        {"{\"channels\":{\"M\":1}}", WZ_CODE_MAPPING_MEMBER},
        {"{\"channels\":{\"M\":{}}}", WZ_CODE_MAPPING_MEMBER},
        {"{\"channels\":{\"M\":{\"channel\":\"m\",\"x\":1}}}", WZ_CODE_MAPPING_MEMBER},
        {"{\"channels\":{\"M\":{\"channel\":\"m\",\"reading\":\"x\"}}}", WZ_CODE_MAPPING_MEMBER},
        {"{\"channels\":{\"M+\":\"m\"}}", WZ_CODE_MAPPING_SUBTOPIC},
        {"{\"channels\":{\"M\":\"m..n\"}}", WZ_CODE_MAPPING_CHANNEL},
        {"{\"channels\":{\"M\":\"m.output\"}}", WZ_CODE_MAPPING_OUTPUT_WORD},
        {"{\"channels\":{\"M\":\"m\",\"N\":\"m\"}}", WZ_CODE_MAPPING_CHANNEL_TAKEN},
        {"{\"type\":1}", WZ_CODE_MAPPING_MEMBER},
        {"{\"send\":true}", WZ_CODE_MAPPING_MEMBER},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_problem problem = {0};
        struct wz_profile profile;

        assert_int_equal(make(vectors[i].body, NULL, &profile, &problem), WZ_ERR_INVALID);
        print_message("%s: %s | %s\n", vectors[i].body, problem.what, problem.fix);
        assert_int_equal(problem.code, vectors[i].code);
        assert_string_equal(problem.where, "templates/t");
        assert_string_not_equal(problem.fix, "");
    }
}

static void test_profile_differs_by_its_own_members(void **state)
{
    json_t *same =
        json_loads("{\"route\":\"r\",\"template\":\"t\",\"description\":\"d\"}", 0, NULL);
    json_t *other = json_loads("{\"route\":\"r\",\"channels\":{}}", 0, NULL);
    (void)state;

    assert_false(wz_profile_differs(same));
    assert_true(wz_profile_differs(other));
    json_decref(same);
    json_decref(other);
}

static void test_channels_add_reads_a_document(void **state)
{
    static const struct {
        const char *body;
        int code; // 0: taken
    } vectors[] = {
        {"{\"channel\":\"a\"}", 0},
        {"{\"channel\":\"b\",\"type\":\"boolean\",\"send\":\"value\",\"description\":\"d\"}", 0},
        {"{\"channel\":\"a\"}", WZ_CODE_MAPPING_CHANNEL_TAKEN},
        {"{\"channel\":\"c\",\"reading\":\"x\"}", WZ_CODE_MAPPING_MEMBER},
        {"{\"channel\":\"c\",\"type\":\"int\"}", WZ_CODE_MAPPING_MEMBER},
        {"{}", WZ_CODE_MAPPING_MEMBER},
    };
    struct wz_channels channels;
    (void)state;

    wz_channels_init(&channels, 6);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        json_t *body = json_loads(vectors[i].body, 0, NULL);
        struct wz_problem problem = {0};
        char subtopic[8];

        (void)snprintf(subtopic, sizeof(subtopic), "S%zu", i);
        assert_int_equal(wz_channels_add(&channels, "subtopics/S", subtopic, body, &problem),
                         vectors[i].code == 0 ? WZ_OK : WZ_ERR_INVALID);
        assert_int_equal(problem.code, vectors[i].code);
        json_decref(body);
    }
    assert_int_equal(channels.pairs.count, 2);
    assert_int_equal(channels.info[1].type, WZ_BODY_BOOLEAN);
    assert_int_equal(channels.info[1].send, WZ_SEND_VALUE);
    wz_channels_release(&channels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_without_members_is_the_preset),
        cmocka_unit_test(test_profile_takes_a_devices_members_before_its_templates),
        cmocka_unit_test(test_profile_reads_all_forms_of_readings),
        cmocka_unit_test(test_profile_pins_channels_to_a_shape),
        cmocka_unit_test(test_profile_refuses_wrong_members),
        cmocka_unit_test(test_profile_differs_by_its_own_members),
        cmocka_unit_test(test_channels_add_reads_a_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
