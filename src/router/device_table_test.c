// SPDX-License-Identifier: Apache-2.0
#include "router/device_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

// A table of ids and routes, up to NULL; the profile of each is its place.
static struct wz_device_table table_of(const char *const (*devices)[2])
{
    struct wz_device_table table;
    uint32_t count[2] = {0};
    uint32_t number;
    const char *wrong = NULL;

    for (int i = 0; devices[i][0] != NULL; i++)
        count[wz_device_captures(wz_slice_str(devices[i][0]), wz_slice_str(devices[i][1]))]++;
    wz_device_table_init(&table, count[0], count[1]);
    for (uint32_t i = 0; devices[i][0] != NULL; i++)
        if (wz_device_table_add(&table, wz_slice_str(devices[i][0]), wz_slice_str(devices[i][1]), i,
                                &number, &wrong) != WZ_OK)
            fail_msg("%s: %s", devices[i][0], wrong);
    wz_device_table_seal(&table);
    return table;
}

// The places of the devices that a walk finds, as "2 0 ", and what they are on the other side.
static void walk_all(const struct wz_device_table *table, enum wz_side side, const char *text,
                     struct wz_buf *ret_found)
{
    struct wz_device_walk walk = wz_device_walk(table, side, wz_slice_str(text));
    struct wz_device_match match;

    ret_found->len = 0;
    while (wz_device_walk_next(&walk, &match)) {
        char other[256];
        char same[256];
        size_t len = wz_device_write(table, &match, side, same, sizeof(same));

        assert_true(wz_slice_eq(wz_slice(same, len), wz_slice(text, match.len)));
        len = wz_device_write(table, &match,
                              side == WZ_SIDE_PHYSICAL ? WZ_SIDE_LOGICAL : WZ_SIDE_PHYSICAL, other,
                              sizeof(other));
        wz_buf_addf(ret_found, "%u:%.*s ", (unsigned)table->profiles[match.number], (int)len,
                    other);
    }
}

static const char *const devices[][2] = {
    {"mesh/{node}/{unit}", "site.{unit}.at.{node}"}, // 0
    {"mesh/b5/42", "bedroom.light"},                 // 1
    {"mesh/{x}/hub", "hub.{x}"},                     // 2
    {"mesh/core/{x}", "core.{x}"},                   // 3
    {"mesh", "all"},                                 // 4
    {"mesh/b5", "bedroom"},                          // 5
    {"{a}/{b}", "two.{b}.{a}"},                      // 6
    {"{a}/x", "{a}.y"},                              // 7
    {NULL, NULL},
};

static void test_device_table_walks_in_the_order_of_trial(void **state)
{
    static const char *const vectors[][2] = {
        {"mesh/b5/42/M", "1:bedroom.light 5:bedroom 4:all 0:site.42.at.b5 6:two.b5.mesh "},
        {"mesh/core/hub", "4:all 3:core.hub 2:hub.core 0:site.hub.at.core 6:two.core.mesh "},
        {"mesh/b55", "4:all 6:two.b55.mesh "},
        {"q/x/1", "7:q.y 6:two.x.q "},
        {"q", ""},
        {"", ""},
        {"mesh//hub", "4:all 2:hub. 0:site.hub.at. 6:two..mesh "},
        {"+/x", "7:+.y 6:two.x.+ "},
        {"+/+", "6:two.+.+ "},
    };
    WZ_AUTO(wz_buf_release) struct wz_buf found = {0};
    struct wz_device_table table = table_of(devices);
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        walk_all(&table, WZ_SIDE_PHYSICAL, vectors[i][0], &found);
        assert_string_equal(wz_buf_str(&found), vectors[i][1]);
    }
    wz_device_table_release(&table);
}

static void test_device_table_finds_the_way_back(void **state)
{
    static const char *const vectors[][2] = {
        {"site.42.at.b5.power", "0:mesh/b5/42 "},
        {"bedroom.light", "1:mesh/b5/42 5:mesh/b5 "},
        {"hub.z", "2:mesh/z/hub "},
        {"two.1.2.3", "6:2/1 "},
        {"q.y.z", "7:q/x "},
        {"site.42.on.b5", ""},
    };
    WZ_AUTO(wz_buf_release) struct wz_buf found = {0};
    struct wz_device_table table = table_of(devices);
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        walk_all(&table, WZ_SIDE_LOGICAL, vectors[i][0], &found);
        assert_string_equal(wz_buf_str(&found), vectors[i][1]);
    }
    wz_device_table_release(&table);
}

