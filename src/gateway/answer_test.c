// SPDX-License-Identifier: Apache-2.0
#include "gateway/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/codes.h"

static struct wz_request *ask(void)
{
    int r;
    struct wz_request *req =
        wz_request_new(NULL, WZ_SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &r);

    assert_int_equal(r, WZ_OK);
    return req;
}

static void test_answer_problem_says_what_where_and_how_to_mend_it(void **state)
{
    struct wz_request *req = ask();
    struct wz_problem problem;

    (void)state;
    (void)wz_problem_set(&problem, WZ_ERR_INVALID, WZ_CODE_DOCUMENT_NAME, "what \"it\" is");
    wz_problem_where(&problem, "here");
    wz_problem_fix(&problem, "so");
    wz_answer_problem(req, 0, &problem);
    assert_true(req->answered);
    assert_int_equal(req->status, 422);
    assert_string_equal(wz_buf_str(&req->content),
                        "{\"type\":\"about:blank\",\"title\":\"The name of a document is not "
                        "valid\",\"status\":422,\"code\":\"WYZ-2001\",\"detail\":\"what "
                        "\\\"it\\\" is\",\"where\":\"here\",\"fix\":\"so\"}\n");
    assert_string_equal(wz_buf_str(&req->fields), "Content-Type: application/problem+json\r\n");
    wz_request_unref(req);
}

static void test_answer_problem_survives_texts_that_were_cut_or_are_no_utf8(void **state)
{
    struct wz_request *req = ask();
    struct wz_problem problem = {.err = WZ_ERR_BUSY};

    (void)state;
    memset(problem.what, 'a', sizeof(problem.what) - 2);
    problem.what[sizeof(problem.what) - 2] = '\xc3'; // the front half of a character
    (void)snprintf(problem.where, sizeof(problem.where), "\xff\xff\xff\xff\xff");
    wz_answer_problem(req, 0, &problem);
    assert_int_equal(req->status, 503);
    assert_non_null(strstr(wz_buf_str(&req->content), "aaaa\",\"where\":\"(a text that"));
    assert_non_null(strstr(wz_buf_str(&req->fields), "Retry-After: 1\r\n"));
    wz_request_unref(req);
}

static void test_answer_status_is_an_error_for_each_error(void **state)
{
    static const int errs[] = {
#define WZ_TEST_ERR(name, value, word, text) name,
        WZ_ERR_TABLE(WZ_TEST_ERR)
#undef WZ_TEST_ERR
    };

    (void)state;
    for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
        if (errs[i] < 0)
            assert_in_range(wz_answer_status(errs[i]), 400, 599);
    }
    assert_int_equal(wz_answer_status(WZ_ERR_NOT_FOUND), 404);
    assert_int_equal(wz_answer_status(WZ_ERR_CONFLICT), 409);
    assert_int_equal(wz_answer_status(WZ_ERR_NOSPACE), 507);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_problem_says_what_where_and_how_to_mend_it),
        cmocka_unit_test(test_answer_problem_survives_texts_that_were_cut_or_are_no_utf8),
        cmocka_unit_test(test_answer_status_is_an_error_for_each_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
