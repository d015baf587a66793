// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/frames.h"

// Takes a payload apart to its last byte; WZ_OK when all of it adds up.
typedef int (*decode_fn)(struct wz_slice payload);

static int decode_load(struct wz_slice payload)
{
    struct wz_frame_load load;

    return wz_frame_get_load(payload, &load);
}

static int decode_invalid(struct wz_slice payload)
{
    struct wz_frame_invalid invalid;

    return wz_frame_get_invalid(payload, &invalid);
}

static int decode_log(struct wz_slice payload)
{
    struct wz_frame_log log;

    return wz_frame_get_log(payload, &log);
}

static int decode_batch(struct wz_slice payload)
{
    struct wz_frame_record record;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    while (r == WZ_OK)
        r = wz_frame_next_record(&it, &record);
    return r == WZ_END ? WZ_OK : r;
}

static int walk_entries(struct wz_frame_iter *it)
{
    struct wz_frame_entry entry;
    int r;

    do
        r = wz_frame_next_entry(it, &entry);
    while (r == WZ_OK);
    return r == WZ_END ? WZ_OK : r;
}

static int decode_results(struct wz_slice payload)
{
    struct wz_frame_result result;
    struct wz_frame_item item;
    struct wz_frame_iter items;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    while (r == WZ_OK) {
        r = wz_frame_next_result(&it, &result);
        if (r != WZ_OK)
            break;
        items = wz_frame_items(&result);
        while (r == WZ_OK)
            r = wz_frame_next_item(&items, &item);
        r = r == WZ_END ? WZ_OK : r;
    }
    if (r == WZ_END)
        r = wz_frame_changes(&it);
    return r == WZ_OK ? walk_entries(&it) : r;
}

static int decode_state(struct wz_slice payload)
{
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    return r == WZ_OK ? walk_entries(&it) : r;
}

static int decode_query(struct wz_slice payload)
{
    struct wz_frame_query query;

    return wz_frame_get_query(payload, &query);
}

static int decode_found(struct wz_slice payload)
{
    struct wz_frame_found found;
    int r = wz_frame_get_found(payload, &found);

    return r == WZ_OK && found.error.len == 0 ? decode_batch(found.records) : r;
}

static void build_load(struct wz_buf *buf)
{
    const struct wz_frame_load load = {
        .laned = true,
        .name = WZ_SLICE_LIT("alarm"),
        .code = WZ_SLICE_LIT("x = 1\n"),
        .config = WZ_SLICE_LIT("{\"a\":1}"),
    };

    wz_frame_put_load(buf, &load);
}

static void build_invalid(struct wz_buf *buf)
{
    const struct wz_frame_invalid invalid = {
        .line = 7,
        .column = 3,
        .reason = WZ_SLICE_LIT("SyntaxError"),
        .traceback = WZ_SLICE_LIT("where"),
    };

    wz_frame_put_invalid(buf, &invalid);
}

static void build_log(struct wz_buf *buf)
{
    const struct wz_frame_log log = {
        .source = WZ_FRAME_LOG_CONTEXT,
        .severity = WZ_SEVERITY_ERROR,
        .stream = 1,
        .offset = -1,
        .text = WZ_SLICE_LIT("hot"),
    };

    wz_frame_put_log(buf, &log);
}

static const struct wz_frame_record first_record = {
    .stream = 1,
    .hops = 2,
    .lane = 63,
    .opens = true,
    .offset = 1LL << 40,
    .append_ms = 1770000000123,
    .topic = {(const uint8_t *)"bedroom.light", 13},
    .body = {(const uint8_t *)"{\"value\":1}", 11},
};

static void build_batch(struct wz_buf *buf)
{
    struct wz_frame_record record = first_record;
    size_t start = wz_frame_list_open(buf, WZ_FRAME_BATCH);

    wz_frame_put_record(buf, &record);
    record.body = WZ_SLICE_LIT("");
    record.opens = false;
    record.offset++;
    wz_frame_put_record(buf, &record);
    wz_frame_list_close(buf, start, 2);
}

