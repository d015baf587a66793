// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#include <pthread.h>

#include "bus/embedded.h"

// A bus on a loop of its own thread, with one consumer on ingress that keeps the last message.
struct line {
    struct stage stage;
    struct wz_loop loop;
    struct wz_binding *binding;
    pthread_t thread;
    struct wz_mail stop;
    char topic[256];
    struct wz_buf body;
};

static int on_message(void *arg, const struct wz_message *msg, void **slot,
                      struct wz_ticket *ret_ticket)
{
    struct line *line = arg;

    (void)slot;
    (void)ret_ticket;
    (void)snprintf(line->topic, sizeof(line->topic), "%.*s", WZ_SLICE_FMT(msg->topic));
    line->body.len = 0;
    wz_buf_add_slice(&line->body, msg->body);
    return WZ_OK;
}

static void on_stop(struct wz_mail *mail)
{
    wz_loop_stop(&WZ_CONTAINER(mail, struct line, stop)->loop);
}

static void *run_loop(void *arg)
{
    struct line *line = arg;

    wz_loop_run(&line->loop);
    return NULL;
}

static void line_open(struct line *line)
{
    *line = (struct line){.stop = {.run = on_stop}};
    stage_open(&line->stage);
    assert_int_equal(wz_loop_init(&line->loop), WZ_OK);
    line->stage.parts.bus = wz_bus_new(&line->loop);
    assert_int_equal(wz_bus_bind(line->stage.parts.bus, WZ_BUS_INGRESS, WZ_SLICE_LIT("#"),
                                 on_message, NULL, line, &line->binding),
                     WZ_OK);
    stage_begin(&line->stage);
    assert_int_equal(pthread_create(&line->thread, NULL, run_loop, line), 0);
}

static void line_close(struct line *line)
{
    assert_int_equal(wz_mailbox_post(&line->loop.mail, &line->stop), WZ_OK);
    assert_int_equal(pthread_join(line->thread, NULL), 0);
    wz_bus_stop(line->stage.parts.bus);
    wz_bus_unbind(line->stage.parts.bus, line->binding);
    wz_loop_release(&line->loop);
    wz_bus_free(line->stage.parts.bus);
    wz_buf_release(&line->body);
    stage_close(&line->stage);
}

static void test_publish_carries_the_bytes_that_were_given(void **state)
{
    static const struct {
        const char *request;
        const char *body;
    } cases[] = {
        {"{\"exchange\":\"ingress\",\"topic\":\"a.b\",\"body\": {\"x\": 1.500} }",
         "{\"x\": 1.500}"},
        {"{\"topic\":\"a.b\",\"body\":12345678901234567890,\"exchange\":\"ingress\"}",
         "12345678901234567890"},
        {"{\"exchange\":\"ingress\",\"topic\":\"a.b\",\"text\":\"\\u00e4 {\\n\"}", "\xc3\xa4 {\n"},
        {"{\"exchange\":\"ingress\",\"topic\":\"a.b\",\"base64\":\"/wD+\"}", "\xff"},
        {"{\"exchange\":\"ingress\",\"topic\":\"a.b\",\"base64\":\"YQ==\"}", "a"},
        {"{\"exchange\":\"ingress\",\"topic\":\"a.b\",\"base64\":\"YWI=\"}", "ab"},
    };
    struct line line;

    (void)state;
    line_open(&line);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (stage_ask(&line.stage, "POST", "/api/v1/publish", "", cases[i].request) != 200)
            print_error("case %zu: %s\n", i, stage_text(&line.stage));
        assert_int_equal(line.stage.status, 200);
        assert_string_equal(line.topic, "a.b");
        assert_string_equal(wz_buf_str(&line.body), cases[i].body);
    }
    line_close(&line);
}

static void test_publish_refuses_what_is_no_message(void **state)
{
    static const char *const requests[] = {
        "",
        "[]",
        "{}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"body\":1,\"text\":\"\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"text\":1}",
        "{\"exchange\":\"ingress\",\"topic\":\"\",\"text\":\"\"}",
        "{\"exchange\":\"ingress\",\"topic\":7,\"text\":\"\"}",
        "{\"exchange\":\"raw\",\"topic\":\"a\",\"text\":\"\"}",
        "{\"exchange\":\"other\",\"topic\":\"a\",\"text\":\"\"}",
        "{\"topic\":\"a\",\"text\":\"\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"text\":\"\",\"qos\":1}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"topic\":\"b\",\"text\":\"\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"base64\":\"YQ=\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"base64\":\"Y===\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"base64\":\"Y*==\"}",
        "{\"exchange\":\"ingress\",\"topic\":\"a\",\"base64\":\"YQ==YQ==\"}",
    };
    struct line line;

    (void)state;
    line_open(&line);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (stage_ask(&line.stage, "POST", "/api/v1/publish", "", requests[i]) != 400)
            print_error("case %zu: %d\n", i, line.stage.status);
        assert_int_equal(line.stage.status, 400);
        assert_string_equal(line.topic, "");
    }
    line_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_carries_the_bytes_that_were_given),
        cmocka_unit_test(test_publish_refuses_what_is_no_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
