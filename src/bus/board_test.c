// SPDX-License-Identifier: Apache-2.0
#include "bus/board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <pthread.h>

static void test_board_gives_back_what_was_put_up(void **state)
{
    struct wz_board *board = wz_board_new();
    json_t *entry;

    (void)state;
    wz_board_set(board, "scripts", "dice", json_pack("{s:s}", "status", "running"));
    entry = wz_board_get(board, "scripts", "dice");
    assert_string_equal(json_string_value(json_object_get(entry, "status")), "running");
    json_decref(entry);
    assert_null(wz_board_get(board, "scripts", "other"));
    assert_null(wz_board_get(board, "other", "dice"));
    wz_board_free(board);
}

static void test_board_hands_out_copies(void **state)
{
    struct wz_board *board = wz_board_new();
    json_t *entry;

    (void)state;
    wz_board_set(board, "scripts", "dice", json_pack("{s:s}", "status", "running"));
    entry = wz_board_get(board, "scripts", "dice");
    (void)json_object_set_new(entry, "status", json_string("changed"));
    json_decref(entry);
    entry = wz_board_get(board, "scripts", "dice");
    assert_string_equal(json_string_value(json_object_get(entry, "status")), "running");
    json_decref(entry);
    wz_board_free(board);
}

static void test_board_section_holds_what_was_not_taken_away(void **state)
{
    struct wz_board *board = wz_board_new();
    json_t *section;

    (void)state;
    wz_board_remove(board, "scripts", "dice");
    wz_board_set(board, "scripts", "dice", json_true());
    wz_board_set(board, "scripts", "lamp", json_false());
    wz_board_remove(board, "scripts", "dice");
    section = wz_board_section(board, "scripts");
    assert_int_equal(json_object_size(section), 1);
    assert_true(json_is_false(json_object_get(section, "lamp")));
    json_decref(section);
    section = wz_board_section(board, "nothing");
    assert_true(json_is_object(section));
    assert_int_equal(json_object_size(section), 0);
    json_decref(section);
    wz_board_free(board);
}

static void *write_entries(void *arg)
{
    struct wz_board *board = arg;

    for (int i = 0; i < 2000; i++)
        wz_board_set(board, "scripts", "dice", json_pack("{s:i, s:i}", "a", i, "b", i));
    return NULL;
}

static void test_board_entries_are_never_seen_half_written(void **state)
{
    struct wz_board *board = wz_board_new();
    pthread_t writers[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_entries, board), 0);
    for (int i = 0; i < 2000; i++) {
        json_t *entry = wz_board_get(board, "scripts", "dice");

        assert_int_equal(json_integer_value(json_object_get(entry, "a")),
                         json_integer_value(json_object_get(entry, "b")));
        json_decref(entry);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    wz_board_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_board_gives_back_what_was_put_up),
        cmocka_unit_test(test_board_hands_out_copies),
        cmocka_unit_test(test_board_section_holds_what_was_not_taken_away),
        cmocka_unit_test(test_board_entries_are_never_seen_half_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