static const struct wz_frame_entry entries[] = {
    {.lane = 5, .key = {(const uint8_t *)"k", 1}, .value = {(const uint8_t *)"[1]", 3}},
    {.lane = WZ_LANE_SHARED, .removed = true, .key = {(const uint8_t *)"old", 3}},
};

static void build_state(struct wz_buf *buf)
{
    size_t start = wz_frame_list_open(buf, WZ_FRAME_STATE);

    wz_frame_put_entry(buf, &entries[0]);
    wz_frame_list_close(buf, start, 1);
}

static void build_query(struct wz_buf *buf)
{
    const struct wz_frame_query query = {
        .stream = 1,
        .before = 7,
        .since_ms = 1770000000123,
        .until_ms = 0,
        .limit = 10000,
        .pattern = WZ_SLICE_LIT("a.#"),
    };

    wz_frame_put_query(buf, &query);
}

static void build_found(struct wz_buf *buf)
{
    size_t start = wz_frame_found_open(buf);

    wz_frame_put_record(buf, &first_record);
    wz_frame_found_close(buf, start, 1);
}

static void build_not_found(struct wz_buf *buf)
{
    wz_frame_put_not_found(buf, WZ_SLICE_LIT("gone"));
}

static void build_results(struct wz_buf *buf)
{
    const struct wz_frame_item emit = {
        .kind = WZ_FRAME_ITEM_EMIT,
        .body_kind = WZ_FRAME_BODY_NUMBER,
        .persistent = true,
        .topic = WZ_SLICE_LIT("a.b"),
        .body = WZ_SLICE_LIT("25"),
    };
    const struct wz_frame_item end = {
        .kind = WZ_FRAME_ITEM_TERMINATE,
        .body = WZ_SLICE_LIT("done"),
    };
    const struct wz_frame_item trace = {
        .kind = WZ_FRAME_ITEM_TRACE,
        .body = WZ_SLICE_LIT("Traceback"),
    };
    const struct wz_frame_item seen = {
        .kind = WZ_FRAME_ITEM_SEEN,
        .topic = WZ_SLICE_LIT("k"),
        .body = WZ_SLICE_LIT("7"),
    };
    size_t start = wz_frame_list_open(buf, WZ_FRAME_RESULT);
    size_t result = wz_frame_result_open(buf, 1, 77, 258);

    wz_frame_put_item(buf, &emit);
    wz_frame_put_item(buf, &end);
    wz_frame_result_close(buf, result, WZ_FRAME_OK, 2);
    result = wz_frame_result_open(buf, 0, 78, 0);
    wz_frame_put_item(buf, &trace);
    wz_frame_put_item(buf, &seen);
    wz_frame_result_close(buf, result, WZ_FRAME_EXCEPTION, 2);
    result = wz_frame_result_open(buf, 0, 79, 0);
    wz_frame_result_close(buf, result, WZ_FRAME_DEFERRED, 0);
    wz_frame_put_change_count(buf, 2);
    wz_frame_put_entry(buf, &entries[0]);
    wz_frame_put_entry(buf, &entries[1]);
    wz_frame_list_close(buf, start, 3);
}

static const struct {
    void (*build)(struct wz_buf *buf);
    decode_fn decode;
    enum wz_frame_type type;
    // How much of the payload's end is text that may be cut without anybody noticing: its length is
    // the frame's.
    size_t free_text;
} vectors[] = {
    {build_load, decode_load, WZ_FRAME_LOAD, 0},
    {build_invalid, decode_invalid, WZ_FRAME_INVALID, 5},
    {build_log, decode_log, WZ_FRAME_LOG, 3},
    {build_batch, decode_batch, WZ_FRAME_BATCH, 0},
    {build_results, decode_results, WZ_FRAME_RESULT, 0},
    {build_state, decode_state, WZ_FRAME_STATE, 0},
    {build_query, decode_query, WZ_FRAME_QUERY, 3},
    {build_found, decode_found, WZ_FRAME_FOUND, 0},
    {build_not_found, decode_found, WZ_FRAME_FOUND, 0},
};

