// SPDX-License-Identifier: Apache-2.0
// Owns the sockets, the consumer and the disks of the door's tests.
#include "broker/testdoor_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/dial_test.h"

// The one door there is.
static struct door *the_door;

// Stands for the log of the consumer's tickets.
static struct wz_log *fake(void) { return (struct wz_log *)(void *)the_door; }

int64_t __real_wz_log_durable_end(const struct wz_log *log);
int64_t __wrap_wz_log_durable_end(const struct wz_log *log);
void __real_wz_log_flush(struct wz_log *log);
void __wrap_wz_log_flush(struct wz_log *log);
void __real_wz_log_want(struct wz_log *log);
void __wrap_wz_log_want(struct wz_log *log);

int64_t __wrap_wz_log_durable_end(const struct wz_log *log)
{
    if (the_door != NULL && log == fake())
        return the_door->durable_end;
    if (the_door != NULL && the_door->raw_held && log == the_door->t.raw)
        return the_door->raw_end;
    if (the_door != NULL && the_door->held && log == wz_journal_log(the_door->t.journal))
        return the_door->held_end;
    return __real_wz_log_durable_end(log);
}

void __wrap_wz_log_flush(struct wz_log *log)
{
    if (the_door == NULL || log != the_door->stuck)
        __real_wz_log_flush(log);
}

void __wrap_wz_log_want(struct wz_log *log)
{
    if (log != fake())
        __real_wz_log_want(log);
}

// As the router does.
static void record(struct door *door, const struct wz_message *msg, struct wz_ticket *ret_ticket)
{
    uint8_t headers[128];
    char packet[8];
    struct wz_pen pen = wz_pen(headers, sizeof(headers));
    struct wz_record_parts parts = {.key = msg->topic,
                                    .value = {msg->body},
                                    .value_count = 1,
                                    .header_pieces = 1,
                                    .header_count = 1 + (msg->packet_id > 0)};

    wz_record_header_put(&pen, P("client"), msg->client);
    (void)snprintf(packet, sizeof(packet), "%u", msg->packet_id);
    if (msg->packet_id > 0)
        wz_record_header_put(&pen, P("packet"), wz_slice_str(packet));
    parts.headers[0] = wz_slice(headers, (size_t)(pen.pos - headers));
    ret_ticket->stream = door->t.raw;
    assert_int_equal(wz_log_append(door->t.raw, &parts, &ret_ticket->offset), WZ_OK);
}

static int consume(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct door *door = arg;
    const struct wz_message *msg = delivery->message;

    (void)qos;
    (void)slot;
    if (door->busy)
        return WZ_ERR_BUSY;
    wz_buf_addf(&door->got, "%.*s=%.*s/%u%s%s ", WZ_SLICE_FMT(msg->topic), WZ_SLICE_FMT(msg->body),
                msg->qos, msg->retain ? "r" : "", msg->recorded ? "-recorded" : "");
    if (door->records && !msg->recorded)
        record(door, msg, &delivery->ticket);
    if (door->slow_disk)
        delivery->ticket = (struct wz_ticket){.stream = fake(), .offset = door->next_offset++};
    return WZ_OK;
}

void door_open(struct door *door)
{
    door->options.queues = door->t.queues;
    door->options.retained = door->t.retained;
    door->options.exchange = door->t.exchange;
    assert_int_equal(wz_mqtt_open(&door->options, &door->mqtt, NULL), WZ_OK);
    door->open = true;
}

void door_shut(struct door *door)
{
    if (door->open)
        wz_mqtt_close(door->mqtt);
    door->open = false;
    while (!wz_list_empty(&door->mqtt->clients) ||
           uv_is_closing((uv_handle_t *)&door->mqtt->timer) == 0)
        (void)uv_run(&door->t.loop.uv, UV_RUN_NOWAIT);
    (void)uv_run(&door->t.loop.uv, UV_RUN_NOWAIT);
    wz_mqtt_free(door->mqtt);
    door->mqtt = NULL;
}

