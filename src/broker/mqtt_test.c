// SPDX-License-Identifier: Apache-2.0
// The MQTT door from the outside: raw sockets of clients, and behind it an exchange with a consumer
// that stands for the router. Both ends run in this process and take turns.
#include "broker/mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/mqtt_client.h"

#define DEADLINE_US ((int64_t)20 * 1000 * 1000)

#define P(text) WZ_SLICE_LIT(text)

// Packets that occur again and again.
#define CONNECT_C P("\x10\x0d\0\4MQTT\4\2\0\0\0\1c")
#define CONNACK P("\x20\2\0\0")
#define PINGREQ P("\xc0\0")
#define PINGRESP P("\xd0\0")

// A log of which only the durable end is looked at.
struct wz_log {
    int64_t durable_end;
    int wanted; // how often somebody has said that he waits
};

int64_t wz_log_durable_end(const struct wz_log *log) { return log->durable_end; }

void wz_log_want(struct wz_log *log) { log->wanted++; }

struct world {
    struct wz_loop loop;
    struct wz_exchange *exchange;
    struct wz_mqtt_options options;
    struct wz_mqtt *mqtt;
    struct wz_receiver receiver;
    struct wz_exchange_binding *binding;
    struct wz_log log;
    struct wz_buf got; // "topic=body/qos " of each message
    int64_t next_offset;
    bool slow_disk; // messages have to wait for the log
    bool busy;
    bool open;
};

static int consume(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct world *world = arg;
    const struct wz_message *msg = delivery->message;

    (void)qos;
    (void)slot;
    if (world->busy)
        return WZ_ERR_BUSY;
    wz_buf_addf(&world->got, "%.*s=%.*s/%u%s ", WZ_SLICE_FMT(msg->topic), WZ_SLICE_FMT(msg->body),
                msg->qos, msg->retain ? "r" : "");
    if (world->slow_disk)
        delivery->ticket =
            (struct wz_ticket){.stream = &world->log, .offset = world->next_offset++};
    return WZ_OK;
}

static void open_door(struct world *world)
{
    assert_int_equal(wz_mqtt_open(&world->options, &world->mqtt, NULL), WZ_OK);
    world->open = true;
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    world->exchange = wz_exchange_new(&wz_topic_mqtt);
    world->receiver = (struct wz_receiver){.receive = consume, .arg = world, .asked_first = true};
    assert_int_equal(
        wz_exchange_bind(world->exchange, &world->receiver, P("#"), 2, &world->binding), WZ_OK);
    world->options = (struct wz_mqtt_options){
        .loop = &world->loop,
        .exchange = world->exchange,
        .host = "127.0.0.1",
        .session = {.max_inflight = 10,
                    .max_subscriptions = 5,
                    .max_queued = 1000,
                    .max_queued_bytes = 1 << 20,
                    .max_out_bytes = 64 * 1024},
        .max_packet_bytes = 100000,
        .max_connections = 100,
        .connect_timeout_ms = 600000,
    };
    open_door(world);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (world->open)
        wz_mqtt_close(world->mqtt);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_mqtt_free(world->mqtt);
    wz_exchange_unbind(world->binding);
    assert_false(wz_exchange_bound(world->exchange)); // no session has left anything
    wz_exchange_free(world->exchange);
    wz_loop_release(&world->loop);
    wz_buf_release(&world->got);
    wz_free(world);
    return 0;
}

// Opens the door again with other options.
static void reopen(struct world *world)
{
    wz_mqtt_close(world->mqtt);
    while (!wz_list_empty(&world->mqtt->clients) ||
           uv_is_closing((uv_handle_t *)&world->mqtt->timer) == 0)
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    wz_mqtt_free(world->mqtt);
    open_door(world);
}

static void turn(struct world *world) { (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT); }

// Runs turns until CONDITION holds.
#define UNTIL(world, condition)                                                                    \
    for (int64_t until_ = wz_clock_mono_us() + DEADLINE_US; !(condition);) {                       \
        if (wz_clock_mono_us() > until_)                                                           \
            fail_msg("waited in vain for %s", #condition);                                         \
        turn(world);                                                                               \
    }

static int dial(struct world *world)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)wz_mqtt_port(world->mqtt)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

