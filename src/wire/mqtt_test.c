// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#define MAX_BYTES ((size_t)1024 * 1024)

#define B(text) WZ_SLICE_LIT(text)

// The same as an initializer of a table, which has to be constant. Versions of clang-format differ
// on a macro that is a brace.
// clang-format off
#define ROW(text) {(const uint8_t *)(text), sizeof(text) - 1}
// clang-format on

// A packet and what it says, in words of our own; see describe.
struct vector {
    const char *name;
    struct wz_slice packet;
    const char *text;
};

// From the examples of the standard, and as mosquitto_pub and mosquitto_sub 2.0 and paho-mqtt 1.6
// put them on the wire.
static const struct vector good[] = {
    {"the standard's CONNECT (3.1.2)",
     ROW("\x10\x1f\0\4MQTT\4\xce\0\x0a\0\1c\0\1w\0\3bye\0\4user\0\2pw"),
     "connect id=c keep=10 clean will=w:bye:1:0 user=user password=pw"},
    {"mosquitto_pub", ROW("\x10\x10\0\4MQTT\4\2\0\x3c\0\4dice"), "connect id=dice keep=60 clean"},
    {"mosquitto_pub with will and password",
     ROW("\x10\x28\0\4MQTT\4\xce\0\x3c\0\4dice\0\4gone\0\3bye\0\3ann\0\6secret"),
     "connect id=dice keep=60 clean will=gone:bye:1:0 user=ann password=secret"},
    {"paho with a retained will at QoS 2, session kept",
     ROW("\x10\x1c\0\4MQTT\4\x34\0\x1e\0\6sensor\0\3w/t\0\3off"),
     "connect id=sensor keep=30 will=w/t:off:2:1"},
    {"no client id, empty will", ROW("\x10\x11\0\4MQTT\4\6\0\0\0\0\0\1w\0\0"),
     "connect id= keep=0 clean will=w::0:0"},
    {"user without password", ROW("\x10\x0f\0\4MQTT\4\x82\0\0\0\0\0\1u"),
     "connect id= keep=0 clean user=u"},
    {"the standard's PUBLISH (3.3.2)", ROW("\x32\7\0\3a/b\0\x0a"), "publish a/b qos=1 id=10 body="},
    {"mosquitto_pub at QoS 0", ROW("0\x1c\0\x19test/mqtt-dice/RES/status4"),
     "publish test/mqtt-dice/RES/status qos=0 id=0 body=4"},
    {"mosquitto_pub retained at QoS 1", ROW("3\x09\0\3a/b\0\1hi"),
     "publish a/b qos=1 id=1 retain body=hi"},
    {"paho at QoS 2", ROW("4\x09\0\3x/y\0\3\xc3\xbf"), "publish x/y qos=2 id=3 body=\xc3\xbf"},
    {"sent again", ROW("\x3d\x09\0\3a/b\xff\xffhi"),
     "publish a/b qos=2 id=65535 dup retain body=hi"},
    {"PUBACK", ROW("\x40\2\1\2"), "ack 4 258"},
    {"PUBREC", ROW("\x50\2\0\3"), "ack 5 3"},
    {"mosquitto_pub's PUBREL", ROW("b\2\0\1"), "ack 6 1"},
    {"PUBCOMP", ROW("\x70\2\xff\xff"), "ack 7 65535"},
    {"the standard's SUBSCRIBE (3.8.3)", ROW("\x82\x0e\0\x0a\0\3a/b\1\0\3c/d\2"),
     "subscribe 10 a/b:1 c/d:2"},
    {"mosquitto_sub", ROW("\x82\x0e\0\1\0\5a/+/b\1\0\1#\1"), "subscribe 1 a/+/b:1 #:1"},
    {"the standard's UNSUBSCRIBE (3.10.3)", ROW("\xa2\x0c\0\x0a\0\3a/b\0\3c/d"),
     "unsubscribe 10 a/b c/d"},
    {"PINGREQ", ROW("\xc0\0"), "empty 12"},
    {"DISCONNECT", ROW("\xe0\0"), "empty 14"},
};

static void describe_connect(const struct wz_mqtt_connect *c, struct wz_buf *text)
{
    wz_buf_addf(text, "connect id=%.*s keep=%u%s", WZ_SLICE_FMT(c->client_id), c->keep_alive_s,
                c->clean_session ? " clean" : "");
    if (c->has_will)
        wz_buf_addf(text, " will=%.*s:%.*s:%u:%d", WZ_SLICE_FMT(c->will_topic),
                    WZ_SLICE_FMT(c->will_message), c->will_qos, c->will_retain);
    if (c->has_user)
        wz_buf_addf(text, " user=%.*s", WZ_SLICE_FMT(c->user));
    if (c->has_password)
        wz_buf_addf(text, " password=%.*s", WZ_SLICE_FMT(c->password));
}

