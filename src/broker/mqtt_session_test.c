// SPDX-License-Identifier: Apache-2.0
// The MQTT door from the outside: sessions that outlast their connections, QoS 2 both ways, and
// what has to be durable before it is answered.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "broker/testdoor_test.h"
#include "stream/reader.h"

// A session "s" that is subscribed to "t" at QOS, and away.
static void session_away(struct door *door, uint8_t qos)
{
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, fd, qos);
    door_leave(door, fd);
}

static void test_mqtt_session_is_answered_when_it_is_durable(void **state)
{
    struct door *door = *state;
    int fd;

    door_hold(door);
    fd = door_lasting(door, 's');
    door_send(door, fd, PINGREQ); // is not read before
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, CONNACK);
    door_expect(door, fd, PINGRESP);
    (void)close(fd);
}

static void test_mqtt_session_is_there_the_second_time(void **state)
{
    struct door *door = *state;

    session_away(door, 1);
    door_leave(door, door_lasting_client(door, 's', true));
    door_restart(door);
    door_leave(door, door_lasting_client(door, 's', true));
    door_crash(door);
    door_leave(door, door_lasting_client(door, 's', true));
    door_leave(door, door_lasting_client(door, 'o', false)); // another one
    assert_int_equal(wz_queues_find(door->t.queues, P("s"))->bindings.count, 1);
}

static void test_mqtt_session_goes_when_a_clean_one_comes(void **state)
{
    struct door *door = *state;
    int fd;

    session_away(door, 1);
    door_publish(door, 1, 'x');
    fd = door_client(door, 's');
    door_publish(door, 1, 'y');
    door_expect_quiet(door, fd); // neither messages nor subscriptions
    door_leave(door, fd);
    assert_int_equal(wz_queues_count(door->t.queues), 0);
    door_restart(door);
    fd = door_lasting_client(door, 's', false);
    door_expect_quiet(door, fd);
    door_leave(door, fd);
}

// The end of a session is durable before the clean one is answered.
static void test_mqtt_session_does_not_come_back_when_a_clean_one_was_answered(void **state)
{
    struct door *door = *state;
    int fd;

    session_away(door, 1);
    door_hold(door);
    fd = door_dial(door);
    door_send(door, fd, P("\x10\x0d\0\4MQTT\4\2\0\0\0\1s"));
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, CONNACK);
    (void)close(fd);
}

static void test_mqtt_session_gets_what_came_while_it_was_away(void **state)
{
    struct door *door = *state;
    int fd;

    session_away(door, 2);
    door_publish(door, 0, 'n'); // is not kept (4.1)
    door_publish(door, 1, 'x');
    door_publish(door, 2, 'y');
    door_crash(door);
    door_publish(door, 1, 'z');
    fd = door_lasting_client(door, 's', true);
    // The first two may have been sent before the crash, as far as can be known.
    door_expect(door, fd, P("\x3a\6\0\1t\0\1x\x3c\6\0\1t\0\2y\x32\6\0\1t\0\3z"));
    door_send(door, fd, P("\x40\2\0\1\x50\2\0\2\x40\2\0\3"));
    door_expect(door, fd, P("\x62\2\0\2"));
    door_send(door, fd, P("\x70\2\0\2"));
    door_expect_quiet(door, fd);
    door_leave(door, fd);
    fd = door_lasting_client(door, 's', true);
    door_publish(door, 0, 'q');
    door_expect(door, fd, P("\x30\4\0\1tq"));
    door_expect_quiet(door, fd);
    door_leave(door, fd);
    assert_int_equal(testqueues_messages(&door->t), 0);
}

