// SPDX-License-Identifier: Apache-2.0
// Retained messages over a real journal in a folder of its own, on a real loop.
#include "broker/retained.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "topic/pattern.h"

#define NOW_MS 0x0102030405060708
#define PLENTY SIZE_MAX
#define WITHIN_US (30 * 1000000LL)

struct world {
    char dir[64];
    struct wz_loop loop;
    uv_timer_t tick; // the loop turns even when nothing happens
    struct wz_journal_options options;
    struct wz_retained_limits limits;
    struct wz_journal *journal;
    struct wz_retained *retained;
    int64_t last_offset; // of the last group that was written
};

static void on_tick(uv_timer_t *timer) { (void)timer; }

static void turn(struct world *world) { (void)uv_run(&world->loop.uv, UV_RUN_ONCE); }

static void open_journal(struct world *world)
{
    struct wz_log_recovery recovery;
    struct wz_problem problem = {0};

    if (wz_journal_open(world->dir, &world->options, &world->journal, &recovery, &problem) < 0)
        fail_msg("%s %s", problem.what, problem.where);
}

static int open_set(struct world *world)
{
    int r;

    open_journal(world);
    world->retained = wz_retained_new(world->journal, &world->limits);
    r = wz_journal_replay(world->journal, NULL);
    wz_retained_settle(world->retained);
    wz_journal_start(world->journal);
    return r;
}

static void close_set(struct world *world)
{
    struct wz_journal_info info;

    wz_journal_stop(world->journal);
    for (wz_journal_info(world->journal, &info); info.compacting;
         wz_journal_info(world->journal, &info))
        turn(world);
    wz_retained_free(world->retained);
    world->retained = NULL;
    assert_int_equal(wz_journal_close(world->journal), WZ_OK);
    world->journal = NULL;
}

static void reopen(struct world *world)
{
    close_set(world);
    assert_int_equal(open_set(world), WZ_OK);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    (void)snprintf(world->dir, sizeof(world->dir), "/tmp/wyze-retained-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&world->loop.uv, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 2, 2), 0);
    world->options =
        (struct wz_journal_options){.loop = &world->loop, .durability = WZ_DURABILITY_OS};
    world->limits = (struct wz_retained_limits){.max_count = SIZE_MAX, .max_bytes = SIZE_MAX};
    world->last_offset = -1;
    assert_int_equal(open_set(world), WZ_OK);
    return 0;
}

static int remove_name(const char *name, void *arg)
{
    const struct world *world = arg;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", world->dir, name);
    return wz_fs_remove(path);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    close_set(world);
    uv_close((uv_handle_t *)&world->tick, NULL);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_loop_release(&world->loop);
    assert_int_equal(wz_fs_walk(world->dir, remove_name, world), WZ_OK);
    assert_int_equal(rmdir(world->dir), 0);
    wz_free(world);
    return 0;
}

static int put_message(struct world *world, struct wz_slice topic, struct wz_slice body,
                       unsigned qos)
{
    struct wz_message msg = {.topic = topic, .body = body, .qos = (uint8_t)qos, .retain = true};
    int r;

    while (!wz_journal_ready(world->journal))
        turn(world);
    wz_journal_begin(world->journal);
    r = wz_retained_put(world->retained, &msg, NOW_MS);
    wz_journal_end(world->journal, &world->last_offset);
    return r;
}

static int put(struct world *world, const char *topic, const char *body)
{
    return put_message(world, wz_slice_str(topic), wz_slice_str(body), 1);
}

static int64_t live_bytes(struct world *world)
{
    struct wz_journal_info info;

    wz_journal_info(world->journal, &info);
    return info.live_bytes;
}

// What FILTER finds: topics, each with "=" and its body, joined by spaces. Borrowed until the next
// call.
static const char *found(struct world *world, const char *filter)
{
    static char text[4096];
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;
    size_t len = 0;
    int r;

    text[0] = '\0';
    wz_retained_walk_init(&walk, wz_slice_str(filter));
    while ((r = wz_retained_next(world->retained, &walk, &budget, &msg)) == WZ_OK) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s=%.*s", len > 0 ? " " : "",
                                WZ_SLICE_FMT(msg.topic), WZ_SLICE_FMT(msg.body));
        assert_true(len < sizeof(text));
    }
    assert_int_equal(r, WZ_END);
    wz_retained_walk_release(&walk);
    return text;
}