static void describe_publish(const struct wz_mqtt_publish *p, struct wz_buf *text)
{
    wz_buf_addf(text, "publish %.*s qos=%u id=%u%s%s body=%.*s", WZ_SLICE_FMT(p->topic), p->qos,
                p->packet_id, p->dup ? " dup" : "", p->retain ? " retain" : "",
                WZ_SLICE_FMT(p->payload));
}

static int describe_filters(const struct wz_mqtt_frame *frame, struct wz_buf *text)
{
    struct wz_mqtt_filters filters;
    struct wz_mqtt_filter entry;
    uint16_t packet_id;
    int r = wz_mqtt_filters_read(frame, &packet_id, &filters);

    if (r < 0)
        return r;
    wz_buf_addf(text, "%s %u", frame->type == WZ_MQTT_SUBSCRIBE ? "subscribe" : "unsubscribe",
                packet_id);
    while ((r = wz_mqtt_filters_next(&filters, &entry)) == WZ_OK) {
        wz_buf_addf(text, " %.*s", WZ_SLICE_FMT(entry.filter));
        if (frame->type == WZ_MQTT_SUBSCRIBE)
            wz_buf_addf(text, ":%u", entry.qos);
    }
    return r < 0 ? r : WZ_OK;
}

// Reads the body of a frame by its type.
static int describe(const struct wz_mqtt_frame *frame, struct wz_buf *text)
{
    struct wz_mqtt_connect connect;
    struct wz_mqtt_publish publish;
    uint16_t packet_id;
    int r;

    switch (frame->type) {
    case WZ_MQTT_CONNECT:
        r = wz_mqtt_connect_read(frame, &connect);
        if (r == WZ_OK)
            describe_connect(&connect, text);
        return r;
    case WZ_MQTT_PUBLISH:
        r = wz_mqtt_publish_read(frame, &publish);
        if (r == WZ_OK)
            describe_publish(&publish, text);
        return r;
    case WZ_MQTT_SUBSCRIBE:
    case WZ_MQTT_UNSUBSCRIBE:
        return describe_filters(frame, text);
    case WZ_MQTT_PINGREQ:
    case WZ_MQTT_DISCONNECT:
        r = wz_mqtt_empty_read(frame);
        if (r == WZ_OK)
            wz_buf_addf(text, "empty %u", frame->type);
        return r;
    default:
        r = wz_mqtt_ack_read(frame, &packet_id);
        if (r == WZ_OK)
            wz_buf_addf(text, "ack %u %u", frame->type, packet_id);
        return r;
    }
}

// Reads a whole packet from memory of exactly its size, so that the sanitizer sees a read past it.
static int read_packet(struct wz_slice packet, struct wz_buf *ret_text)
{
    uint8_t *bytes = wz_alloc(packet.len);
    struct wz_mqtt_frame frame;
    int r;

    if (packet.len > 0)
        memcpy(bytes, packet.ptr, packet.len);
    r = wz_mqtt_frame_read(wz_slice(bytes, packet.len), MAX_BYTES, &frame);
    if (r == WZ_OK)
        r = describe(&frame, ret_text);
    wz_free(bytes);
    return r;
}

static void test_mqtt_reads_what_real_clients_and_the_standard_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

        if (read_packet(good[i].packet, &text) != WZ_OK)
            fail_msg("%s is refused", good[i].name);
        assert_string_equal(wz_buf_str(&text), good[i].text);
    }
}

static void test_mqtt_frame_waits_at_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        for (size_t len = 0; len < good[i].packet.len; len++) {
            WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

            if (read_packet(wz_slice(good[i].packet.ptr, len), &text) != WZ_AGAIN)
                fail_msg("%s does not wait after %zu bytes", good[i].name, len);
        }
    }
}

static void test_mqtt_frame_tells_the_length_as_soon_as_it_is_known(void **state)
{
    struct wz_mqtt_frame frame = {.len = 99};

    (void)state;
    assert_int_equal(wz_mqtt_frame_read(B("\x30"), MAX_BYTES, &frame), WZ_AGAIN);
    assert_int_equal(frame.len, 0);
    assert_int_equal(wz_mqtt_frame_read(B("\x30\x80"), MAX_BYTES, &frame), WZ_AGAIN);
    assert_int_equal(frame.len, 0);
    assert_int_equal(wz_mqtt_frame_read(B("\x30\x80\x01"), MAX_BYTES, &frame), WZ_AGAIN);
    assert_int_equal(frame.len, 3 + 128);
}

