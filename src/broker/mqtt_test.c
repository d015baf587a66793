// SPDX-License-Identifier: Apache-2.0
// The MQTT door from the outside: connections, their beginning and end, limits and what breaks the
// rules.
#include "broker/mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/testdoor_test.h"

static void test_mqtt_door_accepts_a_client(void **state)
{
    struct door *door = *state;
    int fd = door_dial(door);

    door_send(door, fd, CONNECT_C);
    door_expect(door, fd, CONNACK);
    door_expect_quiet(door, fd);
    door_send(door, fd, P("\xe0\0"));
    door_expect_closed(door, fd);
}

static void test_mqtt_door_reads_packets_however_they_are_cut(void **state)
{
    struct door *door = *state;
    struct wz_slice all = P("\x10\x0d\0\4MQTT\4\2\0\0\0\1c\x82\6\0\1\0\1t\1\x32\6\0\1t\0\2x\xc0\0");
    int whole = door_dial(door);
    int bytes;

    door_send(door, whole, all);
    door_expect(door, whole, P("\x20\2\0\0\x90\3\0\1\1\x32\6\0\1t\0\1x\x40\2\0\2\xd0\0"));
    door_send(door, whole, P("\xe0\0"));
    door_expect_closed(door, whole);
    bytes = door_dial(door);
    for (size_t i = 0; i < all.len; i++) {
        door_send(door, bytes, wz_slice_sub(all, i, 1));
        door_turn(door);
    }
    door_expect(door, bytes, P("\x20\2\0\0\x90\3\0\1\1\x32\6\0\1t\0\1x\x40\2\0\2\xd0\0"));
    door_expect_got(door, "t=x/1 t=x/1 ");
    (void)close(bytes);
}

static void test_mqtt_door_gives_a_client_without_id_one_of_its_own(void **state)
{
    struct door *door = *state;
    int first = door_dial(door);
    int second = door_dial(door);

    door_send(door, first, P("\x10\x0c\0\4MQTT\4\2\0\0\0\0"));
    door_expect(door, first, CONNACK);
    door_send(door, second, P("\x10\x0c\0\4MQTT\4\2\0\0\0\0"));
    door_expect(door, second, CONNACK);
    door_expect_quiet(door, first); // not taken over
    (void)close(first);
    (void)close(second);
}

static void test_mqtt_door_refuses_with_the_code_of_the_standard(void **state)
{
    static const struct {
        const char *name;
        const char *packet;
        size_t len;
        uint8_t code;
    } rows[] = {
        {"MQTT 5", "\x10\x14\0\4MQTT\5\2\0\x3c\3!\0\x14\0\4dice", 22, 1},
        {"MQTT 3.1", "\x10\x12\0\6MQIsdp\3\2\0\x3c\0\4dice", 20, 1},
        {"no id for a session that is to last", "\x10\x0c\0\4MQTT\4\0\0\0\0\0", 14, 2},
    };
    struct door *door = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t connack[] = {0x20, 2, 0, rows[i].code};
        int fd = door_dial(door);

        door_send(door, fd, wz_slice(rows[i].packet, rows[i].len));
        door_send(door, fd, PINGREQ); // not answered any more
        door_expect(door, fd, wz_slice(connack, 4));
        door_expect_closed(door, fd);
    }
}

static void test_mqtt_door_closes_unanswered_on_what_breaks_the_rules_before_connect(void **state)
{
    static const struct {
        const char *packet;
        size_t len;
    } rows[] = {
        {"\xc0\0", 2},                                        // PINGREQ first
        {"\x30\3\0\1t", 5},                                   // PUBLISH first
        {"\xe0\0", 2},                                        // DISCONNECT first
        {"\x10\x0d\0\4MQTT\4\3\0\0\0\1c", 15},                // reserved flag
        {"\x10\x0d\0\4mqtt\4\2\0\0\0\1c", 15},                // another protocol
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11}, // TLS
        {"GET / HTTP/1.1\r\nHost: localhost:1883\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
         78},
        {"\x10\xff\xff\xff\xff\x7f", 6}, // a length of five bytes
        {"\x10\xfe\x1f", 3},             // 4,096 bytes and a byte, known from the length alone
        {"\0\0", 2},
    };
    struct door *door = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = door_dial(door);

        door_send(door, fd, wz_slice(rows[i].packet, rows[i].len));
        door_expect_closed(door, fd);
    }
    door_expect_got(door, "");
}

