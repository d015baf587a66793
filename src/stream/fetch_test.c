// SPDX-License-Identifier: Apache-2.0
#include "stream/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "stream/log/testlog_test.h"

#define PLENTY SIZE_MAX
#define BODY_MAX 20000

struct world {
    struct testlog t;
    struct wz_loop loop;
    struct wz_fetcher *fetcher;
    // Of the fetches that came back.
    int64_t offsets[4096];
    int results[4096];
    size_t count;
    int calls;
};

static uint8_t filling[BODY_MAX];

static size_t len_of(int64_t offset) { return (size_t)(offset * 37 % 300); }

// Each value is its offset as text, and some bytes.
static void on_done(void *arg, struct wz_fetch *fetch)
{
    struct world *world = arg;
    struct wz_slice value;
    int64_t offset;
    int result;

    world->calls++;
    while (wz_fetch_next(fetch, &offset, &value, &result) == WZ_OK) {
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof(text), "%lld:", (long long)offset);

        if (result == WZ_OK) {
            assert_true(wz_slice_starts(value, wz_slice(text, len)));
            assert_int_equal(value.len, len + len_of(offset));
            assert_memory_equal(value.ptr + len, filling, value.len - len);
        }
        world->offsets[world->count] = offset;
        world->results[world->count++] = result;
    }
    assert_int_equal(wz_fetch_next(fetch, &offset, &value, &result), WZ_END);
}

static void append(struct world *world, int count)
{
    for (int i = 0; i < count; i++) {
        int64_t offset = wz_log_next_offset(world->t.log);
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof(text), "%lld:", (long long)offset);
        struct wz_record_parts parts = {
            .key = WZ_SLICE_LIT("k"),
            .value = {wz_slice(text, len), wz_slice(filling, len_of(offset))},
            .value_count = 2};

        assert_int_equal(wz_log_append(world->t.log, &parts, &offset), WZ_OK);
        if (i % 100 == 99)
            testlog_settle(&world->t);
    }
    testlog_settle(&world->t);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    for (size_t i = 0; i < sizeof(filling); i++)
        filling[i] = (uint8_t)(i % 251);
    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    testlog_init(&world->t);
    world->t.opt.durability = WZ_DURABILITY_OS;
    world->t.opt.segment_bytes = 64 * 1024;
    testlog_open(&world->t);
    world->fetcher = wz_fetcher_new(&world->loop, world->t.log, on_done, world);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_fetcher_free(world->fetcher);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_loop_release(&world->loop);
    assert_int_equal(testlog_close(&world->t), WZ_OK);
    testlog_release(&world->t);
    wz_free(world);
    return 0;
}

static void start(struct world *world, const int64_t *offsets, size_t count, size_t max_bytes)
{
    world->count = 0;
    wz_fetcher_start(world->fetcher, offsets, count, max_bytes);
    assert_true(wz_fetcher_busy(world->fetcher));
}

static void fetch(struct world *world, const int64_t *offsets, size_t count, size_t max_bytes)
{
    int calls = world->calls;

    start(world, offsets, count, max_bytes);
    while (world->calls == calls)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    assert_false(wz_fetcher_busy(world->fetcher));
}

static void test_fetch_gives_what_is_asked_for_in_that_order(void **state)
{
    static const int64_t offsets[] = {0,    1,    2,    7,    300, 301, 557, 558, 2000,
                                      2999, 2998, 1000, 1000, 3,   0,   999, 2999};
    enum { COUNT = sizeof(offsets) / sizeof(offsets[0]) };
    struct world *world = *state;

    append(world, 3000);
    for (int round = 0; round < 3; round++) { // it goes on where it stands
        fetch(world, offsets, COUNT, PLENTY);
        assert_int_equal(world->count, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(world->offsets[i], offsets[i]);
            assert_int_equal(world->results[i], WZ_OK);
        }
    }
}

static void test_fetch_gives_all_of_many_steps(void **state)
{
    struct world *world = *state;
    int64_t offsets[500];

    append(world, 2000);
    for (int64_t first = 0; first < 2500; first += 500) {
        if (first == 2000)
            append(world, 500); // come after the last one was read
        for (int64_t i = 0; i < 500; i++)
            offsets[i] = first + i;
        fetch(world, offsets, 500, PLENTY);
        assert_int_equal(world->count, 500);
        for (size_t i = 0; i < 500; i++)
            assert_int_equal(world->results[i], WZ_OK);
    }
}

