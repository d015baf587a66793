// SPDX-License-Identifier: Apache-2.0
#include "gateway/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_http_request_is_read_into_its_parts(void **state)
{
    struct wz_http_head head;
    struct wz_slice s = WZ_SLICE_LIT("PUT /a%2Fb?c=d HTTP/1.1\r\nHost: localhost:5081\r\n"
                                     "content-length:  12 \r\nX-Empty:\r\n\r\n");

    (void)state;
    assert_int_equal(wz_http_head_len(s, 0), s.len);
    assert_int_equal(wz_http_read_request(s, &head), WZ_OK);
    assert_true(wz_slice_eq(head.method, WZ_SLICE_LIT("PUT")));
    assert_true(wz_slice_eq(head.target, WZ_SLICE_LIT("/a%2Fb?c=d")));
    assert_int_equal(head.content_length, 12);
    assert_int_equal(head.minor, 1);
    assert_false(head.close);
    assert_true(wz_slice_eq(wz_http_field(&head, "HOST"), WZ_SLICE_LIT("localhost:5081")));
    assert_non_null(wz_http_field(&head, "x-empty").ptr);
    assert_null(wz_http_field(&head, "x-other").ptr);
}

static void test_http_head_is_whole_only_with_its_empty_line(void **state)
{
    struct wz_slice s = WZ_SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /");
    size_t whole = s.len - 5;

    (void)state;
    for (size_t len = 0; len <= s.len; len++) {
        struct wz_slice part = wz_slice_sub(s, 0, len);

        assert_int_equal(wz_http_head_len(part, 0), len < whole ? 0 : whole);
        assert_int_equal(wz_http_head_len(part, len > 1 && len <= whole ? len - 1 : 0),
                         len < whole ? 0 : whole);
    }
}

static void test_http_request_that_is_doubtful_is_refused(void **state)
{
    static const struct {
        const char *text;
        int err;
    } cases[] = {
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET /\r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", WZ_ERR_UNSUPPORTED},
        {"GET / HTTP/1.1\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
         WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
         WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         WZ_ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
         WZ_ERR_UNSUPPORTED},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", WZ_ERR_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_http_head head;

        if (wz_http_read_request(wz_slice_str(cases[i].text), &head) != cases[i].err)
            print_error("case %zu\n", i);
        assert_int_equal(wz_http_read_request(wz_slice_str(cases[i].text), &head), cases[i].err);
    }
}

static void test_http_request_of_too_many_fields_is_refused(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_http_head head;

    (void)state;
    wz_buf_add_str(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < WZ_HTTP_FIELDS_MAX; i++)
        wz_buf_add_str(&text, "X: y\r\n");
    wz_buf_add_str(&text, "\r\n");
    assert_int_equal(wz_http_read_request(wz_buf_slice(&text), &head), WZ_OK);
    text.len -= 2;
    wz_buf_add_str(&text, "X: y\r\n\r\n");
    assert_int_equal(wz_http_read_request(wz_buf_slice(&text), &head), WZ_ERR_LIMIT);
}

