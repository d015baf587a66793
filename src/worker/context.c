// SPDX-License-Identifier: Apache-2.0
// Owns the type wyze.Context. Its outputs go straight into the result that the channel gathers.
#include "worker/context.h"

#include "base/clock.h"
#include "base/mem.h"

static const char context_doc[] =
    PyDoc_STR("What a script can do: given to init(context) and handle_input(msg, context).\n\n"
              "script  the script's name\n"
              "config  the config of the script's document, a dict");

static const char emit_doc[] = PyDoc_STR(
    "emit(topic, body, persistent=True)\n--\n\n"
    "Publish a message on the egress exchange; it enters processed-stream under TOPIC.\n\n"
    "topic: 1 to 255 bytes of words joined by '.'; body: a dict, str, bytes or number.\n"
    "If the call that emits raises, nothing of what it emitted is published.");

static const char log_doc[] =
    PyDoc_STR("log(message, severity='info')\n--\n\n"
              "Write a line to the script's log, and publish it on the topic logs.<severity>.\n\n"
              "severity: 'debug', 'info', 'warning' or 'error'.");

static const char now_doc[] = PyDoc_STR(
    "now()\n--\n\n"
    "The record's time in seconds since the epoch, as a float: the same live and replayed.\n"
    "In init it is the present time.");

// The parameters of a method: names, how many there are, how many must be given.
struct wz_signature {
    const char *method;
    const char *names[3];
    int count;
    int needed;
};

static int find_name(const struct wz_signature *sig, PyObject *keyword)
{
    for (int i = 0; i < sig->count; i++)
        if (PyUnicode_CompareWithASCIIString(keyword, sig->names[i]) == 0)
            return i;
    return -1;
}

// Sorts the arguments of a fast call into VALUES, by the signature; absent ones stay NULL.
static bool bind_arguments(const struct wz_signature *sig, PyObject *const *args, Py_ssize_t nargs,
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

// A word of a topic may not be empty, nor be a wildcard of patterns, nor hold control characters.
static bool word_ok(const char *word, size_t len)
{
    if (len == 0 || (len == 1 && (word[0] == '*' || word[0] == '#')))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)word[i] < 0x20 || word[i] == 0x7f)
            return false;
    return true;
}

static bool get_topic(PyObject *value, struct wz_slice *ret_topic)
{
    Py_ssize_t len;
    const char *text;
    const char *word;

    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "topic must be a str, not %.100s", Py_TYPE(value)->tp_name);
        return false;
    }
    text = PyUnicode_AsUTF8AndSize(value, &len);
    if (!text)
        return false;
    if (len < 1 || len > WZ_FRAME_TOPIC_MAX) {
        PyErr_Format(PyExc_ValueError, "topic must be of 1 to %d bytes, this one has %zd",
                     WZ_FRAME_TOPIC_MAX, len);
        return false;
    }
    for (word = text; word <= text + len;) {
        size_t left = (size_t)(text + len - word);
        const char *dot = memchr(word, '.', left);
        size_t word_len = dot ? (size_t)(dot - word) : left;

        if (!word_ok(word, word_len)) {
            PyErr_Format(PyExc_ValueError,
                         "topic %R must be words joined by '.', none of them empty, '*' or '#', "
                         "without control characters",
                         value);
            return false;
        }
        word += word_len + 1;
    }
    *ret_topic = wz_slice(text, (size_t)len);
    return true;
}

static bool may_emit(const struct wz_context *context)
{
    if (!context->in_call)
        PyErr_SetString(PyExc_RuntimeError,
                        "emit works only while init or handle_input is running");
    else if (context->item_count >= WZ_CONTEXT_EMIT_MAX)
        PyErr_Format(PyExc_RuntimeError, "one message may cause at most %d outputs",
                     WZ_CONTEXT_EMIT_MAX);
    else if (wz_channel_result_len(context->channel) > WZ_CONTEXT_EMIT_MAX_BYTES)
        PyErr_Format(PyExc_RuntimeError, "one message may cause at most %d bytes of outputs",
                     WZ_CONTEXT_EMIT_MAX_BYTES);
    else
        return true;
    return false;
}

static PyObject *context_emit(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords)
{
    static const struct wz_signature sig = {"emit", {"topic", "body", "persistent"}, 3, 2};
    struct wz_context *context = (struct wz_context *)(void *)self;
    struct wz_frame_item item = {.kind = WZ_FRAME_ITEM_EMIT, .persistent = true};
    PyObject *values[3] = {0};
    struct wz_body body;
    int truth;

    if (!bind_arguments(&sig, args, nargs, keywords, values) || !may_emit(context) ||
        !get_topic(values[0], &item.topic))
        return NULL;
    truth = values[2] ? PyObject_IsTrue(values[2]) : 1;
    if (truth < 0 || !wz_body_encode(context->codec, values[1], &body))
        return NULL;
    item.persistent = truth != 0;
    item.body_kind = body.kind;
    item.body = body.slice;
    wz_frame_put_item(&context->channel->results, &item);
    context->item_count++;
    Py_DECREF(body.owner);
    Py_RETURN_NONE;
}