static void test_mqtt_door_closes_a_client_that_breaks_the_rules(void **state)
{
    static const struct {
        const char *packet;
        size_t len;
    } rows[] = {
        {"\x10\x0d\0\4MQTT\4\2\0\0\0\1c", 15}, // a second CONNECT
        {"\x20\2\0\0", 4},                     // what only servers send
        {"\x53\2\0\1", 4},                     // PUBREC and PUBCOMP with flags
        {"\x72\2\0\1", 4},
        {"\x50\2\0\0", 4},
        {"\x90\3\0\1\0", 5},
        {"\xb0\2\0\1", 4},
        {"\xd0\0", 2},
        {"\xf0\0", 2}, // no packet of 3.1.1
        {"\0\0", 2},
        {"\x36\5\0\1t\0\1", 7},        // QoS 3
        {"\x32\5\0\1t\0\0", 7},        // packet id 0
        {"\x30\2\0\0", 4},             // no topic
        {"\x30\4\0\2t#", 6},           // a wildcard in it
        {"\x30\4\0\2t\0", 6},          // NUL in it
        {"\x30\5\0\3\xed\xa0\x80", 7}, // a surrogate in it
        {"\x62\2\0\0", 4},
        {"\x60\2\0\1", 4}, // PUBREL with wrong flags
        {"\x80\6\0\1\0\1t\0", 8},
        {"\x82\2\0\1", 4},
        {"\x82\6\0\1\0\1t\3", 8},
        {"\x82\7\0\1\0\2#t\0", 9}, // '#' that is not alone
        {"\x82\7\0\1\0\2t+\0", 9},
        {"\x82\x09\0\1\0\4#/#/\0", 11},
        {"\xa2\6\0\1\0\2t+", 8},
        {"\xc1\0", 2},
        {"\xe0\1x", 3},
        {"\x30\xff\xff\xff\xff", 5},
        {"\x30\xa0\x8d\6", 4}, // a length above max_packet_bytes, before the body comes
    };
    struct door *door = *state;
    int other = door_client(door, 'o');

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = door_client(door, 'c');

        door_send(door, fd, wz_slice(rows[i].packet, rows[i].len));
        door_expect_closed(door, fd);
    }
    door_expect_quiet(door, other); // nobody else notices
    door_expect_got(door, "");
    (void)close(other);
}

static void test_mqtt_door_lets_the_later_of_two_with_one_id_in(void **state)
{
    struct door *door = *state;
    int first = door_client(door, 'c');
    int second;

    door_send(door, first, P("\x82\6\0\1\0\1t\0"));
    door_expect(door, first, P("\x90\3\0\1\0"));
    second = door_client(door, 'c');
    door_expect_closed(door, first);
    door_send(door, second, P("\x30\3\0\1t"));
    door_expect_quiet(door, second); // the subscription went with the first
    door_expect_got(door, "t=/0 ");
    for (int i = 0; i < 20; i++) {
        int third = door_client(door, 'c');

        door_expect_closed(door, second);
        second = third;
    }
    door_expect_quiet(door, second);
    (void)close(second);
}

// A client with the will w=bye at QoS 1, retained.
static int client_with_will(struct door *door)
{
    int fd = door_dial(door);

    door_send(door, fd, P("\x10\x15\0\4MQTT\4\x2e\0\0\0\1w\0\1w\0\3bye"));
    door_expect(door, fd, CONNACK);
    return fd;
}

static void test_mqtt_door_publishes_the_will_of_who_ends_without_word(void **state)
{
    struct door *door = *state;
    int fd = client_with_will(door);

    door_expect_got(door, "");
    (void)close(fd);
    DOOR_UNTIL(door, door->got.len > 0);
    door_expect_got(door, "w=bye/1r ");
    fd = client_with_will(door);
    door_send(door, fd, P("\xc1\0")); // breaks the rules
    door_expect_closed(door, fd);
    door_expect_got(door, "w=bye/1r ");
    fd = client_with_will(door);
    (void)close(client_with_will(door)); // takes over
    door_expect_closed(door, fd);
    DOOR_UNTIL(door, door->got.len > 9);
    door_expect_got(door, "w=bye/1r w=bye/1r ");
}