#define VECTOR_COUNT (sizeof(vectors) / sizeof(vectors[0]))

#define U32(n) (uint8_t)((n) >> 24), (uint8_t)((n) >> 16), (uint8_t)((n) >> 8), (uint8_t)(n)
#define TIME_MS 0, 0, 0x01, 0x9c, 0x1c, 0x38, 0xa4, 0x7b // 1770000000123

static const uint8_t load_bytes[] = {
    U32(1 + 2 + 4 + 4 + 5 + 6 + 7),
    1, // frame
    1, // laned
    0, // lengths
    5,
    U32(6),
    U32(7), //
    'a',
    'l',
    'a',
    'r',
    'm',
    'x',
    ' ',
    '=',
    ' ',
    '1',
    '\n',
    '{',
    '"',
    'a',
    '"',
    ':',
    '1',
    '}',
};

static const uint8_t log_bytes[] = {U32(14), 69,   2,    3,    1,    0xff, 0xff, 0xff,
                                    0xff,    0xff, 0xff, 0xff, 0xff, 'h',  'o',  't'};

static const uint8_t query_bytes[] = {
    U32(32), 71, // frame
    1,           // stream
    0,       0,  0, 0, 0, 0, 0, 7, TIME_MS, 0, 0, 0, 0, 0, 0, 0, 0, U32(10000), 'a', '.', '#',
};

static const uint8_t not_found_bytes[] = {U32(8), 6, U32(4), 'g', 'o', 'n', 'e'};

static const uint8_t found_bytes[] = {
    U32(8 + 26 + 13 + 11),
    6,      // frame
    U32(0), // no error
    U32(1), // records
    1,
    2,
    63,
    1, // stream, hops, lane, it opens
    0,
    13,
    U32(11), // topic, body
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    TIME_MS, // offset, time
    'b',
    'e',
    'd',
    'r',
    'o',
    'o',
    'm',
    '.',
    'l',
    'i',
    'g',
    'h',
    't',
    '{',
    '"',
    'v',
    'a',
    'l',
    'u',
    'e',
    '"',
    ':',
    '1',
    '}',
};

static const uint8_t state_bytes[] = {
    U32(4 + 7 + 1 + 3),
    5, // frame
    U32(1),
    5,
    0,
    1,
    U32(3),
    'k',
    '[',
    '1',
    ']',
};

static const uint8_t result_bytes[] = {
    U32(4 + 22 + 13 + 9 + 22 + 14 + 9 + 22 + 4 + 11 + 10),
    68,     // frame
    U32(3), // results
    1,
    0,
    U32(258),
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    77,
    U32(2),
    U32(22), // the first
    1,
    U32(8),
    3,
    1,
    3,
    'a',
    '.',
    'b',
    '2',
    '5', // its output
    3,
    U32(4),
    'd',
    'o',
    'n',
    'e', // the script's end
    0,
    1,
    U32(0),
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    78,
    U32(2),
    U32(23), // the second
    2,
    U32(9),
    'T',
    'r',
    'a',
    'c',
    'e',
    'b',
    'a',
    'c',
    'k', // its traceback
    4,
    U32(4),
    0,
    1,
    'k',
    '7', // what it saw
    0,
    3,
    U32(0),
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    79,
    U32(0),
    U32(0), // the third
    U32(2), // changes
    5,
    0,
    1,
    U32(3),
    'k',
    '[',
    '1',
    ']',
    64,
    0,
    3,
    0xff,
    0xff,
    0xff,
    0xff,
    'o',
    'l',
    'd',
};

