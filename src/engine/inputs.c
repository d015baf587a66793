// SPDX-License-Identifier: Apache-2.0
// Owns the order in which a script's sources feed its worker, and the search for the record that
// kills workers.
#include "engine/inputs.h"

#include "base/mem.h"

// The sources that there are.
#define EACH_SOURCE(inputs, i)                                                                     \
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)                                               \
        if ((inputs)->sources[i])

static struct wz_input_queue *queue_of(const struct wz_inputs *inputs, int i)
{
    return wz_source_queue(inputs->sources[i]);
}

static void close_source(struct wz_inputs *inputs, int i)
{
    wz_source_close(inputs->sources[i]);
    inputs->sources[i] = NULL;
}

static struct wz_source *new_source(struct wz_inputs *inputs, enum wz_script_stream stream)
{
    struct wz_source_options options = inputs->options.source;

    options.stream = stream;
    options.log = inputs->options.logs[stream];
    inputs->open_count++;
    return wz_source_new(&options);
}

static int bind_stream(struct wz_inputs *inputs, const struct wz_script_document *document,
                       enum wz_script_stream stream, bool from_end)
{
    WZ_AUTO(wz_free_ptr)
    struct wz_slice *patterns = wz_zalloc(document->binding_count + 1, sizeof(*patterns));
    size_t count = 0;

    for (size_t i = 0; i < document->binding_count; i++)
        if (document->bindings[i].stream == stream)
            patterns[count++] = document->bindings[i].pattern;
    if (count == 0) {
        if (inputs->sources[stream])
            close_source(inputs, (int)stream);
        return WZ_OK;
    }
    if (!inputs->sources[stream])
        inputs->sources[stream] = new_source(inputs, stream);
    if (from_end)
        wz_source_skip_to_end(inputs->sources[stream]);
    return wz_source_bind(inputs->sources[stream], patterns, count);
}

int wz_inputs_bind(struct wz_inputs *inputs, const struct wz_script_document *document,
                   bool from_end)
{
    wz_inputs_unbind(inputs);
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        int r = bind_stream(inputs, document, (enum wz_script_stream)i, from_end);

        if (r < 0) {
            wz_inputs_unbind(inputs);
            return r;
        }
    }
    return WZ_OK;
}

void wz_inputs_unbind(struct wz_inputs *inputs)
{
    EACH_SOURCE(inputs, i) wz_source_unbind(inputs->sources[i]);
}

void wz_inputs_close(struct wz_inputs *inputs) { EACH_SOURCE(inputs, i) close_source(inputs, i); }

static size_t held_bytes(const struct wz_inputs *inputs)
{
    size_t bytes = 0;

    EACH_SOURCE(inputs, i) bytes += wz_input_queue_sent_bytes(queue_of(inputs, i));
    return bytes;
}

size_t wz_inputs_held(const struct wz_inputs *inputs)
{
    size_t count = 0;

    EACH_SOURCE(inputs, i) count += queue_of(inputs, i)->sent_count;
    return count;
}

static bool may_give(const struct wz_inputs *inputs)
{
    if (inputs->careful > 0)
        return wz_inputs_held(inputs) == 0;
    return held_bytes(inputs) < WZ_INPUTS_FLIGHT_BYTES;
}

static bool give_batch(struct wz_inputs *inputs, int i, struct wz_buf *out)
{
    struct wz_input_run run;
    size_t start;

    wz_input_queue_take(queue_of(inputs, i), WZ_INPUTS_FRAME_BYTES,
                        inputs->careful > 0 ? 1 : WZ_INPUTS_FRAME_RECORDS, &run);
    if (run.count == 0)
        return false;
    start = wz_frame_list_open(out, WZ_FRAME_BATCH);
    wz_buf_add_slice(out, run.bytes);
    wz_frame_list_close(out, start, run.count);
    return true;
}

void wz_inputs_give(struct wz_inputs *inputs, struct wz_buf *out)
{
    bool given = true;

    while (given) { // a frame of each in turn
        given = false;
        EACH_SOURCE(inputs, i)
        {
            if (may_give(inputs) && give_batch(inputs, i, out))
                given = true;
        }
    }
}

bool wz_inputs_due(const struct wz_inputs *inputs, uint8_t stream, int64_t offset,
                   struct wz_frame_record *ret_record)
{
    return stream < WZ_SCRIPT_STREAM_COUNT && inputs->sources[stream] &&
           queue_of(inputs, stream)->sent_count > 0 &&
           wz_input_queue_first(queue_of(inputs, stream), ret_record) &&
           ret_record->offset == offset;
}

bool wz_inputs_find(const struct wz_inputs *inputs, uint8_t stream, int64_t offset,
                    struct wz_frame_record *ret_record)
{
    return stream < WZ_SCRIPT_STREAM_COUNT && inputs->sources[stream] &&
           wz_input_queue_find(queue_of(inputs, stream), offset, ret_record);
}

void wz_inputs_answer(struct wz_inputs *inputs, uint8_t stream)
{
    if (inputs->careful > 0)
        inputs->careful--;
    wz_input_queue_shift(queue_of(inputs, stream));
}

void wz_inputs_refill(struct wz_inputs *inputs)
{
    EACH_SOURCE(inputs, i) wz_source_refill(inputs->sources[i]);
}

void wz_inputs_rewind(struct wz_inputs *inputs)
{
    EACH_SOURCE(inputs, i) wz_input_queue_rewind(queue_of(inputs, i));
}

bool wz_inputs_blame(struct wz_inputs *inputs, struct wz_frame_record *ret_record)
{
    size_t held = wz_inputs_held(inputs);

    if (inputs->careful < held)
        inputs->careful = held;
    if (held != 1)
        return false;
    EACH_SOURCE(inputs, i)
    {
        if (queue_of(inputs, i)->sent_count == 0 ||
            !wz_input_queue_first(queue_of(inputs, i), ret_record))
            continue;
        if (inputs->death_offset != ret_record->offset)
            inputs->deaths = 0;
        inputs->death_offset = ret_record->offset;
        return ++inputs->deaths >= WZ_INPUTS_DEATHS_MAX;
    }
    return false;
}

void wz_inputs_skip(struct wz_inputs *inputs, const struct wz_frame_record *record)
{
    uint8_t stream = record->stream;

    inputs->deaths = 0;
    wz_inputs_answer(inputs, stream);
    wz_source_refill(inputs->sources[stream]);
}

void wz_inputs_forgive(struct wz_inputs *inputs)
{
    inputs->careful = 0;
    inputs->deaths = 0;
}

int64_t wz_inputs_lag(const struct wz_inputs *inputs)
{
    int64_t lag = 0;

    EACH_SOURCE(inputs, i) lag += wz_source_lag(inputs->sources[i]);
    return lag;
}

bool wz_inputs_behind(const struct wz_inputs *inputs)
{
    bool behind = false;

    EACH_SOURCE(inputs, i) behind = behind || wz_source_behind(inputs->sources[i]);
    return behind;
}
