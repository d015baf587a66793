// SPDX-License-Identifier: Apache-2.0
// Owns the stamps. What is the same from message to message is written once: the topic's text is
// the caller's, the time changes once a millisecond, client and form seldom; only the end of the
// UUID is new each time.
#include "router/preprocess.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "json/scan.h"
#include "json/text.h"

#define ID_POS 8 // behind {"_id":"

// A text whose JSON string is longer, for all its escapes, is kept as base64: a batch must hold it.
#define TEXT_BYTES_MAX (3 * 1024 * 1024)

static const struct wz_slice form_words[WZ_FORM_COUNT] = {
    [WZ_FORM_OBJECT] = {(const uint8_t *)"object", 6},
    [WZ_FORM_TEXT] = {(const uint8_t *)"text", 4},
    [WZ_FORM_BASE64] = {(const uint8_t *)"base64", 6},
    [WZ_FORM_TYPED] = {(const uint8_t *)"typed", 5},
};

const char *wz_body_type_word(enum wz_body_type type)
{
    static const char *const words[] = {
#define WZ_BODY_TYPE_WORD(id, word) word,
        WZ_BODY_TYPE_TABLE(WZ_BODY_TYPE_WORD)
#undef WZ_BODY_TYPE_WORD
    };

    return words[type];
}

void wz_preprocess_init(struct wz_preprocess *pp)
{
    *pp = (struct wz_preprocess){.stamped_ms = INT64_MIN, .form = WZ_FORM_COUNT};
    wz_uuid_maker_init(&pp->uuid);
}

void wz_preprocess_release(struct wz_preprocess *pp)
{
    wz_buf_release(&pp->members);
    wz_buf_release(&pp->headers);
    wz_buf_release(&pp->once);
    wz_buf_release(&pp->client);
}

static void add_header(struct wz_buf *buf, struct wz_slice key, struct wz_slice value)
{
    size_t room = key.len + value.len + (size_t)2 * WZ_VARINT32_MAX;
    struct wz_pen pen;

    wz_buf_reserve(buf, room);
    pen = wz_pen(buf->ptr + buf->len, room);
    wz_record_header_put(&pen, key, value);
    WZ_ASSERT(!pen.failed);
    buf->len = (size_t)(pen.pos - buf->ptr);
}

void wz_preprocess_add_topic_text(struct wz_buf *buf, struct wz_slice topic)
{
    wz_json_add_string(buf, topic);
    wz_buf_add_byte(buf, ',');
}

void wz_preprocess_add_from(struct wz_buf *buf, struct wz_slice from)
{
    add_header(buf, WZ_SLICE_LIT("from"), from);
}

struct wz_slice wz_form_word(enum wz_form form) { return form_words[form]; }

enum wz_form wz_form_find(struct wz_slice word)
{
    for (int form = 0; form < WZ_FORM_COUNT; form++) {
        if (wz_slice_eq(word, form_words[form]))
            return (enum wz_form)form;
    }
    return WZ_FORM_OBJECT;
}

static void write_stamps(struct wz_preprocess *pp, int64_t timestamp_ms, int64_t now_ms)
{
    if (pp->stamped_ms != timestamp_ms) {
        pp->stamps_len = (size_t)snprintf(pp->stamps, sizeof(pp->stamps),
                                          "{\"_id\":\"%36s\",\"_timestamp\":%lld,\"_topic\":", "",
                                          (long long)timestamp_ms);
        pp->stamped_ms = timestamp_ms;
    }
    wz_uuid_next(&pp->uuid, now_ms, pp->stamps + ID_POS);
}

static void add_comma(struct wz_buf *buf)
{
    if (buf->len > 0)
        wz_buf_add_byte(buf, ',');
}

