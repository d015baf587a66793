// SPDX-License-Identifier: Apache-2.0
#include "loop/mailbox.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/mem.h"

struct letter {
    struct wz_mail mail;
    int number;
    struct wz_mailbox *forward; // posted there when it runs, unless NULL
};

// What ran, in order; only the receiving thread touches it.
static int ran[64];
static size_t ran_count;

static void note(struct wz_mail *mail)
{
    struct letter *letter = WZ_CONTAINER(mail, struct letter, mail);

    ran[ran_count++ % 64] = letter->number;
    if (letter->forward != NULL) {
        struct wz_mailbox *mb = letter->forward;

        letter->forward = NULL;
        assert_int_equal(wz_mailbox_post(mb, mail), WZ_OK);
    }
}

static void count_wake(void *arg) { ++*(int *)arg; }

static struct letter letter(int number)
{
    return (struct letter){.mail = {.run = note}, .number = number};
}

static void test_mailbox_runs_letters_in_order(void **state)
{
    struct letter letters[3] = {letter(1), letter(2), letter(3)};
    struct wz_mailbox mb;

    (void)state;
    ran_count = 0;
    wz_mailbox_init(&mb, 10, NULL, NULL);
    assert_int_equal(wz_mailbox_run(&mb), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wz_mailbox_post(&mb, &letters[i].mail), WZ_OK);
    assert_int_equal(wz_mailbox_run(&mb), 3);
    assert_int_equal(wz_mailbox_run(&mb), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ran[i], i + 1);
    wz_mailbox_release(&mb);
}

static void test_mailbox_wakes_the_receiver_once_until_it_looks(void **state)
{
    struct letter letters[3] = {letter(1), letter(2), letter(3)};
    struct wz_mailbox mb;
    int wakes = 0;

    (void)state;
    wz_mailbox_init(&mb, 10, count_wake, &wakes);
    assert_int_equal(wz_mailbox_post(&mb, &letters[0].mail), WZ_OK);
    assert_int_equal(wz_mailbox_post(&mb, &letters[1].mail), WZ_OK);
    assert_int_equal(wakes, 1);
    assert_int_equal(wz_mailbox_run(&mb), 2);
    wz_mailbox_answer(&mb, &letters[2].mail);
    assert_int_equal(wakes, 2);
    assert_int_equal(wz_mailbox_run(&mb), 1);
    wz_mailbox_release(&mb);
}

static void test_mailbox_that_is_full_takes_answers_only(void **state)
{
    struct letter letters[4] = {letter(1), letter(2), letter(3), letter(4)};
    struct wz_mailbox mb;

    (void)state;
    wz_mailbox_init(&mb, 2, NULL, NULL);
    assert_int_equal(wz_mailbox_post(&mb, &letters[0].mail), WZ_OK);
    assert_int_equal(wz_mailbox_post(&mb, &letters[1].mail), WZ_OK);
    assert_int_equal(wz_mailbox_post(&mb, &letters[2].mail), WZ_ERR_BUSY);
    wz_mailbox_answer(&mb, &letters[3].mail);
    assert_int_equal(wz_mailbox_run(&mb), 3);
    assert_int_equal(wz_mailbox_post(&mb, &letters[2].mail), WZ_OK);
    assert_int_equal(wz_mailbox_run(&mb), 1);
    wz_mailbox_release(&mb);
}

static void test_mailbox_that_is_closed_takes_answers_only(void **state)
{
    struct letter letters[3] = {letter(1), letter(2), letter(3)};
    struct wz_mailbox mb;
    int wakes = 0;

    (void)state;
    wz_mailbox_init(&mb, 10, count_wake, &wakes);
    assert_int_equal(wz_mailbox_post(&mb, &letters[0].mail), WZ_OK);
    wz_mailbox_close(&mb);
    assert_int_equal(wakes, 2);
    assert_int_equal(wz_mailbox_post(&mb, &letters[1].mail), WZ_ERR_CLOSED);
    wz_mailbox_answer(&mb, &letters[2].mail);
    assert_true(wz_mailbox_wait(&mb)); // what is in it is still to be run
    assert_int_equal(wz_mailbox_run(&mb), 2);
    assert_false(wz_mailbox_wait(&mb));
    wz_mailbox_release(&mb);
}

static void test_mailbox_letter_posted_by_a_letter_runs_the_next_time(void **state)
{
    struct letter again = letter(7);
    struct wz_mailbox mb;

    (void)state;
    ran_count = 0;
    wz_mailbox_init(&mb, 1, NULL, NULL);
    again.forward = &mb;
    assert_int_equal(wz_mailbox_post(&mb, &again.mail), WZ_OK);
    assert_int_equal(wz_mailbox_run(&mb), 1);
    assert_int_equal(ran_count, 1);
    assert_int_equal(wz_mailbox_run(&mb), 1);
    assert_int_equal(ran_count, 2);
    wz_mailbox_release(&mb);
}

#define SENDERS 4
#define LETTERS 5000

struct sender {
    pthread_t thread;
    struct wz_mailbox *mb;
    struct letter letters[LETTERS];
    int next;    // the number that must run next; the receiver's
    int refused; // times that the mailbox was full; the sender's
};

static void expect_next(struct wz_mail *mail)
{
    struct letter *letter = WZ_CONTAINER(mail, struct letter, mail);
    struct sender *sender = WZ_CONTAINER(letter - letter->number, struct sender, letters);

    assert_int_equal(letter->number, sender->next);
    sender->next++;
}

static void *send_all(void *arg)
{
    struct sender *sender = arg;

    for (int i = 0; i < LETTERS; i++) {
        sender->letters[i] = (struct letter){.mail = {.run = expect_next}, .number = i};
        while (wz_mailbox_post(sender->mb, &sender->letters[i].mail) == WZ_ERR_BUSY) {
            sender->refused++;
            sched_yield();
        }
    }
    return NULL;
}

static void *join_and_close(void *arg)
{
    struct sender *senders = arg;

    for (int i = 0; i < SENDERS; i++)
        (void)pthread_join(senders[i].thread, NULL); // fails only for what is no thread
    wz_mailbox_close(senders[0].mb);
    return NULL;
}

static void test_mailbox_loses_nothing_between_many_threads(void **state)
{
    struct sender *senders = wz_zalloc(SENDERS, sizeof(*senders));
    struct wz_mailbox mb;
    pthread_t closer;
    size_t count = 0;

    (void)state;
    wz_mailbox_init(&mb, 16, NULL, NULL);
    for (int i = 0; i < SENDERS; i++) {
        senders[i].mb = &mb;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    assert_int_equal(pthread_create(&closer, NULL, join_and_close, senders), 0);
    while (wz_mailbox_wait(&mb))
        count += wz_mailbox_run(&mb);
    assert_int_equal(pthread_join(closer, NULL), 0);
    assert_int_equal(count, SENDERS * LETTERS);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(senders[i].next, LETTERS);
    wz_mailbox_release(&mb);
    wz_free(senders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbox_runs_letters_in_order),
        cmocka_unit_test(test_mailbox_wakes_the_receiver_once_until_it_looks),
        cmocka_unit_test(test_mailbox_that_is_full_takes_answers_only),
        cmocka_unit_test(test_mailbox_that_is_closed_takes_answers_only),
        cmocka_unit_test(test_mailbox_letter_posted_by_a_letter_runs_the_next_time),
        cmocka_unit_test(test_mailbox_loses_nothing_between_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
