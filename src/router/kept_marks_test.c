// SPDX-License-Identifier: Apache-2.0
#include "router/kept_marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/documents_test.h"
#include "stream/testjournal_test.h"

static struct wz_marks marks;
static struct wz_journal *journal;

static int replay(void *arg, const struct wz_journal_record *record)
{
    (void)arg;
    return wz_marks_replay(&marks, journal, record);
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    (void)arg;
    return wz_marks_find(&marks, key);
}

static struct wz_journal_kind kind = {WZ_MARKS_LETTER, NULL, replay, find};

static void test_marks_are_of_single_offsets(void **state)
{
    uint64_t seed = 3;
    bool model[20000] = {0};

    (void)state;
    for (int i = 0; i < 5000; i++) {
        uint64_t offset = next_random(&seed) % 20000;

        wz_marks_set(&marks, (int64_t)offset);
        model[offset] = true;
    }
    for (int i = 0; i < 20000; i++)
        assert_int_equal(wz_marks_has(&marks, i), model[i]);
    assert_false(wz_marks_has(&marks, INT64_C(1) << 40));
    wz_marks_release(&marks);
    marks = (struct wz_marks){0};
}

static void open_journal(struct testjournal *t)
{
    assert_int_equal(wz_loop_init(&t->loop), WZ_OK);
    assert_int_equal(wz_journal_open(t->dir, &t->opt, &journal, &t->recovery, NULL), WZ_OK);
    wz_journal_join(journal, &kind);
    assert_int_equal(wz_journal_replay(journal, NULL), WZ_OK);
    wz_journal_start(journal);
}

static void close_journal(struct testjournal *t)
{
    wz_journal_stop(journal);
    wz_loop_stop(&t->loop);
    wz_loop_run(&t->loop);
    t->journal = NULL;
    assert_int_equal(wz_journal_close(journal), WZ_OK);
    wz_loop_release(&t->loop);
    wz_marks_release(&marks);
    marks = (struct wz_marks){0};
}

static void put(int64_t first)
{
    int64_t unused;

    wz_journal_begin(journal);
    wz_marks_put(&marks, journal, first);
    wz_journal_end(journal, &unused);
}

static void reopen(struct testjournal *t)
{
    close_journal(t);
    open_journal(t);
}

static void test_marks_are_as_the_journal_has_them(void **state)
{
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    open_journal(&t);
    wz_marks_set(&marks, 5);
    wz_marks_set(&marks, 5000);
    put(0);
    wz_marks_set(&marks, 5001); // is not put
    reopen(&t);
    assert_true(wz_marks_has(&marks, 5) && wz_marks_has(&marks, 5000));
    assert_false(wz_marks_has(&marks, 5001));
    wz_marks_set(&marks, 5001);
    put(WZ_MARKS_CHUNK); // what is below is gone
    assert_false(wz_marks_has(&marks, 5));
    reopen(&t);
    assert_false(wz_marks_has(&marks, 5));
    assert_true(wz_marks_has(&marks, 5000) && wz_marks_has(&marks, 5001));
    assert_int_equal(marks.chunks.count, 1);
    close_journal(&t);
    testjournal_release(&t);
}

static void test_marks_refuse_what_has_not_their_form(void **state)
{
    uint8_t bits[WZ_MARKS_BYTES] = {0};
    struct wz_journal_record record = {.key = wz_slice("m12345678", 9),
                                       .value = wz_slice(bits, sizeof(bits) - 1)};

    (void)state;
    assert_int_equal(wz_marks_replay(&marks, NULL, &record), WZ_ERR_CORRUPT);
    record.value = wz_slice(bits, sizeof(bits));
    record.key = wz_slice("m1234567", 8);
    assert_int_equal(wz_marks_replay(&marks, NULL, &record), WZ_ERR_CORRUPT);
    record.key = wz_slice("m\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_int_equal(wz_marks_replay(&marks, NULL, &record), WZ_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_are_of_single_offsets),
        cmocka_unit_test(test_marks_are_as_the_journal_has_them),
        cmocka_unit_test(test_marks_refuse_what_has_not_their_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
