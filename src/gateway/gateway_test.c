// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "gateway/listen.h"
#include "gateway/stage_test.h"

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"

// A gateway over a stage's parts, on a Unix socket in its folder.
struct house {
    struct stage stage;
    struct wz_gateway *gateway;
    char path[128];
};

static void house_open(struct house *house)
{
    static const struct wz_address any = {.host = "127.0.0.1"};
    struct wz_gateway_options options = {.listen = &any, .socket_path = house->path};

    stage_open(&house->stage);
    stage_begin(&house->stage);
    (void)snprintf(house->path, sizeof(house->path), "%s/wyze.sock", house->stage.folder);
    options.parts = house->stage.parts;
    assert_int_equal(wz_gateway_start(&options, &house->gateway, NULL), WZ_OK);
}

static void house_close(struct house *house)
{
    wz_gateway_stop(house->gateway);
    assert_int_equal(access(house->path, F_OK), -1);
    stage_close(&house->stage);
}

static int house_connect(struct house *house)
{
    struct timeval timeout = {.tv_sec = 10};
    int fd;

    assert_int_equal(wz_listen_connect(house->path, &fd), WZ_OK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

// Reads until TEXT has come COUNT times.
static void await(int fd, const char *text, int count, struct wz_buf *buf)
{
    for (;;) {
        const char *at = wz_buf_str(buf);
        int have = 0;
        ssize_t n;

        while ((at = strstr(at, text)) != NULL) {
            at += strlen(text);
            have++;
        }
        if (have >= count)
            return;
        wz_buf_reserve(buf, 65536);
        n = recv(fd, buf->ptr + buf->len, 65536, 0);
        if (n <= 0)
            print_error("waiting for %s, have: %s\n", text, wz_buf_str(buf));
        assert_true(n > 0);
        buf->len += (size_t)n;
    }
}

static void test_gateway_answers_on_a_socket_of_its_owner_only(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct house house;
    struct stat stat_of;
    int fd;

    (void)state;
    house_open(&house);
    assert_int_equal(stat(house.path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    assert_true(wz_gateway_port(house.gateway) > 0);
    fd = house_connect(&house);
    send_text(fd, "GET /livez" HOST "\r\nPUT /api/v1/settings/a" HOST
                  "Content-Length: 2\r\n\r\n{}GET /api/v1/settings/a" HOST "\r\n");
    await(fd, "{}\n", 2, &buf);
    assert_non_null(strstr(wz_buf_str(&buf), "\r\n\r\nok\nHTTP/1.1 201 Created"));
    wz_fs_close(fd);
    house_close(&house);
}

static void test_gateway_takes_bytes_one_at_a_time(void **state)
{
    static const char text[] =
        "PUT /api/v1/settings/a" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct house house;
    int fd;

    (void)state;
    house_open(&house);
    fd = house_connect(&house);
    for (size_t i = 0; i + 1 < sizeof(text); i++)
        assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
    await(fd, "{}\n", 1, &buf);
    wz_fs_close(fd);
    house_close(&house);
}

static void test_gateway_wakes_live_readers_when_records_are_written(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct house house;
    int fd;

    (void)state;
    house_open(&house);
    fd = house_connect(&house);
    send_text(fd, "GET /api/v1/streams/raw-stream/live" HOST "\r\n");
    await(fd, "retry: 1000\n\n", 1, &buf);
    for (int i = 0; i < 3; i++)
        (void)stage_append(&house.stage, "a", "{}", INT64_C(1770000000000));
    await(fd, "\ndata: {\"offset\":2,", 1, &buf);
    wz_fs_close(fd);
    house_close(&house);
}

static void test_gateway_carries_a_long_answer_to_a_slow_reader(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf other_buf = {0};
    struct house house;
    char body[8000];
    int fd;
    int other;

    (void)state;
    memset(body, 'x', sizeof(body));
    body[sizeof(body) - 1] = '\0';
    house_open(&house);
    for (int i = 0; i < 400; i++)
        (void)stage_append(&house.stage, "a", body, INT64_C(1770000000000));
    fd = house_connect(&house);
    send_text(fd, "GET /api/v1/streams/raw-stream/records" HOST "\r\n");
    // While it does not read, others are served.
    other = house_connect(&house);
    send_text(other, "GET /livez" HOST "\r\n");
    await(other, "ok\n", 1, &other_buf);
    await(fd, "\r\n0\r\n\r\n", 1, &buf);
    assert_true(buf.len > 400 * sizeof(body));
    wz_fs_close(fd);
    wz_fs_close(other);
    house_close(&house);
}

// Connects by TCP, with room for little that is not read.
static int connect_narrow(struct house *house)
{
    static const int room = 4096;
    struct timeval timeout = {.tv_sec = 10};
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)wz_gateway_port(house->gateway)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

// What the socket has not taken when the answer is whole waits for a reader that pauses; for some
// of these lengths that is so.
static void test_gateway_closes_when_a_slow_reader_has_all(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct house house;
    char body[1000];
    int fds[16];

    (void)state;
    memset(body, 'x', sizeof(body));
    body[sizeof(body) - 1] = '\0';
    house_open(&house);
    for (int i = 0; i < 250; i++)
        (void)stage_append(&house.stage, "a", body, INT64_C(1770000000000));
    for (int i = 0; i < 16; i++) {
        char text[160];

        fds[i] = connect_narrow(&house);
        (void)snprintf(text, sizeof(text),
                       "GET /api/v1/streams/raw-stream/records?limit=%d" HOST
                       "Connection: close\r\n\r\n",
                       100 + i * 8);
        send_text(fds[i], text);
    }
    (void)usleep(3500000); // some looks at the time
    for (int i = 0; i < 16; i++) {
        buf.len = 0;
        await(fds[i], "\r\n0\r\n\r\n", 1, &buf);
        wz_fs_close(fds[i]);
    }
    house_close(&house);
}

static void assert_closed(int fd)
{
    char byte;

    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void assert_alive(int fd)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    send_text(fd, "GET /livez" HOST "\r\n");
    await(fd, "ok\n", 1, &buf);
}

static void test_gateway_closes_who_is_idle_longest_for_one_more(void **state)
{
    struct house house;
    int fds[WZ_GATEWAY_LOCAL_MAX + 2];

    (void)state;
    house_open(&house);
    for (int i = 0; i < WZ_GATEWAY_LOCAL_MAX; i++) {
        fds[i] = house_connect(&house);
        assert_alive(fds[i]);
    }
    send_text(fds[1], "GET /livez HTTP/1.1\r\n"); // one is coming in: it goes later
    assert_alive(fds[0]);
    for (int i = WZ_GATEWAY_LOCAL_MAX; i < WZ_GATEWAY_LOCAL_MAX + 2; i++) {
        fds[i] = house_connect(&house);
        assert_alive(fds[i]);
    }
    assert_closed(fds[2]);
    assert_closed(fds[3]);
    assert_alive(fds[0]);
    send_text(fds[1], "Host: localhost\r\n\r\n");
    assert_alive(fds[4]);
    for (int i = 0; i < WZ_GATEWAY_LOCAL_MAX + 2; i++)
        wz_fs_close(fds[i]);
    house_close(&house);
}

static void test_gateway_keeps_slots_for_who_asks_how_it_is(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf refused = {0};
    struct house house;
    int fds[WZ_GATEWAY_LOCAL_MAX];
    int last;

    (void)state;
    house_open(&house);
    for (int i = 0; i < WZ_GATEWAY_LOCAL_MAX; i++) {
        fds[i] = house_connect(&house);
        send_text(fds[i], "GET /api/v1/streams/raw-stream/live" HOST "\r\n");
    }
    await(fds[WZ_GATEWAY_LOCAL_MAX - 1], "WYZ-6005", 1, &refused);
    for (int i = 0; i < WZ_GATEWAY_LOCAL_MAX; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        bool first = i < WZ_GATEWAY_LOCAL_MAX - WZ_GATEWAY_SPARE;

        if (i < WZ_GATEWAY_LOCAL_MAX - 1)
            await(fds[i], first ? "retry: 1000" : "HTTP/1.1 503", 1, &buf);
    }
    last = house_connect(&house); // one of those that were refused goes
    assert_alive(last);
    for (int i = 0; i < WZ_GATEWAY_LOCAL_MAX; i++)
        wz_fs_close(fds[i]);
    wz_fs_close(last);
    house_close(&house);
}

static void test_gateway_stops_with_requests_and_readers_on_it(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct house house;
    int fds[20];

    (void)state;
    house_open(&house);
    for (int i = 0; i < 20; i++) {
        fds[i] = house_connect(&house);
        send_text(fds[i], i % 2 == 0 ? "GET /api/v1/streams/raw-stream/live" HOST "\r\n"
                                     : "GET /api/v1/settings" HOST "\r\n");
    }
    await(fds[0], "retry", 1, &buf);
    house_close(&house);
    for (int i = 0; i < 20; i++)
        wz_fs_close(fds[i]);
}

static void test_gateway_refuses_a_folder_that_another_serves(void **state)
{
    struct wz_gateway_options options = {0};
    struct wz_gateway *second;
    struct wz_problem problem;
    struct house house;

    (void)state;
    house_open(&house);
    options.socket_path = house.path;
    assert_int_equal(wz_gateway_start(&options, &second, &problem), WZ_ERR_LOCKED);
    assert_non_null(strstr(problem.fix, "--data"));
    house_close(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway_answers_on_a_socket_of_its_owner_only),
        cmocka_unit_test(test_gateway_takes_bytes_one_at_a_time),
        cmocka_unit_test(test_gateway_wakes_live_readers_when_records_are_written),
        cmocka_unit_test(test_gateway_carries_a_long_answer_to_a_slow_reader),
        cmocka_unit_test(test_gateway_closes_when_a_slow_reader_has_all),
        cmocka_unit_test(test_gateway_closes_who_is_idle_longest_for_one_more),
        cmocka_unit_test(test_gateway_keeps_slots_for_who_asks_how_it_is),
        cmocka_unit_test(test_gateway_stops_with_requests_and_readers_on_it),
        cmocka_unit_test(test_gateway_refuses_a_folder_that_another_serves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
