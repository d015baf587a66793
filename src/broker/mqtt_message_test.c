// SPDX-License-Identifier: Apache-2.0
// The MQTT door from the outside: messages, their acks, and subscriptions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "broker/testdoor_test.h"

static void test_mqtt_door_takes_messages_at_all_qos(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'c');

    door_send(door, fd, P("\x30\4\0\1tx"));
    door_expect_quiet(door, fd);
    door_send(door, fd, P("\x33\6\0\1t\1\2y"));
    door_expect(door, fd, P("\x40\2\1\2"));
    door_send(door, fd, P("\x34\6\0\1t\1\3z"));
    door_expect(door, fd, P("\x50\2\1\3"));
    door_send(door, fd, P("\x62\2\1\3"));
    door_expect(door, fd, P("\x70\2\1\3"));
    door_expect_got(door, "t=x/0 t=y/1r t=z/2 ");
    (void)close(fd);
}

static void test_mqtt_door_takes_a_qos_2_message_once(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'c');

    for (int i = 0; i < 3; i++) {
        door_send(door, fd, i == 0 ? P("\x34\6\0\1t\0\7x") : P("\x3c\6\0\1t\0\7x"));
        door_expect(door, fd, P("\x50\2\0\7"));
    }
    door_expect_got(door, "t=x/2 ");
    for (int i = 0; i < 2; i++) {
        door_send(door, fd, P("\x62\2\0\7"));
        door_expect(door, fd, P("\x70\2\0\7"));
    }
    door_send(door, fd, P("\x34\6\0\1t\0\7y"));
    door_expect(door, fd, P("\x50\2\0\7"));
    door_expect_got(door, "t=y/2 ");
    (void)close(fd);
}

static void test_mqtt_door_acks_in_order_and_only_what_is_durable(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'c');
    int other = door_client(door, 'o');

    door->slow_disk = true;
    door_send(door, fd, P("\x32\6\0\1t\0\1x\x34\6\0\1t\0\2y\x32\6\0\1t\0\3z"));
    door_expect_quiet(door, fd);
    door->slow_disk = false; // waits for nothing but its turn
    door_send(door, fd, P("\x32\6\0\1t\0\4w"));
    door_expect_quiet(door, fd);
    door_send(door, other, P("\x32\6\0\1t\0\1v"));
    door_expect(door, other, P("\x40\2\0\1")); // others' acks do not wait
    door_durable(door, 2);
    door_expect(door, fd, P("\x40\2\0\1\x50\2\0\2"));
    door_expect_quiet(door, fd);
    door_durable(door, 3);
    door_expect(door, fd, P("\x40\2\0\3\x40\2\0\4"));
    (void)close(fd);
    (void)close(other);
}

static void test_mqtt_door_forgets_acks_of_who_has_gone(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'c');

    door->slow_disk = true;
    door_send(door, fd, P("\x32\6\0\1t\0\1x"));
    DOOR_UNTIL(door, door->got.len > 0);
    (void)close(fd);
    DOOR_UNTIL(door, wz_list_empty(&door->mqtt->clients));
    door_durable(door, 1); // the sanitizer sees whoever writes to the one that has gone
    door_turn(door);
}

static void test_mqtt_door_holds_back_what_cannot_be_taken_and_loses_nothing(void **state)
{
    enum { MESSAGES = 3000 };
    struct door *door = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packets = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf expected = {0};
    struct wz_slice rest;
    int subscriber = door_client(door, 's');
    int fd = door_client(door, 'c');

    door_send(door, subscriber, P("\x82\6\0\1\0\1t\0"));
    door_expect(door, subscriber, P("\x90\3\0\1\0"));
    for (int i = 0; i < MESSAGES; i++) {
        wz_buf_add(&packets, "\x30\7\0\1t", 5);
        wz_buf_addf(&packets, "%04d", i);
        wz_buf_addf(&expected, "t=%04d/0 ", i);
    }
    door->busy = true;
    rest = wz_buf_slice(&packets);
    for (int i = 0; rest.len > 0; i++) {
        size_t sent = door_send_some(fd, rest.len < 5000 ? rest : wz_slice_sub(rest, 0, 5000));

        rest = wz_slice_sub(rest, sent, rest.len - sent);
        door->busy = i % 3 != 0;
        wz_mqtt_durable(door->mqtt);
        door_turn(door);
    }
    door->busy = false;
    wz_mqtt_durable(door->mqtt);
    DOOR_UNTIL(door, door->got.len == expected.len);
    door_expect_got(door, wz_buf_str(&expected));
    door_expect(door, subscriber, wz_buf_slice(&packets));
    door_expect_quiet(door, subscriber);
    (void)close(subscriber);
    (void)close(fd);
}

