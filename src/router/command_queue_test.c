// SPDX-License-Identifier: Apache-2.0
#include "router/command_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void push(struct wz_command_queue *queue, int number)
{
    char topic[32];
    char value[512];
    struct wz_command command = {
        .offset = number,
        .append_ms = -number,
        .form = (enum wz_form)(number % WZ_FORM_COUNT),
        .journaled = number % 2 == 1,
    };

    (void)snprintf(topic, sizeof(topic), "t%d.output", number);
    (void)snprintf(value, sizeof(value), "%0*d", number % 400 + 1, number);
    command.topic = wz_slice_str(topic);
    command.value = wz_slice_str(value);
    wz_command_queue_push(queue, &command);
}

static void expect_first(const struct wz_command_queue *queue, int number)
{
    char topic[32];
    char value[512];
    struct wz_command command;

    (void)snprintf(topic, sizeof(topic), "t%d.output", number);
    (void)snprintf(value, sizeof(value), "%0*d", number % 400 + 1, number);
    assert_true(wz_command_queue_first(queue, &command));
    assert_int_equal(command.offset, number);
    assert_int_equal(command.append_ms, -number);
    assert_int_equal(command.form, number % WZ_FORM_COUNT);
    assert_int_equal(command.journaled, number % 2 == 1);
    assert_true(wz_slice_eq(command.topic, wz_slice_str(topic)));
    assert_true(wz_slice_eq(command.value, wz_slice_str(value)));
}

static void test_command_queue_gives_first_what_came_first(void **state)
{
    struct wz_command_queue queue = {0};
    struct wz_command command;
    int in = 0;
    int out = 0;

    (void)state;
    assert_false(wz_command_queue_first(&queue, &command));
    while (out < 20000) { // it grows to some 1,000 and shrinks again, several times
        for (int i = 0; i < (out / 2000 % 2 == 0 ? 3 : 1) && in < 20000; i++)
            push(&queue, in++);
        for (int i = 0; i < 2 && out < in; i++) {
            expect_first(&queue, out++);
            wz_command_queue_shift(&queue);
        }
    }
    assert_int_equal(wz_command_queue_bytes(&queue), 0);
    assert_true(queue.buf.cap <= 65536); // what it once needed is given back
    wz_command_queue_release(&queue);
}

static void test_command_queue_is_empty_after_clear(void **state)
{
    struct wz_command_queue queue = {0};
    struct wz_command command;

    (void)state;
    push(&queue, 1);
    push(&queue, 2);
    wz_command_queue_shift(&queue);
    assert_true(wz_command_queue_bytes(&queue) > 0);
    wz_command_queue_clear(&queue);
    assert_int_equal(wz_command_queue_bytes(&queue), 0);
    assert_false(wz_command_queue_first(&queue, &command));
    push(&queue, 3);
    expect_first(&queue, 3);
    wz_command_queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_queue_gives_first_what_came_first),
        cmocka_unit_test(test_command_queue_is_empty_after_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
