// SPDX-License-Identifier: Apache-2.0
// The memory of the passthrough on a journal on disk.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/pass_states.h"

#define STATES 3

struct rig {
    char dir[64];
    struct wz_loop loop;
    struct wz_journal *journal;
    struct wz_journal_kind kind;
    struct wz_pass_states states;
    uint64_t forgotten; // a rule that is not known any more
};

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    (void)arg;
    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
}

static int replay(void *arg, const struct wz_journal_record *record)
{
    return wz_pass_states_replay(arg, record);
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    return wz_pass_states_find(arg, key);
}

static bool is_known(void *arg, uint64_t rule) { return rule != ((struct rig *)arg)->forgotten; }

static void open_rig(struct rig *rig)
{
    struct wz_journal_options options = {
        .loop = &rig->loop, .durability = WZ_DURABILITY_OS, .on_durable = on_durable};
    struct wz_log_recovery recovery;
    struct wz_problem problem;

    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    assert_int_equal(wz_journal_open(rig->dir, &options, &rig->journal, &recovery, &problem),
                     WZ_OK);
    wz_pass_states_init(&rig->states, rig->journal, STATES);
    rig->kind = (struct wz_journal_kind){'V', &rig->states, replay, find};
    wz_journal_join(rig->journal, &rig->kind);
    assert_int_equal(wz_journal_replay(rig->journal, &problem), WZ_OK);
}

static void close_rig(struct rig *rig)
{
    wz_journal_stop(rig->journal);
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    assert_int_equal(wz_journal_close(rig->journal), WZ_OK);
    wz_pass_states_release(&rig->states);
    wz_loop_release(&rig->loop);
}

// Closes and opens again; what was put is there.
static void reopen(struct rig *rig)
{
    close_rig(rig);
    open_rig(rig);
    wz_pass_states_settle(&rig->states, is_known, rig);
}

static int setup(void **state)
{
    struct rig *rig = wz_zalloc(1, sizeof(*rig));

    (void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/wyze-states-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    open_rig(rig);
    *state = rig;
    return 0;
}

static int remove_name(const char *name, void *arg)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    return wz_fs_remove(path);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    close_rig(rig);
    assert_int_equal(wz_fs_walk(rig->dir, remove_name, rig->dir), WZ_OK);
    assert_int_equal(rmdir(rig->dir), 0);
    wz_free(rig);
    return 0;
}

// A record at OFFSET, whose time and value follow from that.
static struct wz_pass_last last_at(int64_t offset)
{
    return (struct wz_pass_last){
        .offset = offset,
        .append_ms = 1770000000000 + offset,
        .value = {.kind = WZ_PASS_NUMBER, .number = (double)offset / 4, .hash = {7, 8}},
    };
}

static void set(struct rig *rig, uint64_t rule, const char *topic, int64_t offset)
{
    struct wz_pass_last last = last_at(offset);

    wz_pass_states_set(&rig->states, rule, wz_slice_str(topic), &last);
}

// Puts at most MAX keys of what was frozen, as one group.
static bool save(struct rig *rig, size_t max)
{
    int64_t unused;
    bool done;

    wz_journal_begin(rig->journal);
    done = wz_pass_states_save(&rig->states, max);
    wz_journal_end(rig->journal, &unused);
    return done;
}

static void keep(struct rig *rig)
{
    wz_pass_states_freeze(&rig->states);
    assert_true(save(rig, 1000));
}

// The offset that is remembered, -1: none. All else is that of the record there.
static int64_t get(struct rig *rig, uint64_t rule, const char *topic)
{
    const struct wz_pass_last *last = wz_pass_states_get(&rig->states, rule, wz_slice_str(topic));
    struct wz_pass_last wanted;

    if (!last)
        return -1;
    wanted = last_at(last->offset);
    assert_int_equal(last->append_ms, wanted.append_ms);
    assert_int_equal(last->value.kind, wanted.value.kind);
    assert_true(last->value.number == wanted.value.number);
    assert_memory_equal(last->value.hash, wanted.value.hash, sizeof(wanted.value.hash));
    return last->offset;
}

static void test_pass_states_are_there_again(void **state)
{
    struct rig *rig = *state;

    set(rig, 1, "a", 10);
    set(rig, 2, "a", 11);
    set(rig, 1, "b", 12);
    set(rig, 1, "a", 13);
    keep(rig);
    reopen(rig);
    assert_int_equal(get(rig, 1, "a"), 13);
    assert_int_equal(get(rig, 2, "a"), 11);
    assert_int_equal(get(rig, 1, "b"), 12);
    assert_int_equal(get(rig, 2, "b"), -1);
    assert_int_equal(rig->states.count, 3);
}

