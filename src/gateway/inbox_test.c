// SPDX-License-Identifier: Apache-2.0
// Asks a desk at which the test itself serves, in the place of the router.
#include <pthread.h>

#include "gateway/stage_test.h"
#include "loop/loop.h"

// A desk's loop thread, and what the router was asked last.
struct router {
    struct wz_loop loop;
    struct wz_desk *desk;
    pthread_t thread;
    char asked[128]; // what, arguments
};

static void serve(void *arg, struct wz_desk_call *call)
{
    struct router *router = arg;
    char *args = json_dumps(call->args, JSON_COMPACT | JSON_SORT_KEYS);

    (void)snprintf(router->asked, sizeof(router->asked), "%s %s", call->what, args);
    free(args);
    wz_desk_answer(call, WZ_OK,
                   strcmp(call->what, "ls") == 0
                       ? json_pack("{s:[{s:s}, {s:s}], s:b}", "items", "topic", "a/b", "topic",
                                   "c/d", "more", 0)
                       : json_object());
}

static void *run_router(void *arg)
{
    struct router *router = arg;

    while (wz_mailbox_wait(&router->loop.mail))
        (void)wz_mailbox_run(&router->loop.mail);
    return NULL;
}

static void suggest(void *arg, const struct wz_api_documents *documents, json_t *items)
{
    json_t *item;
    size_t i;

    (void)arg;
    (void)documents;
    json_array_foreach(items, i, item)
    {
        assert_int_equal(json_object_set_new(item, "suggestion", json_integer((int)i)), 0);
    }
}

// ARG is NULL, or a store in which somebody else is faster.
static int accept_all(void *arg, const struct wz_api_documents *documents, const json_t *items,
                      const json_t *wish, json_t **ret_devices, struct wz_problem *ret_problem)
{
    (void)documents;
    if (arg != NULL) {
        json_t *body = json_pack("{s:s}", "route", "others");
        struct wz_store_call call = {.op = WZ_STORE_PUT,
                                     .collection = WZ_COLLECTION_DEVICES,
                                     .name = "a",
                                     .body = body,
                                     .expected_revision = WZ_REVISION_ANY};

        assert_int_equal(wz_store_do(arg, &call), WZ_OK);
        json_decref(body);
    }
    assert_int_equal(json_array_size(items), 2);
    if (strcmp(json_string_value(json_object_get(wish, "topic")), "bad/name") == 0) {
        *ret_devices = json_pack("{s:{}}", ""); // the store takes no such name
        return WZ_OK;
    }
    if (strcmp(json_string_value(json_object_get(wish, "topic")), "a/b") != 0)
        return wz_problem_set(ret_problem, WZ_ERR_NOT_FOUND, 2402, "There is no such topic.");
    *ret_devices = json_pack("{s:{s:s}}", "a", "route", "r");
    return WZ_OK;
}

static void begin(struct stage *stage, struct router *router)
{
    stage_open(stage);
    *router = (struct router){0};
    wz_mailbox_init(&router->loop.mail, 16, NULL, NULL);
    router->desk = wz_desk_new(&router->loop);
    wz_desk_serve(router->desk, "inbox", serve, router);
    assert_int_equal(pthread_create(&router->thread, NULL, run_router, router), 0);
    stage->parts.desk = router->desk;
    stage->parts.suggest = suggest;
    stage->parts.accept = accept_all;
    stage_begin(stage);
}

static void end(struct stage *stage, struct router *router)
{
    stage_close(stage);
    wz_mailbox_close(&router->loop.mail);
    assert_int_equal(pthread_join(router->thread, NULL), 0);
    wz_desk_free(router->desk);
    wz_mailbox_release(&router->loop.mail);
}

static void expect(struct stage *stage, const char *text)
{
    if (strstr(wz_buf_str(&stage->content), text) == NULL)
        fail_msg("%s is not in %s", text, wz_buf_str(&stage->content));
}

static void test_inbox_lists_topics_with_suggestions(void **state)
{
    struct router router;
    struct stage stage;

    (void)state;
    begin(&stage, &router);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox", "", ""), 200);
    expect(&stage, "{\"topic\":\"c/d\",\"suggestion\":1}");
    expect(&stage, "\"more\":false");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox?limit=1", "", ""), 200);
    assert_null(strstr(wz_buf_str(&stage.content), "c/d"));
    expect(&stage, "\"more\":true");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox?limit=0", "", ""), 400);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox?limit=1x", "", ""), 400);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox?limit=4097", "", ""), 400);
    expect(&stage, "from 1 to 4096");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox/topics/c%2Fd", "", ""), 200);
    expect(&stage, "{\"topic\":\"c/d\",\"suggestion\":1}");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/inbox/topics/no", "", ""), 404);
    expect(&stage, "WYZ-2402");
    end(&stage, &router);
}