static void test_mqtt_session_sends_again_what_was_not_acked(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, fd, 2);
    door_publish(door, 1, 'w');
    door_publish(door, 1, 'x');
    door_publish(door, 2, 'y');
    door_publish(door, 2, 'z');
    door_expect(door, fd, P("\x32\6\0\1t\0\1w\x32\6\0\1t\0\2x\x34\6\0\1t\0\3y\x34\6\0\1t\0\4z"));
    door_send(door, fd, P("\x50\2\0\3\x40\2\0\2"));
    door_expect(door, fd, P("\x62\2\0\3"));
    door_expect_quiet(door, fd);
    (void)close(fd); // without a word
    fd = door_lasting_client(door, 's', true);
    door_expect(door, fd, P("\x3a\6\0\1t\0\1w\x62\2\0\3\x3c\6\0\1t\0\4z"));
    door_expect_quiet(door, fd);
    door_restart(door);
    (void)close(fd);
    fd = door_lasting_client(door, 's', true);
    door_expect(door, fd, P("\x3a\6\0\1t\0\1w\x62\2\0\3\x3c\6\0\1t\0\4z"));
    door_send(door, fd, P("\x70\2\0\3\x40\2\0\1\x50\2\0\4\x70\2\0\4"));
    door_expect(door, fd, P("\x62\2\0\4"));
    door_expect_quiet(door, fd);
    door_leave(door, fd);
    assert_int_equal(testqueues_messages(&door->t), 0);
}

static void test_mqtt_session_is_taken_over_with_all_it_has(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, fd, 1);
    door_publish(door, 1, 'x');
    door_expect(door, fd, P("\x32\6\0\1t\0\1x"));
    for (int i = 0; i < 5; i++) {
        int next = door_lasting_client(door, 's', true);

        door_expect_closed(door, fd);
        door_expect(door, next, P("\x3a\6\0\1t\0\1x"));
        fd = next;
    }
    door_publish(door, 1, 'y');
    door_expect(door, fd, P("\x32\6\0\1t\0\2y"));
    (void)close(fd);
}

static void test_mqtt_session_is_taken_over_while_it_opens(void **state)
{
    struct door *door = *state;
    int fds[4];

    door_hold(door);
    for (int i = 0; i < 4; i++) {
        fds[i] = i == 2 ? door_dial(door) : door_lasting(door, 's');
        if (i == 2)
            door_send(door, fds[i], P("\x10\x0d\0\4MQTT\4\2\0\0\0\1s"));
        door_expect_nothing(door, fds[i]);
        if (i > 0)
            door_expect_closed(door, fds[i - 1]);
    }
    door_let_go(door);
    door_expect(door, fds[3], CONNACK); // the clean one before it has ended the session
    door_expect_quiet(door, fds[3]);
    (void)close(fds[3]);
}

// The first that a server sends is CONNACK (3.2), whatever waits.
static void test_mqtt_session_gets_nothing_before_its_connack(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);
    int pub;

    door_subscribe(door, fd, 2);
    door_publish(door, 2, 'x');
    door_publish(door, 1, 'y');
    door_expect(door, fd, P("\x34\6\0\1t\0\1x\x32\6\0\1t\0\2y"));
    door_send(door, fd, P("\x50\2\0\1"));
    door_expect(door, fd, P("\x62\2\0\1"));
    door_leave(door, fd);
    pub = door_client(door, 'p');
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            door_hold(door);
        fd = door_lasting(door, 's');
        if (i == 0) {
            door_expect_nothing(door, fd);
            door_send(door, pub, P("\x30\4\0\1tn")); // at QoS 0, now or never
            door_expect_quiet(door, pub);
            door_durable(door, 0); // something else is durable
            door_expect_nothing(door, fd);
            door_let_go(door);
        }
        door_expect(door, fd, CONNACK_PRESENT);
        door_expect(door, fd, P("\x62\2\0\1\x3a\6\0\1t\0\2y"));
        door_expect_quiet(door, fd);
        door_leave(door, fd);
    }
    (void)close(pub);
}

static void test_mqtt_session_is_refused_above_the_limit(void **state)
{
    struct door *door = *state;
    int fd;

    door_leave(door, door_lasting_client(door, 's', false));
    door->t.limits.max_queues = 1;
    door_restart(door);
    fd = door_lasting(door, 'r');
    door_expect(door, fd, P("\x20\2\0\3"));
    door_expect_closed(door, fd);
    door_leave(door, door_lasting_client(door, 's', true));
    door_leave(door, door_client(door, 'r')); // a clean one keeps nothing
}

