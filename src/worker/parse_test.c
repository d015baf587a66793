// SPDX-License-Identifier: Apache-2.0
// JSON by the quick way, held against Python's own. The interpreter runs in the test.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/parse.h"

static PyObject *loads;
static struct wz_parse_names names;

static int start_python(void **state)
{
    PyObject *json;

    (void)state;
    Py_InitializeEx(0);
    json = PyImport_ImportModule("json");
    loads = json ? PyObject_GetAttrString(json, "loads") : NULL;
    Py_XDECREF(json);
    return loads ? 0 : -1;
}

static PyObject *parse(const char *text, size_t len)
{
    PyObject *value = wz_parse(&names, wz_slice(text, len));

    assert_null(PyErr_Occurred());
    return value;
}

// What Python reads, or NULL without an exception.
static PyObject *parse_by_python(const char *text, size_t len)
{
    PyObject *value = PyObject_CallFunction(loads, "y#", text, (Py_ssize_t)len);

    PyErr_Clear();
    return value;
}

// That they are the same in value, type and order: so says their repr.
static void assert_same(PyObject *one, PyObject *other, const char *text, size_t len)
{
    PyObject *a = PyObject_Repr(one);
    PyObject *b = other ? PyObject_Repr(other) : NULL;

    if (!a || !b || PyUnicode_Compare(a, b) != 0)
        fail_msg("%.*s", (int)len, text);
    Py_DECREF(a);
    Py_DECREF(b);
}

// Whether it was taken; what was is what Python reads.
static bool check(const char *text, size_t len)
{
    PyObject *value = parse(text, len);
    PyObject *wanted = value ? parse_by_python(text, len) : NULL;

    if (value)
        assert_same(value, wanted, text, len);
    Py_XDECREF(value);
    Py_XDECREF(wanted);
    return value != NULL;
}

static const char record[] =
    "{\"_id\":\"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11\",\"_timestamp\":1770000000123,"
    "\"_topic\":\"a.b\",\"value\":-21.53,\"list\":[1,2.5e-3,{\"_id\":null}],\"on\":true,"
    "\"text\":\"d\xc3\xa4mmerung \xf0\x9f\x98\x80\"}";

static const char *const taken[] = {
    "0",
    "-0",
    "7",
    "-7",
    "999999999999999999",
    "-999999999999999999",
    "0.0",
    "-0.0",
    "0e5",
    "0.1",
    "-1.5",
    "20.00",
    "123456789012345.0",
    "99999999999999.9",
    "1e22",
    "1E+22",
    "1e-22",
    "1e23",
    "1e-23",
    "123456789012345e22",
    "9007199254740993.0",
    "21.349999999999998",
    "0.30000000000000004",
    "2.2250738585072011e-308",
    "5e-324",
    "1e-400",
    "1.7976931348623157e308",
    "1e400",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"1234567\"",
    "\"12345678\"",
    "\"123456789abcdefg\"",
    "\"\x7f/\"",
    "\"\xc3\xa4\"",
    "\"12345678\xf0\x9f\x98\x80\"",
    "[]",
    "[ ]",
    "{}",
    "{\t}",
    " [1 , 2\n,\r[ 3 ] ]",
    "{ \"a\" : 1 , \"b\" : { \"a\" : [ ] } }",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"\":0}",
    "{\"\xc3\xa4\":{\"\xc3\xa4\":1}}",
    "{\"a name that is longer than any that is kept, by far, as this one is\":1}",
    record,
};

static void test_parse_reads_what_python_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (!check(taken[i], strlen(taken[i])))
            fail_msg("not taken: %s", taken[i]);
}

static const char *const left[] = {
    "",
    " ",
    "1 ",
    "\"\\n\"",
    "\"\\u00e4\"",
    "{\"\\n\":1}",
    "1000000000000000000",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "-01",
    "1.",
    ".5",
    "-",
    "-.5",
    "1e",
    "1e+",
    "1.e5",
    "1e00001",
    "+1",
    "\"",
    "\"12345678",
    "\"\x01\"",
    "\"12345678\x1f\"",
    "\"\xff\"",
    "\"\xed\xa0\x80\"",
    "{\"\xff\":1}",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{1:2}",
    "{a:1}",
    "{\"a\":1]",
    "truE",
    "tru",
    "nul",
    "true1",
    "1 2",
    "{}{}",
    "\xef\xbb\xbf{}",
};

static void test_parse_leaves_the_rest_to_python(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        if (check(left[i], strlen(left[i])))
            fail_msg("taken: %s", left[i]);
}

static void test_parse_takes_64_levels(void **state)
{
    char text[131];

    (void)state;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_true(check(text + 1, 128));
    assert_false(check(text, 130));
}

static void test_parse_never_takes_a_part(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(record) - 1; len++)
        assert_false(check(record, len));
}

// A record of which some bytes are others.
static void test_parse_of_broken_text_agrees_with_python(void **state)
{
    static const char bytes[] = "{}[]\",:\\0123456789.eE+-truefalsn \t\n\x01\x7f\x80\xc3\xff";
    char text[sizeof(record)];
    uint64_t seed = 20260127;
    int count = 0;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        memcpy(text, record, sizeof(record));
        for (int i = 0; i < 1 + round % 3; i++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            text[(seed >> 33) % (sizeof(record) - 1)] = bytes[(seed >> 20) % (sizeof(bytes) - 1)];
        }
        count += check(text, sizeof(record) - 1) ? 1 : 0;
    }
    assert_in_range(count, 2000, 18000); // else it tells nothing
}

static void test_parse_of_numbers_agrees_with_python(void **state)
{
    uint64_t seed = 7;
    char text[64];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        int len;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        len = snprintf(text, sizeof(text), "%s%llu.%0*llue%d", seed & 1 ? "-" : "",
                       (unsigned long long)(seed >> 40) % 100000000, (int)(1 + i % 9),
                       (unsigned long long)(seed >> 20) % 10000, (int)(seed >> 50) % 60 - 30);
        assert_true(check(text, (size_t)len));
    }
}

// More names than places: a name is never another one's.
static void test_parse_keeps_names_apart(void **state)
{
    char text[64];

    (void)state;
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 5000; i++) {
            int len = snprintf(text, sizeof(text), "{\"n%d\":1,\"%dn\":2}", i, i);

            assert_true(check(text, (size_t)len));
        }
}

// Python keeps what it has allocated for its whole life: nothing is looked for at the end.
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_reads_what_python_reads),
        cmocka_unit_test(test_parse_leaves_the_rest_to_python),
        cmocka_unit_test(test_parse_takes_64_levels),
        cmocka_unit_test(test_parse_never_takes_a_part),
        cmocka_unit_test(test_parse_of_broken_text_agrees_with_python),
        cmocka_unit_test(test_parse_of_numbers_agrees_with_python),
        cmocka_unit_test(test_parse_keeps_names_apart),
    };
    int failed = cmocka_run_group_tests(tests, start_python, NULL);

    (void)fflush(NULL); // nobody reads what is lost there
    _exit(failed ? 1 : 0);
}
