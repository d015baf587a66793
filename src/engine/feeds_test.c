// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bus/embedded.h"
#include "engine/feeds.h"
#include "engine/lane.h"

#define TAPS 3

// One who takes, and keeps all the runs.
struct taker {
    struct wz_feeds_tap tap;
    struct wz_block_run runs[5000];
    size_t run_count;
    int64_t offsets[5000];
    size_t count;
};

struct rig {
    struct wz_loop loop;
    struct wz_bus *bus;
    struct wz_feeds *feeds;
    struct taker takers[TAPS];
    int filled;
    int64_t offset;
};

static void on_filled(void *arg) { ((struct rig *)arg)->filled++; }

static void on_take(void *arg, const struct wz_block_run *run)
{
    struct taker *taker = arg;

    assert_in_range(run->from, 0, run->to - 1);
    taker->runs[taker->run_count] = *run;
    (void)wz_block_ref(run->block);
    taker->run_count++;
    for (uint32_t i = run->from; i < run->to; i++)
        taker->offsets[taker->count++] = run->block->entries[i].offset;
}

static void drop_runs(struct taker *taker)
{
    for (size_t i = 0; i < taker->run_count; i++)
        wz_block_unref(taker->runs[i].block);
    taker->run_count = 0;
    taker->count = 0;
}

static int setup(void **state)
{
    struct rig *rig = wz_zalloc(1, sizeof(*rig));

    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    rig->bus = wz_bus_new(&rig->loop);
    rig->feeds = wz_feeds_new(rig->bus, on_filled, rig);
    for (int i = 0; i < TAPS; i++)
        rig->takers[i].tap = (struct wz_feeds_tap){.take = on_take, .arg = &rig->takers[i]};
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    for (int i = 0; i < TAPS; i++) {
        wz_feeds_leave(&rig->takers[i].tap);
        drop_runs(&rig->takers[i]);
    }
    wz_feeds_free(rig->feeds);
    wz_bus_stop(rig->bus);
    wz_bus_free(rig->bus);
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    wz_loop_release(&rig->loop);
    wz_free(rig);
    return 0;
}

static void join(struct rig *rig, int taker, const char *first, const char *second)
{
    const struct wz_slice patterns[] = {wz_slice_str(first), wz_slice_str(second ? second : "")};

    assert_int_equal(
        wz_feeds_join(rig->feeds, &rig->takers[taker].tap, WZ_SCRIPT_RAW, patterns, second ? 2 : 1),
        WZ_OK);
}

// Shows a record of LEN bytes in its body on the exchange, at the next offset but one.
static void show(struct rig *rig, const char *topic, size_t len)
{
    WZ_AUTO(wz_free_ptr) char *body = wz_zalloc(1, len + 1);
    const struct wz_message msg = {
        .topic = wz_slice_str(topic),
        .body = wz_slice(body, len),
        .offset = rig->offset += 2,
        .append_ms = 77,
        .hops = 4,
    };
    struct wz_ticket unused;

    assert_int_equal(wz_bus_publish(rig->bus, WZ_BUS_RAW, &msg, &unused), WZ_OK);
}

