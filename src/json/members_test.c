// SPDX-License-Identifier: Apache-2.0
#include "json/scan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct wz_json_members members_of(const char *body)
{
    struct wz_json_scan found;

    wz_json_scan(wz_slice_str(body), &found);
    assert_int_equal(found.kind, WZ_JSON_OBJECT);
    return (struct wz_json_members){.rest = found.members};
}

static void test_members_come_in_order_with_their_bytes(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *whole;
        bool reserved;
    } want[] = {
        {"\"a\"", "1", "\"a\" : 1", false},
        {"\"b,}\"", "{\"c\":[1,2,{\"d\":\"}],\"}]}", "\"b,}\":{\"c\":[1,2,{\"d\":\"}],\"}]}",
         false},
        {"\"_id\"", "\"x\\\",\"", "\"_id\":\"x\\\",\"", true},
        {"\"a\"", "[ ]", "\"a\":\t[ ]", false},
        {"\"\\u005ftopic\"", "-1.5e3", "\"\\u005ftopic\":-1.5e3", true},
        {"\"\"", "null", "\"\":null", false},
    };
    struct wz_json_members walk = members_of(
        "{ \"a\" : 1 ,\n\"b,}\":{\"c\":[1,2,{\"d\":\"}],\"}]},\"_id\":\"x\\\",\" , \"a\":\t[ ] ,"
        "\"\\u005ftopic\":-1.5e3, \"\":null }");
    struct wz_json_member member;

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_true(wz_json_members_next(&walk, &member));
        assert_true(wz_slice_eq(member.name, wz_slice_str(want[i].name)));
        assert_true(wz_slice_eq(member.value, wz_slice_str(want[i].value)));
        assert_true(wz_slice_eq(member.whole, wz_slice_str(want[i].whole)));
        assert_int_equal(member.reserved, want[i].reserved);
    }
    assert_false(wz_json_members_next(&walk, &member));
    assert_false(wz_json_members_next(&walk, &member));
}

static void test_members_of_an_empty_object_are_none(void **state)
{
    struct wz_json_members walk = members_of("{ }");
    struct wz_json_member member;

    (void)state;
    assert_false(wz_json_members_next(&walk, &member));
}

static void test_members_of_no_object_are_none(void **state)
{
    static const char *const bodies[] = {"[1]", "\"text\"", "1", "text", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct wz_json_members walk = {.rest = wz_slice_str(bodies[i])};
        struct wz_json_member member;

        assert_false(wz_json_members_next(&walk, &member));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_come_in_order_with_their_bytes),
        cmocka_unit_test(test_members_of_an_empty_object_are_none),
        cmocka_unit_test(test_members_of_no_object_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
