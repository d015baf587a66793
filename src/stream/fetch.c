// SPDX-License-Identifier: Apache-2.0
// Owns fetches on the pool. Records that lie close together are read in one go; over a wider gap
// the reader is opened anew at the next offset.
#include "stream/fetch.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "base/mem.h"

// So many records are read over rather than looked for.
#define GAP_MAX 256

struct found {
    int64_t offset;
    size_t len;
    int result;
};

// One fetch; everything in it is the pool's while it runs.
struct wz_fetch {
    struct wz_log *log;
    struct wz_reader *reader;
    int64_t position; // of the reader
    int64_t *offsets;
    size_t count;
    size_t cap;
    size_t max_bytes;
    struct found *found;
    size_t found_count;
    struct wz_buf bytes;
    size_t next; // for wz_fetch_next
    size_t next_pos;
};

struct wz_fetcher {
    uv_work_t work;
    struct wz_loop *loop;
    struct wz_fetch fetch;
    wz_fetch_fn done;
    void *arg;
    bool busy;
    _Atomic bool freed; // looked at on the pool, too: nobody waits for the rest any more
};

struct wz_fetcher *wz_fetcher_new(struct wz_loop *loop, struct wz_log *log, wz_fetch_fn done,
                                  void *arg)
{
    struct wz_fetcher *fetcher = wz_zalloc(1, sizeof(*fetcher));

    fetcher->loop = loop;
    fetcher->fetch.log = log;
    fetcher->done = done;
    fetcher->arg = arg;
    return fetcher;
}

void wz_fetcher_free(struct wz_fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    fetcher->freed = true;
    if (fetcher->busy) {
        (void)uv_cancel((uv_req_t *)&fetcher->work); // fails when it has begun, and ends soon then
        return;                                      // after_fetch calls again
    }
    wz_reader_close(fetcher->fetch.reader);
    wz_free(fetcher->fetch.offsets);
    wz_free(fetcher->fetch.found);
    wz_buf_release(&fetcher->fetch.bytes);
    wz_free(fetcher);
}

// Sees to it that the reader comes upon OFFSET soon.
static int seek(struct wz_fetch *fetch, int64_t offset)
{
    struct wz_reader_options options = {.position = offset};

    if (fetch->reader != NULL && fetch->position <= offset && offset - fetch->position <= GAP_MAX)
        return WZ_OK;
    wz_reader_close(fetch->reader);
    fetch->reader = NULL;
    fetch->position = offset;
    return wz_reader_open(fetch->log, &options, &fetch->reader);
}

static int read_one(struct wz_fetch *fetch, int64_t offset, struct wz_record *ret_record)
{
    int r = seek(fetch, offset);

    while (r == WZ_OK && fetch->position <= offset) {
        r = wz_reader_next(fetch->reader, ret_record);
        if (r == WZ_OK)
            fetch->position = ret_record->offset + 1;
        if (r == WZ_OK && ret_record->offset == offset)
            return ret_record->value_null ? WZ_ERR_NOT_FOUND : WZ_OK;
    }
    if (r < 0) { // the next one starts anew
        wz_reader_close(fetch->reader);
        fetch->reader = NULL;
        return r;
    }
    return WZ_ERR_NOT_FOUND;
}

// On the pool.
static void run_fetch(uv_work_t *work)
{
    struct wz_fetcher *fetcher = WZ_CONTAINER(work, struct wz_fetcher, work);
    struct wz_fetch *fetch = &fetcher->fetch;
    struct wz_record record;

    for (size_t i = 0; i < fetch->count && fetch->bytes.len <= fetch->max_bytes &&
                       !atomic_load_explicit(&fetcher->freed, memory_order_relaxed);
         i++) {
        struct found *found = &fetch->found[fetch->found_count++];

        *found = (struct found){.offset = fetch->offsets[i]};
        found->result = read_one(fetch, fetch->offsets[i], &record);
        if (found->result < 0)
            continue;
        found->len = record.value.len;
        wz_buf_add_slice(&fetch->bytes, record.value);
    }
}

static void after_fetch(uv_work_t *work, int status)
{
    struct wz_fetcher *fetcher = WZ_CONTAINER(work, struct wz_fetcher, work);

    (void)status; // it is cancelled when the fetcher is freed
    fetcher->busy = false;
    if (fetcher->freed)
        wz_fetcher_free(fetcher);
    else
        fetcher->done(fetcher->arg, &fetcher->fetch);
}

void wz_fetcher_start(struct wz_fetcher *fetcher, const int64_t *offsets, size_t count,
                      size_t max_bytes)
{
    struct wz_fetch *fetch = &fetcher->fetch;

    WZ_ASSERT(!fetcher->busy && count > 0);
    if (count > fetch->cap) {
        fetch->cap = count;
        fetch->offsets = wz_realloc(fetch->offsets, count * sizeof(fetch->offsets[0]));
        fetch->found = wz_realloc(fetch->found, count * sizeof(fetch->found[0]));
    }
    memcpy(fetch->offsets, offsets, count * sizeof(offsets[0]));
    fetch->count = count;
    fetch->max_bytes = max_bytes;
    fetch->found_count = 0;
    fetch->bytes.len = 0;
    fetch->next = 0;
    fetch->next_pos = 0;
    fetcher->busy = true;
    wz_ignore(uv_queue_work(&fetcher->loop->uv, &fetcher->work, run_fetch,
                            after_fetch)); // fails without a function only
}

bool wz_fetcher_busy(const struct wz_fetcher *fetcher) { return fetcher->busy; }

int wz_fetch_next(struct wz_fetch *fetch, int64_t *ret_offset, struct wz_slice *ret_value,
                  int *ret_result)
{
    const struct found *found;

    if (fetch->next == fetch->found_count)
        return WZ_END;
    found = &fetch->found[fetch->next++];
    *ret_offset = found->offset;
    *ret_value = (struct wz_slice){0};
    if (found->len > 0)
        *ret_value = wz_slice(fetch->bytes.ptr + fetch->next_pos, found->len);
    *ret_result = found->result;
    fetch->next_pos += found->len;
    return WZ_OK;
}
