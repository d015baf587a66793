// SPDX-License-Identifier: Apache-2.0
// Owns the folders, the loop and the messages of the durable queues' tests.
#include "broker/testqueues_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "broker/queues_inside.h"
#include "stream/testjournal_test.h"

static void on_tick(uv_timer_t *timer) { (void)timer; }

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct testqueues *t = arg;

    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
    if (t->queues != NULL)
        wz_queues_durable(t->queues);
    if (t->durable != NULL)
        t->durable(t->arg);
}

static void make_dir(char dir[static 64])
{
    (void)snprintf(dir, 64, "/tmp/wyze-queues-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

void testqueues_init(struct testqueues *t)
{
    *t = (struct testqueues){
        .journal_options = {.durability = WZ_DURABILITY_OS},
        .limits = {.max_queues = 1000,
                   .max_count = 1000000,
                   .max_bytes = SIZE_MAX,
                   .max_bindings = 1000,
                   .max_inflight = 1000},
        .retained_limits = {.max_count = SIZE_MAX, .max_bytes = SIZE_MAX},
    };
    make_dir(t->dir);
    make_dir(t->raw_dir);
}

static int remove_name(const char *name, void *arg)
{
    const char *dir = arg;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return wz_fs_remove(path);
}

static void remove_dir(char *dir)
{
    assert_int_equal(wz_fs_walk(dir, remove_name, dir), WZ_OK);
    assert_int_equal(rmdir(dir), 0);
}

void testqueues_release(struct testqueues *t)
{
    remove_dir(t->dir);
    remove_dir(t->raw_dir);
}

static void open_logs(struct testqueues *t)
{
    struct wz_log_options raw = {
        .durability = WZ_DURABILITY_OS,
        .loop_mail = &t->loop.mail,
        .on_durable = on_durable,
        .arg = t,
    };
    struct wz_log_recovery recovery;

    t->journal_options.loop = &t->loop;
    t->journal_options.on_durable = on_durable;
    t->journal_options.arg = t;
    if (wz_journal_open(t->dir, &t->journal_options, &t->journal, &recovery, &t->problem) < 0)
        fail_msg("%s %s", t->problem.what, t->problem.where);
    if (t->has_raw && wz_log_open(t->raw_dir, &raw, &t->raw, &recovery, &t->problem) < 0)
        fail_msg("%s %s", t->problem.what, t->problem.where);
}

int testqueues_load(struct testqueues *t)
{
    struct wz_queues_options options = {.loop = &t->loop, .limits = t->limits};
    int r;

    assert_int_equal(wz_loop_init(&t->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&t->loop.uv, &t->tick), 0);
    assert_int_equal(uv_timer_start(&t->tick, on_tick, 2, 2), 0);
    t->exchange = wz_exchange_new(&wz_topic_mqtt);
    open_logs(t);
    options.journal = t->journal;
    options.exchange = t->exchange;
    options.raw = t->raw;
    t->queues = wz_queues_new(&options);
    t->retained = wz_retained_new(t->journal, &t->retained_limits);
    r = wz_journal_replay(t->journal, &t->problem);
    return r == WZ_OK ? wz_queues_recover(t->queues, &t->problem) : r;
}

void testqueues_open(struct testqueues *t)
{
    if (testqueues_load(t) < 0)
        fail_msg("%s: %s %s", t->dir, t->problem.what, t->problem.where);
    wz_journal_start(t->journal);
}

void testqueues_close(struct testqueues *t)
{
    wz_journal_stop(t->journal);
    uv_close((uv_handle_t *)&t->tick, NULL);
    wz_loop_stop(&t->loop);
    wz_loop_run(&t->loop);
    wz_queues_stop(t->queues);
    wz_queues_free(t->queues);
    t->queues = NULL;
    wz_retained_free(t->retained);
    t->retained = NULL;
    assert_int_equal(wz_journal_close(t->journal), WZ_OK);
    t->journal = NULL;
    assert_int_equal(t->raw != NULL ? wz_log_close(t->raw) : WZ_OK, WZ_OK);
    t->raw = NULL;
    wz_loop_release(&t->loop);
    assert_false(wz_exchange_bound(t->exchange)); // no queue has left a binding
    wz_exchange_free(t->exchange);
}

void testqueues_reopen(struct testqueues *t)
{
    testqueues_close(t);
    testqueues_open(t);
}

// Makes a folder with the files that are in DIR, and puts its name into RET_DIR.
static void copy_dir(const char *dir, char ret_dir[static 64])
{
    make_dir(ret_dir);
    assert_int_equal(testjournal_copy_files(dir, ret_dir), WZ_OK);
}

void testqueues_copy(const struct testqueues *t, char ret_dir[static 64],
                     char ret_raw_dir[static 64])
{
    copy_dir(t->dir, ret_dir);
    copy_dir(t->raw_dir, ret_raw_dir);
}

void testqueues_move(struct testqueues *t, const char dir[static 64], const char raw_dir[static 64])
{
    testqueues_release(t);
    memcpy(t->dir, dir, sizeof(t->dir));
    memcpy(t->raw_dir, raw_dir, sizeof(t->raw_dir));
}

void testqueues_crash(struct testqueues *t)
{
    char dir[64];
    char raw_dir[64];

    testqueues_copy(t, dir, raw_dir);
    testqueues_close(t);
    testqueues_move(t, dir, raw_dir);
    testqueues_open(t);
}

void testqueues_turn(struct testqueues *t) { (void)uv_run(&t->loop.uv, UV_RUN_ONCE); }

static bool is_durable(struct wz_log *log)
{
    return log == NULL || wz_log_durable_end(log) == wz_log_next_offset(log);
}

static bool is_settled(struct testqueues *t)
{
    return is_durable(wz_journal_log(t->journal)) && is_durable(t->raw) &&
           wz_list_empty(&t->queues->dirty) && (t->raw == NULL || !t->queues->marks);
}

void testqueues_settle(struct testqueues *t)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (!is_settled(t)) {
        if (wz_clock_mono_us() > end_us)
            fail_msg("not everything becomes durable");
        wz_log_want(wz_journal_log(t->journal));
        if (t->raw != NULL)
            wz_log_flush(t->raw);
        testqueues_turn(t);
    }
}

void testqueues_rest(struct testqueues *t)
{
    struct wz_journal_info info;

    do {
        testqueues_settle(t);
        wz_journal_info(t->journal, &info);
        if (info.compacting)
            testqueues_turn(t);
    } while (info.compacting || !is_settled(t));
}

void testqueues_begin(struct testqueues *t)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (!wz_queues_ready(t->queues)) {
        if (wz_clock_mono_us() > end_us)
            fail_msg("no group may begin");
        testqueues_turn(t);
    }
    wz_queues_begin(t->queues);
}

