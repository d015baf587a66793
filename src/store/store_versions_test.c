// SPDX-License-Identifier: Apache-2.0
// The versions that the store keeps of a script: how many, how long, and what undoes one.
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/codes.h"
#include "store/teststore_test.h"

// Puts {"n": NUMBER} as the script NAME, or removes it when NUMBER is below 0.
static void write_script(struct wz_store *store, const char *name, int number)
{
    json_t *body = json_pack("{s:i}", "n", number);
    struct wz_store_call call = {.op = number < 0 ? WZ_STORE_DELETE : WZ_STORE_PUT,
                                 .collection = WZ_COLLECTION_SCRIPTS,
                                 .name = name,
                                 .body = body,
                                 .expected_revision = WZ_REVISION_ANY};

    assert_int_equal(wz_store_do(store, &call), WZ_OK);
    json_decref(body);
}

// The versions of a script that are kept.
static struct wz_document_list versions_of(struct wz_store *store, const char *name)
{
    struct wz_store_call call = {
        .op = WZ_STORE_VERSIONS, .collection = WZ_COLLECTION_SCRIPTS, .name = name};
    int r = wz_store_do(store, &call);

    assert_int_equal(r, call.list.count > 0 ? WZ_OK : WZ_ERR_NOT_FOUND);
    return call.list;
}

// The number in version INDEX of the list.
static int64_t number_in(const struct wz_document_list *list, size_t index)
{
    return json_integer_value(json_object_get(list->items[index].body, "n"));
}

static void test_store_keeps_the_last_versions_of_scripts(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    int64_t before_ms = wz_clock_wall_ms();
    struct wz_document_list list;
    struct wz_store_call call;
    (void)state;

    assert_int_equal(versions_of(store, "a").count, 0);
    for (int i = 1; i <= WZ_DOCUMENT_VERSIONS_MAX + 3; i++)
        write_script(store, "a", i);
    write_script(store, "b", 7);
    list = versions_of(store, "a");
    assert_int_equal(list.count, WZ_DOCUMENT_VERSIONS_MAX);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.items[i].revision, WZ_DOCUMENT_VERSIONS_MAX + 3 - i);
        assert_int_equal(number_in(&list, i), list.items[i].revision);
        assert_in_range(list.items[i].time_ms, before_ms, wz_clock_wall_ms());
    }
    wz_document_list_release(&list);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_ANY, &call), WZ_OK); // a device
    call = (struct wz_store_call){
        .op = WZ_STORE_VERSIONS, .collection = WZ_COLLECTION_DEVICES, .name = "a"};
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_NOT_FOUND);
    wz_store_close(store);
}

static void test_store_keeps_versions_of_a_removed_script_until_it_is_made_again(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_document_list list;
    (void)state;

    for (int i = 1; i <= 3; i++)
        write_script(store, "a", i);
    write_script(store, "a", -1);
    list = versions_of(store, "a");
    assert_int_equal(list.count, 3);
    assert_int_equal(number_in(&list, 0), 3);
    wz_document_list_release(&list);
    write_script(store, "a", 9);
    list = versions_of(store, "a");
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].revision, 1);
    assert_int_equal(number_in(&list, 0), 9);
    wz_document_list_release(&list);
    wz_store_close(store);
}

static void on_changed_lists_removed(void *arg, struct wz_store_view *view, unsigned changed)
{
    (void)changed;
    assert_int_equal(wz_store_view_removed(view, arg), WZ_OK);
}

static void test_store_names_scripts_that_were_removed_and_not_made_again(void **state)
{
    struct wz_document_list removed = {0};
    struct wz_store_options options = {.changed = on_changed_lists_removed, .arg = &removed};
    struct wz_store *store = teststore_open(NULL);
    (void)state;

    write_script(store, "stays", 1);
    for (int i = 0; i < 2; i++) {
        const char *const names[] = {"gone too", "gone", "again"};

        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            write_script(store, names[k], 1);
            write_script(store, names[k], -1);
        }
    }
    write_script(store, "again", 2);
    wz_store_close(store);
    assert_int_equal(wz_store_open(teststore_path(), &options, &store, NULL), WZ_OK);
    wz_store_close(store);
    assert_int_equal(removed.count, 2);
    assert_string_equal(removed.items[0].name, "gone");
    assert_string_equal(removed.items[1].name, "gone too");
    wz_document_list_release(&removed);
}

static void test_store_version_is_undone_with_its_change(void **state)
{
    struct teststore_listener listener;
    struct wz_store *store;
    struct wz_document_list list;
    json_t *body = json_pack("{s:i}", "n", 2);
    struct wz_store_call call = {.op = WZ_STORE_PUT,
                                 .collection = WZ_COLLECTION_SCRIPTS,
                                 .name = "a",
                                 .body = body,
                                 .expected_revision = WZ_REVISION_ANY};
    (void)state;

    teststore_listener_init(&listener);
    store = teststore_open(&listener);
    write_script(store, "a", 1);
    pthread_mutex_lock(&listener.lock);
    listener.refuse = true;
    pthread_mutex_unlock(&listener.lock);
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_INVALID);
    list = versions_of(store, "a");
    assert_int_equal(list.count, 1);
    assert_int_equal(number_in(&list, 0), 1);
    wz_document_list_release(&list);
    json_decref(body);
    wz_store_close(store);
}

static void run_sql(const char *sql)
{
    sqlite3 *other;

    assert_int_equal(sqlite3_open(teststore_path(), &other), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(other, 10000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void test_store_keeps_what_another_program_wrote_and_refuses_a_damaged_version(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_document_list list;
    struct wz_store_call call = {
        .op = WZ_STORE_VERSIONS, .collection = WZ_COLLECTION_SCRIPTS, .name = "a"};
    (void)state;

    run_sql("INSERT INTO documents (collection, name, revision, body) "
            "VALUES ('scripts', 'a', 5, '{\"n\":5}')");
    write_script(store, "a", 6);
    list = versions_of(store, "a");
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[1].revision, 5);
    assert_int_equal(list.items[1].time_ms, 0);
    assert_int_equal(number_in(&list, 1), 5);
    wz_document_list_release(&list);
    run_sql("UPDATE versions SET body = '{\"n\":7}' WHERE revision = 6");
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_CORRUPT);
    assert_int_equal(call.problem.code, WZ_CODE_STORE_DAMAGED);
    assert_non_null(strstr(call.problem.what, "scripts/a"));
    wz_store_close(store);
}

#define WITH_FILE(test) cmocka_unit_test_teardown(test, teststore_drop_files)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_store_keeps_the_last_versions_of_scripts),
        WITH_FILE(test_store_keeps_versions_of_a_removed_script_until_it_is_made_again),
        WITH_FILE(test_store_names_scripts_that_were_removed_and_not_made_again),
        WITH_FILE(test_store_version_is_undone_with_its_change),
        WITH_FILE(test_store_keeps_what_another_program_wrote_and_refuses_a_damaged_version),
    };

    return cmocka_run_group_tests(tests, teststore_make_folder, teststore_drop_folder);
}
