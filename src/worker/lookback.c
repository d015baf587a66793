// SPDX-License-Identifier: Apache-2.0
// Owns the questions to the engine about earlier records, and the ways in which a script can name a
// time. What is easier said in Python stands in the prelude, which is run when it is needed first.
#include "worker/lookback.h"

#include <unistd.h>

#include "base/mem.h"
#include "worker/arguments.h"
#include "worker/context.h"

// How far a script looks back that does not say: "1h".
#define WZ_LOOKBACK_SINCE_MS 3600000

// moment(value, now_ms, name): milliseconds since the epoch.
static const char prelude_code[] =
    "import datetime, re\n"
    "\n"
    "UNITS = {'ms': 1, 's': 1000, 'm': 60000, 'h': 3600000, 'd': 86400000, 'w': 604800000}\n"
    "FORMS = (\"a str as '90s', '5m', '1h' or '2d' before now, or as ISO 8601 has it, \"\n"
    "         'seconds since the epoch, or a datetime')\n"
    "\n"
    "def moment(value, now_ms, name):\n"
    "    try:\n"
    "        return to_ms(value, now_ms, name)\n"
    "    except OverflowError:\n"
    "        raise ValueError(f'{name} {value!r} is no time') from None\n"
    "\n"
    "def to_ms(value, now_ms, name):\n"
    "    if isinstance(value, str):\n"
    "        match = re.fullmatch(r'([0-9]{1,15}(?:\\.[0-9]{1,6})?)(ms|[smhdw])', value)\n"
    "        if match:\n"
    "            return round(now_ms - float(match[1]) * UNITS[match[2]])\n"
    "        try:\n"
    "            value = datetime.datetime.fromisoformat(value)\n"
    "        except ValueError:\n"
    "            raise ValueError(f'{name} must be {FORMS}, not {value!r}') from None\n"
    "        if value.tzinfo is None:\n"
    "            value = value.replace(tzinfo=datetime.timezone.utc)\n"
    "    if isinstance(value, datetime.datetime):\n"
    "        if value.tzinfo is None:\n"
    "            raise ValueError(f'{name} is a datetime without a time zone: '\n"
    "                             'datetime.now(timezone.utc) has one')\n"
    "        return round(value.timestamp() * 1000)\n"
    "    if isinstance(value, (int, float)) and not isinstance(value, bool):\n"
    "        if value != value:\n"
    "            raise ValueError(f'{name} nan is no time')\n"
    "        return round(value * 1000)\n"
    "    raise TypeError(f'{name} must be {FORMS}, not {type(value).__name__}')\n";

// The prelude's function, borrowed; NULL with an exception.
static PyObject *get_moment_function(void)
{
    static PyObject *function;
    PyObject *names = function ? NULL : PyDict_New();
    PyObject *code = names ? Py_CompileString(prelude_code, "<wyze>", Py_file_input) : NULL;
    PyObject *done = NULL;

    if (code && PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0)
        done = PyEval_EvalCode(code, names, names);
    if (done)
        function = Py_NewRef(PyDict_GetItemString(names, "moment"));
    Py_XDECREF(done);
    Py_XDECREF(code);
    Py_XDECREF(names);
    return function;
}

// The exception at hand begins where the script called, not in the prelude.
static void cut_traceback(void)
{
    PyObject *type, *error, *trace;

    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    Py_CLEAR(trace);
    if (error)
        wz_ignore(PyException_SetTraceback(error, Py_None)); // fails for no traceback only
    PyErr_Restore(type, error, trace);
}

// The time that VALUE names; a time before the epoch is the epoch.
static bool get_moment(const struct wz_context *context, PyObject *value, const char *name,
                       int64_t *ret_ms)
{
    PyObject *function = get_moment_function();
    long long now_ms = wz_context_now_ms(context);
    PyObject *ms = function ? PyObject_CallFunction(function, "OLs", value, now_ms, name) : NULL;
    int overflow = 0;
    long long moment = ms ? PyLong_AsLongLongAndOverflow(ms, &overflow) : 0;

    Py_XDECREF(ms);
    if (!ms) {
        cut_traceback();
        return false;
    }
    *ret_ms = overflow > 0 ? INT64_MAX : overflow < 0 || moment < 0 ? 0 : moment;
    return true;
}