static void test_mqtt_door_grants_what_is_asked_for_and_no_more_than_the_limit(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'c');

    door_send(door, fd, P("\x82\x0e\0\1\0\1a\0\0\1b\1\0\1c\2"));
    door_expect(door, fd, P("\x90\5\0\1\0\1\2"));
    door_send(door, fd, P("\x82\x12\0\2\0\1a\2\0\1d\0\0\1e\0\0\1f\0"));
    door_expect(door, fd, P("\x90\6\0\2\2\0\0\x80")); // the first was there already
    door_send(door, fd, P("\xa2\x08\0\3\0\1e\0\1?"));
    door_expect(door, fd, P("\xb0\2\0\3"));
    door_send(door, fd, P("\x82\6\0\4\0\1f\0"));
    door_expect(door, fd, P("\x90\3\0\4\0"));
    (void)close(fd);
}

static void test_mqtt_door_refuses_a_filter_that_is_too_deep(void **state)
{
    struct door *door = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    int fd = door_client(door, 'c');

    wz_buf_add(&packet, "\x82\xed\2\0\1\1\x68", 7); // 360 levels
    for (int i = 0; i < 180; i++)
        wz_buf_add(&packet, "+/", 2);
    wz_buf_add_byte(&packet, 0);
    door_send(door, fd, wz_buf_slice(&packet));
    door_expect(door, fd, P("\x90\3\0\1\x80"));
    door_expect_quiet(door, fd);
    (void)close(fd);
}

