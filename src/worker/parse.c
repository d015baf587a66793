// SPDX-License-Identifier: Apache-2.0
// Owns the reading of JSON as readings are: short objects whose names come again and again. All
// that is rare is left to Python's own parser, which then reads the whole text.
#include "worker/parse.h"

#include <float.h>
#include <string.h>

#define DEPTH_MAX 64
#define NAME_MAX_BYTES 64
#define WHOLE_DIGITS_MAX 18 // such a number fits into 64 bits
#define FLOAT_TEXT_MAX 64

// A quotient or product of two numbers that a double holds exactly is rounded once, so it is what
// Python reads: 15 digits, and powers of ten up to 10^22.
#define EXACT_DIGITS 15
#define EXACT_POWER 22

#define EACH_BYTE(value) (0x0101010101010101ULL * (value))

struct parser {
    const uint8_t *at;
    const uint8_t *end;
    struct wz_parse_names *names;
    int depth;
};

static PyObject *parse_value(struct parser *parser);

// Whether one of eight bytes is a quote, a backslash, a control character or no ASCII.
static bool is_special(uint64_t eight)
{
    uint64_t quote = eight ^ EACH_BYTE('"');
    uint64_t backslash = eight ^ EACH_BYTE('\\');
    uint64_t found = ((quote - EACH_BYTE(1)) & ~quote) | ((backslash - EACH_BYTE(1)) & ~backslash) |
                     ((eight - EACH_BYTE(0x20)) & ~eight) | eight;

    return (found & EACH_BYTE(0x80)) != 0;
}

// Reads the string whose first quote was read, up to behind its last.
static bool take_string(struct parser *parser, struct wz_slice *ret_text, bool *ret_ascii)
{
    const uint8_t *start = parser->at;
    const uint8_t *at = start;
    uint8_t all = 0;
    uint64_t eight;

    while (parser->end - at >= 8) {
        memcpy(&eight, at, 8);
        if (is_special(eight))
            break;
        at += 8;
    }
    while (at < parser->end && *at >= 0x20 && *at != '"' && *at != '\\')
        all |= *at++;
    if (at == parser->end || *at != '"')
        return false;
    parser->at = at + 1;
    *ret_text = wz_slice(start, (size_t)(at - start));
    *ret_ascii = all < 0x80;
    return true;
}

static PyObject *new_str(struct wz_slice text, bool ascii)
{
    PyObject *str;

    if (!ascii)
        return PyUnicode_DecodeUTF8((const char *)text.ptr, (Py_ssize_t)text.len, "strict");
    str = PyUnicode_New((Py_ssize_t)text.len, 0x7f);
    if (str)
        memcpy(PyUnicode_1BYTE_DATA(str), text.ptr, text.len);
    return str;
}

static PyObject *parse_string(struct parser *parser)
{
    struct wz_slice text;
    bool ascii;

    return take_string(parser, &text, &ascii) ? new_str(text, ascii) : NULL;
}

// The place of a name among those that came before.
static PyObject **name_place(struct wz_parse_names *names, struct wz_slice text)
{
    uint32_t hash = (uint32_t)text.len;

    for (size_t i = 0; i < text.len; i++)
        hash = hash * 31 + text.ptr[i];
    return &names->items[(hash ^ hash >> 8 ^ hash >> 16) % WZ_PARSE_NAMES];
}

static PyObject *parse_name(struct parser *parser)
{
    struct wz_slice text;
    PyObject **place;
    bool ascii;

    if (!take_string(parser, &text, &ascii))
        return NULL;
    if (!ascii || text.len > NAME_MAX_BYTES)
        return new_str(text, ascii);
    place = name_place(parser->names, text);
    if (!*place || PyUnicode_GET_LENGTH(*place) != (Py_ssize_t)text.len ||
        memcmp(PyUnicode_1BYTE_DATA(*place), text.ptr, text.len) != 0) {
        PyObject *made = new_str(text, true);

        if (!made)
            return NULL;
        Py_XSETREF(*place, made);
    }
    return Py_NewRef(*place);
}

static void skip_space(struct parser *parser)
{
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\t' ||
                                        *parser->at == '\n' || *parser->at == '\r'))
        parser->at++;
}

// Whether C comes next; then it was read.
static bool skip(struct parser *parser, uint8_t c)
{
    if (parser->at == parser->end || *parser->at != c)
        return false;
    parser->at++;
    return true;
}

// Adds the digits that come next to RET_NUMBER, which goes round when they are too many. Returns
// how many.
static int take_digits(struct parser *parser, uint64_t *ret_number)
{
    const uint8_t *start = parser->at;

    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
        *ret_number = *ret_number * 10 + (uint64_t)(*parser->at++ - '0');
    return (int)(parser->at - start);
}