// Sends what the socket takes at once; the door may close meanwhile.
static size_t send_some(int fd, struct wz_slice bytes)
{
    ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

    return sent < 0 ? 0 : (size_t)sent;
}

static void send_all(struct world *world, int fd, struct wz_slice bytes)
{
    while (bytes.len > 0) {
        size_t sent = send_some(fd, bytes);

        bytes = wz_slice_sub(bytes, sent, bytes.len - sent);
        if (bytes.len > 0)
            turn(world);
    }
}

// Reads exactly BYTES.
static void expect(struct world *world, int fd, struct wz_slice bytes)
{
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    uint8_t *got = wz_zalloc(bytes.len, 1);

    for (size_t pos = 0; pos < bytes.len;) {
        ssize_t n = recv(fd, got + pos, bytes.len - pos, 0);

        if (n > 0) {
            pos += (size_t)n;
            continue;
        }
        if (n == 0 || errno != EAGAIN || wz_clock_mono_us() > until_us)
            fail_msg("%zu of %zu bytes came", pos, bytes.len);
        turn(world);
    }
    assert_memory_equal(got, bytes.ptr, bytes.len);
    wz_free(got);
}

// Waits for the end of the connection; nothing may come before it.
static void expect_closed(struct world *world, int fd)
{
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    uint8_t byte;
    ssize_t n;

    while ((n = recv(fd, &byte, 1, 0)) < 0 && errno == EAGAIN) {
        if (wz_clock_mono_us() > until_us)
            fail_msg("the connection stays open");
        turn(world);
    }
    if (n > 0)
        fail_msg("0x%02x comes before the end", byte);
    (void)close(fd);
}

// Everything sent before is handled, and nothing was answered to it.
static void expect_quiet(struct world *world, int fd)
{
    send_all(world, fd, PINGREQ);
    expect(world, fd, PINGRESP);
}

static void expect_got(struct world *world, const char *text)
{
    assert_string_equal(wz_buf_str(&world->got), text);
    world->got.len = 0;
}

// A client of a one-letter id, connected.
static int client_new(struct world *world, char id)
{
    uint8_t packet[] = "\x10\x0d\0\4MQTT\4\2\0\0\0\1?";
    int fd = dial(world);

    packet[14] = (uint8_t)id;
    send_all(world, fd, wz_slice(packet, 15));
    expect(world, fd, CONNACK);
    return fd;
}

static void test_mqtt_door_accepts_a_client(void **state)
{
    struct world *world = *state;
    int fd = dial(world);

    send_all(world, fd, CONNECT_C);
    expect(world, fd, CONNACK);
    expect_quiet(world, fd);
    send_all(world, fd, P("\xe0\0"));
    expect_closed(world, fd);
}

static void test_mqtt_door_reads_packets_however_they_are_cut(void **state)
{
    struct world *world = *state;
    struct wz_slice all = P("\x10\x0d\0\4MQTT\4\2\0\0\0\1c\x82\6\0\1\0\1t\1\x32\6\0\1t\0\2x\xc0\0");
    int whole = dial(world);
    int bytes;

    send_all(world, whole, all);
    expect(world, whole, P("\x20\2\0\0\x90\3\0\1\1\x32\6\0\1t\0\1x\x40\2\0\2\xd0\0"));
    send_all(world, whole, P("\xe0\0"));
    expect_closed(world, whole);
    bytes = dial(world);
    for (size_t i = 0; i < all.len; i++) {
        send_all(world, bytes, wz_slice_sub(all, i, 1));
        turn(world);
    }
    expect(world, bytes, P("\x20\2\0\0\x90\3\0\1\1\x32\6\0\1t\0\1x\x40\2\0\2\xd0\0"));
    expect_got(world, "t=x/1 t=x/1 ");
    (void)close(bytes);
}

