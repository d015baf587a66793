// SPDX-License-Identifier: Apache-2.0
// Owns readings on the pool. The log's reader is kept from one to the next as long as they go on
// where the last one ended.
#include "router/command_reader.h"

#include <stdatomic.h>

#include "base/list.h"
#include "base/mem.h"
#include "router/mapping.h"
#include "stream/reader.h"

// A reading ends with this many bytes of commands; or this many commands, which is what the loop
// thread deals with in one turn.
#define READING_BYTES ((size_t)256 * 1024)
#define READING_COUNT 512

struct wz_command_reader {
    uv_work_t work;
    struct wz_log *log;
    struct wz_reader *reader; // NULL: none
    struct wz_buf topic;      // the reader's; empty: all
    int64_t from;
    int64_t until;
    struct wz_command_reading reading;
    wz_command_reading_fn done;
    void *arg;
    bool busy;
    _Atomic bool freed; // looked at on the pool, too: nobody waits for the rest any more
};

bool wz_command_topic_is(struct wz_slice topic)
{
    struct wz_slice end = WZ_SLICE_LIT("." WZ_MAPPING_COMMAND_WORD);

    return topic.len > end.len &&
           wz_slice_eq(wz_slice_sub(topic, topic.len - end.len, end.len), end);
}

struct wz_command_reader *wz_command_reader_new(uv_loop_t *uv, struct wz_log *log,
                                                wz_command_reading_fn done, void *arg)
{
    struct wz_command_reader *reader = wz_zalloc(1, sizeof(*reader));

    reader->work.loop = uv;
    reader->log = log;
    reader->done = done;
    reader->arg = arg;
    return reader;
}

void wz_command_reader_free(struct wz_command_reader *reader)
{
    if (reader == NULL)
        return;
    reader->freed = true;
    if (reader->busy) {
        (void)uv_cancel((uv_req_t *)&reader->work); // fails when it has begun, and ends soon then
        return;                                     // after_reading calls again
    }
    wz_reader_close(reader->reader);
    wz_buf_release(&reader->topic);
    wz_command_queue_release(&reader->reading.found);
    wz_free(reader);
}

static int open_reader(struct wz_command_reader *reader)
{
    struct wz_reader_options options = {.position = reader->from};

    if (reader->reader != NULL && wz_reader_position(reader->reader) == reader->from)
        return WZ_OK;
    wz_reader_close(reader->reader);
    reader->reader = NULL;
    options.pattern = reader->topic.len > 0 ? wz_buf_slice(&reader->topic)
                                            : WZ_SLICE_LIT("#." WZ_MAPPING_COMMAND_WORD);
    return wz_reader_open(reader->log, &options, &reader->reader);
}

// What only passed through is no command, whatever its topic.
static bool is_command(const struct wz_record *record)
{
    return !record->key_null && !record->value_null && wz_command_topic_is(record->key) &&
           wz_slice_eq(wz_record_header_find(record, "from"), WZ_SLICE_LIT("egress")) &&
           wz_record_header_find(record, "passed").len == 0; // a device may be named egress
}

// On the pool.
static void run_reading(uv_work_t *work)
{
    struct wz_command_reader *reader = WZ_CONTAINER(work, struct wz_command_reader, work);
    struct wz_command_reading *reading = &reader->reading;
    struct wz_record record;
    int count = 0;
    int r = open_reader(reader);

    reading->next = reader->from;
    while (r == WZ_OK && count < READING_COUNT &&
           wz_command_queue_bytes(&reading->found) < READING_BYTES &&
           !atomic_load_explicit(&reader->freed, memory_order_relaxed)) {
        r = wz_reader_next(reader->reader, &record);
        if (r == WZ_OK && record.offset >= reader->until)
            r = WZ_END;
        if (r != WZ_OK)
            break;
        reading->next = record.offset + 1;
        if (!is_command(&record))
            continue;
        wz_command_queue_push(&reading->found,
                              &(struct wz_command){
                                  .offset = record.offset,
                                  .append_ms = record.append_ms,
                                  .topic = record.key,
                                  .value = record.value,
                                  .form = wz_form_find(wz_record_header_find(&record, "form")),
                              });
        count++;
    }
    if (r == WZ_END) // what is durable can be read: there is no more of it
        reading->next = reader->until;
    reading->err = r < 0 ? r : WZ_OK;
    if (r < 0) { // the next one starts anew
        wz_reader_close(reader->reader);
        reader->reader = NULL;
    }
}

static void after_reading(uv_work_t *work, int status)
{
    struct wz_command_reader *reader = WZ_CONTAINER(work, struct wz_command_reader, work);

    (void)status; // it is cancelled when the reader is freed
    reader->busy = false;
    if (reader->freed)
        wz_command_reader_free(reader);
    else
        reader->done(reader->arg, &reader->reading);
}

void wz_command_reader_start(struct wz_command_reader *reader, int64_t from, int64_t until,
                             struct wz_slice topic)
{
    WZ_ASSERT(!reader->busy && from < until);
    if (!wz_slice_eq(topic, wz_buf_slice(&reader->topic))) {
        wz_reader_close(reader->reader);
        reader->reader = NULL;
        reader->topic.len = 0;
        wz_buf_add_slice(&reader->topic, topic);
    }
    reader->from = from;
    reader->until = until;
    wz_command_queue_clear(&reader->reading.found);
    reader->busy = true;
    wz_ignore(uv_queue_work(reader->work.loop, &reader->work, run_reading,
                            after_reading)); // fails without a function only
}

bool wz_command_reader_busy(const struct wz_command_reader *reader) { return reader->busy; }
