// SPDX-License-Identifier: Apache-2.0
// Templates, shapes and captures of mapping.c and mapping_build.c.
#include "router/mapping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/map.h"
#include "base/rand.h"
#include "router/documents_test.h"

static struct wz_mapping *compile(const char *text)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_problem problem = {0};
    struct wz_mapping *mapping = NULL;

    add_documents(text, lists);
    if (wz_mapping_compile(lists, &mapping, &problem) != WZ_OK)
        fail_msg("%s | %s | %s", problem.what, problem.where, problem.fix);
    release_documents(lists);
    return mapping;
}

// What becomes of a topic: its logical topic with its type where that is none of text, or the
// outcome's word.
struct way {
    const char *physical;
    const char *topic;
    const char
        *command; // what goes to the topic with ".output"; NULL: nothing; "" is not looked at
};

static void check_ways(const char *documents, const struct way *ways)
{
    struct wz_mapping *mapping = compile(documents);

    for (; ways->physical != NULL; ways++) {
        struct wz_translation translation;
        struct wz_command_topic command = {0};
        char found[WZ_TOPIC_MAX + 32];
        char text[WZ_TOPIC_MAX + 32];
        enum wz_outcome outcome =
            wz_mapping_in(mapping, wz_slice_str(ways->physical), &translation);
        bool mapped = outcome == WZ_OUTCOME_MAPPED;

        (void)snprintf(text, sizeof(text), "%s", wz_outcome_word(outcome));
        if (mapped)
            (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)translation.topic_len,
                           translation.topic, translation.type == WZ_BODY_TEXT ? "" : " ",
                           translation.type == WZ_BODY_TEXT ? ""
                                                            : wz_body_type_word(translation.type));
        print_message("%s: %s\n", ways->physical, text);
        assert_string_equal(text, ways->topic);
        if (!mapped || (ways->command != NULL && ways->command[0] == '\0'))
            continue;
        (void)snprintf(found, sizeof(found), "%.*s.output", (int)translation.topic_len,
                       translation.topic);
        if (ways->command == NULL) {
            assert_int_equal(wz_mapping_out(mapping, wz_slice_str(found), &command),
                             WZ_ERR_NOT_FOUND);
            continue;
        }
        assert_int_equal(wz_mapping_out(mapping, wz_slice_str(found), &command), WZ_OK);
        (void)snprintf(text, sizeof(text), "%.*s%s", (int)command.topic_len, command.topic,
                       command.send == WZ_SEND_VALUE ? " value" : "");
        assert_string_equal(text, ways->command);
    }
    wz_mapping_unref(mapping);
}

static void test_mapping_follows_a_template_and_a_devices_own_members(void **state)
{
    (void)state;
    check_ways("{\"templates\":{\"lamp\":{\"input\":\"in\",\"output\":\"out\",\"type\":\"json\","
               "\"channels\":{\"M\":{\"channel\":\"level\",\"type\":\"number\",\"send\":\"value\"},"
               "\"X\":\"x\"}}},"
               "\"subtopics\":{\"M\":\"brightness\",\"T\":{\"channel\":\"temperature\","
               "\"type\":\"number\"}},"
               "\"devices\":{\"a\":\"one\",\"b\":{\"route\":\"two\",\"template\":\"lamp\"},"
               "\"c\":{\"route\":\"three\",\"template\":\"lamp\",\"input\":\"state\","
               "\"channels\":{\"M\":\"dim\",\"X\":null}}}}",
               (struct way[]){{"a/M/status", "one.brightness", "a/M/command"},
                              {"a/T/status", "one.temperature number", "a/T/command"},
                              {"b/M/in", "two.level number", "b/M/out value"},
                              {"b/in", "two json", "b/out"},
                              {"b/T/in", "two.temperature number", "b/T/out"},
                              {"b/M/status", "unknown-type", NULL},
                              {"b/M/out", "command", NULL},
                              {"c/M/state", "three.dim json", "c/M/out"},
                              {"c/X/state", "three.X json", "c/X/out"},
                              {"c/brightness/state", "three.brightness json", ""},
                              {NULL, NULL, NULL}});
}

