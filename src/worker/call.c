// SPDX-License-Identifier: Apache-2.0
// Owns the bounds of a call: what it put into the open result and changed in the state counts when
// it has ended well, and is taken back when not.
#include "worker/call.h"

#include "base/mem.h"

// init and stop have no record.
static const struct wz_frame_record no_record = {.offset = -1};

static void begin(struct wz_caller *caller, enum wz_frame_type type,
                  const struct wz_frame_record *record)
{
    struct wz_context *context = caller->context;
    uint8_t lane = WZ_LANE_SHARED;

    if (caller->laned)
        lane = record->offset >= 0 ? record->lane : WZ_STATE_NO_LANE;
    wz_state_begin(context->state, lane);
    context->stream = record->stream;
    context->hops = record->hops;
    context->offset = record->offset;
    context->append_ms = record->append_ms;
    context->item_count = 0;
    wz_channel_result_open(context->channel, type, record->stream, record->offset);
    context->in_call = true;
}

static void forget(struct wz_context *context)
{
    Py_CLEAR(context->limit);
    Py_CLEAR(context->remark);
    context->offset = -1;
}

// A topic and a body that the function has returned or yielded, as emit takes them.
static bool emit_pair(struct wz_context *context, PyObject *pair)
{
    if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2)
        return wz_context_emit(context, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), true);
    if (PyTuple_Check(pair))
        PyErr_Format(PyExc_TypeError, "a tuple of %zd is no output: it must be (topic, body)",
                     PyTuple_GET_SIZE(pair));
    else
        PyErr_Format(
            PyExc_TypeError,
            "handle_input may return None, (topic, body), or a generator or other iterator "
            "of (topic, body), not %.100s",
            Py_TYPE(pair)->tp_name);
    return false;
}

static bool emit_all(struct wz_context *context, PyObject *iterator)
{
    PyObject *pair;

    while ((pair = PyIter_Next(iterator)) != NULL) {
        bool done = emit_pair(context, pair);

        Py_DECREF(pair);
        if (!done)
            return false;
    }
    return !PyErr_Occurred();
}

// Emits what handle_input returned. Uses its reference up.
static bool take_returned(struct wz_context *context, PyObject *returned)
{
    bool done = returned != NULL;

    if (returned && !Py_IsNone(returned))
        done = PyIter_Check(returned) ? emit_all(context, returned) : emit_pair(context, returned);
    Py_XDECREF(returned);
    return done;
}

// Whether a call that RETURNED well has failed all the same: it has swallowed a LimitError. Then
// that is the exception.
static bool has_failed(struct wz_context *context, bool returned)
{
    context->in_call = false;
    if (returned && context->limit)
        PyErr_SetObject((PyObject *)Py_TYPE(context->limit), context->limit);
    return !returned || context->limit;
}

static void end_well(struct wz_caller *caller)
{
    struct wz_context *context = caller->context;
    struct wz_frame_item item = {.kind = WZ_FRAME_ITEM_TERMINATE};
    Py_ssize_t len;
    const char *remark;

    if (context->remark) {
        remark = PyUnicode_AsUTF8AndSize(context->remark, &len); // it has been looked at
        item.body = wz_slice(remark, (size_t)len);
        wz_frame_put_item(&context->channel->results, &item);
        context->item_count++;
        caller->ended = true;
    }
    wz_state_keep(context->state);
    wz_channel_result_close(context->channel, WZ_FRAME_OK, context->item_count);
}

// Puts the reason in the place of the outputs.
static void end_badly(struct wz_caller *caller)
{
    WZ_AUTO(wz_fault_release) struct wz_fault fault = {0};
    struct wz_context *context = caller->context;
    struct wz_buf *results = &context->channel->results;
    struct wz_frame_item item = {.kind = WZ_FRAME_ITEM_TRACE};
    uint32_t count = 1;

    wz_channel_result_reset(context->channel);
    wz_user_script_fault(caller->script, &fault);
    item.body = wz_buf_slice(fault.traceback.len > 0 ? &fault.traceback : &fault.reason);
    wz_frame_put_item(results, &item);
    count += wz_state_put_seen(context->state, results);
    wz_state_undo(context->state);
    wz_channel_result_close(context->channel,
                            context->limit ? WZ_FRAME_REFUSED : WZ_FRAME_EXCEPTION, count);
}

bool wz_call_init(struct wz_caller *caller, struct wz_fault *ret_fault)
{
    struct wz_context *context = caller->context;
    PyObject *returned = Py_None;

    begin(caller, WZ_FRAME_STARTED, &no_record);
    if (caller->script->init)
        returned = PyObject_CallOneArg(caller->script->init, (PyObject *)context);
    if (has_failed(context, returned != NULL)) {
        wz_user_script_fault(caller->script, ret_fault);
        return false;
    }
    end_well(caller);
    forget(context);
    return true;
}

static void call(struct wz_caller *caller, const struct wz_frame_record *record)
{
    struct wz_context *context = caller->context;
    PyObject *args[2] = {wz_body_decode_record(context->codec, record->body), (PyObject *)context};
    PyObject *returned = NULL;

    if (args[0])
        returned = PyObject_Vectorcall(caller->script->handle_input, args, 2, NULL);
    Py_XDECREF(args[0]);
    if (has_failed(context, take_returned(context, returned))) {
        caller->waiting |= 1ULL << record->lane;
        end_badly(caller);
    } else {
        end_well(caller);
    }
}

void wz_call_handle_input(struct wz_caller *caller, const struct wz_frame_record *record)
{
    uint64_t lane = 1ULL << record->lane;

    if (record->opens)
        caller->waiting &= ~lane;
    if (caller->ended || (caller->waiting & lane)) {
        struct wz_channel *ch = caller->context->channel;

        wz_channel_result_open(ch, WZ_FRAME_RESULT, record->stream, record->offset);
        wz_channel_result_close(ch, WZ_FRAME_DEFERRED, 0);
        return;
    }
    begin(caller, WZ_FRAME_RESULT, record);
    call(caller, record);
    forget(caller->context);
}

void wz_call_stop(struct wz_caller *caller, bool started)
{
    struct wz_context *context = caller->context;
    PyObject *returned = Py_None;

    begin(caller, WZ_FRAME_DRAINED, &no_record);
    if (started && caller->script->stop)
        returned = PyObject_CallOneArg(caller->script->stop, (PyObject *)context);
    if (has_failed(context, returned != NULL))
        end_badly(caller);
    else
        end_well(caller);
    forget(context);
}