static const struct {
    void (*build)(struct wz_buf *buf);
    struct wz_slice bytes;
} documented[] = {
    {build_load, {load_bytes, sizeof(load_bytes)}},
    {build_log, {log_bytes, sizeof(log_bytes)}},
    {build_query, {query_bytes, sizeof(query_bytes)}},
    {build_found, {found_bytes, sizeof(found_bytes)}},
    {build_not_found, {not_found_bytes, sizeof(not_found_bytes)}},
    {build_state, {state_bytes, sizeof(state_bytes)}},
    {build_results, {result_bytes, sizeof(result_bytes)}},
};

static void test_frame_bytes_are_those_of_the_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        documented[i].build(&buf);
        assert_int_equal(buf.len, documented[i].bytes.len);
        assert_memory_equal(buf.ptr, documented[i].bytes.ptr, buf.len);
    }
}

static void test_frame_values_come_back(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_record record;
    struct wz_frame_load load;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    (void)state;
    build_load(&buf);
    build_batch(&buf);
    assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
    assert_int_equal(frame.type, WZ_FRAME_LOAD);
    assert_int_equal(wz_frame_get_load(frame.payload, &load), WZ_OK);
    assert_true(load.laned);
    assert_true(wz_slice_eq(load.name, WZ_SLICE_LIT("alarm")));
    assert_true(wz_slice_eq(load.config, WZ_SLICE_LIT("{\"a\":1}")));
    wz_buf_consume(&buf, len);
    assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_OK);
    assert_int_equal(record.offset, 1LL << 40);
    assert_int_equal(record.append_ms, 1770000000123);
    assert_int_equal(record.stream, 1);
    assert_int_equal(record.hops, 2);
    assert_int_equal(record.lane, 63);
    assert_true(record.opens);
    assert_true(wz_slice_eq(record.topic, WZ_SLICE_LIT("bedroom.light")));
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_OK);
    assert_int_equal(record.body.len, 0);
    assert_false(record.opens);
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_END);
}

static void test_frame_results_items_and_changes_come_back(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_result result;
    struct wz_frame_entry entry;
    struct wz_frame_iter items;
    struct wz_frame_item item;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    (void)state;
    build_results(&buf);
    assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_OK);
    assert_int_equal(result.before, 258);
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_OK);
    assert_int_equal(result.status, WZ_FRAME_EXCEPTION);
    items = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&items, &item), WZ_OK);
    assert_int_equal(wz_frame_next_item(&items, &item), WZ_OK);
    assert_int_equal(item.kind, WZ_FRAME_ITEM_SEEN);
    assert_true(wz_slice_eq(item.topic, WZ_SLICE_LIT("k")));
    assert_true(wz_slice_eq(item.body, WZ_SLICE_LIT("7")));
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_OK);
    assert_int_equal(result.status, WZ_FRAME_DEFERRED);
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_END);
    assert_int_equal(wz_frame_changes(&it), WZ_OK);
    assert_int_equal(wz_frame_next_entry(&it, &entry), WZ_OK);
    assert_int_equal(entry.lane, 5);
    assert_true(wz_slice_eq(entry.value, entries[0].value));
    assert_int_equal(wz_frame_next_entry(&it, &entry), WZ_OK);
    assert_int_equal(entry.lane, WZ_LANE_SHARED);
    assert_true(entry.removed);
    assert_int_equal(wz_frame_next_entry(&it, &entry), WZ_END);
}

static void test_frame_query_and_found_come_back(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_record record;
    struct wz_frame_query query;
    struct wz_frame_found found;
    struct wz_frame_iter it;

    (void)state;
    build_query(&buf);
    wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
    assert_int_equal(wz_frame_get_query(wz_buf_slice(&buf), &query), WZ_OK);
    assert_int_equal(query.stream, 1);
    assert_int_equal(query.before, 7);
    assert_int_equal(query.since_ms, 1770000000123);
    assert_int_equal(query.until_ms, 0);
    assert_int_equal(query.limit, 10000);
    assert_true(wz_slice_eq(query.pattern, WZ_SLICE_LIT("a.#")));
    buf.len = 0;
    build_found(&buf);
    wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
    assert_int_equal(wz_frame_get_found(wz_buf_slice(&buf), &found), WZ_OK);
    assert_int_equal(wz_frame_iter_init(&it, found.records), WZ_OK);
    assert_int_equal(wz_frame_next_record(&it, &record), WZ_OK);
    assert_true(wz_slice_eq(record.body, first_record.body));
    buf.len = 0;
    build_not_found(&buf);
    wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
    assert_int_equal(wz_frame_get_found(wz_buf_slice(&buf), &found), WZ_OK);
    assert_true(wz_slice_eq(found.error, WZ_SLICE_LIT("gone")));
}