static void test_retained_keeps_the_last_message_of_a_topic(void **state)
{
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;

    assert_int_equal(put_message(world, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("first"), 0), WZ_OK);
    assert_int_equal(put_message(world, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("the second"), 2), WZ_OK);
    assert_int_equal(wz_retained_count(world->retained), 1);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a/b"));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("a/b")));
    assert_true(wz_slice_eq(msg.body, WZ_SLICE_LIT("the second")));
    assert_int_equal(msg.qos, 2);
    assert_true(msg.retain);
    assert_int_equal(msg.offset, -1);
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    wz_retained_walk_release(&walk);
}

static void test_retained_clears_a_topic_with_an_empty_body(void **state)
{
    struct world *world = *state;

    assert_int_equal(put(world, "a", "1"), WZ_OK);
    assert_int_equal(put(world, "b", "2"), WZ_OK);
    assert_int_equal(put(world, "a", ""), WZ_OK);
    assert_string_equal(found(world, "#"), "b=2");
    assert_int_equal(wz_retained_count(world->retained), 1);
    reopen(world);
    assert_string_equal(found(world, "#"), "b=2");
}

static void test_retained_writes_nothing_to_clear_what_is_not_there(void **state)
{
    struct world *world = *state;

    assert_int_equal(put(world, "a", "1"), WZ_OK);
    assert_int_equal(world->last_offset, 0);
    assert_int_equal(put(world, "b", ""), WZ_OK);
    assert_int_equal(world->last_offset, 0);
    assert_int_equal(put(world, "a", ""), WZ_OK);
    assert_int_equal(put(world, "a", ""), WZ_OK);
    assert_int_equal(world->last_offset, 1);
}

static void test_retained_is_there_again_after_reopening(void **state)
{
    struct world *world = *state;
    size_t bytes;
    int64_t live;

    assert_int_equal(put(world, "a", "old"), WZ_OK);
    assert_int_equal(put(world, "gone", "1"), WZ_OK);
    assert_int_equal(put(world, "a", "replaced"), WZ_OK);
    assert_int_equal(put(world, "back", "1"), WZ_OK);
    assert_int_equal(put(world, "gone", ""), WZ_OK);
    assert_int_equal(put(world, "back", ""), WZ_OK);
    assert_int_equal(put_message(world, WZ_SLICE_LIT("back"), WZ_SLICE_LIT("again"), 2), WZ_OK);
    bytes = wz_retained_bytes(world->retained);
    live = live_bytes(world);
    reopen(world);
    assert_string_equal(found(world, "#"), "a=replaced back=again");
    assert_int_equal(wz_retained_bytes(world->retained), bytes);
    assert_int_equal(live_bytes(world), live);
    assert_int_equal(put(world, "a", "after it"), WZ_OK);
    reopen(world);
    assert_string_equal(found(world, "#"), "a=after it back=again");
}

// The same topic, some records apart: near ones are read back together.
static void test_retained_reads_back_what_changed_soon_or_late(void **state)
{
    struct world *world = *state;
    char expected[4096];
    char topic[32];
    char body[32];
    size_t bytes;
    size_t len;
    int64_t live;

    for (int apart = 1; apart < 100; apart += 7) {
        len = 0;
        for (int i = 0; i < 3 * apart; i++) { // set, set or cleared, set if the number is even
            (void)snprintf(topic, sizeof(topic), "%03d", i % apart);
            (void)snprintf(body, sizeof(body), "%d", i);
            if ((i / apart == 1 && i % 3 == 0) || (i / apart == 2 && i % 2 != 0))
                body[0] = '\0';
            assert_int_equal(put(world, topic, body), WZ_OK);
            if (i / apart == 2 && i % 2 == 0)
                len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%s=%s",
                                        len > 0 ? " " : "", topic, body);
        }
        bytes = wz_retained_bytes(world->retained);
        live = live_bytes(world);
        reopen(world);
        assert_string_equal(found(world, "+"), expected);
        assert_int_equal(wz_retained_bytes(world->retained), bytes);
        assert_int_equal(live_bytes(world), live);
        for (int i = 0; i < apart; i++) {
            (void)snprintf(topic, sizeof(topic), "%03d", i);
            assert_int_equal(put(world, topic, ""), WZ_OK);
        }
    }
}

