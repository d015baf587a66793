// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/list.h"
#include "store/teststore_test.h"

static int remove_one(struct wz_store *store, const char *name, int64_t expected,
                      struct wz_store_call *ret_call)
{
    *ret_call = (struct wz_store_call){.op = WZ_STORE_DELETE,
                                       .collection = WZ_COLLECTION_DEVICES,
                                       .name = name,
                                       .expected_revision = expected};
    return wz_store_do(store, ret_call);
}

// The number in the document NAME, or -1 when it is not there; RET_REVISION may be NULL.
static int64_t get(struct wz_store *store, const char *name, int64_t *ret_revision)
{
    struct wz_store_call call = {
        .op = WZ_STORE_GET, .collection = WZ_COLLECTION_DEVICES, .name = name};
    int64_t number = -1;

    if (wz_store_do(store, &call) == WZ_OK) {
        number = json_integer_value(json_object_get(call.list.items[0].body, "n"));
        if (ret_revision != NULL)
            *ret_revision = call.list.items[0].revision;
    }
    wz_document_list_release(&call.list);
    return number;
}

static void test_store_put_counts_revisions_from_one(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_store_call call;
    int64_t revision;
    (void)state;

    assert_int_equal(teststore_put(store, "a", 7, WZ_REVISION_NONE, &call), WZ_OK);
    assert_int_equal(call.revision, 1);
    assert_int_equal(teststore_put(store, "a", 8, 1, &call), WZ_OK);
    assert_int_equal(call.revision, 2);
    assert_int_equal(teststore_put(store, "a", 9, WZ_REVISION_ANY, &call), WZ_OK);
    assert_int_equal(get(store, "a", &revision), 9);
    assert_int_equal(revision, 3);
    wz_store_close(store);
}

static void test_store_put_refuses_a_revision_that_is_not_there(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_store_call call;
    (void)state;

    assert_int_equal(teststore_put(store, "a", 1, 1, &call), WZ_ERR_CONFLICT);
    assert_int_equal(call.revision, 0);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_ANY, &call), WZ_OK);
    assert_int_equal(teststore_put(store, "a", 2, WZ_REVISION_NONE, &call), WZ_ERR_CONFLICT);
    assert_int_equal(call.revision, 1);
    assert_int_equal(teststore_put(store, "a", 2, 2, &call), WZ_ERR_CONFLICT);
    assert_int_equal(call.revision, 1);
    assert_int_equal(call.problem.code, WZ_CODE_DOCUMENT_CONFLICT);
    assert_string_equal(call.problem.where, "devices/a");
    assert_int_equal(get(store, "a", NULL), 1);
    wz_store_close(store);
}

static void test_store_delete_removes_the_revision_it_was_shown(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_store_call call;
    (void)state;

    assert_int_equal(remove_one(store, "a", WZ_REVISION_ANY, &call), WZ_ERR_NOT_FOUND);
    assert_int_equal(call.problem.code, WZ_CODE_DOCUMENT_NOT_FOUND);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_ANY, &call), WZ_OK);
    assert_int_equal(remove_one(store, "a", 2, &call), WZ_ERR_CONFLICT);
    assert_int_equal(get(store, "a", NULL), 1);
    assert_int_equal(remove_one(store, "a", 1, &call), WZ_OK);
    assert_int_equal(get(store, "a", NULL), -1);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_NONE, &call), WZ_OK);
    assert_int_equal(call.revision, 1);
    wz_store_close(store);
}

