// SPDX-License-Identifier: Apache-2.0
// Owns the type wyze.Context. Its outputs go straight into the result that the channel gathers.
#include "worker/context.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "worker/arguments.h"
#include "worker/lookback.h"

static const char context_doc[] = PyDoc_STR("What a script can do: given to init(context), "
                                            "handle_input(msg, context) and stop(context).\n\n"
                                            "script  the script's name\n"
                                            "config  the config of the script's document, a dict");

static const char emit_doc[] = PyDoc_STR(
    "emit($self, topic, body, persistent=True)\n--\n\n"
    "Publish a message on the egress exchange; it enters processed-stream under TOPIC.\n\n"
    "topic: 1 to 255 bytes of words joined by '.'; body: a dict, str, bytes or number.\n"
    "If the call that emits raises, nothing of what it emitted is published.\n"
    "Raises LimitError for the 10,001st output of a call, for over 16 MiB of them, and for an\n"
    "output that would be the 17th output of an output in a row.");

static const char log_doc[] =
    PyDoc_STR("log($self, message, severity='info')\n--\n\n"
              "Write a line to the script's log, and publish it on the topic logs.<severity>.\n\n"
              "severity: 'debug', 'info', 'warning' or 'error'.");

static const char now_doc[] = PyDoc_STR(
    "now($self)\n--\n\n"
    "The record's time in seconds since the epoch, as a float: the same live and replayed.\n"
    "In init and stop it is the present time.");

static const char get_state_doc[] = PyDoc_STR(
    "get_state($self, key, default=None)\n--\n\n"
    "The value that the script's state has at KEY, or DEFAULT.\n\n"
    "It is the script's own copy: what is changed in it counts when it is set again.\n"
    "In a script with several workers each lane, a share of the topics, has a state of its own.");

static const char set_state_doc[] = PyDoc_STR(
    "set_state($self, key, value)\n--\n\n"
    "Keep VALUE at KEY, past the end of the process, if the call ends well.\n\n"
    "key: a str of 1 to 1,024 bytes; value: None, a bool, int, float, str, list or dict with str\n"
    "keys, at most 1 MiB as JSON. Raises LimitError for over 16 MiB of changes in a call,\n"
    "and when the state would grow beyond what scripts.max_state allows.");

static const char unset_state_doc[] =
    PyDoc_STR("unset_state($self, key)\n--\n\n"
              "Take KEY out of the state, if it is there and if the call ends well.");

static const char lookback_doc[] = PyDoc_STR(
    "lookback($self, pattern, since='1h', until=None, limit=1000)\n--\n\n"
    "The bodies of the records before this one on its stream, a list of dicts, oldest first.\n\n"
    "pattern: of topics, '*' is a word, '#' any number of words. since, until (not included): a\n"
    "str as '90s', '5m', '1h' or '2d' before now(), seconds since the epoch, a datetime with a\n"
    "time zone, or a str as ISO 8601 has it (without a zone: UTC). limit: 1 to 10,000, the newest\n"
    "are taken. In init and stop it looks at raw-stream up to the present.");

static const char last_doc[] =
    PyDoc_STR("last($self, topic)\n--\n\n"
              "The body of the newest record of TOPIC before this one on its stream, or None.");

static const char terminate_doc[] = PyDoc_STR(
    "terminate($self, remark)\n--\n\n"
    "End the script when the call has ended well; REMARK, at most 1,000 bytes, tells why.\n\n"
    "The call goes on, and its outputs and changes count. No further record is handled.");

// Of what the worker itself limits.
static PyObject *limit_error;

static struct wz_context *context_of(PyObject *self) { return (struct wz_context *)(void *)self; }

static bool check_in_call(const struct wz_context *context, const char *method)
{
    if (!context->in_call)
        PyErr_Format(PyExc_RuntimeError,
                     "%s works only while init, handle_input or stop is running", method);
    return context->in_call;
}

// Raises a LimitError. The call fails by it, whatever the script does with the exception.
static void raise_limit(struct wz_context *context, const char *format, ...)
{
    PyObject *type, *error, *trace;
    va_list args;

    va_start(args, format);
    PyErr_FormatV(limit_error, format, args);
    va_end(args);
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (!context->limit)
        context->limit = Py_XNewRef(error);
    PyErr_Restore(type, error, trace);
}

static bool may_emit(struct wz_context *context)
{
    if (!check_in_call(context, "emit"))
        return false;
    if (context->hops >= WZ_CONTEXT_HOPS_MAX)
        raise_limit(context, "it would be the %dth output of an output in a row",
                    WZ_CONTEXT_HOPS_MAX + 1);
    else if (context->item_count >= WZ_CONTEXT_EMIT_MAX)
        raise_limit(context, "one message may cause at most %d outputs", WZ_CONTEXT_EMIT_MAX);
    else
        return true;
    return false;
}