static int keep_value(void *arg, const struct wz_journal_record *record)
{
    assert_true(wz_slice_eq(record->key, WZ_SLICE_LIT("a/b")));
    wz_buf_add_slice(arg, record->value);
    return WZ_OK;
}

static void test_retained_values_stand_in_the_journal_as_documented(void **state)
{
    static const uint8_t expected[] = {2, 1, 2, 3, 4, 5, 6, 7, 8, 'b', 'o', 'd', 'y'};
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    struct wz_journal_kind kind = {.letter = 'R', .arg = &value, .replay = keep_value};
    struct world *world = *state;

    assert_int_equal(put_message(world, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("body"), 2), WZ_OK);
    close_set(world);
    open_journal(world);
    wz_journal_join(world->journal, &kind);
    assert_int_equal(wz_journal_replay(world->journal, NULL), WZ_OK);
    assert_int_equal(value.len, sizeof(expected));
    assert_memory_equal(value.ptr, expected, sizeof(expected));
}

static void test_retained_counts_bytes_until_the_last_is_cleared(void **state)
{
    struct world *world = *state;
    size_t one;
    size_t two;

    assert_int_equal(wz_retained_bytes(world->retained), 0);
    assert_int_equal(put(world, "a", "123"), WZ_OK);
    one = wz_retained_bytes(world->retained);
    assert_true(one > 4); // what a message costs besides its own bytes counts, too
    assert_int_equal(put(world, "a", "12345"), WZ_OK);
    assert_int_equal(wz_retained_bytes(world->retained), one + 2);
    assert_int_equal(put(world, "longer", "1"), WZ_OK);
    two = wz_retained_bytes(world->retained);
    assert_int_equal(two, one + 2 + one + 5 - 2);
    assert_int_equal(put(world, "a", ""), WZ_OK);
    assert_int_equal(put(world, "longer", ""), WZ_OK);
    assert_int_equal(wz_retained_bytes(world->retained), 0);
    assert_int_equal(wz_retained_count(world->retained), 0);
    assert_int_equal(live_bytes(world), 0);
    reopen(world);
    assert_int_equal(wz_retained_bytes(world->retained), 0);
    assert_int_equal(live_bytes(world), 0);
}

// The limits.

static void test_retained_refuses_topics_above_the_count(void **state)
{
    struct world *world = *state;
    int64_t offset;

    world->limits.max_count = 2;
    reopen(world);
    assert_int_equal(put(world, "a", "1"), WZ_OK);
    assert_int_equal(put(world, "b", "2"), WZ_OK);
    offset = world->last_offset;
    assert_int_equal(put(world, "c", "3"), WZ_ERR_LIMIT);
    assert_int_equal(world->last_offset, offset);
    assert_int_equal(put(world, "a", "4"), WZ_OK); // one of those that are there
    assert_int_equal(put(world, "b", ""), WZ_OK);
    assert_int_equal(put(world, "c", "5"), WZ_OK);
    assert_string_equal(found(world, "#"), "a=4 c=5");
}

static void test_retained_has_no_older_message_for_one_above_the_bytes(void **state)
{
    struct world *world = *state;

    assert_int_equal(put(world, "a", "12345"), WZ_OK);
    world->limits.max_bytes = 2 * wz_retained_bytes(world->retained);
    reopen(world);
    assert_int_equal(put(world, "b", "123456"), WZ_ERR_LIMIT);
    assert_int_equal(put(world, "b", "12345"), WZ_OK);
    assert_int_equal(wz_retained_bytes(world->retained), world->limits.max_bytes);
    assert_int_equal(put(world, "a", "54321"), WZ_OK);
    assert_int_equal(put(world, "b", "123456"), WZ_ERR_LIMIT);
    assert_string_equal(found(world, "#"), "a=54321");
    reopen(world);
    assert_string_equal(found(world, "#"), "a=54321");
}