static void test_mqtt_session_has_its_subscriptions_durable_before_it_is_told(void **state)
{
    struct door *door = *state;
    int lasting = door_lasting_client(door, 's', false);
    int clean = door_client(door, 'c');

    door_hold(door);
    door_send(door, lasting, P("\x82\x0a\0\1\0\1t\1\0\1u\2"));
    door_send(door, lasting, P("\xa2\5\0\2\0\1u"));
    door_send(door, lasting, P("\x82\6\0\3\0\1v\1"));
    door_expect_nothing(door, lasting);
    door_subscribe(door, clean, 2); // has nothing to wait for
    door_let_go(door);
    door_expect(door, lasting, P("\x90\4\0\1\1\2\xb0\2\0\2\x90\3\0\3\1"));
    door_crash(door);
    assert_int_equal(wz_queues_find(door->t.queues, P("s"))->bindings.count, 2);
    (void)close(lasting);
    (void)close(clean);
}

static void test_mqtt_session_is_limited_in_its_subscriptions(void **state)
{
    struct door *door = *state;
    int fd;

    door->t.limits.max_bindings = 2;
    door_restart(door);
    fd = door_lasting_client(door, 's', false);
    door_send(door, fd, P("\x82\x0e\0\1\0\1a\1\0\1b\1\0\1c\1"));
    door_expect(door, fd, P("\x90\5\0\1\1\1\x80"));
    door_send(door, fd, P("\x82\6\0\2\0\1a\2"));
    door_expect(door, fd, P("\x90\3\0\2\2"));
    door_leave(door, fd);
}

// A publisher is told when what its message does to others' sessions is durable, too.
static void test_mqtt_publisher_is_told_when_sessions_have_the_message(void **state)
{
    struct door *door = *state;
    int pub = door_client(door, 'p');
    int sub;

    session_away(door, 1);
    door_hold(door);
    door_send(door, pub, P("\x32\6\0\1u\0\1w\x32\6\0\1t\0\2x\x34\6\0\1t\0\3y\x32\6\0\1u\0\4z"));
    door_expect(door, pub, P("\x40\2\0\1")); // goes to no session
    door_expect_nothing(door, pub);
    door_let_go(door);
    door_expect(door, pub, P("\x40\2\0\2\x50\2\0\3\x40\2\0\4"));
    door_crash(door);
    sub = door_lasting_client(door, 's', true);
    door_expect(door, sub, P("\x3a\6\0\1t\0\1x\x3a\6\0\1t\0\2y"));
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_session_sends_a_window_and_the_rest_as_it_is_acked(void **state)
{
    struct door *door = *state;
    uint8_t packet[] = "\x34\6\0\1t\0??";
    int fd;

    session_away(door, 2);
    for (uint8_t i = 1; i <= 25; i++)
        door_publish(door, 2, i);
    fd = door_lasting_client(door, 's', true);
    for (uint8_t i = 1; i <= 25; i++) {
        packet[6] = i;
        packet[7] = i;
        door_expect(door, fd, wz_slice(packet, 8));
        if (i < 10)
            continue; // the window is full at the tenth
        door_expect_quiet(door, fd);
        door_send(door, fd, wz_slice((uint8_t[]){0x50, 2, 0, (uint8_t)(i - 9)}, 4));
        door_expect(door, fd, wz_slice((uint8_t[]){0x62, 2, 0, (uint8_t)(i - 9)}, 4));
        door_expect_quiet(door, fd); // PUBREC opens nothing, PUBCOMP does
        door_send(door, fd, wz_slice((uint8_t[]){0x70, 2, 0, (uint8_t)(i - 9)}, 4));
    }
    door_leave(door, fd);
    assert_int_equal(testqueues_messages(&door->t), 9);
}

static void test_mqtt_session_is_not_disturbed_by_acks_of_what_is_not_known(void **state)
{
    struct door *door = *state;

    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? door_lasting_client(door, 's', false) : door_client(door, 'c');

        door_send(door, fd, P("\x50\2\0\x63")); // the client is to forget it (4.3.3)
        door_expect(door, fd, P("\x62\2\0\x63"));
        door_send(door, fd, P("\x70\2\0\x63\x40\2\0\x63"));
        door_expect_quiet(door, fd);
        for (int k = 0; k < 2; k++) {
            door_send(door, fd, P("\x62\2\0\x63"));
            door_expect(door, fd, P("\x70\2\0\x63"));
        }
        door_leave(door, fd);
    }
}

