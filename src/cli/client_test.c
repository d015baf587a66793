// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/local.h"
#include "gateway/listen.h"

// A server that gives one fixed answer to whatever comes, then closes.
struct server {
    int fd;
    uint16_t port;
    const char *answer;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    char request[4096];
    int fd;

    do {
        fd = accept(server->fd, NULL, NULL);
    } while (fd < 0); // the listening socket does not block
    if (recv(fd, request, sizeof(request), 0) > 0)
        for (size_t i = 0; server->answer[i] != '\0'; i++)
            (void)send(fd, server->answer + i, 1, MSG_NOSIGNAL); // byte by byte
    wz_fs_close(fd);
    return NULL;
}

static int ask(const char *answer, struct wz_reply *reply, struct wz_problem *problem)
{
    const struct wz_address address = {.host = "127.0.0.1"};
    struct server server = {.answer = answer};
    struct wz_ask question = {.method = "GET", .target = "/x"};
    struct wz_client_options options = {0};
    struct wz_client *client;
    char url[64];
    int r;

    assert_int_equal(wz_listen_tcp(&address, &server.fd, &server.port, NULL), WZ_OK);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", server.port);
    options.url = url;
    assert_int_equal(wz_client_open(&options, &client, problem), WZ_OK);
    r = wz_client_ask(client, &question, reply, problem);
    wz_client_close(client);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    wz_fs_close(server.fd);
    return r;
}

static void test_client_joins_answers_however_they_are_framed(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: 5\r\n\r\nhello",
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETag: \"7\"\r\n"
         "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        "HTTP/1.0 200 OK\r\nETag: \"7\"\r\n\r\nhello",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct wz_reply reply = {0};
        struct wz_problem problem;

        assert_int_equal(ask(answers[i], &reply, &problem), WZ_OK);
        assert_string_equal(wz_buf_str(&reply.content), "hello");
        assert_int_equal(reply.revision, 7);
        wz_client_release_reply(&reply);
    }
}

static void test_client_tells_a_refusal_in_the_servers_words(void **state)
{
    struct wz_reply reply = {0};
    struct wz_problem problem;

    (void)state;
    assert_int_equal(
        ask("HTTP/1.1 404 Not Found\r\nContent-Length: 64\r\n\r\n"
            "{\"code\":\"WYZ-2004\",\"detail\":\"what\",\"where\":\"here\",\"fix\":\"so it\"}",
            &reply, &problem),
        WZ_ERR_NOT_FOUND);
    assert_int_equal(problem.code, 2004);
    assert_string_equal(problem.what, "what");
    assert_string_equal(problem.where, "here");
    assert_string_equal(problem.fix, "so it");
}

static void test_client_does_not_take_a_cut_answer_for_a_whole_one(void **state)
{
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n",
        "SSH-2.0-x\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct wz_reply reply = {0};
        struct wz_problem problem;

        assert_true(ask(answers[i], &reply, &problem) < 0);
    }
}

static void test_client_answers_itself_where_no_server_runs(void **state)
{
    char folder[] = "/tmp/wyze-client-XXXXXX";
    struct wz_client_options options = {.data = folder, .needs = WZ_LOCAL_STORE};
    struct wz_ask put = {.method = "PUT",
                         .target = "/api/v1/devices/a%2Fb",
                         .body = WZ_SLICE_LIT("{\"route\":\"c\"}")};
    struct wz_ask wrong = {
        .method = "PUT", .target = "/api/v1/devices/d", .body = WZ_SLICE_LIT("{\"route\":\"c\"}")};
    struct wz_reply reply = {0};
    struct wz_problem problem;
    struct wz_client *client;
    char command[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(wz_client_open(&options, &client, &problem), WZ_OK);
    assert_false(wz_client_remote(client));
    assert_int_equal(wz_client_ask(client, &put, &reply, &problem), WZ_OK);
    assert_int_equal(reply.status, 201);
    wz_client_release_reply(&reply);
    // By the same rules as the server's: two devices of one route are refused.
    assert_true(wz_client_ask(client, &wrong, &reply, &problem) < 0);
    assert_int_equal(problem.code, 2104);
    wz_client_close(client);
    options.needs = 0;
    assert_int_equal(wz_client_open(&options, &client, &problem), WZ_ERR_UNREACHABLE);
    options.data = "/tmp/wyze-client-none";
    options.needs = WZ_LOCAL_STORE;
    assert_int_equal(wz_client_open(&options, &client, &problem), WZ_ERR_UNREACHABLE);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_joins_answers_however_they_are_framed),
        cmocka_unit_test(test_client_tells_a_refusal_in_the_servers_words),
        cmocka_unit_test(test_client_does_not_take_a_cut_answer_for_a_whole_one),
        cmocka_unit_test(test_client_answers_itself_where_no_server_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