static void test_mqtt_door_gives_a_client_without_id_one_of_its_own(void **state)
{
    struct world *world = *state;
    int first = dial(world);
    int second = dial(world);

    send_all(world, first, P("\x10\x0c\0\4MQTT\4\2\0\0\0\0"));
    expect(world, first, CONNACK);
    send_all(world, second, P("\x10\x0c\0\4MQTT\4\2\0\0\0\0"));
    expect(world, second, CONNACK);
    expect_quiet(world, first); // not taken over
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
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t connack[] = {0x20, 2, 0, rows[i].code};
        int fd = dial(world);

        send_all(world, fd, wz_slice(rows[i].packet, rows[i].len));
        send_all(world, fd, PINGREQ); // not answered any more
        expect(world, fd, wz_slice(connack, 4));
        expect_closed(world, fd);
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
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = dial(world);

        send_all(world, fd, wz_slice(rows[i].packet, rows[i].len));
        expect_closed(world, fd);
    }
    expect_got(world, "");
}

static void test_mqtt_door_closes_a_client_that_breaks_the_rules(void **state)
{
    static const struct {
        const char *packet;
        size_t len;
    } rows[] = {
        {"\x10\x0d\0\4MQTT\4\2\0\0\0\1c", 15}, // a second CONNECT
        {"\x20\2\0\0", 4},                     // what only servers send
        {"\x50\2\0\1", 4},                     // PUBREC for what was never sent at QoS 2
        {"\x70\2\0\1", 4},
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
    struct world *world = *state;
    int other = client_new(world, 'o');

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = client_new(world, 'c');

        send_all(world, fd, wz_slice(rows[i].packet, rows[i].len));
        expect_closed(world, fd);
    }
    expect_quiet(world, other); // nobody else notices
    expect_got(world, "");
    (void)close(other);
}

static void test_mqtt_door_lets_the_later_of_two_with_one_id_in(void **state)
{
    struct world *world = *state;
    int first = client_new(world, 'c');
    int second;

    send_all(world, first, P("\x82\6\0\1\0\1t\0"));
    expect(world, first, P("\x90\3\0\1\0"));
    second = client_new(world, 'c');
    expect_closed(world, first);
    send_all(world, second, P("\x30\3\0\1t"));
    expect_quiet(world, second); // the subscription went with the first
    expect_got(world, "t=/0 ");
    for (int i = 0; i < 20; i++) {
        int third = client_new(world, 'c');

        expect_closed(world, second);
        second = third;
    }
    expect_quiet(world, second);
    (void)close(second);
}

// A client with the will w=bye at QoS 1, retained.
static int client_with_will(struct world *world)
{
    int fd = dial(world);

    send_all(world, fd, P("\x10\x15\0\4MQTT\4\x2e\0\0\0\1w\0\1w\0\3bye"));
    expect(world, fd, CONNACK);
    return fd;
}

static void test_mqtt_door_publishes_the_will_of_who_ends_without_word(void **state)
{
    struct world *world = *state;
    int fd = client_with_will(world);

    expect_got(world, "");
    (void)close(fd);
    UNTIL(world, world->got.len > 0);
    expect_got(world, "w=bye/1r ");
    fd = client_with_will(world);
    send_all(world, fd, P("\xc1\0")); // breaks the rules
    expect_closed(world, fd);
    expect_got(world, "w=bye/1r ");
    fd = client_with_will(world);
    (void)close(client_with_will(world)); // takes over
    expect_closed(world, fd);
    UNTIL(world, world->got.len > 9);
    expect_got(world, "w=bye/1r w=bye/1r ");
}

static void test_mqtt_door_publishes_no_will_after_disconnect(void **state)
{
    struct world *world = *state;
    int fd = client_with_will(world);

    send_all(world, fd, P("\xe0\0\x30\3\0\1t")); // and nothing that comes behind it
    expect_closed(world, fd);
    turn(world);
    expect_got(world, "");
}

static void test_mqtt_door_takes_messages_at_all_qos(void **state)
{
    struct world *world = *state;
    int fd = client_new(world, 'c');

    send_all(world, fd, P("\x30\4\0\1tx"));
    expect_quiet(world, fd);
    send_all(world, fd, P("\x33\6\0\1t\1\2y"));
    expect(world, fd, P("\x40\2\1\2"));
    send_all(world, fd, P("\x34\6\0\1t\1\3z"));
    expect(world, fd, P("\x50\2\1\3"));
    send_all(world, fd, P("\x62\2\1\3"));
    expect(world, fd, P("\x70\2\1\3"));
    expect_got(world, "t=x/0 t=y/1r t=z/2 ");
    (void)close(fd);
}

