// SPDX-License-Identifier: Apache-2.0
#include "router/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#define L(text) WZ_SLICE_LIT(text)

// Stamps BODY as a script's output and takes the stamps off again.
static int there_and_back(struct wz_preprocess *pp, struct wz_slice body, struct wz_buf *ret_body)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf topic_text = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf from = {0};
    struct wz_unstamped source = {.topic = L("a.output"), .body = body};
    struct wz_record_parts parts;

    wz_preprocess_add_topic_text(&topic_text, source.topic);
    wz_preprocess_add_from(&from, L("egress"));
    source.topic_text = wz_buf_slice(&topic_text);
    source.from = wz_buf_slice(&from);
    source.script = L("dice");
    source.parent = L("019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11");
    wz_preprocess_stamp(pp, &source, 1770000000123, &parts);
    for (int i = 0; i < parts.value_count; i++)
        wz_buf_add_slice(&value, parts.value[i]);
    return wz_command_body(wz_buf_slice(&value), pp->form, WZ_SEND_BODY, ret_body);
}

static void test_command_body_is_what_was_emitted_without_its_spaces(void **state)
{
    static const struct {
        const char *body;
        size_t len;
        const char *command;
        size_t command_len;
    } rows[] = {
#define ROW(body, command) {(body), sizeof(body) - 1, (command), sizeof(command) - 1}
        ROW("{\"value\": 0}", "{\"value\":0}"),
        ROW("{}", "{}"),
        ROW(" { \"b\" : [ 1 , 2.0e5 ] ,\n\"a\" : \"x  y\" , \"b\" : null } ",
            "{\"b\":[1,2.0e5],\"a\":\"x  y\",\"b\":null}"),
        ROW("{\"_id\":1,\"a\":2}", "{\"a\":2,\"_id\":1}"),
        ROW("{\"_received\":{\"_id\":1},\"_script\":\"forged\"}",
            "{\"_received\":{\"_id\":1},\"_script\":\"forged\"}"),
        ROW("{\"_rec\\u0065ived\":3}", "{\"_rec\\u0065ived\":3}"),
        ROW("{\"a\":\"{\",\"b\":1}", "{\"a\":\"{\",\"b\":1}"),
        ROW("on", "on"),
        ROW("  25 ", "25"),
        ROW("", ""),
        ROW("line\nand \"quotes\" \\ \xf0\x9f\x8e\xb2", "line\nand \"quotes\" \\ \xf0\x9f\x8e\xb2"),
        ROW("a\0b", "a\0b"),
        ROW("[1, 2]", "[1, 2]"),
        ROW("\xff\x00\xfe", "\xff\x00\xfe"),
        ROW(" \xff ", " \xff "),
#undef ROW
    };
    struct wz_preprocess pp;

    (void)state;
    wz_preprocess_init(&pp);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

        assert_int_equal(there_and_back(&pp, wz_slice(rows[i].body, rows[i].len), &body), WZ_OK);
        if (body.len != rows[i].command_len ||
            (body.len > 0 && memcmp(body.ptr, rows[i].command, body.len) != 0))
            fail_msg("row %zu gives %s", i, wz_buf_str(&body));
    }
    wz_preprocess_release(&pp);
}

static void test_command_body_is_put_behind_what_stands_there(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

    (void)state;
    wz_buf_add_str(&body, "before{");
    assert_int_equal(
        wz_command_body(L("{\"_id\":\"i\",\"a\":1}"), WZ_FORM_OBJECT, WZ_SEND_BODY, &body), WZ_OK);
    assert_string_equal(wz_buf_str(&body), "before{{\"a\":1}");
}

static void test_command_body_of_the_same_record_is_the_same_to_the_byte(void **state)
{
    struct wz_slice value = L("{\"_id\":\"i\",\"_timestamp\":1,\"_topic\":\"t\",\"x\":1,"
                              "\"_received\":{\"_topic\":\"theirs\"}}");
    WZ_AUTO(wz_buf_release) struct wz_buf first = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf second = {0};

    (void)state;
    assert_int_equal(wz_command_body(value, WZ_FORM_OBJECT, WZ_SEND_BODY, &first), WZ_OK);
    assert_int_equal(wz_command_body(value, WZ_FORM_OBJECT, WZ_SEND_BODY, &second), WZ_OK);
    assert_string_equal(wz_buf_str(&first), "{\"x\":1,\"_topic\":\"theirs\"}");
    assert_true(wz_slice_eq(wz_buf_slice(&first), wz_buf_slice(&second)));
}

