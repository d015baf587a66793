// SPDX-License-Identifier: Apache-2.0
// Owns the tables of a script's state, a Python dict a lane. A value is turned into JSON when the
// engine is told, not when it is set: a counter that is set a thousand times is written once.
#include "worker/state.h"

#include "base/mem.h"

// So many keys of a call are looked for one by one; from then on they have an index.
#define WZ_STATE_SCAN_MAX 16

// A value may hold lists and dicts in one another as deep as a message may.
#define WZ_STATE_DEPTH_MAX 128

// The longest text of an int of 64 bits and of a float.
#define WZ_STATE_INT_LEN 20
#define WZ_STATE_FLOAT_LEN 25

// What fails below fails for want of memory alone.
static void must(bool done)
{
    if (!done)
        Py_FatalError("wyze: no memory for the script's state");
}

// The dict at PLACE, borrowed, which is made if it is not there.
static PyObject *dict_at(PyObject **place)
{
    if (!*place)
        *place = PyDict_New();
    must(*place != NULL);
    return *place;
}

void wz_state_init(struct wz_state *state, struct wz_body_codec *codec, size_t max_bytes)
{
    state->codec = codec;
    state->max_bytes = max_bytes;
    dict_at(&state->touch_index);
}

// All dicts that the call can need are made here: in the middle of a change a new one could have
// the garbage collector run a script's finalizers, and these could change the state.
void wz_state_begin(struct wz_state *state, uint8_t lane)
{
    state->lane = lane;
    if (lane == WZ_STATE_NO_LANE)
        return;
    dict_at(&state->tables[lane]);
    dict_at(&state->dirty[lane]);
}

// The value in a table, borrowed, or NULL.
static PyObject *look_up(PyObject *table, PyObject *key)
{
    PyObject *value = table ? PyDict_GetItemWithError(table, key) : NULL;

    must(value || !PyErr_Occurred());
    return value;
}

// How long a text is as a JSON string.
static size_t string_len(struct wz_slice s)
{
    size_t len = s.len + 2;

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];

        if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f')
            len += 1;
        else if (c < 0x20)
            len += 5;
    }
    return len;
}

// The text's bytes, borrowed from it; false with an exception when it is no Unicode.
static bool get_utf8(PyObject *text, struct wz_slice *ret_s)
{
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &len);

    if (bytes)
        *ret_s = wz_slice(bytes, (size_t)len);
    return bytes != NULL;
}

// How many bytes a value of the tables takes as JSON, or some more.
static size_t value_len(PyObject *value)
{
    struct wz_slice s = {0};

    if (PyBytes_Check(value))
        return (size_t)PyBytes_GET_SIZE(value);
    if (PyFloat_Check(value))
        return WZ_STATE_FLOAT_LEN;
    if (!PyUnicode_Check(value))
        return WZ_STATE_INT_LEN;
    must(get_utf8(value, &s));
    return string_len(s);
}

// What an entry of the tables counts for; VALUE NULL: there is none.
static size_t entry_cost(size_t key_len, PyObject *value)
{
    return value ? WZ_STATE_ENTRY_COST + key_len + value_len(value) : 0;
}

// Whether the value stands in the tables as it is: it never changes, and it has a JSON form.
static bool is_plain(PyObject *value)
{
    struct wz_slice s;
    int overflow;

    if (value == Py_None || PyBool_Check(value))
        return true;
    if (PyLong_CheckExact(value)) {
        wz_ignore((int)PyLong_AsLongLongAndOverflow(value, &overflow));
        return overflow == 0;
    }
    if (PyFloat_CheckExact(value))
        return isfinite(PyFloat_AS_DOUBLE(value));
    if (!PyUnicode_CheckExact(value))
        return false;
    if (get_utf8(value, &s))
        return true;
    PyErr_Clear();
    return false;
}

static bool check_value(PyObject *value, int depth);

static bool check_dict(PyObject *dict, int depth)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;

    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (!PyUnicode_Check(key)) {
            PyErr_Format(PyExc_TypeError, "the keys of a dict in the state must be str, not %.100s",
                         Py_TYPE(key)->tp_name);
            return false;
        }
        if (!check_value(value, depth + 1))
            return false;
    }
    return true;
}