static void test_retained_keeps_what_is_replayed_above_the_limits(void **state)
{
    struct world *world = *state;

    assert_int_equal(put(world, "a", "1"), WZ_OK);
    assert_int_equal(put(world, "b", "2"), WZ_OK);
    assert_int_equal(put(world, "c", "3"), WZ_OK);
    world->limits.max_count = 1;
    reopen(world);
    assert_string_equal(found(world, "#"), "a=1 b=2 c=3");
    assert_int_equal(put(world, "d", "4"), WZ_ERR_LIMIT);
    assert_int_equal(put(world, "a", "5"), WZ_ERR_LIMIT); // and comes below the limit so
    assert_int_equal(put(world, "b", ""), WZ_OK);
    assert_int_equal(put(world, "c", "6"), WZ_OK);
    assert_string_equal(found(world, "#"), "c=6");
}

// What filters find.

static void test_retained_finds_by_filter_in_the_order_of_bytes(void **state)
{
    static const char *const topics[] = {"b",       "a/b",  "a",       "a-b", "a/b/c", "A",
                                         "a/c",     "$SYS", "$SYS/up", "/a",  "/a/b",  "a//b",
                                         "a-b/c/d", "a/",   "a0",      "/",   "//",    "\xc3\xbc/x",
                                         "z/",      "z//",  "z",       "%",   "a!",    "a/b/"};
    static const struct {
        const char *filter;
        const char *found;
    } cases[] = {
        {"a", "a=1"},
        {"nobody", ""},
        {"a/b", "a/b=1"},
        {"a/", "a/=1"},
        {"$SYS/up", "$SYS/up=1"},
        {"a/#", "a=1 a/=1 a//b=1 a/b=1 a/b/=1 a/b/c=1 a/c=1"},
        {"a/b/#", "a/b=1 a/b/=1 a/b/c=1"},
        {"a/+", "a/=1 a/b=1 a/c=1"},
        {"a/+/#", "a/=1 a//b=1 a/b=1 a/b/=1 a/b/c=1 a/c=1"},
        {"a/+/b", "a//b=1"},
        {"+/b", "a/b=1"},
        {"+", "%=1 A=1 a=1 a!=1 a-b=1 a0=1 b=1 z=1"},
        {"+/+", "/=1 /a=1 a/=1 a/b=1 a/c=1 z/=1 \xc3\xbc/x=1"},
        {"/#", "/=1 //=1 /a=1 /a/b=1"},
        {"/+", "/=1 /a=1"},
        {"//#", "/=1 //=1"},
        {"z/#", "z=1 z/=1 z//=1"},
        {"$SYS/#", "$SYS=1 $SYS/up=1"},
        {"$SYS/+", "$SYS/up=1"},
        {"+/up", ""},
        {"\xc3\xbc/#", "\xc3\xbc/x=1"},
        {"nobody/#", ""},
        {"#", "%=1 /=1 //=1 /a=1 /a/b=1 A=1 a=1 a!=1 a-b=1 a-b/c/d=1 a/=1 a//b=1 a/b=1 a/b/=1 "
              "a/b/c=1 a/c=1 a0=1 b=1 z=1 z/=1 z//=1 \xc3\xbc/x=1"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        assert_int_equal(put(world, topics[i], "1"), WZ_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(found(world, cases[i].filter), cases[i].found);
    reopen(world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(found(world, cases[i].filter), cases[i].found);
}

static void test_retained_takes_the_longest_topics(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf filter = {0};
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;

    for (int i = 0; i < UINT16_MAX / 2; i++)
        wz_buf_add_str(&topic, "/x");
    wz_buf_add_slice(&filter, wz_buf_slice(&topic));
    wz_buf_add_byte(&topic, 'y');
    wz_buf_add_str(&filter, "/#");
    filter.ptr[1] = '+';
    assert_int_equal(topic.len, UINT16_MAX);
    assert_int_equal(put_message(world, wz_buf_slice(&topic), WZ_SLICE_LIT("long"), 1), WZ_OK);
    topic.ptr[topic.len - 1] = '/';
    assert_int_equal(put_message(world, wz_buf_slice(&topic), WZ_SLICE_LIT("last"), 1), WZ_OK);
    reopen(world);
    assert_int_equal(wz_retained_count(world->retained), 2);
    wz_retained_walk_init(&walk, wz_buf_slice(&filter));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, wz_buf_slice(&topic)));
    assert_true(wz_slice_eq(msg.body, WZ_SLICE_LIT("last")));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    wz_retained_walk_release(&walk);
    assert_int_equal(put_message(world, wz_buf_slice(&topic), WZ_SLICE_LIT(""), 1), WZ_OK);
    assert_int_equal(wz_retained_count(world->retained), 1);
}

static void test_retained_orders_bytes_above_127_behind_all_others(void **state)
{
    struct world *world = *state;

    assert_int_equal(put(world, "\xf0\x9f\x8c\xa1", "4"), WZ_OK); // U+1F321
    assert_int_equal(put(world, "\xef\xbf\xbf", "3"), WZ_OK);     // U+FFFF
    assert_int_equal(put(world, "\x7f", "1"), WZ_OK);
    assert_int_equal(put(world, "\xc2\x80", "2"), WZ_OK); // U+0080
    assert_int_equal(put(world, "\x01", "0"), WZ_OK);
    reopen(world);
    assert_string_equal(found(world, "+"), "\x01=0 \x7f=1 \xc2\x80=2 \xef\xbf\xbf=3 "
                                           "\xf0\x9f\x8c\xa1=4");
}

// Walks.

static void test_retained_walk_looks_at_no_more_than_its_budget(void **state)
{
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = 0;
    char topic[32];

    for (int i = 0; i < 50; i++) {
        (void)snprintf(topic, sizeof(topic), "a/%02d/%s", i, i == 20 || i == 49 ? "yes" : "no");
        assert_int_equal(put(world, topic, "1"), WZ_OK);
        (void)snprintf(topic, sizeof(topic), "b/%02d/yes", i);
        assert_int_equal(put(world, topic, "1"), WZ_OK);
    }
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a/+/yes"));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_AGAIN);
    budget = 15;
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_AGAIN);
    assert_int_equal(budget, 0);
    budget = 15;
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("a/20/yes")));
    assert_int_equal(budget, 9); // 15 and 6 make 21 topics
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_AGAIN);
    assert_int_equal(budget, 0);
    budget = 100;
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("a/49/yes")));
    assert_int_equal(budget, 80);
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(budget, 80); // what is behind the filter's beginning is not looked at
    wz_retained_walk_release(&walk);
}

