// SPDX-License-Identifier: Apache-2.0
// The MQTT door from the outside: retained messages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/testdoor_test.h"

// The first byte of the packet that comes next, which stays to be read.
static uint8_t first_byte(struct door *door, int fd)
{
    uint8_t byte = 0;

    DOOR_UNTIL(door, recv(fd, &byte, 1, MSG_PEEK) == 1);
    return byte;
}

// Reads PACKETS, and a SUBACK somewhere between them or around: who subscribes may be sent messages
// before he is told that he has (3.8.4), and what waits for the disk comes later than what does
// not.
static void expect_and_suback(struct door *door, int fd, struct wz_slice packets,
                              struct wz_slice suback)
{
    bool seen = false;

    while (packets.len > 0 || !seen) {
        struct wz_mqtt_frame frame;

        if (first_byte(door, fd) == suback.ptr[0]) {
            door_expect(door, fd, suback);
            assert_false(seen);
            seen = true;
            continue;
        }
        assert_int_equal(wz_mqtt_frame_read(packets, packets.len, &frame), WZ_OK);
        door_expect(door, fd, wz_slice_sub(packets, 0, frame.len));
        packets = wz_slice_sub(packets, frame.len, packets.len - frame.len);
    }
}

static void test_mqtt_door_sends_what_is_retained_to_who_subscribes(void **state)
{
    struct door *door = *state;
    int pub = door_client(door, 'p');
    int present = door_client(door, 'r');

    door_send(door, present, P("\x82\6\0\1\0\1#\2"));
    door_expect(door, present, P("\x90\3\0\1\2"));
    door_send(door, pub, P("\x31\6\0\3a/1x\x33\x08\0\3a/2\0\1y\x35\x08\0\3a/3\0\2z\x31\6\0\3b/1n"));
    door_expect(door, pub, P("\x40\2\0\1\x50\2\0\2"));
    // To a subscription that is there they are messages like any other (3.3.1.3).
    door_expect(door, present,
                P("\x30\6\0\3a/1x\x32\x08\0\3a/2\0\1y\x34\x08\0\3a/3\0\2z\x30\6\0\3b/1n"));
    door_expect_got(door, "a/1=x/0r a/2=y/1r a/3=z/2r b/1=n/0r ");
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? door_client(door, 's') : door_lasting_client(door, 'l', false);

        door_send(door, fd, P("\x82\x08\0\1\0\3a/+\1"));
        expect_and_suback(door, fd, P("\x31\6\0\3a/1x\x33\x08\0\3a/2\0\1y\x33\x08\0\3a/3\0\2z"),
                          P("\x90\3\0\1\1"));
        door_send(door, fd, P("\x40\2\0\1\x40\2\0\2"));
        door_send(door, fd, P("\x82\x08\0\2\0\3a/2\2")); // anew: again (3.8.4)
        expect_and_suback(door, fd, P("\x33\x08\0\3a/2\0\3y"), P("\x90\3\0\2\2"));
        door_send(door, fd, P("\x40\2\0\3"));
        door_expect_quiet(door, fd);
        door_leave(door, fd);
    }
    door_expect_quiet(door, present);
    (void)close(present);
    (void)close(pub);
}

static void test_mqtt_door_retains_one_message_a_topic_until_it_is_cleared(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'p');

    door_send(door, fd, P("\x33\6\0\1t\0\1x\x33\6\0\1t\0\2y\x33\6\0\1u\0\3z\x33\5\0\1u\0\4"));
    door_send(door, fd, P("\x32\6\0\1t\0\5n")); // is not retained, and clears nothing
    door_expect(door, fd, P("\x40\2\0\1\x40\2\0\2\x40\2\0\3\x40\2\0\4\x40\2\0\5"));
    door_crash(door);
    (void)close(fd);
    assert_int_equal(wz_retained_count(door->t.retained), 1);
    fd = door_client(door, 's');
    door_send(door, fd, P("\x82\6\0\1\0\1#\0"));
    door_expect(door, fd, P("\x90\3\0\1\0\x31\4\0\1ty"));
    door_expect_quiet(door, fd);
    (void)close(fd);
}

static void test_mqtt_door_tells_who_retains_when_it_is_durable(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 'p');

    door_hold(door);
    door_send(door, fd, P("\x33\6\0\1t\0\1x"));
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, P("\x40\2\0\1"));
    (void)close(fd);
}

static void test_mqtt_session_is_told_at_its_return_that_a_message_was_retained(void **state)
{
    struct door *door = *state;
    int fd;

    fd = door_client(door, 'p');
    door_send(door, fd, P("\x33\6\0\1t\0\1x"));
    door_expect(door, fd, P("\x40\2\0\1"));
    door_leave(door, fd);
    fd = door_lasting_client(door, 's', false);
    door_send(door, fd, P("\x82\6\0\1\0\1t\1"));
    expect_and_suback(door, fd, P("\x33\6\0\1t\0\1x"), P("\x90\3\0\1\1"));
    door_publish(door, 1, 'y');
    door_expect(door, fd, P("\x32\6\0\1t\0\2y"));
    door_leave(door, fd);
    door_restart(door);
    fd = door_lasting_client(door, 's', true);
    door_expect(door, fd, P("\x3b\6\0\1t\0\1x\x3a\6\0\1t\0\2y"));
    door_leave(door, fd);
}