// A frame cut short inside a body whose length says that it is whole: every field that may be
// missing is missed once.
static void test_mqtt_body_is_refused_at_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct wz_slice packet = good[i].packet;
        bool message = packet.ptr[0] >> 4 == WZ_MQTT_PUBLISH;

        for (size_t len = 0; len < (size_t)packet.ptr[1]; len++) {
            WZ_AUTO(wz_buf_release) struct wz_buf cut = {0};
            WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
            int r;

            wz_buf_add_byte(&cut, packet.ptr[0]);
            wz_buf_add_byte(&cut, (uint8_t)len);
            wz_buf_add(&cut, packet.ptr + 2, len);
            r = read_packet(wz_buf_slice(&cut), &text);
            // A shorter payload is a payload; a list of filters may end behind any of them.
            if (r == WZ_OK && (message || strstr(good[i].text, "subscribe") != NULL))
                assert_memory_equal(wz_buf_str(&text), good[i].text, text.len);
            else if (r != WZ_ERR_PROTOCOL)
                fail_msg("%s is taken with %zu bytes of body", good[i].name, len);
        }
    }
}

static void test_mqtt_body_is_refused_with_bytes_behind_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf longer = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

        if (good[i].packet.ptr[0] >> 4 == WZ_MQTT_PUBLISH)
            continue; // whatever stands there is payload
        wz_buf_add_slice(&longer, good[i].packet);
        wz_buf_add_byte(&longer, 0);
        longer.ptr[1]++;
        if (read_packet(wz_buf_slice(&longer), &text) != WZ_ERR_PROTOCOL)
            fail_msg("%s is taken with a byte behind it", good[i].name);
    }
}

static void test_mqtt_reserved_flags_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct wz_slice packet = good[i].packet;

        if (packet.ptr[0] >> 4 == WZ_MQTT_PUBLISH)
            continue; // its flags mean something
        for (unsigned flags = 0; flags < 16; flags++) {
            WZ_AUTO(wz_buf_release) struct wz_buf other = {0};
            WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

            if (flags == (packet.ptr[0] & 15u))
                continue;
            wz_buf_add_slice(&other, packet);
            other.ptr[0] = (uint8_t)((packet.ptr[0] & 0xf0u) | flags);
            if (read_packet(wz_buf_slice(&other), &text) != WZ_ERR_PROTOCOL)
                fail_msg("%s is taken with flags %u", good[i].name, flags);
        }
    }
}