static void test_retained_walk_looks_at_one_topic_without_wildcards(void **state)
{
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = 0;

    assert_int_equal(put(world, "a", "1"), WZ_OK);
    assert_int_equal(put(world, "a/b", "1"), WZ_OK);
    assert_int_equal(put(world, "aa", "1"), WZ_OK);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a"));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_AGAIN);
    budget = 9;
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(budget, 8);
    wz_retained_walk_release(&walk);
}

static void test_retained_walk_leaves_out_what_stands_between_a_topic_and_its_children(void **state)
{
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = 9;
    char topic[32];

    assert_int_equal(put(world, "a", "1"), WZ_OK);
    assert_int_equal(put(world, "a/b", "1"), WZ_OK);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(topic, sizeof(topic), "a-%d", i);
        assert_int_equal(put(world, topic, "1"), WZ_OK);
    }
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a/#"));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(budget, 7);
    wz_retained_walk_release(&walk);
}

static void test_retained_walk_sees_changes_that_lie_ahead(void **state)
{
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;

    assert_int_equal(put(world, "b", "1"), WZ_OK);
    assert_int_equal(put(world, "d", "1"), WZ_OK);
    assert_int_equal(put(world, "f", "1"), WZ_OK);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("+"));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("b")));
    assert_int_equal(put(world, "a", "behind"), WZ_OK);
    assert_int_equal(put(world, "b", ""), WZ_OK); // where the walk stands
    assert_int_equal(put(world, "c", "new"), WZ_OK);
    assert_int_equal(put(world, "d", ""), WZ_OK);
    assert_int_equal(put(world, "f", "replaced"), WZ_OK);
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("c")));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("f")));
    assert_true(wz_slice_eq(msg.body, WZ_SLICE_LIT("replaced")));
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    wz_retained_walk_release(&walk);
}

// A naive model: topics that may be retained, in no order.

#define MODEL_TOPICS 120
#define TEXT_MAX 64

struct entry {
    char topic[TEXT_MAX];
    char body[16];
    unsigned qos;
    bool retained;
};

struct model {
    unsigned seed; // as it began
    unsigned random;
    struct entry entries[MODEL_TOPICS];
    int changes;
};

static int dice(struct model *model, int sides) { return rand_r(&model->random) % sides; }

