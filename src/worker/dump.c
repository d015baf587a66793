// SPDX-License-Identifier: Apache-2.0
// Owns the writing of JSON for the values that scripts emit day in, day out: without the pieces of
// text that Python's encoder makes and joins.
#include "worker/dump.h"

#include "base/mem.h"

#define WZ_DUMP_DEPTH_MAX 100

static bool put_value(struct wz_buf *buf, PyObject *value, int depth);

// The letter behind the backslash for a byte that is escaped by one, or 0.
static char escape_of(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    default:
        return 0;
    }
}

static void put_escaped(struct wz_buf *buf, uint8_t c)
{
    char letter = escape_of(c);

    if (letter) {
        wz_buf_add_byte(buf, '\\');
        wz_buf_add_byte(buf, (uint8_t)letter);
    } else {
        wz_buf_addf(buf, "\\u%04x", c);
    }
}

static bool put_str(struct wz_buf *buf, PyObject *text)
{
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &len);
    Py_ssize_t start = 0;

    if (!bytes) {
        PyErr_Clear();
        return false;
    }
    wz_buf_add_byte(buf, '"');
    for (Py_ssize_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)bytes[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        wz_buf_add(buf, bytes + start, (size_t)(i - start));
        put_escaped(buf, c);
        start = i + 1;
    }
    wz_buf_add(buf, bytes + start, (size_t)(len - start));
    wz_buf_add_byte(buf, '"');
    return true;
}

static bool put_int(struct wz_buf *buf, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    unsigned long long rest =
        number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
    char digits[20];
    size_t at = sizeof(digits);

    if (overflow != 0)
        return false;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        wz_buf_add_byte(buf, '-');
    wz_buf_add(buf, digits + at, sizeof(digits) - at);
    return true;
}

static bool put_float(struct wz_buf *buf, PyObject *value)
{
    double number = PyFloat_AS_DOUBLE(value);
    char *text;

    if (!isfinite(number))
        return false;
    text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (!text) {
        PyErr_Clear();
        return false;
    }
    wz_buf_add_str(buf, text);
    PyMem_Free(text);
    return true;
}

static bool put_list(struct wz_buf *buf, PyObject *list, int depth)
{
    wz_buf_add_byte(buf, '[');
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (i > 0)
            wz_buf_add_byte(buf, ',');
        if (!put_value(buf, PyList_GET_ITEM(list, i), depth + 1))
            return false;
    }
    wz_buf_add_byte(buf, ']');
    return true;
}

static bool put_dict(struct wz_buf *buf, PyObject *dict, int depth)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    bool first = true;

    wz_buf_add_byte(buf, '{');
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (!first)
            wz_buf_add_byte(buf, ',');
        first = false;
        if (!PyUnicode_CheckExact(key) || !put_str(buf, key))
            return false;
        wz_buf_add_byte(buf, ':');
        if (!put_value(buf, value, depth + 1))
            return false;
    }
    wz_buf_add_byte(buf, '}');
    return true;
}

static bool put_value(struct wz_buf *buf, PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value))
        return put_str(buf, value);
    if (PyLong_CheckExact(value))
        return put_int(buf, value);
    if (PyFloat_CheckExact(value))
        return put_float(buf, value);
    if (PyDict_CheckExact(value))
        return depth < WZ_DUMP_DEPTH_MAX && put_dict(buf, value, depth);
    if (PyList_CheckExact(value))
        return depth < WZ_DUMP_DEPTH_MAX && put_list(buf, value, depth);
    if (value == Py_None)
        wz_buf_add_str(buf, "null");
    else if (PyBool_Check(value))
        wz_buf_add_str(buf, value == Py_True ? "true" : "false");
    else
        return false;
    return true;
}

bool wz_dump(struct wz_buf *buf, PyObject *value)
{
    size_t start = buf->len;

    if (put_value(buf, value, 0))
        return true;
    buf->len = start;
    return false;
}
