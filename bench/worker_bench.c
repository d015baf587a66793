// SPDX-License-Identifier: Apache-2.0
// How many calls a second a worker makes: plays the engine for wyze-python, with one handler after
// the other. Usage: worker_bench [WYZE-PYTHON [SECONDS]]; bare_python.py is what to hold it
// against.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "wire/frames.h"

// Records of one BATCH, and the most that are under way.
#define BATCH_RECORDS 256
#define WINDOW_RECORDS 4096

static const char body[] =
    "{\"_id\":\"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11\",\"_timestamp\":1770000000123,"
    "\"_topic\":\"a.b\",\"v\":7}";

// As the generator's readings stand on the stream.
static const char reading[] =
    "{\"_id\":\"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11\",\"_timestamp\":1770000000123,"
    "\"_topic\":\"bench.d42.channel7\",\"value\":20.25,\"unit\":\"C\",\"seq\":1000000025,"
    "\"pad\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}";

static const struct {
    const char *name;
    const char *body;
    const char *code;
} handlers[] = {
    {"nothing", body, "def handle_input(msg, context):\n    pass\n"},
    {"emit", body,
     "def handle_input(msg, context):\n"
     "    context.emit('a.b.output', {'value': msg['v'] * 2, 'unit': 'lx'})\n"},
    {"counter", body,
     "def handle_input(msg, context):\n"
     "    context.set_state('n', context.get_state('n', 0) + 1)\n"
     "    context.emit('a.b.output', {'value': msg['v'] * 2, 'unit': 'lx'})\n"},
    {"reading", reading,
     "def handle_input(msg, context):\n"
     "    topic = msg['_topic']\n"
     "    count = context.get_state(topic, 0) + 1\n"
     "    context.set_state(topic, count)\n"
     "    context.emit(topic + '.count', {'count': count, 'value': msg['value']})\n"},
};

struct peer {
    pid_t pid;
    int fd;
    struct wz_buf in;
    struct wz_buf out;
    int64_t next_offset;
    int64_t answered;
    const char *body; // of all records
};

static void fail(const char *what)
{
    fprintf(stderr, "worker_bench: %s\n", what);
    exit(1);
}

static void start(struct peer *peer, const char *path)
{
    char parent[16];
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        fail("no socket pair");
    (void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
    peer->pid = fork();
    if (peer->pid == 0) {
        char *const argv[] = {(char *)(uintptr_t)path, (char *)"bench", parent, NULL};
        char *const env[] = {NULL};

        if (dup2(fds[1], 3) == 3)
            execve(path, argv, env);
        _exit(127);
    }
    close(fds[1]);
    peer->fd = fds[0];
}

static void write_out(struct peer *peer)
{
    ssize_t n = send(peer->fd, peer->out.ptr, peer->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n > 0)
        wz_buf_consume(&peer->out, (size_t)n);
}

static void count_results(struct peer *peer, struct wz_slice payload)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;

    if (wz_frame_iter_init(&it, payload) < 0)
        fail("a broken frame");
    while (wz_frame_next_result(&it, &result) == WZ_OK) {
        if (result.status != WZ_FRAME_OK)
            fail("a call has failed");
        peer->answered += (int64_t)result.before + 1;
    }
}

// Reads what is there; returns whether a frame of TYPE was among it.
static bool read_in(struct peer *peer, enum wz_frame_type type)
{
    struct wz_frame frame;
    size_t done = 0;
    size_t len;
    bool found = false;
    ssize_t n;

    wz_buf_reserve(&peer->in, 256 * 1024);
    n = recv(peer->fd, peer->in.ptr + peer->in.len, peer->in.cap - peer->in.len, 0);
    if (n <= 0)
        fail("the worker has ended");
    peer->in.len += (size_t)n;
    while (wz_frame_read(wz_slice(peer->in.ptr + done, peer->in.len - done), &frame, &len) ==
           WZ_OK) {
        if (frame.type == WZ_FRAME_RESULT)
            count_results(peer, frame.payload);
        found = found || frame.type == type;
        done += len;
    }
    wz_buf_consume(&peer->in, done);
    return found;
}

static void add_batch(struct peer *peer)
{
    struct wz_frame_record record = {
        .append_ms = 1770000000123,
        .topic = WZ_SLICE_LIT("a.b"),
        .body = wz_slice_str(peer->body),
    };
    size_t place = wz_frame_list_open(&peer->out, WZ_FRAME_BATCH);

    for (int i = 0; i < BATCH_RECORDS; i++) {
        record.offset = peer->next_offset++;
        wz_frame_put_record(&peer->out, &record);
    }
    wz_frame_list_close(&peer->out, place, BATCH_RECORDS);
}

static void load(struct peer *peer, const char *code)
{
    const struct wz_frame_load script = {
        .name = WZ_SLICE_LIT("bench"), .code = wz_slice_str(code), .config = WZ_SLICE_LIT("{}")};

    wz_frame_put_load(&peer->out, &script);
    wz_frame_put_empty(&peer->out, WZ_FRAME_START);
    write_out(peer);
    while (!read_in(peer, WZ_FRAME_STARTED))
        continue;
}

// Keeps the window full for SECONDS; returns the calls a second.
static double run(struct peer *peer, int seconds)
{
    int64_t begin_us = wz_clock_mono_us();
    int64_t spent_us = 0;

    while (spent_us < seconds * 1000000LL) {
        struct pollfd wait = {.fd = peer->fd, .events = POLLIN};

        while (peer->next_offset - peer->answered <= WINDOW_RECORDS - BATCH_RECORDS)
            add_batch(peer);
        if (peer->out.len > 0)
            wait.events |= POLLOUT;
        if (poll(&wait, 1, 10000) <= 0)
            fail("the worker hangs");
        if (wait.revents & POLLIN)
            read_in(peer, WZ_FRAME_RESULT);
        if (peer->out.len > 0)
            write_out(peer);
        spent_us = wz_clock_mono_us() - begin_us;
    }
    return (double)peer->answered * 1e6 / (double)spent_us;
}

// Ends the worker; returns the microseconds of processor time that it took for each call.
static double stop(struct peer *peer)
{
    struct rusage usage = {0};
    double us;

    close(peer->fd); // it ends by that
    (void)wait4(peer->pid, NULL, 0, &usage);
    wz_buf_release(&peer->in);
    wz_buf_release(&peer->out);
    us = 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    us += (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return us / (double)peer->answered;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : WZ_WORKER_PATH;
    int seconds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;

    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        struct peer peer = {.body = handlers[i].body};
        double rate;

        start(&peer, path);
        load(&peer, handlers[i].code);
        rate = run(&peer, seconds);
        printf("%-8s %9.0f calls/s  %5.2f us of processor\n", handlers[i].name, rate, stop(&peer));
        (void)fflush(stdout);
    }
    return 0;
}