// A topic, or a filter when WILD is not 0: the chance in percent that a level is a wildcard.
static void make_text(struct model *model, int wild, char ret_text[TEXT_MAX])
{
    static const char *const words[] = {"", "a", "b", "a-b", "a!", "$a", "aa", "\xc3\xbc", "0"};
    int depth;
    size_t len;

    do {
        depth = 1 + dice(model, 4);
        len = 0;
        ret_text[0] = '\0';
        for (int i = 0; i < depth; i++) {
            const char *word = words[dice(model, sizeof(words) / sizeof(words[0]))];

            if (dice(model, 100) < wild)
                word = i == depth - 1 && dice(model, 2) == 0 ? "#" : "+";
            len += (size_t)snprintf(ret_text + len, TEXT_MAX - len, "%s%s", i > 0 ? "/" : "", word);
        }
    } while (len == 0);
}

static bool has_topic(const struct model *model, int count, const char *topic)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(model->entries[i].topic, topic) == 0)
            return true;
    }
    return false;
}

static void model_init(struct model *model, unsigned seed)
{
    char topic[TEXT_MAX];

    *model = (struct model){.seed = seed, .random = seed};
    for (int i = 0; i < MODEL_TOPICS;) {
        make_text(model, 0, topic);
        if (!has_topic(model, i, topic))
            memcpy(model->entries[i++].topic, topic, sizeof(topic));
    }
}

// Puts or clears a few topics, in the model and in the set.
static void change(struct model *model, struct world *world, int times)
{
    for (int i = 0; i < times; i++) {
        struct entry *entry = &model->entries[dice(model, MODEL_TOPICS)];

        entry->retained = dice(model, 3) > 0;
        entry->qos = (unsigned)dice(model, 3);
        (void)snprintf(entry->body, sizeof(entry->body), "%d", model->changes++);
        assert_int_equal(put_message(world, wz_slice_str(entry->topic),
                                     wz_slice_str(entry->retained ? entry->body : ""), entry->qos),
                         WZ_OK);
    }
}

// The first that FILTER matches behind AFTER, NULL: of all; or NULL.
static const struct entry *expected_next(const struct model *model, const char *filter,
                                         const struct wz_slice *after)
{
    const struct entry *best = NULL;

    for (int i = 0; i < MODEL_TOPICS; i++) {
        const struct entry *entry = &model->entries[i];
        struct wz_slice topic = wz_slice_str(entry->topic);

        if (!entry->retained || (after != NULL && wz_slice_cmp(topic, *after) <= 0) ||
            (best != NULL && wz_slice_cmp(topic, wz_slice_str(best->topic)) > 0))
            continue;
        if (wz_pattern_match(&wz_topic_mqtt, wz_slice_str(filter), topic))
            best = entry;
    }
    return best;
}

static bool is_right(const struct entry *entry, const struct wz_message *msg)
{
    return wz_slice_eq(msg->topic, wz_slice_str(entry->topic)) &&
           wz_slice_eq(msg->body, wz_slice_str(entry->body)) && msg->qos == entry->qos;
}

// Takes one step and holds it against the model; WZ_END ends.
static int check_step(const struct model *model, struct world *world, struct wz_retained_walk *walk,
                      size_t budget)
{
    struct wz_slice after = wz_buf_slice(&walk->after);
    const struct entry *expected =
        expected_next(model, walk->filter, walk->started ? &after : NULL);
    struct wz_message msg;
    bool right;
    int r = wz_retained_next(world->retained, walk, &budget, &msg);

    after = wz_buf_slice(&walk->after);
    if (r == WZ_OK)
        right = expected != NULL && is_right(expected, &msg);
    else if (r == WZ_END)
        right = expected == NULL;
    else // it must not have gone past what it had to find
        right = r == WZ_AGAIN && budget == 0 &&
                (expected == NULL || !walk->started ||
                 wz_slice_cmp(wz_slice_str(expected->topic), after) > 0);
    if (!right)
        fail_msg("seed %u, filter \"%s\": result %d at \"%.*s\", expected \"%s\"", model->seed,
                 walk->filter, r, WZ_SLICE_FMT(after), expected ? expected->topic : "the end");
    return r;
}

