// SPDX-License-Identifier: Apache-2.0
// The object that a script gets as context, and the module wyze that holds its type.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/body.h"
#include "worker/channel.h"
#include "worker/state.h"

// The most outputs of one message, and their bytes together.
#define WZ_CONTEXT_EMIT_MAX 10000
#define WZ_CONTEXT_EMIT_MAX_BYTES (16 * 1024 * 1024)

// A record that so many scripts caused, one after the other, causes no more.
#define WZ_CONTEXT_HOPS_MAX 16

// The longest remark of a script that ends itself.
#define WZ_CONTEXT_REMARK_MAX_BYTES 1000

// The context of this process's one script. It is a Python object.
struct wz_context {
    PyObject_HEAD struct wz_channel *channel;
    struct wz_body_codec *codec;
    struct wz_state *state;
    PyObject *script; // its name, str
    PyObject *config; // what the document's config holds, dict
    bool in_call;     // init, handle_input or stop is running: outputs are taken
    uint8_t stream;   // the input at hand; offset -1: none
    uint8_t hops;
    int64_t offset;
    int64_t append_ms;
    uint32_t item_count; // outputs of the call at hand
    PyObject *limit;     // the LimitError that it has met, or NULL
    PyObject *remark;    // it ends the script with this str; or NULL
};

// Makes the module wyze importable; before the interpreter starts. False when that fails.
bool wz_context_register(void);

// Makes the context; a new reference, NULL with a Python exception. Channel, with its state, and
// codec must outlive it.
struct wz_context *wz_context_new(struct wz_channel *channel, struct wz_body_codec *codec);

// Puts an output into the open result; what it does not take is an exception, and false.
bool wz_context_emit(struct wz_context *context, PyObject *topic, PyObject *body, bool persistent);

// Milliseconds since the epoch: the time of the input at hand, or the present one.
int64_t wz_context_now_ms(const struct wz_context *context);

// Sends a line of the script's log at once, with the input at hand; it is cut if it is too long.
void wz_context_send_log(struct wz_context *context, enum wz_frame_log_source source,
                         enum wz_severity severity, struct wz_slice text);
