// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/pass_value.h"

static struct wz_pass_value find(const char *body, const char *member)
{
    struct wz_pass_value value;

    wz_pass_value_find(wz_slice_str(body), wz_slice_str(member), &value);
    return value;
}

static void test_pass_value_finds_the_member(void **state)
{
    static const struct {
        const char *body;
        enum wz_pass_value_kind kind;
        double number;
    } cases[] = {
        {"{\"_id\":\"x\",\"v\":25}", WZ_PASS_NUMBER, 25},
        {"{\"_id\":\"x\",\"v\" : -2.5e1 }", WZ_PASS_NUMBER, -25},
        {"{\"v\":\"25\"}", WZ_PASS_NUMBER, 25},
        {"{\"v\":\" 25 \"}", WZ_PASS_NUMBER, 25},
        {"{\"v\":\"25 C\"}", WZ_PASS_OTHER, 0},
        {"{\"v\":\"0x10\"}", WZ_PASS_OTHER, 0}, // strtod's numbers are more than JSON's
        {"{\"v\":\"nan\"}", WZ_PASS_OTHER, 0},
        {"{\"v\":1e999}", WZ_PASS_OTHER, 0},
        {"{\"v\":\"\"}", WZ_PASS_OTHER, 0},
        {"{\"v\":null}", WZ_PASS_OTHER, 0},
        {"{\"v\":{\"a\":1}}", WZ_PASS_OTHER, 0},
        {"{\"v\":1,\"v\":2}", WZ_PASS_NUMBER, 2},
        {"{\"a\":{\"v\":1},\"b\":[\"v\",2]}", WZ_PASS_MISSING, 0},
        {"{\"\\u0076\":3}", WZ_PASS_NUMBER, 3},
        {"{\"vv\":1}", WZ_PASS_MISSING, 0},
        {"{}", WZ_PASS_MISSING, 0},
        {"", WZ_PASS_MISSING, 0},
        {"{\"v\":0.00000000000000000000000000000000000000000000000000000000000000000000000001}",
         WZ_PASS_OTHER, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_pass_value value = find(cases[i].body, "\"v\"");

        if (value.kind != cases[i].kind || value.number != cases[i].number)
            fail_msg("%s: %d %g", cases[i].body, value.kind, value.number);
    }
}

static void test_pass_value_tells_what_changed(void **state)
{
    static const struct {
        const char *last;
        const char *now;
        double width;
        bool relative;
        bool changed;
    } cases[] = {
        {"20", "20", 0, false, false},
        {"20", "20.0", 0, false, false},
        {"20", "\"20\"", 0, false, false},
        {"20", "20.1", 0, false, true},
        {"20", "20.5", 0.5, false, false}, // not more than
        {"20", "20.75", 0.5, false, true},
        {"20", "19.25", 0.5, false, true},
        {"200", "219", 0.1, true, false},
        {"200", "221", 0.1, true, true},
        {"-200", "-219", 0.1, true, false},
        {"0", "0.001", 0.1, true, true},
        {"0", "-0", 0.1, true, false},
        {"9007199254740993", "9007199254740992", 0, false, true}, // one double, two numbers
        {"9007199254740993", "9007199254740992", 1, false, false},
        {"\"on\"", "\"on\"", 5, false, false},
        {"\"on\"", "\"off\"", 5, false, true},
        {"\"on\"", "1", 5, false, true},
        {"[1,2]", "[1,2]", 0, false, false},
        {"[1,2]", "[1,3]", 0, false, true},
        {"true", "false", 0, false, true},
        {NULL, NULL, 0, false, false},
        {NULL, "1", 5, false, true},
        {"1", NULL, 5, false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct wz_pass_deadband deadband = {cases[i].width, cases[i].relative};
        struct wz_pass_value values[2] = {0};
        const char *texts[2] = {cases[i].last, cases[i].now};

        for (int k = 0; k < 2; k++) {
            char body[128];

            (void)snprintf(body, sizeof(body), "{\"v\":%s}", texts[k] ? texts[k] : "0");
            if (texts[k])
                values[k] = find(body, "\"v\"");
        }
        if (wz_pass_value_changed(&values[0], &values[1], &deadband) != cases[i].changed)
            fail_msg("%s to %s", texts[0], texts[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass_value_finds_the_member),
        cmocka_unit_test(test_pass_value_tells_what_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
