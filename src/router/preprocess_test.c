// SPDX-License-Identifier: Apache-2.0
#include "router/preprocess.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/scan.h"

#define NOW_MS INT64_C(1770000000123)

#define L(text) WZ_SLICE_LIT(text)

// Stamps one message of the topic a.b and keeps what the record says.
struct stamped {
    struct wz_preprocess pp;
    struct wz_buf topic_text;
    struct wz_buf from;
    struct wz_buf value;
    struct wz_buf headers; // "key=value " of each
    int header_count;
    struct wz_unstamped source;
};

static int set_up(void **state)
{
    struct stamped *stamped = wz_zalloc(1, sizeof(*stamped));

    wz_preprocess_init(&stamped->pp);
    wz_preprocess_add_topic_text(&stamped->topic_text, L("a.b"));
    wz_preprocess_add_from(&stamped->from, L("a/b"));
    stamped->source = (struct wz_unstamped){
        .topic = L("a.b"),
        .topic_text = wz_buf_slice(&stamped->topic_text),
        .from = wz_buf_slice(&stamped->from),
        .client = L("dice"),
    };
    *state = stamped;
    return 0;
}

static int tear_down(void **state)
{
    struct stamped *stamped = *state;

    wz_preprocess_release(&stamped->pp);
    wz_buf_release(&stamped->topic_text);
    wz_buf_release(&stamped->from);
    wz_buf_release(&stamped->value);
    wz_buf_release(&stamped->headers);
    wz_free(stamped);
    return 0;
}

static void stamp(struct stamped *stamped)
{
    struct wz_record_parts parts;

    wz_preprocess_stamp(&stamped->pp, &stamped->source, NOW_MS, &parts);
    assert_true(wz_slice_eq(parts.key, L("a.b")));
    stamped->value.len = 0;
    for (int i = 0; i < parts.value_count; i++)
        wz_buf_add_slice(&stamped->value, parts.value[i]);
    stamped->headers.len = 0;
    stamped->header_count = 0;
    for (int i = 0; i < parts.header_pieces; i++) {
        struct wz_slice rest = parts.headers[i];
        struct wz_record_header header;

        while (wz_record_header_next(&rest, &header) == WZ_OK) {
            wz_buf_addf(&stamped->headers, "%.*s=%.*s ", WZ_SLICE_FMT(header.key),
                        WZ_SLICE_FMT(header.value));
            stamped->header_count++;
        }
    }
    assert_int_equal(stamped->header_count, parts.header_count);
}

#define ID_POS 8 // behind {"_id":"

// The record of BODY, behind its stamps, which are looked at.
static const char *members_of(struct stamped *stamped, struct wz_slice body)
{
    static const char stamps[] = "\",\"_timestamp\":1770000000123,\"_topic\":\"a.b\"";
    struct wz_json_scan scan;
    const char *text;

    stamped->source.body = body;
    stamp(stamped);
    wz_json_scan(wz_buf_slice(&stamped->value), &scan);
    assert_int_equal(scan.kind, WZ_JSON_OBJECT);
    text = wz_buf_str(&stamped->value);
    assert_memory_equal(text, "{\"_id\":\"", ID_POS);
    assert_true(wz_uuid_valid(wz_slice(text + ID_POS, WZ_UUID_TEXT_LEN)));
    assert_memory_equal(text + ID_POS + WZ_UUID_TEXT_LEN, stamps, sizeof(stamps) - 1);
    return text + ID_POS + WZ_UUID_TEXT_LEN + sizeof(stamps) - 1;
}

struct row {
    const char *body;
    size_t len;
    const char *members;
    const char *form;
};

// Versions of clang-format differ on a macro that is a brace.
// clang-format off
#define ROW(body, members, form) {(body), sizeof(body) - 1, (members), (form)}
// clang-format on

static void check_rows(struct stamped *stamped, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(members_of(stamped, wz_slice(rows[i].body, rows[i].len)),
                            rows[i].members);
        assert_non_null(strstr(wz_buf_str(&stamped->headers), rows[i].form));
    }
}

