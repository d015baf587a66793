// SPDX-License-Identifier: Apache-2.0
// What may be emitted, and what becomes of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "worker/peer_test.h"

// What may be emitted, and what it becomes.
static const struct {
    const char *call;
    const char *body; // NULL: an exception, whose text is in ERROR
    enum wz_frame_body kind;
    const char *error;
} emits[] = {
    {"'t', {'a': [1, None, 'ä']}", "{\"a\":[1,null,\"ä\"]}", WZ_FRAME_BODY_OBJECT, NULL},
    {"'t', 'hello'", "hello", WZ_FRAME_BODY_TEXT, NULL},
    {"'t', b'\\xff\\x00'", "\xff", WZ_FRAME_BODY_BYTES, NULL},
    {"'t', 25", "25", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', 2.5", "2.5", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', True", "true", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', ''", "", WZ_FRAME_BODY_TEXT, NULL},
    {"topic='t', body={}", "{}", WZ_FRAME_BODY_OBJECT, NULL},
    {"'ü.' + 'x' * 252, 1", "1", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', None", NULL, 0, "TypeError: body must be a dict, str, bytes or number, not NoneType"},
    {"'t', [1]", NULL, 0, "TypeError: body must be"},
    {"'t', {'a': object()}", NULL, 0, "TypeError: Object of type object is not JSON serializable"},
    {"'t', float('nan')", NULL, 0, "ValueError: Out of range float values"},
    {"'t', '\\ud800'", NULL, 0, "UnicodeEncodeError"},
    {"'t', 'x' * (1024 * 1024 + 1)", NULL, 0, "ValueError: body is 1048577 bytes long"},
    {"'t'", NULL, 0, "TypeError: emit() misses its argument 'body'"},
    {"'t', 1, True, 2", NULL, 0, "TypeError: emit() takes at most 3 arguments (4 given)"},
    {"'t', 1, topic='u'", NULL, 0, "TypeError: emit() got a second argument 'topic'"},
    {"'t', 1, durable=1", NULL, 0, "TypeError: emit() got an unexpected argument 'durable'"},
    {"5, 1", NULL, 0, "TypeError: topic must be a str, not int"},
    {"'', 1", NULL, 0, "ValueError: topic must be of 1 to 255 bytes, this one has 0"},
    {"'x' * 256, 1", NULL, 0, "ValueError: topic must be of 1 to 255 bytes, this one has 256"},
    {"'a..b', 1", NULL, 0, "ValueError: topic 'a..b' must be words"},
    {"'a.#', 1", NULL, 0, "ValueError: topic 'a.#' must be words"},
    {"'a.', 1", NULL, 0, "ValueError: topic 'a.' must be words"},
};

#define EMIT_COUNT (sizeof(emits) / sizeof(emits[0]))

static void check_emit(const struct wz_frame_result *result, size_t i)
{
    struct wz_frame_iter it = wz_frame_items(result);
    struct wz_frame_item item;

    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    if (!emits[i].body) {
        assert_int_equal(result->status, WZ_FRAME_EXCEPTION);
        peer_assert_contains(item.body, emits[i].error);
        return;
    }
    if (result->status != WZ_FRAME_OK)
        fail_msg("%s: %.*s", emits[i].call, WZ_SLICE_FMT(item.body));
    assert_int_equal(item.body_kind, emits[i].kind);
    assert_true(item.persistent);
    if (emits[i].kind == WZ_FRAME_BODY_BYTES)
        assert_int_equal(item.body.len, 2);
    else
        peer_assert_text(item.body, emits[i].body);
}

static void test_body_emits_what_is_allowed_and_refuses_the_rest(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    char body[32];

    wz_buf_add_str(&code, "def handle_input(msg, context):\n    emit = context.emit\n");
    for (size_t i = 0; i < EMIT_COUNT; i++)
        wz_buf_addf(&code, "    if msg['case'] == %zu: emit(%s)\n", i, emits[i].call);
    peer_start_script(*state, wz_buf_str(&code));
    for (size_t i = 0; i < EMIT_COUNT; i++) {
        struct wz_frame_result result;

        (void)snprintf(body, sizeof(body), "{\"case\":%zu}", i);
        peer_send_batch(*state, (int64_t)i, 1, body);
        result = peer_expect_result(*state, (int64_t)i);
        check_emit(&result, i);
    }
}

// A record's body, and what its value is to the script.
static const struct {
    const char *body;
    const char *value;
} records[] = {
    {"{\"_topic\":\"t\",\"value\":\"255\"}", "'255'"},
    {"{\"_topic\":\"t\",\"value\":\"/wA=\",\"_encoding\":\"base64\"}", "b'\\xff\\x00'"},
    {"{\"value\":\"\",\"_encoding\":\"base64\"}", "b''"},
    {"{\"value\":\"/wA=\",\"_received\":{\"_encoding\":\"base64\"}}", "'/wA='"},
    {"{\"value\":\"\\\"_encoding\\\":\\\"base64\\\"}\"}", "'\"_encoding\":\"base64\"}'"},
    {"{\"_encoding\":\"base64\"}", "None"},
};

static void test_body_that_was_base64_has_bytes(void **state)
{
    peer_start_script(*state,
                      "def handle_input(msg, context): return 't', repr(msg.get('value'))\n");
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        struct wz_frame_item item;

        peer_send_batch(*state, (int64_t)i, 1, records[i].body);
        item = peer_expect_status(*state, (int64_t)i, WZ_FRAME_OK);
        peer_assert_text(item.body, records[i].value);
    }
}

static void test_body_carries_a_body_of_one_mebibyte_both_ways(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    peer_start_script(*state, "def handle_input(msg, context):\n    context.emit('t', msg['v'])\n");
    wz_buf_add_str(&body, "{\"v\":\"");
    for (int i = 0; i < 1024 * 1024; i++)
        wz_buf_add_byte(&body, 'x');
    wz_buf_add_str(&body, "\"}");
    peer_send_batch(*state, 3, 1, wz_buf_str(&body));
    result = peer_expect_result(*state, 3);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.body.len, 1024 * 1024);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_body_emits_what_is_allowed_and_refuses_the_rest),
        TEST(test_body_that_was_base64_has_bytes),
        TEST(test_body_carries_a_body_of_one_mebibyte_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