void testqueues_end(struct testqueues *t)
{
    struct wz_ticket ticket = {0};

    wz_queues_end(t->queues, &ticket);
}

struct wz_durable_queue *testqueues_queue(struct testqueues *t, const char *name)
{
    struct wz_durable_queue *queue = wz_queues_find(t->queues, wz_slice_str(name));

    if (queue != NULL)
        return queue;
    testqueues_begin(t);
    assert_int_equal(wz_queues_declare(t->queues, wz_slice_str(name), &queue), WZ_OK);
    testqueues_end(t);
    return queue;
}

struct wz_durable_queue *testqueues_bound(struct testqueues *t, const char *name,
                                          const char *filter, unsigned qos)
{
    struct wz_durable_queue *queue = testqueues_queue(t, name);

    testqueues_begin(t);
    assert_int_equal(wz_durable_queue_bind(queue, wz_slice_str(filter), qos), WZ_OK);
    testqueues_end(t);
    return queue;
}

static bool any_topic(struct wz_slice topic) { return topic.len > 0; }

// Fills BYTES with what stands in message NUMBER.
static void fill(uint8_t *bytes, uint32_t number, size_t len)
{
    struct wz_pen pen = wz_pen(bytes, len);

    wz_pen_put_u32(&pen, number);
    for (size_t i = 4; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 + number * 7 + i / 251);
}

void testqueues_publish(struct testqueues *t, const char *topic, uint32_t number, unsigned qos,
                        size_t len)
{
    uint8_t *bytes = wz_alloc(len);
    struct wz_message msg = {.topic = wz_slice_str(topic),
                             .body = wz_slice(bytes, len),
                             .client = WZ_SLICE_LIT("publisher"),
                             .offset = -1,
                             .qos = (uint8_t)qos};
    struct wz_ticket ticket;

    fill(bytes, number, len);
    while (!wz_queues_ready(t->queues))
        testqueues_turn(t);
    assert_int_equal(wz_queues_publish(t->queues, t->exchange, &msg, any_topic, &ticket), WZ_OK);
    wz_free(bytes);
}

size_t testqueues_messages(const struct testqueues *t) { return t->queues->messages; }

uint32_t testqueues_number(const struct wz_message *msg)
{
    struct wz_cursor cur = wz_cursor(msg->body);
    uint32_t number = wz_cursor_get_u32(&cur);
    uint8_t *bytes;

    assert_false(cur.failed);
    bytes = wz_alloc(msg->body.len);
    fill(bytes, number, msg->body.len);
    assert_memory_equal(bytes, msg->body.ptr, msg->body.len);
    wz_free(bytes);
    return number;
}

