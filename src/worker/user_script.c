// SPDX-License-Identifier: Apache-2.0
// Owns the life of the user's code before its first message, and the reading of its exceptions.
// What is easier said in Python stands in the prelude.
#include "worker/user_script.h"

#include "base/utf8.h"
#include "wire/frames.h"

// Its frames are taken off tracebacks: they begin in the user's file.
static const char prelude_code[] =
    "import inspect, linecache, sys, traceback, types\n"
    "\n"
    "class Unfit(Exception):\n"
    "    def __init__(self, reason, line=0, column=0):\n"
    "        super().__init__(reason)\n"
    "        self.line, self.column = line, column\n"
    "\n"
    "def load(filename, code):\n"
    "    code = decode(code)\n"
    "    lines = code.splitlines(True)\n"
    "    linecache.cache[filename] = (len(code), None, lines, filename)\n"
    "    module = types.ModuleType('wyze_script')\n"
    "    module.__file__ = filename\n"
    "    sys.modules[module.__name__] = module\n"
    "    exec(compile(code, filename, 'exec', dont_inherit=True), module.__dict__)\n"
    "    return (check(module, 'handle_input', ('msg', 'context'), True),\n"
    "            check(module, 'init', ('context',), False),\n"
    "            check(module, 'stop', ('context',), False))\n"
    "\n"
    "def decode(code):\n"
    "    try:\n"
    "        return code.decode('utf-8-sig')\n"
    "    except UnicodeDecodeError as error:\n"
    "        before = code[:error.start]\n"
    "        column = len(before[before.rfind(b'\\n') + 1:].decode()) + 1\n"
    "        raise Unfit(f'the code is not UTF-8: there is a byte 0x{code[error.start]:02x}',\n"
    "                    before.count(b'\\n') + 1, column) from None\n"
    "\n"
    "def check(module, name, parameters, needed):\n"
    "    function = getattr(module, name, None)\n"
    "    shape = f\"{name}({', '.join(parameters)})\"\n"
    "    if function is None and not needed:\n"
    "        return None\n"
    "    if function is None:\n"
    "        raise Unfit(f'there is no function {shape}')\n"
    "    line = getattr(getattr(function, '__code__', None), 'co_firstlineno', 0)\n"
    "    if not callable(function):\n"
    "        raise Unfit(f'{name} is no function; define {shape}')\n"
    "    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):\n"
    "        raise Unfit(f'{name} must be a plain function, without async: nothing would await "
    "it', line)\n"
    "    if not needed and inspect.isgeneratorfunction(function):\n"
    "        raise Unfit(f'{name} must be a plain function, without yield; it can call emit', "
    "line)\n"
    "    try:\n"
    "        inspect.signature(function).bind(*parameters)\n"
    "    except TypeError as error:\n"
    "        raise Unfit(f'{name} cannot be called as {shape}: {error}', line) from None\n"
    "    except ValueError:\n"
    "        pass  # a built-in function that does not tell its parameters\n"
    "    return function\n"
    "\n"
    "HINTS = (\n"
    "    (NameError, 'context', 'the context is given to init, handle_input and stop, and is "
    "nowhere else'),\n"
    "    (ImportError, 'wyze', 'what a script can do is in the context that its functions are "
    "given'),\n"
    ")\n"
    "\n"
    "def explain(error):\n"
    "    said = error.msg if isinstance(error, SyntaxError) else str(error)\n"
    "    for kind, name, hint in HINTS:\n"
    "        if isinstance(error, kind) and error.name == name:\n"
    "            said = f'{said}: {hint}'\n"
    "    name = type(error).__name__\n"
    "    return f'{name}: {said}' if said else name\n"
    "\n"
    "def find_place(filename, trace):\n"
    "    place = 0, 0\n"
    "    while trace:\n"
    "        if trace.tb_frame.f_code.co_filename == filename:\n"
    "            place = trace.tb_lineno, find_column(filename, trace)\n"
    "        trace = trace.tb_next\n"
    "    return place\n"
    "\n"
    "def find_column(filename, trace):\n"
    "    # Python counts bytes from 0, people characters from 1.\n"
    "    positions = list(trace.tb_frame.f_code.co_positions())[trace.tb_lasti // 2]\n"
    "    line = linecache.getline(filename, trace.tb_lineno).encode()\n"
    "    if positions[0] != trace.tb_lineno or positions[2] is None:\n"
    "        return 0\n"
    "    return len(line[:positions[2]].decode('utf-8', 'replace')) + 1\n"
    "\n"
    "def describe(filename, error):\n"
    "    if isinstance(error, Unfit):\n"
    "        return str(error), error.line, error.column, ''\n"
    "    trace = error.__traceback__\n"
    "    while trace and trace.tb_frame.f_code.co_filename == '<wyze>':\n"
    "        trace = trace.tb_next\n"
    "    text = ''.join(traceback.format_exception(type(error), error, trace))\n"
    "    if isinstance(error, SyntaxError) and error.filename == filename:\n"
    "        place = error.lineno or 0, max(error.offset or 0, 0)\n"
    "    else:\n"
    "        place = find_place(filename, trace)\n"
    "    return explain(error), *place, text\n";