// The members of an object that brings reserved names: these move into "_received".
static void add_members_apart(struct wz_buf *buf, struct wz_slice members)
{
    struct wz_json_members walk = {.rest = members};
    struct wz_json_member member;
    bool any = false;

    while (wz_json_members_next(&walk, &member)) {
        if (member.reserved)
            continue;
        add_comma(buf);
        wz_buf_add_slice(buf, member.whole);
    }
    add_comma(buf);
    wz_buf_add_str(buf, "\"_received\":{");
    walk.rest = members;
    while (wz_json_members_next(&walk, &member)) {
        if (!member.reserved)
            continue;
        if (any)
            wz_buf_add_byte(buf, ',');
        wz_buf_add_slice(buf, member.whole);
        any = true;
    }
    wz_buf_add_byte(buf, '}');
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct wz_slice trim(struct wz_slice s)
{
    while (s.len > 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_of_type(enum wz_json_kind kind, enum wz_body_type type)
{
    switch (type) {
    case WZ_BODY_NUMBER:
        return kind == WZ_JSON_NUMBER;
    case WZ_BODY_BOOLEAN:
        return kind == WZ_JSON_TRUE || kind == WZ_JSON_FALSE;
    case WZ_BODY_JSON:
        return kind != WZ_JSON_NONE;
    default:
        return false;
    }
}

// The members of a record whose body is no JSON object.
static enum wz_form add_wrapped(struct wz_buf *buf, struct wz_slice body,
                                const struct wz_json_scan *scan, enum wz_body_type type)
{
    size_t start;

    add_comma(buf);
    wz_buf_add_str(buf, "\"value\":");
    start = buf->len;
    if (is_of_type(scan->kind, type)) {
        wz_buf_add_slice(buf, scan->members);
        return WZ_FORM_TYPED;
    }
    if (wz_utf8_valid(body)) {
        wz_json_add_string(buf, trim(body));
        if (buf->len - start <= TEXT_BYTES_MAX)
            return WZ_FORM_TEXT;
        buf->len = start; // it is nearly all control characters
    }
    wz_json_add_base64(buf, body);
    wz_buf_add_str(buf, ",\"_encoding\":\"base64\"");
    return WZ_FORM_BASE64;
}

static void add_cause(struct wz_buf *buf, const struct wz_unstamped *source)
{
    if (source->script.len == 0)
        return;
    wz_buf_add_str(buf, "\"_script\":");
    wz_json_add_string(buf, source->script);
    wz_buf_add_str(buf, ",\"_parent\":");
    wz_json_add_string(buf, source->parent);
}

// Whether the members stand in an object that is JSON: "_received" is a level more than there was.
static bool members_valid(struct wz_slice members)
{
    WZ_AUTO(wz_buf_release) struct wz_buf object = {0};
    struct wz_json_scan scan;

    wz_buf_add_byte(&object, '{');
    wz_buf_add_slice(&object, members);
    wz_buf_add_byte(&object, '}');
    wz_json_scan(wz_buf_slice(&object), &scan);
    return scan.kind == WZ_JSON_OBJECT;
}

// The members behind the stamps: the body's own bytes where they can stand as they are.
static struct wz_slice make_members(struct wz_preprocess *pp, const struct wz_unstamped *source,
                                    enum wz_form *ret_form)
{
    struct wz_json_scan scan;
    size_t cause_len;

    *ret_form = WZ_FORM_OBJECT;
    pp->untyped = false;
    wz_json_scan(source->body, &scan);
    if (scan.kind == WZ_JSON_OBJECT && !scan.reserved && source->script.len == 0)
        return scan.members;
    pp->members.len = 0;
    add_cause(&pp->members, source);
    cause_len = pp->members.len;
    if (scan.kind == WZ_JSON_OBJECT && scan.reserved) {
        add_members_apart(&pp->members, scan.members);
        if (members_valid(wz_buf_slice(&pp->members)))
            return wz_buf_slice(&pp->members);
        pp->members.len = cause_len; // too deep now: text
    } else if (scan.kind == WZ_JSON_OBJECT) {
        if (scan.members.len > 0)
            add_comma(&pp->members);
        wz_buf_add_slice(&pp->members, scan.members);
        return wz_buf_slice(&pp->members);
    }
    *ret_form = add_wrapped(&pp->members, source->body, &scan, source->type);
    pp->untyped = source->type != WZ_BODY_TEXT && *ret_form != WZ_FORM_TYPED;
    return wz_buf_slice(&pp->members);
}

// A header with a number, unless it is 0.
static void add_number(struct wz_preprocess *pp, struct wz_slice name, unsigned number)
{
    char digits[10];
    size_t pos = sizeof(digits);

    if (number == 0)
        return;
    for (; number > 0; number /= 10)
        digits[--pos] = (char)('0' + number % 10);
    add_header(&pp->headers, name, wz_slice(digits + pos, sizeof(digits) - pos));
    pp->header_count++;
}

static void make_headers(struct wz_preprocess *pp, const struct wz_unstamped *source,
                         enum wz_form form)
{
    if (form == pp->form && source->hops == pp->hops && source->packet_id == pp->packet_id &&
        wz_slice_eq(source->client, wz_buf_slice(&pp->client)))
        return;
    pp->headers.len = 0;
    pp->header_count = 1;
    add_header(&pp->headers, WZ_SLICE_LIT("form"), form_words[form]);
    if (source->client.len > 0) {
        add_header(&pp->headers, WZ_SLICE_LIT("client"), source->client);
        pp->header_count++;
    }
    add_number(pp, WZ_SLICE_LIT("hops"), source->hops % 100u);
    add_number(pp, WZ_SLICE_LIT("packet"), source->packet_id);
    pp->form = form;
    pp->packet_id = source->packet_id;
    pp->hops = source->hops;
    pp->client.len = 0;
    wz_buf_add_slice(&pp->client, source->client);
}

void wz_preprocess_stamp(struct wz_preprocess *pp, const struct wz_unstamped *source,
                         int64_t now_ms, struct wz_record_parts *ret_parts)
{
    enum wz_form form;
    struct wz_slice members = make_members(pp, source, &form);
    struct wz_slice topic_text = source->topic_text;

    write_stamps(pp, source->timestamp_ms != 0 ? source->timestamp_ms : now_ms, now_ms);
    make_headers(pp, source, form);
    pp->once.len = 0;
    if (source->commit.len > 0)
        add_header(&pp->once, WZ_SLICE_LIT("commit"), source->commit);
    if (source->unmapped.len > 0)
        add_header(&pp->once, WZ_SLICE_LIT("unmapped"), source->unmapped);
    if (members.len == 0)
        topic_text.len--; // nothing follows the comma
    *ret_parts = (struct wz_record_parts){
        .key = source->topic,
        .value =
            {
                wz_slice(pp->stamps, pp->stamps_len),
                topic_text,
                members,
                WZ_SLICE_LIT("}"),
            },
        .value_count = 4,
        .headers = {source->from, wz_buf_slice(&pp->headers), wz_buf_slice(&pp->once)},
        .header_pieces = 3,
        .header_count = 1 + pp->header_count + (source->commit.len > 0 ? 1 : 0) +
                        (source->unmapped.len > 0 ? 1 : 0),
    };
}
