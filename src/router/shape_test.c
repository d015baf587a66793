// SPDX-License-Identifier: Apache-2.0
#include "router/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct wz_shape_words words = {{(const uint8_t *)"status", 6},
                                            {(const uint8_t *)"command", 7}};

static struct wz_shape parse(const char *text)
{
    struct wz_shape shape = {0};
    const char *wrong = wz_shape_parse(wz_slice_str(text), &words, &shape);

    if (wrong != NULL)
        fail_msg("%s %s", text, wrong);
    return shape;
}

static void test_shape_parse_takes_its_parts(void **state)
{
    static const struct {
        const char *text;
        const char *parts; // before|between|after, or before||after without a subtopic
        bool has_subtopic;
        uint32_t fixed_levels;
    } vectors[] = {
        {"{device}", "||", false, 0},
        {"{device}/{subtopic}", "||", true, 0},
        {"{device}/{subtopic}/{input}", "||status", true, 1},
        {"a/b/{device}/c/{subtopic}/{output}/d", "a/b|c|command/d", true, 5},
        {"a/{device}/c/d", "a||c/d", false, 3},
        {"{device}/{device2", NULL, false, 0},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_shape shape = {0};
        char parts[64];

        if (vectors[i].parts == NULL) {
            assert_non_null(wz_shape_parse(wz_slice_str(vectors[i].text), &words, &shape));
            continue;
        }
        shape = parse(vectors[i].text);
        (void)snprintf(parts, sizeof(parts), "%.*s|%.*s|%.*s", WZ_SLICE_FMT(shape.before),
                       WZ_SLICE_FMT(shape.between), WZ_SLICE_FMT(shape.after));
        assert_string_equal(parts, vectors[i].parts);
        assert_int_equal(shape.has_subtopic, vectors[i].has_subtopic);
        assert_int_equal(shape.fixed_levels, vectors[i].fixed_levels);
        wz_shape_release(&shape);
    }
}

static void test_shape_parse_says_what_is_wrong(void **state)
{
    static const char *const vectors[][2] = {
        {"", "has an empty level"},
        {"a/b", "has no {device}"},
        {"/{device}", "has an empty level"},
        {"{device}/", "has an empty level"},
        {"{device}//a", "has an empty level"},
        {"{device}/{device}", "has {device} twice"},
        {"{device}/{subtopic}/{subtopic}", "has {subtopic} twice"},
        {"{subtopic}/{device}", "has {subtopic} in front of {device}"},
        {"{device}/+", "contains a wildcard, '+' or '#'"},
        {"{device}/a#", "contains a wildcard, '+' or '#'"},
        {"{device}/a\tb", "contains a control character"},
        {"$SYS/{device}", "begins with '$'"},
        {"{device}/\xff", "is not UTF-8"},
    };
    struct wz_shape shape = {0};
    char text[WZ_SHAPE_TEXT_MAX + 2] = "{device}/";
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_string_equal(wz_shape_parse(wz_slice_str(vectors[i][0]), &words, &shape),
                            vectors[i][1]);
    assert_null(shape.text.ptr);
    memset(text + 9, 'a', WZ_SHAPE_TEXT_MAX + 1 - 9);
    assert_string_equal(wz_shape_parse(wz_slice_str(text), &words, &shape),
                        "is longer than 255 bytes");
    text[WZ_SHAPE_TEXT_MAX] = '\0';
    assert_null(wz_shape_parse(wz_slice_str(text), &words, &shape));
    wz_shape_release(&shape);
}

