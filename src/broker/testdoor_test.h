// SPDX-License-Identifier: Apache-2.0
// For the tests of the MQTT door: raw sockets of clients; the door with durable queues and retained
// messages behind it, in a real journal; and a consumer that stands for the router. Both ends run
// in this process and take turns. Linked with --wrap of wz_log_durable_end, wz_log_flush and
// wz_log_want.
#pragma once

#include "base/clock.h"
#include "broker/mqtt_client.h"
#include "broker/testqueues_test.h"

#define DOOR_DEADLINE_US ((int64_t)20 * 1000 * 1000)

#define P(text) WZ_SLICE_LIT(text)

// Packets that occur again and again.
#define CONNECT_C P("\x10\x0d\0\4MQTT\4\2\0\0\0\1c")
#define CONNACK P("\x20\2\0\0")
#define CONNACK_PRESENT P("\x20\2\1\0")
#define PINGREQ P("\xc0\0")
#define PINGRESP P("\xd0\0")
#define DISCONNECT P("\xe0\0")

// The world of a door.
struct door {
    struct testqueues t;
    struct wz_mqtt_options options;
    struct wz_mqtt *mqtt;
    struct wz_receiver receiver;
    struct wz_exchange_binding *binding;
    // "topic=body/qos " of each message that the consumer has had, and behind the QoS "r" for
    // retain, "-recorded" when it is not to record it.
    struct wz_buf got;
    int64_t next_offset; // on the log that its tickets name
    int64_t durable_end; // of that log
    bool slow_disk;      // messages have to wait for it
    bool busy;           // the consumer takes nothing
    bool records;        // the consumer puts messages on raw-stream, which must be there
    bool held;           // nothing more of the journal is durable, however long one waits
    int64_t held_end;
    bool raw_held; // nor of raw-stream
    int64_t raw_end;
    struct wz_log *stuck; // a log that is not written; NULL: none
    bool open;
};

// For cmocka.
int door_set_up(void **state);
int door_tear_down(void **state);

// Opens the door, and closes it for good.
void door_open(struct door *door);
void door_shut(struct door *door);

// Opens everything anew with a raw-stream, on which messages are recorded from here on.
void door_record(struct door *door);

// Closes the door and opens it again: with other options; with everything behind it; as after a
// crash.
void door_reopen(struct door *door);
void door_restart(struct door *door);
void door_crash(struct door *door);

// Nothing more of the journal, or of raw-stream, becomes durable until door_let_go.
void door_hold(struct door *door);
void door_hold_raw(struct door *door);
void door_let_go(struct door *door);

// The log of the consumer's tickets is durable up to END.
void door_durable(struct door *door, int64_t end);

// A turn of the loop.
void door_turn(struct door *door);

// Runs turns until CONDITION holds.
#define DOOR_UNTIL(door, condition)                                                                \
    for (int64_t until_ = wz_clock_mono_us() + DOOR_DEADLINE_US; !(condition);) {                  \
        if (wz_clock_mono_us() > until_)                                                           \
            fail_msg("waited in vain for %s", #condition);                                         \
        door_turn(door);                                                                           \
    }

// A socket that is connected to the door.
int door_dial(struct door *door);

// Sends what the socket takes at once, and returns how much that is; the door may close meanwhile.
size_t door_send_some(int fd, struct wz_slice bytes);

// Sends all of it.
void door_send(struct door *door, int fd, struct wz_slice bytes);

// Reads exactly BYTES.
void door_expect(struct door *door, int fd, struct wz_slice bytes);

// Waits for the end of the connection, before which nothing may come, and closes the socket.
void door_expect_closed(struct door *door, int fd);

// Everything sent before is handled, and nothing was answered to it.
void door_expect_quiet(struct door *door, int fd);

// What the consumer has got since the last time.
void door_expect_got(struct door *door, const char *text);

// A client of a one-letter id with a clean session, connected.
int door_client(struct door *door, char id);

// The same with a session that is to last; its CONNACK is the caller's to read.
int door_lasting(struct door *door, char id);

// The same, with a CONNACK that says whether the session was there.
int door_lasting_client(struct door *door, char id, bool present);

// Sends DISCONNECT, and waits until the door has closed.
void door_leave(struct door *door, int fd);

// Nothing is answered, and the connection stays, however long one waits.
void door_expect_nothing(struct door *door, int fd);

// SUBSCRIBE to "t", and its SUBACK.
void door_subscribe(struct door *door, int fd, uint8_t qos);

// A message on "t" at QOS is published by a client of its own, "p"; it is answered.
void door_publish(struct door *door, uint8_t qos, uint8_t body);