static void test_http_request_cut_anywhere_is_never_taken(void **state)
{
    struct wz_slice s = WZ_SLICE_LIT("PUT http://h/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                                     "Content-Length: 2\r\n\r\n");
    struct wz_http_head head;

    (void)state;
    for (size_t len = 0; len < s.len; len++) {
        uint8_t *copy = malloc(len + 1); // exactly as long, so that ASan sees a step too far

        assert_non_null(copy);
        memcpy(copy, s.ptr, len);
        assert_true(wz_http_read_request(wz_slice(copy, len), &head) < 0);
        free(copy);
    }
    assert_int_equal(wz_http_read_request(s, &head), WZ_OK);
    assert_true(wz_slice_eq(head.target, WZ_SLICE_LIT("/a")));
    assert_true(head.close);
}

// Reads a whole body that comes in pieces of STEP bytes; returns the last result.
static int read_body(struct wz_http_body body, const char *text, size_t step,
                     struct wz_buf *ret_buf, size_t *ret_left)
{
    struct wz_slice all = wz_slice_str(text);
    WZ_AUTO(wz_buf_release) struct wz_buf input = {0};
    int r = WZ_AGAIN;

    for (size_t pos = 0; pos < all.len && r == WZ_AGAIN; pos += step) {
        struct wz_slice rest;
        struct wz_slice piece;

        wz_buf_add(&input, all.ptr + pos, all.len - pos < step ? all.len - pos : step);
        rest = wz_buf_slice(&input);
        while ((r = wz_http_body_next(&body, &rest, &piece)) == WZ_OK)
            wz_buf_add_slice(ret_buf, piece);
        wz_buf_consume(&input, input.len - rest.len);
    }
    *ret_left = input.len;
    return r;
}

static void test_http_chunked_body_is_joined_however_it_is_cut(void **state)
{
    static const char text[] = "4\r\nWiki\r\n6;name=\"x\"\r\npedia \r\nE \r\nin \r\n\r\nchunks.\r\n"
                               "0\r\nTrailer: x\r\n\r\nGET";
    const struct wz_http_body chunked = {.state = WZ_HTTP_BODY_CHUNK_SIZE};

    (void)state;
    for (size_t step = 1; step <= sizeof(text); step++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        size_t left;

        assert_int_equal(read_body(chunked, text, step, &buf, &left), WZ_END);
        assert_string_equal(wz_buf_str(&buf), "Wikipedia in \r\n\r\nchunks.");
        assert_true(left <= 3);
    }
}

static void test_http_chunked_body_that_is_wrong_is_refused(void **state)
{
    static const char *const texts[] = {
        "\r\n",           "x\r\n",           "-1\r\n", "4\r\nWikiX\r\n",
        "4\r\nWiki4\r\n", "4\nWiki\r\n",     "4x\r\n", "fffffffffffff\r\n",
        "1 2 3\n",        "0\r\nX: y\n\r\n",
    };
    const struct wz_http_body chunked = {.state = WZ_HTTP_BODY_CHUNK_SIZE};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
        size_t left;

        if (read_body(chunked, texts[i], 1, &buf, &left) != WZ_ERR_PROTOCOL)
            print_error("case %zu\n", i);
        assert_int_equal(read_body(chunked, texts[i], 1, &buf, &left), WZ_ERR_PROTOCOL);
    }
}

static void test_http_counted_body_ends_at_its_length(void **state)
{
    const struct wz_http_body counted = {.state = WZ_HTTP_BODY_COUNTED, .left = 5};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    size_t left;

    (void)state;
    assert_int_equal(read_body(counted, "helloGET", 100, &buf, &left), WZ_END);
    assert_string_equal(wz_buf_str(&buf), "hello");
    assert_int_equal(left, 3);
}

static void test_http_chunks_written_are_read_again(void **state)
{
    const struct wz_http_body chunked = {.state = WZ_HTTP_BODY_CHUNK_SIZE};
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    size_t left;

    (void)state;
    wz_http_add_chunk(&text, "hello ", 6);
    wz_http_add_chunk(&text, "", 0);
    wz_http_add_chunk(&text, "world", 5);
    wz_http_add_last_chunk(&text);
    assert_int_equal(read_body(chunked, wz_buf_str(&text), 3, &buf, &left), WZ_END);
    assert_string_equal(wz_buf_str(&buf), "hello world");
}

static void test_http_answer_says_where_its_body_ends(void **state)
{
    static const struct {
        const char *text;
        const char *method;
        enum wz_http_body_state body;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", WZ_HTTP_BODY_COUNTED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", WZ_HTTP_BODY_DONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", WZ_HTTP_BODY_DONE},
        {"HTTP/1.1 204 No Content\r\n\r\n", "GET", WZ_HTTP_BODY_DONE},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", WZ_HTTP_BODY_DONE},
        {"HTTP/1.1 100 Continue\r\n\r\n", "PUT", WZ_HTTP_BODY_DONE},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", "GET", WZ_HTTP_BODY_CHUNK_SIZE},
        {"HTTP/1.0 200 OK\r\n\r\n", "GET", WZ_HTTP_BODY_UNTIL_END},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_http_head head;
        struct wz_http_body body;

        assert_int_equal(wz_http_read_answer(wz_slice_str(cases[i].text), &head), WZ_OK);
        wz_http_body_of_answer(&body, &head, wz_slice_str(cases[i].method));
        assert_int_equal(body.state, cases[i].body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_request_is_read_into_its_parts),
        cmocka_unit_test(test_http_head_is_whole_only_with_its_empty_line),
        cmocka_unit_test(test_http_request_that_is_doubtful_is_refused),
        cmocka_unit_test(test_http_request_of_too_many_fields_is_refused),
        cmocka_unit_test(test_http_request_cut_anywhere_is_never_taken),
        cmocka_unit_test(test_http_chunked_body_is_joined_however_it_is_cut),
        cmocka_unit_test(test_http_chunked_body_that_is_wrong_is_refused),
        cmocka_unit_test(test_http_counted_body_ends_at_its_length),
        cmocka_unit_test(test_http_chunks_written_are_read_again),
        cmocka_unit_test(test_http_answer_says_where_its_body_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