static void test_mqtt_session_closes_on_an_ack_that_does_not_fit(void **state)
{
    static const struct {
        uint8_t qos;
        struct {
            const char *bytes;
            size_t len;
        } ack;
    } rows[] = {
        {2, {"\x40\2\0\1", 4}}, // PUBACK
        {2, {"\x70\2\0\1", 4}}, // PUBCOMP before PUBREC
        {1, {"\x50\2\0\1", 4}}, // PUBREC
    };
    struct door *door = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = door_lasting_client(door, 's', false);

        door_subscribe(door, fd, 2);
        door_publish(door, rows[i].qos, 'x');
        door_expect(door, fd, rows[i].qos == 1 ? P("\x32\6\0\1t\0\1x") : P("\x34\6\0\1t\0\1x"));
        door_send(door, fd, wz_slice(rows[i].ack.bytes, rows[i].ack.len));
        door_expect_closed(door, fd);
        fd = door_lasting_client(door, 's', true); // it is not settled
        door_expect(door, fd, rows[i].qos == 1 ? P("\x3a\6\0\1t\0\1x") : P("\x3c\6\0\1t\0\1x"));
        door_leave(door, fd);
        fd = door_client(door, 's'); // a clean one: the same
        door_subscribe(door, fd, 2);
        door_publish(door, rows[i].qos, 'x');
        door_expect(door, fd, rows[i].qos == 1 ? P("\x32\6\0\1t\0\1x") : P("\x34\6\0\1t\0\1x"));
        door_send(door, fd, wz_slice(rows[i].ack.bytes, rows[i].ack.len));
        door_expect_closed(door, fd);
    }
}

static void test_mqtt_door_sends_qos_2_to_a_clean_session(void **state)
{
    struct door *door = *state;
    int fd = door_client(door, 's');

    door_subscribe(door, fd, 2);
    door_publish(door, 2, 'x');
    door_publish(door, 1, 'y');
    door_expect(door, fd, P("\x34\6\0\1t\0\1x\x32\6\0\1t\0\2y"));
    for (int i = 0; i < 2; i++) {
        door_send(door, fd, P("\x50\2\0\1")); // PUBREC may come twice
        door_expect(door, fd, P("\x62\2\0\1"));
    }
    door_send(door, fd, P("\x70\2\0\1\x40\2\0\2"));
    door_expect_quiet(door, fd);
    (void)close(fd);
}

// QoS 2 messages that come in.

static void test_mqtt_session_publishes_a_qos_2_message_once(void **state)
{
    struct door *door = *state;
    int sub = door_client(door, 'r');
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, sub, 0);
    for (int i = 0; i < 3; i++) {
        door_send(door, fd, i == 0 ? P("\x34\6\0\1t\0\7x") : P("\x3c\6\0\1t\0\7x"));
        door_expect(door, fd, P("\x50\2\0\7"));
        if (i == 1) { // on another connection
            door_leave(door, fd);
            fd = door_lasting_client(door, 's', true);
        }
    }
    door_expect(door, sub, P("\x30\4\0\1tx"));
    door_expect_quiet(door, sub);
    door_expect_got(door, "t=x/2 ");
    door_crash(door);
    (void)close(fd);
    (void)close(sub);
    fd = door_lasting_client(door, 's', true);
    door_send(door, fd, P("\x3c\6\0\1t\0\7x"));
    door_expect(door, fd, P("\x50\2\0\7"));
    door_expect_got(door, "");
    for (int i = 0; i < 2; i++) {
        door_send(door, fd, P("\x62\2\0\7"));
        door_expect(door, fd, P("\x70\2\0\7"));
    }
    door_send(door, fd, P("\x34\6\0\1t\0\7y")); // another message
    door_expect(door, fd, P("\x50\2\0\7"));
    door_expect_got(door, "t=y/2 ");
    door_leave(door, fd);
}

static void test_mqtt_session_answers_qos_2_when_it_is_durable(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);

    door_hold(door);
    door_send(door, fd, P("\x34\6\0\1t\0\7x"));
    door_expect_nothing(door, fd);
    door_send(door, fd, P("\x3c\6\0\1t\0\7x")); // is no more durable than the first
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, P("\x50\2\0\7\x50\2\0\7"));
    door_hold(door);
    door_send(door, fd, P("\x62\2\0\7"));
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, P("\x70\2\0\7"));
    door_leave(door, fd);
}