static void test_device_table_add_refuses_what_is_there(void **state)
{
    struct wz_device_table table;
    const char *wrong = NULL;
    uint32_t first;
    uint32_t number;
    (void)state;

    wz_device_table_init(&table, 2, 2);
    assert_int_equal(wz_device_table_add(&table, WZ_SLICE_LIT("a/{x}"), WZ_SLICE_LIT("r.{x}"), 0,
                                         &first, &wrong),
                     WZ_OK);
    assert_int_equal(wz_device_table_add(&table, WZ_SLICE_LIT("a/{y}"), WZ_SLICE_LIT("s.{y}"), 0,
                                         &number, &wrong),
                     WZ_ERR_EXISTS);
    assert_int_equal(number, first);
    assert_int_equal(
        wz_device_table_add(&table, WZ_SLICE_LIT("a"), WZ_SLICE_LIT("r"), 0, &first, &wrong),
        WZ_OK);
    assert_int_equal(
        wz_device_table_add(&table, WZ_SLICE_LIT("b"), WZ_SLICE_LIT("r"), 0, &number, &wrong),
        WZ_ERR_EXISTS);
    assert_int_equal(number, first);
    assert_true(wz_device_find_key(&table, WZ_SIDE_LOGICAL, WZ_SLICE_LIT("r.+"), true, &number));
    assert_true(wz_slice_eq(wz_device_key(&table, number, WZ_SIDE_PHYSICAL), WZ_SLICE_LIT("a/+")));
    assert_false(wz_device_find_key(&table, WZ_SIDE_LOGICAL, WZ_SLICE_LIT("r.+"), false, &number));
    wz_device_table_release(&table);
}

static void test_device_table_add_says_what_is_wrong_with_captures(void **state)
{
    static const char *const vectors[][3] = {
        {"a/{x}", "r", "has a capture on one side only"},
        {"a", "{x}", "has a capture on one side only"},
        {"a/{x}", "r.{y}", "has a capture on one side only"},
        {"{x}/{x}", "r.{x}.s", "has one capture twice"},
        {"{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}/{9}", "{1}.{2}.{3}.{4}.{5}.{6}.{7}.{8}.{9}",
         "has more than 8 captures"},
        {"{x}/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1", "{x}",
         "has captures and more than 32 levels or words"},
    };
    struct wz_device_table table;
    (void)state;

    wz_device_table_init(&table, 0, 1);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const char *wrong = NULL;
        uint32_t number;

        assert_int_equal(wz_device_table_add(&table, wz_slice_str(vectors[i][0]),
                                             wz_slice_str(vectors[i][1]), 0, &number, &wrong),
                         WZ_ERR_INVALID);
        assert_string_equal(wrong, vectors[i][2]);
    }
    wz_device_table_release(&table);
}

static void test_device_captures_are_whole_levels(void **state)
{
    static const struct {
        const char *id;
        bool captures;
    } vectors[] = {
        {"{x}", true},      {"a/{x}/b", true}, {"a/{x", false}, {"a/x}", false},
        {"a/b{x}c", false}, {"{}", false},     {"a", false},    {"{x y}", true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_int_equal(wz_device_captures(wz_slice_str(vectors[i].id), WZ_SLICE_LIT("r")),
                         vectors[i].captures);
    assert_true(wz_device_captures(WZ_SLICE_LIT("a"), WZ_SLICE_LIT("r.{x}")));
    assert_false(wz_device_captures(WZ_SLICE_LIT("a"), WZ_SLICE_LIT("r/{x}")));
}

static void test_device_write_keeps_to_its_room(void **state)
{
    struct wz_device_table table = table_of(devices);
    struct wz_device_walk walk =
        wz_device_walk(&table, WZ_SIDE_PHYSICAL, WZ_SLICE_LIT("mesh/core/hub"));
    struct wz_device_match match;
    char text[16];
    (void)state;

    assert_true(wz_device_walk_next(&walk, &match)); // all
    assert_true(wz_device_walk_next(&walk, &match));
    assert_int_equal(wz_device_write(&table, &match, WZ_SIDE_LOGICAL, text, 8), 8);
    assert_memory_equal(text, "core.hub", 8);
    assert_int_equal(wz_device_write(&table, &match, WZ_SIDE_LOGICAL, text, 7), 0);
    wz_device_table_release(&table);
}

static void test_device_safe_tells_words_from_others(void **state)
{
    static const char *const unsafe[] = {"",  ".",  "..",   "a/b",  "*",   "#",
                                         "+", "a+", "a\tb", "\x7f", "\x1f"};
    (void)state;

    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        assert_false(wz_device_safe(wz_slice_str(unsafe[i])));
    assert_false(wz_device_safe(WZ_SLICE_LIT("a\0")));
    assert_true(wz_device_safe(WZ_SLICE_LIT("$^[a-z]\\(|)?{x} ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_table_walks_in_the_order_of_trial),
        cmocka_unit_test(test_device_table_finds_the_way_back),
        cmocka_unit_test(test_device_table_add_refuses_what_is_there),
        cmocka_unit_test(test_device_table_add_says_what_is_wrong_with_captures),
        cmocka_unit_test(test_device_captures_are_whole_levels),
        cmocka_unit_test(test_device_write_keeps_to_its_room),
        cmocka_unit_test(test_device_safe_tells_words_from_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