static void test_store_list_is_ordered_by_bytes_and_by_collection(void **state)
{
    static const char *const names[] = {"b", "a/b", "a", "\xc3\xa4", "B", "a b"};
    static const char *const ordered[] = {"B", "a", "a b", "a/b", "b", "\xc3\xa4"};
    struct wz_store *store = teststore_open(NULL);
    struct wz_store_call call;
    (void)state;

    for (size_t i = 0; i < 6; i++)
        assert_int_equal(teststore_put(store, names[i], 0, WZ_REVISION_NONE, &call), WZ_OK);
    call = (struct wz_store_call){.op = WZ_STORE_LIST, .collection = WZ_COLLECTION_DEVICES};
    assert_int_equal(wz_store_do(store, &call), WZ_OK);
    assert_int_equal(call.list.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(call.list.items[i].name, ordered[i]);
    wz_document_list_release(&call.list);
    call.collection = WZ_COLLECTION_SCRIPTS;
    assert_int_equal(wz_store_do(store, &call), WZ_OK);
    assert_int_equal(call.list.count, 0);
    wz_store_close(store);
}

static void test_store_put_refuses_what_is_no_document(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    json_t *body = json_array();
    struct wz_store_call call;
    (void)state;

    assert_int_equal(teststore_put(store, "a\nb", 1, WZ_REVISION_ANY, &call), WZ_ERR_INVALID);
    assert_int_equal(call.problem.code, WZ_CODE_DOCUMENT_NAME);
    call = (struct wz_store_call){
        .op = WZ_STORE_PUT, .name = "a", .body = body, .expected_revision = WZ_REVISION_ANY};
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_INVALID);
    assert_int_equal(call.problem.code, WZ_CODE_DOCUMENT_BODY);
    json_decref(body);
    wz_store_close(store);
}

static void test_store_apply_is_all_or_nothing(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    json_t *body = json_pack("{s:i}", "n", 5);
    struct wz_store_change changes[] = {
        {.collection = WZ_COLLECTION_DEVICES, .name = "new", .body = body},
        {.collection = WZ_COLLECTION_DEVICES, .name = "old"},
        {.collection = WZ_COLLECTION_SUBTOPICS, .name = "bad\n", .body = body},
    };
    struct wz_store_call call;
    (void)state;

    assert_int_equal(teststore_put(store, "old", 1, WZ_REVISION_ANY, &call), WZ_OK);
    call = (struct wz_store_call){.op = WZ_STORE_APPLY, .changes = changes, .change_count = 3};
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_INVALID);
    assert_int_equal(get(store, "new", NULL), -1);
    assert_int_equal(get(store, "old", NULL), 1);
    call.change_count = 2;
    assert_int_equal(wz_store_do(store, &call), WZ_OK);
    assert_int_equal(get(store, "new", NULL), 5);
    assert_int_equal(get(store, "old", NULL), -1);
    json_decref(body);
    wz_store_close(store);
}

static void test_store_apply_writes_over_nothing_that_was_to_be_new(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    json_t *body = json_pack("{s:i}", "n", 5);
    struct wz_store_change changes[] = {
        {.collection = WZ_COLLECTION_DEVICES, .name = "a", .body = body, .new = true},
        {.collection = WZ_COLLECTION_DEVICES, .name = "b", .body = body, .new = true},
    };
    struct wz_store_call call;
    (void)state;

    assert_int_equal(teststore_put(store, "b", 1, WZ_REVISION_ANY, &call), WZ_OK);
    call = (struct wz_store_call){.op = WZ_STORE_APPLY, .changes = changes, .change_count = 2};
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_CONFLICT);
    assert_int_equal(call.problem.code, WZ_CODE_DOCUMENT_CONFLICT);
    assert_string_equal(call.problem.where, "devices/b");
    assert_int_equal(get(store, "a", NULL), -1);
    assert_int_equal(get(store, "b", NULL), 1);
    assert_int_equal(remove_one(store, "b", WZ_REVISION_ANY, &call), WZ_OK);
    call = (struct wz_store_call){.op = WZ_STORE_APPLY, .changes = changes, .change_count = 2};
    assert_int_equal(wz_store_do(store, &call), WZ_OK);
    assert_int_equal(get(store, "b", NULL), 5);
    json_decref(body);
    wz_store_close(store);
}