static void test_inbox_saves_what_is_accepted_and_lets_it_enter(void **state)
{
    struct router router;
    struct stage stage;

    (void)state;
    begin(&stage, &router);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/accept", "", "{\"topic\":\"x\"}"),
                     404);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/accept", "", "{}"), 422);
    assert_int_equal(
        stage_ask(&stage, "POST", "/api/v1/inbox/accept", "", "{\"topic\":\"a/b\",\"route\":1}"),
        422);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/accept", "",
                               "{\"topic\":\"a/b\",\"reenter\":false}"),
                     200);
    assert_string_equal(router.asked, "ls {\"limit\":4096}");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices/a", "", ""), 200);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/accept", "", "{\"topic\":\"a/b\"}"),
                     200);
    expect(&stage, "{\"devices\":{\"a\":{\"route\":\"r\"}},\"reenter\":true}");
    assert_string_equal(router.asked, "reenter {\"devices\":[\"a\"]}");
    end(&stage, &router);
}

static void test_inbox_lets_nothing_enter_that_the_store_refused(void **state)
{
    struct router router;
    struct stage stage;

    (void)state;
    begin(&stage, &router);
    assert_int_equal(
        stage_ask(&stage, "POST", "/api/v1/inbox/accept", "", "{\"topic\":\"bad/name\"}"), 422);
    expect(&stage, "WYZ-2001");
    assert_string_equal(router.asked, "ls {\"limit\":4096}");
    end(&stage, &router);
}

static void test_inbox_does_not_write_over_what_others_made_meanwhile(void **state)
{
    struct router router;
    struct stage stage;

    (void)state;
    begin(&stage, &router);
    stage.api.parts.mapping_arg = stage.parts.store;
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/accept", "", "{\"topic\":\"a/b\"}"),
                     409);
    expect(&stage, "WYZ-2005");
    assert_string_equal(router.asked, "ls {\"limit\":4096}");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices/a", "", ""), 200);
    expect(&stage, "others");
    end(&stage, &router);
}

static void test_inbox_is_refused_where_there_is_no_server(void **state)
{
    static const char *const asks[][3] = {
        {"GET", "/api/v1/inbox", ""},
        {"GET", "/api/v1/inbox/topics/a", ""},
        {"POST", "/api/v1/inbox/accept", "{\"topic\":\"a\"}"},
        {"POST", "/api/v1/inbox/reenter", "{}"},
        {"POST", "/api/v1/inbox/forget", "{\"topics\":[]}"},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(asks) / sizeof(asks[0]); i++) {
        const char *const *ask = asks[i / 2];
        struct wz_store *store;
        struct stage stage;

        stage_open(&stage);
        stage.parts.suggest = suggest;
        stage.parts.accept = accept_all;
        store = stage.parts.store;
        if (i % 2 == 1)
            stage.parts.store = NULL; // nor a store
        stage_begin(&stage);
        assert_int_equal(stage_ask(&stage, ask[0], ask[1], "", ask[2]), 503);
        stage.parts.store = store;
        stage_close(&stage);
    }
}

static void test_inbox_asks_the_router_what_the_body_says(void **state)
{
    struct router router;
    struct stage stage;

    (void)state;
    begin(&stage, &router);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/reenter", "", "{}"), 200);
    assert_string_equal(router.asked, "reenter {}");
    assert_int_equal(
        stage_ask(&stage, "POST", "/api/v1/inbox/reenter", "", "{\"devices\":[\"a\"]}"), 200);
    assert_string_equal(router.asked, "reenter {\"devices\":[\"a\"]}");
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/forget", "", "{\"topics\":[\"t\"]}"),
                     200);
    assert_string_equal(router.asked, "forget {\"topics\":[\"t\"]}");
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/forget", "", "{}"), 422);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/forget", "", "{\"topics\":[1]}"),
                     422);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/reenter", "", "{\"devices\":1}"),
                     422);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/inbox/reenter", "", "no"), 422);
    end(&stage, &router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_lists_topics_with_suggestions),
        cmocka_unit_test(test_inbox_saves_what_is_accepted_and_lets_it_enter),
        cmocka_unit_test(test_inbox_lets_nothing_enter_that_the_store_refused),
        cmocka_unit_test(test_inbox_does_not_write_over_what_others_made_meanwhile),
        cmocka_unit_test(test_inbox_is_refused_where_there_is_no_server),
        cmocka_unit_test(test_inbox_asks_the_router_what_the_body_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