// More than the window, the output and a session's queue hold at a time.
static void test_mqtt_door_sends_all_of_many_that_are_retained(void **state)
{
    enum { COUNT = 3000, BODY = 200 };
    struct door *door = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packets = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf expected = {0};
    char body[BODY];
    int pub = door_client(door, 'p');

    memset(body, 'x', sizeof(body));
    for (int i = 0; i < COUNT; i++) {
        packets.len = 0;
        wz_buf_add(&packets, "\x31\xd2\1\0\x08", 5);
        wz_buf_addf(&packets, "r/%06d", i);
        wz_buf_add(&packets, body, sizeof(body));
        door_send(door, pub, wz_buf_slice(&packets));
        wz_buf_add_slice(&expected, wz_buf_slice(&packets));
    }
    door_expect_quiet(door, pub);
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? door_client(door, 's') : door_lasting_client(door, 'l', false);

        door_send(door, fd, P("\x82\x08\0\1\0\3r/+\0"));
        for (int k = 0; k < 200; k++)
            door_turn(door); // while nothing is read
        expect_and_suback(door, fd, wz_buf_slice(&expected), P("\x90\3\0\1\0"));
        door_expect_quiet(door, fd);
        door_leave(door, fd);
    }
    (void)close(pub);
}

// How many topics retain_many makes.
#define MANY 2500

// Retains a message on each of MANY topics, in their order.
static void retain_many(struct door *door)
{
    int fd = door_client(door, 'p');

    for (int i = 0; i < MANY; i++) {
        uint8_t packet[] = "\x33\x09\0\3r??\1\1x!";

        packet[5] = (uint8_t)('A' + i / 50);
        packet[6] = (uint8_t)('A' + i % 50);
        door_send(door, fd, wz_slice(packet, 11));
        door_expect(door, fd, P("\x40\2\1\1"));
    }
    door_leave(door, fd);
}

static void test_mqtt_session_gets_all_of_many_that_are_retained_at_qos_1(void **state)
{
    struct door *door = *state;
    int fd;

    retain_many(door);
    for (int k = 0; k < 2; k++) {
        bool told = false;

        fd = k == 0 ? door_client(door, 's') : door_lasting_client(door, 'l', false);
        door_send(door, fd, P("\x82\6\0\1\0\1#\1"));
        for (int i = 0; i < MANY; i++) {
            uint16_t id = (uint16_t)(i + 1);
            uint8_t packet[] = "\x33\x09\0\3r????x!";

            packet[5] = (uint8_t)('A' + i / 50);
            packet[6] = (uint8_t)('A' + i % 50);
            packet[7] = (uint8_t)(id >> 8);
            packet[8] = (uint8_t)id;
            if (!told && first_byte(door, fd) == 0x90) { // once it is durable
                door_expect(door, fd, P("\x90\3\0\1\1"));
                told = true;
            }
            door_expect(door, fd, wz_slice(packet, 11));
            door_send(door, fd, wz_slice((uint8_t[]){0x40, 2, packet[7], packet[8]}, 4));
        }
        assert_true(told);
        door_expect_quiet(door, fd);
        door_leave(door, fd);
    }
}

// Takes one retained message of retain_many and acks it; returns the number of its topic.
static int take_one(struct door *door, int fd)
{
    uint8_t packet[11];
    int number;

    DOOR_UNTIL(door, recv(fd, packet, sizeof(packet), MSG_PEEK) == sizeof(packet));
    assert_int_equal(recv(fd, packet, sizeof(packet), 0), sizeof(packet));
    assert_int_equal(packet[0] & ~8, 0x33); // DUP or not
    assert_memory_equal(packet + 1, "\x09\0\3r", 4);
    number = (packet[5] - 'A') * 50 + packet[6] - 'A';
    assert_in_range(number, 0, MANY - 1);
    door_send(door, fd, wz_slice((uint8_t[]){0x40, 2, packet[7], packet[8]}, 4));
    return number;
}

// Reads as far as ANSWER; marks the messages before it in SEEN.
static void take_until(struct door *door, int fd, struct wz_slice answer, bool *seen)
{
    while (first_byte(door, fd) != answer.ptr[0])
        seen[take_one(door, fd)] = true;
    door_expect(door, fd, answer);
}

static bool is_walking(const struct door *door)
{
    struct wz_durable_queue *queue = wz_queues_find(door->t.queues, P("l"));
    struct wz_queue_walk walk;
    size_t state = 0;

    return wz_durable_queue_next_walk(queue, &state, &walk);
}

