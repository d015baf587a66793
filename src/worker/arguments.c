// SPDX-License-Identifier: Apache-2.0
// Owns the binding of arguments to parameters: fast calls get them as an array, and a tuple of
// names.
#include "worker/arguments.h"

#include "wire/frames.h"

static int find_name(const struct wz_signature *sig, PyObject *keyword)
{
    for (int i = 0; i < sig->count; i++)
        if (PyUnicode_CompareWithASCIIString(keyword, sig->names[i]) == 0)
            return i;
    return -1;
}

bool wz_arguments_bind(const struct wz_signature *sig, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *keywords, PyObject **values)
{
    Py_ssize_t keyword_count = keywords ? PyTuple_GET_SIZE(keywords) : 0;

    if (nargs > sig->count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments (%zd given)", sig->method,
                     sig->count, nargs);
        return false;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        values[i] = args[i];
    for (Py_ssize_t i = 0; i < keyword_count; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        int k = find_name(sig, keyword);

        if (k < 0 || values[k]) {
            PyErr_Format(PyExc_TypeError, "%s() got %s argument '%U'", sig->method,
                         k < 0 ? "an unexpected" : "a second", keyword);
            return false;
        }
        values[k] = args[nargs + i];
    }
    for (int i = 0; i < sig->needed; i++) {
        if (!values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() misses its argument '%s'", sig->method,
                         sig->names[i]);
            return false;
        }
    }
    return true;
}

// A word may not be empty nor hold control characters, and in a topic it may not be a wildcard.
static bool word_ok(const char *word, size_t len, bool wildcards)
{
    if (len == 0 || (!wildcards && len == 1 && (word[0] == '*' || word[0] == '#')))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)word[i] < 0x20 || word[i] == 0x7f)
            return false;
    return true;
}

static bool words_ok(const char *text, size_t len, bool wildcards)
{
    const char *word = text;

    while (word <= text + len) {
        size_t left = (size_t)(text + len - word);
        const char *dot = memchr(word, '.', left);
        size_t word_len = dot ? (size_t)(dot - word) : left;

        if (!word_ok(word, word_len, wildcards))
            return false;
        word += word_len + 1;
    }
    return true;
}

static bool get_words(PyObject *value, const char *what, bool wildcards, struct wz_slice *ret_words)
{
    Py_ssize_t len;
    const char *text;

    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %.100s", what,
                     Py_TYPE(value)->tp_name);
        return false;
    }
    text = PyUnicode_AsUTF8AndSize(value, &len);
    if (!text)
        return false;
    if (len < 1 || len > WZ_FRAME_TOPIC_MAX) {
        PyErr_Format(PyExc_ValueError, "%s must be of 1 to %d bytes, this one has %zd", what,
                     WZ_FRAME_TOPIC_MAX, len);
        return false;
    }
    if (!words_ok(text, (size_t)len, wildcards)) {
        PyErr_Format(PyExc_ValueError,
                     "%s %R must be words joined by '.', none of them empty%s, "
                     "without control characters",
                     what, value, wildcards ? "" : ", '*' or '#'");
        return false;
    }
    *ret_words = wz_slice(text, (size_t)len);
    return true;
}

bool wz_arguments_topic(PyObject *value, struct wz_slice *ret_topic)
{
    return get_words(value, "topic", false, ret_topic);
}

bool wz_arguments_pattern(PyObject *value, struct wz_slice *ret_pattern)
{
    return get_words(value, "pattern", true, ret_pattern);
}