// The first PUBREC got lost with the connection, and the second must not come sooner.
static void test_mqtt_session_answers_what_comes_again_no_sooner(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);

    door->slow_disk = true;
    door_send(door, fd, P("\x34\6\0\1t\0\7x"));
    door_expect_nothing(door, fd);
    door->slow_disk = false;
    door_send(door, fd, P("\x3c\6\0\1t\0\7x"));
    door_expect_nothing(door, fd);
    door_durable(door, 1);
    door_expect(door, fd, P("\x50\2\0\7\x50\2\0\7"));
    door_expect_got(door, "t=x/2 ");
    door_leave(door, fd);
}

static void test_mqtt_door_tells_pubrel_when_pubrec_is_durable(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, fd, 2);
    door_publish(door, 2, 'x');
    door_expect(door, fd, P("\x34\6\0\1t\0\1x"));
    door_hold(door);
    door_send(door, fd, P("\x50\2\0\1"));
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, P("\x62\2\0\1"));
    door_crash(door);
    (void)close(fd);
    fd = door_lasting_client(door, 's', true);
    door_expect(door, fd, P("\x62\2\0\1"));
    door_leave(door, fd);
}

// What is missing after a crash is added when the message comes again, and nothing else.
static void test_mqtt_session_adds_what_a_crash_has_lost_of_a_message(void **state)
{
    struct door *door = *state;
    struct wz_durable_queue *queue;
    struct wz_received_message *message;
    int sub = door_lasting_client(door, 'r', false);
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, sub, 1);
    queue = wz_queues_find(door->t.queues, P("s"));
    message = wz_received_add(&queue->received, 7);
    message->offset = 5;
    message->unqueued = true;
    message = wz_received_add(&queue->received, 8);
    message->offset = 6;
    message->unrecorded = true;
    for (int i = 0; i < 2; i++) { // the second time nothing is missing any more
        door_send(door, fd, P("\x3c\6\0\1t\0\7x\x3c\6\0\1t\0\x08y"));
        door_expect(door, fd, P("\x50\2\0\7\x50\2\0\x08"));
        door_expect_got(door, i == 0 ? "t=x/2-recorded t=y/2 " : "");
    }
    assert_int_equal(wz_received_get(&queue->received, 7)->offset, 5);
    door_expect(door, sub, P("\x32\6\0\1t\0\1x"));
    door_expect_quiet(door, sub);
    (void)close(sub);
    (void)close(fd);
}

// The first PUBREC did not leave, and on another connection there is none before it to wait for.
static void test_mqtt_session_answers_on_another_connection_no_sooner(void **state)
{
    struct door *door = *state;
    int fd;

    door_record(door);
    fd = door_lasting_client(door, 's', false);
    door_hold_raw(door);
    door_send(door, fd, P("\x34\6\0\1t\0\7x"));
    door_expect_nothing(door, fd);
    (void)close(fd);
    fd = door_lasting_client(door, 's', true);
    door_send(door, fd, P("\x3c\6\0\1t\0\7x"));
    door_expect_nothing(door, fd);
    door_let_go(door);
    door_expect(door, fd, P("\x50\2\0\7"));
    door_expect_got(door, "t=x/2 ");
    door_leave(door, fd);
}

