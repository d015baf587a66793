// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "engine/worker_process.h"
#include "loop/loop.h"

// A worker whose long frames go through the courier.
struct rig {
    struct wz_loop loop;
    struct wz_courier *courier;
    struct wz_worker_process *process;
    bool ready;
    int exits;
};

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

static void on_readable(void *arg)
{
    struct rig *rig = arg;
    struct wz_frame frame;

    while (wz_worker_process_next(rig->process, &frame) == WZ_OK)
        rig->ready = rig->ready || frame.type == WZ_FRAME_READY;
}

static void on_writable(void *arg) { (void)arg; }

static void on_exited(void *arg, const struct wz_worker_end *end)
{
    struct rig *rig = arg;

    assert_int_equal(end->signal, SIGKILL);
    rig->exits++;
    wz_worker_process_free(rig->process);
}

// Starts a worker and sends it a script of so many bytes.
static void load(struct rig *rig, size_t len)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    const struct wz_worker_process_events events = {
        .readable = on_readable, .writable = on_writable, .exited = on_exited, .arg = rig};
    struct wz_worker_program program = {.path = WZ_WORKER_PATH, .name = "a"};

    memset(rig, 0, sizeof(*rig));
    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    rig->courier = program.courier = wz_courier_new();
    program.mail = &rig->loop.mail;
    assert_non_null(rig->courier);
    wz_buf_add_str(&code, "def handle_input(msg, context):\n    pass\n");
    while (code.len < len)
        wz_buf_add_str(&code, "# a comment that takes room and has no other use\n");
    assert_int_equal(wz_worker_process_start(&rig->loop.uv, &program, &events, &rig->process),
                     WZ_OK);
    wz_frame_put_load(wz_worker_process_out(rig->process),
                      &(struct wz_frame_load){.name = WZ_SLICE_LIT("a"),
                                              .code = wz_buf_slice(&code),
                                              .config = WZ_SLICE_LIT("{}")});
    wz_worker_process_send(rig->process);
    assert_false(wz_worker_process_ready(rig->process)); // the courier has it
}

// Kills the worker, and waits for its end, which is told once.
static void finish(struct rig *rig)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    wz_worker_process_kill(rig->process);
    while (rig->exits == 0) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    }
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    assert_int_equal(rig->exits, 1);
    wz_courier_free(rig->courier);
    wz_loop_release(&rig->loop);
}

// The socket does not hold all of it: the courier writes what it takes, the rest follows.
static void test_courier_and_loop_together_write_what_is_too_long_for_the_socket(void **state)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();
    struct rig rig;

    (void)state;
    load(&rig, 3000000);
    while (!rig.ready) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)uv_run(&rig.loop.uv, UV_RUN_NOWAIT);
    }
    assert_true(wz_worker_process_ready(rig.process));
    finish(&rig);
}

// Whether the courier is still at it or not, the worker's end comes when it has let go.
static void test_courier_lets_go_of_a_worker_that_is_killed(void **state)
{
    struct rig rig;

    (void)state;
    for (int i = 0; i < 20; i++) {
        load(&rig, 200000);
        finish(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courier_writes_all_pieces_in_order),
        cmocka_unit_test(test_courier_says_how_much_a_full_socket_took),
        cmocka_unit_test(test_courier_and_loop_together_write_what_is_too_long_for_the_socket),
        cmocka_unit_test(test_courier_lets_go_of_a_worker_that_is_killed),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
