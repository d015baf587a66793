// SPDX-License-Identifier: Apache-2.0
#include "config/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_name_spell_gives_the_three_forms(void **state)
{
    char name[WZ_NAME_MAX];
    (void)state;

    wz_name_spell(WZ_NAME_KEY, WZ_CONFIG_MQTT_MAX_PACKET, name);
    assert_string_equal(name, "mqtt.max_packet");
    wz_name_spell(WZ_NAME_FLAG, WZ_CONFIG_MQTT_MAX_PACKET, name);
    assert_string_equal(name, "--mqtt-max-packet");
    wz_name_spell(WZ_NAME_ENV, WZ_CONFIG_MQTT_MAX_PACKET, name);
    assert_string_equal(name, "WYZE_MQTT_MAX_PACKET");
}

static void test_name_find_takes_every_spelling_back_to_its_key(void **state)
{
    static const enum wz_name_form forms[] = {WZ_NAME_KEY, WZ_NAME_FLAG, WZ_NAME_ENV};
    char name[WZ_NAME_MAX];
    (void)state;

    for (size_t i = 0; i < 3; i++)
        for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++) {
            wz_name_spell(forms[i], (enum wz_config_key)key, name);
            assert_int_equal(wz_name_find(forms[i], wz_slice_str(name)), key);
        }
    assert_int_equal(wz_name_find(WZ_NAME_KEY, WZ_SLICE_LIT("mqtt")), WZ_CONFIG_KEY_COUNT);
}

static void test_name_closest_finds_what_was_meant(void **state)
{
    static const struct {
        const char *name;
        const char *closest;
    } vectors[] = {
        {"mqtt.lisen", "mqtt.listen"},
        {"mqtt.litsen", "mqtt.listen"},
        {"mqtt-listen", "mqtt.listen"},
        {"dta", "data"},
        {"mqtt.max_packets", "mqtt.max_packet"},
        {"loglevel", "log.level"},
        {"completely.else", NULL},
        {"", NULL},
    };
    char name[WZ_NAME_MAX];
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        bool found = wz_name_closest(WZ_NAME_KEY, wz_slice_str(vectors[i].name), name);

        print_message("%s\n", vectors[i].name);
        assert_int_equal(found, vectors[i].closest != NULL);
        if (found)
            assert_string_equal(name, vectors[i].closest);
    }
}

static void test_name_is_group_knows_the_front_of_a_key(void **state)
{
    (void)state;
    assert_true(wz_name_is_group("mqtt"));
    assert_false(wz_name_is_group("mqt"));
    assert_false(wz_name_is_group("mqtt.listen"));
    assert_false(wz_name_is_group(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_spell_gives_the_three_forms),
        cmocka_unit_test(test_name_find_takes_every_spelling_back_to_its_key),
        cmocka_unit_test(test_name_closest_finds_what_was_meant),
        cmocka_unit_test(test_name_is_group_knows_the_front_of_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