// The device has the id "d/e".
static void test_shape_reads_what_it_writes(void **state)
{
    static const struct {
        const char *shape;
        const char *topic;
        const char *subtopic; // NULL: none; "-": the topic is not of the shape
    } vectors[] = {
        {"{device}", "d/e", NULL},
        {"{device}", "d/e/x", "-"},
        {"{device}/{subtopic}", "d/e", NULL},
        {"{device}/{subtopic}", "d/e/x/y", "x/y"},
        {"{device}/{subtopic}", "d/e/", ""},
        {"{device}/{subtopic}/{input}", "d/e/status", NULL},
        {"{device}/{subtopic}/{input}", "d/e/status/status", "status"},
        {"{device}/{subtopic}/{input}", "d/e/x", "-"},
        {"{device}/{subtopic}/{input}", "status", "-"},
        {"{device}/{subtopic}/{input}", "/status", "-"},
        {"t/{device}/{subtopic}", "t/d/e/x", "x"},
        {"t/{device}/{subtopic}", "tt/d/e/x", "-"},
        {"t/{device}/{subtopic}", "t/", "-"},
        {"t/{device}/{subtopic}", "t", "-"},
        {"{device}/set/{subtopic}", "d/e/set", NULL},
        {"{device}/set/{subtopic}", "d/e/set/x", "x"},
        {"{device}/set/{subtopic}", "d/e/settings", "-"},
        {"{device}/set/{subtopic}", "d/e/x/set", "-"},
        {"a/{device}/b/{subtopic}/c", "a/d/e/b/x/c", "x"},
        {"a/{device}/b/{subtopic}/c", "a/d/e/b/c", NULL},
        {"a/{device}/b/{subtopic}/c", "a/d/e/c", "-"},
    };
    struct wz_slice device = WZ_SLICE_LIT("d/e");
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf written = {0};
        struct wz_shape shape = parse(vectors[i].shape);
        struct wz_slice topic = wz_slice_str(vectors[i].topic);
        struct wz_slice middle;
        struct wz_slice subtopic;
        bool is_of = wz_shape_strip(&shape, topic, &middle) && wz_slice_starts(middle, device) &&
                     wz_shape_split(&shape, middle, device.len, &subtopic);

        print_message("%s %s\n", vectors[i].shape, vectors[i].topic);
        assert_int_equal(is_of, vectors[i].subtopic == NULL || vectors[i].subtopic[0] != '-');
        if (is_of) {
            assert_int_equal(subtopic.ptr == NULL, vectors[i].subtopic == NULL);
            if (subtopic.ptr != NULL)
                assert_true(wz_slice_eq(subtopic, wz_slice_str(vectors[i].subtopic)));
            assert_true(wz_shape_write(&shape, device, subtopic, &written));
            assert_string_equal(wz_buf_str(&written), vectors[i].topic);
            assert_true(wz_shape_makes(&shape, device, subtopic, topic));
            assert_false(wz_shape_makes(&shape, WZ_SLICE_LIT("d"), subtopic, topic));
            assert_false(wz_shape_makes(&shape, device, WZ_SLICE_LIT("other"), topic));
        }
        wz_shape_release(&shape);
    }
}

static void test_shape_writes_behind_what_stands_there(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    struct wz_shape shape = parse("{device}/up");
    (void)state;

    wz_buf_add_str(&topic, "x");
    assert_false(wz_shape_write(&shape, WZ_SLICE_LIT("d"), WZ_SLICE_LIT("s"), &topic));
    assert_string_equal(wz_buf_str(&topic), "x");
    assert_true(wz_shape_write(&shape, WZ_SLICE_LIT("d"), (struct wz_slice){0}, &topic));
    assert_string_equal(wz_buf_str(&topic), "xd/up");
    wz_shape_release(&shape);
}

static void test_shape_covers_those_whose_topics_it_has(void **state)
{
    static const struct {
        const char *shape;
        const char *other;
        bool covers;
    } vectors[] = {
        {"{device}", "{device}", true},
        {"{device}", "{device}/{subtopic}", false},
        {"{device}/{subtopic}", "{device}", true},
        {"{device}/{subtopic}", "{device}/a/{subtopic}/b", true},
        {"{device}/{subtopic}", "a/{device}/{subtopic}", false},
        {"a/{device}/{subtopic}", "a/{device}/x", true},
        {"a/{device}/{subtopic}", "{device}/{subtopic}", false},
        {"{device}/set/{subtopic}", "{device}/{subtopic}", false},
        {"{device}/set/{subtopic}", "{device}/set", true},
        {"{device}/set/{subtopic}", "{device}/settings", false},
        {"{device}/{subtopic}/set", "{device}/{subtopic}/get", false},
        {"{device}/{subtopic}/set", "{device}/x/{subtopic}/set", true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_shape shape = parse(vectors[i].shape);
        struct wz_shape other = parse(vectors[i].other);

        print_message("%s %s\n", vectors[i].shape, vectors[i].other);
        assert_int_equal(wz_shape_covers(&shape, &other), vectors[i].covers);
        wz_shape_release(&shape);
        wz_shape_release(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_parse_takes_its_parts),
        cmocka_unit_test(test_shape_parse_says_what_is_wrong),
        cmocka_unit_test(test_shape_reads_what_it_writes),
        cmocka_unit_test(test_shape_writes_behind_what_stands_there),
        cmocka_unit_test(test_shape_covers_those_whose_topics_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