// One byte of a payload set to what its field may not hold.
static const struct {
    void (*build)(struct wz_buf *buf);
    decode_fn decode;
    size_t pos;
    uint8_t value;
} refused[] = {
    {build_load, decode_load, 0, 2},            // an unknown flag
    {build_batch, decode_batch, 4 + 2, 64},     // a lane behind the last
    {build_batch, decode_batch, 4 + 3, 3},      // an unknown flag of a record
    {build_state, decode_state, 4, 65},         // a lane behind the shared one
    {build_state, decode_state, 4 + 1, 4},      // a key of 1,025 bytes
    {build_state, decode_state, 4 + 2, 0},      // no key
    {build_results, decode_results, 4 + 1, 4},  // an unknown status
    {build_results, decode_results, 4 + 22, 5}, // an unknown kind of item
    {build_results, decode_results, 4 + 28, 2}, // an unknown flag of an output
    {build_results, decode_results, 4 + 27, 4}, // an unknown kind of body
    {build_log, decode_log, 0, 3},              // an unknown source
    {build_log, decode_log, 1, 4},              // an unknown severity
};

static void test_frame_fields_out_of_range_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        refused[i].build(&buf);
        wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
        assert_int_equal(refused[i].decode(wz_buf_slice(&buf)), WZ_OK);
        buf.ptr[refused[i].pos] = refused[i].value;
        if (refused[i].decode(wz_buf_slice(&buf)) != WZ_ERR_PROTOCOL)
            fail_msg("case %zu was taken", i);
    }
}

// A key and a value of the full length are taken, one byte more is not.
static void test_frame_entries_are_limited(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_entry entry = {0};
    size_t start = wz_frame_list_open(&buf, WZ_FRAME_STATE);

    (void)state;
    wz_buf_reserve(&bytes, WZ_STATE_VALUE_MAX + 1);
    memset(bytes.ptr, '1', WZ_STATE_VALUE_MAX + 1);
    entry.key = wz_slice(bytes.ptr, WZ_STATE_KEY_MAX);
    entry.value = wz_slice(bytes.ptr, WZ_STATE_VALUE_MAX);
    wz_frame_put_entry(&buf, &entry);
    wz_frame_list_close(&buf, start, 1);
    wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
    assert_int_equal(decode_state(wz_buf_slice(&buf)), WZ_OK);
    wz_buf_add_byte(&buf, '1');
    buf.ptr[4 + 6]++; // the value's length
    assert_int_equal(decode_state(wz_buf_slice(&buf)), WZ_ERR_PROTOCOL);
}

static void test_frame_read_waits_for_every_byte(void **state)
{
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        struct wz_frame frame;
        size_t len;

        vectors[v].build(&buf);
        for (size_t n = 0; n < buf.len; n++) {
            assert_int_equal(wz_frame_read(wz_slice(buf.ptr, n), &frame, &len), WZ_AGAIN);
            assert_int_equal(len, n < WZ_FRAME_HEADER_LEN ? WZ_FRAME_HEADER_LEN : buf.len);
        }
        assert_int_equal(wz_frame_read(wz_buf_slice(&buf), &frame, &len), WZ_OK);
        assert_int_equal(len, buf.len);
        assert_int_equal(frame.type, vectors[v].type);
        assert_int_equal(vectors[v].decode(frame.payload), WZ_OK);
    }
}