bool wz_user_script_init(struct wz_user_script *script)
{
    PyObject *code = Py_CompileString(prelude_code, "<wyze>", Py_file_input);
    PyObject *done = NULL;

    script->prelude = PyDict_New();
    if (code && script->prelude &&
        PyDict_SetItemString(script->prelude, "__builtins__", PyEval_GetBuiltins()) == 0)
        done = PyEval_EvalCode(code, script->prelude, script->prelude);
    Py_XDECREF(code);
    Py_XDECREF(done);
    return done != NULL;
}

// The function at place I of what the prelude's load returned, a new reference; NULL for None.
static PyObject *take_function(PyObject *parts, Py_ssize_t i)
{
    PyObject *function = PyTuple_GET_ITEM(parts, i);

    return Py_IsNone(function) ? NULL : Py_NewRef(function);
}

static bool load(struct wz_user_script *script, struct wz_slice name, struct wz_slice code)
{
    PyObject *function = PyDict_GetItemString(script->prelude, "load");
    PyObject *name_text =
        PyUnicode_DecodeUTF8((const char *)name.ptr, (Py_ssize_t)name.len, "replace");
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)code.ptr, (Py_ssize_t)code.len);
    PyObject *parts = NULL;

    if (name_text && bytes)
        script->filename = PyUnicode_FromFormat("%U.py", name_text);
    if (script->filename)
        parts = PyObject_CallFunctionObjArgs(function, script->filename, bytes, NULL);
    if (parts) {
        script->handle_input = take_function(parts, 0);
        script->init = take_function(parts, 1);
        script->stop = take_function(parts, 2);
    }
    Py_XDECREF(name_text);
    Py_XDECREF(bytes);
    Py_XDECREF(parts);
    return parts != NULL;
}

bool wz_user_script_load(struct wz_user_script *script, struct wz_slice name, struct wz_slice code,
                         struct wz_fault *ret_fault)
{
    if (load(script, name, code))
        return true;
    wz_user_script_fault(script, ret_fault);
    return false;
}

// Adds as much of TEXT to BUF as CUT leaves of it.
static void add_text(struct wz_buf *buf, PyObject *text,
                     struct wz_slice (*cut)(struct wz_slice s, size_t max))
{
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");

    if (bytes)
        wz_buf_add_slice(buf, cut(wz_slice((const uint8_t *)PyBytes_AS_STRING(bytes),
                                           (size_t)PyBytes_GET_SIZE(bytes)),
                                  WZ_FRAME_FAULT_MAX));
    Py_XDECREF(bytes);
    PyErr_Clear();
}

static void set_fault(PyObject *parts, struct wz_fault *fault)
{
    PyObject *reason;
    PyObject *traceback;

    if (!PyArg_ParseTuple(parts, "UIIU", &reason, &fault->line, &fault->column, &traceback))
        return;
    add_text(&fault->reason, reason, wz_utf8_head);
    add_text(&fault->traceback, traceback, wz_utf8_tail);
}

void wz_user_script_fault(struct wz_user_script *script, struct wz_fault *ret_fault)
{
    PyObject *function = PyDict_GetItemString(script->prelude, "describe");
    PyObject *filename = script->filename ? script->filename : Py_None;
    PyObject *type, *error, *trace;
    PyObject *parts = NULL;

    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (error && trace)
        wz_ignore(PyException_SetTraceback(error, trace)); // fails for no traceback only
    if (error)
        parts = PyObject_CallFunctionObjArgs(function, filename, error, NULL);
    if (parts)
        set_fault(parts, ret_fault);
    // An exception whose own text raises, or no memory to build it.
    PyErr_Clear();
    if (ret_fault->reason.len == 0)
        wz_buf_add_str(&ret_fault->reason, type ? PyExceptionClass_Name(type) : "unknown error");
    Py_XDECREF(parts);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
}

void wz_fault_release(struct wz_fault *fault)
{
    wz_buf_release(&fault->reason);
    wz_buf_release(&fault->traceback);
}
