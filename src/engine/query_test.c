// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fs.h"
#include "engine/query.h"
#include "engine/rig_test.h"

// Reads of files by a look back: after the first the test's thread has its say.
static struct {
    _Atomic bool watched;
    _Atomic int count;
    uv_sem_t reading;
    uv_sem_t go_on;
} reads;

static _Thread_local bool is_test_thread;

// The linker puts it in front of base/fs.h's.
int __real_wz_fs_read(int fd, void *ret_bytes, size_t len, int64_t pos, size_t *ret_len);
int __wrap_wz_fs_read(int fd, void *ret_bytes, size_t len, int64_t pos, size_t *ret_len);
int __wrap_wz_fs_read(int fd, void *ret_bytes, size_t len, int64_t pos, size_t *ret_len)
{
    if (reads.watched && !is_test_thread && ++reads.count == 1) {
        uv_sem_post(&reads.reading);
        uv_sem_wait(&reads.go_on);
    }
    return __real_wz_fs_read(fd, ret_bytes, len, pos, ret_len);
}

// An answer: the numbers of the records, and the error.
struct answer {
    int64_t numbers[1000];
    size_t count;
    char error[128];
    bool there;
};

static void on_found(void *arg, struct wz_slice bytes)
{
    struct answer *answer = arg;
    struct wz_frame_record record;
    struct wz_frame_found found;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    assert_int_equal(wz_frame_read(bytes, &frame, &len), WZ_OK);
    assert_int_equal(len, bytes.len);
    assert_int_equal(frame.type, WZ_FRAME_FOUND);
    assert_int_equal(wz_frame_get_found(frame.payload, &found), WZ_OK);
    (void)snprintf(answer->error, sizeof(answer->error), "%.*s", WZ_SLICE_FMT(found.error));
    answer->there = true;
    if (found.error.len > 0)
        return;
    assert_int_equal(wz_frame_iter_init(&it, found.records), WZ_OK);
    while (wz_frame_next_record(&it, &record) == WZ_OK)
        answer->numbers[answer->count++] = rig_number(record.body);
}

static void ask(struct rig *rig, struct wz_frame_query asked, struct answer *ret_answer)
{
    *ret_answer = (struct answer){0};
    (void)wz_query_start(&rig->loop.uv, rig->logs[WZ_SCRIPT_RAW], &asked, on_found,
                         ret_answer); // it frees itself
    while (!ret_answer->there)
        rig_turn(rig);
}

// Ten records a second, appended at once, on two topics in turn.
static void fill(struct rig *rig)
{
    for (int i = 0; i < 100; i++) {
        wz_log_set_time(rig->logs[WZ_SCRIPT_RAW], 1770000000000 + i / 10 * 1000);
        rig_feed(rig, i % 2 == 0 ? "in.a" : "in.b", 1);
        if (i % 10 == 9)
            rig_settle(rig);
    }
}

static void test_query_finds_the_newest_below_an_offset_oldest_first(void **state)
{
    struct rig *rig = *state;
    struct answer answer;

    fill(rig);
    ask(rig, (struct wz_frame_query){.before = 51, .limit = 3, .pattern = WZ_SLICE_LIT("in.a")},
        &answer);
    assert_string_equal(answer.error, "");
    assert_int_equal(answer.count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer.numbers[i], 46 + 2 * i);
    ask(rig, (struct wz_frame_query){.before = 50, .limit = 1, .pattern = WZ_SLICE_LIT("#")},
        &answer);
    assert_int_equal(answer.numbers[0], 49); // never the record itself
    ask(rig, (struct wz_frame_query){.before = 0, .limit = 9, .pattern = WZ_SLICE_LIT("#")},
        &answer);
    assert_int_equal(answer.count, 0);
}

static void test_query_keeps_to_its_times(void **state)
{
    struct rig *rig = *state;
    struct answer answer;

    fill(rig);
    ask(rig,
        (struct wz_frame_query){.before = INT64_MAX,
                                .since_ms = 1770000000000 + 2000,
                                .until_ms = 1770000000000 + 3000,
                                .limit = 100,
                                .pattern = WZ_SLICE_LIT("#")},
        &answer);
    assert_int_equal(answer.count, 10);
    assert_int_equal(answer.numbers[0], 20);
    assert_int_equal(answer.numbers[9], 29);
}

static void test_query_of_a_pattern_that_is_none_tells_why(void **state)
{
    struct rig *rig = *state;
    struct answer answer;

    fill(rig);
    ask(rig, (struct wz_frame_query){.before = 9, .limit = 9, .pattern = WZ_SLICE_LIT("a.#b..")},
        &answer);
    assert_string_not_equal(answer.error, "");
}

static void test_query_that_is_cancelled_tells_nobody(void **state)
{
    struct rig *rig = *state;
    struct answer answer = {0};
    struct answer other;
    struct wz_query *query;

    fill(rig);
    query = wz_query_start(
        &rig->loop.uv, rig->logs[WZ_SCRIPT_RAW],
        &(struct wz_frame_query){.before = 9, .limit = 9, .pattern = WZ_SLICE_LIT("#")}, on_found,
        &answer);
    wz_query_cancel(query);
    wz_query_cancel(NULL);
    ask(rig, (struct wz_frame_query){.before = 9, .limit = 9, .pattern = WZ_SLICE_LIT("#")},
        &other);
    for (int i = 0; i < 20; i++)
        rig_turn(rig);
    assert_int_equal(other.count, 9);
    assert_false(answer.there);
}

// How often a look back at all of the stream reads; CANCEL: it is cancelled while it reads first.
static int count_reads(struct rig *rig, bool cancel)
{
    const struct wz_frame_query asked = {
        .before = INT64_MAX, .limit = 10000, .pattern = WZ_SLICE_LIT("#")};
    struct answer answer = {0};
    struct answer other;
    struct wz_query *query;

    assert_int_equal(uv_sem_init(&reads.reading, 0), 0);
    assert_int_equal(uv_sem_init(&reads.go_on, 0), 0);
    reads.count = 0;
    reads.watched = true;
    query = wz_query_start(&rig->loop.uv, rig->logs[WZ_SCRIPT_RAW], &asked, on_found, &answer);
    uv_sem_wait(&reads.reading);
    if (cancel)
        wz_query_cancel(query);
    uv_sem_post(&reads.go_on);
    while (!answer.there && !cancel)
        rig_turn(rig);
    // The pool has one thread: it has come to this one, which reads nothing, when it has ended
    // that.
    ask(rig, (struct wz_frame_query){.before = 9, .limit = 1, .pattern = WZ_SLICE_LIT("a.#b..")},
        &other);
    reads.watched = false;
    assert_int_equal(answer.count, cancel ? 0 : 1000);
    uv_sem_destroy(&reads.reading);
    uv_sem_destroy(&reads.go_on);
    return reads.count;
}

static void test_query_that_is_cancelled_reads_no_further(void **state)
{
    struct rig *rig = *state;

    is_test_thread = true;
    for (int i = 0; i < 10; i++)
        fill(rig);
    assert_true(count_reads(rig, false) > 10);
    assert_int_equal(count_reads(rig, true), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_query_finds_the_newest_below_an_offset_oldest_first),
        TEST(test_query_keeps_to_its_times),
        TEST(test_query_of_a_pattern_that_is_none_tells_why),
        TEST(test_query_that_is_cancelled_tells_nobody),
        TEST(test_query_that_is_cancelled_reads_no_further),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    assert_int_equal(setenv("UV_THREADPOOL_SIZE", "1", 1), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