// Records may also come from elsewhere than our own preprocessor.
static void test_command_body_refuses_what_is_no_record(void **state)
{
    static const struct {
        const char *value;
        enum wz_form form;
    } rows[] = {
        {"", WZ_FORM_OBJECT},
        {"25", WZ_FORM_OBJECT},
        {"[{}]", WZ_FORM_TEXT},
        {"{\"a\":", WZ_FORM_OBJECT},
        {"{\"value\":\"%%%%\"}", WZ_FORM_BASE64},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

        if (wz_command_body(wz_slice_str(rows[i].value), rows[i].form, WZ_SEND_BODY, &body) !=
            WZ_ERR_INVALID)
            fail_msg("%s gives %s", rows[i].value, wz_buf_str(&body));
        assert_int_equal(body.len, 0);
    }
}

static void test_command_body_survives_members_of_other_kinds_than_ours(void **state)
{
    static const struct {
        const char *value;
        enum wz_form form;
        const char *command;
    } rows[] = {
        {"{\"a\":1,\"_received\":5}", WZ_FORM_OBJECT, "{\"a\":1}"},
        {"{\"a\":1,\"_received\":\"x\"}", WZ_FORM_OBJECT, "{\"a\":1}"},
        {"{\"a\":1,\"_received\":[{}]}", WZ_FORM_OBJECT, "{\"a\":1}"},
        {"{\"_received\":{}}", WZ_FORM_OBJECT, "{}"},
        {"{\"value\": 2.50 }", WZ_FORM_TEXT, "2.50"},
        {"{\"value\":{\"a\" : 1}}", WZ_FORM_TEXT, "{\"a\":1}"},
        {"{\"other\":1}", WZ_FORM_TEXT, ""},
        {"{\"other\":1}", WZ_FORM_BASE64, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

        assert_int_equal(
            wz_command_body(wz_slice_str(rows[i].value), rows[i].form, WZ_SEND_BODY, &body), WZ_OK);
        assert_string_equal(wz_buf_str(&body), rows[i].command);
    }
}

static void test_command_body_may_be_the_value_alone(void **state)
{
    static const struct {
        const char *value;
        enum wz_form form;
        const char *command;
    } rows[] = {
        {"{\"_id\":\"i\",\"value\":0}", WZ_FORM_OBJECT, "0"},
        {"{\"value\":\"ON\"}", WZ_FORM_OBJECT, "ON"},
        {"{\"value\":\"a\\n\\\"b\\\"\"}", WZ_FORM_OBJECT, "a\n\"b\""},
        {"{\"value\": { \"a\" : [ 1 ] } }", WZ_FORM_OBJECT, "{\"a\":[1]}"},
        {"{\"value\":null,\"a\":1}", WZ_FORM_OBJECT, "null"},
        {"{\"val\\u0075e\":1,\"value\":2}", WZ_FORM_OBJECT, "1"},
        {"{\"_id\":\"i\",\"state\":\"ON\"}", WZ_FORM_OBJECT, "{\"state\":\"ON\"}"},
        {"{}", WZ_FORM_OBJECT, "{}"},
        {"{\"value\":\"ON\"}", WZ_FORM_TEXT, "ON"},
        {"{\"value\":25}", WZ_FORM_TYPED, "25"},
        {"{\"value\":\"x\"}", WZ_FORM_TYPED, "\"x\""},
        {"{\"value\":\"AP8=\"}", WZ_FORM_OBJECT, "AP8="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

        assert_int_equal(
            wz_command_body(wz_slice_str(rows[i].value), rows[i].form, WZ_SEND_VALUE, &body),
            WZ_OK);
        assert_string_equal(wz_buf_str(&body), rows[i].command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_body_is_what_was_emitted_without_its_spaces),
        cmocka_unit_test(test_command_body_is_put_behind_what_stands_there),
        cmocka_unit_test(test_command_body_of_the_same_record_is_the_same_to_the_byte),
        cmocka_unit_test(test_command_body_refuses_what_is_no_record),
        cmocka_unit_test(test_command_body_survives_members_of_other_kinds_than_ours),
        cmocka_unit_test(test_command_body_may_be_the_value_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
