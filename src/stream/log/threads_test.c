// SPDX-License-Identifier: Apache-2.0
// One thread appends while others read: for a thread sanitizer, and for order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream/log/testlog_test.h"

#define RECORDS 20000

struct follower {
    struct testlog *t;
    const char *pattern;
    int64_t step;  // between the offsets it must see
    int64_t count; // seen
    const char *wrong;
    _Atomic bool *stop; // everything was written
    pthread_t thread;
};

// Follows the log to its end; notes the first thing that is not as it should be.
static void *follow(void *arg)
{
    struct follower *f = arg;
    struct wz_reader_options opt = {.pattern = wz_slice_str(f->pattern)};
    struct wz_reader *reader;
    struct wz_record record;

    if (wz_reader_open(f->t->log, &opt, &reader) != WZ_OK) {
        f->wrong = "open";
        return NULL;
    }
    while (f->count * f->step < RECORDS && f->wrong == NULL) {
        bool last = atomic_load(f->stop);
        int r = wz_reader_next(reader, &record);

        if (r == WZ_OK && (record.offset != f->count * f->step || !testlog_is_right(f->t, &record)))
            f->wrong = "record";
        else if (r < 0)
            f->wrong = "error";
        else if (r == WZ_END && last)
            f->wrong = "end";
        f->count += r == WZ_OK;
    }
    wz_reader_close(reader);
    return NULL;
}

// Looks back from the end again and again.
static void *look_back(void *arg)
{
    struct follower *f = arg;
    struct wz_reader_options opt = {
        .direction = WZ_BACKWARD, .position = INT64_MAX, .pattern = wz_slice_str(f->pattern)};

    while (!atomic_load(f->stop) && f->wrong == NULL) {
        struct wz_reader *reader;
        struct wz_record record;
        int64_t before = INT64_MAX;
        int64_t found;

        if (wz_reader_open(f->t->log, &opt, &reader) != WZ_OK) {
            f->wrong = "open";
            break;
        }
        for (int i = 0; i < 300 && wz_reader_next(reader, &record) == WZ_OK; i++) {
            if (record.offset % f->step != 0 || !testlog_is_right(f->t, &record) ||
                (before != INT64_MAX && record.offset != before - f->step))
                f->wrong = "record";
            before = record.offset;
            f->count++;
        }
        wz_reader_close(reader);
        if (wz_log_find_time(f->t->log, 500, &found) != WZ_OK)
            f->wrong = "time";
    }
    return NULL;
}

static void test_log_is_read_by_others_while_it_grows(void **state)
{
    _Atomic bool stop = false;
    struct testlog t;
    struct follower followers[] = {{.pattern = "", .step = 1},
                                   {.pattern = "site.0.temp", .step = 7},
                                   {.pattern = "site.0.*", .step = 7}};
    struct wz_log_info info;

    (void)state;
    testlog_init(&t);
    t.opt.segment_bytes = 300000;
    testlog_open(&t);
    for (int i = 0; i < 3; i++) {
        followers[i].t = &t;
        followers[i].stop = &stop;
        assert_int_equal(
            pthread_create(&followers[i].thread, NULL, i < 2 ? follow : look_back, &followers[i]),
            0);
    }
    for (int i = 0; i < RECORDS / 50; i++) {
        wz_log_set_time(t.log, i);
        testlog_append_many(&t, 50, 80);
        if (i % 7 == 0)
            testlog_settle(&t);
        wz_log_info(t.log, &info);
    }
    testlog_settle(&t);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(followers[i].thread, NULL), 0);
        if (followers[i].wrong != NULL)
            fail_msg("reader %d at %lld: %s", i, (long long)followers[i].count, followers[i].wrong);
        assert_true(followers[i].count > 0);
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_is_read_by_others_while_it_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