static void test_mqtt_door_delivers_as_subscribed(void **state)
{
    struct door *door = *state;
    int sub = door_client(door, 's');
    int pub = door_client(door, 'p');

    // Overlapping filters: once, at the higher QoS.
    door_send(door, sub, P("\x82\x0e\0\1\0\3a/+\0\0\3a/#\1"));
    door_expect(door, sub, P("\x90\4\0\1\0\1"));
    door_send(door, pub, P("\x31\6\0\3a/bx")); // QoS 0, retained: forwarded without either
    door_expect(door, sub, P("\x30\6\0\3a/bx"));
    door_send(door, pub, P("\x33\x08\0\3a/b\0\1y"));
    door_expect(door, sub, P("\x32\x08\0\3a/b\0\1y"));
    door_send(door, pub, P("\x34\x08\0\3a/b\0\2z")); // QoS 2 goes out at 1
    door_expect(door, sub, P("\x32\x08\0\3a/b\0\2z"));
    door_send(door, pub, P("\x30\3\0\1a")); // "a/#" covers "a" too
    door_expect(door, sub, P("\x30\3\0\1a"));
    door_send(door, pub, P("\x30\3\0\1b"));
    door_expect(door, pub, P("\x40\2\0\1\x50\2\0\2"));
    door_expect_quiet(door, pub);
    door_expect_quiet(door, sub);
    door_send(door, sub, P("\xa2\x0c\0\2\0\3a/+\0\3a/#"));
    door_expect(door, sub, P("\xb0\2\0\2"));
    door_send(door, pub, P("\x30\5\0\3a/b"));
    door_expect_quiet(door, pub);
    door_expect_quiet(door, sub);
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_door_hides_dollar_topics_from_wildcards_in_front(void **state)
{
    struct door *door = *state;
    int sub = door_client(door, 's');
    int pub = door_client(door, 'p');

    door_send(door, sub, P("\x82\x0c\0\1\0\1#\0\0\3+/b\0"));
    door_expect(door, sub, P("\x90\4\0\1\0\0"));
    door_send(door, pub, P("\x30\6\0\4$a/b"));
    door_expect_quiet(door, pub);
    door_expect_quiet(door, sub);
    door_send(door, sub, P("\x82\x08\0\2\0\3$a/\0")); // another level, empty
    door_expect(door, sub, P("\x90\3\0\2\0"));
    door_send(door, sub, P("\x82\x09\0\3\0\4$a/#\0"));
    door_expect(door, sub, P("\x90\3\0\3\0"));
    door_send(door, pub, P("\x30\6\0\4$a/b"));
    door_expect(door, sub, P("\x30\6\0\4$a/b"));
    door_expect_quiet(door, sub);
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_door_sends_a_window_and_the_rest_as_it_is_acked(void **state)
{
    struct door *door = *state;
    int sub = door_client(door, 's');
    int pub = door_client(door, 'p');
    uint8_t packet[] = "\x32\6\0\1t\0??";

    door_send(door, sub, P("\x82\6\0\1\0\1t\1"));
    door_expect(door, sub, P("\x90\3\0\1\1"));
    for (uint8_t i = 1; i <= 30; i++) {
        packet[6] = i;
        packet[7] = i;
        door_send(door, pub, wz_slice(packet, 8));
        door_expect(door, pub, wz_slice((uint8_t[]){0x40, 2, 0, i}, 4));
    }
    for (uint8_t i = 1; i <= 10; i++) {
        packet[6] = i;
        packet[7] = i;
        door_expect(door, sub, wz_slice(packet, 8));
    }
    door_expect_quiet(door, sub);
    door_send(door, sub, P("\x40\2\0\x63")); // nobody's identifier
    door_expect_quiet(door, sub);
    for (uint8_t i = 1; i <= 20; i++) {
        door_send(door, sub, wz_slice((uint8_t[]){0x40, 2, 0, i}, 4));
        packet[6] = (uint8_t)(i + 10);
        packet[7] = (uint8_t)(i + 10);
        door_expect(door, sub, wz_slice(packet, 8));
    }
    (void)close(sub);
    (void)close(pub);
}

// Who asks and asks and never reads is not read from any more, and gets every answer in the end.
static void test_mqtt_door_bounds_the_answers_of_who_does_not_read(void **state)
{
    struct door *door = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf pings = {0};
    struct wz_mqtt_client *client;
    size_t sent = 0;
    size_t answered = 0;
    int fd = door_client(door, 'c');
    int idle = 0;

    for (int i = 0; i < 32768; i++)
        wz_buf_add(&pings, "\xc0\0", 2);
    client = WZ_CONTAINER(door->mqtt->clients.next, struct wz_mqtt_client, link);
    while (idle < 100) {
        size_t now = door_send_some(fd, wz_slice_sub(wz_buf_slice(&pings), sent % 2, 65534));

        idle = now == 0 ? idle + 1 : 0;
        sent += now;
        door_turn(door);
        assert_true(wz_conn_out_bytes(&client->conn) <=
                    2 * door->options.session.max_out_bytes + WZ_CONN_READ_BYTES);
        assert_true(sent < (size_t)256 << 20); // the kernel's buffers hold less than that
    }
    assert_false(wz_list_empty(&client->choked));
    if (sent % 2 == 1)
        sent += door_send_some(fd, wz_slice_sub(wz_buf_slice(&pings), 1, 1));
    while (answered < sent / 2 * 2) {
        uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        if (n > 0)
            answered += (size_t)n;
        else
            door_turn(door);
    }
    assert_int_equal(answered, sent / 2 * 2);
    assert_true(wz_list_empty(&client->choked));
    (void)close(fd);
}

static void test_mqtt_door_drops_and_counts_qos_0_for_who_does_not_read(void **state)
{
    struct door *door = *state;
    int64_t before = wz_metric_get(WZ_METRIC_MQTT_DROPPED);
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    struct wz_mqtt_client *slow;
    int sub = door_client(door, 's');
    int pub;

    slow = WZ_CONTAINER(door->mqtt->clients.next, struct wz_mqtt_client, link);
    pub = door_client(door, 'p');
    door_send(door, sub, P("\x82\6\0\1\0\1t\0"));
    door_expect(door, sub, P("\x90\3\0\1\0"));
    wz_buf_add(&packet, "\x30\x84\x80\2\0\1t", 7); // 32 KiB
    for (int i = 0; i < 32769; i++)
        wz_buf_add_byte(&packet, 'x');
    for (int i = 0; i < 600; i++) {
        door_send(door, pub, wz_buf_slice(&packet));
        door_turn(door);
        door->got.len = 0;
        assert_true(wz_conn_out_bytes(&slow->conn) <
                    door->options.session.max_out_bytes + packet.len);
    }
    assert_in_range(wz_metric_get(WZ_METRIC_MQTT_DROPPED) - before, 1, 600);
    door_expect_quiet(door, pub);
    (void)close(sub);
    (void)close(pub);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, door_set_up, door_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_mqtt_door_takes_messages_at_all_qos),
        TEST(test_mqtt_door_takes_a_qos_2_message_once),
        TEST(test_mqtt_door_acks_in_order_and_only_what_is_durable),
        TEST(test_mqtt_door_forgets_acks_of_who_has_gone),
        TEST(test_mqtt_door_holds_back_what_cannot_be_taken_and_loses_nothing),
        TEST(test_mqtt_door_grants_what_is_asked_for_and_no_more_than_the_limit),
        TEST(test_mqtt_door_refuses_a_filter_that_is_too_deep),
        TEST(test_mqtt_door_delivers_as_subscribed),
        TEST(test_mqtt_door_hides_dollar_topics_from_wildcards_in_front),
        TEST(test_mqtt_door_sends_a_window_and_the_rest_as_it_is_acked),
        TEST(test_mqtt_door_bounds_the_answers_of_who_does_not_read),
        TEST(test_mqtt_door_drops_and_counts_qos_0_for_who_does_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