// The longest front of S of at most MAX bytes that does not end inside a character.
static struct wz_slice cut(struct wz_slice s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && (s.ptr[max] & 0xc0) == 0x80)
        max--;
    return wz_slice(s.ptr, max);
}

void wz_context_send_log(struct wz_context *context, enum wz_frame_log_source source,
                         enum wz_severity severity, struct wz_slice text)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_frame_log log = {
        .source = source,
        .severity = severity,
        .stream = context->stream,
        .offset = context->offset,
        .text = cut(text, WZ_CONTEXT_LOG_MAX_BYTES),
    };

    wz_frame_put_log(&buf, &log);
    wz_channel_send(context->channel, wz_buf_slice(&buf));
}

static bool get_severity(PyObject *value, enum wz_severity *ret_severity)
{
    const char *word;

    if (!value)
        return true;
    word = PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
    if (word)
        *ret_severity = wz_severity_find(wz_slice_str(word));
    if (word && *ret_severity < WZ_SEVERITY_COUNT)
        return true;
    PyErr_Format(PyExc_ValueError, "severity must be 'debug', 'info', 'warning' or 'error', not %R",
                 value);
    return false;
}

static PyObject *context_log(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *keywords)
{
    static const struct wz_signature sig = {"log", {"message", "severity"}, 2, 1};
    struct wz_context *context = (struct wz_context *)(void *)self;
    enum wz_severity severity = WZ_SEVERITY_INFO;
    PyObject *values[3] = {0};
    PyObject *text;
    PyObject *bytes;

    if (!bind_arguments(&sig, args, nargs, keywords, values) || !get_severity(values[1], &severity))
        return NULL;
    text = PyObject_Str(values[0]);
    bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
    Py_XDECREF(text);
    if (!bytes)
        return NULL;
    wz_context_send_log(context, WZ_FRAME_LOG_CONTEXT, severity,
                        wz_slice(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)));
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

static PyObject *context_now(PyObject *self, PyObject *unused)
{
    struct wz_context *context = (struct wz_context *)(void *)self;
    int64_t ms = context->offset >= 0 ? context->append_ms : wz_clock_wall_ms();

    (void)unused;
    return PyFloat_FromDouble((double)ms / 1000.0);
}

static PyObject *context_get_script(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((struct wz_context *)(void *)self)->script);
}

static PyObject *context_get_config(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((struct wz_context *)(void *)self)->config);
}

static PyMethodDef context_methods[] = {
    {"emit", (PyCFunction)(void (*)(void))context_emit, METH_FASTCALL | METH_KEYWORDS, emit_doc},
    {"log", (PyCFunction)(void (*)(void))context_log, METH_FASTCALL | METH_KEYWORDS, log_doc},
    {"now", context_now, METH_NOARGS, now_doc},
    {0},
};

static PyGetSetDef context_attributes[] = {
    {"script", context_get_script, NULL, "The script's name.", NULL},
    {"config", context_get_config, NULL, "The config of the script's document, a dict.", NULL},
    {0},
};

// Scripts cannot make one (no tp_new), and the one there is lives as long as the process.
static PyTypeObject context_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wyze.Context",
    .tp_basicsize = sizeof(struct wz_context),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = context_doc,
    .tp_methods = context_methods,
    .tp_getset = context_attributes,
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wyze",
    .m_doc = "What wyze gives its scripts; Context is the type of their context argument.",
    .m_size = -1,
};

static PyObject *module_init(void)
{
    PyObject *module = PyModule_Create(&module_def);

    if (module && PyModule_AddType(module, &context_type) < 0)
        Py_CLEAR(module);
    return module;
}

bool wz_context_register(void) { return PyImport_AppendInittab("wyze", module_init) == 0; }

struct wz_context *wz_context_new(struct wz_channel *channel, struct wz_body_codec *codec)
{
    struct wz_context *context;

    if (PyType_Ready(&context_type) < 0)
        return NULL;
    context = PyObject_New(struct wz_context, &context_type);
    if (!context)
        return NULL;
    context->channel = channel;
    context->codec = codec;
    context->script = PyUnicode_FromString("");
    context->config = PyDict_New();
    context->in_call = false;
    context->stream = 0;
    context->offset = -1;
    context->append_ms = 0;
    context->item_count = 0;
    return context;
}