static void test_mapping_gives_what_a_channel_does_not_say_from_its_template(void **state)
{
    (void)state;
    check_ways("{\"templates\":{\"t\":{\"type\":\"number\",\"send\":\"value\"}},"
               "\"subtopics\":{\"M\":\"level\",\"N\":{\"channel\":\"name\",\"type\":\"text\"},"
               "\"O\":{\"channel\":\"other\",\"send\":\"body\"}},"
               "\"devices\":{\"a\":{\"route\":\"one\",\"template\":\"t\"},\"b\":\"two\"}}",
               (struct way[]){{"a/M/status", "one.level number", "a/M/command value"},
                              {"a/N/status", "one.name", "a/N/command value"},
                              {"a/O/status", "one.other number", "a/O/command"},
                              {"a/P/status", "one.P number", "a/P/command value"},
                              {"a/status", "one number", "a/command value"},
                              {"b/M/status", "two.level", "b/M/command"},
                              {NULL, NULL, NULL}});
}

static void test_mapping_takes_a_prefix_before_a_channel_of_all_devices(void **state)
{
    (void)state;
    check_ways("{\"subtopics\":{\"S\":\"status\"},\"devices\":{\"a\":\"one\","
               "\"b\":{\"route\":\"two\",\"template\":\"esphome\"}}}",
               (struct way[]){{"a/S/status", "one.status", "a/S/command"},
                              {"b/status", "two.status", ""},
                              {"b/S/state", "collision", NULL},
                              {NULL, NULL, NULL}});
}

static void test_mapping_reads_shapes(void **state)
{
    (void)state;
    check_ways("{\"templates\":{\"t\":{\"reading\":{\"tele\":\"tele/{device}/{subtopic}\","
               "\"stat\":{\"shape\":\"stat/{device}/{subtopic}\",\"prefix\":\"stat\"},"
               "\"up\":{\"shape\":\"{device}/up\",\"prefix\":\"up\"}},"
               "\"command\":\"cmnd/{device}/{subtopic}\",\"ignore\":[\"{device}/x/{subtopic}/y\"],"
               "\"channels\":{\"POWER\":{\"channel\":\"power\",\"reading\":\"stat\"},"
               "\"SENSOR\":\"sensor\"}}},"
               "\"devices\":{\"k/p\":{\"route\":\"plug\",\"template\":\"t\"},\"k\":\"kitchen\"}}",
               (struct way[]){{"tele/k/p/SENSOR", "plug.sensor", "cmnd/k/p/SENSOR"},
                              {"tele/k/p", "plug", "cmnd/k/p"},
                              {"stat/k/p/POWER", "plug.power", "cmnd/k/p/POWER"},
                              {"tele/k/p/POWER", "plug.POWER", "cmnd/k/p/POWER"},
                              {"stat/k/p/RESULT", "plug.stat.RESULT", "cmnd/k/p/RESULT"},
                              {"stat/k/p/SENSOR", "plug.stat.sensor", "cmnd/k/p/SENSOR"},
                              {"stat/k/p", "plug.stat", "cmnd/k/p"},
                              {"k/p/up", "plug.up", "cmnd/k/p"},
                              {"tele/k/p/stat/RESULT", "collision", NULL},
                              {"tele/k/p/power", "collision", NULL},
                              {"cmnd/k/p/POWER", "command", NULL},
                              {"k/p/x/1/2/y", "ignored", NULL},
                              {"k/p/x/y", "ignored", NULL},
                              {"tele/k/q/SENSOR", "unknown-device", NULL},
                              {"tele/kk/p/SENSOR", "unknown-device", NULL},
                              {"k/p/status", "kitchen.p", "k/p/command"},
                              {"k/p/other", "unknown-type", NULL},
                              {NULL, NULL, NULL}});
}