static void test_mqtt_refuses_what_breaks_a_rule(void **state)
{
    static const struct {
        const char *name;
        struct wz_slice packet;
        int err;
    } bad[] = {
        {"length of five bytes", ROW("\x30\x80\x80\x80\x80\x01"), WZ_ERR_PROTOCOL},
        {"length that never ends", ROW("\x30\xff\xff\xff\xff"), WZ_ERR_PROTOCOL},
        {"longer than the limit", ROW("\x30\xff\xff\xff\x7f"), WZ_ERR_TOO_LARGE},
        {"name cut off",
         ROW("\x10\x06\0\4MQT"
             "T"),
         WZ_ERR_PROTOCOL},
        {"name's length lies", ROW("\x10\x10\xff\xffMQTT\4\2\0\x3c\0\4dice"), WZ_ERR_PROTOCOL},
        {"name of another protocol", ROW("\x10\x10\0\4mqtt\4\2\0\x3c\0\4dice"), WZ_ERR_PROTOCOL},
        {"MQTT 3.1", ROW("\x10\x12\0\6MQIsdp\3\2\0\x3c\0\4dice"), WZ_ERR_UNSUPPORTED},
        {"MQIsdp of another level", ROW("\x10\x12\0\6MQIsdp\4\2\0\x3c\0\4dice"), WZ_ERR_PROTOCOL},
        {"MQTT at level 3", ROW("\x10\x10\0\4MQTT\3\2\0\x3c\0\4dice"), WZ_ERR_UNSUPPORTED},
        {"MQTT 5", ROW("\x10\x14\0\4MQTT\5\2\0\x3c\3!\0\x14\0\4dice"), WZ_ERR_UNSUPPORTED},
        {"a bridge's level", ROW("\x10\x10\0\4MQTT\x84\2\0\x3c\0\4dice"), WZ_ERR_UNSUPPORTED},
        {"reserved connect flag", ROW("\x10\x10\0\4MQTT\4\3\0\x3c\0\4dice"), WZ_ERR_PROTOCOL},
        {"will QoS 3", ROW("\x10\x15\0\4MQTT\4\x1e\0\0\0\1c\0\1w\0\3bye"), WZ_ERR_PROTOCOL},
        {"will QoS without will", ROW("\x10\x0d\0\4MQTT\4\x0a\0\0\0\1c"), WZ_ERR_PROTOCOL},
        {"will retain without will", ROW("\x10\x0d\0\4MQTT\4\x22\0\0\0\1c"), WZ_ERR_PROTOCOL},
        {"will topic empty", ROW("\x10\x11\0\4MQTT\4\6\0\0\0\1c\0\0\0\0"), WZ_ERR_PROTOCOL},
        {"will topic with a wildcard", ROW("\x10\x12\0\4MQTT\4\6\0\0\0\1c\0\1#\0\0"),
         WZ_ERR_PROTOCOL},
        {"will that is missing", ROW("\x10\x0d\0\4MQTT\4\6\0\0\0\1c"), WZ_ERR_PROTOCOL},
        {"password without user", ROW("\x10\x10\0\4MQTT\4\x42\0\0\0\1c\0\1p"), WZ_ERR_PROTOCOL},
        {"user that is missing", ROW("\x10\x0d\0\4MQTT\4\x82\0\0\0\1c"), WZ_ERR_PROTOCOL},
        {"client id with NUL", ROW("\x10\x0f\0\4MQTT\4\2\0\0\0\3a\0b"), WZ_ERR_PROTOCOL},
        {"client id with a surrogate", ROW("\x10\x0f\0\4MQTT\4\2\0\0\0\3\xed\xa0\x80"),
         WZ_ERR_PROTOCOL},
        {"user of an overlong form", ROW("\x10\x11\0\4MQTT\4\x82\0\0\0\1c\0\2\xc0\x80"),
         WZ_ERR_PROTOCOL},
        {"QoS 3", ROW("\x36\7\0\3a/b\0\x0a"), WZ_ERR_PROTOCOL},
        {"dup at QoS 0", ROW("\x38\5\0\3a/b"), WZ_ERR_PROTOCOL},
        {"packet id 0", ROW("\x32\7\0\3a/b\0\0"), WZ_ERR_PROTOCOL},
        {"packet id cut off", ROW("\x32\6\0\3a/b\0"), WZ_ERR_PROTOCOL},
        {"empty topic", ROW("\x30\3\0\0x"), WZ_ERR_PROTOCOL},
        {"topic's length lies",
         ROW("\x30\5\xff\xff"
             "a/b"),
         WZ_ERR_PROTOCOL},
        {"no topic", ROW("\x30\0"), WZ_ERR_PROTOCOL},
        {"PUBACK 0", ROW("\x40\2\0\0"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE of nothing", ROW("\x82\2\0\1"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE 0", ROW("\x82\6\0\0\0\1a\0"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE at QoS 3", ROW("\x82\6\0\1\0\1a\3"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE with reserved QoS bits", ROW("\x82\6\0\1\0\1a\x80"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE to an empty filter", ROW("\x82\5\0\1\0\0\0"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE without QoS", ROW("\x82\5\0\1\0\1a"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE to NUL", ROW("\x82\6\0\1\0\1\0\0"), WZ_ERR_PROTOCOL},
        {"SUBSCRIBE to a lone continuation byte", ROW("\x82\6\0\1\0\1\x80\0"), WZ_ERR_PROTOCOL},
        {"UNSUBSCRIBE of nothing", ROW("\xa2\2\0\1"), WZ_ERR_PROTOCOL},
        {"UNSUBSCRIBE of an empty filter", ROW("\xa2\4\0\1\0\0"), WZ_ERR_PROTOCOL},
        {"PINGREQ with a body", ROW("\xc0\1x"), WZ_ERR_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
        int r = read_packet(bad[i].packet, &text);

        if (r != bad[i].err)
            fail_msg("%s: %d instead of %d", bad[i].name, r, bad[i].err);
    }
}

static void test_mqtt_connect_leaves_the_result_alone_on_failure(void **state)
{
    struct wz_mqtt_connect connect = {.keep_alive_s = 7};
    struct wz_mqtt_frame frame;

    (void)state;
    assert_int_equal(wz_mqtt_frame_read(B("\x10\x0d\0\4MQTT\4\6\0\0\0\1c"), MAX_BYTES, &frame),
                     WZ_OK);
    assert_int_equal(wz_mqtt_connect_read(&frame, &connect), WZ_ERR_PROTOCOL);
    assert_int_equal(connect.keep_alive_s, 7);
    assert_null(connect.client_id.ptr);
}

static void test_mqtt_frame_obeys_the_limit_to_the_byte(void **state)
{
    struct wz_mqtt_frame frame;

    (void)state;
    assert_int_equal(wz_mqtt_frame_read(B("\x40\2\0\1"), 4, &frame), WZ_OK);
    assert_int_equal(wz_mqtt_frame_read(B("\x40\2\0\1"), 3, &frame), WZ_ERR_TOO_LARGE);
    assert_int_equal(wz_mqtt_frame_read(B("\x40\2"), 3, &frame), WZ_ERR_TOO_LARGE);
}

static void test_mqtt_topic_is_one_that_a_message_may_have(void **state)
{
    static const struct {
        struct wz_slice topic;
        bool valid;
    } rows[] = {
        {ROW("a"), true},
        {ROW("/"), true},
        {ROW("$SYS/x"), true},
        {ROW("a b/\xf0\x9f\x8e\xb2"), true},
        {ROW("\xef\xbb\xbf"), true}, // a byte order mark stays what it is (1.5.3-3)
        {ROW(""), false},
        {ROW("a/+"), false},
        {ROW("a#b"), false},
        {ROW("a\0b"), false},
        {ROW("\xed\xa0\x80"), false},     // surrogate
        {ROW("\xc0\xaf"), false},         // overlong /
        {ROW("\xe0\x80\xaf"), false},     // overlong /
        {ROW("\xf4\x90\x80\x80"), false}, // above U+10FFFF
        {ROW("a\xff"), false},
        {ROW("a\xc3"), false}, // cut off
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (wz_mqtt_topic_valid(rows[i].topic) != rows[i].valid)
            fail_msg("row %zu", i);
}

static void test_mqtt_publish_comes_back_at_every_length_of_length(void **state)
{
    static const size_t payload_lens[] = {0,     1,     120,   121,     122,
                                          16376, 16377, 16378, 2097146, 2097147};

    (void)state;
    for (size_t i = 0; i < sizeof(payload_lens) / sizeof(payload_lens[0]); i++) {
        uint8_t *payload = wz_zalloc(payload_lens[i], 1);
        struct wz_mqtt_publish publish = {
            .topic = B("a/b"),
            .payload = wz_slice(payload, payload_lens[i]),
            .qos = 1,
            .packet_id = 258,
            .retain = i % 2 == 1,
        };
        size_t len = wz_mqtt_publish_len(&publish);
        uint8_t *bytes = wz_alloc(len);
        struct wz_pen pen = wz_pen(bytes, len);
        struct wz_mqtt_publish again;
        struct wz_mqtt_frame frame;

        wz_mqtt_publish_write(&pen, &publish);
        assert_false(pen.failed);
        assert_ptr_equal(pen.pos, pen.end);
        assert_int_equal(wz_mqtt_frame_read(wz_slice(bytes, len), len, &frame), WZ_OK);
        assert_int_equal(frame.len, len);
        assert_int_equal(wz_mqtt_publish_read(&frame, &again), WZ_OK);
        assert_true(wz_slice_eq(again.topic, publish.topic));
        assert_true(wz_slice_eq(again.payload, publish.payload));
        assert_int_equal(again.packet_id, 258);
        assert_int_equal(again.retain, publish.retain);
        wz_free(bytes);
        wz_free(payload);
    }
}

static void test_mqtt_takes_the_longest_topic(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf packet = {0};
    struct wz_mqtt_publish publish;
    struct wz_mqtt_frame frame;

    (void)state;
    wz_buf_add(&packet, "\x30\x81\x80\x04\xff\xff", 6);
    for (int i = 0; i < 65535; i++)
        wz_buf_add_byte(&packet, 't');
    assert_int_equal(wz_mqtt_frame_read(wz_buf_slice(&packet), MAX_BYTES, &frame), WZ_OK);
    assert_int_equal(wz_mqtt_publish_read(&frame, &publish), WZ_OK);
    assert_int_equal(publish.topic.len, 65535);
    assert_int_equal(publish.payload.len, 0);
    assert_true(wz_mqtt_topic_valid(publish.topic));
    assert_int_equal(wz_mqtt_publish_len(&publish), packet.len);
}

static void test_mqtt_writes_the_packets_of_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct wz_slice packet = good[i].packet;
        uint8_t bytes[64];
        struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
        struct wz_mqtt_publish publish;
        struct wz_mqtt_frame frame;
        uint16_t packet_id;

        assert_int_equal(wz_mqtt_frame_read(packet, MAX_BYTES, &frame), WZ_OK);
        if (frame.type == WZ_MQTT_PUBLISH) {
            assert_int_equal(wz_mqtt_publish_read(&frame, &publish), WZ_OK);
            wz_mqtt_publish_write(&pen, &publish);
        } else if (frame.type >= WZ_MQTT_PUBACK && frame.type <= WZ_MQTT_PUBCOMP) {
            assert_int_equal(wz_mqtt_ack_read(&frame, &packet_id), WZ_OK);
            wz_mqtt_ack_write(&pen, frame.type, packet_id);
        } else if (frame.type == WZ_MQTT_PINGREQ || frame.type == WZ_MQTT_DISCONNECT) {
            wz_mqtt_empty_write(&pen, frame.type);
        } else {
            continue; // only clients write these
        }
        assert_int_equal(pen.pos - bytes, packet.len);
        assert_memory_equal(bytes, packet.ptr, packet.len);
    }
}

static void assert_written(const struct wz_pen *pen, const uint8_t *bytes, struct wz_slice expected)
{
    assert_false(pen->failed);
    assert_int_equal(pen->pos - bytes, expected.len);
    assert_memory_equal(bytes, expected.ptr, expected.len);
}

static void test_mqtt_writes_the_answers_of_a_server(void **state)
{
    uint8_t bytes[512];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

    (void)state;
    wz_mqtt_connack_write(&pen, false, WZ_MQTT_ACCEPTED);
    assert_written(&pen, bytes, B("\x20\2\0\0"));
    pen = wz_pen(bytes, sizeof(bytes));
    wz_mqtt_connack_write(&pen, true, WZ_MQTT_NOT_AUTHORISED);
    assert_written(&pen, bytes, B("\x20\2\1\5"));
    pen = wz_pen(bytes, sizeof(bytes));
    wz_mqtt_ack_write(&pen, WZ_MQTT_UNSUBACK, 10);
    assert_written(&pen, bytes, B("\xb0\2\0\x0a"));
    pen = wz_pen(bytes, sizeof(bytes));
    wz_mqtt_suback_write(&pen, 10, 3); // 3.9.3
    wz_pen_put_u8(&pen, 0);
    wz_pen_put_u8(&pen, 2);
    wz_pen_put_u8(&pen, WZ_MQTT_SUBACK_FAILURE);
    assert_written(&pen, bytes, B("\x90\5\0\x0a\0\2\x80"));
    pen = wz_pen(bytes, sizeof(bytes));
    wz_mqtt_suback_write(&pen, 1, 200);
    assert_written(&pen, bytes, B("\x90\xca\1\0\1"));
    pen = wz_pen(bytes, sizeof(bytes));
    wz_mqtt_empty_write(&pen, WZ_MQTT_PINGRESP);
    assert_written(&pen, bytes, B("\xd0\0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_reads_what_real_clients_and_the_standard_write),
        cmocka_unit_test(test_mqtt_frame_waits_at_every_truncation),
        cmocka_unit_test(test_mqtt_frame_tells_the_length_as_soon_as_it_is_known),
        cmocka_unit_test(test_mqtt_body_is_refused_at_every_truncation),
        cmocka_unit_test(test_mqtt_body_is_refused_with_bytes_behind_it),
        cmocka_unit_test(test_mqtt_reserved_flags_are_refused),
        cmocka_unit_test(test_mqtt_refuses_what_breaks_a_rule),
        cmocka_unit_test(test_mqtt_connect_leaves_the_result_alone_on_failure),
        cmocka_unit_test(test_mqtt_frame_obeys_the_limit_to_the_byte),
        cmocka_unit_test(test_mqtt_topic_is_one_that_a_message_may_have),
        cmocka_unit_test(test_mqtt_publish_comes_back_at_every_length_of_length),
        cmocka_unit_test(test_mqtt_takes_the_longest_topic),
        cmocka_unit_test(test_mqtt_writes_the_packets_of_the_vectors),
        cmocka_unit_test(test_mqtt_writes_the_answers_of_a_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