static void test_store_snapshot_has_all_collections_or_nothing(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_store_call call;
    json_t *body = json_object();
    sqlite3 *other;
    (void)state;

    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++) {
        call = (struct wz_store_call){.op = WZ_STORE_PUT,
                                      .collection = (enum wz_collection)i,
                                      .name = "one",
                                      .body = body,
                                      .expected_revision = WZ_REVISION_ANY};
        assert_int_equal(wz_store_do(store, &call), WZ_OK);
    }
    assert_int_equal(teststore_put(store, "two", 1, WZ_REVISION_ANY, &call), WZ_OK);
    call = (struct wz_store_call){.op = WZ_STORE_SNAPSHOT, .lists = lists};
    assert_int_equal(wz_store_do(store, &call), WZ_OK);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++) {
        assert_int_equal(lists[i].count, i == WZ_COLLECTION_DEVICES ? 2 : 1);
        assert_string_equal(lists[i].items[0].name, "one");
        wz_document_list_release(&lists[i]);
    }
    assert_int_equal(sqlite3_open(teststore_path(), &other), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(other, "UPDATE documents SET body = '' WHERE name = 'two'", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    call = (struct wz_store_call){.op = WZ_STORE_SNAPSHOT, .lists = lists};
    assert_int_equal(wz_store_do(store, &call), WZ_ERR_CORRUPT);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        assert_int_equal(lists[i].count, 0);
    assert_int_equal(teststore_put(store, "three", 1, WZ_REVISION_ANY, &call), WZ_OK); // it goes on
    json_decref(body);
    wz_store_close(store);
}

// Changes that were made for one state of all documents, by us or by another process.
static void test_store_applies_changes_to_the_state_they_are_for_only(void **state)
{
    static const char *const by_others[] = {NULL, "UPDATE documents SET revision = 7"};
    json_t *body = json_pack("{s:i}", "n", 1);
    struct wz_store_change change = {
        .collection = WZ_COLLECTION_DEVICES, .name = "new", .body = body};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_store *store = teststore_open(NULL);
    struct wz_store_call call;
    sqlite3 *other;
    (void)state;

    for (size_t i = 0; i < sizeof(by_others) / sizeof(by_others[0]); i++) {
        struct wz_store_call apply = {.op = WZ_STORE_APPLY, .changes = &change, .change_count = 1};

        call = (struct wz_store_call){.op = WZ_STORE_SNAPSHOT, .lists = lists};
        assert_int_equal(wz_store_do(store, &call), WZ_OK);
        for (size_t j = 0; j < WZ_COLLECTION_COUNT; j++)
            wz_document_list_release(&lists[j]);
        apply.expected = call.state;
        assert_int_equal(wz_store_do(store, &apply), WZ_OK);
        assert_int_equal(wz_store_do(store, &apply), WZ_ERR_CONFLICT); // it was changed just now
        call = (struct wz_store_call){.op = WZ_STORE_SNAPSHOT, .lists = lists};
        assert_int_equal(wz_store_do(store, &call), WZ_OK);
        for (size_t j = 0; j < WZ_COLLECTION_COUNT; j++)
            wz_document_list_release(&lists[j]);
        apply.expected = call.state;
        if (by_others[i] != NULL) {
            assert_int_equal(sqlite3_open(teststore_path(), &other), SQLITE_OK);
            assert_int_equal(sqlite3_exec(other, by_others[i], NULL, NULL, NULL), SQLITE_OK);
            assert_int_equal(sqlite3_close(other), SQLITE_OK);
        }
        assert_int_equal(wz_store_do(store, &apply),
                         by_others[i] != NULL ? WZ_ERR_CONFLICT : WZ_OK);
    }
    json_decref(body);
    wz_store_close(store);
}

static void test_store_check_undoes_what_it_refuses(void **state)
{
    struct teststore_listener listener;
    struct wz_store *store;
    struct wz_store_call call;
    (void)state;

    teststore_listener_init(&listener);
    store = teststore_open(&listener);
    teststore_wait_for_calls(&listener, 1);
    pthread_mutex_lock(&listener.lock);
    listener.refuse = true;
    pthread_mutex_unlock(&listener.lock);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_ANY, &call), WZ_ERR_INVALID);
    assert_int_equal(call.problem.code, WZ_CODE_MAPPING_ROUTE_TAKEN);
    assert_int_equal(get(store, "a", NULL), -1);
    wz_store_close(store);
    assert_int_equal(listener.concerned, 1U << WZ_COLLECTION_DEVICES);
    assert_int_equal(listener.checked, 1); // it saw the change that it refused
    assert_int_equal(listener.calls, 1);   // and nobody else was told of it
}

