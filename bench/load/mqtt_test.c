// SPDX-License-Identifier: Apache-2.0
#include "mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "protocol.h"

// CONNACK, SUBACK 1, PUBLISH a/b "hi" QoS 0, PUBLISH a/b "" QoS 1 id 258, PUBACK 515, PINGRESP,
// PUBREC 515, PUBCOMP 515, PUBLISH a/b "" QoS 2 id 259 that is a duplicate, PUBREL 259.
static const uint8_t stream[] = {
    0x20, 2,    0, 0, 0x90, 3,    0,   1, 0, 0x30, 7,   0,   3, 'a',  '/',  'b',  'h', 'i',
    0x32, 7,    0, 3, 'a',  '/',  'b', 1, 2, 0x40, 2,   2,   3, 0xd0, 0,    0x50, 2,   2,
    3,    0x70, 2, 2, 3,    0x3c, 7,   0, 3, 'a',  '/', 'b', 1, 3,    0x62, 2,    1,   3,
};
#define EVENT_COUNT 10
static const enum wz_event_kind kinds[] = {
    WZ_EVENT_REPLY, WZ_EVENT_REPLY,    WZ_EVENT_MESSAGE, WZ_EVENT_MESSAGE, WZ_EVENT_ACK,
    WZ_EVENT_REPLY, WZ_EVENT_RECEIVED, WZ_EVENT_ACK,     WZ_EVENT_MESSAGE, WZ_EVENT_RELEASE,
};

static void test_mqtt_decodes_what_a_server_sends(void **state)
{
    struct wz_event events[16];
    size_t used;
    size_t count = wz_mqtt.decode(stream, sizeof(stream), events, 16, &used);

    (void)state;
    assert_int_equal(count, EVENT_COUNT);
    assert_int_equal(used, sizeof(stream));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events[i].kind, kinds[i]);
    assert_int_equal(events[2].id, 0);
    assert_int_equal(events[2].len, 2);
    assert_memory_equal(events[2].body, "hi", 2);
    assert_int_equal(events[3].id, 258);
    assert_int_equal(events[3].len, 0);
    assert_int_equal(events[3].qos, 1);
    assert_int_equal(events[4].id, 515);
    assert_int_equal(events[6].id, 515);
    assert_int_equal(events[7].id, 515);
    assert_int_equal(events[8].id, 259);
    assert_int_equal(events[8].qos, 2);
    assert_true(events[8].repeated);
    assert_false(events[3].repeated);
    assert_int_equal(events[9].id, 259);
}

static void test_mqtt_waits_for_the_rest_of_a_packet(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(stream); len++) {
        struct wz_event events[16];
        size_t used;
        size_t rest;
        size_t first = wz_mqtt.decode(stream, len, events, 16, &used);
        size_t second = wz_mqtt.decode(stream + used, sizeof(stream) - used, events, 16, &rest);

        assert_true(used <= len);
        assert_int_equal(first + second, EVENT_COUNT);
        assert_int_equal(used + rest, sizeof(stream));
    }
}

static void test_mqtt_reports_a_refused_connection(void **state)
{
    static const uint8_t refused[] = {0x20, 2, 0, 5};
    struct wz_event event;
    size_t used;

    (void)state;
    assert_int_equal(wz_mqtt.decode(refused, sizeof(refused), &event, 1, &used), 1);
    assert_int_equal(event.kind, WZ_EVENT_REFUSED);
}

static void test_mqtt_publish_of_130_bytes_has_two_length_bytes(void **state)
{
    static const uint8_t head[] = {0x32, 0x87, 0x01, 0, 3, 'a', '/', 'b', 1, 2};
    struct wz_bytes out = {0};
    uint8_t body[128] = {0};

    (void)state;
    wz_mqtt.publish(&out,
                    &(struct wz_publish){
                        .topic = "a/b", .body = body, .len = sizeof(body), .qos = 1, .id = 258});
    assert_int_equal(out.len, sizeof(head) + sizeof(body));
    assert_memory_equal(out.data, head, sizeof(head));
    wz_bytes_release(&out);
}

static void test_mqtt_answers_each_step_of_a_message_with_the_next(void **state)
{
    // The qos is of a message only.
    static const struct {
        enum wz_event_kind kind;
        unsigned qos;
        uint8_t answer[4];
    } steps[] = {
        {WZ_EVENT_MESSAGE, 1, {0x40, 2, 1, 2}},
        {WZ_EVENT_MESSAGE, 2, {0x50, 2, 1, 2}},
        {WZ_EVENT_RECEIVED, 0, {0x62, 2, 1, 2}},
        {WZ_EVENT_RELEASE, 0, {0x70, 2, 1, 2}},
        {WZ_EVENT_MESSAGE, 0, {0}},
        {WZ_EVENT_ACK, 0, {0}},
        {WZ_EVENT_REPLY, 0, {0}},
    };
    struct wz_bytes out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct wz_event event = {.kind = steps[i].kind, .qos = steps[i].qos, .id = 258};

        out.len = 0;
        wz_mqtt.answer(&out, &event);
        assert_int_equal(out.len, steps[i].answer[0] != 0 ? 4 : 0);
        if (out.len != 0)
            assert_memory_equal(out.data, steps[i].answer, 4);
    }
    wz_bytes_release(&out);
}

static void test_mqtt_hello_of_a_persistent_session_is_not_clean(void **state)
{
    static const uint8_t expected[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, 1, 'a'};
    struct wz_bytes out = {0};

    (void)state;
    wz_mqtt.hello(&out, &(struct wz_hello){.client = "a", .persistent = true});
    assert_int_equal(out.len, sizeof(expected));
    assert_memory_equal(out.data, expected, sizeof(expected));
    out.len = 0;
    wz_mqtt.hello(&out, &(struct wz_hello){.client = "a"});
    assert_int_equal(out.data[9], 2);
    wz_bytes_release(&out);
}

static void test_mqtt_reports_whether_the_session_was_there(void **state)
{
    static const uint8_t connacks[] = {0x20, 2, 1, 0, 0x20, 2, 0, 0};
    struct wz_event events[2];
    size_t used;

    (void)state;
    assert_int_equal(wz_mqtt.decode(connacks, sizeof(connacks), events, 2, &used), 2);
    assert_int_equal(events[0].id, 1);
    assert_int_equal(events[1].id, 0);
}

static void test_mqtt_publish_sets_qos_2_and_retain(void **state)
{
    static const uint8_t expected[] = {0x35, 7, 0, 1, 'a', 1, 2, 'h', 'i'};
    struct wz_publish publish = {
        .topic = "a", .body = (const uint8_t *)"hi", .len = 2, .qos = 2, .id = 258, .retain = true};
    struct wz_bytes out = {0};

    (void)state;
    wz_mqtt.publish(&out, &publish);
    assert_int_equal(out.len, sizeof(expected));
    assert_memory_equal(out.data, expected, sizeof(expected));
    wz_bytes_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_decodes_what_a_server_sends),
        cmocka_unit_test(test_mqtt_waits_for_the_rest_of_a_packet),
        cmocka_unit_test(test_mqtt_reports_a_refused_connection),
        cmocka_unit_test(test_mqtt_publish_of_130_bytes_has_two_length_bytes),
        cmocka_unit_test(test_mqtt_answers_each_step_of_a_message_with_the_next),
        cmocka_unit_test(test_mqtt_hello_of_a_persistent_session_is_not_clean),
        cmocka_unit_test(test_mqtt_reports_whether_the_session_was_there),
        cmocka_unit_test(test_mqtt_publish_sets_qos_2_and_retain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