static void assert_offsets(const struct taker *taker, int64_t first, size_t count)
{
    assert_int_equal(taker->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(taker->offsets[i], first + 2 * (int64_t)i);
}

static void test_feeds_give_all_of_the_same_patterns_one_block(void **state)
{
    struct rig *rig = *state;
    struct taker *takers = rig->takers;
    struct wz_frame_record record;

    join(rig, 0, "in.#", "out.*");
    join(rig, 1, "out.*", "in.#");
    join(rig, 2, "in.#", NULL);
    show(rig, "in.a", 10);
    show(rig, "in.b", 10);
    assert_int_equal(takers[0].count, 0); // at the turn's end
    wz_feeds_flush(rig->feeds);
    for (int i = 0; i < TAPS; i++)
        assert_offsets(&takers[i], 2, 2);
    assert_int_equal(takers[0].run_count, 1);
    assert_ptr_equal(takers[0].runs[0].block, takers[1].runs[0].block);
    assert_ptr_not_equal(takers[0].runs[0].block, takers[2].runs[0].block);
    wz_block_get(takers[0].runs[0].block, 1, &record);
    assert_int_equal(record.stream, WZ_SCRIPT_RAW);
    assert_int_equal(record.hops, 4);
    assert_int_equal(record.append_ms, 77);
    assert_int_equal(record.lane, wz_lane_of(WZ_SLICE_LIT("in.b")));
    assert_true(wz_slice_eq(record.topic, WZ_SLICE_LIT("in.b")));
    assert_int_equal(record.body.len, 10);
}

static void test_feeds_give_a_record_of_two_patterns_once(void **state)
{
    struct rig *rig = *state;

    join(rig, 0, "in.#", "*.a");
    show(rig, "in.a", 10);
    show(rig, "in.a", 10);
    wz_feeds_flush(rig->feeds);
    assert_offsets(&rig->takers[0], 2, 2);
}

static void test_feeds_give_who_joins_only_what_comes_then(void **state)
{
    struct rig *rig = *state;

    join(rig, 0, "in.#", NULL);
    show(rig, "in.a", 10);
    join(rig, 1, "in.#", NULL);
    show(rig, "in.a", 10);
    wz_feeds_leave(&rig->takers[0].tap);
    wz_feeds_flush(rig->feeds);
    assert_offsets(&rig->takers[0], 2, 1); // what had not been given is not given any more
    assert_offsets(&rig->takers[1], 4, 1);
    wz_feeds_leave(&rig->takers[1].tap);
    wz_feeds_leave(&rig->takers[1].tap);
    show(rig, "in.a", 10);
    wz_feeds_flush(rig->feeds);
    assert_int_equal(rig->takers[1].count, 1);
    join(rig, 1, "in.#", NULL);
    show(rig, "in.a", 10);
    wz_feeds_settle(&rig->takers[1].tap);
    assert_int_equal(rig->takers[1].offsets[1], 8);
}

static void test_feeds_say_once_that_records_wait(void **state)
{
    struct rig *rig = *state;

    join(rig, 0, "in.#", NULL);
    show(rig, "in.a", 10);
    show(rig, "in.a", 10);
    assert_int_equal(rig->filled, 1);
    wz_feeds_flush(rig->feeds);
    show(rig, "in.a", 10);
    assert_int_equal(rig->filled, 2);
}

// Blocks end where they are full, of bytes or of records, and a record longer than a block has its
// own; what is kept is never written over.
static void test_feeds_give_every_record_whatever_its_length(void **state)
{
    static const size_t lens[] = {0, 20, 3000, 200000, 60000, 9000, 1, 65536};
    struct rig *rig = *state;
    struct taker *taker = &rig->takers[0];
    struct wz_frame_record record;
    size_t n = 0;

    join(rig, 0, "in.#", NULL);
    for (int i = 0; i < 4000; i++) {
        show(rig, "in.a", i < 2000 ? lens[i % 8] : 8);
        if (i % 700 == 0)
            wz_feeds_flush(rig->feeds);
    }
    wz_feeds_flush(rig->feeds);
    assert_offsets(taker, 2, 4000);
    for (size_t i = 0; i < taker->run_count; i++)
        for (uint32_t at = taker->runs[i].from; at < taker->runs[i].to; at++, n++) {
            wz_block_get(taker->runs[i].block, at, &record);
            assert_int_equal(record.offset, taker->offsets[n]);
            assert_int_equal(record.body.len, n < 2000 ? lens[n % 8] : 8);
        }
    assert_int_equal(n, 4000);
}

// Nobody holds what was given: the block is filled again.
static void test_feeds_fill_a_block_again_that_nobody_keeps(void **state)
{
    struct rig *rig = *state;
    struct taker *taker = &rig->takers[0];
    const struct wz_block *block;

    join(rig, 0, "in.#", NULL);
    show(rig, "in.a", 10);
    wz_feeds_flush(rig->feeds);
    block = taker->runs[0].block;
    show(rig, "in.a", 10); // behind what is kept
    wz_feeds_flush(rig->feeds);
    assert_ptr_equal(taker->runs[1].block, block);
    assert_int_equal(taker->runs[1].from, 1);
    drop_runs(taker);
    show(rig, "in.a", 10);
    wz_feeds_flush(rig->feeds);
    assert_ptr_equal(taker->runs[0].block, block);
    assert_int_equal(taker->runs[0].from, 0);
    assert_int_equal(taker->offsets[0], 6);
}

static void test_feeds_say_what_the_bus_refuses(void **state)
{
    struct rig *rig = *state;
    const struct wz_slice patterns[] = {WZ_SLICE_LIT("in.#"), WZ_SLICE_LIT("in.#.#b")};

    assert_int_equal(wz_feeds_join(rig->feeds, &rig->takers[0].tap, WZ_SCRIPT_RAW, patterns, 2),
                     WZ_ERR_INVALID);
    show(rig, "in.a", 10);
    assert_int_equal(rig->filled, 0);
    join(rig, 0, "in.#", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_feeds_give_all_of_the_same_patterns_one_block),
        TEST(test_feeds_give_a_record_of_two_patterns_once),
        TEST(test_feeds_give_who_joins_only_what_comes_then),
        TEST(test_feeds_say_once_that_records_wait),
        TEST(test_feeds_give_every_record_whatever_its_length),
        TEST(test_feeds_fill_a_block_again_that_nobody_keeps),
        TEST(test_feeds_say_what_the_bus_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