static bool check_value(PyObject *value, int depth)
{
    if (value == Py_None || PyUnicode_Check(value) || PyLong_Check(value))
        return true;
    if (PyFloat_Check(value)) {
        if (isfinite(PyFloat_AS_DOUBLE(value)))
            return true;
        PyErr_Format(PyExc_ValueError, "the state cannot hold %S: JSON has no such number", value);
        return false;
    }
    if (!PyList_Check(value) && !PyDict_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "the state holds None, bool, int, float, str, list and dict, not %.100s",
                     Py_TYPE(value)->tp_name);
        return false;
    }
    if (depth >= WZ_STATE_DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError, "a value of the state may be nested %d levels deep",
                     WZ_STATE_DEPTH_MAX);
        return false;
    }
    if (PyDict_Check(value))
        return check_dict(value, depth);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++)
        if (!check_value(PyList_GET_ITEM(value, i), depth + 1))
            return false;
    return true;
}

// What stands in the tables for VALUE, a new reference; NULL with an exception.
static PyObject *pack(struct wz_state *state, PyObject *value)
{
    struct wz_body body = {0};
    PyObject *text;

    if (is_plain(value))
        return Py_NewRef(value);
    if (!check_value(value, 0) || !wz_body_encode_json(state->codec, value, &body))
        return NULL;
    text = PyBytes_FromStringAndSize((const char *)body.slice.ptr, (Py_ssize_t)body.slice.len);
    Py_XDECREF(body.owner);
    return text;
}

bool wz_state_load(struct wz_state *state, const struct wz_frame_entry *entry)
{
    struct wz_slice text = entry->value;
    bool whole = text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '[');
    PyObject *key =
        PyUnicode_DecodeUTF8((const char *)entry->key.ptr, (Py_ssize_t)entry->key.len, "strict");
    PyObject *value = whole ? NULL : wz_body_decode(state->codec, text);
    bool done = false;

    if (whole || (value && !is_plain(value)))
        Py_XSETREF(value, PyBytes_FromStringAndSize((const char *)text.ptr, (Py_ssize_t)text.len));
    if (key && value)
        done = PyDict_SetItem(dict_at(&state->tables[entry->lane]), key, value) == 0;
    if (done)
        state->bytes += entry_cost(entry->key.len, value);
    state->kept_bytes = state->bytes;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return done;
}

static bool key_eq(PyObject *a, PyObject *b)
{
    return a == b ||
           (PyUnicode_GET_LENGTH(a) == PyUnicode_GET_LENGTH(b) && PyUnicode_Compare(a, b) == 0);
}

static struct wz_state_touch *find_touch(struct wz_state *state, PyObject *key)
{
    if (state->touch_count > WZ_STATE_SCAN_MAX) {
        PyObject *place = look_up(state->touch_index, key);

        return place ? &state->touches[PyLong_AsSize_t(place)] : NULL;
    }
    for (size_t i = 0; i < state->touch_count; i++)
        if (key_eq(state->touches[i].key, key))
            return &state->touches[i];
    return NULL;
}

static void index_touch(struct wz_state *state, size_t i)
{
    PyObject *place = PyLong_FromSize_t(i);

    must(place && PyDict_SetItem(state->touch_index, state->touches[i].key, place) == 0);
    Py_DECREF(place);
}

// Notes that the call has looked at KEY, and what was there.
static struct wz_state_touch *touch(struct wz_state *state, PyObject *key)
{
    struct wz_state_touch *entry = find_touch(state, key);

    if (entry)
        return entry;
    if (state->touch_count == state->touch_cap) {
        state->touch_cap = state->touch_cap > 0 ? 2 * state->touch_cap : WZ_STATE_SCAN_MAX;
        state->touches = wz_realloc(state->touches, state->touch_cap * sizeof(*state->touches));
    }
    entry = &state->touches[state->touch_count++];
    *entry = (struct wz_state_touch){.key = Py_NewRef(key)};
    entry->before = Py_XNewRef(look_up(state->tables[state->lane], key));
    if (state->touch_count == WZ_STATE_SCAN_MAX + 1)
        for (size_t i = 0; i < WZ_STATE_SCAN_MAX; i++)
            index_touch(state, i);
    if (state->touch_count > WZ_STATE_SCAN_MAX)
        index_touch(state, state->touch_count - 1);
    return entry;
}