static void bind_consumer(struct door *door)
{
    door->receiver = (struct wz_receiver){.receive = consume, .arg = door, .asked_first = true};
    assert_int_equal(wz_exchange_bind(door->t.exchange, &door->receiver, P("#"), 2, &door->binding),
                     WZ_OK);
}

static void on_durable(void *arg)
{
    struct door *door = arg;

    if (door->mqtt != NULL)
        wz_mqtt_durable(door->mqtt);
}

int door_set_up(void **state)
{
    struct door *door = wz_zalloc(1, sizeof(*door));

    *state = door;
    the_door = door;
    testqueues_init(&door->t);
    door->t.durable = on_durable;
    door->t.arg = door;
    testqueues_open(&door->t);
    bind_consumer(door);
    door->options = (struct wz_mqtt_options){
        .loop = &door->t.loop,
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
    door_open(door);
    return 0;
}

int door_tear_down(void **state)
{
    struct door *door = *state;

    door->held = false;
    door->raw_held = false;
    door_shut(door);
    wz_exchange_unbind(door->binding);
    testqueues_close(&door->t); // sees to it that no session has left anything
    testqueues_release(&door->t);
    wz_buf_release(&door->got);
    the_door = NULL;
    wz_free(door);
    return 0;
}

void door_reopen(struct door *door)
{
    door_shut(door);
    door_open(door);
}

void door_restart(struct door *door)
{
    door_shut(door);
    wz_exchange_unbind(door->binding);
    testqueues_reopen(&door->t);
    bind_consumer(door);
    door_open(door);
}

void door_record(struct door *door)
{
    door->t.has_raw = true;
    door_restart(door);
    door->records = true;
}

void door_crash(struct door *door)
{
    char dir[64];
    char raw_dir[64];

    // What the disk holds now, with all clients there.
    testqueues_copy(&door->t, dir, raw_dir);
    door->stuck = NULL;
    door->held = false;
    door->raw_held = false;
    door_shut(door);
    wz_exchange_unbind(door->binding);
    testqueues_close(&door->t);
    testqueues_move(&door->t, dir, raw_dir);
    testqueues_open(&door->t);
    bind_consumer(door);
    door->got.len = 0; // their wills
    door_open(door);
}

void door_hold(struct door *door)
{
    door->held_end = __real_wz_log_durable_end(wz_journal_log(door->t.journal));
    door->held = true;
}

void door_hold_raw(struct door *door)
{
    door->raw_end = __real_wz_log_durable_end(door->t.raw);
    door->raw_held = true;
}

void door_let_go(struct door *door)
{
    door->held = false;
    door->raw_held = false;
    wz_queues_durable(door->t.queues);
    wz_mqtt_durable(door->mqtt);
}

void door_durable(struct door *door, int64_t end)
{
    door->durable_end = end;
    wz_queues_durable(door->t.queues);
    wz_mqtt_durable(door->mqtt);
}

void door_turn(struct door *door)
{
    if (door->records)
        wz_log_flush(door->t.raw);
    (void)uv_run(&door->t.loop.uv, UV_RUN_NOWAIT);
}

int door_dial(struct door *door) { return dial(wz_mqtt_port(door->mqtt)); }

size_t door_send_some(int fd, struct wz_slice bytes)
{
    ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

    return sent < 0 ? 0 : (size_t)sent;
}

void door_send(struct door *door, int fd, struct wz_slice bytes)
{
    while (bytes.len > 0) {
        size_t sent = door_send_some(fd, bytes);

        bytes = wz_slice_sub(bytes, sent, bytes.len - sent);
        if (bytes.len > 0)
            door_turn(door);
    }
}

void door_expect(struct door *door, int fd, struct wz_slice bytes)
{
    int64_t until_us = wz_clock_mono_us() + DOOR_DEADLINE_US;
    uint8_t *got = wz_zalloc(bytes.len, 1);

    for (size_t pos = 0; pos < bytes.len;) {
        ssize_t n = recv(fd, got + pos, bytes.len - pos, 0);

        if (n > 0) {
            pos += (size_t)n;
            continue;
        }
        if (n == 0 || errno != EAGAIN || wz_clock_mono_us() > until_us)
            fail_msg("%zu of %zu bytes came", pos, bytes.len);
        door_turn(door);
    }
    assert_memory_equal(got, bytes.ptr, bytes.len);
    wz_free(got);
}

void door_expect_closed(struct door *door, int fd)
{
    int64_t until_us = wz_clock_mono_us() + DOOR_DEADLINE_US;
    uint8_t byte;
    ssize_t n;

    while ((n = recv(fd, &byte, 1, 0)) < 0 && errno == EAGAIN) {
        if (wz_clock_mono_us() > until_us)
            fail_msg("the connection stays open");
        door_turn(door);
    }
    if (n > 0)
        fail_msg("0x%02x comes before the end", byte);
    (void)close(fd);
}

void door_expect_quiet(struct door *door, int fd)
{
    door_send(door, fd, PINGREQ);
    door_expect(door, fd, PINGRESP);
}

void door_expect_got(struct door *door, const char *text)
{
    assert_string_equal(wz_buf_str(&door->got), text);
    door->got.len = 0;
}

int door_client(struct door *door, char id)
{
    uint8_t packet[] = "\x10\x0d\0\4MQTT\4\2\0\0\0\1?";
    int fd = door_dial(door);

    packet[14] = (uint8_t)id;
    door_send(door, fd, wz_slice(packet, 15));
    door_expect(door, fd, CONNACK);
    return fd;
}

int door_lasting(struct door *door, char id)
{
    uint8_t packet[] = "\x10\x0d\0\4MQTT\4\0\0\0\0\1?";
    int fd = door_dial(door);

    packet[14] = (uint8_t)id;
    door_send(door, fd, wz_slice(packet, 15));
    return fd;
}

int door_lasting_client(struct door *door, char id, bool present)
{
    int fd = door_lasting(door, id);

    door_expect(door, fd, present ? CONNACK_PRESENT : CONNACK);
    return fd;
}

void door_leave(struct door *door, int fd)
{
    door_send(door, fd, DISCONNECT);
    door_expect_closed(door, fd);
}

void door_expect_nothing(struct door *door, int fd)
{
    uint8_t byte;

    for (int i = 0; i < 50; i++) {
        door_turn(door);
        testqueues_turn(&door->t);
        if (recv(fd, &byte, 1, 0) >= 0 || errno != EAGAIN)
            fail_msg("0x%02x comes, or the end", byte);
    }
}

void door_subscribe(struct door *door, int fd, uint8_t qos)
{
    uint8_t packet[] = "\x82\6\0\1\0\1t?";
    uint8_t suback[] = {0x90, 3, 0, 1, qos};

    packet[7] = qos;
    door_send(door, fd, wz_slice(packet, 8));
    door_expect(door, fd, wz_slice(suback, 5));
}

void door_publish(struct door *door, uint8_t qos, uint8_t body)
{
    uint8_t packet[] = "\x30\6\0\1t\0\1?";
    int fd = door_client(door, 'p');

    packet[0] = (uint8_t)(packet[0] | qos << 1);
    packet[7] = body;
    if (qos == 0) {
        packet[1] = 4;
        packet[5] = body;
    }
    door_send(door, fd, wz_slice(packet, (size_t)packet[1] + 2));
    if (qos == 1)
        door_expect(door, fd, P("\x40\2\0\1"));
    if (qos == 2) {
        door_expect(door, fd, P("\x50\2\0\1"));
        door_send(door, fd, P("\x62\2\0\1"));
        door_expect(door, fd, P("\x70\2\0\1"));
    }
    door_leave(door, fd);
}