// Both read the topic a/b/c and would call it r.c, but a command to that can go to one only.
static void test_mapping_does_not_mix_two_devices_of_one_topic(void **state)
{
    (void)state;
    check_ways("{\"devices\":{\"a\":{\"route\":\"r.c\",\"reading\":\"{device}/b/c\"},"
               "\"a/b\":{\"route\":\"r\",\"reading\":\"{device}/{subtopic}\"}}}",
               (struct way[]){{"a/b/c", "collision", NULL},
                              {"a/b/d", "r.d", "a/b/d/command"},
                              {NULL, NULL, NULL}});
}

static void test_mapping_fills_captures_in_both_ways(void **state)
{
    (void)state;
    check_ways(
        "{\"devices\":{\"mesh/{node}/{unit}\":\"site.{unit}.at.{node}\","
        "\"mesh/b5/42\":\"bedroom.light\",\"mesh/{x}/hub\":\"hub.{x}\","
        "\"mesh/core/{x}\":\"core.{x}\"},\"subtopics\":{\"M\":\"level\"}}",
        (struct way[]){{"mesh/a/1/M/status", "site.1.at.a.level", "mesh/a/1/M/command"},
                       {"mesh/a/1/status", "site.1.at.a", "mesh/a/1/command"},
                       {"mesh/b5/42/M/status", "bedroom.light.level", "mesh/b5/42/M/command"},
                       {"mesh/b5/43/status", "site.43.at.b5", "mesh/b5/43/command"},
                       {"mesh/a/hub/status", "hub.a", "mesh/a/hub/command"},
                       {"mesh/core/hub/status", "core.hub", "mesh/core/hub/command"},
                       {"mesh/a.b/1/status", "unsafe-level", NULL},
                       {"mesh/a/output/status", "collision", NULL},
                       {"mesh/a//status", "unsafe-level", NULL},
                       {"mesh/a/1/command", "command", NULL},
                       {"mesh/a/status", "unknown-device", NULL},
                       {NULL, NULL, NULL}});
}

static void test_mapping_out_refuses_what_its_captures_cannot_be(void **state)
{
    static const char *const topics[] = {"site.a/b.output",    "site..output", "site.+.output",
                                         "site.output.output", "site.output",  "top.$SYS.output"};
    struct wz_mapping *mapping =
        compile("{\"devices\":{\"m/{n}\":\"site.{n}\",\"{n}\":{\"route\":\"top.{n}\","
                "\"reading\":\"x/{device}\",\"command\":\"{device}/y\"}}}");
    struct wz_command_topic command;
    (void)state;

    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        assert_int_equal(wz_mapping_out(mapping, wz_slice_str(topics[i]), &command),
                         WZ_ERR_NOT_FOUND);
    wz_mapping_unref(mapping);
}

// Documents that are refused, or with the code 0 taken.
struct refusal {
    const char *documents;
    int code;
    const char *where;
};

static void check_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
        struct wz_problem problem = {0};
        struct wz_mapping *mapping = NULL;
        int r;

        add_documents(refusals[i].documents, lists);
        r = wz_mapping_compile(lists, &mapping, &problem);
        print_message("%s: %s | %s | %s\n", refusals[i].documents, problem.what, problem.where,
                      problem.fix);
        assert_int_equal(r, refusals[i].code == 0 ? WZ_OK : WZ_ERR_INVALID);
        assert_int_equal(problem.code, refusals[i].code);
        if (refusals[i].where != NULL) {
            assert_string_equal(problem.where, refusals[i].where);
            assert_string_not_equal(problem.fix, "");
        }
        wz_mapping_unref(mapping);
        release_documents(lists);
    }
}

#define CHECK_REFUSALS(refusals) check_refusals(refusals, sizeof(refusals) / sizeof((refusals)[0]))