static void test_fetch_stops_behind_so_many_bytes(void **state)
{
    struct world *world = *state;
    int64_t offsets[100];
    size_t bytes = 0;
    size_t count = 0;

    append(world, 100);
    for (int64_t i = 0; i < 100; i++)
        offsets[i] = i;
    while (bytes <= 1000) { // one more than that
        char text[32];

        bytes += (size_t)snprintf(text, sizeof(text), "%zu:", count) + len_of((int64_t)count);
        count++;
    }
    fetch(world, offsets, 100, 1000);
    assert_int_equal(world->count, count);
    fetch(world, offsets, 100, 0); // one at least
    assert_int_equal(world->count, 1);
}

static void test_fetch_says_what_is_not_there(void **state)
{
    static const int64_t offsets[] = {5, -1, 100, 99, 1000000, 98, INT64_MAX, 101, 97};
    enum { COUNT = sizeof(offsets) / sizeof(offsets[0]) };
    struct world *world = *state;
    struct wz_record_parts removal = {.key = WZ_SLICE_LIT("k")};
    int64_t offset;

    append(world, 100);
    assert_int_equal(wz_log_append(world->t.log, &removal, &offset), WZ_OK);
    assert_int_equal(offset, 100); // has no value
    testlog_settle(&world->t);
    fetch(world, offsets, COUNT, PLENTY);
    assert_int_equal(world->count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(world->results[i],
                         offsets[i] >= 0 && offsets[i] < 100 ? WZ_OK : WZ_ERR_NOT_FOUND);
}

static void test_fetch_says_what_has_gone(void **state)
{
    struct world *world = *state;
    struct wz_log_info info;
    int64_t offsets[] = {0, 1, 0};

    append(world, 3000);
    wz_log_trim(world->t.log, wz_log_first_segment_end(world->t.log));
    do {
        append(world, 1);
        wz_log_info(world->t.log, &info);
    } while (info.first_offset == 0);
    offsets[2] = info.first_offset;
    fetch(world, offsets, 3, PLENTY);
    assert_int_equal(world->results[0], WZ_ERR_NOT_FOUND);
    assert_int_equal(world->results[1], WZ_ERR_NOT_FOUND);
    assert_int_equal(world->results[2], WZ_OK);
}

static void test_fetch_is_not_told_of_when_it_is_not_wanted_any_more(void **state)
{
    struct world *world = *state;
    int64_t offsets[] = {0, 500, 999};

    append(world, 1000);
    start(world, offsets, 3, PLENTY);
    wz_fetcher_free(world->fetcher);
    world->fetcher = NULL;
    for (int i = 0; i < 5; i++)
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(world->calls, 0); // the end of the test waits for the rest
}

static void test_fetch_is_what_the_log_holds(void **state)
{
    struct world *world = *state;
    int64_t offsets[400];

    append(world, 5000);
    srandom(5);
    for (int round = 0; round < 50; round++) {
        size_t count = 1 + (size_t)random() % 400;
        int64_t at = random() % 5000;

        for (size_t i = 0; i < count; i++) {
            offsets[i] = at;
            at += 1 + (random() % 20 == 0 ? random() % 600 : random() % 3);
        }
        fetch(world, offsets, count, PLENTY);
        assert_int_equal(world->count, count);
        for (size_t i = 0; i < count; i++)
            if (world->results[i] != (offsets[i] < 5000 ? WZ_OK : WZ_ERR_NOT_FOUND))
                fail_msg("round %d: offset %lld", round, (long long)offsets[i]);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_fetch_gives_what_is_asked_for_in_that_order),
        TEST(test_fetch_gives_all_of_many_steps),
        TEST(test_fetch_stops_behind_so_many_bytes),
        TEST(test_fetch_says_what_is_not_there),
        TEST(test_fetch_says_what_has_gone),
        TEST(test_fetch_is_not_told_of_when_it_is_not_wanted_any_more),
        TEST(test_fetch_is_what_the_log_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