static void test_store_tells_of_all_first_and_of_a_change_before_its_answer(void **state)
{
    struct teststore_listener listener;
    struct wz_store *store;
    struct wz_store_call call;
    (void)state;

    teststore_listener_init(&listener);
    store = teststore_open(&listener);
    teststore_wait_for_calls(&listener, 1);
    pthread_mutex_lock(&listener.lock);
    assert_int_equal(listener.changed, (1U << WZ_COLLECTION_COUNT) - 1);
    pthread_mutex_unlock(&listener.lock);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_ANY, &call), WZ_OK);
    pthread_mutex_lock(&listener.lock);
    assert_int_equal(listener.calls, 2);
    assert_int_equal(listener.changed, 1U << WZ_COLLECTION_DEVICES);
    assert_int_equal(listener.devices, 1);
    pthread_mutex_unlock(&listener.lock);
    wz_store_close(store);
}

// Runs FN in a process of its own, after a byte from the parent; gives the write end and the pid.
static pid_t start_child(void (*fn)(int report_fd), int *ret_go_fd, int *ret_report_fd)
{
    int go[2];
    int report[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(report), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(report[0]);
        close(go[1]);
        if (read(go[0], &byte, 1) == 1)
            fn(report[1]);
        _exit(0);
    }
    close(go[0]);
    close(report[1]);
    *ret_go_fd = go[1];
    *ret_report_fd = report[0];
    return pid;
}

static void put_one_in_child(int report_fd)
{
    struct wz_store_call call;
    struct wz_store *store = teststore_open(NULL);

    (void)report_fd;
    if (teststore_put(store, "from-elsewhere", 1, WZ_REVISION_ANY, &call) != WZ_OK)
        _exit(1);
    wz_store_close(store);
}

