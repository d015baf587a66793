// SPDX-License-Identifier: Apache-2.0
// Speaks the protocol with the real program.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/frames.h"

#define ANSWER_WITHIN_S 20

// A worker process and our end of its pipe.
struct peer {
    pid_t pid;
    int fd;
    struct wz_buf in;
    size_t in_done;
};

static void exec_worker(int fd)
{
    char parent[16];
    char *const argv[] = {(char *)WZ_WORKER_PATH, (char *)"test", parent, NULL};
    char *const env[] = {NULL};
    int null = open("/dev/null", O_RDWR);

    (void)snprintf(parent, sizeof(parent), "%d", (int)getppid());
    // The test's own stderr stays in place, so that a failure to start can be seen.
    if (dup2(null, 0) < 0 || dup2(fd, 3) < 0)
        _exit(126);
    execve(argv[0], argv, env);
    _exit(127);
}

static int setup(void **state)
{
    struct peer *peer = wz_zalloc(1, sizeof(*peer));
    struct timeval limit = {.tv_sec = ANSWER_WITHIN_S};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -1;
    peer->pid = fork();
    if (peer->pid == 0) {
        close(fds[0]);
        exec_worker(fds[1]);
    }
    close(fds[1]);
    peer->fd = fds[0];
    *state = peer;
    return setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int teardown(void **state)
{
    struct peer *peer = *state;

    close(peer->fd);
    if (peer->pid > 0) {
        kill(peer->pid, SIGKILL);
        waitpid(peer->pid, NULL, 0);
    }
    wz_buf_release(&peer->in);
    wz_free(peer);
    return 0;
}

// Takes over what BUF holds.
static void send_buf(struct peer *peer, struct wz_buf *buf)
{
    size_t done = 0;

    while (done < buf->len) {
        ssize_t n = send(peer->fd, buf->ptr + done, buf->len - done, MSG_NOSIGNAL);

        assert_true(n > 0);
        done += (size_t)n;
    }
    wz_buf_release(buf);
}

static void send_load(struct peer *peer, const char *code, const char *config)
{
    struct wz_buf buf = {0};
    struct wz_frame_load load = {
        .name = WZ_SLICE_LIT("test"),
        .code = wz_slice_str(code),
        .config = wz_slice_str(config),
    };

    wz_frame_put_load(&buf, &load);
    send_buf(peer, &buf);
}

static void send_empty(struct peer *peer, enum wz_frame_type type)
{
    struct wz_buf buf = {0};

    wz_frame_put_empty(&buf, type);
    send_buf(peer, &buf);
}

static void send_batch(struct peer *peer, int64_t first_offset, uint32_t count, const char *body)
{
    struct wz_buf buf = {0};
    size_t start = wz_frame_list_open(&buf, WZ_FRAME_BATCH);

    for (uint32_t i = 0; i < count; i++) {
        struct wz_frame_record record = {
            .stream = 1,
            .offset = first_offset + i,
            .append_ms = 1770000000123,
            .topic = WZ_SLICE_LIT("bedroom.light"),
            .body = wz_slice_str(body),
        };

        wz_frame_put_record(&buf, &record);
    }
    wz_frame_list_close(&buf, start, count);
    send_buf(peer, &buf);
}

// The next frame; false at the end of the stream.
static bool next_frame(struct peer *peer, struct wz_frame *ret_frame)
{
    for (;;) {
        size_t len;
        int r = wz_frame_read(wz_slice(peer->in.ptr + peer->in_done, peer->in.len - peer->in_done),
                              ret_frame, &len);
        ssize_t n;

        assert_true(r >= 0);
        if (r == WZ_OK) {
            peer->in_done += len;
            return true;
        }
        wz_buf_consume(&peer->in, peer->in_done);
        peer->in_done = 0;
        wz_buf_reserve(&peer->in, 65536);
        n = recv(peer->fd, peer->in.ptr + peer->in.len, peer->in.cap - peer->in.len, 0);
        if (n <= 0) {
            assert_true(n == 0 || errno == ECONNRESET); // else: no answer in time
            return false;
        }
        peer->in.len += (size_t)n;
    }
}

static struct wz_frame expect(struct peer *peer, enum wz_frame_type type)
{
    struct wz_frame frame = {0};

    assert_true(next_frame(peer, &frame));
    if (frame.type == WZ_FRAME_INVALID && type != WZ_FRAME_INVALID)
        print_error("invalid: %.*s\n", WZ_SLICE_FMT(frame.payload));
    assert_int_equal(frame.type, type);
    return frame;
}

static void start_script(struct peer *peer, const char *code)
{
    send_load(peer, code, "{\"room\":\"kitchen\"}");
    expect(peer, WZ_FRAME_READY);
    send_empty(peer, WZ_FRAME_START);
    expect(peer, WZ_FRAME_STARTED);
}

static struct wz_frame_invalid expect_invalid(struct peer *peer, const char *reason, uint32_t line)
{
    struct wz_frame frame = expect(peer, WZ_FRAME_INVALID);
    struct wz_frame_invalid invalid;

    assert_int_equal(wz_frame_get_invalid(frame.payload, &invalid), WZ_OK);
    if (!memmem(invalid.reason.ptr, invalid.reason.len, reason, strlen(reason)))
        fail_msg("reason: %.*s", WZ_SLICE_FMT(invalid.reason));
    assert_int_equal(invalid.line, line);
    return invalid;
}

// The one result of the next RESULT frame.
static struct wz_frame_result expect_result(struct peer *peer, int64_t offset)
{
    struct wz_frame frame = expect(peer, WZ_FRAME_RESULT);
    struct wz_frame_result result;
    struct wz_frame_iter it;

    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_OK);
    assert_int_equal(result.stream, 1);
    assert_int_equal(result.offset, offset);
    return result;
}