// How many records there are on raw-stream.
static int records(struct door *door)
{
    struct wz_reader_options options = {0};
    struct wz_reader *reader;
    struct wz_record record;
    int count = 0;

    assert_int_equal(wz_reader_open(door->t.raw, &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK)
        count++;
    wz_reader_close(reader);
    return count;
}

// A message is taken and gets to the log OTHER, but not to STUCK.
static void send_to_one_log(struct door *door, int fd, struct wz_slice packet, struct wz_log *stuck,
                            struct wz_log *other)
{
    door->stuck = stuck;
    door_send(door, fd, packet);
    DOOR_UNTIL(door, door->got.len > 0);
    DOOR_UNTIL(door, wz_log_durable_end(other) == wz_log_next_offset(other));
}

// However often the world ends, a QoS 2 message is recorded once and queued once.
static void test_mqtt_session_publishes_once_across_crashes(void **state)
{
    struct door *door = *state;
    int others = 0;
    int fd;

    door_record(door);
    fd = door_lasting_client(door, 'r', false);
    door_subscribe(door, fd, 1);
    door_leave(door, fd);
    for (uint8_t round = 0; round < 12; round++) {
        uint8_t packet[] = "\x34\6\0\1t\0\7?";

        packet[7] = (uint8_t)('a' + round);
        fd = door_lasting_client(door, 's', round > 0);
        door->got.len = 0;
        if (round % 3 == 0) {
            door_send(door, fd, wz_slice(packet, 8));
            for (int turns = 0; turns < round; turns++)
                door_turn(door); // so far it gets
        } else if (round % 3 == 1) {
            send_to_one_log(door, fd, wz_slice(packet, 8), door->t.raw,
                            wz_journal_log(door->t.journal));
        } else {
            send_to_one_log(door, fd, wz_slice(packet, 8), wz_journal_log(door->t.journal),
                            door->t.raw);
        }
        for (int crash = 0; crash < 1 + round % 3; crash++) {
            door_crash(door);
            (void)close(fd);
            door_publish(door, 1, '-'); // others go on
            others++;
            fd = door_lasting_client(door, 's', true);
        }
        packet[0] = 0x3c;
        door_send(door, fd, wz_slice(packet, 8));
        door_expect(door, fd, P("\x50\2\0\7"));
        door_send(door, fd, P("\x62\2\0\7"));
        door_expect(door, fd, P("\x70\2\0\7"));
        door_leave(door, fd);
        assert_int_equal(records(door), round + 1 + others);
        assert_int_equal(wz_queues_find(door->t.queues, P("r"))->count, round + 1 + others);
    }
}

// Nobody has had a PUBREC of it before: so it is what was acked last, and recorded last.
static void test_mqtt_session_retains_what_comes_again_over_what_came_meanwhile(void **state)
{
    struct door *door = *state;

    door_record(door);
    for (int i = 0; i < 2; i++) {
        struct wz_log *raw = door->t.raw;
        struct wz_log *journal = wz_journal_log(door->t.journal);
        int fd = door_lasting_client(door, 's', i > 0);
        int other;
        int sub;

        door->got.len = 0;
        send_to_one_log(door, fd, P("\x35\6\0\1t\0\7x"), i == 0 ? raw : journal,
                        i == 0 ? journal : raw);
        door_crash(door);
        (void)close(fd);
        other = door_client(door, 'p');
        door_send(door, other, P("\x33\6\0\1t\0\1y"));
        door_expect(door, other, P("\x40\2\0\1"));
        fd = door_lasting_client(door, 's', true);
        door_send(door, fd, P("\x3d\6\0\1t\0\7x"));
        door_expect(door, fd, P("\x50\2\0\7"));
        door_send(door, fd, P("\x62\2\0\7"));
        door_expect(door, fd, P("\x70\2\0\7"));
        sub = door_client(door, 'r');
        door_subscribe(door, sub, 0);
        door_expect(door, sub, P("\x31\4\0\1tx"));
        door_leave(door, sub);
        door_leave(door, other);
        door_leave(door, fd);
    }
}

static void test_mqtt_session_keeps_a_message_that_cannot_be_taken_now_for_later(void **state)
{
    struct door *door = *state;
    int fd = door_lasting_client(door, 's', false);

    door_subscribe(door, fd, 2);
    door->busy = true;
    door_send(door, fd, P("\x34\6\0\1t\0\7x"));
    door_expect_nothing(door, fd);
    assert_int_equal(testqueues_messages(&door->t), 0);
    assert_int_equal(wz_queues_find(door->t.queues, P("s"))->received.count, 0);
    door->busy = false;
    wz_mqtt_durable(door->mqtt);
    door_expect(door, fd, P("\x34\6\0\1t\0\1x\x50\2\0\7"));
    door_expect_got(door, "t=x/2 ");
    assert_int_equal(testqueues_messages(&door->t), 1);
    door_leave(door, fd);
}

// Wills.

static void test_mqtt_door_publishes_later_a_will_that_cannot_be_taken_now(void **state)
{
    struct door *door = *state;
    int sub = door_client(door, 's');
    int fds[3];

    door_send(door, sub, P("\x82\6\0\1\0\1w\1"));
    door_expect(door, sub, P("\x90\3\0\1\1"));
    for (int i = 0; i < 3; i++) {
        uint8_t packet[] = "\x10\x13\0\4MQTT\4\x0e\0\0\0\1?\0\1w\0\1?";

        packet[14] = (uint8_t)('a' + i);
        packet[20] = (uint8_t)('a' + i);
        fds[i] = door_dial(door);
        door_send(door, fds[i], wz_slice(packet, 21));
        door_expect(door, fds[i], CONNACK);
    }
    door->busy = true;
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i]);
        DOOR_UNTIL(door, (int)door->mqtt->client_count == 3 - i);
    }
    wz_mqtt_durable(door->mqtt);
    door_expect_got(door, "");
    door_expect_quiet(door, sub);
    door->busy = false;
    wz_mqtt_durable(door->mqtt);
    wz_mqtt_durable(door->mqtt); // once each
    door_expect_got(door, "w=a/1 w=b/1 w=c/1 ");
    door_expect(door, sub, P("\x32\6\0\1w\0\1a\x32\6\0\1w\0\2b\x32\6\0\1w\0\3c"));
    (void)close(sub);
}