static void forget_touches(struct wz_state *state)
{
    for (size_t i = 0; i < state->touch_count; i++) {
        Py_DECREF(state->touches[i].key);
        Py_XDECREF(state->touches[i].before);
    }
    if (state->touch_count > WZ_STATE_SCAN_MAX)
        PyDict_Clear(state->touch_index);
    state->touch_count = 0;
    state->change_bytes = 0;
}

// A str of its own type for KEY, a new reference, and its bytes; NULL with an exception.
static PyObject *get_key(PyObject *key, struct wz_slice *ret_s)
{
    PyObject *text;

    if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "key must be a str, not %.100s", Py_TYPE(key)->tp_name);
        return NULL;
    }
    text = PyUnicode_FromObject(key); // the same object, unless its type is a heir of str
    if (text && get_utf8(text, ret_s)) {
        if (ret_s->len >= 1 && ret_s->len <= WZ_STATE_KEY_MAX)
            return text;
        PyErr_Format(PyExc_ValueError, "key must be of 1 to %d bytes, this one has %zu",
                     WZ_STATE_KEY_MAX, ret_s->len);
    }
    Py_XDECREF(text);
    return NULL;
}

// The value that BYTES, whose reference it uses up, are the JSON text of.
static PyObject *take_decoded(struct wz_state *state, PyObject *bytes)
{
    struct wz_slice text = wz_slice(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    PyObject *value = wz_body_decode(state->codec, text);

    Py_DECREF(bytes);
    return value;
}

PyObject *wz_state_get(struct wz_state *state, PyObject *key)
{
    struct wz_state_touch *entry;
    struct wz_slice s;
    PyObject *text = get_key(key, &s);
    PyObject *value;

    if (!text)
        return NULL;
    entry = touch(state, text);
    value = entry->changed ? look_up(state->tables[state->lane], text) : entry->before;
    Py_XINCREF(value);
    Py_DECREF(text);
    return value && PyBytes_Check(value) ? take_decoded(state, value) : value;
}

// Puts PACKED, or nothing, at KEY.
static void put(struct wz_state *state, PyObject *key, PyObject *packed)
{
    PyObject *table = state->tables[state->lane];

    if (packed)
        must(PyDict_SetItem(table, key, packed) == 0);
    else if (look_up(table, key))
        must(PyDict_DelItem(table, key) == 0);
}

static int change(struct wz_state *state, PyObject *key, size_t key_len, PyObject *packed)
{
    struct wz_state_touch *entry = touch(state, key);
    size_t cost = entry_cost(key_len, packed);
    size_t len = WZ_FRAME_ENTRY_LEN + (packed ? cost - WZ_STATE_ENTRY_COST : key_len);
    size_t changes = state->change_bytes - entry->change_len + len;
    size_t bytes = state->bytes + cost;

    bytes -= entry->changed ? entry->cost : entry_cost(key_len, entry->before);
    if (changes > WZ_STATE_CHANGES_MAX_BYTES)
        return WZ_ERR_LIMIT;
    // What was loaded may be more than is allowed: it may stay, and become less.
    if (bytes > state->max_bytes && bytes > state->kept_bytes)
        return WZ_ERR_TOO_LARGE;
    state->bytes = bytes;
    state->change_bytes = changes;
    entry->cost = cost;
    entry->change_len = len;
    entry->changed = true;
    put(state, key, packed);
    return WZ_OK;
}

int wz_state_set(struct wz_state *state, PyObject *key, PyObject *value)
{
    struct wz_slice s;
    PyObject *packed = NULL;
    PyObject *text = get_key(key, &s);
    int r = WZ_ERR_INVALID;

    if (text && value)
        packed = pack(state, value);
    if (packed && value_len(packed) > WZ_STATE_VALUE_MAX)
        PyErr_Format(PyExc_ValueError,
                     "the value is %zu bytes long as JSON, at most %d are allowed",
                     value_len(packed), WZ_STATE_VALUE_MAX);
    else if (text && (packed || !value))
        r = change(state, text, s.len, packed);
    Py_XDECREF(packed);
    Py_XDECREF(text);
    return r;
}

void wz_state_keep(struct wz_state *state)
{
    for (size_t i = 0; i < state->touch_count; i++) {
        const struct wz_state_touch *entry = &state->touches[i];

        if (!entry->changed)
            continue;
        must(PyDict_SetItem(state->dirty[state->lane], entry->key, Py_None) == 0);
        state->dirty_bytes += entry->change_len;
    }
    state->kept_bytes = state->bytes;
    forget_touches(state);
}

void wz_state_undo(struct wz_state *state)
{
    for (size_t i = 0; i < state->touch_count; i++)
        if (state->touches[i].changed)
            put(state, state->touches[i].key, state->touches[i].before);
    state->bytes = state->kept_bytes;
    forget_touches(state);
}

// The JSON text of what stands in the tables, good until the codec encodes again. OWNER, if it is
// set, must be dropped when the text was used.
static struct wz_slice value_text(struct wz_state *state, PyObject *value, PyObject **owner)
{
    struct wz_body body = {0};

    if (PyBytes_Check(value))
        return wz_slice(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    must(wz_body_encode_json(state->codec, value, &body));
    *owner = body.owner;
    return body.slice;
}

uint32_t wz_state_put_seen(struct wz_state *state, struct wz_buf *buf)
{
    size_t start = buf->len;
    uint32_t count = 0;

    for (size_t i = 0; i < state->touch_count; i++) {
        const struct wz_state_touch *entry = &state->touches[i];
        struct wz_frame_item item = {.kind = WZ_FRAME_ITEM_SEEN};
        PyObject *owner = NULL;

        must(get_utf8(entry->key, &item.topic));
        if (buf->len - start + WZ_FRAME_ITEM_LEN + 2 + item.topic.len +
                (entry->before ? value_len(entry->before) : 0) >
            WZ_STATE_SEEN_MAX_BYTES)
            continue;
        if (entry->before)
            item.body = value_text(state, entry->before, &owner);
        wz_frame_put_item(buf, &item);
        Py_XDECREF(owner);
        count++;
    }
    return count;
}

static void put_change(struct wz_state *state, struct wz_buf *buf, uint8_t lane, PyObject *key)
{
    // A call is under way: it does not count yet, and what it touched is looked up as it was.
    const struct wz_state_touch *now =
        state->touch_count > 0 && lane == state->lane ? find_touch(state, key) : NULL;
    PyObject *value = now ? now->before : look_up(state->tables[lane], key);
    struct wz_frame_entry entry = {.lane = lane, .removed = value == NULL};
    PyObject *owner = NULL;

    must(get_utf8(key, &entry.key));
    if (value)
        entry.value = value_text(state, value, &owner);
    wz_frame_put_entry(buf, &entry);
    Py_XDECREF(owner);
}

void wz_state_put_changes(struct wz_state *state, struct wz_buf *buf)
{
    uint32_t count = 0;

    for (int lane = 0; state->dirty_bytes > 0 && lane <= WZ_LANE_SHARED; lane++)
        if (state->dirty[lane])
            count += (uint32_t)PyDict_GET_SIZE(state->dirty[lane]);
    wz_frame_put_change_count(buf, count);
    for (int lane = 0; count > 0 && lane <= WZ_LANE_SHARED; lane++) {
        PyObject *key, *unused;
        Py_ssize_t pos = 0;

        if (!state->dirty[lane])
            continue;
        while (PyDict_Next(state->dirty[lane], &pos, &key, &unused))
            put_change(state, buf, (uint8_t)lane, key);
        PyDict_Clear(state->dirty[lane]);
    }
    state->dirty_bytes = 0;
}
