// SPDX-License-Identifier: Apache-2.0
#include "router/ready_templates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "router/profile.h"

static void test_ready_templates_are_in_order_and_found_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < WZ_READY_TEMPLATE_COUNT; i++) {
        json_t *body = wz_ready_template(wz_ready_template_name(i));

        assert_non_null(body);
        assert_non_null(json_string_value(json_object_get(body, "description")));
        json_decref(body);
        if (i > 0)
            assert_true(strcmp(wz_ready_template_name(i - 1), wz_ready_template_name(i)) < 0);
    }
    assert_null(wz_ready_template("tasmota2"));
    assert_null(wz_ready_template(""));
}

static void test_ready_templates_make_profiles(void **state)
{
    (void)state;
    for (int i = 0; i < WZ_READY_TEMPLATE_COUNT; i++) {
        json_t *body = wz_ready_template(wz_ready_template_name(i));
        struct wz_profile_source source = {.where = wz_ready_template_name(i),
                                           .layers = {body, NULL},
                                           .input = WZ_SLICE_LIT("status"),
                                           .output = WZ_SLICE_LIT("command")};
        struct wz_problem problem = {0};
        struct wz_profile profile;

        if (wz_profile_init(&profile, &source, &problem) != WZ_OK)
            fail_msg("%s: %s", source.where, problem.what);
        assert_true(wz_profile_differs(body));
        wz_profile_release(&profile);
        json_decref(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_templates_are_in_order_and_found_by_name),
        cmocka_unit_test(test_ready_templates_make_profiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
