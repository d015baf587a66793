// SPDX-License-Identifier: Apache-2.0
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

// What happened, a letter each.
struct story {
    struct wz_loop loop;
    char text[64];
    struct wz_mail mail;
    struct wz_loop_part leaver;
};

static void tell(struct story *story, char what)
{
    size_t len = strlen(story->text);

    assert_true(len + 1 < sizeof(story->text));
    story->text[len] = what;
}

static void wake_first(void *arg) { tell(arg, 'w'); }
static void flush_first(void *arg) { tell(arg, 'f'); }
static void wake_second(void *arg) { tell(arg, 'W'); }
static void flush_second(void *arg) { tell(arg, 'F'); }

static void wake_and_leave(void *arg)
{
    struct story *story = arg;

    tell(story, 'l');
    wz_loop_leave(&story->leaver);
}

static void run_mail(struct wz_mail *mail) { tell(WZ_CONTAINER(mail, struct story, mail), 'm'); }

static int set_up(void **state)
{
    struct story *story = wz_zalloc(1, sizeof(*story));

    *state = story;
    story->mail.run = run_mail;
    return wz_loop_init(&story->loop);
}

static int tear_down(void **state)
{
    struct story *story = *state;

    wz_loop_stop(&story->loop);
    wz_loop_run(&story->loop); // returns: nothing else is open
    wz_loop_release(&story->loop);
    wz_free(story);
    return 0;
}

static void turn(struct story *story) { (void)uv_run(&story->loop.uv, UV_RUN_NOWAIT); }

static void test_loop_turn_flushes_before_it_sleeps_and_wakes_behind(void **state)
{
    struct story *story = *state;
    struct wz_loop_part first = {.wake = wake_first, .flush = flush_first, .arg = story};
    struct wz_loop_part second = {.wake = wake_second, .flush = flush_second, .arg = story};
    struct wz_loop_part nothing = {.arg = story};

    wz_loop_join(&story->loop, &first);
    wz_loop_join(&story->loop, &nothing);
    wz_loop_join(&story->loop, &second);
    turn(story);
    turn(story);
    assert_string_equal(story->text, "fFwWfFwW");
    wz_loop_leave(&first);
    turn(story);
    assert_string_equal(story->text, "fFwWfFwWFW");
    wz_loop_leave(&nothing);
    wz_loop_leave(&second);
}

static void test_loop_part_may_leave_in_its_own_turn(void **state)
{
    struct story *story = *state;
    struct wz_loop_part second = {.wake = wake_second, .arg = story};

    story->leaver = (struct wz_loop_part){.wake = wake_and_leave, .arg = story};
    wz_loop_join(&story->loop, &story->leaver);
    wz_loop_join(&story->loop, &second);
    turn(story);
    turn(story);
    assert_string_equal(story->text, "lWW");
    wz_loop_leave(&second);
}

static void test_loop_runs_letters_before_it_wakes_the_parts(void **state)
{
    struct story *story = *state;
    struct wz_loop_part part = {.wake = wake_first, .flush = flush_first, .arg = story};

    wz_loop_join(&story->loop, &part);
    assert_int_equal(wz_mailbox_post(&story->loop.mail, &story->mail), WZ_OK);
    (void)uv_run(&story->loop.uv,
                 UV_RUN_ONCE); // would sleep for ever if the letter did not wake it
    assert_string_equal(story->text, "fmw");
    wz_loop_leave(&part);
}

static void test_loop_tells_the_time_anew_each_turn(void **state)
{
    struct story *story = *state;
    int64_t before_ms = wz_clock_wall_ms();

    story->loop.now_ms = 0;
    turn(story);
    assert_in_range(story->loop.now_ms, before_ms, wz_clock_wall_ms());
}

static void test_loop_refuses_letters_once_it_is_stopped(void **state)
{
    struct story *story = *state;
    struct wz_loop other;

    (void)story;
    assert_int_equal(wz_loop_init(&other), WZ_OK);
    wz_loop_stop(&other);
    assert_int_equal(wz_mailbox_post(&other.mail, &story->mail), WZ_ERR_CLOSED);
    wz_mailbox_answer(&other.mail, &story->mail); // an answer still finds its owner
    wz_loop_run(&other);
    wz_loop_release(&other);
    assert_string_equal(story->text, "m");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_loop_turn_flushes_before_it_sleeps_and_wakes_behind),
        TEST(test_loop_part_may_leave_in_its_own_turn),
        TEST(test_loop_runs_letters_before_it_wakes_the_parts),
        TEST(test_loop_tells_the_time_anew_each_turn),
        TEST(test_loop_refuses_letters_once_it_is_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