static bool get_limit(PyObject *value, uint32_t *ret_limit)
{
    int overflow = 0;
    long limit;

    if (!value)
        return true;
    if (!PyLong_Check(value) || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "limit must be an int, not %.100s", Py_TYPE(value)->tp_name);
        return false;
    }
    limit = PyLong_AsLongAndOverflow(value, &overflow);
    if (overflow != 0 || limit < 1 || limit > WZ_LOOKBACK_LIMIT_MAX) {
        PyErr_Format(PyExc_ValueError, "limit must be 1 to %d, not %S", WZ_LOOKBACK_LIMIT_MAX,
                     value);
        return false;
    }
    *ret_limit = (uint32_t)limit;
    return true;
}

// The engine is gone, or has gone mad: a script's except must not keep the process.
static void check_peer(int r)
{
    if (r != WZ_OK)
        _exit(r == WZ_END ? WZ_CHANNEL_EXIT_OK : WZ_CHANNEL_EXIT_PROTOCOL);
}

static PyObject *list_records(struct wz_context *context, struct wz_slice records)
{
    PyObject *list = PyList_New(0);
    struct wz_frame_record record;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, records);

    check_peer(r);
    while (list && (r = wz_frame_next_record(&it, &record)) == WZ_OK) {
        PyObject *body = wz_body_decode_record(context->codec, record.body);

        if (!body || PyList_Append(list, body) < 0)
            Py_CLEAR(list);
        Py_XDECREF(body);
    }
    check_peer(r < 0 ? r : WZ_OK);
    return list;
}

static void raise_text(struct wz_slice s)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)s.ptr, (Py_ssize_t)s.len, "replace");

    if (text)
        PyErr_SetObject(PyExc_RuntimeError, text);
    Py_XDECREF(text);
}

static PyObject *take_found(struct wz_context *context, struct wz_slice payload)
{
    struct wz_frame_found found;

    check_peer(wz_frame_get_found(payload, &found));
    if (found.error.len == 0)
        return list_records(context, found.records);
    raise_text(found.error);
    return NULL;
}

// A new list of bodies; NULL with an exception.
static PyObject *ask(struct wz_context *context, const struct wz_frame_query *query)
{
    WZ_AUTO(wz_buf_release) struct wz_buf request = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf payload = {0};
    PyObject *list;

    wz_frame_put_query(&request, query);
    // A finalizer of the script's that runs meanwhile must not reach into the results that leave.
    context->in_call = false;
    check_peer(wz_channel_ask(context->channel, wz_buf_slice(&request), WZ_FRAME_FOUND, &payload));
    list = take_found(context, wz_buf_slice(&payload));
    context->in_call = true;
    return list;
}

// All that the call at hand may see.
static struct wz_frame_query all_before(const struct wz_context *context)
{
    return (struct wz_frame_query){
        .stream = context->stream,
        .before = context->offset >= 0 ? context->offset : INT64_MAX,
        .limit = WZ_LOOKBACK_LIMIT,
    };
}

PyObject *wz_lookback_range(struct wz_context *context, PyObject *pattern, PyObject *since,
                            PyObject *until, PyObject *limit)
{
    struct wz_frame_query query = all_before(context);

    query.since_ms = wz_context_now_ms(context) - WZ_LOOKBACK_SINCE_MS;
    if (!wz_arguments_pattern(pattern, &query.pattern) || !get_limit(limit, &query.limit) ||
        (since && !get_moment(context, since, "since", &query.since_ms)))
        return NULL;
    if (until && !Py_IsNone(until)) {
        if (!get_moment(context, until, "until", &query.until_ms))
            return NULL;
        if (query.until_ms <= query.since_ms) // 0 would be no end
            return PyList_New(0);
    }
    return ask(context, &query);
}

PyObject *wz_lookback_last(struct wz_context *context, PyObject *topic)
{
    struct wz_frame_query query = all_before(context);
    PyObject *list;
    PyObject *body;

    query.limit = 1;
    if (!wz_arguments_topic(topic, &query.pattern))
        return NULL;
    list = ask(context, &query);
    if (!list)
        return NULL;
    body = PyList_GET_SIZE(list) > 0 ? PyList_GET_ITEM(list, 0) : Py_None;
    Py_INCREF(body);
    Py_DECREF(list);
    return body;
}
