// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    struct wz_list link;
};

static int number_of(struct wz_list *link) { return WZ_CONTAINER(link, struct item, link)->number; }

static void fill(struct wz_list *head, struct item *items, int count)
{
    wz_list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].number = i;
        wz_list_push(head, &items[i].link);
    }
}

static void test_list_gives_its_members_in_the_order_of_pushing(void **state)
{
    struct item items[5];
    struct wz_list head;
    struct wz_list *it;
    struct wz_list *tmp;
    int next = 0;

    (void)state;
    fill(&head, items, 5);
    WZ_LIST_EACH(it, tmp, &head)
    assert_int_equal(number_of(it), next++);
    assert_int_equal(next, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(number_of(wz_list_shift(&head)), i);
    assert_null(wz_list_shift(&head));
    assert_true(wz_list_empty(&head));
}

static void test_list_member_may_be_removed_while_walking(void **state)
{
    struct item items[6];
    struct wz_list head;
    struct wz_list *it;
    struct wz_list *tmp;

    (void)state;
    fill(&head, items, 6);
    WZ_LIST_EACH(it, tmp, &head)
    {
        if (number_of(it) % 2 == 0)
            wz_list_remove(it);
    }
    assert_int_equal(number_of(wz_list_shift(&head)), 1);
    assert_int_equal(number_of(wz_list_shift(&head)), 3);
    assert_int_equal(number_of(wz_list_shift(&head)), 5);
    assert_true(wz_list_empty(&head));
}

static void test_list_remove_is_fine_for_a_link_in_no_list(void **state)
{
    struct item items[1];
    struct wz_list head;

    (void)state;
    fill(&head, items, 1);
    wz_list_remove(&items[0].link);
    assert_true(wz_list_empty(&head));
    assert_true(wz_list_empty(&items[0].link));
    wz_list_remove(&items[0].link);
    wz_list_push(&head, &items[0].link);
    assert_false(wz_list_empty(&head));
    assert_false(wz_list_empty(&items[0].link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_gives_its_members_in_the_order_of_pushing),
        cmocka_unit_test(test_list_member_may_be_removed_while_walking),
        cmocka_unit_test(test_list_remove_is_fine_for_a_link_in_no_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
