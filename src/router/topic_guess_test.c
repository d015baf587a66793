// SPDX-License-Identifier: Apache-2.0
#include "router/topic_guess.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// Topics and bodies as these devices send them.
static const struct {
    const char *topic;
    const char *sample;
    const char *id; // NULL: none
    const char *template;
    const char *ignore;
} known[] = {
    {"tele/plug1/SENSOR", "{\"ENERGY\":{}}", "plug1", "tasmota", NULL},
    {"tele/home/plug/STATE", "{}", "home/plug", "tasmota", NULL},
    {"stat/plug1/POWER", "ON", "plug1", "tasmota", NULL},
    {"stat/plug1/RESULT", "{\"POWER\":\"ON\"}", "plug1", "tasmota", NULL},
    {"zigbee2mqtt/hall lamp", "{\"state\":\"ON\"}", "zigbee2mqtt/hall lamp", "zigbee2mqtt", NULL},
    {"zigbee2mqtt/hall/lamp", "{}", "zigbee2mqtt/hall/lamp", "zigbee2mqtt", NULL},
    {"zigbee2mqtt/lamp/availability", "online", "zigbee2mqtt/lamp", "zigbee2mqtt", NULL},
    {"zigbee2mqtt/bridge/logging", "{}", NULL, NULL, "zigbee2mqtt/bridge/#"},
    {"shellies/shelly1-B1/relay/0", "on", "shellies/shelly1-B1", "shelly-gen1", NULL},
    {"shellies/announce", "{}", NULL, NULL, "shellies/announce"},
    {"shellyplus1-a8/status/switch:0", "{\"id\":0}", "shellyplus1-a8", "shelly-gen2", NULL},
    {"home/s1/events/rpc", "{\"src\":\"x\"}", "home/s1", "shelly-gen2", NULL},
    {"shellyplus1-a8/online", "true", "shellyplus1-a8", "shelly-gen2", NULL},
    {"rtl_433/pi/devices/Acurite-Tower/A/1234/temperature_C", "21.5",
     "rtl_433/pi/devices/Acurite-Tower/A/1234", "rtl_433", NULL},
    {"livingroom/sensor/temperature/state", "21.5", "livingroom", "esphome", NULL},
    {"livingroom/debug", "\033[0;36m[D][sensor:093]", "livingroom", "esphome", NULL},
    {"homeassistant/switch/x/config", "{}", NULL, NULL, "homeassistant/#"},
    // What only looks a little like them.
    {"tele/SENSOR", "{}", NULL, NULL, NULL},
    {"tele/x/anything", "1", NULL, NULL, NULL},
    {"zigbee2mqtt", "1", NULL, NULL, NULL},
    {"a/status/switch:0", "on", NULL, NULL, NULL},
    {"a/online", "yes", NULL, NULL, NULL},
    {"a/debug", "text", NULL, NULL, NULL},
    {"sensor/x/state", "1", NULL, NULL, NULL},
};

static void assert_id(const struct wz_guess_topic *topic, const struct wz_guess *guess,
                      const char *id)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(wz_guess_id(topic, guess)));
    assert_string_equal(text, id);
}

static void test_guess_knows_makers_by_their_topics(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct wz_guess_topic topic;
        struct wz_guess guess;

        print_message("%s\n", known[i].topic);
        assert_true(
            wz_guess_cut(wz_slice_str(known[i].topic), wz_slice_str(known[i].sample), &topic));
        guess = wz_guess_known(&topic);
        assert_int_equal(guess.to > 0, known[i].id != NULL);
        assert_int_equal(guess.ignore.len > 0, known[i].ignore != NULL);
        if (known[i].id != NULL) {
            assert_id(&topic, &guess, known[i].id);
            assert_string_equal(guess.template, known[i].template);
        }
        if (known[i].ignore != NULL)
            assert_true(wz_slice_eq(guess.ignore, wz_slice_str(known[i].ignore)));
    }
}

static void test_guess_takes_no_topic_with_empty_or_too_many_levels(void **state)
{
    static const char *const wrong[] = {"", "a//b", "/a", "a/",
                                        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"};
    struct wz_guess_topic topic;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(wz_guess_cut(wz_slice_str(wrong[i]), (struct wz_slice){0}, &topic));
}

// Guesses at the first of the topics, among all of them.
static void guess_among(const char *const *names, const char *id, const char *template)
{
    struct wz_guess_crowd crowd = {0};
    struct wz_guess_topic topic;
    struct wz_guess guess;

    for (size_t i = 0; names[i] != NULL; i++) {
        assert_true(wz_guess_cut(wz_slice_str(names[i]), (struct wz_slice){0}, &topic));
        wz_guess_crowd_add(&crowd, &topic);
    }
    wz_guess_crowd_sort(&crowd);
    assert_true(wz_guess_cut(wz_slice_str(names[0]), (struct wz_slice){0}, &topic));
    guess = wz_guess_common(&crowd, &topic, WZ_SLICE_LIT("status"));
    assert_id(&topic, &guess, id);
    if (template != NULL)
        assert_string_equal(guess.template, template);
    else
        assert_null(guess.template);
    wz_guess_crowd_release(&crowd);
}

static void test_guess_finds_what_topics_have_in_common(void **state)
{
    (void)state;
    guess_among(
        (const char *[]){"mesh/b5/42/M/status", "mesh/b5/42/T/status", "mesh/b5/43/M/status", NULL},
        "mesh/b5/42", NULL);
    guess_among((const char *[]){"mesh/b5/42/M/status", NULL}, "mesh/b5/42", NULL);
    guess_among((const char *[]){"home/kitchen/temp", "home/hall/temp", "home/kitchen/hum", NULL},
                "home/kitchen", "plain");
    guess_among((const char *[]){"sensors/one", "sensors/two", NULL}, "sensors", "plain");
    guess_among((const char *[]){"lamp/status", NULL}, "lamp", NULL);
    guess_among((const char *[]){"lonely", NULL}, "lonely", "plain");
    // Two floors of one house: the level that differs is the device's, not the house's.
    guess_among((const char *[]){"house/up/bath/x/y", "house/down/bath/x/y", NULL}, "house/up",
                "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess_knows_makers_by_their_topics),
        cmocka_unit_test(test_guess_takes_no_topic_with_empty_or_too_many_levels),
        cmocka_unit_test(test_guess_finds_what_topics_have_in_common),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