// Reads what may stand behind an e. An exponent of more than four digits is not taken.
static bool take_exponent(struct parser *parser, int *ret_exponent)
{
    bool minus = skip(parser, '-');
    uint64_t number = 0;
    int digits;

    if (!minus)
        (void)skip(parser, '+'); // it changes nothing
    digits = take_digits(parser, &number);
    if (digits < 1 || digits > 4)
        return false;
    *ret_exponent = minus ? -(int)number : (int)number;
    return true;
}

static PyObject *new_float(struct wz_slice text)
{
    char copy[FLOAT_TEXT_MAX + 1];
    double number;

    if (text.len > FLOAT_TEXT_MAX)
        return NULL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    number = PyOS_string_to_double(copy, NULL, NULL);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(number);
}

// A number NUMBER * 10^POWER of so many digits whose text is TEXT.
static PyObject *make_float(uint64_t number, int digits, int power, struct wz_slice text)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value = (double)number;

    if (FLT_EVAL_METHOD != 0 || digits > EXACT_DIGITS || power > EXACT_POWER ||
        power < -EXACT_POWER)
        return new_float(text);
    value = power < 0 ? value / powers[-power] : value * powers[power];
    return PyFloat_FromDouble(text.ptr[0] == '-' ? -value : value);
}

static PyObject *parse_number(struct parser *parser)
{
    const uint8_t *start = parser->at;
    bool minus = skip(parser, '-');
    bool zero = parser->at < parser->end && *parser->at == '0';
    uint64_t number = 0;
    int whole = take_digits(parser, &number);
    int fraction = 0;
    int exponent = 0;
    bool is_float = skip(parser, '.');

    if (whole == 0 || (zero && whole > 1))
        return NULL;
    if (is_float && (fraction = take_digits(parser, &number)) == 0)
        return NULL;
    if (skip(parser, 'e') || skip(parser, 'E')) {
        is_float = true;
        if (!take_exponent(parser, &exponent))
            return NULL;
    }
    if (is_float)
        return make_float(number, whole + fraction, exponent - fraction,
                          wz_slice(start, (size_t)(parser->at - start)));
    if (whole > WHOLE_DIGITS_MAX)
        return NULL;
    return PyLong_FromLongLong(minus ? -(long long)number : (long long)number);
}

static PyObject *parse_word(struct parser *parser, const char *word, PyObject *value)
{
    size_t len = strlen(word);

    if ((size_t)(parser->end - parser->at) < len || memcmp(parser->at, word, len) != 0)
        return NULL;
    parser->at += len;
    return Py_NewRef(value);
}

// Reads a name and its value into DICT.
static bool parse_member(struct parser *parser, PyObject *dict)
{
    PyObject *name = NULL;
    PyObject *value = NULL;
    bool done;

    skip_space(parser);
    if (skip(parser, '"'))
        name = parse_name(parser);
    skip_space(parser);
    if (name && skip(parser, ':'))
        value = parse_value(parser);
    done = value && PyDict_SetItem(dict, name, value) == 0;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return done;
}

static bool parse_item(struct parser *parser, PyObject *list)
{
    PyObject *value = parse_value(parser);
    bool done = value && PyList_Append(list, value) == 0;

    Py_XDECREF(value);
    return done;
}

// Reads into CONTAINER, whose first bracket was read, up to behind LAST, which closes it. Uses the
// reference up.
static PyObject *parse_inside(struct parser *parser, PyObject *container, uint8_t last,
                              bool (*parse)(struct parser *, PyObject *))
{
    bool done = container != NULL;

    skip_space(parser);
    if (done && skip(parser, last))
        return container;
    do {
        done = done && parse(parser, container);
        skip_space(parser);
    } while (done && skip(parser, ','));
    if (done && skip(parser, last))
        return container;
    Py_XDECREF(container);
    return NULL;
}

static PyObject *parse_container(struct parser *parser)
{
    PyObject *value = NULL;

    if (parser->depth++ == DEPTH_MAX)
        return NULL;
    if (*parser->at++ == '{')
        value = parse_inside(parser, PyDict_New(), '}', parse_member);
    else
        value = parse_inside(parser, PyList_New(0), ']', parse_item);
    parser->depth--;
    return value;
}

static PyObject *parse_value(struct parser *parser)
{
    skip_space(parser);
    if (parser->at == parser->end)
        return NULL;
    switch (*parser->at) {
    case '"':
        parser->at++;
        return parse_string(parser);
    case '{':
    case '[':
        return parse_container(parser);
    case 't':
        return parse_word(parser, "true", Py_True);
    case 'f':
        return parse_word(parser, "false", Py_False);
    case 'n':
        return parse_word(parser, "null", Py_None);
    default:
        return parse_number(parser);
    }
}

PyObject *wz_parse(struct wz_parse_names *names, struct wz_slice text)
{
    struct parser parser = {
        .at = text.ptr, .end = text.len > 0 ? text.ptr + text.len : text.ptr, .names = names};
    PyObject *value = text.len > 0 ? parse_value(&parser) : NULL;

    if (value && parser.at != parser.end)
        Py_CLEAR(value);
    if (!value)
        PyErr_Clear(); // json.loads will say it
    return value;
}
