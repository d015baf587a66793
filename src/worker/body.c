// SPDX-License-Identifier: Apache-2.0
// Owns the way of bodies between JSON and Python: the quick ways of parse.c and dump.c, and for
// what they do not take Python's json module, by its C parts: the scanner is called at position 0
// of the text and the encoder for its pieces, without the Python code around them.
#include "worker/body.h"

#include "worker/dump.h"

// NULL-safe: an attribute of an object that may have failed to come; the object's reference is used
// up.
static PyObject *take_attr(PyObject *object, const char *name)
{
    PyObject *value = object ? PyObject_GetAttrString(object, name) : NULL;

    Py_XDECREF(object);
    return value;
}

static PyObject *new_decoder_scan(void)
{
    PyObject *type = take_attr(PyImport_ImportModule("json"), "JSONDecoder");
    PyObject *decoder = type ? PyObject_CallNoArgs(type) : NULL;

    Py_XDECREF(type);
    return take_attr(decoder, "scan_once");
}

// c_make_encoder(markers, default, encoder, indent, key_separator, item_separator, sort_keys,
// skipkeys, allow_nan)
static PyObject *new_encode(PyObject *markers)
{
    PyObject *module = PyImport_ImportModule("json.encoder");
    PyObject *make = module ? PyObject_GetAttrString(module, "c_make_encoder") : NULL;
    PyObject *type = module ? PyObject_GetAttrString(module, "JSONEncoder") : NULL;
    PyObject *plain = type ? PyObject_CallNoArgs(type) : NULL;
    PyObject *fallback = take_attr(plain, "default");
    PyObject *escape = module ? PyObject_GetAttrString(module, "encode_basestring") : NULL;
    PyObject *encode = NULL;

    if (make && fallback && escape)
        encode = PyObject_CallFunction(make, "OOOOssOOO", markers, fallback, escape, Py_None, ":",
                                       ",", Py_False, Py_False, Py_False);
    Py_XDECREF(module);
    Py_XDECREF(make);
    Py_XDECREF(type);
    Py_XDECREF(fallback);
    Py_XDECREF(escape);
    return encode;
}

bool wz_body_codec_init(struct wz_body_codec *codec)
{
    codec->scan = new_decoder_scan();
    codec->loads = codec->scan ? take_attr(PyImport_ImportModule("json"), "loads") : NULL;
    codec->markers = PyDict_New();
    codec->encode = codec->loads ? new_encode(codec->markers) : NULL;
    codec->empty = PyUnicode_FromString("");
    codec->zero = PyLong_FromLong(0);
    codec->unbase64 = take_attr(PyImport_ImportModule("binascii"), "a2b_base64");
    codec->value_key = PyUnicode_InternFromString("value");
    return codec->encode && codec->markers && codec->empty && codec->zero && codec->unbase64 &&
           codec->value_key;
}

static PyObject *decode_slowly(struct wz_body_codec *codec, struct wz_slice s)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)s.ptr, (Py_ssize_t)s.len, "strict");
    PyObject *pair;
    PyObject *value = NULL;

    if (!text)
        return NULL;
    pair = PyObject_CallFunctionObjArgs(codec->scan, text, codec->zero, NULL);
    if (pair && PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 &&
        PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 1)) == PyUnicode_GET_LENGTH(text))
        value = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    if (!value) {
        // White space around the value, or no JSON at all: the slow way knows what to say.
        PyErr_Clear();
        value = PyObject_CallOneArg(codec->loads, text);
    }
    Py_XDECREF(pair);
    Py_DECREF(text);
    return value;
}

PyObject *wz_body_decode(struct wz_body_codec *codec, struct wz_slice s)
{
    PyObject *value = wz_parse(&codec->names, s);

    return value ? value : decode_slowly(codec, s);
}

// A record's body that ends like this was no text: its value is base64 (docs/formats/record.md). A
// member of the publisher's own cannot stand there.
static const char base64_end[] = "\"_encoding\":\"base64\"}";