static void assert_contains(struct wz_slice s, const char *text)
{
    if (!memmem(s.ptr, s.len, text, strlen(text)))
        fail_msg("no \"%s\" in: %.*s", text, WZ_SLICE_FMT(s));
}

static void assert_text(struct wz_slice s, const char *text)
{
    if (!wz_slice_eq(s, wz_slice_str(text)))
        fail_msg("\"%.*s\" is not \"%s\"", WZ_SLICE_FMT(s), text);
}

static int wait_exit(struct peer *peer)
{
    struct wz_frame frame;
    int status;

    while (next_frame(peer, &frame))
        continue;
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    peer->pid = 0;
    return status;
}

static void test_worker_runs_a_valid_script(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    start_script(peer, "def init(context):\n"
                       "    context.config['n'] = 1\n"
                       "def handle_input(msg, context):\n"
                       "    context.emit('a.' + context.config['room'],\n"
                       "                 {'v': msg['value'] * 2, 'n': context.config['n'],\n"
                       "                  's': context.script, 't': context.now()}, False)\n");
    send_batch(peer, 7, 1, "{\"value\":21}");
    result = expect_result(peer, 7);
    assert_int_equal(result.status, WZ_FRAME_OK);
    assert_int_equal(result.item_count, 1);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.kind, WZ_FRAME_ITEM_EMIT);
    assert_false(item.persistent);
    assert_text(item.topic, "a.kitchen");
    assert_text(item.body, "{\"v\":42,\"n\":1,\"s\":\"test\",\"t\":1770000000.123}");
    send_empty(peer, WZ_FRAME_DRAIN);
    expect(peer, WZ_FRAME_DRAINED);
    assert_int_equal(wait_exit(peer), 0);
}

// What is wrong with a script, and where.
static const struct {
    const char *code;
    const char *reason;
    uint32_t line;
    const char *traceback;
} invalid_scripts[] = {
    {"x = 1\ndef handle_input(msg, context)\n    pass\n", "SyntaxError: expected ':'", 2, "^"},
    {"def handle_input(m, c):\n  pass\nx = 1 / 0\n", "ZeroDivisionError: division by zero", 3,
     "x = 1 / 0"},
    {"import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'", 1, ""},
    {"import sys\nsys.exit(3)\n", "SystemExit: 3", 2, ""},
    {"x = 1\n", "there is no function handle_input(msg, context)", 0, ""},
    {"\nhandle_input = 3\n", "handle_input is no function", 0, ""},
    {"\ndef handle_input(msg):\n  pass\n",
     "handle_input cannot be called as handle_input(msg, context)", 2, ""},
    {"def handle_input(m, c): pass\ndef init():\n  pass\n",
     "init cannot be called as init(context)", 2, ""},
    {"async def handle_input(m, c):\n  pass\n", "without async and yield", 1, ""},
    {"def handle_input(m, c):\n  yield 1\n", "without async and yield", 1, ""},
};

static void test_worker_says_why_and_where_a_script_is_invalid(void **state)
{
    for (size_t i = 0; i < sizeof(invalid_scripts) / sizeof(invalid_scripts[0]); i++) {
        struct wz_frame_invalid invalid;
        struct peer *peer;

        send_load(*state, invalid_scripts[i].code, "{}");
        invalid = expect_invalid(*state, invalid_scripts[i].reason, invalid_scripts[i].line);
        assert_contains(invalid.traceback, invalid_scripts[i].traceback);
        peer = *state;
        assert_int_equal(wait_exit(peer), 0);
        teardown(state);
        assert_int_equal(setup(state), 0);
    }
}

