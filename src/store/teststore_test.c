// SPDX-License-Identifier: Apache-2.0
// Owns the file and the listeners of the store's tests.
#include "store/teststore_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/fs.h"

static char folder[] = "/tmp/wyze-store-test-XXXXXX";
static char path[64];

const char *teststore_path(void) { return path; }

static size_t count_devices(struct wz_store_view *view)
{
    struct wz_document_list list = {0};
    size_t count;

    if (wz_store_view_list(view, WZ_COLLECTION_DEVICES, &list) < 0)
        return 999;
    count = list.count;
    wz_document_list_release(&list);
    return count;
}

static void on_changed(void *arg, struct wz_store_view *view, unsigned changed)
{
    struct teststore_listener *listener = arg;

    pthread_mutex_lock(&listener->lock);
    listener->calls++;
    listener->changed = changed;
    listener->devices = count_devices(view);
    pthread_cond_broadcast(&listener->told);
    pthread_mutex_unlock(&listener->lock);
}

static int on_check(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    struct teststore_listener *listener = arg;
    bool refuse;

    pthread_mutex_lock(&listener->lock);
    listener->checked = count_devices(view);
    listener->concerned = wz_store_view_changed(view);
    refuse = listener->refuse;
    listener->holding = listener->hold;
    pthread_cond_broadcast(&listener->told);
    while (listener->hold)
        pthread_cond_wait(&listener->told, &listener->lock);
    pthread_mutex_unlock(&listener->lock);
    if (!refuse)
        return WZ_OK;
    return wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_MAPPING_ROUTE_TAKEN, "Refused.");
}

void teststore_wait_for_calls(struct teststore_listener *listener, int count)
{
    struct timespec deadline;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &deadline), 0);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&listener->lock);
    while (listener->calls < count)
        assert_int_equal(pthread_cond_timedwait(&listener->told, &listener->lock, &deadline), 0);
    pthread_mutex_unlock(&listener->lock);
}

void teststore_listener_init(struct teststore_listener *listener)
{
    *listener = (struct teststore_listener){0};
    pthread_mutex_init(&listener->lock, NULL);
    pthread_cond_init(&listener->told, NULL);
}

struct wz_store *teststore_open(struct teststore_listener *listener)
{
    struct wz_store_options options = {.poll_ms = 10};
    struct wz_problem problem = {0};
    struct wz_store *store = NULL;

    if (listener != NULL) {
        options.check = on_check;
        options.changed = on_changed;
        options.arg = listener;
    }
    assert_int_equal(wz_store_open(path, &options, &store, &problem), WZ_OK);
    return store;
}

int teststore_put(struct wz_store *store, const char *name, int number, int64_t expected,
                  struct wz_store_call *ret_call)
{
    json_t *body = json_pack("{s:i}", "n", number);
    int r;

    *ret_call = (struct wz_store_call){.op = WZ_STORE_PUT,
                                       .collection = WZ_COLLECTION_DEVICES,
                                       .name = name,
                                       .body = body,
                                       .expected_revision = expected};
    r = wz_store_do(store, ret_call);
    json_decref(body);
    return r;
}

int teststore_make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/store.db", folder);
    return 0;
}

int teststore_drop_files(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char file[80];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        if (wz_fs_remove(file) < 0)
            return -1;
    }
    return 0;
}

int teststore_drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}