static void test_frame_payloads_cut_short_or_too_long_are_refused(void **state)
{
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        size_t len;

        vectors[v].build(&buf);
        wz_buf_consume(&buf, WZ_FRAME_HEADER_LEN);
        len = buf.len - vectors[v].free_text;
        for (size_t n = 0; n < len; n++) {
            // An exact copy, so that reading past its end is seen by the address sanitizer.
            uint8_t *copy = wz_alloc(n + 1);

            memcpy(copy, buf.ptr, n);
            assert_int_equal(vectors[v].decode(wz_slice(copy, n)), WZ_ERR_PROTOCOL);
            wz_free(copy);
        }
        wz_buf_add_byte(&buf, 0);
        if (vectors[v].free_text == 0)
            assert_int_equal(vectors[v].decode(wz_buf_slice(&buf)), WZ_ERR_PROTOCOL);
    }
}

// Each byte in turn set to values that lie about lengths and kinds: never read past the end, never
// more members than the bytes can hold.
static void test_frame_decoders_survive_lying_bytes(void **state)
{
    static const uint8_t lies[] = {0, 1, 2, 5, 0x7f, 0x80, 0xff};

    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        vectors[v].build(&buf);
        for (size_t i = WZ_FRAME_HEADER_LEN; i < buf.len; i++) {
            for (size_t k = 0; k < sizeof(lies); k++) {
                size_t len = buf.len - WZ_FRAME_HEADER_LEN;
                uint8_t *copy = wz_alloc(len);
                int r;

                memcpy(copy, buf.ptr + WZ_FRAME_HEADER_LEN, len);
                copy[i - WZ_FRAME_HEADER_LEN] = lies[k];
                r = vectors[v].decode(wz_slice(copy, len));
                assert_true(r == WZ_OK || r == WZ_ERR_PROTOCOL);
                wz_free(copy);
            }
        }
    }
}

static void test_frame_read_refuses_unknown_types_and_huge_lengths(void **state)
{
    static const uint8_t unknown[] = {0, 0, 0, 0, 7};
    static const uint8_t behind[] = {0, 0, 0, 0, 72};
    static const uint8_t zero[] = {0, 0, 0, 0, 0};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, WZ_FRAME_BATCH};
    struct wz_frame frame;
    size_t len;

    (void)state;
    assert_int_equal(wz_frame_read(wz_slice(unknown, 5), &frame, &len), WZ_ERR_PROTOCOL);
    assert_int_equal(wz_frame_read(wz_slice(behind, 5), &frame, &len), WZ_ERR_PROTOCOL);
    assert_int_equal(wz_frame_read(wz_slice(zero, 5), &frame, &len), WZ_ERR_PROTOCOL);
    assert_int_equal(wz_frame_read(wz_slice(huge, 5), &frame, &len), WZ_ERR_PROTOCOL);
}

static void test_severity_words_go_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < WZ_SEVERITY_COUNT; i++) {
        const char *word = wz_severity_word((enum wz_severity)i);

        assert_int_equal(wz_severity_find(wz_slice_str(word)), i);
    }
    assert_int_equal(wz_severity_find(WZ_SLICE_LIT("loud")), WZ_SEVERITY_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_bytes_are_those_of_the_document),
        cmocka_unit_test(test_frame_values_come_back),
        cmocka_unit_test(test_frame_results_items_and_changes_come_back),
        cmocka_unit_test(test_frame_query_and_found_come_back),
        cmocka_unit_test(test_frame_fields_out_of_range_are_refused),
        cmocka_unit_test(test_frame_entries_are_limited),
        cmocka_unit_test(test_frame_read_waits_for_every_byte),
        cmocka_unit_test(test_frame_payloads_cut_short_or_too_long_are_refused),
        cmocka_unit_test(test_frame_decoders_survive_lying_bytes),
        cmocka_unit_test(test_frame_read_refuses_unknown_types_and_huge_lengths),
        cmocka_unit_test(test_severity_words_go_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