static bool put_output(struct wz_context *context, const struct wz_frame_item *item)
{
    size_t len = WZ_FRAME_ITEM_LEN + item->topic.len + item->body.len;

    if (wz_channel_result_len(context->channel) + len > WZ_CONTEXT_EMIT_MAX_BYTES) {
        raise_limit(context, "one message may cause at most %d bytes of outputs",
                    WZ_CONTEXT_EMIT_MAX_BYTES);
        return false;
    }
    wz_frame_put_item(&context->channel->results, item);
    context->item_count++;
    return true;
}

bool wz_context_emit(struct wz_context *context, PyObject *topic, PyObject *body, bool persistent)
{
    struct wz_frame_item item = {.kind = WZ_FRAME_ITEM_EMIT, .persistent = persistent};
    struct wz_body encoded;
    bool done;

    if (!may_emit(context) || !wz_arguments_topic(topic, &item.topic) ||
        !wz_body_encode(context->codec, body, &encoded))
        return false;
    item.body_kind = encoded.kind;
    item.body = encoded.slice;
    done = put_output(context, &item);
    Py_XDECREF(encoded.owner);
    return done;
}

static PyObject *context_emit(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords)
{
    static const struct wz_signature sig = {"emit", {"topic", "body", "persistent"}, 3, 2};
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};
    int truth;

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values))
        return NULL;
    truth = values[2] ? PyObject_IsTrue(values[2]) : 1;
    if (truth < 0 || !wz_context_emit(context_of(self), values[0], values[1], truth != 0))
        return NULL;
    Py_RETURN_NONE;
}

static bool may_use_state(const struct wz_context *context, const char *method)
{
    if (!check_in_call(context, method))
        return false;
    if (context->state->lane != WZ_STATE_NO_LANE)
        return true;
    PyErr_Format(PyExc_RuntimeError,
                 "%s has no state here: the script has several workers, so each lane of topics has "
                 "a state of its own, and without a record there is no lane; use it in "
                 "handle_input, or give the script one worker",
                 method);
    return false;
}

static PyObject *context_get_state(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *keywords)
{
    static const struct wz_signature sig = {"get_state", {"key", "default"}, 2, 1};
    struct wz_context *context = context_of(self);
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};
    PyObject *value;

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !may_use_state(context, sig.method))
        return NULL;
    value = wz_state_get(context->state, values[0]);
    if (value || PyErr_Occurred())
        return value;
    return Py_NewRef(values[1] ? values[1] : Py_None);
}

// VALUE NULL takes the key out.
static PyObject *change_state(struct wz_context *context, PyObject *key, PyObject *value)
{
    int r = wz_state_set(context->state, key, value);

    if (r == WZ_ERR_LIMIT)
        raise_limit(context, "one message may cause at most %d bytes of changes of the state",
                    WZ_STATE_CHANGES_MAX_BYTES);
    if (r == WZ_ERR_TOO_LARGE)
        raise_limit(context,
                    "the state may take at most %zu bytes, with %zu more for each key: take keys "
                    "out that are not needed, or raise scripts.max_state",
                    context->state->max_bytes, WZ_STATE_ENTRY_COST);
    if (r < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *context_set_state(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *keywords)
{
    static const struct wz_signature sig = {"set_state", {"key", "value"}, 2, 2};
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !may_use_state(context_of(self), sig.method))
        return NULL;
    return change_state(context_of(self), values[0], values[1]);
}

static PyObject *context_unset_state(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *keywords)
{
    static const struct wz_signature sig = {"unset_state", {"key"}, 1, 1};
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !may_use_state(context_of(self), sig.method))
        return NULL;
    return change_state(context_of(self), values[0], NULL);
}

static PyObject *context_lookback(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *keywords)
{
    static const struct wz_signature sig = {
        "lookback", {"pattern", "since", "until", "limit"}, 4, 1};
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !check_in_call(context_of(self), sig.method))
        return NULL;
    return wz_lookback_range(context_of(self), values[0], values[1], values[2], values[3]);
}

static PyObject *context_last(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords)
{
    static const struct wz_signature sig = {"last", {"topic"}, 1, 1};
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !check_in_call(context_of(self), sig.method))
        return NULL;
    return wz_lookback_last(context_of(self), values[0]);
}