static void test_mqtt_door_publishes_no_will_after_disconnect(void **state)
{
    struct door *door = *state;
    int fd = client_with_will(door);

    door_send(door, fd, P("\xe0\0\x30\3\0\1t")); // and nothing that comes behind it
    door_expect_closed(door, fd);
    door_turn(door);
    door_expect_got(door, "");
}

static void test_mqtt_door_lets_who_is_held_back_go(void **state)
{
    struct door *door = *state;
    int fd = client_with_will(door);

    door->busy = true;
    door_send(door, fd, P("\x30\4\0\1tx"));
    DOOR_UNTIL(door, !wz_list_empty(&door->mqtt->blocked));
    (void)close(fd);
    door->busy = false;
    wz_mqtt_durable(door->mqtt);
    DOOR_UNTIL(door, wz_list_empty(&door->mqtt->clients));
    door_expect_got(door, "t=x/0 w=bye/1r ");
}

static void test_mqtt_door_takes_packets_up_to_the_limit(void **state)
{
    struct door *door = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    int fd = door_client(door, 'c');

    wz_buf_add(&packet, "\x30\x9c\x8d\6\0\1t", 7); // 4 and 99,996 bytes: the limit
    for (int i = 0; i < 99993; i++)
        wz_buf_add_byte(&packet, 'x');
    assert_int_equal(packet.len, door->options.max_packet_bytes);
    door_send(door, fd, wz_buf_slice(&packet));
    door_expect_quiet(door, fd);
    assert_int_equal(door->got.len, 2 + 99993 + 3);
    packet.ptr[1]++;
    wz_buf_add_byte(&packet, 'x');
    (void)door_send_some(fd, wz_buf_slice(&packet));
    DOOR_UNTIL(door, wz_list_empty(&door->mqtt->clients));
    assert_int_equal(door->got.len, 2 + 99993 + 3);
    (void)close(fd);
}

