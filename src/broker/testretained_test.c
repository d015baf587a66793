// SPDX-License-Identifier: Apache-2.0
// Owns the folder, the loop and the journal of the tests of retained messages.
#include "broker/testretained_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"

static void on_tick(uv_timer_t *timer) { (void)timer; }

void testretained_turn(struct testretained *t) { (void)uv_run(&t->loop.uv, UV_RUN_ONCE); }

void testretained_open_journal(struct testretained *t)
{
    struct wz_log_recovery recovery;
    struct wz_problem problem = {0};

    if (wz_journal_open(t->dir, &t->options, &t->journal, &recovery, &problem) < 0)
        fail_msg("%s %s", problem.what, problem.where);
}

int testretained_open(struct testretained *t)
{
    int r;

    testretained_open_journal(t);
    t->retained = wz_retained_new(t->journal, &t->limits);
    r = wz_journal_replay(t->journal, NULL);
    wz_retained_settle(t->retained);
    wz_journal_start(t->journal);
    return r;
}

void testretained_close(struct testretained *t)
{
    struct wz_journal_info info;

    wz_journal_stop(t->journal);
    for (wz_journal_info(t->journal, &info); info.compacting || info.looking;
         wz_journal_info(t->journal, &info))
        testretained_turn(t);
    wz_retained_free(t->retained);
    t->retained = NULL;
    assert_int_equal(wz_journal_close(t->journal), WZ_OK);
    t->journal = NULL;
}

void testretained_reopen(struct testretained *t)
{
    testretained_close(t);
    assert_int_equal(testretained_open(t), WZ_OK);
}

int testretained_set_up(void **state)
{
    struct testretained *t = wz_zalloc(1, sizeof(*t));

    *state = t;
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/wyze-retained-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    assert_int_equal(wz_loop_init(&t->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&t->loop.uv, &t->tick), 0);
    assert_int_equal(uv_timer_start(&t->tick, on_tick, 2, 2), 0);
    t->options = (struct wz_journal_options){.loop = &t->loop, .durability = WZ_DURABILITY_OS};
    t->limits = (struct wz_retained_limits){.max_count = SIZE_MAX, .max_bytes = SIZE_MAX};
    t->last_offset = -1;
    assert_int_equal(testretained_open(t), WZ_OK);
    return 0;
}

static int remove_name(const char *name, void *arg)
{
    const struct testretained *t = arg;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
    return wz_fs_remove(path);
}

int testretained_tear_down(void **state)
{
    struct testretained *t = *state;

    testretained_close(t);
    uv_close((uv_handle_t *)&t->tick, NULL);
    wz_loop_stop(&t->loop);
    wz_loop_run(&t->loop);
    wz_loop_release(&t->loop);
    assert_int_equal(wz_fs_walk(t->dir, remove_name, t), WZ_OK);
    assert_int_equal(rmdir(t->dir), 0);
    wz_free(t);
    return 0;
}

int testretained_put_message(struct testretained *t, struct wz_slice topic, struct wz_slice body,
                             unsigned qos)
{
    struct wz_message msg = {.topic = topic, .body = body, .qos = (uint8_t)qos, .retain = true};
    int r;

    while (!wz_journal_ready(t->journal))
        testretained_turn(t);
    wz_journal_begin(t->journal);
    r = wz_retained_put(t->retained, &msg, TESTRETAINED_NOW_MS);
    wz_journal_end(t->journal, &t->last_offset);
    return r;
}

int testretained_put(struct testretained *t, const char *topic, const char *body)
{
    return testretained_put_message(t, wz_slice_str(topic), wz_slice_str(body), 1);
}

size_t testretained_bytes(void) { return (size_t)wz_metric_get(WZ_METRIC_RETAINED_BYTES); }
