// SPDX-License-Identifier: Apache-2.0
// Owns sys.stdout and sys.stderr of a script. A line leaves at once, so that the last words before
// a crash are heard.
#include "worker/printer.h"

#include "worker/context.h"

struct wz_printer {
    PyObject *object;
    struct wz_context *context;
    enum wz_frame_log_source source;
    struct wz_buf line; // begun, not ended yet
};

static struct wz_printer printers[2];

static struct wz_printer *printer_of(PyObject *self)
{
    return self == printers[0].object ? &printers[0] : &printers[1];
}

static void send_line(struct wz_printer *printer)
{
    if (printer->line.len == 0)
        return;
    wz_context_send_log(printer->context, printer->source,
                        printer->source == WZ_FRAME_LOG_STDERR ? WZ_SEVERITY_ERROR
                                                               : WZ_SEVERITY_INFO,
                        wz_buf_slice(&printer->line));
    printer->line.len = 0;
}

// How long the character is that begins with C; inside of one, 1.
static size_t char_len(uint8_t c)
{
    if (c < 0xc0)
        return 1;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static PyObject *printer_write(PyObject *self, PyObject *text)
{
    struct wz_printer *printer = printer_of(self);
    PyObject *bytes;

    if (!PyUnicode_Check(text))
        return PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.100s",
                            Py_TYPE(text)->tp_name);
    bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (!bytes)
        return NULL;
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(bytes); i++) {
        uint8_t c = (uint8_t)PyBytes_AS_STRING(bytes)[i];

        // A long line is cut between characters: what is no UTF-8 would not be kept.
        if (c == '\n' || printer->line.len + char_len(c) > WZ_FRAME_LOG_MAX)
            send_line(printer);
        if (c != '\n')
            wz_buf_add_byte(&printer->line, c);
    }
    Py_DECREF(bytes);
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *printer_flush(PyObject *self, PyObject *unused)
{
    (void)unused;
    send_line(printer_of(self));
    Py_RETURN_NONE;
}

static PyObject *printer_writable(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_TRUE;
}

static PyObject *printer_encoding(PyObject *self, void *unused)
{
    (void)self;
    (void)unused;
    return PyUnicode_FromString("utf-8");
}

static PyMethodDef printer_methods[] = {
    {"write", printer_write, METH_O, "Write text to the script's log, line by line."},
    {"flush", printer_flush, METH_NOARGS, "Send a line that has begun."},
    {"writable", printer_writable, METH_NOARGS, "True."},
    {0},
};

static PyGetSetDef printer_attributes[] = {
    {"encoding", printer_encoding, NULL, "utf-8", NULL},
    {0},
};

static char printer_doc[] = "A stream whose lines go to the script's log.";

static PyType_Slot printer_slots[] = {
    {Py_tp_methods, printer_methods},
    {Py_tp_getset, printer_attributes},
    {Py_tp_doc, printer_doc},
    {0},
};

// No size of its own: it is as large as the base that is given when the type is made.
static PyType_Spec printer_spec = {
    .name = "wyze.Output",
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = printer_slots,
};

static PyObject *new_type(void)
{
    PyObject *module = PyImport_ImportModule("io");
    PyObject *base = module ? PyObject_GetAttrString(module, "TextIOBase") : NULL;
    PyObject *type = base ? PyType_FromSpecWithBases(&printer_spec, base) : NULL;

    Py_XDECREF(module);
    Py_XDECREF(base);
    return type;
}

bool wz_printer_install(struct wz_context *context)
{
    static const char *const names[2][2] = {{"stdout", "__stdout__"}, {"stderr", "__stderr__"}};
    PyObject *type = new_type();

    for (int i = 0; type && i < 2; i++) {
        printers[i].context = context;
        printers[i].source = i == 0 ? WZ_FRAME_LOG_STDOUT : WZ_FRAME_LOG_STDERR;
        printers[i].object = PyObject_CallNoArgs(type);
        if (!printers[i].object || PySys_SetObject(names[i][0], printers[i].object) < 0 ||
            PySys_SetObject(names[i][1], printers[i].object) < 0) {
            Py_DECREF(type);
            return false;
        }
    }
    Py_XDECREF(type);
    return type != NULL;
}
