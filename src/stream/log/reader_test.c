// SPDX-License-Identifier: Apache-2.0
// Readers against a naive model: an array of what was appended.
#include "stream/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/log/inside.h"
#include "stream/log/segment.h"
#include "stream/log/testlog_test.h"

#define RECORDS_MAX 20000

struct model {
    uint32_t topic[RECORDS_MAX];
    int64_t ms[RECORDS_MAX];
    int64_t count;
};

static struct model model;
static uint64_t random_state;

// The tests' own numbers: the same from the same seed.
static uint32_t roll(uint32_t below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((random_state >> 33) % below);
}

static void seed_from(const char *what)
{
    const char *given = getenv("WYZE_TEST_SEED");

    random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("%s: WYZE_TEST_SEED=%llu\n", what, (unsigned long long)random_state);
}

static void topic_name(uint32_t topic, char ret_name[32])
{
    (void)snprintf(ret_name, 32, "house.%u.lamp%u", (unsigned)(topic % 10), (unsigned)topic);
}

static void append(struct testlog *t, uint32_t topic, size_t len)
{
    static const uint8_t body[2000];
    char name[32];
    int64_t offset;
    struct wz_record_parts parts = {.value = {wz_slice(body, len)}, .value_count = 1};

    topic_name(topic, name);
    parts.key = wz_slice_str(name);
    while (wz_log_append(t->log, &parts, &offset) == WZ_ERR_BUSY) {
        wz_log_flush(t->log);
        testlog_wait(t);
    }
    assert_int_equal(offset, model.count);
    model.topic[model.count++] = topic;
}

// Notes the append times that the log has given.
static void note_times(struct testlog *t)
{
    struct wz_reader *reader;
    struct wz_record record;

    assert_int_equal(wz_reader_open(t->log, &(struct wz_reader_options){0}, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK)
        model.ms[record.offset] = record.append_ms;
    assert_int_equal(wz_reader_position(reader), model.count);
    wz_reader_close(reader);
}

// A log of some thousand records in segments, batches and groups of random sizes; most records are
// of few topics, some of many.
static void fill(struct testlog *t)
{
    int64_t now = 1000000;
    int64_t count = 4000 + roll(12000);

    model.count = 0;
    testlog_init(t);
    t->opt.segment_bytes = 50000 + roll(400000);
    testlog_open(t);
    while (model.count < count) {
        uint32_t topic = roll(3) > 0 ? roll(5) : roll(2000);

        append(t, topic, roll(20) == 0 ? 1500 : roll(120));
        if (roll(40) == 0) {
            now += roll(3000);
            wz_log_set_time(t->log, now);
            wz_log_flush(t->log);
        }
        if (roll(500) == 0)
            testlog_settle(t);
    }
    testlog_settle(t);
    note_times(t);
}

// Whether the naive model lets a record through.
static bool model_wants(const struct wz_reader_options *opt, int64_t offset)
{
    char name[32];

    topic_name(model.topic[offset], name);
    if (opt->pattern.len > 0 && !wz_slice_eq(opt->pattern, WZ_SLICE_LIT("#"))) {
        struct wz_slice end =
            opt->pattern; // all patterns here are literal, "house.N.*" or "house.N.#"

        if (end.ptr[end.len - 1] == '*' || end.ptr[end.len - 1] == '#')
            end.len--;
        if (end.len == opt->pattern.len ? !wz_slice_eq(end, wz_slice_str(name))
                                        : !wz_slice_starts(wz_slice_str(name), end))
            return false;
    }
    return true;
}

// Reads the log as OPT says and holds every record against the model.
static void compare(struct testlog *t, const struct wz_reader_options *opt, int64_t stop_after)
{
    bool forward = opt->direction == WZ_FORWARD;
    int64_t at =
        forward ? opt->position : (opt->position < model.count ? opt->position : model.count) - 1;
    struct wz_reader *reader;
    struct wz_record record;
    int64_t count = 0;
    char name[32];
    int r = WZ_OK;

    assert_int_equal(wz_reader_open(t->log, opt, &reader), WZ_OK);
    for (; at >= 0 && at < model.count && count < stop_after; at += forward ? 1 : -1) {
        if (opt->limit_ms != 0 &&
            (forward ? model.ms[at] > opt->limit_ms : model.ms[at] < opt->limit_ms))
            break;
        if (!model_wants(opt, at))
            continue;
        r = wz_reader_next(reader, &record);
        if (r != WZ_OK || record.offset != at)
            fail_msg("wanted offset %lld, got %lld (%d)", (long long)at, (long long)record.offset,
                     r);
        topic_name(model.topic[at], name);
        assert_true(wz_slice_eq(record.key, wz_slice_str(name)));
        assert_int_equal(record.append_ms, model.ms[at]);
        count++;
    }
    if (count < stop_after)
        assert_int_equal(wz_reader_next(reader, &record), WZ_END);
    if (forward && count < stop_after && opt->limit_ms == 0)
        assert_true(wz_reader_position(reader) >= model.count);
    wz_reader_close(reader);
}

static struct wz_slice random_pattern(char space[48])
{
    char name[32];

    topic_name(roll(4) == 0 ? roll(2000) : roll(5), name);
    (void)snprintf(space, 48, "%s", name);
    if (roll(3) == 0)
        (void)snprintf(space, 48, "house.%u.%s", (unsigned)roll(10), roll(2) ? "*" : "#");
    if (roll(5) == 0)
        (void)snprintf(space, 48, "%s", roll(2) ? "#" : "");
    return wz_slice_str(space);
}

static void compare_randomly(struct testlog *t, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        char space[48];
        struct wz_reader_options opt = {.pattern = random_pattern(space)};
        bool backward = roll(2);

        opt.direction = backward ? WZ_BACKWARD : WZ_FORWARD;
        opt.position = roll(4) == 0 ? (backward ? INT64_MAX : 0) : roll((uint32_t)model.count + 1);
        if (roll(4) == 0)
            opt.limit_ms = model.ms[roll((uint32_t)model.count)];
        compare(t, &opt, roll(3) == 0 ? 1 + roll(100) : INT64_MAX);
    }
}