static void test_mqtt_door_takes_a_qos_2_message_once(void **state)
{
    struct world *world = *state;
    int fd = client_new(world, 'c');

    for (int i = 0; i < 3; i++) {
        send_all(world, fd, i == 0 ? P("\x34\6\0\1t\0\7x") : P("\x3c\6\0\1t\0\7x"));
        expect(world, fd, P("\x50\2\0\7"));
    }
    expect_got(world, "t=x/2 ");
    for (int i = 0; i < 2; i++) {
        send_all(world, fd, P("\x62\2\0\7"));
        expect(world, fd, P("\x70\2\0\7"));
    }
    send_all(world, fd, P("\x34\6\0\1t\0\7y"));
    expect(world, fd, P("\x50\2\0\7"));
    expect_got(world, "t=y/2 ");
    (void)close(fd);
}

static void test_mqtt_door_acks_in_order_and_only_what_is_durable(void **state)
{
    struct world *world = *state;
    int fd = client_new(world, 'c');
    int other = client_new(world, 'o');

    world->slow_disk = true;
    send_all(world, fd, P("\x32\6\0\1t\0\1x\x34\6\0\1t\0\2y\x32\6\0\1t\0\3z"));
    expect_quiet(world, fd);
    world->slow_disk = false; // waits for nothing but its turn
    send_all(world, fd, P("\x32\6\0\1t\0\4w"));
    expect_quiet(world, fd);
    send_all(world, other, P("\x32\6\0\1t\0\1v"));
    expect(world, other, P("\x40\2\0\1")); // others' acks do not wait
    world->log.durable_end = 2;
    wz_mqtt_durable(world->mqtt);
    expect(world, fd, P("\x40\2\0\1\x50\2\0\2"));
    expect_quiet(world, fd);
    world->log.durable_end = 3;
    wz_mqtt_durable(world->mqtt);
    expect(world, fd, P("\x40\2\0\3\x40\2\0\4"));
    (void)close(fd);
    (void)close(other);
}

static void test_mqtt_door_forgets_acks_of_who_has_gone(void **state)
{
    struct world *world = *state;
    int fd = client_new(world, 'c');

    world->slow_disk = true;
    send_all(world, fd, P("\x32\6\0\1t\0\1x"));
    UNTIL(world, world->got.len > 0);
    (void)close(fd);
    UNTIL(world, wz_list_empty(&world->mqtt->clients));
    world->log.durable_end = 1;
    wz_mqtt_durable(world->mqtt); // the sanitizer sees whoever writes to the one that has gone
    turn(world);
}

static void test_mqtt_door_holds_back_what_cannot_be_taken_and_loses_nothing(void **state)
{
    enum { MESSAGES = 3000 };
    struct world *world = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packets = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf expected = {0};
    struct wz_slice rest;
    int subscriber = client_new(world, 's');
    int fd = client_new(world, 'c');

    send_all(world, subscriber, P("\x82\6\0\1\0\1t\0"));
    expect(world, subscriber, P("\x90\3\0\1\0"));
    for (int i = 0; i < MESSAGES; i++) {
        wz_buf_add(&packets, "\x30\7\0\1t", 5);
        wz_buf_addf(&packets, "%04d", i);
        wz_buf_addf(&expected, "t=%04d/0 ", i);
    }
    world->busy = true;
    rest = wz_buf_slice(&packets);
    for (int i = 0; rest.len > 0; i++) {
        size_t sent = send_some(fd, rest.len < 5000 ? rest : wz_slice_sub(rest, 0, 5000));

        rest = wz_slice_sub(rest, sent, rest.len - sent);
        world->busy = i % 3 != 0;
        wz_mqtt_durable(world->mqtt);
        turn(world);
    }
    world->busy = false;
    wz_mqtt_durable(world->mqtt);
    UNTIL(world, world->got.len == expected.len);
    expect_got(world, wz_buf_str(&expected));
    expect(world, subscriber, wz_buf_slice(&packets));
    expect_quiet(world, subscriber);
    (void)close(subscriber);
    (void)close(fd);
}