static void test_mqtt_door_refuses_more_clients_than_the_limit(void **state)
{
    struct door *door = *state;
    int fds[WZ_MQTT_SPARE_CONNECTIONS + 2];
    int last;

    door->options.max_connections = 2;
    door_reopen(door);
    for (int i = 0; i < 2; i++)
        fds[i] = door_client(door, (char)('a' + i));
    last = door_dial(door);
    door_send(door, last, CONNECT_C);
    door_expect(door, last, P("\x20\2\0\3"));
    door_expect_closed(door, last);
    for (int i = 2; i < WZ_MQTT_SPARE_CONNECTIONS + 2; i++)
        fds[i] = door_dial(door);
    DOOR_UNTIL(door, door->mqtt->client_count == WZ_MQTT_SPARE_CONNECTIONS + 2);
    last = door_dial(door); // one more is not even listened to
    door_expect_closed(door, last);
    for (int i = 2; i < WZ_MQTT_SPARE_CONNECTIONS + 2; i++)
        (void)close(fds[i]);
    DOOR_UNTIL(door, door->mqtt->client_count == 2);
    (void)close(fds[0]);
    DOOR_UNTIL(door, door->mqtt->client_count == 1);
    fds[0] = door_client(door, 'd');
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_mqtt_door_closes_who_is_silent_for_one_and_a_half_times_what_he_said(void **state)
{
    struct door *door = *state;
    int64_t start_us = wz_clock_mono_us();
    int lasting = door_client(door, 'l'); // keep-alive 0
    int pinging = door_dial(door);
    int silent = door_dial(door);
    int64_t pinged_us = start_us;
    uint8_t byte;

    door_send(door, silent, P("\x10\x15\0\4MQTT\4\6\0\1\0\1s\0\1w\0\3bye"));
    door_expect(door, silent, CONNACK);
    door_send(door, pinging, P("\x10\x0d\0\4MQTT\4\2\0\1\0\1p"));
    door_expect(door, pinging, CONNACK);
    while (recv(silent, &byte, 1, 0) < 0 && wz_clock_mono_us() < start_us + DOOR_DEADLINE_US) {
        door_turn(door);
        if (wz_clock_mono_us() > pinged_us + 500000) {
            door_expect_quiet(door, pinging);
            pinged_us = wz_clock_mono_us();
        }
    }
    assert_in_range(wz_clock_mono_us() - start_us, 1500000, 4000000);
    door_expect_got(door, "w=bye/0 ");
    door_expect_quiet(door, lasting);
    door_expect_quiet(door, pinging);
    (void)close(lasting);
    (void)close(pinging);
    (void)close(silent);
}

static void test_mqtt_door_closes_who_takes_too_long_to_connect(void **state)
{
    struct door *door = *state;
    int64_t start_us;
    int silent;
    int dripping;
    size_t sent = 0;

    door->options.connect_timeout_ms = 100;
    door_reopen(door);
    start_us = wz_clock_mono_us();
    silent = door_dial(door);
    dripping = door_dial(door);
    DOOR_UNTIL(door, door->mqtt->client_count == 2);
    door_send(door, dripping, P("\x10\x7f"));
    while (door->mqtt->client_count > 0) {
        // A byte now and then is no CONNECT.
        if (wz_clock_mono_us() > start_us + (int64_t)sent * 50000)
            sent += door_send_some(dripping, P("x"));
        assert_true(wz_clock_mono_us() < start_us + 5000000);
        door_turn(door);
    }
    assert_in_range(wz_clock_mono_us() - start_us, 100000, 5000000);
    (void)close(silent);
    (void)close(dripping);
}

static void test_mqtt_door_closes_its_clients_when_it_closes(void **state)
{
    struct door *door = *state;
    int fds[5];

    for (int i = 0; i < 4; i++)
        fds[i] = door_client(door, (char)('a' + i));
    fds[4] = door_dial(door); // has not said anything yet
    DOOR_UNTIL(door, door->mqtt->client_count == 5);
    wz_mqtt_close(door->mqtt);
    door->open = false;
    for (int i = 0; i < 5; i++)
        door_expect_closed(door, fds[i]);
}

// A byte of a valid conversation changed, or bytes of no conversation at all: whatever comes, the
// door goes on for everybody else.
static void test_mqtt_door_outlasts_garbage(void **state)
{
    static const char talk[] =
        "\x10\x15\0\4MQTT\4\6\0\0\0\1g\0\1w\0\3bye\x82\6\0\1\0\1t\1"
        "\x32\6\0\1t\0\2x\x34\6\0\1t\0\3y\x62\2\0\3\xa2\5\0\1\0\1t\xc0\0\x40\2\0\1";
    struct door *door = *state;
    int other = door_dial(door);

    door_send(door, other, P("\x10\x10\0\4MQTT\4\2\0\0\0\4stay")); // an id that nobody hits upon
    door_expect(door, other, CONNACK);
    wz_log_set_level(WZ_LOG_ERROR);
    srandom(20261);
    for (int round = 0; round < 1500; round++) {
        uint8_t bytes[sizeof(talk) - 1];
        int fd = door_dial(door);

        memcpy(bytes, talk, sizeof(bytes));
        for (long i = random() % 4; i >= 0; i--)
            bytes[(size_t)random() % sizeof(bytes)] = (uint8_t)random();
        (void)door_send_some(fd, wz_slice(bytes, sizeof(bytes)));
        door_turn(door);
        door_turn(door);
        (void)close(fd);
        door_turn(door);
    }
    door_expect_quiet(door, other);
    DOOR_UNTIL(door, door->mqtt->client_count == 1);
    wz_log_set_level(WZ_LOG_INFO);
    (void)close(other);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, door_set_up, door_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_mqtt_door_accepts_a_client),
        TEST(test_mqtt_door_reads_packets_however_they_are_cut),
        TEST(test_mqtt_door_gives_a_client_without_id_one_of_its_own),
        TEST(test_mqtt_door_refuses_with_the_code_of_the_standard),
        TEST(test_mqtt_door_closes_unanswered_on_what_breaks_the_rules_before_connect),
        TEST(test_mqtt_door_closes_a_client_that_breaks_the_rules),
        TEST(test_mqtt_door_lets_the_later_of_two_with_one_id_in),
        TEST(test_mqtt_door_publishes_the_will_of_who_ends_without_word),
        TEST(test_mqtt_door_publishes_no_will_after_disconnect),
        TEST(test_mqtt_door_lets_who_is_held_back_go),
        TEST(test_mqtt_door_takes_packets_up_to_the_limit),
        TEST(test_mqtt_door_refuses_more_clients_than_the_limit),
        TEST(test_mqtt_door_closes_who_is_silent_for_one_and_a_half_times_what_he_said),
        TEST(test_mqtt_door_closes_who_takes_too_long_to_connect),
        TEST(test_mqtt_door_closes_its_clients_when_it_closes),
        TEST(test_mqtt_door_outlasts_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
