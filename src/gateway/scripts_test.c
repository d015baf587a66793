// SPDX-License-Identifier: Apache-2.0
// Asks a desk at which the test itself serves, in the place of the engine.
#include <pthread.h>

#include "gateway/stage_test.h"
#include "loop/loop.h"

#define DICE "/api/v1/scripts/dice%2F6"

// A desk's loop thread, and what the engine was asked last.
struct engine {
    struct wz_loop loop;
    struct wz_desk *desk;
    pthread_t thread;
    char asked[128]; // what, name, arguments
};

static void serve(void *arg, struct wz_desk_call *call)
{
    struct engine *engine = arg;
    char *args = json_dumps(call->args, JSON_COMPACT | JSON_SORT_KEYS);
    bool known = strcmp(call->name, "dice/6") == 0 || strcmp(call->what, "restart-all") == 0;

    (void)snprintf(engine->asked, sizeof(engine->asked), "%s %s %s", call->what, call->name, args);
    free(args);
    if (!known)
        (void)wz_problem_set(&call->problem, WZ_ERR_NOT_FOUND, 5004, "There is no such script.");
    wz_desk_answer(call, known ? WZ_OK : WZ_ERR_NOT_FOUND,
                   known ? json_pack("{s:[{s:i}]}", "items", "number", 7) : NULL);
}

static void *run_engine(void *arg)
{
    struct engine *engine = arg;

    while (wz_mailbox_wait(&engine->loop.mail))
        (void)wz_mailbox_run(&engine->loop.mail);
    return NULL;
}

static void engine_start(struct engine *engine, struct stage *stage)
{
    *engine = (struct engine){0};
    wz_mailbox_init(&engine->loop.mail, 16, NULL, NULL);
    engine->desk = wz_desk_new(&engine->loop);
    wz_desk_serve(engine->desk, "scripts", serve, engine);
    assert_int_equal(pthread_create(&engine->thread, NULL, run_engine, engine), 0);
    stage->parts.desk = engine->desk;
}

static void engine_stop(struct engine *engine)
{
    wz_mailbox_close(&engine->loop.mail);
    assert_int_equal(pthread_join(engine->thread, NULL), 0);
    wz_desk_free(engine->desk);
    wz_mailbox_release(&engine->loop.mail);
}

static void test_scripts_ask_the_engine_what_the_address_says(void **state)
{
    static const struct {
        const char *method;
        const char *target;
        const char *asked;
        const char *answer;
    } cases[] = {
        {"POST", "/api/v1/engine/restart", "restart-all  {}", "{\"items\":["},
        {"POST", DICE "/restart", "restart dice/6 {}", "{\"items\":["},
        {"GET", DICE "/state", "state dice/6 {}", "{\"items\":["},
        {"GET", DICE "/state?after=3&limit=2", "state dice/6 {\"after\":3,\"limit\":2}", ""},
        {"GET", DICE "/quarantine", "quarantine dice/6 {}", "{\"items\":["},
        {"GET", DICE "/quarantine?limit=5", "quarantine dice/6 {\"limit\":5}", ""},
        {"DELETE", DICE "/quarantine?after=9", "drop dice/6 {\"after\":9}", ""},
        {"POST", DICE "/quarantine/retry", "retry dice/6 {}", ""},
        {"GET", DICE "/quarantine/7", "quarantine dice/6 {\"number\":7}", "{\"number\":7}"},
        {"DELETE", DICE "/quarantine/7", "drop dice/6 {\"number\":7}", "{\"items\":["},
        {"POST", DICE "/quarantine/7/retry", "retry dice/6 {\"number\":7}", "{\"items\":["},
    };
    struct engine engine;
    struct stage stage;

    (void)state;
    stage_open(&stage);
    engine_start(&engine, &stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(stage_ask(&stage, cases[i].method, cases[i].target, "", ""), 200);
        assert_string_equal(engine.asked, cases[i].asked);
        assert_int_equal(strncmp(stage_text(&stage), cases[i].answer, strlen(cases[i].answer)), 0);
    }
    engine_stop(&engine);
    stage_close(&stage);
}

static void test_scripts_are_removed_when_the_engine_has_forgotten_them(void **state)
{
    struct engine engine;
    struct stage stage;

    (void)state;
    stage_open(&stage);
    engine_start(&engine, &stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PUT", DICE, "", "{\"code\":\"\"}"), 201);
    assert_int_equal(stage_ask(&stage, "DELETE", DICE, "", ""), 204);
    assert_string_equal(engine.asked, "forget dice/6 {}");
    assert_string_equal(stage_text(&stage), "");
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/scripts/x", "", "{\"code\":\"\"}"), 201);
    assert_int_equal(stage_ask(&stage, "DELETE", "/api/v1/scripts/x", "", ""), 404); // it says so
    engine_stop(&engine);
    stage_close(&stage);
}

static void test_scripts_refuse_what_the_engine_does_not_know(void **state)
{
    static const struct {
        const char *method;
        const char *target;
        int status;
        bool asked;
    } cases[] = {
        {"POST", "/api/v1/scripts/other/restart", 404, true},
        {"GET", DICE "/quarantine/x", 404, false},
        {"GET", DICE "/quarantine/-1", 404, false},
        {"GET", DICE "/state?after=x", 400, false},
        {"DELETE", DICE "/quarantine?limit=-2", 400, false},
        {"PUT", DICE "/quarantine", 405, false},
    };
    struct engine engine;
    struct stage stage;

    (void)state;
    stage_open(&stage);
    engine_start(&engine, &stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        engine.asked[0] = '\0';
        assert_int_equal(stage_ask(&stage, cases[i].method, cases[i].target, "", ""),
                         cases[i].status);
        assert_int_equal(engine.asked[0] != '\0', cases[i].asked);
        assert_true(stage_has(&stage, "Content-Type: application/problem+json\r\n"));
    }
    engine_stop(&engine);
    stage_close(&stage);
}

static void test_scripts_need_a_running_engine(void **state)
{
    struct engine engine;
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "POST", DICE "/restart", "", ""), 503);
    assert_non_null(strstr(stage_text(&stage), "wyze run"));
    engine_start(&engine, &stage);
    stage.api.parts.desk = engine.desk;
    wz_mailbox_close(&engine.loop.mail);
    assert_int_equal(stage_ask(&stage, "POST", DICE "/restart", "", ""), 503);
    engine_stop(&engine);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts_ask_the_engine_what_the_address_says),
        cmocka_unit_test(test_scripts_are_removed_when_the_engine_has_forgotten_them),
        cmocka_unit_test(test_scripts_refuse_what_the_engine_does_not_know),
        cmocka_unit_test(test_scripts_need_a_running_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