static void test_mqtt_door_lets_who_is_held_back_go(void **state)
{
    struct world *world = *state;
    int fd = client_with_will(world);

    world->busy = true;
    send_all(world, fd, P("\x30\4\0\1tx"));
    UNTIL(world, !wz_list_empty(&world->mqtt->blocked));
    (void)close(fd);
    world->busy = false;
    wz_mqtt_durable(world->mqtt);
    UNTIL(world, wz_list_empty(&world->mqtt->clients));
    expect_got(world, "t=x/0 w=bye/1r ");
}

static void test_mqtt_door_grants_qos_1_at_most_and_no_more_than_the_limit(void **state)
{
    struct world *world = *state;
    int fd = client_new(world, 'c');

    send_all(world, fd, P("\x82\x0e\0\1\0\1a\0\0\1b\1\0\1c\2"));
    expect(world, fd, P("\x90\5\0\1\0\1\1"));
    send_all(world, fd, P("\x82\x12\0\2\0\1a\2\0\1d\0\0\1e\0\0\1f\0"));
    expect(world, fd, P("\x90\6\0\2\1\0\0\x80")); // the first was there already
    send_all(world, fd, P("\xa2\x08\0\3\0\1e\0\1?"));
    expect(world, fd, P("\xb0\2\0\3"));
    send_all(world, fd, P("\x82\6\0\4\0\1f\0"));
    expect(world, fd, P("\x90\3\0\4\0"));
    (void)close(fd);
}

static void test_mqtt_door_refuses_a_filter_that_is_too_deep(void **state)
{
    struct world *world = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    int fd = client_new(world, 'c');

    wz_buf_add(&packet, "\x82\xed\2\0\1\1\x68", 7); // 360 levels
    for (int i = 0; i < 180; i++)
        wz_buf_add(&packet, "+/", 2);
    wz_buf_add_byte(&packet, 0);
    send_all(world, fd, wz_buf_slice(&packet));
    expect(world, fd, P("\x90\3\0\1\x80"));
    expect_quiet(world, fd);
    (void)close(fd);
}