static void test_preprocess_wraps_what_is_no_object(void **state)
{
    static const struct row rows[] = {
        ROW("255", ",\"value\":\"255\"}", "form=text "),
        ROW("on", ",\"value\":\"on\"}", "form=text "),
        ROW("true", ",\"value\":\"true\"}", "form=text "),
        ROW("null", ",\"value\":\"null\"}", "form=text "),
        ROW("\"x\"", ",\"value\":\"\\\"x\\\"\"}", "form=text "),
        ROW("[1, 2]", ",\"value\":\"[1, 2]\"}", "form=text "),
        ROW("{\"a\":1", ",\"value\":\"{\\\"a\\\":1\"}", "form=text "),
        ROW("{a:1}", ",\"value\":\"{a:1}\"}", "form=text "),
        ROW("{} x", ",\"value\":\"{} x\"}", "form=text "),
        ROW("", ",\"value\":\"\"}", "form=text "),
        ROW(" \r\n\t ", ",\"value\":\"\"}", "form=text "),
        ROW("  25.5 \r\n", ",\"value\":\"25.5\"}", "form=text "),
        ROW("two words", ",\"value\":\"two words\"}", "form=text "),
        ROW("\xe2\x82\xac", ",\"value\":\"\xe2\x82\xac\"}", "form=text "),
        ROW("a\0b", ",\"value\":\"a\\u0000b\"}", "form=text "),
        ROW("\xef\xbb\xbf{}", ",\"value\":\"\xef\xbb\xbf{}\"}", "form=text "),
    };

    check_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_preprocess_keeps_what_is_of_its_channels_type(void **state)
{
    static const struct {
        enum wz_body_type type;
        struct row row;
        bool untyped;
    } rows[] = {
        {WZ_BODY_NUMBER, ROW("25", ",\"value\":25}", "form=typed "), false},
        {WZ_BODY_NUMBER, ROW(" -1.50e+300\r\n", ",\"value\":-1.50e+300}", "form=typed "), false},
        {WZ_BODY_NUMBER,
         ROW("12345678901234567890.10", ",\"value\":12345678901234567890.10}", "form=typed "),
         false},
        {WZ_BODY_NUMBER, ROW("025", ",\"value\":\"025\"}", "form=text "), true},
        {WZ_BODY_NUMBER, ROW("25 C", ",\"value\":\"25 C\"}", "form=text "), true},
        {WZ_BODY_NUMBER, ROW("nan", ",\"value\":\"nan\"}", "form=text "), true},
        {WZ_BODY_NUMBER, ROW("\"25\"", ",\"value\":\"\\\"25\\\"\"}", "form=text "), true},
        {WZ_BODY_NUMBER, ROW("true", ",\"value\":\"true\"}", "form=text "), true},
        {WZ_BODY_NUMBER, ROW("", ",\"value\":\"\"}", "form=text "), true},
        {WZ_BODY_NUMBER,
         ROW("\xff", ",\"value\":\"/w==\",\"_encoding\":\"base64\"}", "form=base64 "), true},
        {WZ_BODY_NUMBER, ROW("{\"a\":1}", ",\"a\":1}", "form=object "), false},
        {WZ_BODY_BOOLEAN, ROW("true", ",\"value\":true}", "form=typed "), false},
        {WZ_BODY_BOOLEAN, ROW(" false ", ",\"value\":false}", "form=typed "), false},
        {WZ_BODY_BOOLEAN, ROW("1", ",\"value\":\"1\"}", "form=text "), true},
        {WZ_BODY_BOOLEAN, ROW("True", ",\"value\":\"True\"}", "form=text "), true},
        {WZ_BODY_JSON, ROW("[1 , \"x\"]", ",\"value\":[1 , \"x\"]}", "form=typed "), false},
        {WZ_BODY_JSON, ROW("\"x\"", ",\"value\":\"x\"}", "form=typed "), false},
        {WZ_BODY_JSON, ROW("null", ",\"value\":null}", "form=typed "), false},
        {WZ_BODY_JSON, ROW("1", ",\"value\":1}", "form=typed "), false},
        {WZ_BODY_JSON, ROW("[1", ",\"value\":\"[1\"}", "form=text "), true},
        {WZ_BODY_TEXT, ROW("25", ",\"value\":\"25\"}", "form=text "), false},
    };
    struct stamped *stamped = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s %s\n", wz_body_type_word(rows[i].type), rows[i].row.body);
        stamped->source.type = rows[i].type;
        check_rows(stamped, &rows[i].row, 1);
        assert_int_equal(stamped->pp.untyped, rows[i].untyped);
    }
}

