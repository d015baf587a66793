// SPDX-License-Identifier: Apache-2.0
#include "nats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "protocol.h"

static const char stream[] = "INFO {\"server_id\":\"x\"}\r\n"
                             "PONG\r\n"
                             "PING\r\n"
                             "MSG bench.d1.s2 1 4\r\na\r\nb\r\n"
                             "MSG _INBOX.3.4711 1 26\r\n{\"stream\":\"BENCH\",\"seq\":1}\r\n"
                             "MSG _INBOX.3.2 1 12\r\n{\"error\":{}}\r\n"
                             "-ERR 'no'\r\n";
static const enum wz_event_kind kinds[] = {WZ_EVENT_REPLY, WZ_EVENT_PING,    WZ_EVENT_MESSAGE,
                                           WZ_EVENT_ACK,   WZ_EVENT_REFUSED, WZ_EVENT_REFUSED};

static void test_nats_decodes_what_a_server_sends(void **state)
{
    struct wz_event events[8];
    size_t used;
    size_t count = wz_nats.decode((const uint8_t *)stream, sizeof(stream) - 1, events, 8, &used);

    (void)state;
    assert_int_equal(count, 6);
    assert_int_equal(used, sizeof(stream) - 1);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events[i].kind, kinds[i]);
    assert_int_equal(events[2].len, 4);
    assert_memory_equal(events[2].body, "a\r\nb", 4);
    assert_int_equal(events[3].id, 4711);
}

static void test_nats_waits_for_the_rest_of_a_message(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(stream) - 1; len++) {
        struct wz_event events[8];
        size_t used;
        size_t rest;
        size_t first = wz_nats.decode((const uint8_t *)stream, len, events, 8, &used);
        size_t second = wz_nats.decode((const uint8_t *)stream + used, sizeof(stream) - 1 - used,
                                       events, 8, &rest);

        assert_true(used <= len);
        assert_int_equal(first + second, 6);
        assert_int_equal(used + rest, sizeof(stream) - 1);
    }
}

static void test_nats_publish_asks_for_an_ack_only_at_qos_1(void **state)
{
    static const char expected[] = "PUB a.b 2\r\nhi\r\nPUB a.b _INBOX.3.7 2\r\nhi\r\n";
    struct wz_publish publish = {.topic = "a.b", .body = (const uint8_t *)"hi", .len = 2};
    struct wz_bytes out = {0};

    (void)state;
    wz_nats.publish(&out, &publish);
    publish.qos = 1;
    publish.id = 7;
    publish.conn = 3;
    wz_nats.publish(&out, &publish);
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.len);
    wz_bytes_release(&out);
}

static void test_nats_acks_what_a_consumer_gets(void **state)
{
    static const char consumed[] = "MSG bench.d1.s2 2 $JS.ACK.BENCH.bench1.1.7.7.99.0 2\r\nhi\r\n"
                                   "MSG bench.d1.s2 2 other.reply 2\r\nhi\r\n"
                                   "PING\r\n";
    static const char expected[] = "PUB $JS.ACK.BENCH.bench1.1.7.7.99.0 4\r\n+ACK\r\nPONG\r\n";
    struct wz_event events[4];
    struct wz_bytes out = {0};
    size_t used;

    (void)state;
    assert_int_equal(
        wz_nats.decode((const uint8_t *)consumed, sizeof(consumed) - 1, events, 4, &used), 3);
    assert_int_equal(events[0].qos, 1);
    assert_int_equal(events[1].qos, 0);
    for (size_t i = 0; i < 3; i++)
        wz_nats.answer(&out, &events[i]);
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.len);
    wz_bytes_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nats_decodes_what_a_server_sends),
        cmocka_unit_test(test_nats_waits_for_the_rest_of_a_message),
        cmocka_unit_test(test_nats_publish_asks_for_an_ack_only_at_qos_1),
        cmocka_unit_test(test_nats_acks_what_a_consumer_gets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
