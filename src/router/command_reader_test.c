// SPDX-License-Identifier: Apache-2.0
#include "router/command_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "router/testcommands_test.h"

// A reader on a stream with commands, which nothing is sent from.
struct world {
    struct testcommands t;
    struct wz_command_reader *reader;
    struct wz_command_reading *reading; // the last one; NULL: none yet
};

static void on_reading(void *arg, struct wz_command_reading *reading)
{
    ((struct world *)arg)->reading = reading;
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    testcommands_init(&world->t);
    testcommands_open(&world->t);
    world->reader = wz_command_reader_new(&world->t.loop.uv, world->t.processed, on_reading, world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_command_reader_free(world->reader);
    testcommands_close(&world->t);
    testcommands_release(&world->t);
    wz_free(world);
    return 0;
}

static void make_durable(struct world *world)
{
    while (wz_log_durable_end(world->t.processed) < wz_log_next_offset(world->t.processed))
        testcommands_run_ms(&world->t, 1);
}

// Reads once; the numbers of what was found begin with FIRST and go on by STRIDE. Returns how many.
static int read_once(struct world *world, int64_t from, int64_t until, const char *topic, int first,
                     int stride)
{
    struct wz_command command;
    int count = 0;

    world->reading = NULL;
    wz_command_reader_start(world->reader, from, until, wz_slice_str(topic));
    while (world->reading == NULL)
        testcommands_run_ms(&world->t, 1);
    assert_int_equal(world->reading->err, WZ_OK);
    for (; wz_command_queue_first(&world->reading->found, &command); count++) {
        assert_int_equal(command.offset, world->t.offsets[first + count * stride]);
        assert_int_equal(command.form, WZ_FORM_OBJECT);
        assert_true(command.append_ms > 0);
        wz_command_queue_shift(&world->reading->found);
    }
    return count;
}

static void test_command_reader_finds_commands_only(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 30; i++) {
        (void)testcommands_add(&world->t, i % 3, 0);
        testcommands_add_other(&world->t, i % 2 == 0);
    }
    make_durable(world);
    assert_int_equal(read_once(world, 0, 60, "", 0, 1), 30);
    assert_int_equal(world->reading->next, 60);
    assert_int_equal(read_once(world, world->t.offsets[10], 60, "", 10, 1), 20);
    assert_int_equal(read_once(world, 0, world->t.offsets[10], "", 0, 1), 10);
    assert_int_equal(read_once(world, 0, 60, "d1.output", 1, 3), 10);
    assert_int_equal(read_once(world, 0, 60, "d9.output", 1, 3), 0);
    assert_int_equal(world->reading->next, 60);
}

static void test_command_reader_goes_on_where_it_ended(void **state)
{
    struct world *world = *state;
    int64_t until;
    int count;
    int more;

    for (int i = 0; i < 1500; i++)
        (void)testcommands_add(&world->t, i % 3, 0);
    make_durable(world);
    until = wz_log_next_offset(world->t.processed);
    count = read_once(world, 0, until, "", 0, 1);
    assert_in_range(count, 1, 1000); // a bound, so that nothing waits for all of it
    while (world->reading->next < until) {
        more = read_once(world, world->reading->next, until, "", count, 1);
        assert_true(more > 0);
        count += more;
    }
    assert_int_equal(count, 1500);
}

static void test_command_topic_ends_in_output_and_has_more(void **state)
{
    (void)state;
    assert_true(wz_command_topic_is(WZ_SLICE_LIT("a.output")));
    assert_false(wz_command_topic_is(WZ_SLICE_LIT("output")));
    assert_false(wz_command_topic_is(WZ_SLICE_LIT(".output")));
    assert_false(wz_command_topic_is(WZ_SLICE_LIT("a.outputs")));
    assert_false(wz_command_topic_is(WZ_SLICE_LIT("a.b-output")));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_command_reader_finds_commands_only),
        TEST(test_command_reader_goes_on_where_it_ended),
        cmocka_unit_test(test_command_topic_ends_in_output_and_has_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