// Walks to the end: at one go, or in small steps with up to CHANGES changes between two of them.
static void check_filter(struct model *model, struct world *world, const char *filter, int changes)
{
    struct wz_retained_walk walk;
    int steps_left = 10000;

    wz_retained_walk_init(&walk, wz_slice_str(filter));
    while (check_step(model, world, &walk, changes > 0 ? (size_t)dice(model, 6) : PLENTY) !=
           WZ_END) {
        if (--steps_left == 0)
            fail_msg("seed %u, filter \"%s\": the walk does not end", model->seed, filter);
        if (changes > 0)
            change(model, world, dice(model, changes + 1));
    }
    wz_retained_walk_release(&walk);
}

static size_t model_count(const struct model *model)
{
    size_t count = 0;

    for (int i = 0; i < MODEL_TOPICS; i++)
        count += model->entries[i].retained;
    return count;
}

static void model_clear(struct model *model, struct world *world)
{
    for (int i = 0; i < MODEL_TOPICS; i++)
        assert_int_equal(put(world, model->entries[i].topic, ""), WZ_OK);
    assert_int_equal(wz_retained_bytes(world->retained), 0);
}

static void test_retained_finds_what_a_look_at_all_of_them_finds(void **state)
{
    static struct model model;
    struct world *world = *state;
    char filter[TEXT_MAX];

    for (unsigned seed = 1; seed <= 20; seed++) {
        model_init(&model, seed);
        for (int round = 0; round < 4; round++) {
            change(&model, world, 60);
            if (round == 3)
                reopen(world);
            if (wz_retained_count(world->retained) != model_count(&model))
                fail_msg("seed %u: %zu retained, expected %zu", seed,
                         wz_retained_count(world->retained), model_count(&model));
            check_filter(&model, world, "#", 0);
            check_filter(&model, world, "$a/#", 0);
            for (int i = 0; i < 50; i++) {
                make_text(&model, 40, filter);
                check_filter(&model, world, filter, 0);
            }
        }
        model_clear(&model, world);
    }
}

static void test_retained_walks_are_right_whatever_is_changed_between_steps(void **state)
{
    static struct model model;
    struct world *world = *state;
    char filter[TEXT_MAX];

    for (unsigned seed = 101; seed <= 120; seed++) {
        model_init(&model, seed);
        change(&model, world, 100);
        for (int i = 0; i < 100; i++) {
            make_text(&model, 60, filter);
            check_filter(&model, world, filter, 3);
        }
        model_clear(&model, world);
    }
}

// The journal.

static void test_retained_refuses_values_that_cannot_be_read(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
    static const uint8_t bad_qos[] = {3, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
    static const struct {
        const char *topic;
        const uint8_t *value;
        size_t len;
        int result;
    } cases[] = {
        {"a", good, sizeof(good), WZ_OK},
        {"a", good, sizeof(good) - 1, WZ_ERR_CORRUPT}, // without a body
        {"a", good, 5, WZ_ERR_CORRUPT},
        {"a", good, 1, WZ_ERR_CORRUPT},
        {"a", good, 0, WZ_ERR_CORRUPT},
        {"a", bad_qos, sizeof(bad_qos), WZ_ERR_CORRUPT},
        {"", good, sizeof(good), WZ_ERR_CORRUPT},
        {"a/+", good, sizeof(good), WZ_ERR_CORRUPT},
        {"a/#", good, sizeof(good), WZ_ERR_CORRUPT},
        {"a\xff", good, sizeof(good), WZ_ERR_CORRUPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_journal_place place = WZ_JOURNAL_NOWHERE;
        struct wz_slice piece = wz_slice(cases[i].value, cases[i].len);
        void *own;
        struct world *world;
        int64_t offset;

        assert_int_equal(set_up(&own), 0);
        world = own;
        wz_journal_begin(world->journal);
        wz_journal_put(world->journal, 'R', wz_slice_str(cases[i].topic), &piece, piece.len > 0,
                       &place);
        wz_journal_end(world->journal, &offset);
        close_set(world);
        assert_int_equal(open_set(world), cases[i].result);
        assert_int_equal(tear_down(&own), 0);
    }
}

static void test_retained_reads_a_removal_of_what_is_not_there(void **state)
{
    struct wz_journal_place place = WZ_JOURNAL_NOWHERE;
    struct world *world = *state;

    wz_journal_begin(world->journal);
    wz_journal_remove(world->journal, 'R', WZ_SLICE_LIT("a"), &place);
    wz_journal_end(world->journal, &world->last_offset);
    reopen(world);
    assert_int_equal(wz_retained_count(world->retained), 0);
    assert_int_equal(live_bytes(world), 0);
}

static void test_retained_outlives_compactions(void **state)
{
    static uint8_t body[4096];
    struct world *world = *state;
    struct wz_journal_info info = {0};
    int64_t end_us = wz_clock_mono_us() + WITHIN_US;
    int64_t live;
    char topic[32];

    world->options.segment_bytes = (int64_t)256 * 1024;
    world->options.compact_bytes = 1;
    reopen(world);
    assert_int_equal(put(world, "first", "1"), WZ_OK);
    assert_int_equal(put(world, "cleared", "1"), WZ_OK);
    assert_int_equal(put(world, "cleared", ""), WZ_OK);
    for (int i = 0; info.compactions < 8; i++) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)snprintf(topic, sizeof(topic), "t/%d", i % 20);
        body[0] = (uint8_t)i;
        assert_int_equal(put_message(world, wz_slice_str(topic), wz_slice(body, sizeof(body)), 1),
                         WZ_OK);
        if (i % 16 == 0)
            turn(world);
        wz_journal_info(world->journal, &info);
    }
    assert_int_equal(put(world, "last", "3"), WZ_OK);
    live = live_bytes(world);
    reopen(world);
    assert_int_equal(live_bytes(world), live);
    assert_int_equal(wz_retained_count(world->retained), 22);
    assert_string_equal(found(world, "+"), "first=1 last=3");
}