static void test_mapping_compile_refuses_wrong_templates(void **state)
{
    static const struct refusal refusals[] = {
        {"{\"devices\":{\"a\":{\"route\":\"r\",\"template\":\"no\"}}}", WZ_CODE_MAPPING_TEMPLATE,
         "devices/a"},
        {"{\"devices\":{\"a\":{\"route\":\"r\",\"template\":1}}}", WZ_CODE_MAPPING_TEMPLATE,
         "devices/a"},
        {"{\"templates\":{\"t\":{\"reading\":\"x/{subtopic}\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{subtopic}/{device}\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/{device}\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/{unit}\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/+\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}//x\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"$SYS/{device}\"}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":[]}}}", WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":[\"{device}\",\"{device}\"]}}}", WZ_CODE_MAPPING_SHAPE,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/x\",\"command\":\"{device}/x\"}}}",
         WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"input\":\"command\"}}}", WZ_CODE_MAPPING_TYPES_EQUAL,
         "templates/t"},
        {"{\"templates\":{\"t\":{\"route\":\"x\"}}}", WZ_CODE_MAPPING_MEMBER, "templates/t"},
        {"{\"templates\":{\"t\":{\"type\":\"float\"}}}", WZ_CODE_MAPPING_MEMBER, "templates/t"},
        {"{\"templates\":{\"t\":{\"send\":\"all\"}}}", WZ_CODE_MAPPING_MEMBER, "templates/t"},
        {"{\"templates\":{\"t\":{\"channels\":{\"M\":{\"channel\":\"m\",\"reading\":\"no\"}}}}}",
         WZ_CODE_MAPPING_MEMBER, "templates/t"},
        {"{\"templates\":{\"t\":{\"channels\":{\"M\":\"m\",\"N\":\"m\"}}}}",
         WZ_CODE_MAPPING_CHANNEL_TAKEN, "templates/t"},
        {"{\"templates\":{\"t\":{\"channels\":{\"M\":\"m\"}}},\"subtopics\":{\"N\":\"m\"}}",
         WZ_CODE_MAPPING_CHANNEL_TAKEN, "templates/t"},
        {"{\"templates\":{\"t\":{\"channels\":{\"M\":\"m\",\"N\":\"n\"}}},"
         "\"subtopics\":{\"N\":\"m\"}}",
         0, NULL},
        {"{\"devices\":{\"a\":{\"route\":\"r\",\"channels\":{\"M\":\"m\"}},\"b\":\"r.m\"}}",
         WZ_CODE_MAPPING_OVERLAP, "devices/b"},
        {"{\"devices\":{\"a\":{\"route\":\"r\",\"channels\":{\"M\":\"x\"}},\"b\":\"r.m\"},"
         "\"subtopics\":{\"M\":\"m\"}}",
         0, NULL},
        {"{\"devices\":{\"a\":{\"route\":\"r\",\"reading\":{\"shape\":\"{device}\","
         "\"prefix\":\"p\"}},\"b\":\"r.p\"}}",
         WZ_CODE_MAPPING_OVERLAP, "devices/b"},
    };
    (void)state;

    CHECK_REFUSALS(refusals);
}