static void test_worker_gives_column_and_caret_of_a_syntax_error(void **state)
{
    struct wz_frame_invalid invalid;

    send_load(*state, "x = 1\ny = (1 +\n", "{}");
    invalid = expect_invalid(*state, "SyntaxError: '(' was never closed", 2);
    assert_int_equal(invalid.column, 5);
    assert_contains(invalid.traceback, "    y = (1 +\n        ^");
}

static void test_worker_reports_a_failing_init(void **state)
{
    struct peer *peer = *state;

    send_load(
        peer,
        "def init(c):\n  c.emit('a', 1)\n  raise OSError('no')\ndef handle_input(m, c): pass\n",
        "{}");
    expect(peer, WZ_FRAME_READY);
    send_empty(peer, WZ_FRAME_START);
    expect_invalid(peer, "OSError: no", 3);
    assert_int_equal(wait_exit(peer), 0);
}

static void test_worker_drops_the_outputs_of_a_call_that_raises(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    start_script(peer, "def handle_input(msg, context):\n"
                       "    context.emit('a', 'lost')\n"
                       "    if msg.get('bad'):\n"
                       "        raise KeyError('bad')\n");
    send_batch(peer, 1, 1, "{\"bad\":1}");
    result = expect_result(peer, 1);
    assert_int_equal(result.status, WZ_FRAME_EXCEPTION);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.kind, WZ_FRAME_ITEM_TRACE);
    assert_contains(item.body,
                    "File \"test.py\", line 4, in handle_input\n    raise KeyError('bad')");
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_END);
    send_batch(peer, 2, 1, "{}");
    result = expect_result(peer, 2);
    assert_int_equal(result.status, WZ_FRAME_OK);
    assert_int_equal(result.item_count, 1);
}

static void test_worker_that_exits_answers_no_more(void **state)
{
    struct peer *peer = *state;
    int status;

    start_script(peer, "import os\ndef handle_input(msg, context):\n    os._exit(5)\n");
    send_batch(peer, 1, 3, "{}");
    status = wait_exit(peer);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
}

static void test_worker_in_an_endless_loop_can_be_killed(void **state)
{
    struct peer *peer = *state;
    struct timeval limit = {.tv_usec = 300000};
    uint8_t byte;
    int status;

    start_script(peer, "def handle_input(msg, context):\n"
                       "    print('begun')\n"
                       "    while True:\n"
                       "        try:\n"
                       "            pass\n"
                       "        except BaseException:\n"
                       "            pass\n");
    send_batch(peer, 1, 1, "{}");
    expect(peer, WZ_FRAME_LOG);
    assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(recv(peer->fd, &byte, 1, 0), -1); // nothing comes
    kill(peer->pid, SIGINT);
    assert_int_equal(waitpid(peer->pid, &status, WNOHANG), 0);
    kill(peer->pid, SIGKILL);
    status = wait_exit(peer);
    assert_true(WIFSIGNALED(status));
}

static void test_worker_ends_when_the_engine_closes_the_pipe(void **state)
{
    struct peer *peer = *state;
    int status;

    start_script(peer, "def handle_input(msg, context): pass\n");
    assert_int_equal(shutdown(peer->fd, SHUT_RDWR), 0);
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    peer->pid = 0;
    assert_true(WIFEXITED(status));
}

static void test_worker_answers_a_batch_of_ten_thousand_in_order(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    int64_t seen = 0;
    int frames = 0;

    start_script(peer, "def handle_input(msg, context):\n    context.emit('a.b', msg['v'])\n");
    send_batch(peer, 0, 10000, "{\"v\":1}");
    while (seen < 10000) {
        struct wz_frame frame = expect(peer, WZ_FRAME_RESULT);
        struct wz_frame_iter it;
        int r;

        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while ((r = wz_frame_next_result(&it, &result)) == WZ_OK) {
            assert_int_equal(result.offset, seen++);
            assert_int_equal(result.item_count, 1);
        }
        assert_int_equal(r, WZ_END);
        frames++;
    }
    assert_in_range(frames, 5, 2000); // gathered, and not held back either
}

