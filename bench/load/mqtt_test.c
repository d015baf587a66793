// SPDX-License-Identifier: Apache-2.0
#include "mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "protocol.h"

// CONNACK, SUBACK 1, PUBLISH a/b "hi" QoS 0, PUBLISH a/b "" QoS 1 id 258, PUBACK 515, PINGRESP.
static const uint8_t stream[] = {
    0x20, 2,    0, 0, 0x90, 3,   0,   1,   0, 0x30, 7,    0, 3, 'a', '/',  'b', 'h',
    'i',  0x32, 7, 0, 3,    'a', '/', 'b', 1, 2,    0x40, 2, 2, 3,   0xd0, 0,
};
static const enum wz_event_kind kinds[] = {WZ_EVENT_REPLY,   WZ_EVENT_REPLY, WZ_EVENT_MESSAGE,
                                           WZ_EVENT_MESSAGE, WZ_EVENT_ACK,   WZ_EVENT_REPLY};

static void test_mqtt_decodes_what_a_server_sends(void **state)
{
    struct wz_event events[8];
    size_t used;
    size_t count = wz_mqtt.decode(stream, sizeof(stream), events, 8, &used);

    (void)state;
    assert_int_equal(count, 6);
    assert_int_equal(used, sizeof(stream));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events[i].kind, kinds[i]);
    assert_int_equal(events[2].id, 0);
    assert_int_equal(events[2].len, 2);
    assert_memory_equal(events[2].body, "hi", 2);
    assert_int_equal(events[3].id, 258);
    assert_int_equal(events[3].len, 0);
    assert_int_equal(events[4].id, 515);
}

static void test_mqtt_waits_for_the_rest_of_a_packet(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(stream); len++) {
        struct wz_event events[8];
        size_t used;
        size_t rest;
        size_t first = wz_mqtt.decode(stream, len, events, 8, &used);
        size_t second = wz_mqtt.decode(stream + used, sizeof(stream) - used, events, 8, &rest);

        assert_true(used <= len);
        assert_int_equal(first + second, 6);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_decodes_what_a_server_sends),
        cmocka_unit_test(test_mqtt_waits_for_the_rest_of_a_packet),
        cmocka_unit_test(test_mqtt_reports_a_refused_connection),
        cmocka_unit_test(test_mqtt_publish_of_130_bytes_has_two_length_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