static PyObject *context_terminate(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *keywords)
{
    static const struct wz_signature sig = {"terminate", {"remark"}, 1, 1};
    struct wz_context *context = context_of(self);
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};
    Py_ssize_t len;

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !check_in_call(context, sig.method))
        return NULL;
    if (!PyUnicode_Check(values[0]))
        return PyErr_Format(PyExc_TypeError, "remark must be a str, not %.100s",
                            Py_TYPE(values[0])->tp_name);
    if (!PyUnicode_AsUTF8AndSize(values[0], &len))
        return NULL;
    if (len > WZ_CONTEXT_REMARK_MAX_BYTES)
        return PyErr_Format(PyExc_ValueError,
                            "remark must be of at most %d bytes, this one has %zd",
                            WZ_CONTEXT_REMARK_MAX_BYTES, len);
    Py_XSETREF(context->remark, Py_NewRef(values[0]));
    Py_RETURN_NONE;
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
        .text = wz_utf8_head(text, WZ_FRAME_LOG_MAX),
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
    struct wz_context *context = context_of(self);
    enum wz_severity severity = WZ_SEVERITY_INFO;
    PyObject *values[WZ_ARGUMENTS_MAX] = {0};
    PyObject *text;
    PyObject *bytes;

    if (!wz_arguments_bind(&sig, args, nargs, keywords, values) ||
        !get_severity(values[1], &severity))
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

int64_t wz_context_now_ms(const struct wz_context *context)
{
    return context->offset >= 0 ? context->append_ms : wz_clock_wall_ms();
}

static PyObject *context_now(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyFloat_FromDouble((double)wz_context_now_ms(context_of(self)) / 1000.0);
}

static PyObject *context_get_script(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(context_of(self)->script);
}

static PyObject *context_get_config(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(context_of(self)->config);
}

typedef PyObject *(*fast_fn)(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *keywords);

#define FAST(name)                                                                                 \
    {                                                                                              \
#name, (PyCFunction)(void (*)(void))(fast_fn)context_##name,                               \
            METH_FASTCALL | METH_KEYWORDS, name##_doc                                              \
    }

static PyMethodDef context_methods[] = {
    FAST(emit),        FAST(get_state),
    FAST(last),        FAST(log),
    FAST(lookback),    {"now", context_now, METH_NOARGS, now_doc},
    FAST(set_state),   FAST(terminate),
    FAST(unset_state), {0},
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

static bool is_method(PyObject *name)
{
    for (const PyMethodDef *method = context_methods; method->ml_name; method++)
        if (PyUnicode_CompareWithASCIIString(name, method->ml_name) == 0)
            return true;
    return false;
}

// What the module does not have; a method of the context is looked for in the wrong place.
static PyObject *module_getattr(PyObject *module, PyObject *name)
{
    (void)module;
    if (PyUnicode_Check(name) && is_method(name))
        return PyErr_Format(PyExc_AttributeError,
                            "wyze has no %U of its own: it is a method of the context that init, "
                            "handle_input and stop are given",
                            name);
    return PyErr_Format(PyExc_AttributeError, "module 'wyze' has no attribute %R", name);
}

static PyMethodDef module_methods[] = {
    {"__getattr__", module_getattr, METH_O, "Says why a name is not here."},
    {0},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wyze",
    .m_doc = "What wyze gives its scripts; Context is the type of their context argument.",
    .m_size = -1,
    .m_methods = module_methods,
};

static const char limit_error_doc[] =
    PyDoc_STR("A call went over a limit of wyze's.\n\n"
              "It fails by that, also when the script catches this, and is not tried again.");

static PyObject *module_init(void)
{
    PyObject *module = PyModule_Create(&module_def);

    limit_error =
        PyErr_NewExceptionWithDoc("wyze.LimitError", limit_error_doc, PyExc_RuntimeError, NULL);
    if (module && (PyModule_AddType(module, &context_type) < 0 ||
                   PyModule_AddObjectRef(module, "LimitError", limit_error) < 0))
        Py_CLEAR(module);
    return module;
}

// The module must be there before a script imports it: its error is raised without it.
static bool import_module(void)
{
    PyObject *module = PyImport_ImportModule("wyze");

    Py_XDECREF(module);
    return module != NULL;
}

bool wz_context_register(void) { return PyImport_AppendInittab("wyze", module_init) == 0; }

struct wz_context *wz_context_new(struct wz_channel *channel, struct wz_body_codec *codec)
{
    struct wz_context *context;

    if (!import_module() || PyType_Ready(&context_type) < 0)
        return NULL;
    context = PyObject_New(struct wz_context, &context_type);
    if (!context)
        return NULL;
    context->channel = channel;
    context->codec = codec;
    context->state = channel->state;
    context->script = PyUnicode_FromString("");
    context->config = PyDict_New();
    context->in_call = false;
    context->stream = 0;
    context->hops = 0;
    context->offset = -1;
    context->append_ms = 0;
    context->item_count = 0;
    context->limit = NULL;
    context->remark = NULL;
    return context;
}