// What may be emitted, and what it becomes.
static const struct {
    const char *call;
    const char *body; // NULL: an exception, whose text is in ERROR
    enum wz_frame_body kind;
    const char *error;
} emits[] = {
    {"'t', {'a': [1, None, 'ä']}", "{\"a\":[1,null,\"ä\"]}", WZ_FRAME_BODY_OBJECT, NULL},
    {"'t', 'hello'", "hello", WZ_FRAME_BODY_TEXT, NULL},
    {"'t', b'\\xff\\x00'", "\xff", WZ_FRAME_BODY_BYTES, NULL},
    {"'t', 25", "25", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', 2.5", "2.5", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', True", "true", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', ''", "", WZ_FRAME_BODY_TEXT, NULL},
    {"topic='t', body={}", "{}", WZ_FRAME_BODY_OBJECT, NULL},
    {"'ü.' + 'x' * 252, 1", "1", WZ_FRAME_BODY_NUMBER, NULL},
    {"'t', None", NULL, 0, "TypeError: body must be a dict, str, bytes or number, not NoneType"},
    {"'t', [1]", NULL, 0, "TypeError: body must be"},
    {"'t', {'a': object()}", NULL, 0, "TypeError: Object of type object is not JSON serializable"},
    {"'t', float('nan')", NULL, 0, "ValueError: Out of range float values"},
    {"'t', '\\ud800'", NULL, 0, "UnicodeEncodeError"},
    {"'t', 'x' * (1024 * 1024 + 1)", NULL, 0, "ValueError: body is 1048577 bytes long"},
    {"'t'", NULL, 0, "TypeError: emit() misses its argument 'body'"},
    {"'t', 1, True, 2", NULL, 0, "TypeError: emit() takes at most 3 arguments (4 given)"},
    {"'t', 1, topic='u'", NULL, 0, "TypeError: emit() got a second argument 'topic'"},
    {"'t', 1, durable=1", NULL, 0, "TypeError: emit() got an unexpected argument 'durable'"},
    {"5, 1", NULL, 0, "TypeError: topic must be a str, not int"},
    {"'', 1", NULL, 0, "ValueError: topic must be of 1 to 255 bytes, this one has 0"},
    {"'x' * 256, 1", NULL, 0, "ValueError: topic must be of 1 to 255 bytes, this one has 256"},
    {"'a..b', 1", NULL, 0, "ValueError: topic 'a..b' must be words"},
    {"'a.#', 1", NULL, 0, "ValueError: topic 'a.#' must be words"},
    {"'a.', 1", NULL, 0, "ValueError: topic 'a.' must be words"},
};

#define EMIT_COUNT (sizeof(emits) / sizeof(emits[0]))

static void check_emit(const struct wz_frame_result *result, size_t i)
{
    struct wz_frame_iter it = wz_frame_items(result);
    struct wz_frame_item item;

    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    if (!emits[i].body) {
        assert_int_equal(result->status, WZ_FRAME_EXCEPTION);
        assert_contains(item.body, emits[i].error);
        return;
    }
    if (result->status != WZ_FRAME_OK)
        fail_msg("%s: %.*s", emits[i].call, WZ_SLICE_FMT(item.body));
    assert_int_equal(item.body_kind, emits[i].kind);
    assert_true(item.persistent);
    if (emits[i].kind == WZ_FRAME_BODY_BYTES)
        assert_int_equal(item.body.len, 2);
    else
        assert_text(item.body, emits[i].body);
}

static void test_worker_emits_what_is_allowed_and_refuses_the_rest(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    char body[32];

    wz_buf_add_str(&code, "def handle_input(msg, context):\n    emit = context.emit\n");
    for (size_t i = 0; i < EMIT_COUNT; i++)
        wz_buf_addf(&code, "    if msg['case'] == %zu: emit(%s)\n", i, emits[i].call);
    start_script(*state, wz_buf_str(&code));
    for (size_t i = 0; i < EMIT_COUNT; i++) {
        struct wz_frame_result result;

        (void)snprintf(body, sizeof(body), "{\"case\":%zu}", i);
        send_batch(*state, (int64_t)i, 1, body);
        result = expect_result(*state, (int64_t)i);
        check_emit(&result, i);
    }
}

static void test_worker_carries_a_body_of_one_mebibyte_both_ways(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    start_script(*state, "def handle_input(msg, context):\n    context.emit('t', msg['v'])\n");
    wz_buf_add_str(&body, "{\"v\":\"");
    for (int i = 0; i < 1024 * 1024; i++)
        wz_buf_add_byte(&body, 'x');
    wz_buf_add_str(&body, "\"}");
    send_batch(*state, 3, 1, wz_buf_str(&body));
    result = expect_result(*state, 3);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.body.len, 1024 * 1024);
}