static bool put_bytes(struct wz_body_codec *codec, PyObject *body)
{
    PyObject *text = PyDict_CheckExact(body) ? PyDict_GetItem(body, codec->value_key) : NULL;
    PyObject *bytes = text ? PyObject_CallOneArg(codec->unbase64, text) : NULL;
    bool done = !text || (bytes && PyDict_SetItem(body, codec->value_key, bytes) == 0);

    Py_XDECREF(bytes);
    return done;
}

PyObject *wz_body_decode_record(struct wz_body_codec *codec, struct wz_slice s)
{
    size_t end = sizeof(base64_end) - 1;
    PyObject *body = wz_body_decode(codec, s);

    if (body && s.len > end && memcmp(s.ptr + s.len - end, base64_end, end) == 0 &&
        !put_bytes(codec, body))
        Py_CLEAR(body);
    return body;
}

static bool set_text(PyObject *text, struct wz_body *ret_body)
{
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &len);

    if (!bytes)
        return false;
    ret_body->slice = wz_slice(bytes, (size_t)len);
    ret_body->owner = Py_NewRef(text);
    return true;
}

// Takes over the reference to TEXT, which may be NULL.
static bool take_text(PyObject *text, struct wz_body *ret_body)
{
    bool ok = text && set_text(text, ret_body);

    Py_XDECREF(text);
    return ok;
}

// By Python's encoder, which takes what the quick way does not, or says why it is no JSON.
static bool encode_slowly(struct wz_body_codec *codec, PyObject *value, struct wz_body *ret_body)
{
    PyObject *pieces = PyObject_CallFunctionObjArgs(codec->encode, value, codec->zero, NULL);
    PyObject *text = NULL;

    if (!pieces) {
        PyObject *type, *error, *trace;

        PyErr_Fetch(&type, &error, &trace);
        PyDict_Clear(codec->markers); // what the failed walk left there
        PyErr_Restore(type, error, trace);
        return false;
    }
    if (PyTuple_CheckExact(pieces) && PyTuple_GET_SIZE(pieces) == 1)
        text = Py_NewRef(PyTuple_GET_ITEM(pieces, 0));
    else
        text = PyUnicode_Join(codec->empty, pieces);
    Py_DECREF(pieces);
    return take_text(text, ret_body);
}

bool wz_body_encode_json(struct wz_body_codec *codec, PyObject *value, struct wz_body *ret_body)
{
    if (codec->text.cap > 4 * WZ_BODY_MAX_BYTES) // something was too long to be taken
        wz_buf_release(&codec->text);
    codec->text.len = 0;
    if (!wz_dump(&codec->text, value))
        return encode_slowly(codec, value, ret_body);
    ret_body->slice = wz_buf_slice(&codec->text);
    return true;
}

static bool encode_any(struct wz_body_codec *codec, PyObject *value, struct wz_body *ret_body)
{
    if (PyDict_Check(value)) {
        ret_body->kind = WZ_FRAME_BODY_OBJECT;
        return wz_body_encode_json(codec, value, ret_body);
    }
    if (PyUnicode_Check(value)) {
        ret_body->kind = WZ_FRAME_BODY_TEXT;
        return set_text(value, ret_body);
    }
    if (PyBytes_Check(value)) {
        ret_body->kind = WZ_FRAME_BODY_BYTES;
        ret_body->slice = wz_slice(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
        ret_body->owner = Py_NewRef(value);
        return true;
    }
    if (PyLong_Check(value) || PyFloat_Check(value)) {
        ret_body->kind = WZ_FRAME_BODY_NUMBER;
        return wz_body_encode_json(codec, value, ret_body);
    }
    PyErr_Format(PyExc_TypeError, "body must be a dict, str, bytes or number, not %.100s",
                 Py_TYPE(value)->tp_name);
    return false;
}

bool wz_body_encode(struct wz_body_codec *codec, PyObject *value, struct wz_body *ret_body)
{
    struct wz_body body = {0};

    if (!encode_any(codec, value, &body))
        return false;
    if (body.slice.len > WZ_BODY_MAX_BYTES) {
        Py_XDECREF(body.owner);
        PyErr_Format(PyExc_ValueError, "body is %zu bytes long, at most %d are allowed",
                     body.slice.len, WZ_BODY_MAX_BYTES);
        return false;
    }
    *ret_body = body;
    return true;
}