static void test_preprocess_keeps_an_objects_bytes_order_and_doubles(void **state)
{
    static const struct row rows[] = {
        ROW("{\"value\":0}", ",\"value\":0}", "form=object "),
        ROW(" \n{ \"b\" : 1.0e+5,\"a\":-0 , \"b\":12345678901234567890 }\t",
            ",\"b\" : 1.0e+5,\"a\":-0 , \"b\":12345678901234567890}", "form=object "),
        ROW("{\"\\u0061\":\"\\ud83c\",\"n\":{\"_id\":1}}",
            ",\"\\u0061\":\"\\ud83c\",\"n\":{\"_id\":1}}", "form=object "),
        ROW("{}", "}", "form=object "),
        ROW(" { } ", "}", "form=object "),
        ROW("{\"value\":\"\",\"\":[]}", ",\"value\":\"\",\"\":[]}", "form=object "),
    };

    check_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_preprocess_moves_reserved_members_apart(void **state)
{
    static const struct row rows[] = {
        ROW("{\"_id\":7}", ",\"_received\":{\"_id\":7}}", "form=object "),
        ROW("{\"a\":1,\"_timestamp\": 2 ,\"b\":3,\"_topic\":\"x\"}",
            ",\"a\":1,\"b\":3,\"_received\":{\"_timestamp\": 2,\"_topic\":\"x\"}}", "form=object "),
        ROW("{\"\\u005fid\":1,\"_i\\u0064\":2,\"_id\":3}",
            ",\"_received\":{\"\\u005fid\":1,\"_i\\u0064\":2,\"_id\":3}}", "form=object "),
        ROW("{\"_encoding\":1,\"_script\":2,\"_parent\":3,\"_received\":{\"_id\":4},\"_other\":5}",
            ",\"_other\":5,\"_received\":{\"_encoding\":1,\"_script\":2,\"_parent\":3,"
            "\"_received\":{\"_id\":4}}}",
            "form=object "),
        ROW("{\"_ID\":1,\"id\":2,\"_id \":3}", ",\"_ID\":1,\"id\":2,\"_id \":3}", "form=object "),
    };

    check_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_preprocess_encodes_bytes_that_are_no_text(void **state)
{
    static const struct row rows[] = {
        ROW("\xff", ",\"value\":\"/w==\",\"_encoding\":\"base64\"}", "form=base64 "),
        ROW(" \xc3\x28 ", ",\"value\":\"IMMoIA==\",\"_encoding\":\"base64\"}", "form=base64 "),
        ROW("{\"a\":\"\xed\xa0\x80\"}", ",\"value\":\"eyJhIjoi7aCAIn0=\",\"_encoding\":\"base64\"}",
            "form=base64 "),
        ROW("\0\1\2\xfe", ",\"value\":\"AAEC/g==\",\"_encoding\":\"base64\"}", "form=base64 "),
    };

    check_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

// An object with arrays in it, DEPTH levels altogether.
static void add_deep(struct wz_buf *buf, const char *name, int depth)
{
    wz_buf_addf(buf, "{\"%s\":", name);
    for (int i = 1; i < depth; i++)
        wz_buf_add_byte(buf, '[');
    for (int i = 1; i < depth; i++)
        wz_buf_add_byte(buf, ']');
    wz_buf_add_byte(buf, '}');
}

static void test_preprocess_encodes_a_text_whose_escapes_would_burst_a_batch(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
    struct stamped *stamped = *state;

    for (int i = 0; i < 1024 * 1024; i++)
        wz_buf_add_byte(&body, 1);
    stamped->source.body = wz_buf_slice(&body);
    stamp(stamped);
    assert_int_equal(stamped->pp.form, WZ_FORM_BASE64);
    assert_true(stamped->value.len < (size_t)2 * 1024 * 1024);
}

static void test_preprocess_takes_json_that_is_too_deep_as_text(void **state)
{
    struct stamped *stamped = *state;
    WZ_AUTO(wz_buf_release) struct wz_buf deep = {0};

    add_deep(&deep, "a", WZ_JSON_DEPTH_MAX);
    (void)members_of(stamped, wz_buf_slice(&deep));
    assert_non_null(strstr(wz_buf_str(&stamped->headers), "form=object "));
    deep.len = 0;
    add_deep(&deep, "a", WZ_JSON_DEPTH_MAX + 1);
    (void)members_of(stamped, wz_buf_slice(&deep));
    assert_non_null(strstr(wz_buf_str(&stamped->headers), "form=text "));
}

// "_received" is one level more: what was just deep enough must not make a record that is no JSON.
static void test_preprocess_makes_no_record_that_is_too_deep(void **state)
{
    struct stamped *stamped = *state;

    for (int depth = WZ_JSON_DEPTH_MAX - 2; depth <= WZ_JSON_DEPTH_MAX + 1; depth++) {
        WZ_AUTO(wz_buf_release) struct wz_buf deep = {0};

        add_deep(&deep, "_id", depth);
        (void)members_of(stamped, wz_buf_slice(&deep)); // asks whether the record is an object
    }
}

static void test_preprocess_names_the_cause_of_a_scripts_output(void **state)
{
    static const struct row rows[] = {
        ROW("{\"a\":1}", ",\"_script\":\"al\\\"arm\",\"_parent\":\"p-1\",\"a\":1}", "form=object "),
        ROW("{}", ",\"_script\":\"al\\\"arm\",\"_parent\":\"p-1\"}", "form=object "),
        ROW("on", ",\"_script\":\"al\\\"arm\",\"_parent\":\"p-1\",\"value\":\"on\"}", "form=text "),
        ROW("{\"_script\":\"forged\",\"a\":1}",
            ",\"_script\":\"al\\\"arm\",\"_parent\":\"p-1\",\"a\":1,"
            "\"_received\":{\"_script\":\"forged\"}}",
            "form=object "),
        ROW("\xff",
            ",\"_script\":\"al\\\"arm\",\"_parent\":\"p-1\",\"value\":\"/w==\","
            "\"_encoding\":\"base64\"}",
            "form=base64 "),
    };
    struct stamped *stamped = *state;

    stamped->source.script = L("al\"arm");
    stamped->source.parent = L("p-1");
    check_rows(stamped, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_preprocess_ids_grow_and_the_publishers_own_time_stands(void **state)
{
    struct stamped *stamped = *state;
    char before[WZ_UUID_TEXT_LEN] = "";

    for (int i = 0; i < 1000; i++) {
        const char *text;

        stamped->source.timestamp_ms = i % 2 == 0 ? 0 : -5;
        stamp(stamped);
        text = wz_buf_str(&stamped->value);
        assert_true(memcmp(before, text + ID_POS, WZ_UUID_TEXT_LEN) < 0);
        memcpy(before, text + ID_POS, WZ_UUID_TEXT_LEN);
        assert_non_null(
            strstr(text, i % 2 == 0 ? "\"_timestamp\":1770000000123," : "\"_timestamp\":-5,"));
    }
    stamped->source.timestamp_ms = INT64_MIN + 1; // the longest there is
    stamp(stamped);
    assert_non_null(strstr(wz_buf_str(&stamped->value), "\"_timestamp\":-9223372036854775807,"
                                                        "\"_topic\":\"a.b\""));
}

static void test_preprocess_headers_follow_each_message(void **state)
{
    struct stamped *stamped = *state;

    stamped->source.body = L("{}");
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=object client=dice ");
    stamped->source.body = L("x");
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=text client=dice ");
    stamped->source.client = L("lamp");
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=text client=lamp ");
    stamped->source.client = L("");
    stamped->source.hops = 17;
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=text hops=17 ");
    stamped->source.packet_id = 65535;
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=text hops=17 packet=65535 ");
    stamped->source.packet_id = 1;
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=text hops=17 packet=1 ");
    stamped->source.packet_id = 0;
    stamped->source.hops = 0;
    stamp(stamped);
    assert_string_equal(wz_buf_str(&stamped->headers), "from=a/b form=text ");
}

static void test_preprocess_topic_is_a_json_string_whatever_its_characters(void **state)
{
    struct stamped *stamped = *state;
    struct wz_json_scan scan;

    stamped->topic_text.len = 0;
    wz_preprocess_add_topic_text(&stamped->topic_text, L("a\"\\\t.b"));
    stamped->source.topic_text = wz_buf_slice(&stamped->topic_text);
    stamp(stamped);
    assert_non_null(strstr(wz_buf_str(&stamped->value), "\"_topic\":\"a\\\"\\\\\\t.b\""));
    wz_json_scan(wz_buf_slice(&stamped->value), &scan);
    assert_int_equal(scan.kind, WZ_JSON_OBJECT);
}

static void test_form_is_found_by_its_word(void **state)
{
    (void)state;
    assert_int_equal(wz_form_find(L("object")), WZ_FORM_OBJECT);
    assert_int_equal(wz_form_find(L("text")), WZ_FORM_TEXT);
    assert_int_equal(wz_form_find(L("base64")), WZ_FORM_BASE64);
    assert_int_equal(wz_form_find(L("")), WZ_FORM_OBJECT);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_preprocess_wraps_what_is_no_object),
        TEST(test_preprocess_encodes_a_text_whose_escapes_would_burst_a_batch),
        TEST(test_preprocess_keeps_what_is_of_its_channels_type),
        TEST(test_preprocess_keeps_an_objects_bytes_order_and_doubles),
        TEST(test_preprocess_moves_reserved_members_apart),
        TEST(test_preprocess_encodes_bytes_that_are_no_text),
        TEST(test_preprocess_takes_json_that_is_too_deep_as_text),
        TEST(test_preprocess_makes_no_record_that_is_too_deep),
        TEST(test_preprocess_names_the_cause_of_a_scripts_output),
        TEST(test_preprocess_ids_grow_and_the_publishers_own_time_stands),
        TEST(test_preprocess_headers_follow_each_message),
        TEST(test_preprocess_topic_is_a_json_string_whatever_its_characters),
        TEST(test_form_is_found_by_its_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
