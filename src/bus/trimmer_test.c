// SPDX-License-Identifier: Apache-2.0
#include "bus/trimmer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

#define NEEDED 7

struct world {
    char dir[64];
    struct wz_loop loop;
    struct wz_log *log;
    struct wz_space *space;
    struct wz_retention *retention;
    struct wz_desk *desk;
    struct wz_trimmer *trimmer;
    struct wz_mailbox mail; // of who asks
    int64_t needed;
};

static void on_looked(void *arg) { (void)arg; }

static void on_measured(void *arg)
{
    wz_retention_look(((struct world *)arg)->retention, 1770000000000, 1000);
}

static int64_t on_needed(void *arg, const struct wz_log *log)
{
    (void)log;
    return ((struct world *)arg)->needed;
}

static void open_world(struct world *w)
{
    struct wz_log_options log = {.loop_mail = &w->loop.mail};
    struct wz_space_options space = {
        .loop = &w->loop, .looked = on_looked, .measured = on_measured, .arg = w};
    struct wz_retention_options retention = {.needed = on_needed, .arg = w};
    struct wz_log_caps caps = {0};

    *w = (struct world){.dir = "/tmp/wyze-trimmer-XXXXXX", .needed = NEEDED};
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(wz_loop_init(&w->loop), WZ_OK);
    wz_mailbox_init(&w->mail, 16, NULL, NULL);
    assert_int_equal(wz_log_open(w->dir, &log, &w->log, NULL, NULL), WZ_OK);
    w->space = wz_space_new(&space);
    retention.space = w->space;
    w->retention = wz_retention_new(&retention);
    w->desk = wz_desk_new(&w->loop);
    w->trimmer = wz_trimmer_new(w->desk, w->retention);
    wz_space_watch(w->space, w->log);
    wz_retention_add(w->retention, w->log, &caps);
    wz_trimmer_add(w->trimmer, "raw-stream", w->log);
    wz_space_start(w->space);
}

static void close_world(struct world *w)
{
    char command[128];

    wz_trimmer_stop(w->trimmer);
    wz_space_stop(w->space);
    wz_loop_stop(&w->loop);
    wz_loop_run(&w->loop);
    assert_int_equal(wz_log_close(w->log), WZ_OK);
    wz_space_free(w->space);
    wz_trimmer_free(w->trimmer);
    wz_retention_free(w->retention);
    wz_desk_free(w->desk);
    wz_loop_release(&w->loop);
    wz_mailbox_release(&w->mail);
    (void)snprintf(command, sizeof(command), "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
}

static bool answered;

static void on_answer(struct wz_mail *mail)
{
    (void)mail;
    answered = true;
}

// Asks and waits for the answer.
static void ask(struct world *w, struct wz_desk_call *call)
{
    answered = false;
    call->part = "streams";
    call->reply_to = &w->mail;
    call->done = on_answer;
    assert_int_equal(wz_desk_ask(w->desk, call), WZ_OK);
    while (!answered) {
        (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
        (void)wz_mailbox_run(&w->mail);
    }
}

static void test_trimmer_says_what_is_needed(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    for (int i = 0; i < 2; i++) {
        struct wz_desk_call call = {.what = "needed", .name = "raw-stream"};
        const json_t *needed;

        ask(&w, &call);
        assert_int_equal(call.result, WZ_OK);
        needed = json_object_get(call.answer, "needed_offset");
        assert_true(i == 0 ? json_integer_value(needed) == NEEDED : json_is_null(needed));
        json_decref(call.answer);
        w.needed = INT64_MAX;
    }
    close_world(&w);
}

static void test_trimmer_answers_what_went(void **state)
{
    struct wz_desk_call call = {.what = "trim", .name = "raw-stream"};
    struct world w;

    (void)state;
    open_world(&w);
    call.args = json_pack("{s:i}", "below_offset", 5);
    ask(&w, &call);
    assert_int_equal(call.result, WZ_OK);
    assert_int_equal(json_integer_value(json_object_get(call.answer, "segments")), 0);
    assert_true(json_is_integer(json_object_get(call.answer, "bytes")));
    json_decref(call.answer);
    json_decref(call.args);
    close_world(&w);
}

static void test_trimmer_knows_no_other_stream(void **state)
{
    struct wz_desk_call call = {.what = "trim", .name = "journal"};
    struct world w;

    (void)state;
    open_world(&w);
    ask(&w, &call);
    assert_int_equal(call.result, WZ_ERR_NOT_FOUND);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trimmer_says_what_is_needed),
        cmocka_unit_test(test_trimmer_answers_what_went),
        cmocka_unit_test(test_trimmer_knows_no_other_stream),
    };

    return cmocka_run_group_tests_name("bus/trimmer", tests, NULL, NULL);
}
