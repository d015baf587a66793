// SPDX-License-Identifier: Apache-2.0
#include "cli/resource.h"

#include "base/mem.h"
#include "cli/terminal_test.h"

static void test_resource_target_encodes_the_name_alone(void **state)
{
    static const struct {
        const char *front;
        const char *name;
        const char *rest;
        const char *target;
    } cases[] = {
        {"devices/", "mesh/b5", "", "/api/v1/devices/mesh%2Fb5"},
        {"scripts/", "a b?", "/versions/3", "/api/v1/scripts/a%20b%3F/versions/3"},
        {"devices", NULL, "", "/api/v1/devices"},
        {"inbox?limit=", "1&x=2", "", "/api/v1/inbox?limit=1%26x%3D2"},
        {"ignores/", "", "", "/api/v1/ignores/"},
    };
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(wz_resource_target(&buf, cases[i].front, cases[i].name, cases[i].rest),
                            cases[i].target);
}

static void test_resource_send_refuses_a_body_that_could_not_be_made(void **state)
{
    struct wz_cli cli = {0};

    (void)state;
    assert_int_equal(wz_resource_send(&cli, "PUT", "/api/v1/devices/a", NULL), WZ_EXIT_INPUT);
    assert_string_equal(cli.problem.what, "A word is not UTF-8.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resource_target_encodes_the_name_alone),
        cmocka_unit_test(test_resource_send_refuses_a_body_that_could_not_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