static void on_direct(void *arg, const struct wz_message *msg)
{
    struct testconsumer *consumer = arg;

    wz_buf_addf(&consumer->direct, "%.*s=%u ", WZ_SLICE_FMT(msg->topic), testqueues_number(msg));
}

static void on_ready(void *arg)
{
    struct testconsumer *consumer = arg;

    consumer->told++;
}

int testqueues_set_up(void **state)
{
    struct testqueues *t = wz_zalloc(1, sizeof(*t));

    *state = t;
    testqueues_init(t);
    t->has_raw = true;
    testqueues_open(t);
    return 0;
}

int testqueues_tear_down(void **state)
{
    struct testqueues *t = *state;

    testqueues_close(t);
    testqueues_release(t);
    wz_free(t);
    return 0;
}

void testqueues_delete(struct testqueues *t, const char *name)
{
    testqueues_begin(t);
    wz_queues_delete(wz_queues_find(t->queues, wz_slice_str(name)));
    testqueues_end(t);
}

struct wz_durable_queue *testqueues_find(struct testqueues *t, const char *name)
{
    return wz_queues_find(t->queues, wz_slice_str(name));
}

void testqueues_settle_and_crash(struct testqueues *t)
{
    testqueues_settle(t);
    testqueues_crash(t);
}

void testqueues_put(struct testqueues *t, char letter, struct wz_slice key, struct wz_slice value)
{
    struct wz_journal_place place = WZ_JOURNAL_NOWHERE;

    testqueues_begin(t);
    wz_journal_put(t->journal, letter, key, &value, 1, &place);
    testqueues_end(t);
}

void testconsumer_attach(struct testconsumer *consumer, struct wz_durable_queue *queue)
{
    struct wz_ticket ticket;

    consumer->consumer =
        (struct wz_consumer){.direct = on_direct, .ready = on_ready, .arg = consumer};
    consumer->queue = queue;
    wz_queues_begin(queue->queues);
    wz_durable_queue_attach(queue, &consumer->consumer);
    wz_queues_end(queue->queues, &ticket);
}

void testconsumer_detach(struct testconsumer *consumer, int64_t now_ms)
{
    struct wz_queues *queues = consumer->queue->queues;
    struct wz_ticket ticket;

    wz_queues_begin(queues);
    wz_durable_queue_detach(consumer->queue, now_ms);
    wz_queues_end(queues, &ticket);
    consumer->queue = NULL;
    wz_buf_release(&consumer->direct);
}

static bool is_still(struct testqueues *t, const struct wz_durable_queue *queue)
{
    return is_settled(t) && (queue->fetcher == NULL || !wz_fetcher_busy(queue->fetcher));
}

bool testconsumer_take(struct testqueues *t, struct testconsumer *consumer,
                       struct wz_queued *ret_queued)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();
    int told;

    do {
        int r;

        told = consumer->told;
        r = wz_durable_queue_next(consumer->queue, ret_queued);
        if (r == WZ_OK)
            return true;
        assert_int_equal(r, WZ_AGAIN);
        while (consumer->told == told && !is_still(t, consumer->queue)) {
            if (wz_clock_mono_us() > end_us)
                fail_msg("waited in vain for a message");
            if (t->raw != NULL)
                wz_log_flush(t->raw);
            testqueues_turn(t);
        }
    } while (consumer->told != told);
    return false;
}

uint16_t testconsumer_expect(struct testqueues *t, struct testconsumer *consumer, uint32_t number,
                             unsigned qos, bool dup)
{
    struct wz_queued queued;

    if (!testconsumer_take(t, consumer, &queued))
        fail_msg("message %u does not come", number);
    assert_non_null(queued.parcel);
    assert_int_equal(testqueues_number(&queued.parcel->message), number);
    assert_int_equal(queued.qos, qos);
    assert_int_equal(queued.dup, dup);
    assert_int_not_equal(queued.packet_id, 0);
    return queued.packet_id;
}

void testconsumer_expect_none(struct testqueues *t, struct testconsumer *consumer)
{
    struct wz_queued queued;

    if (testconsumer_take(t, consumer, &queued))
        fail_msg("message %u comes",
                 queued.parcel != NULL ? testqueues_number(&queued.parcel->message) : 0);
}

int testconsumer_settle(struct testqueues *t, struct testconsumer *consumer, uint16_t packet_id,
                        enum wz_settlement settlement)
{
    int r;

    testqueues_begin(t);
    r = wz_durable_queue_settle(consumer->queue, packet_id, settlement);
    testqueues_end(t);
    return r;
}