static void test_reader_agrees_with_a_naive_model(void **state)
{
    struct testlog t;

    (void)state;
    seed_from("reader");
    for (int i = 0; i < 4; i++) {
        fill(&t);
        compare_randomly(&t, 60);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_open(&t); // once more, out of files alone
        compare_randomly(&t, 60);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_release(&t);
    }
}

static void test_reader_finds_the_first_record_of_a_time(void **state)
{
    struct testlog t;
    int64_t found;

    (void)state;
    seed_from("time");
    fill(&t);
    for (int i = 0; i < 400; i++) {
        int64_t ms = 999990 + roll((uint32_t)(model.ms[model.count - 1] - 999980));
        int64_t expected = 0;

        while (expected < model.count && model.ms[expected] < ms)
            expected++;
        assert_int_equal(wz_log_find_time(t.log, ms, &found), WZ_OK);
        assert_int_equal(found, expected);
        if (i == 200) {
            assert_int_equal(testlog_close(&t), WZ_OK);
            testlog_open(&t);
        }
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_reader_goes_on_when_more_comes(void **state)
{
    static const char *const patterns[] = {"", "house.1.lamp1", "house.1.*"};

    (void)state;
    seed_from("more");
    for (size_t p = 0; p < 3; p++) {
        struct wz_reader_options opt = {.pattern = wz_slice_str(patterns[p])};
        struct wz_reader *reader;
        struct wz_record record;
        struct testlog t;
        int64_t at = 0;

        model.count = 0;
        testlog_init(&t);
        t.opt.segment_bytes = 60000;
        testlog_open(&t);
        assert_int_equal(wz_reader_open(t.log, &opt, &reader), WZ_OK);
        for (int i = 0; i < 300; i++) {
            for (uint32_t k = 1 + roll(20); k > 0; k--)
                append(&t, roll(30), roll(200));
            testlog_settle(&t);
            for (; at < model.count; at++) {
                if (!model_wants(&opt, at))
                    continue;
                assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
                assert_int_equal(record.offset, at);
            }
            assert_int_equal(wz_reader_next(reader, &record), WZ_END);
            assert_int_equal(wz_reader_position(reader), model.count);
        }
        wz_reader_close(reader);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_release(&t);
    }
}

// A growing segment of many blocks, none of which holds what is asked for, but for the first one.
static void test_reader_ends_where_many_blocks_hold_nothing_wanted(void **state)
{
    static const char *const patterns[] = {"not.there", "not.#", "house.1.lamp1"};

    (void)state;
    for (size_t p = 0; p < 3; p++) {
        struct wz_reader_options opt = {.pattern = wz_slice_str(patterns[p])};
        struct wz_reader *reader;
        struct wz_record record;
        struct testlog t;

        model.count = 0;
        testlog_init(&t);
        testlog_open(&t);
        append(&t, 1, 10);
        for (int i = 0; i < 200; i++) {
            for (int k = 0; k < 4; k++)
                append(&t, 2, 2000);
            testlog_settle(&t);
        }
        assert_int_equal(wz_reader_open(t.log, &opt, &reader), WZ_OK);
        if (p == 2)
            assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
        assert_int_equal(wz_reader_next(reader, &record), WZ_END);
        assert_int_equal(wz_reader_position(reader), model.count);
        wz_reader_close(reader);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_release(&t);
    }
}

static void test_reader_refuses_a_bad_pattern(void **state)
{
    struct wz_reader_options opt = {.pattern = WZ_SLICE_LIT("a.b*")};
    struct wz_reader *reader;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    assert_int_equal(wz_reader_open(t.log, &opt, &reader), WZ_ERR_INVALID);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

// A segment that somebody has removed under a running log costs no more than its own records.
static void test_reader_goes_past_a_segment_whose_file_is_gone(void **state)
{
    (void)state;
    for (int backward = 0; backward <= 1; backward++) {
        struct wz_reader_options opt = {
            .direction = backward ? WZ_BACKWARD : WZ_FORWARD,
            .position = backward ? INT64_MAX : 0,
        };
        struct wz_reader *reader;
        struct wz_record record;
        struct wz_place place;
        struct testlog t;
        char path[WZ_SEGMENT_PATH_MAX];
        int64_t count = 0;
        int64_t found;
        int64_t gone;
        int r;

        testlog_init(&t);
        t.opt.segment_bytes = 60000;
        testlog_open(&t);
        for (int i = 0; i < 20; i++) {
            wz_log_set_time(t.log, 1000 + i);
            testlog_append_many(&t, 10, 1000);
            testlog_settle(&t);
        }
        assert_int_equal(wz_shelf_find(wz_log_shelf(t.log), 100, &place), WZ_OK);
        gone = place.facts.last_offset + 1 - place.facts.first_offset;
        wz_segment_path(wz_log_dir(t.log), place.facts.base_offset, WZ_SEGMENT_LOG, path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(wz_log_find_time(t.log, place.facts.last_ms, &found), WZ_OK);
        assert_int_equal(found, place.facts.last_offset + 1);
        assert_int_equal(wz_reader_open(t.log, &opt, &reader), WZ_OK);
        while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
            assert_false(record.offset >= place.facts.first_offset &&
                         record.offset <= place.facts.last_offset);
            count++;
        }
        assert_int_equal(r, WZ_END);
        assert_int_equal(count, 200 - gone);
        assert_in_range(gone, 10, 100);
        assert_int_equal(wz_reader_damaged(reader), 1);
        wz_reader_close(reader);
        (void)testlog_close(&t); // a segment is missing
        testlog_release(&t);
    }
}

// Of what the reader has in hand there may come more, of what it would have to read nothing.
static void test_reader_that_is_cancelled_reads_no_further(void **state)
{
    (void)state;
    for (int backward = 0; backward <= 1; backward++) {
        atomic_bool cancelled = false;
        struct wz_reader_options opt = {
            .direction = backward ? WZ_BACKWARD : WZ_FORWARD,
            .position = backward ? INT64_MAX : 0,
            .cancelled = &cancelled,
        };
        struct wz_reader *reader;
        struct wz_record record;
        struct testlog t;
        int more = 0;
        int r;

        testlog_init(&t);
        testlog_open(&t);
        for (int i = 0; i < 100; i++) {
            testlog_append_many(&t, 10, 500);
            testlog_settle(&t); // a batch
        }
        assert_int_equal(wz_reader_open(t.log, &opt, &reader), WZ_OK);
        for (int i = 0; i < 500; i++)
            assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
        cancelled = true;
        while ((r = wz_reader_next(reader, &record)) == WZ_OK)
            more++;
        assert_int_equal(r, WZ_ERR_CLOSED);
        assert_in_range(more, 0, 20);
        assert_int_equal(wz_reader_next(reader, &record), WZ_ERR_CLOSED);
        wz_reader_close(reader);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_release(&t);
    }
}

static void count_call(void *arg) { atomic_fetch_add((_Atomic int *)arg, 1); }

static void test_log_tells_its_watcher(void **state)
{
    _Atomic int calls = 0;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    wz_log_watch(t.log, count_call, &calls);
    testlog_append_many(&t, 10, 10);
    testlog_settle(&t);
    assert_true(calls > 0);
    wz_log_watch(t.log, NULL, NULL);
    calls = 0;
    testlog_append_many(&t, 10, 10);
    testlog_settle(&t);
    assert_int_equal(calls, 0);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_agrees_with_a_naive_model),
        cmocka_unit_test(test_reader_finds_the_first_record_of_a_time),
        cmocka_unit_test(test_reader_goes_on_when_more_comes),
        cmocka_unit_test(test_reader_ends_where_many_blocks_hold_nothing_wanted),
        cmocka_unit_test(test_reader_refuses_a_bad_pattern),
        cmocka_unit_test(test_reader_goes_past_a_segment_whose_file_is_gone),
        cmocka_unit_test(test_reader_that_is_cancelled_reads_no_further),
        cmocka_unit_test(test_log_tells_its_watcher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
