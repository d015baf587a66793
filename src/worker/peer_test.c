// SPDX-License-Identifier: Apache-2.0
// Owns a worker process under test and our end of its pipe.
#include "worker/peer_test.h"

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

#define ANSWER_WITHIN_S 20

static void exec_worker(int fd, const char *word)
{
    char parent[16];
    char *const argv[] = {(char *)WZ_WORKER_PATH, (char *)"test", parent, (char *)word, NULL};
    char *const env[] = {NULL};
    int null = open("/dev/null", O_RDWR);

    (void)snprintf(parent, sizeof(parent), "%d", (int)getppid());
    // The test's own stderr stays in place, so that a failure to start can be seen.
    if (dup2(null, 0) < 0 || dup2(fd, 3) < 0)
        _exit(126);
    execve(argv[0], argv, env);
    _exit(127);
}

int peer_setup(void **state) { return peer_setup_word(state, NULL); }

int peer_setup_word(void **state, const char *word)
{
    struct peer *peer = wz_zalloc(1, sizeof(*peer));
    struct timeval limit = {.tv_sec = ANSWER_WITHIN_S};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -1;
    peer->pid = fork();
    if (peer->pid == 0) {
        close(fds[0]);
        exec_worker(fds[1], word);
    }
    close(fds[1]);
    peer->fd = fds[0];
    *state = peer;
    return setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

int peer_teardown(void **state)
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

static void send_load(struct peer *peer, bool laned, const char *code, const char *config)
{
    struct wz_buf buf = {0};
    struct wz_frame_load load = {
        .laned = laned,
        .name = WZ_SLICE_LIT("test"),
        .code = wz_slice_str(code),
        .config = wz_slice_str(config),
    };

    wz_frame_put_load(&buf, &load);
    send_buf(peer, &buf);
}

void peer_send_load(struct peer *peer, const char *code, const char *config)
{
    send_load(peer, false, code, config);
}

void peer_send_empty(struct peer *peer, enum wz_frame_type type)
{
    struct wz_buf buf = {0};

    wz_frame_put_empty(&buf, type);
    send_buf(peer, &buf);
}

void peer_send_batch(struct peer *peer, int64_t first_offset, uint32_t count, const char *body)
{
    struct wz_buf buf = {0};
    size_t start = wz_frame_list_open(&buf, WZ_FRAME_BATCH);

    for (uint32_t i = 0; i < count; i++) {
        struct wz_frame_record record = {
            .stream = 1,
            .opens = i == 0,
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

void peer_send_records(struct peer *peer, const struct wz_frame_record *records, uint32_t count)
{
    struct wz_buf buf = {0};
    size_t start = wz_frame_list_open(&buf, WZ_FRAME_BATCH);

    for (uint32_t i = 0; i < count; i++)
        wz_frame_put_record(&buf, &records[i]);
    wz_frame_list_close(&buf, start, count);
    send_buf(peer, &buf);
}

void peer_send_entry(struct peer *peer, uint8_t lane, const char *key, const char *value)
{
    struct wz_frame_entry entry = {
        .lane = lane, .key = wz_slice_str(key), .value = wz_slice_str(value)};
    struct wz_buf buf = {0};
    size_t start = wz_frame_list_open(&buf, WZ_FRAME_STATE);

    wz_frame_put_entry(&buf, &entry);
    wz_frame_list_close(&buf, start, 1);
    send_buf(peer, &buf);
}

void peer_send_found(struct peer *peer, const struct wz_frame_record *records, uint32_t count)
{
    struct wz_buf buf = {0};
    size_t start = wz_frame_found_open(&buf);

    for (uint32_t i = 0; i < count; i++)
        wz_frame_put_record(&buf, &records[i]);
    wz_frame_found_close(&buf, start, count);
    send_buf(peer, &buf);
}

void peer_send_not_found(struct peer *peer, const char *error)
{
    struct wz_buf buf = {0};

    wz_frame_put_not_found(&buf, wz_slice_str(error));
    send_buf(peer, &buf);
}

// The next frame; false at the end of the stream.
static bool next_frame(struct peer *peer, struct wz_frame *ret_frame)
{
    for (;;) {
        size_t len;
        struct wz_slice rest =
            wz_slice_sub(wz_buf_slice(&peer->in), peer->in_done, peer->in.len - peer->in_done);
        int r = wz_frame_read(rest, ret_frame, &len);
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

struct wz_frame peer_expect(struct peer *peer, enum wz_frame_type type)
{
    struct wz_frame frame = {0};

    assert_true(next_frame(peer, &frame));
    if (frame.type == WZ_FRAME_INVALID && type != WZ_FRAME_INVALID)
        print_error("invalid: %.*s\n", WZ_SLICE_FMT(frame.payload));
    assert_int_equal(frame.type, type);
    return frame;
}

static void start_script(struct peer *peer)
{
    peer_expect(peer, WZ_FRAME_READY);
    peer_send_empty(peer, WZ_FRAME_START);
    peer_expect(peer, WZ_FRAME_STARTED);
}

void peer_start_script(struct peer *peer, const char *code)
{
    peer_send_load(peer, code, "{\"room\":\"kitchen\"}");
    start_script(peer);
}

void peer_start_laned_script(struct peer *peer, const char *code)
{
    send_load(peer, true, code, "{}");
    start_script(peer);
}

struct wz_frame_invalid peer_expect_invalid(struct peer *peer, const char *reason, uint32_t line)
{
    struct wz_frame frame = peer_expect(peer, WZ_FRAME_INVALID);
    struct wz_frame_invalid invalid;

    assert_int_equal(wz_frame_get_invalid(frame.payload, &invalid), WZ_OK);
    if (!memmem(invalid.reason.ptr, invalid.reason.len, reason, strlen(reason)))
        fail_msg("reason: %.*s", WZ_SLICE_FMT(invalid.reason));
    assert_int_equal(invalid.line, line);
    return invalid;
}

struct wz_frame_result peer_expect_result(struct peer *peer, int64_t offset)
{
    struct wz_frame frame = peer_expect(peer, WZ_FRAME_RESULT);
    struct wz_frame_result result;
    struct wz_frame_iter it;

    assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
    assert_int_equal(wz_frame_next_result(&it, &result), WZ_OK);
    assert_int_equal(result.stream, 1);
    assert_int_equal(result.offset, offset);
    return result;
}

struct wz_frame_item peer_expect_status(struct peer *peer, int64_t offset,
                                        enum wz_frame_status status)
{
    struct wz_frame_result result = peer_expect_result(peer, offset);
    struct wz_frame_iter it = wz_frame_items(&result);
    struct wz_frame_item item = {0};

    assert_in_range(wz_frame_next_item(&it, &item), WZ_OK, WZ_END);
    if (result.status != status)
        fail_msg("status %d: %.*s", result.status, WZ_SLICE_FMT(item.body));
    return item;
}

static struct wz_slice last_line(struct wz_slice s)
{
    size_t len = s.len;

    while (len > 0 && s.ptr[len - 1] == '\n')
        len--;
    s.len = len;
    while (len > 0 && s.ptr[len - 1] != '\n')
        len--;
    return wz_slice_sub(s, len, s.len - len);
}

static void add_item(struct wz_buf *buf, const struct wz_frame_item *item)
{
    static const char *const signs[] = {"", "", "", "! ", "? "};
    struct wz_slice body = item->body;

    if (item->kind == WZ_FRAME_ITEM_TRACE)
        body = last_line(body);
    wz_buf_add_str(buf, signs[item->kind]);
    wz_buf_add_slice(buf, item->topic);
    if (item->topic.len > 0)
        wz_buf_add_byte(buf, ' ');
    wz_buf_add_slice(buf, body);
    wz_buf_add_byte(buf, '\n');
}

static void add_changes(struct wz_buf *buf, struct wz_frame_iter *it)
{
    struct wz_frame_entry entry;
    int r = wz_frame_changes(it);

    while (r == WZ_OK) {
        r = wz_frame_next_entry(it, &entry);
        if (r != WZ_OK)
            break;
        wz_buf_addf(buf, "%d %.*s %.*s\n", entry.lane, WZ_SLICE_FMT(entry.key),
                    WZ_SLICE_FMT(entry.removed ? WZ_SLICE_LIT("-") : entry.value));
    }
    assert_int_equal(r, WZ_END);
}

void peer_assert_result(struct wz_frame frame, const char *lines)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_result result;
    struct wz_frame_iter items;
    struct wz_frame_iter it;
    struct wz_frame_item item;
    int r = wz_frame_iter_init(&it, frame.payload);

    assert_int_equal(r, WZ_OK);
    while ((r = wz_frame_next_result(&it, &result)) == WZ_OK) {
        items = wz_frame_items(&result);
        while ((r = wz_frame_next_item(&items, &item)) == WZ_OK)
            add_item(&buf, &item);
        assert_int_equal(r, WZ_END);
    }
    assert_int_equal(r, WZ_END);
    add_changes(&buf, &it);
    if (buf.len > 0)
        buf.len--;
    peer_assert_text(wz_buf_slice(&buf), lines);
}

void peer_assert_contains(struct wz_slice s, const char *text)
{
    if (!memmem(s.ptr, s.len, text, strlen(text)))
        fail_msg("no \"%s\" in: %.*s", text, WZ_SLICE_FMT(s));
}

void peer_assert_text(struct wz_slice s, const char *text)
{
    if (!wz_slice_eq(s, wz_slice_str(text)))
        fail_msg("\"%.*s\" is not \"%s\"", WZ_SLICE_FMT(s), text);
}

int peer_wait_exit(struct peer *peer)
{
    struct wz_frame frame;
    int status;

    while (next_frame(peer, &frame))
        continue;
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    peer->pid = 0;
    return status;
}
