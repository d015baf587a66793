// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    int value;
    const char *word;
    const char *text;
} table[] = {
#define ROW(name, value, word, text) {value, word, text},
    WZ_ERR_TABLE(ROW)
#undef ROW
};

static void test_err_words_and_texts_are_those_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_string_equal(wz_err_word(table[i].value), table[i].word);
        assert_string_equal(wz_err_text(table[i].value), table[i].text);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(table[i].word, table[j].word);
    }
    assert_string_equal(wz_err_word(-1000), "unknown");
    assert_string_not_equal(wz_err_text(-1000), "");
}

static void test_err_sign_tells_failures_from_outcomes(void **state)
{
    (void)state;
    assert_int_equal(WZ_OK, 0);
    for (size_t i = 0; i < COUNT(table); i++) {
        bool outcome =
            table[i].value == WZ_OK || table[i].value == WZ_AGAIN || table[i].value == WZ_END;

        assert_int_equal(table[i].value >= 0, outcome);
    }
}

static void test_err_from_errno_tells_a_full_disk_from_a_broken_one(void **state)
{
    static const struct {
        int errnum;
        int err;
    } cases[] = {
        {0, WZ_OK},
        {ENOSPC, WZ_ERR_NOSPACE},
        {EDQUOT, WZ_ERR_NOSPACE},
        {EIO, WZ_ERR_IO},
        {ENOENT, WZ_ERR_NOT_FOUND},
        {EEXIST, WZ_ERR_EXISTS},
        {EAGAIN, WZ_ERR_BUSY},
        {EBUSY, WZ_ERR_BUSY},
        {EACCES, WZ_ERR_AUTH},
        {EPERM, WZ_ERR_AUTH},
        {EFBIG, WZ_ERR_TOO_LARGE},
        {EOVERFLOW, WZ_ERR_TOO_LARGE},
        {EMFILE, WZ_ERR_LIMIT},
        {ENFILE, WZ_ERR_LIMIT},
        {ENOMEM, WZ_ERR_LIMIT},
        {ECONNREFUSED, WZ_ERR_UNREACHABLE},
        {ETIMEDOUT, WZ_ERR_TIMEOUT},
        {EINVAL, WZ_ERR_INVALID},
        {EXDEV, WZ_ERR_SYSTEM},
        {99999, WZ_ERR_SYSTEM},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(wz_err_from_errno(cases[i].errnum), cases[i].err);
    for (int errnum = 1; errnum < 200; errnum++)
        assert_true(wz_err_from_errno(errnum) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_words_and_texts_are_those_of_the_table),
        cmocka_unit_test(test_err_sign_tells_failures_from_outcomes),
        cmocka_unit_test(test_err_from_errno_tells_a_full_disk_from_a_broken_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