static void test_mapping_compile_refuses_readings_without_names(void **state)
{
    static const struct refusal refusals[] = {
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/x/{subtopic}\","
         "\"command\":\"{device}/{subtopic}\"}}}",
         WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/{subtopic}\","
         "\"command\":\"{device}/x/{subtopic}\"}}}",
         0, NULL},
        {"{\"templates\":{\"t\":{\"reading\":\"{device}/x\",\"ignore\":[\"{device}/"
         "{subtopic}\"]}}}",
         WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":[\"{device}/{subtopic}\",\"x/{device}\"]}}}",
         WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":[\"x/{device}\",\"{device}/{subtopic}\"]}}}", 0, NULL},
        {"{\"templates\":{\"t\":{\"reading\":{\"a\":\"a/{device}/{subtopic}\","
         "\"b\":\"b/{device}/{subtopic}\"}}}}",
         WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":{\"a\":\"a/{device}/{subtopic}\","
         "\"b\":\"b/{device}/{subtopic}\"},"
         "\"channels\":{\"M\":{\"channel\":\"m\",\"reading\":\"b\"}}}}}",
         0, NULL},
        {"{\"templates\":{\"t\":{\"reading\":[{\"shape\":\"a/{device}\",\"prefix\":\"p\"},"
         "{\"shape\":\"b/{device}/{subtopic}\",\"prefix\":\"p\"}]}}}",
         WZ_CODE_MAPPING_SHAPE, "templates/t"},
        {"{\"templates\":{\"t\":{\"reading\":[\"{device}\",{\"shape\":\"a/{device}\","
         "\"prefix\":\"up\"}],\"channels\":{\"U\":\"up\"}}}}",
         WZ_CODE_MAPPING_CHANNEL_TAKEN, "templates/t"},
    };
    (void)state;

    CHECK_REFUSALS(refusals);
}

static void test_mapping_compile_refuses_wrong_captures(void **state)
{
    static const struct refusal refusals[] = {
        {"{\"devices\":{\"a/{x}\":\"r\"}}", WZ_CODE_MAPPING_CAPTURE, "devices/a/{x}"},
        {"{\"devices\":{\"a\":\"r.{x}\"}}", WZ_CODE_MAPPING_CAPTURE, "devices/a"},
        {"{\"devices\":{\"a/{x}/{x}\":\"r.{x}\"}}", WZ_CODE_MAPPING_CAPTURE, "devices/a/{x}/{x}"},
        {"{\"devices\":{\"a/{x}\":\"r.{y}\"}}", WZ_CODE_MAPPING_CAPTURE, "devices/a/{x}"},
        {"{\"devices\":{\"a/{x}\":\"r.{x}\",\"a/{y}\":\"s.{y}\"}}", WZ_CODE_MAPPING_CAPTURE,
         "devices/a/{y}"},
        {"{\"devices\":{\"a/{x}\":\"r.{x}\",\"b/{y}\":\"r.{y}\"}}", WZ_CODE_MAPPING_CAPTURE,
         "devices/b/{y}"},
        {"{\"devices\":{\"a/{x}\":\"r.{x}\",\"b/{y}\":\"r.{y}.m\"},\"subtopics\":{\"M\":\"m\"}}",
         WZ_CODE_MAPPING_OVERLAP, "devices/b/{y}"},
        {"{\"devices\":{\"a\":\"r\",\"b/{x}\":\"r.{x}\"}}", WZ_CODE_MAPPING_CAPTURE,
         "devices/b/{x}"},
        {"{\"devices\":{\"a\":\"r\",\"a/{x}\":\"s.{x}\"}}", WZ_CODE_MAPPING_CAPTURE,
         "devices/a/{x}"},
        {"{\"devices\":{\"a\":{\"route\":\"r\",\"reading\":\"{device}/{input}\"},"
         "\"a/{x}\":\"s.{x}\"}}",
         0, NULL},
        {"{\"devices\":{\"a/b\":\"r.b\",\"a/{x}\":\"r.{x}\"}}", 0, NULL},
        {"{\"devices\":{\"a/{x}\":\"r.{x}\",\"a/{x}/{y}\":\"r.{x}.{y}\"}}", 0, NULL},
    };
    (void)state;

    CHECK_REFUSALS(refusals);
}

static void test_mapping_of_a_device_beside_one_with_captures(void **state)
{
    (void)state;
    check_ways("{\"devices\":{\"a\":{\"route\":\"r\",\"reading\":\"{device}/{input}\"},"
               "\"a/{x}\":\"s.{x}\"}}",
               (struct way[]){{"a/status", "r", "a/command"},
                              {"a/1/status", "s.1", "a/1/command"},
                              {"a/1/M/status", "s.1.M", "a/1/M/command"},
                              {NULL, NULL, NULL}});
}