// What was not sent before comes after it, whatever has ended the connection; only what was sent
// last may come again.
static void test_mqtt_session_gets_the_rest_of_what_is_retained_when_it_comes_back(void **state)
{
    static void (*const ends[])(struct door * door) = {door_crash, door_restart, NULL};
    static const int taken[] = {0, 700, 1400};
    struct door *door = *state;
    static bool seen[MANY];
    int count = 0;
    int fd;

    retain_many(door);
    fd = door_lasting_client(door, 'l', false);
    door_send(door, fd, P("\x82\6\0\1\0\1#\1"));
    take_until(door, fd, P("\x90\3\0\1\1"), seen);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (; count < taken[i]; count++)
            seen[take_one(door, fd)] = true;
        door_turn(door);
        assert_true(is_walking(door));
        if (ends[i] != NULL)
            ends[i](door);
        (void)close(fd);
        fd = door_lasting_client(door, 'l', true);
    }
    while (!seen[MANY - 1]) {
        seen[take_one(door, fd)] = true;
        count++;
    }
    for (int i = 0; i < MANY; i++)
        assert_true(seen[i]);
    assert_in_range(count, MANY, MANY + 2000);
    door_expect_quiet(door, fd);
    assert_false(is_walking(door));
    door_restart(door); // in order, so that the last acks are not lost
    (void)close(fd);
    fd = door_lasting_client(door, 'l', true);
    door_expect_quiet(door, fd);
    assert_false(is_walking(door));
    (void)close(fd);
}

static void test_mqtt_session_that_unsubscribes_gets_nothing_more_of_what_is_retained(void **state)
{
    static bool seen[MANY];
    struct door *door = *state;
    size_t count;
    int fd;

    retain_many(door);
    fd = door_lasting_client(door, 'l', false);
    door_send(door, fd, P("\x82\6\0\1\0\1#\1"));
    take_until(door, fd, P("\x90\3\0\1\1"), seen);
    assert_true(is_walking(door));
    door_send(door, fd, P("\xa2\5\0\2\0\1#"));
    take_until(door, fd, P("\xb0\2\0\2"), seen);
    assert_false(is_walking(door));
    door_crash(door);
    (void)close(fd);
    count = wz_queues_find(door->t.queues, P("l"))->count;
    assert_in_range(count, 1, MANY / 2);
    fd = door_lasting_client(door, 'l', true);
    for (size_t i = 0; i < count; i++)
        (void)take_one(door, fd);
    door_expect_quiet(door, fd);
    (void)close(fd);
}

// Whose window is full of retained messages cannot make us remember ever more filters, nor get what
// is left after UNSUBSCRIBE (3.10.4).
static void test_mqtt_door_sends_what_is_retained_once_a_subscription_at_most(void **state)
{
    enum { COUNT = 25, WINDOW = 10 };
    struct door *door = *state;
    uint8_t packet[] = "\x33\x07\0\2r?\0?x";
    struct wz_mqtt_client *client;
    struct wz_list *it;
    struct wz_list *tmp;
    int pub = door_client(door, 'p');
    int fd = door_client(door, 's');
    size_t walks = 0;

    client = WZ_CONTAINER(door->mqtt->clients.prev, struct wz_mqtt_client, link);
    for (uint8_t i = 1; i <= COUNT; i++) {
        packet[5] = (uint8_t)('a' + i);
        packet[7] = i;
        door_send(door, pub, wz_slice(packet, 9));
        door_expect(door, pub, wz_slice((uint8_t[]){0x40, 2, 0, i}, 4));
    }
    for (int i = 0; i < 1000; i++) {
        door_send(door, fd, P("\x82\6\0\1\0\1#\1"));
        door_expect(door, fd, P("\x90\3\0\1\1"));
        for (uint8_t k = 1; i == 0 && k <= WINDOW; k++) {
            packet[5] = (uint8_t)('a' + k);
            packet[7] = k;
            door_expect(door, fd, wz_slice(packet, 9));
        }
    }
    WZ_LIST_EACH(it, tmp, &client->session.walks) { walks++; }
    assert_int_equal(walks, 1);
    door_send(door, fd, P("\xa2\5\0\1\0\1#"));
    door_expect(door, fd, P("\xb0\2\0\1"));
    for (uint8_t i = 1; i <= WINDOW; i++)
        door_send(door, fd, wz_slice((uint8_t[]){0x40, 2, 0, i}, 4));
    door_expect_quiet(door, fd);
    (void)close(pub);
    (void)close(fd);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, door_set_up, door_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_mqtt_door_sends_what_is_retained_to_who_subscribes),
        TEST(test_mqtt_door_retains_one_message_a_topic_until_it_is_cleared),
        TEST(test_mqtt_door_tells_who_retains_when_it_is_durable),
        TEST(test_mqtt_session_is_told_at_its_return_that_a_message_was_retained),
        TEST(test_mqtt_door_sends_all_of_many_that_are_retained),
        TEST(test_mqtt_session_gets_all_of_many_that_are_retained_at_qos_1),
        TEST(test_mqtt_session_gets_the_rest_of_what_is_retained_when_it_comes_back),
        TEST(test_mqtt_session_that_unsubscribes_gets_nothing_more_of_what_is_retained),
        TEST(test_mqtt_door_sends_what_is_retained_once_a_subscription_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