static void test_pass_states_are_saved_as_they_were_frozen(void **state)
{
    struct rig *rig = *state;

    set(rig, 1, "a", 10);
    set(rig, 1, "b", 11);
    wz_pass_states_freeze(&rig->states);
    assert_false(save(rig, 1));
    set(rig, 1, "a", 12); // it is put already,
    set(rig, 1, "b", 13); // it is not
    set(rig, 1, "c", 14);
    assert_true(save(rig, 1));
    assert_int_equal(get(rig, 1, "b"), 13);
    reopen(rig);
    assert_int_equal(get(rig, 1, "a"), 10);
    assert_int_equal(get(rig, 1, "b"), 11);
    assert_int_equal(get(rig, 1, "c"), -1);
    set(rig, 1, "a", 12);
    wz_pass_states_freeze(&rig->states);
    set(rig, 1, "a", 15);
    assert_true(save(rig, 10));
    keep(rig); // what has changed meanwhile comes with the next
    reopen(rig);
    assert_int_equal(get(rig, 1, "a"), 15);
}

static void test_pass_states_forget_what_passed_longest_ago(void **state)
{
    struct rig *rig = *state;

    set(rig, 1, "a", 10);
    set(rig, 1, "b", 11);
    set(rig, 1, "c", 12);
    set(rig, 1, "a", 13);
    set(rig, 1, "d", 14);
    assert_int_equal(get(rig, 1, "b"), -1);
    assert_int_equal(get(rig, 1, "a"), 13);
    keep(rig);
    set(rig, 1, "e", 15); // c goes, which the journal has
    set(rig, 1, "f", 16); // a goes
    set(rig, 1, "c", 17); // d goes; it is back
    keep(rig);
    reopen(rig);
    assert_int_equal(rig->states.count, STATES);
    assert_int_equal(get(rig, 1, "e"), 15);
    assert_int_equal(get(rig, 1, "f"), 16);
    assert_int_equal(get(rig, 1, "c"), 17);
    assert_int_equal(rig->states.by_key.count, STATES); // and nothing else is kept
}

static void test_pass_states_hold_nothing_of_what_nobody_keeps(void **state)
{
    struct rig *rig = *state;

    for (int64_t i = 0; i < 10000; i++) {
        char topic[32];

        (void)snprintf(topic, sizeof(topic), "t%lld", (long long)i);
        set(rig, 1, topic, i);
        if (i % 100 == 50)
            wz_pass_states_freeze(&rig->states);
        if (i % 100 == 60)
            assert_true(save(rig, 1000));
        assert_true(rig->states.by_key.count <= 4 * STATES);
    }
    keep(rig);
    keep(rig); // what was put and has gone
    assert_int_equal(rig->states.by_key.count, STATES);
    reopen(rig);
    assert_int_equal(get(rig, 1, "t9999"), 9999);
    assert_int_equal(get(rig, 1, "t9996"), -1);
}

static void test_pass_states_of_a_rule_go_with_it(void **state)
{
    struct rig *rig = *state;

    set(rig, 1, "a", 10);
    set(rig, 2, "a", 11);
    keep(rig);
    set(rig, 1, "b", 12);
    wz_pass_states_freeze(&rig->states);
    wz_pass_states_forget(&rig->states, 1); // while it is saved
    assert_true(save(rig, 10));
    assert_int_equal(get(rig, 1, "a"), -1);
    keep(rig);
    reopen(rig);
    assert_int_equal(rig->states.count, 1);
    assert_int_equal(get(rig, 2, "a"), 11);
    rig->forgotten = 2;
    reopen(rig); // the journal knows no such rule
    assert_int_equal(rig->states.count, 0);
    keep(rig);
    rig->forgotten = 0;
    reopen(rig);
    assert_int_equal(rig->states.count, 0);
}

static void test_pass_states_take_what_was_found_later(void **state)
{
    struct rig *rig = *state;
    const struct wz_pass_last found[] = {last_at(9), last_at(30), last_at(15), last_at(20)};

    set(rig, 1, "b", 11);
    set(rig, 1, "c", 12);
    set(rig, 1, "a", 18);
    keep(rig);
    close_rig(rig);
    open_rig(rig);
    wz_pass_states_restore(&rig->states, 1, WZ_SLICE_LIT("a"), &found[0]); // older
    wz_pass_states_restore(&rig->states, 1, WZ_SLICE_LIT("b"), &found[1]);
    wz_pass_states_restore(&rig->states, 1, WZ_SLICE_LIT("d"), &found[2]);
    wz_pass_states_restore(&rig->states, 1, WZ_SLICE_LIT("c"), &found[3]);
    wz_pass_states_settle(&rig->states, is_known, rig);
    assert_int_equal(get(rig, 1, "a"), 18);
    assert_int_equal(get(rig, 1, "b"), 30);
    assert_int_equal(get(rig, 1, "c"), 20);
    assert_int_equal(get(rig, 1, "d"), -1); // the oldest of four
    set(rig, 1, "e", 31);
    assert_int_equal(get(rig, 1, "a"), -1); // in their order
    keep(rig);
    reopen(rig);
    assert_int_equal(get(rig, 1, "a"), -1);
    assert_int_equal(get(rig, 1, "e"), 31);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pass_states_are_there_again),
        TEST(test_pass_states_are_saved_as_they_were_frozen),
        TEST(test_pass_states_forget_what_passed_longest_ago),
        TEST(test_pass_states_hold_nothing_of_what_nobody_keeps),
        TEST(test_pass_states_of_a_rule_go_with_it),
        TEST(test_pass_states_take_what_was_found_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