static void test_store_tells_of_another_process_changes(void **state)
{
    int go_fd;
    int report_fd;
    int status;
    pid_t pid = start_child(put_one_in_child, &go_fd, &report_fd); // before there are threads
    struct teststore_listener listener;
    struct wz_store *store;
    (void)state;

    teststore_listener_init(&listener);
    store = teststore_open(&listener);
    teststore_wait_for_calls(&listener, 1);
    assert_int_equal(write(go_fd, "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    teststore_wait_for_calls(&listener, 2);
    pthread_mutex_lock(&listener.lock);
    assert_int_equal(listener.changed, (1U << WZ_COLLECTION_COUNT) - 1);
    assert_int_equal(listener.devices, 1);
    pthread_mutex_unlock(&listener.lock);
    assert_int_equal(get(store, "from-elsewhere", NULL), 1);
    wz_store_close(store);
    close(go_fd);
    close(report_fd);
}

// As if a bit had flipped in the document NAME.
static void damage(const char *name)
{
    sqlite3 *handle = NULL;
    char sql[128];

    (void)snprintf(sql, sizeof(sql),
                   "UPDATE documents SET checksum = checksum + 1 WHERE name = '%s'", name);
    assert_int_equal(sqlite3_open(teststore_path(), &handle), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(handle, 10000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void assert_damaged(struct wz_store_call *call)
{
    assert_int_equal(call->result, WZ_ERR_CORRUPT);
    assert_int_equal(call->problem.code, WZ_CODE_STORE_DAMAGED);
    assert_non_null(strstr(call->problem.what, "devices/b"));
    assert_int_equal(call->list.count, 0);
}

static void test_store_neither_gives_nor_replaces_what_is_damaged(void **state)
{
    struct wz_store_call list = {.op = WZ_STORE_LIST, .collection = WZ_COLLECTION_DEVICES};
    struct wz_store_call call;
    struct teststore_listener listener;
    struct wz_store *store;
    (void)state;

    teststore_listener_init(&listener);
    store = teststore_open(&listener);
    assert_int_equal(teststore_put(store, "a", 1, WZ_REVISION_NONE, &call), WZ_OK);
    assert_int_equal(teststore_put(store, "b", 2, WZ_REVISION_NONE, &call), WZ_OK);
    damage("b");
    teststore_wait_for_calls(&listener, 4); // the start, two of ours, another program's
    pthread_mutex_lock(&listener.lock);
    assert_int_equal(listener.devices, 999); // the collection cannot be listed
    pthread_mutex_unlock(&listener.lock);
    assert_int_equal(wz_store_do(store, &list), WZ_ERR_CORRUPT);
    assert_damaged(&list);
    assert_int_equal(teststore_put(store, "b", 3, WZ_REVISION_ANY, &call), WZ_ERR_CORRUPT);
    assert_damaged(&call);
    (void)remove_one(store, "b", 1, &call);
    assert_damaged(&call);
    assert_int_equal(get(store, "a", NULL), 1);
    wz_store_close(store);
}

static void put_many_in_child(int report_fd)
{
    struct wz_store *store = teststore_open(NULL);

    for (int i = 0; i < 100000; i++) {
        struct wz_store_call call;
        char name[16];

        (void)snprintf(name, sizeof(name), "d%d", i);
        if (teststore_put(store, name, i, WZ_REVISION_NONE, &call) != WZ_OK ||
            write(report_fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
            _exit(1);
    }
}

static void test_store_keeps_what_it_answered_when_it_is_killed(void **state)
{
    int go_fd;
    int report_fd;
    int acked = -1;
    char name[16];
    pid_t pid = start_child(put_many_in_child, &go_fd, &report_fd);
    struct wz_store *store;
    (void)state;

    assert_int_equal(write(go_fd, "x", 1), 1);
    while (acked < 50)
        assert_int_equal(read(report_fd, &acked, sizeof(acked)), sizeof(acked));
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(report_fd, &acked, sizeof(acked)) == (ssize_t)sizeof(acked))
        ;
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    store = teststore_open(NULL);
    for (int i = 0; i <= acked; i++) {
        (void)snprintf(name, sizeof(name), "d%d", i);
        assert_int_equal(get(store, name, NULL), i);
    }
    (void)snprintf(name, sizeof(name), "d%d", acked + 2); // one may have been on its way
    assert_int_equal(get(store, name, NULL), -1);
    wz_store_close(store);
    close(go_fd);
    close(report_fd);
}

static void fill_disk_in_child(int report_fd)
{
    struct rlimit limit;
    struct wz_store_call call;
    struct wz_store *store = teststore_open(NULL);
    int result = 0;

    (void)signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
        _exit(1);
    limit.rlim_cur = 256 * 1024;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        _exit(1);
    for (int i = 0; i < 10000 && result == 0; i++)
        result = teststore_put(store, "same", i, WZ_REVISION_ANY, &call);
    if (result != WZ_ERR_NOSPACE || call.problem.code != WZ_CODE_STORE_FULL ||
        call.problem.fix[0] == '\0' || get(store, "same", NULL) < 10)
        _exit(2);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        _exit(1);
    if (teststore_put(store, "same", 77777, WZ_REVISION_ANY, &call) != WZ_OK ||
        get(store, "same", NULL) != 77777)
        _exit(3);
    wz_store_close(store);
    if (write(report_fd, "k", 1) != 1)
        _exit(1);
}

static void test_store_refuses_writing_while_the_disk_is_full(void **state)
{
    int go_fd;
    int report_fd;
    int status;
    char byte = 0;
    pid_t pid = start_child(fill_disk_in_child, &go_fd, &report_fd);
    (void)state;

    assert_int_equal(write(go_fd, "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(report_fd, &byte, 1), 1);
    assert_int_equal(byte, 'k');
    close(go_fd);
    close(report_fd);
}

static int answers;

static void on_done(struct wz_mail *mail)
{
    struct wz_store_call *call = WZ_CONTAINER(mail, struct wz_store_call, mail);

    assert_int_equal(call->result, WZ_OK);
    assert_int_equal(call->revision, ++answers);
}

static void test_store_send_answers_in_order_on_the_callers_thread(void **state)
{
    struct wz_store *store = teststore_open(NULL);
    struct wz_store_call calls[3];
    struct wz_mailbox mb;
    json_t *body = json_object();
    (void)state;

    answers = 0;
    wz_mailbox_init(&mb, 8, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        calls[i] = (struct wz_store_call){.op = WZ_STORE_PUT,
                                          .name = "x",
                                          .body = body,
                                          .expected_revision = WZ_REVISION_ANY,
                                          .reply_to = &mb,
                                          .done = on_done};
        assert_int_equal(wz_store_send(store, &calls[i]), WZ_OK);
    }
    while (answers < 3 && wz_mailbox_wait(&mb))
        (void)wz_mailbox_run(&mb);
    wz_store_close(store);
    wz_mailbox_release(&mb);
    json_decref(body);
}

static void count_done(struct wz_mail *mail)
{
    (void)mail;
    answers++;
}

static void test_store_send_refuses_when_too_much_is_under_way(void **state)
{
    static struct wz_store_call calls[3000];
    struct teststore_listener listener;
    struct wz_store *store;
    struct wz_mailbox mb;
    json_t *body = json_object();
    int sent = 0;
    int r = WZ_OK;
    (void)state;

    answers = 0;
    teststore_listener_init(&listener);
    listener.hold = true;
    store = teststore_open(&listener);
    wz_mailbox_init(&mb, 8, NULL, NULL);
    for (; sent < 3000 && r == WZ_OK; sent++) {
        calls[sent] = (struct wz_store_call){.op = sent == 0 ? WZ_STORE_PUT : WZ_STORE_LIST,
                                             .name = "x",
                                             .body = body,
                                             .expected_revision = WZ_REVISION_ANY,
                                             .reply_to = &mb,
                                             .done = count_done};
        r = wz_store_send(store, &calls[sent]);
    }
    assert_int_equal(r, WZ_ERR_BUSY);
    sent--;
    assert_true(sent >= 1024);
    pthread_mutex_lock(&listener.lock);
    listener.hold = false;
    pthread_cond_broadcast(&listener.told);
    pthread_mutex_unlock(&listener.lock);
    wz_store_close(store); // finishes what was taken in
    (void)wz_mailbox_run(&mb);
    assert_int_equal(answers, sent);
    for (int i = 0; i < sent; i++)
        wz_document_list_release(&calls[i].list);
    wz_mailbox_release(&mb);
    json_decref(body);
}

#define WITH_FILE(test) cmocka_unit_test_teardown(test, teststore_drop_files)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_store_put_counts_revisions_from_one),
        WITH_FILE(test_store_put_refuses_a_revision_that_is_not_there),
        WITH_FILE(test_store_delete_removes_the_revision_it_was_shown),
        WITH_FILE(test_store_list_is_ordered_by_bytes_and_by_collection),
        WITH_FILE(test_store_put_refuses_what_is_no_document),
        WITH_FILE(test_store_apply_is_all_or_nothing),
        WITH_FILE(test_store_apply_writes_over_nothing_that_was_to_be_new),
        WITH_FILE(test_store_snapshot_has_all_collections_or_nothing),
        WITH_FILE(test_store_applies_changes_to_the_state_they_are_for_only),
        WITH_FILE(test_store_check_undoes_what_it_refuses),
        WITH_FILE(test_store_tells_of_all_first_and_of_a_change_before_its_answer),
        WITH_FILE(test_store_tells_of_another_process_changes),
        WITH_FILE(test_store_neither_gives_nor_replaces_what_is_damaged),
        WITH_FILE(test_store_keeps_what_it_answered_when_it_is_killed),
        WITH_FILE(test_store_refuses_writing_while_the_disk_is_full),
        WITH_FILE(test_store_send_answers_in_order_on_the_callers_thread),
        WITH_FILE(test_store_send_refuses_when_too_much_is_under_way),
    };

    return cmocka_run_group_tests(tests, teststore_make_folder, teststore_drop_folder);
}
