// SPDX-License-Identifier: Apache-2.0
// Owns the interpreter's configuration. Its home is found from the program name alone, so whatever
// python stands first on somebody's path does not matter.
#include "worker/interpreter.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define WZ_PYTHON_PROGRAM L"/usr/bin/python3"

static PyStatus configure(PyConfig *config)
{
    PyStatus status = PyConfig_SetString(config, &config->program_name, WZ_PYTHON_PROGRAM);

    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->executable, WZ_PYTHON_PROGRAM);
    config->write_bytecode = 0;
    config->install_signal_handlers = 0;
    config->pathconfig_warnings = 0;
    config->site_import = 1;
    return status;
}

static PyStatus start(void)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitIsolatedConfig(&preconfig);
    preconfig.utf8_mode = 1;
    status = Py_PreInitialize(&preconfig);
    if (PyStatus_Exception(status))
        return status;
    PyConfig_InitIsolatedConfig(&config);
    status = configure(&config);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

bool wz_interpreter_start(void)
{
    PyStatus status = start();

    if (!PyStatus_Exception(status))
        return true;
    fprintf(stderr, "wyze-python: Python does not start: %s\n",
            status.err_msg ? status.err_msg : "unknown error");
    return false;
}
