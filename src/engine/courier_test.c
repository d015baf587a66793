// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/courier.h"

static void on_done(struct wz_mail *mail) { mail->run = NULL; }

// Sends PIECES of LEN bytes each, the first of zeros, the next of ones, and waits until it is done.
static size_t send_pieces(struct wz_courier *courier, int fd, unsigned count, size_t len)
{
    WZ_AUTO(wz_free_ptr) char *bytes = wz_alloc(count * len);
    struct wz_mailbox mail;
    struct wz_courier_job job = {.reply_to = &mail, .done = on_done, .fd = fd, .count = count};

    wz_mailbox_init(&mail, 1, NULL, NULL);
    for (unsigned i = 0; i < count; i++) {
        memset(bytes + i * len, (int)i, len);
        job.pieces[i] = uv_buf_init(bytes + i * len, (unsigned)len);
    }
    assert_true(wz_courier_send(courier, &job));
    assert_true(wz_mailbox_wait(&mail));
    assert_int_equal(wz_mailbox_run(&mail), 1);
    assert_null(job.mail.run);
    wz_mailbox_release(&mail);
    return job.written;
}

static void test_courier_writes_all_pieces_in_order(void **state)
{
    struct wz_courier *courier = wz_courier_new();
    char bytes[3001];
    int fds[2];

    (void)state;
    assert_non_null(courier);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(send_pieces(courier, fds[0], 3, 1000), 3000);
    assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 3000);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(bytes[i], i / 1000);
    wz_courier_free(courier);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

static void test_courier_says_how_much_a_full_socket_took(void **state)
{
    struct wz_courier *courier = wz_courier_new();
    size_t written;
    int fds[2];

    (void)state;
    assert_non_null(courier);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    written = send_pieces(courier, fds[0], 20, 100000);
    assert_in_range(written, 1, 1999999);
    assert_int_equal(send_pieces(courier, fds[0], 20, 100000), 0);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(send_pieces(courier, fds[0], 1, 100000), 0); // nobody is there any more
    wz_courier_free(courier);
    wz_courier_free(NULL);
    assert_int_equal(close(fds[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courier_writes_all_pieces_in_order),
        cmocka_unit_test(test_courier_says_how_much_a_full_socket_took),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