static void test_worker_limits_the_outputs_of_one_message(void **state)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    start_script(*state, "def handle_input(msg, context):\n"
                         "    for i in range(msg['n']):\n"
                         "        context.emit('t', 'x' * msg['len'])\n");
    send_batch(*state, 1, 1, "{\"n\":10000,\"len\":1}");
    result = expect_result(*state, 1);
    assert_int_equal(result.item_count, 10000);
    send_batch(*state, 2, 1, "{\"n\":10001,\"len\":1}");
    result = expect_result(*state, 2);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_contains(item.body, "one message may cause at most 10000 outputs");
    send_batch(*state, 3, 1, "{\"n\":18,\"len\":1000000}");
    result = expect_result(*state, 3);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_contains(item.body, "one message may cause at most 16777216 bytes");
}

static void expect_log(struct peer *peer, enum wz_frame_log_source source,
                       enum wz_severity severity, const char *text)
{
    struct wz_frame frame = expect(peer, WZ_FRAME_LOG);
    struct wz_frame_log log;

    assert_int_equal(wz_frame_get_log(frame.payload, &log), WZ_OK);
    assert_int_equal(log.source, source);
    assert_int_equal(log.severity, severity);
    assert_text(log.text, text);
    assert_int_equal(log.offset, 9);
}

static void test_worker_sends_prints_and_logs_with_their_record(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;

    start_script(peer, "import sys\n"
                       "def handle_input(msg, context):\n"
                       "    print('one', 2, end='')\n"
                       "    print('\\nthree')\n"
                       "    print('err\\ud800', file=sys.stderr)\n"
                       "    context.log('hot', severity='warning')\n"
                       "    context.log(25)\n"
                       "    context.log('x', 'loud')\n");
    send_batch(peer, 9, 1, "{}");
    expect_log(peer, WZ_FRAME_LOG_STDOUT, WZ_SEVERITY_INFO, "one 2");
    expect_log(peer, WZ_FRAME_LOG_STDOUT, WZ_SEVERITY_INFO, "three");
    expect_log(peer, WZ_FRAME_LOG_STDERR, WZ_SEVERITY_ERROR, "err\\ud800");
    expect_log(peer, WZ_FRAME_LOG_CONTEXT, WZ_SEVERITY_WARNING, "hot");
    expect_log(peer, WZ_FRAME_LOG_CONTEXT, WZ_SEVERITY_INFO, "25");
    result = expect_result(peer, 9);
    assert_int_equal(result.status, WZ_FRAME_EXCEPTION);
    assert_contains(result.items, "severity must be 'debug', 'info', 'warning' or 'error'");
}

static void test_worker_has_no_environment_and_no_descriptors(void **state)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    start_script(*state,
                 "import os, sys\n"
                 "def handle_input(msg, context):\n"
                 "    fds = [n for n in os.listdir('/proc/self/fd') if int(n) > 3]\n"
                 "    open_fds = [n for n in fds if os.path.exists('/proc/self/fd/' + n)]\n"
                 "    env = {k: v for k, v in os.environ.items() if k != 'LC_CTYPE'}\n"
                 "    context.emit('t', f'{env} {open_fds} {sys.prefix} {sys.flags.isolated}')\n");
    send_batch(*state, 1, 1, "{}");
    result = expect_result(*state, 1);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_text(item.body, "{} [] /usr 1");
}

static void test_worker_refuses_frames_out_of_turn(void **state)
{
    struct peer *peer = *state;
    int status;

    send_empty(peer, WZ_FRAME_START);
    status = wait_exit(peer);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 76);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_runs_a_valid_script),
        TEST(test_worker_says_why_and_where_a_script_is_invalid),
        TEST(test_worker_gives_column_and_caret_of_a_syntax_error),
        TEST(test_worker_reports_a_failing_init),
        TEST(test_worker_drops_the_outputs_of_a_call_that_raises),
        TEST(test_worker_that_exits_answers_no_more),
        TEST(test_worker_in_an_endless_loop_can_be_killed),
        TEST(test_worker_ends_when_the_engine_closes_the_pipe),
        TEST(test_worker_answers_a_batch_of_ten_thousand_in_order),
        TEST(test_worker_emits_what_is_allowed_and_refuses_the_rest),
        TEST(test_worker_carries_a_body_of_one_mebibyte_both_ways),
        TEST(test_worker_limits_the_outputs_of_one_message),
        TEST(test_worker_sends_prints_and_logs_with_their_record),
        TEST(test_worker_has_no_environment_and_no_descriptors),
        TEST(test_worker_refuses_frames_out_of_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