// What real devices send, and what they are sent.

static void test_mapping_knows_ready_templates(void **state)
{
    (void)state;
    check_ways("{\"devices\":{\"plug\":{\"route\":\"plug\",\"template\":\"tasmota\"}}}",
               (struct way[]){{"tele/plug/SENSOR", "plug.sensor", "cmnd/plug/SENSOR value"},
                              {"tele/plug/LWT", "plug.online", ""},
                              {"stat/plug/POWER", "plug.power", "cmnd/plug/POWER value"},
                              {"stat/plug/RESULT", "plug.stat.RESULT", ""},
                              {"stat/plug/STATUS8", "plug.stat.STATUS8", ""},
                              {"cmnd/plug/POWER", "command", NULL},
                              {NULL, NULL, NULL}});
    check_ways("{\"devices\":{\"zigbee2mqtt/{name}\":{\"route\":\"home.{name}\","
               "\"template\":\"zigbee2mqtt\"}}}",
               (struct way[]){{"zigbee2mqtt/lamp", "home.lamp", "zigbee2mqtt/lamp/set value"},
                              {"zigbee2mqtt/lamp/availability", "home.lamp.availability", ""},
                              {"zigbee2mqtt/lamp/brightness", "home.lamp.brightness",
                               "zigbee2mqtt/lamp/set/brightness value"},
                              {"zigbee2mqtt/lamp/set", "command", NULL},
                              {"zigbee2mqtt/lamp/get", "ignored", NULL},
                              {"zigbee2mqtt/bridge/state", "home.bridge.state", ""},
                              {NULL, NULL, NULL}});
    check_ways("{\"devices\":{\"livingroom\":{\"route\":\"living\",\"template\":\"esphome\"}}}",
               (struct way[]){{"livingroom/sensor/temp/state", "living.sensor.temp",
                               "livingroom/sensor/temp/command value"},
                              {"livingroom/status", "living.status", ""},
                              {"livingroom/debug", "living.debug", ""},
                              {"livingroom/light/desk/command", "command", NULL},
                              {NULL, NULL, NULL}});
    check_ways(
        "{\"devices\":{\"shellies/shelly1pm-84CCA8\":{\"route\":\"pump\","
        "\"template\":\"shelly-gen1\"}}}",
        (struct way[]){{"shellies/shelly1pm-84CCA8/relay/0", "pump.relay.0",
                        "shellies/shelly1pm-84CCA8/relay/0/command value"},
                       {"shellies/shelly1pm-84CCA8/relay/0/power", "pump.relay.0.power number", ""},
                       {"shellies/shelly1pm-84CCA8/online", "pump.online", ""},
                       {"shellies/shelly1pm-84CCA8/relay/0/command", "command", NULL},
                       {"shellies/shelly1pm-84CCA8/light/0/set", "ignored", NULL},
                       {"shellies/announce", "unknown-device", NULL},
                       {NULL, NULL, NULL}});
    check_ways("{\"devices\":{\"shellyplus1-a803\":{\"route\":\"door\","
               "\"template\":\"shelly-gen2\"}}}",
               (struct way[]){{"shellyplus1-a803/status/switch:0", "door.switch0",
                               "shellyplus1-a803/command/switch:0 value"},
                              {"shellyplus1-a803/status/sys", "door.sys", ""},
                              {"shellyplus1-a803/events/rpc", "door.events.rpc", ""},
                              {"shellyplus1-a803/online", "door.online", ""},
                              {"shellyplus1-a803/rpc", "ignored", NULL},
                              {"shellyplus1-a803/command/switch:0", "command", NULL},
                              {NULL, NULL, NULL}});
    check_ways(
        "{\"devices\":{\"rtl_433/gw/devices/Acurite-Tower/{channel}/{id}\":{\"route\":"
        "\"weather.{channel}.{id}\",\"template\":\"rtl_433\"}}}",
        (struct way[]){{"rtl_433/gw/devices/Acurite-Tower/A/1234/temperature_C",
                        "weather.A.1234.temperature_C number", ""},
                       {"rtl_433/gw/devices/Acurite-Tower/A/1234/time", "weather.A.1234.time", ""},
                       {NULL, NULL, NULL}});
}

