// SPDX-License-Identifier: Apache-2.0
// Journals of any records: what is read back from them never breaks anything, and a record whose
// form wz_journal_key_check finds right is one that the durable queues take.
//
// An input is a run of records: length of the key, 0 or 1 (removed), length of the value, key,
// value.
#include <stdlib.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/journal_keys.h"
#include "broker/queues_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct wz_loop loop;
static struct wz_journal *journal;
static struct wz_queues *queues;

static void set_up(void)
{
    struct wz_journal_options options = {.loop = &loop};
    struct wz_queues_options queue_options = {
        .loop = &loop,
        .limits = {.max_queues = 100, .max_count = 100, .max_bytes = 1 << 20, .max_bindings = 100}};
    struct wz_log_recovery recovery;
    char dir[] = "/tmp/journal-fuzz-XXXXXX";

    WZ_ASSERT(mkdtemp(dir) != NULL && wz_loop_init(&loop) == WZ_OK);
    WZ_ASSERT(wz_journal_open(dir, &options, &journal, &recovery, NULL) == WZ_OK);
    queue_options.journal = journal;
    queue_options.exchange = wz_exchange_new(&wz_topic_mqtt);
    queues = wz_queues_new(&queue_options);
    wz_log_set_level(WZ_LOG_ERROR);
}

static const struct wz_journal_kind *kind_of(struct wz_slice key)
{
    for (size_t i = 0; i < sizeof(queues->kinds) / sizeof(queues->kinds[0]); i++) {
        if (key.len > 0 && queues->kinds[i].letter == (char)key.ptr[0])
            return &queues->kinds[i];
    }
    return NULL;
}

static void replay(struct wz_slice key, struct wz_slice value, bool removed, int64_t offset)
{
    const struct wz_journal_kind *kind = kind_of(key);
    struct wz_journal_record record = {
        .place = {.offset = offset, .len = 1}, .removed = removed, .value = {0}};
    enum wz_journal_key found;
    int expected = wz_journal_key_check(key, removed ? (struct wz_slice){0} : value, &found);
    int r;

    if (kind == NULL || (!removed && (value.len == 0 || value.ptr[0] != 1)))
        return; // the journal itself refuses these
    record.key = wz_slice_sub(key, 1, key.len - 1);
    if (!removed)
        record.value = wz_slice_sub(value, 1, value.len - 1);
    r = kind->replay(kind->arg, &record);
    // Two messages of one queue may lie too far apart, which no record says by itself.
    WZ_ASSERT(expected != WZ_OK || r == WZ_OK || kind->letter == 'E');
}

// Takes all queues out again, as records that remove them do.
static void clear(void)
{
    WZ_ASSERT(wz_queues_recover(queues, NULL) == WZ_OK);
    while (!wz_list_empty(&queues->all)) {
        struct wz_durable_queue *queue =
            WZ_CONTAINER(queues->all.next, struct wz_durable_queue, link);
        struct wz_journal_record record = {.removed = true};
        uint8_t id[8];

        memcpy(id, queue->id, sizeof(id));
        record.key = wz_slice(id, sizeof(id));
        WZ_ASSERT(queues->kinds[0].replay(queues->kinds[0].arg, &record) == WZ_OK);
    }
    WZ_ASSERT(wz_queues_recover(queues, NULL) == WZ_OK && queues->shared.count == 0);
    WZ_ASSERT(queues->messages == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct wz_cursor cur = wz_cursor(wz_slice(bytes, len));

    if (journal == NULL)
        set_up();
    for (int64_t offset = 0; wz_cursor_left(&cur) > 0; offset++) {
        size_t key_len = wz_cursor_get_u8(&cur);
        bool removed = wz_cursor_get_u8(&cur) == 1;
        size_t value_len = wz_cursor_get_u8(&cur);
        struct wz_slice key = wz_cursor_get_bytes(&cur, key_len);
        struct wz_slice value = wz_cursor_get_bytes(&cur, value_len);

        if (!cur.failed)
            replay(key, value, removed, offset);
    }
    clear();
    return 0;
}