static void test_mqtt_session_gets_and_has_a_will(void **state)
{
    struct door *door = *state;
    int fd = door_dial(door);

    session_away(door, 1);
    door_send(door, fd, P("\x10\x13\0\4MQTT\4\x0c\0\0\0\1w\0\1t\0\1!"));
    door_expect(door, fd, CONNACK);
    (void)close(fd);
    DOOR_UNTIL(door, door->got.len > 0);
    door_expect_got(door, "t=!/1 ");
    fd = door_lasting_client(door, 's', true);
    door_expect(door, fd, P("\x32\6\0\1t\0\1!"));
    door_leave(door, fd);
    door_leave(door, door_lasting_client(door, 'w', true)); // the will was for once
    door_expect_got(door, "");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, door_set_up, door_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_mqtt_session_is_answered_when_it_is_durable),
        TEST(test_mqtt_session_is_there_the_second_time),
        TEST(test_mqtt_session_goes_when_a_clean_one_comes),
        TEST(test_mqtt_session_does_not_come_back_when_a_clean_one_was_answered),
        TEST(test_mqtt_session_gets_what_came_while_it_was_away),
        TEST(test_mqtt_session_sends_again_what_was_not_acked),
        TEST(test_mqtt_session_is_taken_over_with_all_it_has),
        TEST(test_mqtt_session_is_taken_over_while_it_opens),
        TEST(test_mqtt_session_gets_nothing_before_its_connack),
        TEST(test_mqtt_session_is_refused_above_the_limit),
        TEST(test_mqtt_session_has_its_subscriptions_durable_before_it_is_told),
        TEST(test_mqtt_session_is_limited_in_its_subscriptions),
        TEST(test_mqtt_publisher_is_told_when_sessions_have_the_message),
        TEST(test_mqtt_session_sends_a_window_and_the_rest_as_it_is_acked),
        TEST(test_mqtt_session_is_not_disturbed_by_acks_of_what_is_not_known),
        TEST(test_mqtt_session_closes_on_an_ack_that_does_not_fit),
        TEST(test_mqtt_door_sends_qos_2_to_a_clean_session),
        TEST(test_mqtt_session_publishes_a_qos_2_message_once),
        TEST(test_mqtt_session_answers_qos_2_when_it_is_durable),
        TEST(test_mqtt_session_answers_what_comes_again_no_sooner),
        TEST(test_mqtt_door_tells_pubrel_when_pubrec_is_durable),
        TEST(test_mqtt_session_adds_what_a_crash_has_lost_of_a_message),
        TEST(test_mqtt_session_answers_on_another_connection_no_sooner),
        TEST(test_mqtt_session_publishes_once_across_crashes),
        TEST(test_mqtt_session_retains_what_comes_again_over_what_came_meanwhile),
        TEST(test_mqtt_session_keeps_a_message_that_cannot_be_taken_now_for_later),
        TEST(test_mqtt_door_publishes_later_a_will_that_cannot_be_taken_now),
        TEST(test_mqtt_session_gets_and_has_a_will),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