// Properties.

static const char *pick(uint64_t *seed, const char *const *from, size_t count)
{
    return from[next_random(seed) % count];
}

#define PICK(seed, list) pick(seed, list, sizeof(list) / sizeof((list)[0]))

// A mapping of an alphabet so small that everything meets everything.
static void random_documents(uint64_t *seed, struct wz_buf *text)
{
    static const char *const ids[] = {"a", "b", "a/b", "a/{x}", "{x}", "{x}/{y}", "b/{x}/a", "a/a"};
    static const char *const routes[] = {"a",       "b",         "a.b",   "a.{x}", "{x}",
                                         "{y}.{x}", "{x}.b.{y}", "b.{x}", "a.a"};
    static const char *const shapes[] = {"{device}",
                                         "{device}/{subtopic}",
                                         "a/{device}/{subtopic}",
                                         "{device}/{subtopic}/{input}",
                                         "{device}/b/{subtopic}",
                                         "{device}/{input}",
                                         "b/{device}/{subtopic}/a"};
    static const char *const commands[] = {"{device}/{subtopic}/{output}", "c/{device}/{subtopic}",
                                           "{device}/c/{subtopic}"};
    static const char *const words[] = {"a", "b", "a.b", "b.a", "c", "d"};
    static const char *const subtopics[] = {"a", "b", "a/b"};
    static const char *const pins[] = {"", "", ",\"reading\":\"x\"", ",\"reading\":\"z\""};
    size_t templates = 1 + next_random(seed) % 2;
    size_t devices = 1 + next_random(seed) % 4;

    text->len = 0;
    wz_buf_addf(text, "{\"templates\":{");
    for (size_t i = 0; i < templates; i++) {
        wz_buf_addf(text, "%s\"t%zu\":{\"reading\":{\"x\":\"%s\"", i > 0 ? "," : "", i,
                    PICK(seed, shapes));
        if (next_random(seed) % 2 == 0)
            wz_buf_addf(text, ",\"y\":{\"shape\":\"%s\",\"prefix\":\"%s\"}", PICK(seed, shapes),
                        PICK(seed, words));
        if (next_random(seed) % 3 == 0)
            wz_buf_addf(text, ",\"z\":\"%s\"", PICK(seed, shapes));
        wz_buf_addf(text, "},\"command\":\"%s\",\"channels\":{\"%s\":{\"channel\":\"%s\"%s}}}",
                    PICK(seed, commands), PICK(seed, subtopics), PICK(seed, words),
                    PICK(seed, pins));
    }
    wz_buf_addf(text, "},\"subtopics\":{\"%s\":\"%s\"},\"devices\":{", PICK(seed, subtopics),
                PICK(seed, words));
    for (size_t i = 0; i < devices; i++) {
        wz_buf_addf(text, "%s\"%s\":{\"route\":\"%s\"", i > 0 ? "," : "", PICK(seed, ids),
                    PICK(seed, routes));
        if (next_random(seed) % 3 > 0)
            wz_buf_addf(text, ",\"template\":\"t%zu\"", next_random(seed) % templates);
        wz_buf_addf(text, "}");
    }
    wz_buf_addf(text, "}}");
}