static void test_retained_holds_thousands_of_topics(void **state)
{
    const unsigned count = 20000;
    struct world *world = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;
    char topic[32];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(topic, sizeof(topic), "site/%05u", i * 7919 % count); // each once
        assert_int_equal(put(world, topic, "1"), WZ_OK);
    }
    for (unsigned i = 0; i < count; i += 2) {
        (void)snprintf(topic, sizeof(topic), "site/%05u", i);
        assert_int_equal(put(world, topic, ""), WZ_OK);
    }
    reopen(world);
    assert_int_equal(wz_retained_count(world->retained), count / 2);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("site/+"));
    for (unsigned i = 1; i < count; i += 2) {
        (void)snprintf(topic, sizeof(topic), "site/%05u", i);
        assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_OK);
        assert_true(wz_slice_eq(msg.topic, wz_slice_str(topic)));
    }
    assert_int_equal(wz_retained_next(world->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(PLENTY - budget, count / 2);
    wz_retained_walk_release(&walk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retained_keeps_the_last_message_of_a_topic),
        TEST(test_retained_clears_a_topic_with_an_empty_body),
        TEST(test_retained_writes_nothing_to_clear_what_is_not_there),
        TEST(test_retained_is_there_again_after_reopening),
        TEST(test_retained_reads_back_what_changed_soon_or_late),
        TEST(test_retained_values_stand_in_the_journal_as_documented),
        TEST(test_retained_counts_bytes_until_the_last_is_cleared),
        TEST(test_retained_refuses_topics_above_the_count),
        TEST(test_retained_has_no_older_message_for_one_above_the_bytes),
        TEST(test_retained_keeps_what_is_replayed_above_the_limits),
        TEST(test_retained_finds_by_filter_in_the_order_of_bytes),
        TEST(test_retained_takes_the_longest_topics),
        TEST(test_retained_orders_bytes_above_127_behind_all_others),
        TEST(test_retained_walk_looks_at_no_more_than_its_budget),
        TEST(test_retained_walk_looks_at_one_topic_without_wildcards),
        TEST(test_retained_walk_leaves_out_what_stands_between_a_topic_and_its_children),
        TEST(test_retained_walk_sees_changes_that_lie_ahead),
        TEST(test_retained_finds_what_a_look_at_all_of_them_finds),
        TEST(test_retained_walks_are_right_whatever_is_changed_between_steps),
        cmocka_unit_test(test_retained_refuses_values_that_cannot_be_read),
        TEST(test_retained_reads_a_removal_of_what_is_not_there),
        TEST(test_retained_outlives_compactions),
        TEST(test_retained_holds_thousands_of_topics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