static void test_mqtt_door_delivers_as_subscribed(void **state)
{
    struct world *world = *state;
    int sub = client_new(world, 's');
    int pub = client_new(world, 'p');

    // Overlapping filters: once, at the higher QoS.
    send_all(world, sub, P("\x82\x0e\0\1\0\3a/+\0\0\3a/#\1"));
    expect(world, sub, P("\x90\4\0\1\0\1"));
    send_all(world, pub, P("\x31\6\0\3a/bx")); // QoS 0, retained: forwarded without either
    expect(world, sub, P("\x30\6\0\3a/bx"));
    send_all(world, pub, P("\x33\x08\0\3a/b\0\1y"));
    expect(world, sub, P("\x32\x08\0\3a/b\0\1y"));
    send_all(world, pub, P("\x34\x08\0\3a/b\0\2z")); // QoS 2 goes out at 1
    expect(world, sub, P("\x32\x08\0\3a/b\0\2z"));
    send_all(world, pub, P("\x30\3\0\1a")); // "a/#" covers "a" too
    expect(world, sub, P("\x30\3\0\1a"));
    send_all(world, pub, P("\x30\3\0\1b"));
    expect(world, pub, P("\x40\2\0\1\x50\2\0\2"));
    expect_quiet(world, pub);
    expect_quiet(world, sub);
    send_all(world, sub, P("\xa2\x0c\0\2\0\3a/+\0\3a/#"));
    expect(world, sub, P("\xb0\2\0\2"));
    send_all(world, pub, P("\x30\5\0\3a/b"));
    expect_quiet(world, pub);
    expect_quiet(world, sub);
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_door_hides_dollar_topics_from_wildcards_in_front(void **state)
{
    struct world *world = *state;
    int sub = client_new(world, 's');
    int pub = client_new(world, 'p');

    send_all(world, sub, P("\x82\x0c\0\1\0\1#\0\0\3+/b\0"));
    expect(world, sub, P("\x90\4\0\1\0\0"));
    send_all(world, pub, P("\x30\6\0\4$a/b"));
    expect_quiet(world, pub);
    expect_quiet(world, sub);
    send_all(world, sub, P("\x82\x08\0\2\0\3$a/\0")); // another level, empty
    expect(world, sub, P("\x90\3\0\2\0"));
    send_all(world, sub, P("\x82\x09\0\3\0\4$a/#\0"));
    expect(world, sub, P("\x90\3\0\3\0"));
    send_all(world, pub, P("\x30\6\0\4$a/b"));
    expect(world, sub, P("\x30\6\0\4$a/b"));
    expect_quiet(world, sub);
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_door_sends_a_window_and_the_rest_as_it_is_acked(void **state)
{
    struct world *world = *state;
    int sub = client_new(world, 's');
    int pub = client_new(world, 'p');
    uint8_t packet[] = "\x32\6\0\1t\0??";

    send_all(world, sub, P("\x82\6\0\1\0\1t\1"));
    expect(world, sub, P("\x90\3\0\1\1"));
    for (uint8_t i = 1; i <= 30; i++) {
        packet[6] = i;
        packet[7] = i;
        send_all(world, pub, wz_slice(packet, 8));
        expect(world, pub, wz_slice((uint8_t[]){0x40, 2, 0, i}, 4));
    }
    for (uint8_t i = 1; i <= 10; i++) {
        packet[6] = i;
        packet[7] = i;
        expect(world, sub, wz_slice(packet, 8));
    }
    expect_quiet(world, sub);
    send_all(world, sub, P("\x40\2\0\x63")); // nobody's identifier
    expect_quiet(world, sub);
    for (uint8_t i = 1; i <= 20; i++) {
        send_all(world, sub, wz_slice((uint8_t[]){0x40, 2, 0, i}, 4));
        packet[6] = (uint8_t)(i + 10);
        packet[7] = (uint8_t)(i + 10);
        expect(world, sub, wz_slice(packet, 8));
    }
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_door_takes_packets_up_to_the_limit(void **state)
{
    struct world *world = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    int fd = client_new(world, 'c');

    wz_buf_add(&packet, "\x30\x9c\x8d\6\0\1t", 7); // 4 and 99,996 bytes: the limit
    for (int i = 0; i < 99993; i++)
        wz_buf_add_byte(&packet, 'x');
    assert_int_equal(packet.len, world->options.max_packet_bytes);
    send_all(world, fd, wz_buf_slice(&packet));
    expect_quiet(world, fd);
    assert_int_equal(world->got.len, 2 + 99993 + 3);
    packet.ptr[1]++;
    wz_buf_add_byte(&packet, 'x');
    (void)send_some(fd, wz_buf_slice(&packet));
    UNTIL(world, wz_list_empty(&world->mqtt->clients));
    assert_int_equal(world->got.len, 2 + 99993 + 3);
    (void)close(fd);
}

static void test_mqtt_door_refuses_more_clients_than_the_limit(void **state)
{
    struct world *world = *state;
    int fds[WZ_MQTT_SPARE_CONNECTIONS + 2];
    int last;

    world->options.max_connections = 2;
    reopen(world);
    for (int i = 0; i < 2; i++)
        fds[i] = client_new(world, (char)('a' + i));
    last = dial(world);
    send_all(world, last, CONNECT_C);
    expect(world, last, P("\x20\2\0\3"));
    expect_closed(world, last);
    for (int i = 2; i < WZ_MQTT_SPARE_CONNECTIONS + 2; i++)
        fds[i] = dial(world);
    UNTIL(world, world->mqtt->client_count == WZ_MQTT_SPARE_CONNECTIONS + 2);
    last = dial(world); // one more is not even listened to
    expect_closed(world, last);
    for (int i = 2; i < WZ_MQTT_SPARE_CONNECTIONS + 2; i++)
        (void)close(fds[i]);
    UNTIL(world, world->mqtt->client_count == 2);
    (void)close(fds[0]);
    UNTIL(world, world->mqtt->client_count == 1);
    fds[0] = client_new(world, 'd');
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_mqtt_door_closes_who_is_silent_for_one_and_a_half_times_what_he_said(void **state)
{
    struct world *world = *state;
    int64_t start_us = wz_clock_mono_us();
    int lasting = client_new(world, 'l'); // keep-alive 0
    int pinging = dial(world);
    int silent = dial(world);
    int64_t pinged_us = start_us;
    uint8_t byte;

    send_all(world, silent, P("\x10\x15\0\4MQTT\4\6\0\1\0\1s\0\1w\0\3bye"));
    expect(world, silent, CONNACK);
    send_all(world, pinging, P("\x10\x0d\0\4MQTT\4\2\0\1\0\1p"));
    expect(world, pinging, CONNACK);
    while (recv(silent, &byte, 1, 0) < 0 && wz_clock_mono_us() < start_us + DEADLINE_US) {
        turn(world);
        if (wz_clock_mono_us() > pinged_us + 500000) {
            expect_quiet(world, pinging);
            pinged_us = wz_clock_mono_us();
        }
    }
    assert_in_range(wz_clock_mono_us() - start_us, 1500000, 4000000);
    expect_got(world, "w=bye/0 ");
    expect_quiet(world, lasting);
    expect_quiet(world, pinging);
    (void)close(lasting);
    (void)close(pinging);
    (void)close(silent);
}

static void test_mqtt_door_closes_who_takes_too_long_to_connect(void **state)
{
    struct world *world = *state;
    int64_t start_us;
    int silent;
    int dripping;
    size_t sent = 0;

    world->options.connect_timeout_ms = 100;
    reopen(world);
    start_us = wz_clock_mono_us();
    silent = dial(world);
    dripping = dial(world);
    UNTIL(world, world->mqtt->client_count == 2);
    send_all(world, dripping, P("\x10\x7f"));
    while (world->mqtt->client_count > 0) {
        // A byte now and then is no CONNECT.
        if (wz_clock_mono_us() > start_us + (int64_t)sent * 50000)
            sent += send_some(dripping, P("x"));
        assert_true(wz_clock_mono_us() < start_us + 5000000);
        turn(world);
    }
    assert_in_range(wz_clock_mono_us() - start_us, 100000, 5000000);
    (void)close(silent);
    (void)close(dripping);
}

// Who asks and asks and never reads is not read from any more, and gets every answer in the end.
static void test_mqtt_door_bounds_the_answers_of_who_does_not_read(void **state)
{
    struct world *world = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf pings = {0};
    struct wz_mqtt_client *client;
    size_t sent = 0;
    size_t answered = 0;
    int fd = client_new(world, 'c');
    int idle = 0;

    for (int i = 0; i < 32768; i++)
        wz_buf_add(&pings, "\xc0\0", 2);
    client = WZ_CONTAINER(world->mqtt->clients.next, struct wz_mqtt_client, link);
    while (idle < 100) {
        size_t now = send_some(fd, wz_slice_sub(wz_buf_slice(&pings), sent % 2, 65534));

        idle = now == 0 ? idle + 1 : 0;
        sent += now;
        turn(world);
        assert_true(wz_conn_out_bytes(&client->conn) <=
                    2 * world->options.session.max_out_bytes + WZ_CONN_READ_BYTES);
        assert_true(sent < (size_t)256 << 20); // the kernel's buffers hold less than that
    }
    assert_false(wz_list_empty(&client->choked));
    if (sent % 2 == 1)
        sent += send_some(fd, wz_slice_sub(wz_buf_slice(&pings), 1, 1));
    while (answered < sent / 2 * 2) {
        uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        if (n > 0)
            answered += (size_t)n;
        else
            turn(world);
    }
    assert_int_equal(answered, sent / 2 * 2);
    assert_true(wz_list_empty(&client->choked));
    (void)close(fd);
}

static void test_mqtt_door_drops_and_counts_qos_0_for_who_does_not_read(void **state)
{
    struct world *world = *state;
    int64_t before = wz_metric_get(WZ_METRIC_MQTT_DROPPED);
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    struct wz_mqtt_client *slow;
    int sub = client_new(world, 's');
    int pub;

    slow = WZ_CONTAINER(world->mqtt->clients.next, struct wz_mqtt_client, link);
    pub = client_new(world, 'p');
    send_all(world, sub, P("\x82\6\0\1\0\1t\0"));
    expect(world, sub, P("\x90\3\0\1\0"));
    wz_buf_add(&packet, "\x30\x84\x80\2\0\1t", 7); // 32 KiB
    for (int i = 0; i < 32769; i++)
        wz_buf_add_byte(&packet, 'x');
    for (int i = 0; i < 600; i++) {
        send_all(world, pub, wz_buf_slice(&packet));
        turn(world);
        world->got.len = 0;
        assert_true(wz_conn_out_bytes(&slow->conn) <
                    world->options.session.max_out_bytes + packet.len);
    }
    assert_in_range(wz_metric_get(WZ_METRIC_MQTT_DROPPED) - before, 1, 600);
    expect_quiet(world, pub);
    (void)close(sub);
    (void)close(pub);
}

static void test_mqtt_door_closes_its_clients_when_it_closes(void **state)
{
    struct world *world = *state;
    int fds[5];

    for (int i = 0; i < 4; i++)
        fds[i] = client_new(world, (char)('a' + i));
    fds[4] = dial(world); // has not said anything yet
    UNTIL(world, world->mqtt->client_count == 5);
    wz_mqtt_close(world->mqtt);
    world->open = false;
    for (int i = 0; i < 5; i++)
        expect_closed(world, fds[i]);
}

// A byte of a valid conversation changed, or bytes of no conversation at all: whatever comes, the
// door goes on for everybody else.
static void test_mqtt_door_outlasts_garbage(void **state)
{
    static const char talk[] =
        "\x10\x15\0\4MQTT\4\6\0\0\0\1g\0\1w\0\3bye\x82\6\0\1\0\1t\1"
        "\x32\6\0\1t\0\2x\x34\6\0\1t\0\3y\x62\2\0\3\xa2\5\0\1\0\1t\xc0\0\x40\2\0\1";
    struct world *world = *state;
    int other = dial(world);

    send_all(world, other, P("\x10\x10\0\4MQTT\4\2\0\0\0\4stay")); // an id that nobody hits upon
    expect(world, other, CONNACK);
    wz_log_set_level(WZ_LOG_ERROR);
    srandom(20261);
    for (int round = 0; round < 1500; round++) {
        uint8_t bytes[sizeof(talk) - 1];
        int fd = dial(world);

        memcpy(bytes, talk, sizeof(bytes));
        for (long i = random() % 4; i >= 0; i--)
            bytes[(size_t)random() % sizeof(bytes)] = (uint8_t)random();
        (void)send_some(fd, wz_slice(bytes, sizeof(bytes)));
        turn(world);
        turn(world);
        (void)close(fd);
        turn(world);
    }
    expect_quiet(world, other);
    UNTIL(world, world->mqtt->client_count == 1);
    wz_log_set_level(WZ_LOG_INFO);
    (void)close(other);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
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
        TEST(test_mqtt_door_takes_messages_at_all_qos),
        TEST(test_mqtt_door_takes_a_qos_2_message_once),
        TEST(test_mqtt_door_acks_in_order_and_only_what_is_durable),
        TEST(test_mqtt_door_forgets_acks_of_who_has_gone),
        TEST(test_mqtt_door_holds_back_what_cannot_be_taken_and_loses_nothing),
        TEST(test_mqtt_door_lets_who_is_held_back_go),
        TEST(test_mqtt_door_grants_qos_1_at_most_and_no_more_than_the_limit),
        TEST(test_mqtt_door_refuses_a_filter_that_is_too_deep),
        TEST(test_mqtt_door_delivers_as_subscribed),
        TEST(test_mqtt_door_hides_dollar_topics_from_wildcards_in_front),
        TEST(test_mqtt_door_sends_a_window_and_the_rest_as_it_is_acked),
        TEST(test_mqtt_door_takes_packets_up_to_the_limit),
        TEST(test_mqtt_door_refuses_more_clients_than_the_limit),
        TEST(test_mqtt_door_closes_who_is_silent_for_one_and_a_half_times_what_he_said),
        TEST(test_mqtt_door_closes_who_takes_too_long_to_connect),
        TEST(test_mqtt_door_bounds_the_answers_of_who_does_not_read),
        TEST(test_mqtt_door_drops_and_counts_qos_0_for_who_does_not_read),
        TEST(test_mqtt_door_closes_its_clients_when_it_closes),
        TEST(test_mqtt_door_outlasts_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