static void random_topic(uint64_t *seed, char ret_text[64])
{
    static const char *const levels[] = {"a", "b", "a", "b", "status", "c", "command", "a.b", ""};
    size_t count = 1 + next_random(seed) % 5;

    ret_text[0] = '\0';
    for (size_t i = 0, len = 0; i < count; i++)
        len += (size_t)snprintf(ret_text + len, 64 - len, "%s%s", i > 0 ? "/" : "",
                                PICK(seed, levels));
}

// Translates a topic in and out; SEEN has the physical topic of each logical one.
static bool check_topic(const struct wz_mapping *mapping, const char *physical, struct wz_map *seen)
{
    struct wz_translation translation;
    struct wz_translation again;
    struct wz_command_topic command;
    char topic[WZ_TOPIC_MAX + 8];
    char *before;

    if (wz_mapping_in(mapping, wz_slice_str(physical), &translation) != WZ_OUTCOME_MAPPED)
        return false;
    (void)snprintf(topic, sizeof(topic), "%.*s.output", (int)translation.topic_len,
                   translation.topic);
    before = wz_map_get(seen, wz_slice_str(topic));
    if (before != NULL)
        assert_string_equal(before, physical);
    // All shapes of commands have a place for the subtopic.
    assert_int_equal(wz_mapping_out(mapping, wz_slice_str(topic), &command), WZ_OK);
    assert_int_equal(command.device, translation.device);
    assert_int_equal(wz_mapping_in(mapping, wz_slice(command.topic, command.topic_len), &again),
                     WZ_OUTCOME_COMMAND);
    if (before != NULL)
        return true;
    // The key and the value live in one allocation: the value first.
    before = wz_alloc(strlen(physical) + 1 + strlen(topic) + 1);
    memcpy(before, physical, strlen(physical) + 1);
    memcpy(before + strlen(physical) + 1, topic, strlen(topic) + 1);
    (void)wz_map_put(seen, wz_slice_str(before + strlen(physical) + 1), before);
    return true;
}

static void test_mapping_is_one_to_one_with_templates_and_captures(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    uint64_t seed = wz_rand_u64();
    int accepted = 0;
    int mapped = 0;
    (void)state;

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 20000; i++) {
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
        struct wz_mapping *mapping = NULL;
        struct wz_map seen = {0};
        char physical[64];
        size_t walk = 0;
        void *value;

        random_documents(&seed, &text);
        add_documents(wz_buf_str(&text), lists);
        if (wz_mapping_compile(lists, &mapping, NULL) == WZ_OK) {
            accepted++;
            for (int j = 0; j < 300; j++) {
                random_topic(&seed, physical);
                mapped += check_topic(mapping, physical, &seen);
            }
        }
        while ((value = wz_map_next(&seen, &walk)) != NULL)
            wz_free(value);
        wz_map_release(&seen);
        wz_mapping_unref(mapping);
        release_documents(lists);
    }
    print_message("%d mappings, %d topics\n", accepted, mapped);
    assert_true(accepted > 200 && mapped > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_follows_a_template_and_a_devices_own_members),
        cmocka_unit_test(test_mapping_gives_what_a_channel_does_not_say_from_its_template),
        cmocka_unit_test(test_mapping_takes_a_prefix_before_a_channel_of_all_devices),
        cmocka_unit_test(test_mapping_reads_shapes),
        cmocka_unit_test(test_mapping_does_not_mix_two_devices_of_one_topic),
        cmocka_unit_test(test_mapping_fills_captures_in_both_ways),
        cmocka_unit_test(test_mapping_out_refuses_what_its_captures_cannot_be),
        cmocka_unit_test(test_mapping_compile_refuses_wrong_templates),
        cmocka_unit_test(test_mapping_compile_refuses_readings_without_names),
        cmocka_unit_test(test_mapping_compile_refuses_wrong_captures),
        cmocka_unit_test(test_mapping_of_a_device_beside_one_with_captures),
        cmocka_unit_test(test_mapping_knows_ready_templates),
        cmocka_unit_test(test_mapping_is_one_to_one_with_templates_and_captures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
